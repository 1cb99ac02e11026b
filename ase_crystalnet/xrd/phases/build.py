"""Building the library of phases from lists of structures, folders of CIF files, everyday phases.

    crystalnet xrd library STRUCTURES -o phases.npz --join

Each structure gives its lines (Cu K-alpha, 5 to 90 degrees, the strongest 100), its conventional
cell and its reference intensity. Of entries of one space group whose patterns and cells agree one
is kept: the measured before the computed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.phases.library import PhaseLibrary
from ase_crystalnet.xrd.simulated.reflections import peaks, reflections
from ase_crystalnet.xrd.simulated.sources import (
    ODDITIES,
    SETTINGS,
    SYMPREC,
    Crystal,
    from_amcsd,
    from_arrays,
    from_atoms,
    read_cif,
    read_lines,
    record_of,
)

__all__ = ["build_phases", "entry_of", "everyday_crystal", "everyday_records", "shipped_sources"]

#: Lines below this share of the strongest, and beyond this number, are not stored.
WEAKEST, MOST_LINES = 0.01, 100
#: Lines closer than this are one, degrees.
TOGETHER = 0.02
#: Cells beyond these have thousands of lines that no powder pattern shows apart.
LARGEST_VOLUME, MOST_ATOMS = 8000.0, 1200
#: Entries of one space group whose cells agree to this share, and strongest lines, are one.
SAME_CELL, SAME_HEIGHT = 0.004, 0.12
#: Structures of a job of a worker.
_JOB = 250
#: Names of minerals of the database that are none.
_UNNAMED = ("", "<missing>")


@dataclass(frozen=True)
class _Entry:
    angle: NDArray[np.uint16]
    height: NDArray[np.uint8]
    space_group: int
    cell: NDArray[np.float64]
    strength: float
    identifier: str
    name: str
    formula: str


def everyday_records() -> list[dict[str, Any]]:
    """Everyday phases with the cells that are measured at room temperature, as records."""
    path = files("ase_crystalnet.xrd").joinpath("data/everyday.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def everyday_crystal(record: dict[str, Any]) -> Crystal:
    """Of a record with ``sg``, ``setting``, ``cell`` and ``sites`` (symbol, x, y, z, share)."""
    from ase.data import atomic_numbers
    from ase.geometry import cellpar_to_cell
    from ase.spacegroup import Spacegroup

    lattice = np.asarray(cellpar_to_cell(record["cell"]))
    group = Spacegroup(int(record["sg"]), int(record.get("setting", 1)))
    numbers: list[int] = []
    positions: list[NDArray[np.float64]] = []
    shares: list[float] = []
    orbits: list[int] = []
    for symbol, x, y, z, share in record["sites"]:
        image, _ = group.equivalent_sites([(x, y, z)], symprec=1e-3)
        if record.get("centering") == "C":
            image = np.concatenate([image, (image + np.array([0.5, 0.5, 0.0])) % 1.0])
        numbers += [atomic_numbers[symbol]] * len(image)
        positions.extend(image)
        shares += [float(share)] * len(image)
        orbits.append(len(image))
    rotations = np.array([rotation for rotation, _ in group.get_symop()], float)
    return Crystal(
        lattice, np.array(numbers), np.array(positions), np.array(shares), rotations,
        tuple(sorted(orbits)), int(record["sg"]), str(record["id"]), str(record["name"]),
    )  # fmt: skip


def entry_of(crystal: Crystal, cell: Sequence[float] | None = None, formula: str = "") -> _Entry:
    """Lines, cell and strength of a structure.

    Parameters
    ----------
    crystal : Crystal
    cell : sequence of 6 float, optional
        Conventional cell where the source gives it; by default spglib finds it.
    formula : str
        As the source writes it; by default the elements and their amounts.

    Raises
    ------
    InputError
        It is too large, or has no line between 5 and 90 degrees.
    """
    from ase.data import atomic_masses
    from ase.geometry import cell_to_cellpar

    volume = abs(float(np.linalg.det(crystal.lattice)))
    if volume > LARGEST_VOLUME or len(crystal.numbers) > MOST_ATOMS:
        raise InputError(f"cell above {LARGEST_VOLUME:g} Angstrom^3 or {MOST_ATOMS} atoms")
    found = reflections(crystal.lattice, crystal.numbers, crystal.fractional, crystal.occupancies)
    angle, intensity = peaks(found, tolerance=TOGETHER)
    if not len(angle):
        raise InputError("no line between 5 and 90 degrees")
    strong = np.argsort(-intensity, kind="stable")[:MOST_LINES]
    strong = np.sort(strong[intensity[strong] >= 100 * WEAKEST])
    mass = float((atomic_masses[crystal.numbers] * crystal.occupancies).sum())
    largest = _strongest(found.lengths, found.strengths.astype(np.float64), angle, intensity)
    known = _conventional(crystal) if cell is None else np.asarray(cell, np.float64)
    if known is None:
        known = np.asarray(cell_to_cellpar(crystal.lattice), np.float64)
    return _Entry(
        np.round(angle[strong] * 100).astype(np.uint16),
        np.maximum(np.round(255 * np.sqrt(intensity[strong] / 100)), 1).astype(np.uint8),
        crystal.space_group,
        known,
        # Intensity of a weight: per cell over volume squared and density.
        largest / (volume * mass),
        crystal.identifier,
        "" if crystal.mineral in _UNNAMED else crystal.mineral,
        formula or _formula(crystal),
    )


def _strongest(
    lengths: NDArray[np.float64],
    strengths: NDArray[np.float64],
    angle: NDArray[np.float64],
    intensity: NDArray[np.float64],
) -> float:
    """Of the strongest line: |F|^2 times multiplicity times Lorentz-polarization factor."""
    from ase_crystalnet.xrd.pattern import WAVELENGTH

    top = np.radians(angle[int(np.argmax(intensity))] / 2)
    two_theta = 2 * np.degrees(np.arcsin(np.minimum(lengths * WAVELENGTH / 2, 1.0)))
    near = np.abs(two_theta - 2 * np.degrees(top)) < 2 * TOGETHER
    factor = (1 + np.cos(2 * top) ** 2) / (np.sin(top) ** 2 * np.cos(top))
    return float(2 * strengths[near].sum() * factor)  # one of each Friedel pair is listed


def _conventional(crystal: Crystal) -> NDArray[np.float64] | None:
    """Conventional cell by spglib; None where atoms share sites, or where it finds none."""
    import spglib
    from ase.geometry import cell_to_cellpar

    whole = np.round(crystal.fractional % 1.0, 4) % 1.0
    if len(np.unique(whole, axis=0)) != len(whole):
        return None
    cell = (crystal.lattice.tolist(), crystal.fractional.tolist(), crystal.numbers.tolist())
    found = answer_of(spglib.get_symmetry_dataset, cell, symprec=SYMPREC)
    return None if found is None else np.asarray(cell_to_cellpar(found.std_lattice))


def _formula(crystal: Crystal) -> str:
    from ase.data import chemical_symbols

    kinds = np.unique(crystal.numbers)
    amounts = np.array([crystal.occupancies[crystal.numbers == z].sum() for z in kinds])
    whole = np.allclose(amounts, np.round(amounts), atol=1e-3)
    divisor = np.gcd.reduce(np.round(amounts).astype(int)) if whole else amounts.min()
    # The electropositive first, as formulas are written.
    order = np.argsort([_electronegativity(int(z)) for z in kinds], kind="stable")
    words = []
    for i in order:
        number = f"{amounts[i] / max(divisor, 1e-9):.3g}"
        words.append(chemical_symbols[kinds[i]] + ("" if number == "1" else number))
    return "".join(words)


@cache
def _electronegativity(number: int) -> float:
    from ase.data import chemical_symbols
    from pymatgen.core.periodic_table import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # noble gases have none
        value = float(Element(chemical_symbols[number]).X)
    return value if np.isfinite(value) else 2.0


def _crystal(path: Path, row: str, settings: Path) -> tuple[Crystal, Sequence[float] | None, str]:
    """Structure, cell and formula of a row of a list, or of a CIF file."""
    if path.suffix == ".cif":
        return from_atoms(read_cif(path), path.stem), None, ""
    record = record_of(row)
    if not record:
        raise InputError("a line that is no record")
    if "sites" in record and "setting" in record:
        return everyday_crystal(record), record["cell"], str(record["formula"])
    if "amcsd_id" in record:
        formula = " ".join(str(record.get("formula", "")).split())
        return from_amcsd(record, settings), record["cell"], formula
    return from_arrays(record), None, ""


def _work(job: tuple[Path, list[str], Path]) -> tuple[list[_Entry], dict[str, int]]:
    path, rows, settings = job
    found: list[_Entry] = []
    refused: dict[str, int] = {}
    for row in rows:
        try:
            try:
                found.append(entry_of(*_crystal(path, row, settings)))
            except ODDITIES as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(f"a damaged record ({type(error).__name__})") from None
        except InputError as error:
            reason = str(error)
            refused[reason] = refused.get(reason, 0) + 1
    return found, refused


def _jobs(sources: Sequence[Path]) -> Iterator[tuple[Path, list[str]]]:
    for source in sources:
        if source.is_dir():
            inside = sorted(source.glob("*.jsonl.gz"))
            cifs = sorted(source.rglob("*.cif"))
            if not inside and not cifs:
                raise InputError(f"{source} holds no structures: expected .jsonl.gz lists or CIFs")
            yield from _jobs(inside)
            yield from ((path, [""]) for path in cifs)
        elif source.name.endswith(".jsonl.gz") and source.is_file():
            rows = list(read_lines(source))
            yield from ((source, rows[i : i + _JOB]) for i in range(0, len(rows), _JOB))
        elif source.name.endswith(".jsonl") and source.is_file():
            yield source, source.read_text().splitlines()
        elif source.suffix == ".cif" and source.is_file():
            yield source, [""]
        else:
            raise InputError(f"{source}: expected a folder of CIF files, or a .jsonl.gz list")


def shipped_sources() -> list[Path]:
    """Lists of structures that come with the package."""
    folder = Path(str(files("ase_crystalnet.xrd").joinpath("data")))
    return [folder / "everyday.jsonl", folder / "amcsd_rock_forming.jsonl.gz"]


def build_phases(
    sources: Sequence[Path], *, processes: int = 1, log: Callable[[str], None] = lambda text: None
) -> PhaseLibrary:
    """Library of lists of structures and folders of CIF files, without duplicates.

    Parameters
    ----------
    sources : sequence of Path
        Earlier ones are preferred where two entries are one.
    processes : int
        Worker processes.
    log : callable
        Takes one line of progress.

    Raises
    ------
    InputError
        A source is none, or there is no usable structure.
    """
    # The table of settings lies beside one of the lists of asymmetric units, and serves them all.
    beside = [path.parent if path.is_file() else path for path in sources]
    settings = next((folder for folder in beside if (folder / SETTINGS).is_file()), Path())
    jobs = [(path, rows, settings) for path, rows in _jobs(sources)]
    if processes > 1:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            done = list(_reported(pool.map(_work, jobs), len(jobs), log))
    else:
        done = list(_reported(map(_work, jobs), len(jobs), log))
    entries = [entry for part, _ in done for entry in part]
    refused: dict[str, int] = {}
    for _, reasons in done:
        for reason, number in reasons.items():
            refused[reason] = refused.get(reason, 0) + number
    for reason, number in sorted(refused.items(), key=lambda item: -item[1])[:20]:
        log(f"left out {number}: {reason}")
    if not entries:
        raise InputError(f"no usable structure in {', '.join(map(str, sources))}")
    whole = _library(entries)
    unique = whole.subset(_distinct(whole))
    log(f"{len(whole)} structures, {len(unique)} without duplicates")
    return unique


def _library(entries: Sequence[_Entry]) -> PhaseLibrary:
    corundum = _corundum()
    return PhaseLibrary(
        np.concatenate([entry.angle for entry in entries]),
        np.concatenate([entry.height for entry in entries]),
        np.concatenate([[0], np.cumsum([len(e.angle) for e in entries])]).astype(np.int32),
        np.array([entry.space_group for entry in entries], np.uint8),
        np.array([entry.cell for entry in entries], np.float32),
        np.array([entry.strength / corundum for entry in entries], np.float32),
        np.array([entry.identifier for entry in entries]),
        np.array([entry.name for entry in entries]),
        np.array([entry.formula for entry in entries]),
    )


@cache
def _corundum() -> float:
    record = next(r for r in everyday_records() if r["name"] == "corundum")
    return float(entry_of(everyday_crystal(record), record["cell"]).strength)


def _distinct(library: PhaseLibrary) -> NDArray[np.int64]:
    """One entry of each kind: of like cells and like strongest lines, the first."""
    volume = np.prod(library.cell[:, :3].astype(np.float64), axis=1)
    lines = [_signature(library, i) for i in range(len(library))]
    keep: list[int] = []
    for group in np.unique(library.space_group):
        mine = np.flatnonzero(library.space_group == group)
        order = np.argsort(volume[mine], kind="stable")
        near: list[int] = []  # kept ones of this group by volume, the latest last
        taken: dict[int, bool] = {}
        for i in mine[order]:
            twin = None
            for j in reversed(near):
                if volume[i] > volume[j] * (1 + SAME_CELL) ** 3:
                    break
                like = np.abs(library.cell[i] / library.cell[j] - 1).max() < SAME_CELL
                if like and _alike(lines[i], lines[j]):
                    twin = j
                    break
            if twin is None:
                near.append(int(i))
                taken[int(i)] = True
            elif i < twin:  # the earlier source is the better one
                near[near.index(twin)] = int(i)
                taken.pop(twin)
                taken[int(i)] = True
        keep += list(taken)
    return np.sort(np.array(keep, np.int64))


def _signature(library: PhaseLibrary, i: int) -> NDArray[np.float64]:
    """Square roots of intensities in 40 pieces of the range."""
    angle, intensity = library.lines(i)
    place = np.minimum(((angle - 5) / 85 * 40).astype(int), 39)
    return np.asarray(np.sqrt(np.bincount(place, intensity, minlength=40)))


def _alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return float(np.abs(a - b).max()) < SAME_HEIGHT * 2 and float(
        np.linalg.norm(a - b)
    ) < SAME_HEIGHT * float(np.linalg.norm(a))


def _reported(results: Iterator[Any], total: int, log: Callable[[str], None]) -> Iterator[Any]:
    for done, result in enumerate(results, start=1):
        if done % 20 == 0 or done == total:
            log(f"structures: {done} of {total} parts")
        yield result
