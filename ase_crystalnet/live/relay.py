"""The process between a simulation and its analysis: it takes every frame, and keeps the newest.

A simulation writes to its client and waits until that has read. LAMMPS (at least to 22 Jul 2025)
ends or hangs if a client of ``fix imd`` dies; so the client must not. This process is it: it uses
the standard library alone, reads what comes, and hands the newest frame to the analysis when that
asks, over a socket in a folder that only the user can enter. An analysis may die, be killed and
come back; the simulation does not notice. It ends with the simulation.

    python -m ase_crystalnet.live.relay HOST PORT SOCKET

prints ``ready``, or one line that says what is wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import sys
import threading

from ase_crystalnet.live.protocol import ImdConnection, ImdError, RawFrame

__all__ = ["ALL", "END", "KILL", "LENGTHS", "NEXT", "RATE", "Relay", "relay"]

#: What the analysis asks: the newest frame it has not had, that and that the simulation waits
#: until it has been taken, frames every N steps, the end of the simulation.
NEXT, ALL, RATE, KILL = b"n", b"a", b"r", b"k"
#: Before each answer: bytes of its head (JSON) and of the coordinates.
LENGTHS = struct.Struct("<IQ")
#: In the head of the last answer: why there are no more.
END = "end"

#: Seconds between two looks at whether all is over, and for which the last frame of a simulation
#: that ended before any analysis came is kept.
POLL, PATIENCE = 0.2, 10.0


class Relay:
    """The newest frame of a connection, for any number of analyses.

    Parameters
    ----------
    connection : ImdConnection
    """

    def __init__(self, connection: ImdConnection) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._frame: RawFrame | None = None
        self._received = 0  # frames that came
        self._end: str | None = None
        self._holding: dict[int, int] = {}  # analyses that want every frame: the last each took
        self.served = 0  # analyses so far
        self.serving = 0  # analyses at present

    def drain(self) -> None:
        """Read until the simulation closes the connection."""
        reason = "the simulation closed the connection"
        try:
            while (frame := self._connection.frame()) is not None:
                with self._changed:
                    self._changed.wait_for(self._all_taken)
                    self._frame = frame
                    self._received += 1
                    self._changed.notify_all()
        except ImdError as error:
            reason = str(error)
        with self._changed:
            self._end = reason
            self._changed.notify_all()

    def _all_taken(self) -> bool:
        return all(taken >= self._received for taken in self._holding.values())

    def serve(self, analysis: socket.socket) -> None:
        """Answer an analysis until it, or the simulation, is gone."""
        taken = 0
        try:
            while command := analysis.recv(1):
                if command == RATE:
                    self._connection.set_rate(struct.unpack("<I", analysis.recv(4))[0])
                elif command == KILL:
                    self._connection.kill()
                elif command in (NEXT, ALL):
                    answer = self._next(taken, command == ALL, analysis)
                    if answer is None:
                        break
                    head, body, taken = answer
                    text = json.dumps(head).encode()
                    analysis.sendall(LENGTHS.pack(len(text), len(body)) + text)
                    analysis.sendall(body)
        except OSError:
            pass  # it is gone
        finally:
            analysis.close()
            with self._changed:
                self._holding.pop(id(analysis), None)
                self.serving -= 1
                self._changed.notify_all()

    def _next(
        self, taken: int, hold: bool, analysis: socket.socket
    ) -> tuple[dict[str, object], bytes, int] | None:
        with self._changed:
            if hold:
                # What came before its first question nobody has waited for.
                self._holding.setdefault(id(analysis), taken or max(self._received - 1, 0))
            while self._received == taken and self._end is None:
                self._changed.wait(0.5)
                if _is_gone(analysis):
                    return None
            frame, number = self._frame, self._received
            if number == taken or frame is None:
                return {END: self._end}, b"", taken
            if hold:
                self._holding[id(analysis)] = number
            self._changed.notify_all()
        names = ("box", "step", "time", "dt", "temperature", "energy", "order")
        head = {name: getattr(frame, name) for name in names}
        return {**head, "number": number}, frame.coordinates, number

    @property
    def ended(self) -> bool:
        """Whether the simulation is gone."""
        return self._end is not None


def _is_gone(analysis: socket.socket) -> bool:
    """Whether the other end was closed; nothing else is said while an answer is awaited."""
    analysis.setblocking(False)
    try:
        return analysis.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        analysis.setblocking(True)


def relay(host: str, port: int, place: str) -> None:
    """Connect to a simulation and serve one analysis after the other at a socket `place`.

    Raises
    ------
    OSError, ImdError
        There is no such simulation.
    """
    connection = ImdConnection(host, port)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(place)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(place)
    door.listen(4)
    door.settimeout(POLL)
    middle = Relay(connection)
    threading.Thread(target=middle.drain, daemon=True).start()
    _tell("ready")
    # Whoever reads this is gone one day; a write to its pipe must not end us.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    try:
        patience = PATIENCE
        # A short simulation may be over before its analysis has come.
        while not middle.ended or middle.serving or (not middle.served and patience > 0):
            try:
                analysis, _ = door.accept()
            except TimeoutError:
                patience -= POLL if middle.ended else 0
                continue
            analysis.setblocking(True)
            middle.served += 1
            middle.serving += 1
            threading.Thread(target=middle.serve, args=(analysis,), daemon=True).start()
    finally:
        # In this order: once the door is closed, the name may be that of the next relay's.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)
        door.close()
        connection.close()


def _tell(line: str) -> None:
    """Say how it went to whoever started this process."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """The program; see the head of this file."""
    host, port, place = arguments
    try:
        relay(host, int(port), place)
    except (OSError, ImdError) as error:
        said = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
        _tell(said)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
