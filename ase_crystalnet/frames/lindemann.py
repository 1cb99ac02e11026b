"""Lindemann parameter: over the frames of a trajectory, streaming, or from one frame alone.

The Lindemann parameter of an atom is the root-mean-square displacement about its mean position in
units of the nearest-neighbour distance; crystals melt when it reaches 0.1 to 0.2 (Ziletti et al.,
Nat. Commun. 9, 2775 (2018), Supplementary Note 2). Its mean over the atoms is the Lindemann index.
"""

from __future__ import annotations

import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.cells import lattice_change
from ase_crystalnet.geometry.periodic import PeriodicSpace
from ase_crystalnet.io.results.memory import Memory

if TYPE_CHECKING:
    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = [
    "AtomOrderWarning",
    "LindemannTracker",
    "LindemannWindow",
    "tracker_of",
    "with_lindemann",
]

LindemannWindow = int | Literal["all"] | None
"""Frames that the Lindemann parameter averages over: a number, all so far, or None for off."""

#: The order of the atoms is in doubt where this share of them moved by more than half a neighbour
#: distance in one frame, and it has changed if this share of them is where another one was, within
#: a quarter of it (in a liquid 8 % are, by chance).
MOVED, EXPLAINED = 0.25, 0.8
#: Atoms that tell whether the order has changed.
SAMPLE = 2000

#: Numbers in the state of a tracker: counts, periodicity and cell; and for each atom.
_STATE, _STATE_OF_ATOM = 3 + 3 + 9, 1 + 3 + 3 + 6 + 3
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


class AtomOrderWarning(UserWarning):
    """Atoms without ids come in another order than in the frame before."""


