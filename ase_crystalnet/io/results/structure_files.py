"""Structures with their labels, frame by frame: extended XYZ, and ASE's own formats."""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_crystalnet.classes import REFUSED, VOCABULARY, class_colors
from ase_crystalnet.io.results.held_file import named, new_part, remove_part
from ase_crystalnet.io.trajectories.stream import StreamFrame
from ase_crystalnet.io.whole_files import whole_file
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.trajectory import TrajectoryAnalysis

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["DatabaseFile", "ExtxyzFile", "TrajFile"]


class ExtxyzFile:
    """Extended XYZ: every result of an atom as a column."""

    note = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = new_part(path)
        self.file = open(  # noqa: SIM115 (held for the run)
            os.dup(self.held.handle), "w", encoding="utf-8"
        )

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        """Take one frame."""
        from ase.io import write

        atoms = analysis.attach(_plain(frame, analysis))
        # Arrays of more than two dimensions have no place in the format.
        for name in [name for name, array in atoms.arrays.items() if array.ndim > 2]:
            del atoms.arrays[name]
        _show_in_ovito(atoms, analysis)
        atoms.info["crystalnet_source"] = frame.source
        atoms.info["crystalnet_frame"] = frame.number
        with named(self.path):
            write(self.file, atoms, format="extxyz")

    def complete(self, summary: TrajectoryAnalysis) -> None:
        """Write what is left."""
        with named(self.path):
            self.file.close()

    def rename(self) -> None:
        """Give the file its name."""
        with named(self.path):
            self.held.rename(self.path)
        self.held.close()

    def discard(self) -> None:
        """Close and remove it, if it has not got its name."""
        with contextlib.suppress(OSError):  # closing writes, and may fail as the write did
            self.file.close()
        remove_part(self.held, self.path)


