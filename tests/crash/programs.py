"""What is killed: commands in a process of their own, which tell how far they have come."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase_crystalnet.io.results.outputs import Outputs
from tests.support.fakes import FakeAnalyzer

PATIENCE = 120  # s until a process that says nothing counts as hanging


class Slow(FakeAnalyzer):
    """Takes a few milliseconds a frame, so that a signal can meet it anywhere."""

    def analyze(self, *arguments: Any, **options: Any) -> Any:
        time.sleep(0.003)
        return super().analyze(*arguments, **options)


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
                self.kill()
                raise TimeoutError(f"hangs after {self.steps()[-1:]}")
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

    def go_on(self) -> None:
        """Let a process go on that waits at a step."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.answer, b".")

    def end(self, patience: float = PATIENCE) -> int:
        """Wait for its end: the exit code, or minus the signal that ended it."""
        deadline = time.monotonic() + patience
        while self.running():
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"hangs after {self.steps()[-1:]}")
            time.sleep(0.002)
        self.steps()
        os.close(self.told)
        os.close(self.answer)
        assert self.status is not None
        return os.waitstatus_to_exitcode(self.status)


def start(program: Callable[[Callable[[str], None]], None], limit: int | None = None) -> Child:
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
    if pid:
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        os.close(telling)
        os.close(listening)
        return Child(pid, told, answer)
    code = 99
    try:
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
        held = _held_steps
        waits = set() if held is None else {held}

        def tell(step: str) -> None:
            os.write(telling, f"{step}\n".encode())
            if step in waits:
                waits.discard(step)
                os.read(listening, 1)

        program(tell)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        code = 130
    finally:
        os._exit(code)


_held_steps: str | None = None


@contextlib.contextmanager
def held_at(step: str | None) -> Iterator[None]:
    """Processes started meanwhile wait at this step until they may go on."""
    global _held_steps
    _held_steps = step
    try:
        yield
    finally:
        _held_steps = None


def analyze(*options: str, die_at: str | None = None) -> Callable[[Callable[[str], None]], None]:
    """The command `crystalnet analyze md.traj`, with an analyzer that needs no model.

    It tells ``append N`` after each frame and the steps of finishing; at `die_at` it kills itself.
    """

    def program(tell: Callable[[str], None]) -> None:
        from ase_crystalnet import cli
        from ase_crystalnet.cli import analyze as command

        def step(_: Outputs, name: str) -> None:
            tell(name)
            if name == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

        append = Outputs.append

        def told(outputs: Outputs, frame: Any, analysis: Any) -> None:
            append(outputs, frame, analysis)
            tell(f"append {frame.number}")

        # In this process, which ends here.
        command.make_analyzer = lambda *_, **__: Slow()  # type: ignore[assignment]
        Outputs._step, Outputs.append = step, told  # type: ignore[method-assign]
        sys.argv = ["crystalnet", "analyze", "md.traj", "--quiet", *options]
        cli.main()

    return program


def apt(analysis: Any, times: int) -> Callable[[Callable[[str], None]], None]:
    """What `crystalnet apt -o a.h5 --overwrite` does with its result, again and again."""

    def program(tell: Callable[[str], None]) -> None:
        from ase_crystalnet.atom_probe.output.files import write_outputs
        from ase_crystalnet.cli.errors import one_line_errors

        @one_line_errors
        def command() -> None:
            for number in range(times):
                write_outputs([Path("a.h5")], analysis, None)  # type: ignore[arg-type]
                tell(f"written {number}")

        import typer

        try:
            command()
        except typer.Exit as error:
            raise SystemExit(error.exit_code) from None

    return program


def xrd(times: int) -> Callable[[Callable[[str], None]], None]:
    """The command `crystalnet xrd classify`, again and again."""

    def program(tell: Callable[[str], None]) -> None:
        from ase_crystalnet.cli.app import app

        outputs = ["-o", "a.json", "-o", "a.csv", "--overwrite"]
        for number in range(times):
            arguments = ["xrd", "classify", "salt.xy", "--model", "none", "-q", *outputs]
            code = app(arguments, standalone_mode=False)
            if code:
                raise SystemExit(code)
            tell(f"written {number}")

    return program
