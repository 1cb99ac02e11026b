"""Strain of the crystals of a frame as a field: a tensor at each point of a grid.

A cell, that of a reference or the mean one of a grain, is laid into each of the windows of 150
atoms that cover the frame and fitted anew: the deformation gradient from that cell to a window's.
Its stretch does not depend on the way in which a symmetric cell is laid in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.periodic import PeriodicSpace, validated_positions
from ase_crystalnet.grains.laying import laid_in, lattices_of, prepare
from ase_crystalnet.grains.references import Reference, load_references
from ase_crystalnet.grains.results import Crystals
from ase_crystalnet.grains.segmentation import Windows

__all__ = ["StrainField", "strain_field"]

#: Least certainty of windows that are asked.
CERTAIN = 0.5
#: Windows to a point of the grid, on average, by default.
WINDOWS = 8
#: Windows overlap: so many of them are as good as one that is independent.
OVERLAP = 150 / 16
#: Fewest atoms of grains that have a field.
LEAST_ATOMS = 2000


@dataclass(frozen=True, eq=False)
class StrainField:
    """Strain at P points.

    Attributes
    ----------
    points : (P, 3) float64 array
        Middle of the windows of each cube of the grid, Angstrom.
    strain : (P, 3, 3) float64 array
        Biot strain, in the axes of the sample.
    error : (P,) float64 array
        Standard error of a component, from how far the windows of a cube differ; nan of one window.
    grain : (P,) int32 array
        Number of the grain; 0 with references and no crystals.
    windows : (P,) integer array
        Windows of each cube.
    spacing : float
        Edge of the cubes, Angstrom.
    against : str
        What the strain is against: the name of a reference, or "mean of the grain".
    """

    points: Array
    strain: Array
    error: Array
    grain: NDArray[np.int32]
    windows: NDArray[np.int64]
    spacing: float
    against: str

    def __len__(self) -> int:
        return len(self.points)

    def rows(self) -> list[dict[str, object]]:
        """One row a point, as for a table."""
        names = ("xx", "yy", "zz", "yz", "xz", "xy")
        values = self.strain[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        return [
            {
                "grain": int(self.grain[p]),
                **dict(zip("xyz", map(float, self.points[p]), strict=True)),
                **{f"strain_{n}": float(v) for n, v in zip(names, values[p], strict=True)},
                "error": float(self.error[p]),
                "windows": int(self.windows[p]),
                "against": self.against,
            }
            for p in range(len(self))
        ]


def strain_field(
    atoms: Atoms,
    crystals: Crystals | None = None,
    *,
    reference: Atoms | str | Path | Reference | None = None,
    spacing: float | None = None,
    least_atoms: int = LEAST_ATOMS,
    threads: int | None = None,
) -> StrainField:
    """Strain of a frame's crystals on a grid.

    Parameters
    ----------
    atoms : ase.Atoms
        Any mix of periodic directions.
    crystals : Crystals, optional
        Grains of this frame: points are of one grain each. Needed without a reference.
    reference : ase.Atoms, str, Path or Reference, optional
        Cell that the strain is against; by default the mean cell of each grain.
    spacing : float, optional
        Of the grid, Angstrom; by default such that a cube has eight windows (128 atoms).
    least_atoms : int
        Grains of fewer atoms have no field.
    threads : int, optional
        Default: all cores.

    Raises
    ------
    InputError
        Neither crystals nor a reference are given, they are of another frame, or the structure or
        the spacing cannot be used.
    """
    if crystals is None and reference is None:
        raise InputError("strain_field: expected crystals, a reference, or both")
    if crystals is not None and len(crystals.grains) != len(atoms):
        raise InputError(
            f"strain_field: the crystals are of {len(crystals.grains)} atoms, given {len(atoms)}; "
            "pass the frame that was analysed"
        )
    if spacing is not None and not spacing > 0:
        raise InputError(f"spacing is {spacing}; expected a length in Angstrom")
    positions = validated_positions(atoms)
    space = PeriodicSpace.of(atoms)
    positions = space.wrap(positions)
    frame = Windows.of(space, positions, threads)
    against = "mean of the grain"
    cells: list[tuple[Reference, int]] = []
    if reference is not None:
        (known,) = load_references([reference])
        against = known.name
        cells = [(known, 0)]
    elif crystals is not None:
        cells = [
            (_mean_cell(crystals, row), one.number)
            for row, one in enumerate(crystals)
            if len(one.atoms) >= least_atoms
        ]
    if frame is None or not cells:
        none = np.zeros((0, 3))
        return StrainField(
            none, np.zeros((0, 3, 3)), np.zeros(0), np.zeros(0, np.int32), np.zeros(0, np.int64),
            float(spacing or 0), against,
        )  # fmt: skip
    edge = spacing if spacing is not None else _edge(frame)
    grains = np.zeros(len(atoms), np.int32) if crystals is None else crystals.grains
    owner = grains[frame.center]
    sizes = np.bincount(grains, minlength=1)
    numbers = np.asarray(atoms.numbers, np.int64)
    bases, has = lattices_of(frame, threads)
    parts = []
    for cell, number in cells:
        prepared = prepare(cell)
        laid = laid_in(frame, numbers, prepared, bases, has, threads)
        good = laid.certainty >= CERTAIN
        if number:
            good &= owner == number
        elif crystals is not None:
            good &= (owner > 0) & (sizes[owner] >= least_atoms)
        rows = np.flatnonzero(good)
        strain = _stretches(laid.lattices[rows], prepared.lattice)
        parts.append(_gridded(positions[frame.center[rows]], strain, owner[rows], edge))
    points, tensors, error, grain, count = (
        np.concatenate(each) for each in zip(*parts, strict=True)
    )
    return StrainField(points, tensors, error, grain, count, float(edge), against)


def _mean_cell(crystals: Crystals, row: int) -> Reference:
    """The average cell of a grain as it is, strain and all."""
    average = crystals[row].average
    return Reference(
        f"grain {crystals[row].number}", average.lattice, average.sites % 1.0, average.numbers
    )


def _edge(frame: Windows) -> float:
    """Edge of cubes of `WINDOWS` windows."""
    ball = float(np.median(np.linalg.norm(frame.relative[:, -1], axis=1)))
    atom = 4 / 3 * np.pi * ball**3 / frame.relative.shape[1]
    return float((WINDOWS * 16 * atom) ** (1 / 3))


def _stretches(lattices: Array, cell: Array) -> Array:
    """Biot strains (M, 3, 3) of lattices against a cell, in the axes of the sample."""
    # Rows of the cell are mapped by the gradient to those of a lattice.
    gradient = np.linalg.inv(cell) @ lattices
    value, vector = np.linalg.eigh(gradient.transpose(0, 2, 1) @ gradient)
    root = np.sqrt(np.maximum(value, 0.0)) - 1
    return np.asarray((vector * root[:, None, :]) @ vector.transpose(0, 2, 1))


def _gridded(
    places: Array, strain: Array, owner: NDArray[np.int32], edge: float
) -> Sequence[NDArray[np.generic]]:
    """Means over cubes: points, strain, its error, grain, windows."""
    cube = np.floor(places / edge).astype(np.int64)
    key = np.column_stack([owner.astype(np.int64), cube])
    _, part, count = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    part = part.reshape(-1)
    total = len(count)

    def mean(values: Array) -> Array:
        result = np.zeros((total, *values.shape[1:]))
        np.add.at(result, part, values)
        return np.asarray(result / count.reshape(-1, *[1] * (values.ndim - 1)))

    average = mean(strain)
    rest = ((strain - average[part]) ** 2).mean(axis=(1, 2))
    number = count.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = mean(rest) * number / (number - 1)
        # Neighbouring windows share most of their atoms.
        error = np.sqrt(variance / np.maximum(number / OVERLAP, 1.0))
    grain = np.zeros(total, np.int32)
    grain[part] = owner
    return mean(places), average, np.where(count > 1, error, np.nan), grain, count
