"""What is killed: commands, and an observer, that tell each step they come to."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ase_crystalnet.io.results.outputs import Outputs
from tests.crash.full_disk import FullDisk
from tests.crash.process import Program, Tell
from tests.support.fakes import FakeAnalyzer


class Slow(FakeAnalyzer):
    """Takes a few milliseconds a frame, so that a signal can meet it anywhere."""

    def analyze(self, *arguments: Any, **options: Any) -> Any:
        time.sleep(0.003)
        return super().analyze(*arguments, **options)


def die() -> None:
    """End as if somebody had pulled the plug of this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def command(*words: str) -> Program:
    """A `crystalnet` command as it is."""

    def program(tell: Tell) -> None:
        from ase_crystalnet import cli

        tell("begun")
        sys.argv = ["crystalnet", *words]
        cli.main()

    return program


def on_full_disk(program: Program, at: int | None, again: bool = False) -> Program:
    """A program on a disk that is full at its `at`-th write; tells ``writes N`` at its end."""

    def limited(tell: Tell) -> None:
        disk = FullDisk(at, again)
        disk.install()
        try:
            program(tell)
        finally:
            tell(f"writes {disk.count}")

    return limited


def analyze(*options: str, die_at: str | None = None, writes: int | None = None) -> Program:
    """The command `crystalnet analyze md.traj`, with an analyzer that needs no model.

    It tells ``append N`` after each frame and the steps of taking the lock, of finishing and of
    giving the lock back; at the step `die_at`, or at the `writes`-th write of part of a frame, it
    kills itself.
    """

    def program(tell: Tell) -> None:
        from ase_crystalnet import cli
        from ase_crystalnet.cli import analyze as command

        def step(name: str) -> None:
            tell(name)
            if name == die_at:
                die()

        tell_steps(step)
        die_after(writes)
        # In this process, which ends here.
        command.make_analyzer = lambda *_, **__: Slow()  # type: ignore[assignment]
        sys.argv = ["crystalnet", "analyze", "md.traj", "--quiet", *options]
        cli.main()

    return program


def tell_steps(step: Callable[[str], None]) -> None:
    """Have outputs and their locks tell each step between which others could come."""
    from ase_crystalnet.io.results import lock

    begin, append, take, give = (
        Outputs.__init__, Outputs.append, lock.FileLock.acquire, lock.FileLock.release
    )  # fmt: skip
    locking, replace = lock._lock, os.replace
    name = [""]

    def begun(outputs: Outputs, *arguments: Any, **options: Any) -> None:
        begin(outputs, *arguments, **options)
        step("begun")

    def appended(outputs: Outputs, frame: Any, analysis: Any) -> None:
        append(outputs, frame, analysis)
        step(f"append {frame.number}")

    def acquired(one: lock.FileLock) -> None:
        name[0] = one.target.name
        step(f"lock {name[0]}")
        take(one)

    def locked(handle: int) -> None:
        step(f"opened {name[0]}")
        locking(handle)
        step(f"locked {name[0]}")

    def released(one: lock.FileLock) -> None:
        held = one._handle is not None
        give(one)
        if held:
            step(f"released {one.target.name}")

    def replaced(source: Any, target: Any, **options: Any) -> None:
        if str(source).endswith(".part"):
            step(f"replace {Path(target).name}")
        replace(source, target, **options)
        step(f"replaced {Path(target).name}")

    Outputs.__init__, Outputs.append = begun, appended  # type: ignore[method-assign]
    Outputs._step = lambda _, name: step(name)  # type: ignore[method-assign]
    lock.FileLock.acquire, lock.FileLock.release = acquired, released  # type: ignore[method-assign]
    lock._lock, os.replace = locked, replaced


def die_after(writes: int | None) -> None:
    """Have this process kill itself before the `writes`-th part of a frame is written."""
    from ase_crystalnet.io.results import hdf5_writer

    if writes is None:
        return
    extend, left = hdf5_writer._extend, [writes]

    def extended(*arguments: Any) -> None:
        if left[0] == 0:
            # What HDF5 still holds back is written: the worst that a kill can leave.
            arguments[0].file.flush()
            die()
        left[0] -= 1
        extend(*arguments)

    hdf5_writer._extend = extended


def observe(structures: list[Any], lindemann: Any, writes: int | None = None) -> Program:
    """An observer of a simulation that goes on where the file ends; tells ``append N``."""

    def program(tell: Tell) -> None:
        from ase_crystalnet.frames.observer import Observer

        die_after(writes)
        with Observer(Slow(), "o.h5", lindemann=lindemann, resume=True) as observer:
            for atoms in structures[observer.frames :]:
                observer(atoms)
                tell(f"append {observer.frames - 1}")

    return program


def apt_outputs(analysis: Any, times: int) -> Program:
    """What `crystalnet apt -o a.h5 --overwrite` does with its result, again and again."""

    def program(tell: Tell) -> None:
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
