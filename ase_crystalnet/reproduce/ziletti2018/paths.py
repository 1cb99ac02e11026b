"""Paths between structures in Ziletti et al. (2018): Fig. 4b and Fig. 4d."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.reproduce import figures
from ase_crystalnet.reproduce.report import (
    Cell,
    Check,
    Picture,
    Report,
    Table,
)
from ase_crystalnet.reproduce.store import Memo
from ase_crystalnet.reproduce.ziletti2018.bench import Bench

__all__ = ["body_centers", "crossing", "rhombohedral", "rhombohedral_cell", "turned"]

#: c/a of the rhombohedral lattice (hexagonal axes) in units of this: 1 bcc, 2 sc, 4 fcc.
MU = float(np.sqrt(3 / 8))
_CUBIC = {1.0: "bcc", 2.0: "sc", 4.0: "fcc"}
_CHUNK = 5  # points of a path that are kept at a time


def crossing(x: NDArray[np.float64], y: NDArray[np.float64], level: float = 0.5) -> float | None:
    """The first x at which y, beginning above, falls below the level (linear between points)."""
    below = np.flatnonzero(y < level)
    if len(below) == 0 or below[0] == 0:
        return None
    i = int(below[0])
    return float(x[i - 1] + (x[i] - x[i - 1]) * (y[i - 1] - level) / (y[i - 1] - y[i]))


def _along(
    memo: Memo,
    name: str,
    points: NDArray[np.float64],
    make: Callable[[float], Sequence[Atoms]],
    bench: Bench,
) -> NDArray[np.float64]:
    """Mean probabilities (X, C) of the structures that `make` gives at each point of a path."""

    def at(chosen: NDArray[np.float64]) -> list[list[float]]:
        made = [make(float(x)) for x in chosen]
        # A structure without a lattice has no class: it counts as no probability for any.
        p = np.nan_to_num(bench.probabilities([atoms for some in made for atoms in some]))
        ends = np.cumsum([len(some) for some in made])[:-1]
        return [[float(v) for v in part.mean(axis=0)] for part in np.split(p, ends)]

    parts = np.array_split(points, max(1, len(points) // _CHUNK))
    return np.concatenate(
        [memo(f"{name} {x[0]:.3g} to {x[-1]:.3g}", partial(at, x)) for x in parts]
    )


def turned(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The structure in random orientation."""
    from ase_crystalnet.crystals.structures import rotated

    return rotated(atoms, rng)[0]


# ------------------------------------------------------------------ Fig. 4b
def body_centers(memo: Memo, bench: Bench) -> Report:
    """Fig. 4b: bcc becomes simple cubic as its body centres are taken away."""
    from ase.build import bulk

    from ase_crystalnet.crystals.defects import without_body_centers

    supercell = bulk("Fe", "bcc", a=2.866, cubic=True).repeat(5)

    def at(percent: float) -> list[Atoms]:
        rng = bench.rng("body centers", f"{percent:.3f}")
        repeats = range(bench.sizes.repeats)
        return [turned(without_body_centers(supercell, percent / 100, rng), rng) for _ in repeats]

    percents = np.linspace(0, 100, bench.sizes.removals)
    p = _along(memo, "percent removed", percents, at, bench)
    bcc, sc = bench.classes.index("bcc"), bench.classes.index("sc")
    turn = crossing(percents, p[:, bcc] - p[:, sc], 0.0)
    others = 1 - p[:, bcc] - p[:, sc]
    checks = (
        Check(
            "bcc to sc turns over",
            "between 60 and 90 % of the centres removed",
            "never" if turn is None else f"at {turn:.1f} %",
            turn is not None and 60 <= turn <= 90,
        ),
        Check(
            "probability at both ends",
            "1",
            f"bcc {p[0, bcc]:.4f}, sc {p[-1, sc]:.4f}",
            bool(min(p[0, bcc], p[-1, sc]) > 0.995),
        ),
    )
    table = Table(
        "Probabilities while body centres are removed",
        ("removed (%)", "bcc", "sc", "other classes"),
        [
            [f"{x:.0f}", float(row[bcc]), float(row[sc]), float(rest)]
            for x, row, rest in zip(percents, p, others, strict=True)
        ],
        f"Mean over {bench.sizes.repeats} random removals from 250 sites, in random orientation.",
        decimals=3,
    )
    figure = figures.probability_lines(
        percents, p, bench.classes, "body centres removed (%)", band=(60, 90)
    )
    picture = Picture("bcc-sc", "From bcc to simple cubic (the paper's Fig. 4b).", figure)
    data = {
        "percent removed": percents.tolist(),
        "classes": bench.classes,
        "probabilities": p.tolist(),
    }
    return Report((table,), checks, (picture,), {**data, "turns over at percent": turn})


