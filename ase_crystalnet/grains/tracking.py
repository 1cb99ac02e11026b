"""Grains over a trajectory: the same grain keeps its number from frame to frame.

Two grains of successive frames are one if they share atoms: pairs are chosen so that the number of
shared atoms is largest in all. Of a grain that splits the largest part keeps the number, of grains
that become one the number of the largest stays. A grain that is not found in a frame or two is
remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ase_crystalnet.errors import InputError
from ase_crystalnet.grains.results import Crystals

__all__ = ["GrainHistory", "GrainTracker", "TrackedFrame", "track_grains"]


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """Crystals of one frame, with numbers that hold over the trajectory.

    Attributes
    ----------
    frame : int
        Number of the frame.
    time : float
        Picoseconds; nan where the file does not say.
    numbers : (G,) integer array
        Number of each crystal over the trajectory, from 1.
    grains : (N,) int32 array
        Number of the grain of each atom over the trajectory, 0 for none.
    rows : list of dict
        As of `Crystals.rows`, with ``frame``, ``time`` and the ``grain`` of the trajectory before.
    """

    frame: int
    time: float
    numbers: NDArray[np.int64]
    grains: NDArray[np.int32]
    rows: list[dict[str, object]]


@dataclass
class GrainTracker:
    """Numbers grains frame after frame.

    Parameters
    ----------
    overlap : float
        Least share of the atoms of the smaller of two grains that both must have, to be one.
    memory : int
        Frames for which a grain that is not found is remembered.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    overlap: float = 0.3
    memory: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.overlap <= 1:
            raise InputError(f"overlap is {self.overlap}; expected a share between 0 and 1")
        if self.memory < 0:
            raise InputError(f"memory is {self.memory}; expected a number of frames, 0 or more")
        self._known: dict[int, tuple[NDArray[np.int64], int]] = {}
        self._last = 0
        self._frames = 0
        self._atoms: int | None = None

    def __call__(
        self, crystals: Crystals, frame: int | None = None, time: float = float("nan")
    ) -> TrackedFrame:
        """Number the crystals of the next frame.

        Parameters
        ----------
        crystals : Crystals
            Of a frame whose atoms are in the order of the frames before.
        frame : int, optional
            Its number; by default they are counted from 0.
        time : float
            Picoseconds.

        Raises
        ------
        InputError
            The number of atoms is another one than before.
        """
        count = len(crystals.grains)
        if self._atoms is not None and count != self._atoms:
            raise InputError(
                f"frame {self._frames}: {count} atoms, {self._atoms} before; grains are followed "
                "by their atoms, whose number and order must stay"
            )
        self._atoms = count
        numbers = self._matched(crystals)
        for number, one in zip(numbers, crystals, strict=True):
            self._known[int(number)] = (one.atoms, self._frames)
        oldest = self._frames - self.memory
        self._known = {k: held for k, held in self._known.items() if held[1] >= oldest}
        of_crystal = np.concatenate([[0], numbers]).astype(np.int32)
        number = self._frames if frame is None else frame
        rows = [
            {"frame": number, "time": time} | row | {"grain": int(grain)}
            for grain, row in zip(numbers, crystals.rows(), strict=True)
        ]
        self._frames += 1
        return TrackedFrame(number, time, numbers, of_crystal[crystals.grains], rows)

    def _matched(self, crystals: Crystals) -> NDArray[np.int64]:
        result = np.zeros(len(crystals), np.int64)
        names = list(self._known)
        if names and len(crystals):
            shared = np.zeros((len(crystals), len(names)))
            for column, name in enumerate(names):
                atoms, _ = self._known[name]
                hit = np.bincount(crystals.grains[atoms], minlength=len(crystals) + 1)[1:]
                smaller = np.minimum([len(one.atoms) for one in crystals], len(atoms))
                shared[:, column] = np.where(hit >= self.overlap * smaller, hit, 0)
            for row, column in zip(*linear_sum_assignment(-shared), strict=True):
                if shared[row, column] > 0:
                    result[row] = names[column]
        for row in np.flatnonzero(result == 0):
            self._last += 1
            result[row] = self._last
        return result


@dataclass(frozen=True, eq=False)
class GrainHistory(Sequence[TrackedFrame]):
    """Grains of a trajectory, frame by frame; without the atoms of the frames.

    Attributes
    ----------
    frames : tuple of TrackedFrame
    """

    frames: tuple[TrackedFrame, ...]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.frames[index]

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[TrackedFrame]:
        return iter(self.frames)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Numbers of all grains, (G,), ascending."""
        every = [frame.numbers for frame in self.frames]
        return np.unique(np.concatenate(every)) if every else np.empty(0, np.int64)

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each frame, (F,), picoseconds; nan where it is unknown."""
        return np.array([frame.time for frame in self.frames])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Atoms of each grain in each frame, (F, G); 0 where it is not there."""
        numbers = self.numbers
        result = np.zeros((len(self.frames), len(numbers)), np.int64)
        for row, frame in enumerate(self.frames):
            held = np.bincount(frame.grains, minlength=int(numbers.max(initial=0)) + 1)
            result[row] = held[numbers]
        return result

    def rows(self) -> list[dict[str, object]]:
        """One row a grain and frame."""
        return [row for frame in self.frames for row in frame.rows]

    def __repr__(self) -> str:
        sizes = self.sizes
        lines = [f"GrainHistory: {len(self.numbers)} grains in {len(self)} frames"]
        if len(self.numbers):
            lines.append(f"{'grain':>5}{'frames':>8}{'first':>9}{'last':>9}{'largest':>9}")
        for number, its in zip(self.numbers, sizes.T, strict=True):
            there = its[its > 0]
            lines.append(f"{number:>5}{len(there):>8}{there[0]:>9}{there[-1]:>9}{there.max():>9}")
        return "\n".join(lines)


def track_grains(
    frames: Iterable[Crystals], *, tracker: GrainTracker | None = None
) -> GrainHistory:
    """Follow grains over the crystals of successive frames.

    Parameters
    ----------
    frames : iterable of Crystals
        Of `find_crystals`, one a frame; the order of the atoms is the same in all.
    tracker : GrainTracker, optional
        What makes two grains one.

    Raises
    ------
    InputError
        The number of atoms changes.
    """
    tracker = GrainTracker() if tracker is None else replace(tracker)
    return GrainHistory(tuple(tracker(each) for each in frames))
