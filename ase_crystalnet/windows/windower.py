"""Choose centres and cut spherical windows out of a structure, periodic or finite.

A window's radius follows the local density of the *material*, not the number of atoms that happen
to be near: at a surface the window is cut, not stretched. See :class:`Windower`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from ase_crystalnet._compute.threads import thread_number
from ase_crystalnet.errors import InputError, SparseWindowError
from ase_crystalnet.geometry.neighbors import CellList
from ase_crystalnet.geometry.periodic import PeriodicSpace, validated_positions
from ase_crystalnet.geometry.remarks import remark_molecules
from ase_crystalnet.geometry.spacing import check_pairs, typical_spacing
from ase_crystalnet.windows.centers import CENTERS_EXPECTED, candidates, chosen_centers
from ase_crystalnet.windows.radius import estimate_radii, uniform_radius

__all__ = ["PreparedSystem", "SparseWindowWarning", "WindowBatch", "Windower"]

#: Range of `window_atoms` for which the shipped models were trained and tested.
WINDOW_ATOMS_RANGE = (64, 512)
#: A window with a smaller share of `window_atoms` is sparse. An edge of a cube (a quarter of
#: space) still passes, a corner (an eighth) does not.
SPARSE_SHARE = 0.25
#: Default spacing of grid centres in cube roots of the volume per atom (docs/glossary.md). The
#: volume serves where the nearest neighbour is no measure of the density (vacancies, atom probe,
#: molecules, heat).
GRID_SPACING = 2.75
#: Grid centres farther than this share of the window radius from every atom are dropped. It is
#: 1.2 nearest-neighbour distances in a close-packed metal, and grows with vacancies.
GRID_REACH = 0.35
#: Most atoms of a window, in units of `window_atoms`; the nearest are kept.
CAP = 2


class SparseWindowWarning(UserWarning):
    """Some windows hold too few atoms and were refused."""


@dataclass(frozen=True)
class WindowBatch:
    """Windows padded to one length.

    Attributes
    ----------
    centers : (B, 3) float64 array
        Angstrom.
    positions : (B, N, 3) float32 array
        Relative to the centre, Angstrom, in no order; zeros after the last atom.
    mask : (B, N) bool array
        True for atoms, which come first in each row.
    indices : (B, N) int64 array
        Index of the atom in the structure, -1 for padding. A periodic image has the index of its
        atom, so an index can repeat in a small cell.
    radius : (B,) float64 array
        Angstrom.
    sparse : (B,) bool array
        True where a window holds too few atoms (docs/glossary.md).
    """

    centers: NDArray[np.float64]
    positions: NDArray[np.float32]
    mask: NDArray[np.bool_]
    indices: NDArray[np.int64]
    radius: NDArray[np.float64]
    sparse: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.centers)


@dataclass(frozen=True)
class Windower:
    """Parameters of window cutting.

    Parameters
    ----------
    window_atoms : int
        Atoms in a window inside the material, 64 to 512. It sets the radius through the local
        density: R^3 = 3 window_atoms / (4 pi density).
    min_atoms : int
        A window with fewer atoms than this, or with fewer than a quarter of `window_atoms`, is
        sparse.
    on_sparse : {'refuse', 'warn', 'raise'}
        What to do with sparse windows besides marking them: nothing, one warning, or an error.
    workers : int
        Threads of the neighbour search; -1 uses all cores.
    radius : float, optional
        Angstrom. One radius for all windows instead of the density's; `window_atoms`, then of any
        size, is about the number that one holds (at most twice as many).

    Raises
    ------
    InputError
        If a parameter is out of range.
    """

    window_atoms: int = 250
    min_atoms: int = 32
    on_sparse: str = "refuse"
    workers: int = -1
    radius: float | None = None

    def __post_init__(self) -> None:
        low, high = WINDOW_ATOMS_RANGE
        whole = isinstance(self.window_atoms, (int, np.integer))
        if self.radius is not None:
            if not 0.0 < self.radius < np.inf:
                raise InputError(f"radius={self.radius!r} is not a positive length in Angstrom")
            low, high = 1, 2**20
        if not whole or isinstance(self.window_atoms, bool) or not low <= self.window_atoms <= high:
            raise InputError(
                f"window_atoms={self.window_atoms!r} is not a whole number from {low} to {high}"
            )
        if not 1 <= self.min_atoms <= self.window_atoms:
            raise InputError(
                f"min_atoms={self.min_atoms!r} is not between 1 and window_atoms="
                f"{self.window_atoms}"
            )
        if self.on_sparse not in ("refuse", "warn", "raise"):
            raise InputError(
                f"on_sparse={self.on_sparse!r} is unknown; expected 'refuse', 'warn' or 'raise'"
            )

    @property
    def sparse_below(self) -> int:
        """Fewest atoms of a window that is not sparse."""
        return max(self.min_atoms, int(np.ceil(SPARSE_SHARE * self.window_atoms)))

    def prepare(self, atoms: Atoms) -> PreparedSystem:
        """Check a structure and make it ready for cutting.

        Parameters
        ----------
        atoms : ase.Atoms
            Any mix of periodic directions, any cell; atoms may lie outside it.

        Raises
        ------
        InputError
            If the structure is empty, has NaN or infinite positions, is periodic without a
            proper cell, holds its atoms twice, or is not in Angstrom.

        Warns
        -----
        StructureWarning
            If a few atoms are there twice, lengths may be in nanometres, or atoms are bonded in
            molecules.
        """
        given = validated_positions(atoms)
        space = PeriodicSpace.of(atoms)
        wrapped = space.wrap(given)
        spacing = typical_spacing(space, wrapped, self.workers)
        if self.radius is None:
            # Ions of an atom probe, whose windows have a given radius, may well coincide.
            check_pairs(space, wrapped, spacing, self.workers)
            remark_molecules(space, wrapped, spacing, atoms)
            radii = estimate_radii(space, wrapped, self.window_atoms, workers=self.workers)
        else:
            radii = uniform_radius(space, wrapped, float(self.radius), workers=self.workers)
        positions, source = space.with_ghosts(wrapped, radii.largest)
        return PreparedSystem(
            windower=self,
            space=space,
            given=given,
            nearest_neighbor_distance=radii.nearest_neighbor_distance,
            _positions=positions,
            _source=source,
            _probe_tree=radii.tree,
            _probe_radius=radii.radius,
        )


@dataclass(frozen=True)
class PreparedSystem:
    """A checked structure with its neighbour tree and local densities; made by `Windower.prepare`.

    Attributes
    ----------
    windower : Windower
        The parameters.
    space : PeriodicSpace
        The cell.
    given : (N, 3) float64 array
        Positions as given, Angstrom.
    nearest_neighbor_distance : float
        Median distance of an atom to its nearest neighbour, Angstrom; nan for a lone atom.
        Noise makes it smaller than the crystal's own.
    """

    windower: Windower
    space: PeriodicSpace
    given: NDArray[np.float64]
    nearest_neighbor_distance: float
    _positions: NDArray[np.float64] = field(repr=False)
    _source: NDArray[np.int64] = field(repr=False)
    _probe_tree: Any = field(repr=False)
    _probe_radius: NDArray[np.float64] = field(repr=False)

    @cached_property
    def _cells(self) -> CellList:
        edge = float(np.median(self._probe_radius)) / 2.5
        threads = thread_number(self.windower.workers)
        return CellList(self._positions, edge, threads, self._source)

    def with_windows_of(self, window_atoms: int) -> PreparedSystem:
        """The same structure cut into smaller windows, by the density already known."""
        given = self.windower.window_atoms
        if window_atoms > given:
            raise InputError(f"window_atoms={window_atoms} is more than the {given} prepared for")
        smaller = replace(
            self,
            windower=replace(self.windower, window_atoms=window_atoms, on_sparse="refuse"),
            _probe_radius=self._probe_radius * (window_atoms / given) ** (1.0 / 3.0),
        )
        smaller.__dict__["_cells"] = self._cells  # atoms that are sorted already
        return smaller

    @property
    def wrapped(self) -> NDArray[np.float64]:
        """Positions (N, 3) wrapped into the given cell along its periodic directions, Angstrom."""
        return self.space.wrap(self.given, reduced=False)

    # ------------------------------------------------------------------ centres
    def centers(
        self, spec: Any = "atoms", spacing: float | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Centres of windows.

        Parameters
        ----------
        spec : {'atoms', 'grid'}, int array, bool array or (W, 3) float array
            Every atom; a regular grid (where there are atoms); atoms by index (negative from the
            end); atoms by mask of length N; points in Angstrom.
        spacing : float, optional
            Largest spacing of the grid, Angstrom; for the default see docs/glossary.md.

        Returns
        -------
        centers : (W, 3) float64 array
            Angstrom.
        center_indices : (W,) int64 array
            Index of the atom at the centre; -1 where the centre is no atom.

        Raises
        ------
        InputError
            If `spec` or `spacing` is none of these.
        """
        if isinstance(spec, str):
            if spec == "atoms":
                return self.given.copy(), np.arange(len(self.given), dtype=np.int64)
            if spec == "grid":
                points = self._grid(spacing)
                return points, np.full(len(points), -1, dtype=np.int64)
            raise InputError(f"centers={spec!r} is unknown; {CENTERS_EXPECTED}")
        return chosen_centers(spec, self.given)

    def _grid(self, spacing: float | None) -> NDArray[np.float64]:
        """Grid points that have an atom nearby."""
        if spacing is None:
            volume = 4.0 / 3.0 * np.pi / self.windower.window_atoms  # of an atom, over radius^3
            apart = float(np.median(self._probe_radius)) * volume ** (1.0 / 3.0)
            spacing = GRID_SPACING * apart if self.nearest_neighbor_distance > 0 else np.nan
            if not np.isfinite(spacing):  # a lone atom: it is its own grid
                return self.given.copy()
        reach = GRID_REACH * float(self._probe_radius.max())
        points = candidates(self.space, self.wrapped, spacing, reach)
        nearest = self._cells.nearest(self.space.wrap(points), 1, reach)[1][:, 0]
        return np.asarray(points[nearest <= GRID_REACH * self._density_radii(points)])

    def nearest_centers(
        self, centers: NDArray[np.float64], count: int = 1, within: float | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For every atom the nearest of some centres, across periodic faces.

        Parameters
        ----------
        centers : (W, 3) float array
            Angstrom.
        count : int
            How many centres for each atom.
        within : float, optional
            Farthest they may be, Angstrom; by default the largest radius of a window.

        Returns
        -------
        indices : (N, count) int64 array
            Rows of `centers`; -1 where there are fewer than `count`.
        distances : (N, count) float64 array
            Angstrom; inf where there are fewer.
        """
        wrapped = self.space.wrap(np.asarray(centers, dtype=np.float64))
        if within is None:
            within = float(self._probe_radius.max())
        positions, source = self.space.with_ghosts(wrapped, within)
        places = self.space.wrap(self.given)
        # Most find enough in half of that, an eighth of the space, where centres lie so close.
        share = len(wrapped) / len(places) * self.windower.window_atoms
        share *= (within / 2.0 / float(np.median(self._probe_radius))) ** 3
        near = within / 2.0 if share > 1.5 * count else within
        cells = CellList(positions, near / 2.0, threads=self.threads)
        found, distances = cells.nearest(places, count, near)
        if near < within:
            few = np.flatnonzero(found[:, -1] < 0)
            found[few], distances[few] = cells.nearest(places[few], count, within)
        return np.where(found >= 0, source[found], -1), distances

    @property
    def threads(self) -> int | None:
        """Threads that work on this structure is shared by; None: numba's number."""
        return thread_number(self.windower.workers)

    def neighbors(
        self, centers: NDArray[np.float64], radii: NDArray[np.float64], room: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Atoms near some places, across periodic faces, the places' own atoms among them.

        Parameters
        ----------
        centers : (B, 3) float array
            Angstrom.
        radii : (B,) float array
            Angstrom; at most those of windows.
        room : int
            Most atoms that are handed back for a place.

        Returns
        -------
        relative : (B, room, 3) float32 array
            Relative to the place, Angstrom; 0 after the last.
        indices : (B, room) int64 array
            Of the atoms in the structure; -1 after the last.
        counts : (B,) int64 array
            All atoms that are there, also those for which there was no room.
        """
        return self._cells.cut(self.space.wrap(centers), radii, room)

    # ------------------------------------------------------------------ windows
    def radii(self, centers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Radius (W,) in Angstrom of the windows at some centres (W, 3)."""
        radius = self._density_radii(centers)
        fixed = self.windower.radius is not None
        if fixed or self.space.pbc.any() or len(self.given) > self.windower.window_atoms:
            return radius
        # A cluster smaller than a window is one window, wherever in it the centre lies.
        distance = cdist(centers, self.given)
        within = distance.min(axis=1) <= radius
        return np.where(within, np.maximum(radius, distance.max(axis=1) * (1 + 1e-9)), radius)

    def _density_radii(self, centers: NDArray[np.float64]) -> NDArray[np.float64]:
        nearest = self._probe_tree.query(self.space.wrap(centers), workers=self.windower.workers)[1]
        return np.asarray(self._probe_radius[nearest], dtype=np.float64)

    def batches(
        self, centers: NDArray[np.float64], batch_size: int = 1024
    ) -> Iterator[WindowBatch]:
        """Cut the windows at some centres, a batch at a time.

        Parameters
        ----------
        centers : (W, 3) float array
            Angstrom; see :meth:`centers`.
        batch_size : int
            Windows a batch. Memory is about ``batch_size * window_atoms * 60`` bytes.

        Yields
        ------
        WindowBatch
            In the order of `centers`; padded to the largest window of the batch.

        Raises
        ------
        SparseWindowError
            If a window is sparse and ``on_sparse`` is ``'raise'``.
        """
        centers = np.asarray(centers, dtype=np.float64)
        if centers.ndim != 2 or centers.shape[1] != 3:
            raise InputError(f"centers has shape {centers.shape}; expected (W, 3), in Angstrom")
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size} is less than 1")
        sparse = 0
        for start in range(0, len(centers), batch_size):
            batch = self._cut(centers[start : start + batch_size])
            if batch.sparse.any() and self.windower.on_sparse == "raise":
                first = int(np.argmax(batch.sparse))
                raise SparseWindowError(
                    f"the window at {np.round(batch.centers[first], 3).tolist()} (number "
                    f"{start + first}) holds {int(batch.mask[first].sum())} atoms, fewer than "
                    f"{self.windower.sparse_below}; choose other centres, a smaller window_atoms, "
                    "or on_sparse='refuse'"
                )
            sparse += int(batch.sparse.sum())
            yield batch
        self.warn_of_sparse(sparse, len(centers))

    def warn_of_sparse(self, sparse: int, windows: int) -> None:
        """Say that so many of some windows are sparse, if that was asked for."""
        if sparse and self.windower.on_sparse == "warn":
            warnings.warn(
                f"{sparse} of {windows} windows hold fewer than "
                f"{self.windower.sparse_below} atoms and were refused",
                SparseWindowWarning,
                stacklevel=3,
            )

    def _cut(self, centers: NDArray[np.float64]) -> WindowBatch:
        wanted = self.windower.window_atoms
        origin = self.space.wrap(centers)
        radius = self.radii(centers)
        room, cap = int(1.3 * wanted), CAP * wanted
        relative, found, count = self._cells.cut(origin, radius, room)
        if len(origin) and count.max() > room:
            # Denser than expected somewhere: once more, with room for all, or up to the cap.
            crowded = count > cap
            reach = np.where(crowded, self._shrunk(origin, crowded, cap), radius)
            relative, found, count = self._cells.cut(origin, reach, min(int(count.max()), cap))
        length = max(int(count.max(initial=1)), 1)
        found = found[:, :length]
        return WindowBatch(
            centers=centers,
            positions=relative[:, :length],
            mask=found >= 0,
            indices=found,
            radius=radius,
            sparse=count < self.windower.sparse_below,
        )

    def _shrunk(
        self, origin: NDArray[np.float64], crowded: NDArray[np.bool_], cap: int
    ) -> NDArray[np.float64]:
        """Radii (W,) within which crowded windows have the nearest `cap` atoms; 0 for others."""
        radius = np.zeros(len(origin))
        if not crowded.any():
            return radius
        tree = cKDTree(self._positions, leafsize=32, balanced_tree=False, compact_nodes=False)
        farthest = tree.query(origin[crowded], k=[cap], workers=self.windower.workers)[0]
        radius[crowded] = farthest[:, 0]
        return radius