# ------------------------------------------------------------------ Fig. 4d
def rhombohedral_cell(mu: float) -> Atoms:
    """Rhombohedral crystal of one atom a lattice point, c/a = mu in hexagonal axes (3 atoms)."""
    from ase_crystalnet.crystals.sampling import prototype

    cell, sites = prototype("rh", mu)
    return Atoms("Po3", cell=3.0 * cell, scaled_positions=sites, pbc=True)


def rhombohedral(memo: Memo, bench: Bench) -> Report:
    """Fig. 4d: c/a takes one rhombohedral crystal through bcc, simple cubic and fcc."""
    from ase_crystalnet.whole.cluster import perfect_supercell

    def at(x: float) -> list[Atoms]:
        rng = bench.rng("rhombohedral", f"{x:.4f}")
        supercell = perfect_supercell(rhombohedral_cell(MU * x))
        return [turned(supercell, rng) for _ in range(_ORIENTATIONS)]

    ratios = np.linspace(1, 5, bench.sizes.ratios)
    p = _along(memo, "c/a", ratios, at, bench)
    labels = np.array(bench.classes)[p.argmax(axis=1)]
    rows: list[list[Cell]] = []
    for x, name in _CUBIC.items():
        here = int(np.abs(ratios - x).argmin())
        low, high = _extent(labels == name, here, ratios)
        own = float(p[here, bench.classes.index(name)])
        rows.append([f"{x:g}", name, str(labels[here]), own, low, high])
    found = all(row[1] == row[2] for row in rows)
    between = {
        f"{a:g} to {b:g}": _share(labels, (ratios > a + _EDGE) & (ratios < b - _EDGE))
        for a, b in ((1, 2), (2, 4), (4, 5))
    }
    checks = (
        Check(
            "bcc, sc and fcc on the path",
            "found at c/a = 1, 2 and 4 times sqrt(3/8)",
            ", ".join(f"{row[0]}: {row[2]} ({row[3]:.3f})" for row in rows),
            found,
        ),
        Check(
            "between them",
            f"hex/rh (further than {_EDGE:g} sqrt(3/8) from each)",
            ", ".join(f"{100 * share:.0f} % of {place}" for place, share in between.items()),
            all(share == 1 for share in between.values()),
        ),
    )
    table = Table(
        "The cubic lattices on the rhombohedral path",
        ("c/a over sqrt(3/8)", "lattice", "found", "its probability", "label from", "label to"),
        rows,
        f"Label from, to: ends of the stretch, in steps of {ratios[1] - ratios[0]:.3f}, over which "
        f"the label holds. Mean over {_ORIENTATIONS} random orientations.",
        decimals=3,
    )
    figure = figures.probability_lines(
        ratios, p, bench.classes, r"$c/a$ over $\sqrt{3/8}$", marks=_CUBIC
    )
    picture = Picture("path", "Along the rhombohedral path (the paper's Fig. 4d).", figure)
    data = {"ratios": ratios.tolist(), "classes": bench.classes, "probabilities": p.tolist()}
    return Report((table,), checks, (picture,), {**data, "hex/rh between": between})


_ORIENTATIONS = 3
_EDGE = 0.25  # distance from a cubic lattice, in sqrt(3/8), beyond which a crystal is not cubic


def _extent(
    same: NDArray[np.bool_], here: int, x: NDArray[np.float64]
) -> tuple[float | None, float | None]:
    """Ends of the stretch around `here` over which the label holds."""
    if not same[here]:
        return None, None
    low = high = here
    while low > 0 and same[low - 1]:
        low -= 1
    while high < len(same) - 1 and same[high + 1]:
        high += 1
    return float(x[low]), float(x[high])


def _share(labels: NDArray[np.str_], where: NDArray[np.bool_]) -> float:
    return float((labels[where] == "hex/rh").mean()) if where.any() else 1.0
