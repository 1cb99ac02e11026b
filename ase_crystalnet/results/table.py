"""Quantities of the windows of a frame: one typed table, declared once.

A new quantity of windows is one field of `WindowTable`. The methods fill it from the stage that
computes it, `FrameAnalysis` hands it out, and result files store it, all by this declaration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Quantity", "WindowTable", "quantities_of", "quantity"]


@dataclass(frozen=True)
class Quantity:
    """What an array of a result is.

    Attributes
    ----------
    dtype : numpy scalar type
        In memory.
    shape : tuple
        Sizes: "W" windows, "N" atoms, "F" faults, "C" classes, integers as they are.
    stored : str or None
        NumPy type in files; None as in memory.
    missing : float, int or bool
        Value of an unknown row.
    required : bool
        False: a result may be made without it, and then holds `missing` in every row.
    optional : bool
        False; True: without it the result holds None.
    """

    dtype: Any
    shape: tuple[str | int, ...]
    stored: str | None = None
    missing: float = np.nan
    required: bool = True
    optional: bool = False

    @property
    def rows(self) -> str:
        """What it has one row of each of: 'windows', 'atoms' or 'faults'."""
        return {"W": "windows", "N": "atoms", "F": "faults"}[str(self.shape[0])]

    def empty(self, sizes: Mapping[str, int]) -> NDArray[Any]:
        """An array of these sizes in which nothing is known."""
        shape = tuple(s if isinstance(s, int) else sizes[s] for s in self.shape)
        return np.full(shape, self.missing, self.dtype)


def quantity(
    dtype: Any,
    *shape: str | int,
    stored: str | None = None,
    missing: float = np.nan,
    required: bool = True,
    optional: bool = False,
) -> Any:
    """A dataclass field that is an array; see `Quantity` for the arguments."""
    meaning = Quantity(dtype, shape, stored, missing, required, optional)
    if required and not optional:
        return field(metadata={"quantity": meaning})
    return field(default=None, metadata={"quantity": meaning})


def quantities_of(owner: Any) -> dict[str, Quantity]:
    """Name and meaning of every array field of a dataclass, in their order."""
    found = ((f.name, f.metadata.get("quantity")) for f in fields(owner))
    return {name: meaning for name, meaning in found if meaning is not None}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class WindowTable:
    """W windows, one row each. What each quantity means: see docs/glossary.md.

    Attributes
    ----------
    probabilities : (W, C) float32 array
        Class probabilities; nan where sparse.
    order : (W,) float32 array
        Bragg order.
    lattice : (W, 3, 3) float64 array
        Reduced average lattices, vectors as rows, Angstrom; nan if unknown.
    rank : (W,) int8 array
        0 nothing, 1 planes, 2 rods, 3 lattice.
    mean_square_displacement : (W,) float32 array
        Per Cartesian component, Angstrom^2; nan if unknown.
    nearest_neighbor_distance : (W,) float32 array
        Angstrom.
    coherence : (W,) float64 array
        Whether the centres belong to the crystal that the windows show; nan if unknown.
    strain : (W, 3, 3) float32 array
        Stretch minus 1 of the lattice against its undistorted parent of the same volume, in the
        axes of the parent's conventional cell; nan where no parent is near enough, or none was
        looked for.
    superlattice : (W,) int8 array
        Volume of the lattice's cell in that of the parent that gives the name: 1 where they are
        one, 2 and more where weak superlattice peaks or thickness fringes were set aside, 0 without
        a lattice.
    superlattice_strength : (W,) float32 array
        Mean intensity of the peaks set aside over that of the others; nan where there are none.
    superlattice_significance : (W,) float32 array
        How far these peaks exceed what the window's shape, vacancies and displacements make, in
        standard deviations; nan where there are none.
    sparse : (W,) bool array
        True where a window holds too few atoms.
    radius : (W,) float64 array
        Angstrom.
    """

    probabilities: NDArray[np.float32] = quantity(np.float32, "W", "C", stored="f2")
    order: NDArray[np.float32] = quantity(np.float32, "W", stored="f2")
    lattice: NDArray[np.float64] = quantity(np.float64, "W", 3, 3, stored="f4")
    rank: NDArray[np.int8] = quantity(np.int8, "W", missing=0)
    mean_square_displacement: NDArray[np.float32] = quantity(np.float32, "W")
    nearest_neighbor_distance: NDArray[np.float32] = quantity(np.float32, "W")
    coherence: NDArray[np.float64] = quantity(np.float64, "W", stored="f2", required=False)
    strain: NDArray[np.float32] = quantity(np.float32, "W", 3, 3, required=False)
    superlattice: NDArray[np.int8] = quantity(np.int8, "W", missing=0, required=False)
    superlattice_strength: NDArray[np.float32] = quantity(
        np.float32, "W", stored="f2", required=False
    )
    superlattice_significance: NDArray[np.float32] = quantity(
        np.float32, "W", stored="f2", required=False
    )
    sparse: NDArray[np.bool_] = quantity(np.bool_, "W", stored="u1", missing=False)
    radius: NDArray[np.float64] = quantity(np.float64, "W", stored="f4", missing=0.0)

    @classmethod
    def empty(cls, windows: int, classes: int) -> Self:
        """A table of a number of windows in which nothing is known yet."""
        sizes = {"W": windows, "C": classes}
        return cls(**{name: q.empty(sizes) for name, q in quantities_of(cls).items()})

    def columns(self) -> dict[str, Any]:
        """The arrays of the table by name; of a subclass too only those of the table."""
        return {name: getattr(self, name) for name in quantities_of(WindowTable)}

    def set_rows(self, rows: Any, *sources: Any, **values: NDArray[Any]) -> None:
        """Write rows in place: attributes of `sources` with a column's name, and `values`.

        Values written later win; columns that are not named stay as they are.
        """
        for name, column in self.columns().items():
            for source in sources:
                if hasattr(source, name):
                    column[rows] = getattr(source, name)
            if name in values:
                column[rows] = values[name]

    def rows(self, chosen: Any) -> WindowTable:
        """Some of the windows, copied."""
        return WindowTable(**{name: column[chosen] for name, column in self.columns().items()})

    def copy(self) -> WindowTable:
        """The same windows in arrays of their own."""
        return WindowTable(**{name: column.copy() for name, column in self.columns().items()})

    @staticmethod
    def joined(tables: Sequence[WindowTable]) -> WindowTable:
        """The windows of several tables one after the other."""
        parts = [table.columns() for table in tables]
        return WindowTable(**{n: np.concatenate([part[n] for part in parts]) for n in parts[0]})
