"""Structures and windows that commands read, from a structure file or from a result."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from ase_crystalnet.io.results.hdf5_reader import ResultFile
    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["ResultWindow", "check_frame", "is_own_place", "read_structure", "read_window"]


def read_structure(name: str, frame: int, format: str | None = None, **how: Any) -> Atoms:
    """One frame of a structure or trajectory file; -1 is the last. `how`: as of `iter_frames`.

    Raises
    ------
    InputError
        There is no such frame, or the file cannot be read.
    """
    from ase_crystalnet.io.trajectories.stream import iter_frames

    stop = frame + 1 if frame != -1 else None
    found = next(iter_frames(name, frame, stop, format=format, **how), None)
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
        kept = ("window_atoms", "species", "strain_limit")
        options = {name: stored[name] for name in kept if name in stored}
        # Results of before there was a choice named symmetries.
        names = stored.get("names", "symmetry")
        chosen = stored.get("chosen")
        return {"classes": tuple(chosen.split()) if chosen else names, **options}

    @property
    def title(self) -> str:
        """Trajectory, frame and window, in words."""
        stored = self.analysis.metadata
        return f"{stored['source']}, frame {stored['frame']}, window {self.number}"


def is_own_place(name: str) -> bool:
    """Whether a name that stands in a file may be opened without asking.

    A result may come from anywhere, and with it the names in it. Those that lead to the folder at
    hand, or below, are followed; others only when the user gives them.
    """
    return (
        not os.path.isabs(name)
        and not os.path.splitdrive(name)[0]
        and Path(name).resolve().is_relative_to(Path.cwd().resolve())
    )


def read_window(
    file: ResultFile, frame: int, window: int, trajectory: str | None = None
) -> ResultWindow:
    """A window of a result; its atoms are read from the trajectory that was analysed.

    Parameters
    ----------
    file : ResultFile
    frame, window : int
    trajectory : str, optional
        That trajectory. By default the one that the result names, if that is in or below the
        current folder.

    Raises
    ------
    InputError
        There is no such frame or window, or the trajectory is not there, is not to be opened
        without asking, or holds another frame.
    """
    check_frame(file, frame)
    analysis = file[frame]
    if not 0 <= window < analysis.number_of_windows:
        raise InputError(f"--window: expected 0 to {analysis.number_of_windows - 1}, got {window}")
    source, number = analysis.metadata["source"], analysis.metadata["frame"]
    if trajectory is None and not is_own_place(source):
        raise InputError(
            f"{file.path}: expected a trajectory in or below this folder, got {source!r}; give "
            f"--trajectory with the name of that file to have it opened"
        )
    place = source if trajectory is None else trajectory
    if not os.path.exists(place):
        raise InputError(
            f"{file.path}: its trajectory {place!r} is not there, so the window's atoms cannot be "
            "read; run from the folder where it was analysed, or give --trajectory"
        )
    from ase_crystalnet.io.results.held_file import refuse_other_than_file
    from ase_crystalnet.io.results.same_frames import content_of

    refuse_other_than_file(place)
    kept = file.settings
    atoms = read_structure(
        place, number, kept.get("format"), reader=_safe_reader(kept), only=kept.get("select")
    )
    if file.contents[frame] not in ("", content_of(atoms)):
        raise InputError(
            f"{file.path}: expected the frame that was analysed, got another one: frame {number} "
            f"of {place!r} has changed; give --trajectory with the file that was analysed"
        )
    return ResultWindow(analysis, window, atoms)


def _safe_reader(settings: dict[str, Any]) -> dict[str, Any]:
    """Options of the reader that stand in a result, which may come from anybody.

    Raises
    ------
    InputError
        One names a file that is not to be opened without asking.
    """
    options = settings.get("reader") or {}
    if not isinstance(options, dict):
        raise InputError(f"expected options of a reader by name, got {options!r}")
    topology = options.get("topology")
    if topology is not None and not is_own_place(str(topology)):
        raise InputError(
            f"expected a topology in or below this folder, got {topology!r}; run from the folder "
            "where the trajectory was analysed"
        )
    return options
