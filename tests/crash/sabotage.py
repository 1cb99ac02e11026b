"""Protections switched off, one at a time, in a process that is to be interrupted.

The crash test has to report each of them: a test that sees no fault could also be blind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ase_crystalnet.frames.lindemann import LindemannTracker
from ase_crystalnet.io import whole_files
from ase_crystalnet.io.results import held_file
from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
from ase_crystalnet.io.results.outputs import Outputs


def lock() -> None:
    """The lock is given back before the files are renamed, and nobody looks whose file it is."""
    finish = Outputs.finish

    def unlocked(outputs: Outputs, summary: Any) -> None:
        outputs._unlock()
        finish(outputs, summary)

    Outputs.finish = unlocked  # type: ignore[method-assign]
    held_file.HeldFile.check = lambda _: None  # type: ignore[method-assign]


def mark() -> None:
    """A frame counts before it is written."""
    append = HDF5Writer.append

    def marked(writer: HDF5Writer, *arguments: Any, **options: Any) -> None:
        if writer._file is not None:
            writer._file["complete"][0] = writer.frames + 1
            writer._file.flush()
        append(writer, *arguments, **options)

    HDF5Writer.append = marked  # type: ignore[method-assign]


def room() -> None:
    """HDF5 writes without asking for room."""
    held_file.HeldFile.reserve = lambda *_: None  # type: ignore[method-assign]


def name() -> None:
    """Files are written under their own names."""
    from ase_crystalnet.atom_probe.output import files as apt_files
    from ase_crystalnet.cli import files as cli_files
    from ase_crystalnet.training import checkpoint

    @contextlib.contextmanager
    def in_place(path: str | Path) -> Iterator[Path]:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        yield Path(path)

    for module in (whole_files, apt_files, cli_files, checkpoint):
        module.whole_file = in_place  # type: ignore[attr-defined]


def memory() -> None:
    """What an observer remembers is not looked at."""
    LindemannTracker.remember = lambda *_: None  # type: ignore[method-assign]


#: By name; and the kinds of trials that must report them.
SABOTAGES: dict[str, Callable[[], None]] = {
    "lock": lock,
    "mark": mark,
    "room": room,
    "name": name,
    "memory": memory,
}
