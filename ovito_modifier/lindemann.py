"""Lindemann parameter of a pipeline's particles over a window of frames."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet import LindemannTracker
from ase_crystalnet.errors import InputError

__all__ = ["frame_window", "lindemann"]


def frame_window(frame: int, length: int, total: int) -> range:
    """Frames to average over: the latest `length` up to `frame`, as `LindemannTracker` does.

    At the beginning of a trajectory, where fewer have gone before, it is the first `length`, so
    that the first frames have a value, too.
    """
    start = max(frame - length + 1, 0)
    return range(start, min(max(start + length, frame + 1), max(total, 1)))


def lindemann(
    atoms_at: Callable[[int], Atoms], frames: Sequence[int], frame: int, distance: float
) -> Generator[float, None, NDArray[np.float32]]:
    """Lindemann parameter (N,) of the particles of `frame`; yields the share of frames done.

    Parameters
    ----------
    atoms_at : callable
        Structure at a frame. Particles are matched by the array "id" where there is one; those
        that are not in all frames get nan.
    frames : sequence of int
        The window.
    frame : int
        Whose order the result has; one of `frames`.
    distance : float
        Nearest-neighbour distance, Angstrom.

    Raises
    ------
    InputError
        If the number of particles changes and they have no identifiers.
    """
    if len(frames) < 2:
        # One frame has no displacement.
        return np.full(len(atoms_at(frame)), np.nan, dtype=np.float32)
    structures = []
    for number in frames:
        structures.append(atoms_at(number))
        yield len(structures) / len(frames)
    return _of_structures(structures, frames.index(frame), distance)


def _of_structures(structures: Sequence[Atoms], now: int, distance: float) -> NDArray[np.float32]:
    names = [_names(atoms) for atoms in structures]
    if any(len(name) < len(atoms) for name, atoms in zip(names, structures, strict=True)):
        if len({len(atoms) for atoms in structures}) > 1:
            raise InputError(
                "CrystalNet Lindemann: the number of particles changes from frame to frame and "
                "they have no unique identifiers; load a file with identifiers, or set "
                "lindemann_frames to 0"
            )
        names = [np.arange(len(atoms)) for atoms in structures]
    common = names[0]
    for name in names[1:]:
        common = np.intersect1d(common, name)
    result = np.full(len(structures[now]), np.nan, dtype=np.float32)
    if len(common) == 0:
        return result
    tracker = LindemannTracker()
    value = result
    for atoms, name in zip(structures, names, strict=True):
        order = np.argsort(name)
        same = atoms[order[np.searchsorted(name, common, sorter=order)]]
        if "id" in same.arrays:
            del same.arrays["id"]  # in one order already
        value = tracker.add(same, distance)
    order = np.argsort(names[now])
    result[order[np.searchsorted(names[now], common, sorter=order)]] = value
    return result


def _names(atoms: Atoms) -> NDArray[Any]:
    """Identifiers of the atoms; none at all where they do not tell the atoms apart."""
    ids = np.asarray(atoms.arrays.get("id", []))
    return ids if len(np.unique(ids)) == len(atoms) else ids[:0]