class _WholeFile:
    """A file that ASE opens by its name: made in a folder of its own, then renamed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._whole: AbstractContextManager[Path] | None = whole_file(path)
        self.part = self._whole.__enter__()

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        """Take one frame."""
        atoms = _plain(frame, analysis)
        atoms.info = {key: value for key, value in atoms.info.items() if _is_plain(value)}
        with named(self.path):
            self._write(atoms, frame, analysis)

    def _write(self, atoms: Atoms, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        """Let go of the file."""

    def complete(self, summary: TrajectoryAnalysis) -> None:
        """Write what is left."""
        with named(self.path):
            self._close()

    def rename(self) -> None:
        """Give the file its name."""
        assert self._whole is not None
        whole, self._whole = self._whole, None
        with named(self.path):
            whole.__exit__(None, None, None)

    def discard(self) -> None:
        """Close and remove it, if it has not got its name."""
        with contextlib.suppress(Exception):
            self._close()
        if self._whole is not None:
            whole, self._whole = self._whole, None
            gone = GeneratorExit()
            with contextlib.suppress(GeneratorExit):
                whole.__exit__(GeneratorExit, gone, None)


class TrajFile(_WholeFile):
    """ASE's trajectories: structure types as tags, all results in ``info``."""

    note = (
        "the format has no columns of its own for atoms: structure types (OVITO's numbers) are the "
        "tags, all other results of atoms are in info['crystalnet']; windows are left out"
    )

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        from ase.io.trajectory import TrajectoryWriter

        self._file: Any = TrajectoryWriter(self.part, "w")

    def _write(self, atoms: Atoms, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        atoms.set_tags(structure_types(analysis))
        found = {**_summary(frame, analysis), **_arrays(analysis)}
        atoms.info["crystalnet"] = {"classes": list(analysis.classes), **found}
        self._file.write(atoms)

    def _close(self) -> None:
        self._file.close()


class DatabaseFile(_WholeFile):
    """ASE's databases (.db, .json): shares as keys to select rows by, results in ``data``."""

    note = (
        "each frame is a row: shares and means are its keys, results of atoms are in its data, "
        "where `ase db` does not select; windows are left out"
    )

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        from ase.db import connect

        kind = "json" if path.suffix.lower() == ".json" else "db"
        self._file = connect(str(self.part), type=kind, use_lock_file=False)

    def _write(self, atoms: Atoms, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        keys = {
            f"cn_{name}".replace("/", "_"): value
            for name, value in _summary(frame, analysis).items()
            if isinstance(value, str) or np.isfinite(value)
        }
        known = {"info": {k: v for k, v in atoms.info.items() if _is_plain(v)}}
        data = {"classes": list(analysis.classes), **_arrays(analysis), **known}
        self._file.write(atoms, key_value_pairs=keys, data=data)


def structure_types(analysis: FrameAnalysis) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Ids of OVITO's analyses (fcc 1, hcp 2, bcc 3, ...) of atoms (N,), and 0 where refused."""
    ids = [
        VOCABULARY[name].ovito_id if name in VOCABULARY else 100 + i
        for i, name in enumerate(analysis.classes)
    ]
    return np.array([*ids, 0])[analysis.atom_labels]


def _show_in_ovito(atoms: Atoms, analysis: FrameAnalysis) -> None:
    """Columns that OVITO maps to properties of its own: structure type, orientation and colour."""
    colors = class_colors(analysis.classes)
    rgb = [
        [int(colors[name][place : place + 2], 16) / 255 for place in (1, 3, 5)]
        for name in (*analysis.classes, REFUSED)
    ]
    atoms.arrays["structure_type"] = structure_types(analysis)
    atoms.arrays["color"] = np.round(np.array(rgb)[analysis.atom_labels], 4)
    # OVITO takes a zero quaternion for no orientation.
    atoms.arrays["orientation"] = np.nan_to_num(analysis.atom_orientation)


def _plain(frame: StreamFrame, analysis: FrameAnalysis) -> Atoms:
    """The structure as it was read, with its energy and forces, without results of before."""
    atoms = frame.atoms.copy()
    for name in [name for name in atoms.arrays if name.startswith("crystalnet_")]:
        del atoms.arrays[name]
    for name in [name for name in atoms.info if str(name).startswith("crystalnet")]:
        del atoms.info[name]
    atoms.calc = frame.atoms.calc
    return atoms


def _is_plain(value: Any) -> bool:
    """Whether ASE's JSON holds a value."""
    return isinstance(value, (str, int, float, bool, np.ndarray, np.number, type(None)))


def _summary(frame: StreamFrame, analysis: FrameAnalysis) -> dict[str, Any]:
    """Numbers of the frame as a whole, by name."""
    found: dict[str, Any] = {
        "source": frame.source,
        "frame": int(frame.number),
        "model": str(analysis.metadata.get("model", "")),
        "refused_fraction": float(analysis.refused_fraction),
        "fault_fraction": float(analysis.fault_fraction),
        "mean_certainty": float(analysis.mean_certainty),
        "mean_order": float(analysis.mean_order),
        "lindemann_index": float(analysis.lindemann_index),
    }
    for name, share in zip(analysis.classes, analysis.class_fractions, strict=True):
        found[f"fraction_{name}"] = float(share)
    return found


def _arrays(analysis: FrameAnalysis) -> dict[str, Any]:
    """Results of the atoms, one row each, by name."""
    found: dict[str, Any] = {
        "label": analysis.atom_labels.astype(np.int64),
        "structure_type": structure_types(analysis),
        "certainty": analysis.atom_certainty.astype(np.float64),
        "order": analysis.atom_order.astype(np.float64),
        "orientation": analysis.atom_orientation,
        "probabilities": analysis.atom_probabilities.astype(np.float64),
        "stacking": analysis.stacking.astype(np.int64),
        "fault": analysis.atom_fault.astype(np.int64),
    }
    if analysis.lindemann is not None:
        found["lindemann"] = analysis.lindemann.astype(np.float64)
    return found
