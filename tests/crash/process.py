"""A process that is forked, tells how far it has come, waits where it is told to, and is killed."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.crash.sabotage import SABOTAGES

#: What programs import; TensorFlow and Dask start threads, and are left to those that need them.
WARM = (
    "ase.io.extxyz", "ase.io.trajectory", "ase.neighborlist", "h5py", "matplotlib.figure",
    "matplotlib.backends.backend_agg", "PIL.PngImagePlugin", "numba", "scipy.spatial",
    "scipy.stats", "scipy.optimize", "scipy.ndimage", "rich.progress", "rich.console",
    "typer._adapters",
    "ase_crystalnet.cli", "ase_crystalnet.cli.app", "ase_crystalnet.frames.observer",
    "ase_crystalnet.frames.run", "ase_crystalnet.frames.processes",
    "ase_crystalnet.io.results.outputs", "ase_crystalnet.atom_probe.analysis",
    "ase_crystalnet.atom_probe.output.files", "ase_crystalnet.atom_probe.files.reconstruction",
    "ase_crystalnet.xrd.answer.library", "ase_crystalnet.plotting",
)  # fmt: skip

Tell = Callable[[str], None]
Program = Callable[[Tell], None]

PATIENCE = 240  # s until a process that says nothing counts as hanging


@dataclass
class Child:
    """A process that was forked, and what it says.

    Attributes
    ----------
    pid : int
    told, answer : int
        Pipes: steps that it has come to, one line each; and our word that it may go on.
    """

    pid: int
    told: int
    answer: int
    text: bytes = b""
    status: int | None = None
    hung: bool = False

    def steps(self) -> list[str]:
        """Steps told so far."""
        while select.select([self.told], [], [], 0)[0]:
            if not (more := os.read(self.told, 65536)):
                break
            self.text += more
        return self.steps_told

    @property
    def steps_told(self) -> list[str]:
        """Steps told until it ended."""
        return self.text.decode().split("\n")[:-1]

    def wait_for(self, count: int) -> None:
        """Wait until that many steps are told, or the process has ended."""
        deadline = time.monotonic() + PATIENCE
        while len(self.steps()) < count and self.running():
            if time.monotonic() > deadline:
                self.give_up()
                return
            select.select([self.told], [], [], 0.05)

    def wait_until(self, step: str) -> None:
        """Wait until it has come to this step, or has ended without."""
        deadline = time.monotonic() + PATIENCE
        while step not in self.steps() and self.running():
            if time.monotonic() > deadline:
                self.give_up()
                return
            select.select([self.told], [], [], 0.05)

    def running(self) -> bool:
        """Whether it has not ended."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
        return self.status is None

    def send(self, number: int) -> None:
        """Send a signal as a terminal does: Ctrl-C to the workers too."""
        if self.running():
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if number == signal.SIGINT else os.kill)(self.pid, number)

    def kill(self) -> None:
        """End it and its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def give_up(self) -> None:
        """Kill a process that says nothing any more."""
        self.hung = True
        self.kill()

    def go_on(self) -> None:
        """Let a process go on that waits at a step."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.answer, b".")

    def end(self, patience: float = PATIENCE) -> int:
        """Wait for its end: the exit code, or minus the signal that ended it."""
        deadline = time.monotonic() + patience
        while self.running():
            if time.monotonic() > deadline:
                self.give_up()
            time.sleep(0.002)
        self.steps()
        for handle in (self.told, self.answer):
            os.close(handle)
            _ours.discard(handle)
        assert self.status is not None
        return os.waitstatus_to_exitcode(self.status)


def warm_up() -> None:
    """Import what the programs need, so that they begin at once; none of it starts a thread."""
    import typer.main

    from ase_crystalnet.cli.app import app

    for name in WARM:
        importlib.import_module(name)
    # The tree of commands too is made once.
    typer.main.get_command = functools.cache(typer.main.get_command)
    typer.main.get_command(app)


def start(program: Program, limit: int | None = None) -> Child:
    """Run a program in a forked process.

    Parameters
    ----------
    program : callable
        Is handed a function that tells a step.
    limit : int, optional
        Largest file that it may write, bytes.
    """
    told, telling = os.pipe()
    listening, answer = os.pipe()
    pid = os.fork()
    _ours.update((told, answer))
    if pid:
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        os.close(telling)
        os.close(listening)
        return Child(pid, told, answer)
    code = 99
    try:
        # A process that waits must notice when this one is gone: it may hold no end of ours.
        for handle in _ours:
            os.close(handle)
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        place = "messages" if limit is None else os.devnull
        quiet = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        waits = set() if _held is None else {_held}
        if _sabotage is not None:
            SABOTAGES[_sabotage]()

        def tell(step: str) -> None:
            os.write(telling, f"{step}\n".encode())
            if step in waits:
                waits.discard(step)
                os.read(listening, 1)

        code = _exit_code(program, tell)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        # A signal may come now too: this process must not go on where it was forked.
        try:
            os._exit(code)
        except KeyboardInterrupt:
            os._exit(130)


def _exit_code(program: Program, tell: Tell) -> int:
    """Run a program; what it exits with."""
    try:
        program(tell)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 0


#: Ends of pipes that this process has open.
_ours: set[int] = set()
_held: str | None = None
_sabotage: str | None = None


@contextlib.contextmanager
def held_at(step: str | None) -> Iterator[None]:
    """Processes started meanwhile wait at this step until they may go on."""
    global _held
    _held = step
    try:
        yield
    finally:
        _held = None


def sabotage(name: str | None) -> None:
    """From now on, processes that are started lack a protection (see `sabotage.SABOTAGES`)."""
    global _sabotage
    _sabotage = name
