"""Interactive molecular dynamics (IMD), versions 2 and 3: what a client has to read and to say.

A header is two 32-bit integers in network order, type and length; what follows is in the byte
order of the simulation, which its handshake tells. Version 2 is that of VMD and NAMD (Stone,
Gullingsrud & Schulten 2001): coordinates, and from some programs energies. Version 3 (L. Woods et
al., IMDClient, 2025; LAMMPS ``fix imd ... version 3``, GROMACS, NAMD) announces which of time,
energies, box, coordinates, velocities and forces make up a frame, in this order.

Only the standard library is used: the process that keeps the connection (`live.relay`) is small.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

__all__ = ["ImdConnection", "ImdError", "RawFrame"]

DISCONNECT, ENERGIES, FCOORDS, GO, HANDSHAKE, KILL = 0, 1, 2, 3, 4, 5
TRATE, IOERROR, SESSIONINFO, TIME, BOX, VELOCITIES, FORCES = 8, 9, 10, 12, 13, 14, 15
#: Parts of a frame of version 3, in the order of the flags in its session information; the fifth
#: flag says how coordinates are wrapped and is no part.
_PARTS = (TIME, ENERGIES, BOX, FCOORDS, None, VELOCITIES, FORCES)
_FIXED = {ENERGIES: 40, TIME: 24, BOX: 36}
_VECTORS = (FCOORDS, VELOCITIES, FORCES)
_HEADER = struct.Struct("!ii")
#: Atoms beyond which a length is taken for nonsense: 2.4 GB of coordinates.
MOST_ATOMS = 200_000_000


class ImdError(Exception):
    """What comes is not IMD, or breaks off in the middle."""


@dataclass(frozen=True)
class RawFrame:
    """One frame as it came.

    Attributes
    ----------
    coordinates : bytes
        Three 4-byte floats an atom, Angstrom, in `order`.
    box : tuple of 9 float, or None
        Vectors in rows.
    step, time, dt : number or None
        In the units of the simulation.
    temperature, energy : float or None
        As version 2 and some programs send them; no unit is promised.
    order : {'<', '>'}
        Byte order of the coordinates.
    """

    coordinates: bytes
    box: tuple[float, ...] | None = None
    step: int | None = None
    time: float | None = None
    dt: float | None = None
    temperature: float | None = None
    energy: float | None = None
    order: str = "<"


class ImdConnection:
    """A client of one simulation.

    Parameters
    ----------
    host, port
        Where the simulation listens.
    timeout : float, s
        For the connection and the handshake. Frames are waited for without end.

    Raises
    ------
    ImdError
        What listens does not speak IMD, of a version that is not known, or sends no coordinates.
    OSError
        Nothing listens.
    """

    def __init__(self, host: str, port: int, timeout: float = 10.0) -> None:
        self.socket = socket.create_connection((host, port), timeout)
        try:
            # A client that waits for its name on the network for days must notice that it is gone.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._greet()
        except TimeoutError as error:
            self.socket.close()
            raise ImdError(f"no handshake came within {timeout:.0f} s") from error
        except (EOFError, ConnectionError) as error:
            self.socket.close()
            raise ImdError("no handshake came, the connection was closed") from error
        except BaseException:
            self.socket.close()
            raise
        self.socket.settimeout(None)

    def _greet(self) -> None:
        kind, length = self._header()
        if kind != HANDSHAKE:
            raise ImdError(f"expected a handshake of IMD, got a packet of type {kind}")
        version = _HEADER.pack(0, length)[4:]
        for order in "<>":
            self.version = struct.unpack(f"{order}i", version)[0]
            if self.version in (2, 3):
                self.order = order
                break
        else:
            raise ImdError(f"expected IMD version 2 or 3, got {version.hex()}")
        self.parts: tuple[int, ...] = (FCOORDS,)
        if self.version == 3:
            kind, length = self._header()
            if kind != SESSIONINFO or length != len(_PARTS):
                raise ImdError(f"expected session information, got type {kind}, length {length}")
            flags = self._read(len(_PARTS))
            self.parts = tuple(p for p, flag in zip(_PARTS, flags, strict=True) if flag and p)
            if FCOORDS not in self.parts:
                raise ImdError("the simulation sends no coordinates; switch them on (coordinates)")
        self._say(GO)

    def frame(self) -> RawFrame | None:
        """The next frame; None when the simulation has closed the connection.

        Raises
        ------
        ImdError
            A packet makes no sense.
        """
        found: dict[int, bytes] = {}
        last = self.parts[-1]
        while last not in found:
            try:
                kind, length = self._header()
                if kind == DISCONNECT:
                    return None
                if kind == IOERROR:
                    raise ImdError("the simulation reports an error of its socket")
                found[kind] = self._read(self._size(kind, length))
            except (EOFError, ConnectionError):
                return None  # what came of the frame is not whole
        return self._built(found)

    def _size(self, kind: int, length: int) -> int:
        if kind in _FIXED and length >= 0:
            return _FIXED[kind]
        if kind in _VECTORS and 0 < length <= MOST_ATOMS:
            return 12 * length
        raise ImdError(f"a packet of type {kind} and length {length} makes no sense")

    def _built(self, found: dict[int, bytes]) -> RawFrame:
        if FCOORDS not in found:
            raise ImdError("a frame came without coordinates")
        step = time = dt = temperature = energy = None
        if ENERGIES in found:
            values = struct.unpack(f"{self.order}i9f", found[ENERGIES])
            step, temperature, energy = int(values[0]), float(values[1]), float(values[3])
        if TIME in found:
            dt, time, step = struct.unpack(f"{self.order}ddq", found[TIME])
        box = struct.unpack(f"{self.order}9f", found[BOX]) if BOX in found else None
        return RawFrame(found[FCOORDS], box, step, time, dt, temperature, energy, self.order)

    def set_rate(self, steps: int) -> None:
        """Ask for a frame every so many steps."""
        self._say(TRATE, steps)

    def kill(self) -> None:
        """Ask the simulation to end."""
        self._say(KILL)

    def close(self) -> None:
        """Say goodbye and close."""
        try:
            self._say(DISCONNECT)
        except OSError:
            pass
        finally:
            self.socket.close()

    def _say(self, kind: int, value: int = 0) -> None:
        self.socket.sendall(_HEADER.pack(kind, value))

    def _header(self) -> tuple[int, int]:
        kind, length = _HEADER.unpack(self._read(_HEADER.size))
        return kind, length

    def _read(self, size: int) -> bytes:
        buffer = bytearray(size)
        view, have = memoryview(buffer), 0
        while have < size:
            got = self.socket.recv_into(view[have:])
            if not got:
                raise EOFError
            have += got
        return bytes(buffer)
