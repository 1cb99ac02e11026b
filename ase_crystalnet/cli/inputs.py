"""Structures and windows that commands read, from a structure file or from a result."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from ase_crystalnet.io.results.hdf5_reader import ResultFile
    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["ResultWindow", "check_frame", "read_structure", "read_window"]


def read_structure(name: str, frame: int, format: str | None = None) -> Atoms:
    """One frame of a structure or trajectory file; -1 is the last.

    Raises
    ------
    InputError
        There is no such frame, or the file cannot be read.
    """
    from ase_crystalnet.io.trajectories.stream import iter_frames

    found = next(iter_frames(name, frame, frame + 1 if frame != -1 else None, format=format), None)
    if found is None:
        raise InputError(f"--frame: {name} has no frame {frame}")
    return found.atoms


def check_frame(file: ResultFile, frame: int) -> None:
    """Refuse a frame that a result does not hold.

    Raises
    ------
    InputError
        It does not.
    """
    if len(file) == 0:
        raise InputError(f"{file.path}: holds no complete frame")
    if not -len(file) <= frame < len(file):
        raise InputError(f"--frame: {file.path} holds frames 0 to {len(file) - 1}, given {frame}")


@dataclass(frozen=True, eq=False)
class ResultWindow:
    """A window of a result, and the structure it was cut from.

    Attributes
    ----------
    analysis : FrameAnalysis
        The frame it belongs to.
    number : int
        Its number there.
    atoms : ase.Atoms
        The whole frame, read from the trajectory that was analysed.
    """

    analysis: FrameAnalysis
    number: int
    atoms: Atoms

    @property
    def center(self) -> NDArray[Any]:
        """Its centre, shape (3,), Angstrom."""
        return self.analysis.centers[self.number]

    @property
    def options(self) -> dict[str, Any]:
        """Options of `CrystalNet` that cut such a window; none for a structure as a whole."""
        stored = self.analysis.metadata
        if stored.get("centers") == "global":
            return {}
        names = ("window_atoms", "species", "strain_limit")
        options = {name: stored[name] for name in names if name in stored}
        # Results of before there was a choice named symmetries.
        return {"classes": stored.get("names", "symmetry"), **options}

    @property
    def title(self) -> str:
        """Trajectory, frame and window, in words."""
        stored = self.analysis.metadata
        return f"{stored['source']}, frame {stored['frame']}, window {self.number}"


def read_window(file: ResultFile, frame: int, window: int) -> ResultWindow:
    """A window of a result; its atoms are read from the trajectory that was analysed.

    Raises
    ------
    InputError
        There is no such frame or window, or the trajectory is not there.
    """
    check_frame(file, frame)
    analysis = file[frame]
    if not 0 <= window < analysis.number_of_windows:
        raise InputError(f"--window: wanted 0 to {analysis.number_of_windows - 1}, given {window}")
    source, number = analysis.metadata["source"], analysis.metadata["frame"]
    if not os.path.exists(source):
        raise InputError(
            f"{file.path}: its trajectory {source!r} is not there, so the window's atoms cannot be "
            "read; run from the folder where it was analysed"
        )
    return ResultWindow(analysis, window, read_structure(source, number))
