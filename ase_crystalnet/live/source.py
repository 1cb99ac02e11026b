"""Frames of a simulation that runs, over IMD: the side of the analysis."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from ase import Atoms

from ase_crystalnet.errors import InputError
from ase_crystalnet.live.relay import ALL, END, KILL, LENGTHS, NEXT, RATE

__all__ = ["LiveFrame", "LiveSource"]

#: Picoseconds of the unit of time that a simulation may count in.
TIME_UNITS = {"ps": 1.0, "fs": 1e-3, "ns": 1e3}


@dataclass(frozen=True)
class LiveFrame:
    """One frame of a simulation that runs.

    Attributes
    ----------
    atoms : ase.Atoms
        Step and time (ps) in ``info``.
    number : int
        Of the frame among those that the simulation has sent, from 1.
    """

    atoms: Atoms
    number: int


class LiveSource:
    """Frames of a simulation that speaks IMD: LAMMPS (``fix imd``), GROMACS, NAMD.

    The connection is kept by a small process of its own (`live.relay`), which outlives an analysis
    that is killed; another one on the same machine then goes on with it.

    Parameters
    ----------
    address : str
        ``host:port``.
    every : int, optional
        Steps from one frame to the next; by default what the simulation was told.
    all_frames : bool
        Take every frame that is sent; the simulation waits while one is analysed. Otherwise the
        newest is taken, and those that came meanwhile are passed over.
    like : ase.Atoms, optional
        Same number of atoms in the order of their ids: species, periodic directions, and the cell
        if the simulation sends none (IMD version 2).
    pbc : three bools, optional
        Periodic directions; by default those of `like`, else all.
    time_unit : {'ps', 'fs', 'ns'}
        In which the simulation states its time; LAMMPS has ps with ``units metal`` and fs with
        ``units real``.
    patience : float, s
        How long a simulation that does not listen yet is waited for.

    Raises
    ------
    InputError
        The address is none, nothing listens there, or it does not speak IMD.
    """

    def __init__(
        self,
        address: str,
        *,
        every: int | None = None,
        all_frames: bool = False,
        like: Atoms | None = None,
        pbc: Any = None,
        time_unit: str = "ps",
        patience: float = 0.0,
    ) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise InputError("live: needs sockets of POSIX systems; run it under Linux or macOS")
        self.host, self.port = parse_address(address)
        if every is not None and every < 1:
            raise InputError(f"every: expected a number of steps from 1 on, got {every}")
        if time_unit not in TIME_UNITS:
            raise InputError(f"time unit: expected one of {', '.join(TIME_UNITS)}, got {time_unit}")
        self._all, self._like, self._unit = all_frames, like, TIME_UNITS[time_unit]
        self._pbc = (True if like is None else like.pbc) if pbc is None else pbc
        self.why = ""
        self._socket = self._connect(patience)
        if every is not None:
            self._socket.sendall(RATE + struct.pack("<I", every))

    def __iter__(self) -> Iterator[LiveFrame]:
        """Frames until the simulation ends; `why` then says how it ended.

        Raises
        ------
        InputError
            A frame does not fit what is known of the structure.
        """
        while True:
            try:
                self._socket.sendall(ALL if self._all else NEXT)
                lengths = LENGTHS.unpack(self._read(LENGTHS.size))
                head = json.loads(self._read(lengths[0]))
                body = self._read(lengths[1])
            except (OSError, EOFError):
                self.why = "the process that keeps the connection has died"
                return
            if END in head:
                self.why = str(head[END])
                return
            yield LiveFrame(self._atoms(head, body), int(head["number"]))

    def kill(self) -> None:
        """Ask the simulation to end."""
        with contextlib.suppress(OSError):
            self._socket.sendall(KILL)

    def close(self) -> None:
        """Leave; the simulation goes on."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _atoms(self, head: dict[str, Any], body: bytes) -> Atoms:
        positions = np.frombuffer(body, f"{head['order']}f4").reshape(-1, 3).astype(np.float64)
        like = self._like
        if like is not None and len(like) != len(positions):
            raise InputError(
                f"{self.host}:{self.port}: sends {len(positions)} atoms, the topology has "
                f"{len(like)}; give the structure of the atoms of its fix"
            )
        if head["box"] is not None:
            cell = np.reshape(head["box"], (3, 3))
        elif like is not None and like.cell.rank == 3:
            cell = like.cell.array
        else:
            raise InputError(
                f"{self.host}:{self.port}: sends no box; use IMD version 3 with its box (LAMMPS: "
                "fix imd ... version 3), or give a structure with the cell (--topology)"
            )
        numbers = np.zeros(len(positions), int) if like is None else like.numbers
        atoms = Atoms(numbers=numbers, positions=positions, cell=cell, pbc=self._pbc)
        for name, factor in (("step", 1), ("time", self._unit)):
            if head[name] is not None:
                atoms.info[name] = head[name] * factor
        return atoms

    def _read(self, size: int) -> bytes:
        parts, have = [], 0
        while have < size:
            part = self._socket.recv(min(size - have, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def _connect(self, patience: float) -> socket.socket:
        """To the process that keeps the connection; it is started if it is not there."""
        place = socket_of(self.host, self.port)
        until = time.monotonic() + patience
        while True:
            found, said = _knock(place), ""
            if found is None:
                with _alone(place):
                    found = _knock(place)
                    if found is None:
                        said = _start(self.host, self.port, place)
                        found = None if said else _knock(place)
            if found is not None:
                return found
            if time.monotonic() > until:
                raise InputError(
                    f"{self.host}:{self.port}: {said or 'the connection is lost'}; expected a "
                    "simulation that listens for IMD (LAMMPS: fix imd), start it first or give "
                    "--wait"
                )
            time.sleep(0.2)


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``, or of a port of this machine.

    Raises
    ------
    InputError
        It is neither.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError(f"address: expected HOST:PORT, such as localhost:5678, got {address!r}")
    return host.strip("[]") or "localhost", int(port)


def socket_of(host: str, port: int) -> str:
    """Name of the socket at which the connection to a simulation is shared, for this user alone.

    Raises
    ------
    InputError
        Its folder belongs to somebody else.
    """
    folder = Path(tempfile.gettempdir()) / f"crystalnet-live-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise InputError(f"{folder}: expected a folder of yours alone; remove it or set TMPDIR")
    # The name of a socket is 100 bytes long at most.
    return str(folder / hashlib.blake2b(f"{host}:{port}".encode(), digest_size=10).hexdigest())


@contextlib.contextmanager
def _alone(place: str) -> Iterator[None]:
    """One analysis at a time starts the process that keeps a connection."""
    import fcntl

    with open(f"{place}.lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _knock(place: str) -> socket.socket | None:
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.connect(place)
    except OSError:
        door.close()
        return None
    return door


def _start(host: str, port: int, place: str) -> str:
    """Start the process that keeps the connection; what is wrong, or "" once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ase_crystalnet.live.relay", host, str(port), place],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the analysis alone
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as out:
        line = out.readline().strip()
    if line == "ready":
        # It is nobody's to wait for: it ends with the simulation.
        process.returncode = 0
        return ""
    process.wait()
    return line or "the process that keeps the connection did not start"
