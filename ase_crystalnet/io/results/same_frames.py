"""Whether a trajectory still holds the frames that an earlier run has analysed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.trajectories.addresses import FrameLoader
from ase_crystalnet.io.trajectories.selection import Only
from ase_crystalnet.io.trajectories.stream import iter_addresses, load_frame

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["CONTENT_BYTES", "check_same_frames", "content_of"]

CONTENT_BYTES = 32


def content_of(atoms: Atoms) -> str:
    """Hash of what is analysed of a frame: number and kind of the atoms, positions, cell.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    parts = (atoms.numbers, atoms.positions, atoms.cell[:], atoms.get_celldisp(), atoms.pbc)
    digest = hashlib.blake2b(digest_size=CONTENT_BYTES // 2)
    for part, kind in zip(parts, ("<i8", "<f8", "<f8", "<f8", "u1"), strict=True):
        values = np.ascontiguousarray(part, dtype=kind)
        digest.update(repr(values.shape).encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def check_same_frames(
    contents: Sequence[str],
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    start: int,
    stop: int | None,
    step: int,
    *,
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    only: Only = None,
) -> None:
    """Compare the first and the last of the frames done with what the trajectory holds now.

    Parameters
    ----------
    contents : sequence of str
        `content_of` of the frames done, in order; "" where it is not known.
    source, start, stop, step, format, reader, only
        The frames chosen, as in `iter_frames`.

    Raises
    ------
    InputError
        One of them is another, or is not there any more.
    """
    last = len(contents) - 1
    with FrameLoader() as loader:
        done = 0
        addresses = iter_addresses(
            source, start, stop, step, format=format, reader=reader, only=only
        )
        for address in islice(addresses, last + 1):
            if done in (0, last) and contents[done]:
                atoms = load_frame(loader, address).atoms
                if content_of(atoms) != contents[done]:
                    raise InputError(
                        f"{address.source}: expected the trajectory whose first {last + 1} frames "
                        f"are done, got another one: frame {address.number} (from 0) differs; "
                        "resume with that trajectory, or use another output"
                    )
            done += 1
    if done <= last:
        raise InputError(
            f"resume: expected the trajectory whose first {last + 1} frames are done, got one of "
            f"{done} frames; resume with that trajectory, or use another output"
        )