class LindemannTracker:
    """Lindemann parameter of every atom, updated frame by frame.

    Frames are added one at a time and not kept: only a running mean and covariance per atom
    (Welford's update, with removal of the oldest frame), and, for a running window, the
    coordinates of the frames in it. Memory does not grow with the length of the trajectory.

    Wrapped and unwrapped coordinates give the same answer: from frame to frame each atom moves by
    the minimum image, in fractional coordinates, so that a changing cell (NPT) is followed too. An
    atom may therefore move by up to half a cell between two frames, relative to the drift of all
    atoms. The drift of the centre of mass is removed. Other cell vectors of the same lattice (a
    sheared box that is flipped, b to b + a) are recognised.

    Parameters
    ----------
    window : int or None
        Number of latest frames to average over, at least 2; None means all frames so far.
    on_change : {"raise", "reset"}
        What to do when a frame has other atoms or other periodic directions than the one before:
        raise InputError, or start anew.

    Raises
    ------
    InputError
        If a parameter is out of range.

    Examples
    --------
    >>> tracker = LindemannTracker(window=50)
    >>> for atoms in frames:                                        # doctest: +SKIP
    ...     delta = tracker.add(atoms, nearest_neighbor_distance=2.86)
    """

    def __init__(self, window: int | None = None, *, on_change: str = "raise") -> None:
        if window is not None and window < 2:
            raise InputError(f"Lindemann window: expected at least 2 frames or None, got {window}")
        if on_change not in ("raise", "reset"):
            raise InputError(f"on_change: expected 'raise' or 'reset', got {on_change!r}")
        self.window = window
        self.on_change = on_change
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._count = 0
        self._numbers: NDArray[Any] | None = None
        self._pbc: NDArray[Any] | None = None
        self._raw: NDArray[np.float64] = np.zeros((0, 3))
        self._cell: NDArray[np.float64] = np.eye(3)
        self._warned = False
        self._mean: NDArray[np.float64] = np.zeros((0, 3))
        self._moments: NDArray[np.float64] = np.zeros((6, 0))
        self._displacement: NDArray[np.float64] = np.zeros((0, 3))
        self._buffer: deque[NDArray[np.float32]] = deque()

    @property
    def frames(self) -> int:
        """Number of frames that the present value averages over."""
        return self._count

    def memory(self) -> Memory:
        """All that the next frame needs, exact: with it another tracker goes on to the last bit.

        Of the displacements in a running window only the newest are in it.
        """
        parts = [np.array([self._count, self._warned, len(self._raw)])]
        if self._numbers is not None and self._pbc is not None:
            parts += [self._numbers, self._pbc, self._cell, self._raw]
            parts += [self._mean, self._moments, self._displacement]
        state = np.concatenate([np.asarray(part, np.float64).ravel() for part in parts])
        newest = self._buffer[-1].reshape(1, -1) if self._buffer else np.zeros((0, 0), np.float32)
        return Memory(state, newest, len(self._buffer))

    def remember(self, memory: Memory) -> None:
        """Go on from what a tracker of the same window had in memory.

        Raises
        ------
        InputError
            It is none of this kind.
        """
        self.reset()
        state = memory.state
        known = len(state) > 2 and bool(np.isfinite(state[:3]).all())
        count, atoms = (int(state[0]), int(state[2])) if known else (-1, -1)
        rows = 0 if self.window is None else count
        if (
            min(count, atoms) < 0
            or (self.window is not None and count > self.window)
            or len(state) != _STATE + _STATE_OF_ATOM * atoms
            or memory.latest.shape[0] != rows
            or (rows and memory.latest.shape[1] < 3 * atoms)
        ):
            raise InputError("Lindemann parameter: expected what a tracker had in memory, got else")
        sizes = (3, atoms, 3, 9, 3 * atoms, 3 * atoms, 6 * atoms, 3 * atoms)
        parts = [part.copy() for part in np.split(state, np.cumsum(sizes)[:-1])]
        self._count, self._warned = count, bool(state[1])
        self._numbers, self._pbc = parts[1].astype(np.int64), parts[2].astype(bool)
        self._cell = parts[3].reshape(3, 3)
        self._raw, self._mean = parts[4].reshape(-1, 3), parts[5].reshape(-1, 3)
        self._moments, self._displacement = parts[6].reshape(6, -1), parts[7].reshape(-1, 3)
        for row in memory.latest:
            self._buffer.append(row[: 3 * atoms].reshape(-1, 3).copy())

    def add(self, atoms: Atoms, nearest_neighbor_distance: float) -> NDArray[np.float32]:
        """Add the next frame and return the parameter of every atom.

        Parameters
        ----------
        atoms : ase.Atoms
            The frame. Atoms are matched by an integer array ``id`` if there is one with unique
            entries, otherwise by their place.
        nearest_neighbor_distance : float, Angstrom
            Of this frame.

        Returns
        -------
        ndarray, shape (N,)
            In the order of `atoms`; nan while there is only one frame.

        Raises
        ------
        InputError
            If the atoms changed and `on_change` is "raise", if positions are not finite, if a
            periodic direction has no cell, or if the distance is not positive.

        Warns
        -----
        AtomOrderWarning
            Once, if atoms without ids seem to have changed places in the list.
        """
        if not nearest_neighbor_distance > 0:
            raise InputError(
                "Lindemann parameter: expected a positive nearest-neighbour distance, "
                f"got {nearest_neighbor_distance}"
            )
        order = _identity_order(atoms)
        numbers = atoms.numbers[order]
        cell = _moving_cell(atoms)
        if not np.isfinite(atoms.positions).all():
            raise InputError("Lindemann parameter: positions hold NaN or infinite values")
        if self._numbers is not None and not self._same(numbers, atoms.pbc):
            if self.on_change == "raise":
                raise InputError(
                    f"Lindemann parameter: the frame has other atoms or periodic directions "
                    f"({len(numbers)} atoms) than the one before ({len(self._numbers)}); "
                    "analyse the parts apart"
                )
            self.reset()
        fractional = (atoms.positions[order] - _origin(atoms)) @ np.linalg.inv(cell)
        if self._numbers is None:
            self._start(numbers, atoms.pbc.copy(), fractional)
        else:
            change = lattice_change(self._cell, cell, atoms.pbc)
            cell = np.asarray(np.linalg.solve(change, cell), np.float64)
            fractional = np.asarray(fractional @ change, np.float64)
            step = self._step(fractional, atoms.get_masses()[order])
            self._displacement += step
            if not self._warned and not _has_ids(atoms):
                self._doubt_order(fractional, step, cell, nearest_neighbor_distance)
        self._raw, self._cell = fractional, cell
        self._push()
        delta = np.full(len(atoms), np.nan, dtype=np.float32)
        if self._count > 1:
            metric = cell @ cell.T
            square = np.zeros(len(numbers))
            for (i, j), moment in zip(_PAIRS, self._moments, strict=True):
                square += metric[i, j] * moment * (1 if i == j else 2)
            # Removing frames can leave a rounding error below zero for an atom at rest.
            rms = np.sqrt(np.maximum(square, 0) / self._count)
            delta[order] = rms / nearest_neighbor_distance
        return delta

    def _same(self, numbers: NDArray[Any], pbc: NDArray[Any]) -> bool:
        assert self._numbers is not None and self._pbc is not None
        return np.array_equal(numbers, self._numbers) and np.array_equal(pbc, self._pbc)

    def _start(
        self, numbers: NDArray[Any], pbc: NDArray[Any], fractional: NDArray[np.float64]
    ) -> None:
        self._numbers, self._pbc = numbers, pbc
        self._mean = np.zeros_like(fractional)
        self._moments = np.zeros((6, len(fractional)))
        self._displacement = np.zeros_like(fractional)

    def _step(
        self, fractional: NDArray[np.float64], masses: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Displacement since the last frame, fractional: minimum image, without the drift."""
        step = fractional - self._raw
        assert self._pbc is not None
        for axis in np.flatnonzero(self._pbc):
            # The common shift first, as a circular mean: a box whose origin jumps by half its
            # length must not split the atoms into those that wrapped and those that did not.
            shift = np.angle(np.exp(2j * np.pi * step[:, axis]).mean()) / (2 * np.pi)
            step[:, axis] -= shift
            step[:, axis] -= np.round(step[:, axis])
        weights = masses if np.all(masses > 0) else np.ones(len(masses))
        drift: NDArray[np.float64] = step - np.average(step, axis=0, weights=weights)
        return drift

    def _doubt_order(
        self,
        fractional: NDArray[np.float64],
        step: NDArray[np.float64],
        cell: NDArray[np.float64],
        distance: float,
    ) -> None:
        """Warn if a permutation of the atoms explains what a frame moved, and motion does not."""
        far = np.linalg.norm(step @ cell, axis=1) > 0.5 * distance
        if far.mean() < MOVED:
            return
        assert self._numbers is not None and self._pbc is not None
        space = PeriodicSpace.of(Atoms(cell=cell, pbc=self._pbc))
        before = space.wrap(self._raw @ cell)
        some = np.flatnonzero(far)[:: max(int(far.sum()) // SAMPLE, 1)]
        now = space.wrap(fractional[some] @ cell)
        images, source = space.with_ghosts(before, 0.25 * distance)
        apart, nearest = cKDTree(images).query(now, distance_upper_bound=0.25 * distance)
        found = np.isfinite(apart)
        owners = source[nearest[found]]
        alike = self._numbers[owners] == self._numbers[some[found]]
        if len(np.unique(owners[alike])) > EXPLAINED * len(some):
            self._warned = True
            warnings.warn(
                f"{int(far.sum())} of {len(far)} atoms are where others were in the frame before: "
                "the order of the atoms seems to change, and the Lindemann parameter is wrong; "
                "give the atoms ids (an integer array 'id'), or write the frames in one order",
                AtomOrderWarning,
                stacklevel=3,
            )

    def _push(self) -> None:
        """Take the present displacement into the running moments, and the oldest one out."""
        if self.window is None:
            self._update(self._displacement, +1)
            return
        # What is removed later must be exactly what was added: round first.
        rounded = self._displacement.astype(np.float32)
        self._buffer.append(rounded)
        self._update(rounded.astype(np.float64), +1)
        if len(self._buffer) > self.window:
            self._update(self._buffer.popleft().astype(np.float64), -1)

    def _update(self, x: NDArray[np.float64], sign: int) -> None:
        """Welford's update of mean and second moments; sign -1 takes a frame out again."""
        self._count += sign
        before = x - self._mean
        self._mean += sign * before / self._count
        after = x - self._mean
        for row, (i, j) in enumerate(_PAIRS):
            self._moments[row] += sign * before[:, i] * after[:, j]


def _has_ids(atoms: Atoms) -> bool:
    """Whether atoms are told apart by unique ids."""
    ids = atoms.arrays.get("id")
    if ids is None or ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        return False
    return len(np.unique(ids)) == len(ids)


def _identity_order(atoms: Atoms) -> NDArray[np.intp]:
    """Order that brings the atoms into the sequence of their ids, if they have any."""
    if _has_ids(atoms):
        return np.argsort(atoms.arrays["id"], kind="stable")
    return np.arange(len(atoms))


def _origin(atoms: Atoms) -> NDArray[np.float64]:
    return np.asarray(atoms.get_celldisp(), dtype=np.float64).ravel()


def _moving_cell(atoms: Atoms) -> NDArray[np.float64]:
    """Cell vectors of the periodic directions, unit vectors normal to them for the others.

    A free direction must not be scaled by its cell vector: codes that shrink the box around the
    atoms would turn the motion of the outermost atom into one of all atoms.
    """
    from ase.geometry import complete_cell

    cell = np.array(atoms.cell[:], dtype=np.float64)
    cell[~atoms.pbc] = 0
    cell = complete_cell(cell)
    if not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-12:
        raise InputError(
            f"Lindemann parameter: periodic along {atoms.pbc.tolist()} but the cell is "
            f"{atoms.cell[:].tolist()}; give a cell with a volume"
        )
    for axis in np.flatnonzero(atoms.pbc):
        if not np.any(atoms.cell[axis]):
            raise InputError(
                f"Lindemann parameter: periodic along axis {axis} but that cell vector is zero"
            )
    return np.asarray(cell, dtype=np.float64)


def tracker_of(lindemann: LindemannWindow) -> LindemannTracker | None:
    """The tracker for a choice of frames; None where it is off."""
    if lindemann is None:
        return None
    return LindemannTracker(None if lindemann == "all" else lindemann, on_change="reset")


def with_lindemann(
    analysis: FrameAnalysis, tracker: LindemannTracker, atoms: Atoms
) -> FrameAnalysis:
    """Add the Lindemann parameter, in units of the median neighbour distance of the windows."""
    distance = analysis.typical_distance
    if not distance > 0:
        tracker.add(atoms, 1.0)
        return analysis.with_lindemann(np.full(len(atoms), np.nan))
    return analysis.with_lindemann(tracker.add(atoms, distance))
