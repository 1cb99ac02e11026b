"""Tables of the statistics of regions as .csv: what people open a reconstruction for besides."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe import regions
from ase_crystalnet.atom_probe.files.reconstruction import Reconstruction
from ase_crystalnet.atom_probe.results import AtomProbeAnalysis
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import write_whole

__all__ = ["TABLES", "parse_surface", "write_tables"]

#: Names of the tables.
TABLES = ("composition", "radial", "neighbors", "frequency", "proximity")
_NM = 0.1
#: Ions from which distances are taken: a sample of a box of them, of larger reconstructions.
_MOST = 50_000


def parse_surface(text: str) -> tuple[str, float]:
    """Element and share of a surface, of ``Al:0.15``.

    Raises
    ------
    InputError
        If it is not of that form.
    """
    element, _, number = text.partition(":")
    try:
        share = float(number)
    except ValueError:
        share = np.nan
    if not element or not 0.0 < share < 1.0:
        raise InputError(f"surface: expected an element and a share as Al:0.15, got {text!r}")
    return element, share


def write_tables(
    folder: Path,
    stem: str,
    ions: Reconstruction,
    analysis: AtomProbeAnalysis,
    surface: tuple[str, float] | None = None,
    seed: int = 0,
) -> list[Path]:
    """Write the tables; returns their paths.

    Parameters
    ----------
    folder : Path
    stem : str
        Beginning of their names.
    ions : Reconstruction
    analysis : AtomProbeAnalysis
        Its ordered phases are regions of their own.
    surface : (str, float), optional
        Element and share of the surface of the proximity histogram.
    seed : int
        Of the permutations.

    Raises
    ------
    InputError
        If no ion is ranged.
    """
    ranged = ions.take(ions.species >= 0)
    if not len(ranged):
        raise InputError("tables: no ion is ranged; give a range file")
    tables: dict[str, tuple[Sequence[str], list[Sequence[Any]]]] = {
        "composition": (
            ("region", "element", "percent", "error", "atoms"), _compositions(ions, analysis),
        ),
    }  # fmt: skip
    shares = regions.composition(ranged)
    names = [name for name in analysis.settings.get("order_species", ()) if name in shares]
    element = names[0] if names else next(iter(list(shares)[1:]), "")
    own = np.array([element in dict(i.composition) for i in ranged.ions], bool)[ranged.species]
    if 2 <= own.sum() < len(own):
        tables |= _distributions(ranged, own, element, np.random.default_rng(seed))
    if surface is not None:
        distance, found, counts = regions.proximity_histogram(ions, *surface)
        rows: list[Sequence[Any]] = []
        for i, place in enumerate(distance):
            errors = [np.sqrt(s[i] * (1 - s[i]) / max(counts[i], 1)) for s in found.values()]
            rows.append(
                [f"{place * _NM:.3f}", counts[i], *(f"{100 * s[i]:.3f}" for s in found.values()),
                 *(f"{100 * e:.3f}" for e in errors)]
            )  # fmt: skip
        head = ["distance (nm)", "ions", *(f"{n} (%)" for n in found)]
        tables["proximity"] = [*head, *(f"{n} error (%)" for n in found)], rows
    paths = []
    for name, (columns, lines) in tables.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(lines)
        paths.append(folder / f"{stem}-{name}.csv")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(paths[-1], text.getvalue().encode())
    return paths


def _compositions(ions: Reconstruction, analysis: AtomProbeAnalysis) -> list[Sequence[Any]]:
    """The whole, what is in no ordered phase, and each phase."""
    parts: list[tuple[str, NDArray[np.bool_] | None]] = [("all", None)]
    if analysis.order_map is not None:
        region = analysis.order_map.ion_region
        parts.append(("no ordered phase", region == 0))
        parts += [(f"phase {i + 1}", region == i + 1) for i in range(int(region.max(initial=0)))]
    return [
        (name, element, f"{100 * share:.4f}", f"{100 * error:.4f}", number)
        for name, mask in parts
        for element, (share, error, number) in regions.composition(ions, mask).items()
    ]


def _distributions(
    ranged: Reconstruction, own: NDArray[np.bool_], element: str, rng: np.random.Generator
) -> dict[str, tuple[Sequence[str], list[Sequence[Any]]]]:
    """Radial, nearest-neighbour and frequency distributions of one element."""
    points = ranged.positions.astype(np.float64)
    if len(points) > _MOST:
        # A box about the middle, so that neighbours stay.
        off = np.abs(points - np.median(points, axis=0)) / np.ptp(points, axis=0)
        chosen = np.argsort(off.max(axis=1), kind="stable")[:_MOST]
        some, mask = points[chosen], own[chosen]
    else:
        some, mask = points, own
    found: dict[str, tuple[Sequence[str], list[Sequence[Any]]]] = {}
    parts = {}
    if 2 <= mask.sum() < len(mask):
        parts["radial"] = regions.radial_distribution(some, mask, rng, permutations=8, reach=30.0)
        parts["neighbors"] = regions.nearest_neighbors(some, mask, rng)
    head = ("distance (nm)", f"{element}", "at random", "deviation at random")
    for name, part in parts.items():
        rows: list[Sequence[Any]] = [
            (f"{d * _NM:.4f}", f"{v:.6g}", f"{r:.6g}", f"{e:.6g}")
            for d, v, r, e in zip(
                part.distance, part.value, part.random, part.random_error, strict=True
            )
        ]
        found[name] = (head, rows)
    if len(points) >= 200:
        blocks = regions.frequency_distribution(points, own)
        columns = (f"{element} in a block of 100", "blocks", "binomial", "p of the dispersion")
        found["frequency"] = (
            columns,
            [
                (int(n), int(v), f"{r:.6g}", f"{blocks.p_value:.4g}")
                for n, v, r in zip(blocks.distance, blocks.value, blocks.random, strict=True)
                if v or r > 1e-3
            ],
        )
    return found
