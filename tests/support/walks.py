"""Files of the package that one frame or one command goes through: what a reader has to open.

    python -m tests.support.walks

prints the table of docs/architecture.md. Each walk runs twice; only the second run is recorded, so
that imports and compilation do not count. A file counts when one of its functions is entered, a
compiled kernel and the kernels it calls included. Nothing here needs other modules of the tests:
the same file measured the state before the move (`BEFORE`).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType, FunctionType
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import write

__all__ = ["Walk", "table", "walks", "write_samples"]

#: Files, rooms and passages of each walk at commit a9bf58c, before the move; by this file, with the
#: command line imported from where it was.
BEFORE = {
    "one frame, windows": (25, 16, 42),
    "one frame, whole structure": (16, 14, 21),
    "`crystalnet analyze`": (41, 24, 70),
    "`crystalnet apt`": (33, 14, 52),
    "`crystalnet xrd classify`": (14, 5, 17),
    "`crystalnet explain`": (32, 24, 54),
}

RANGES = """[Ions]
Number=2
Ion1=Si
Ion2=Cr
[Ranges]
Number=2
Range1=27.5000 28.5000 Vol:0.02003 Si:1 Color:CCCCCC
Range2=51.5000 52.5000 Vol:0.01200 Cr:1 Color:3366FF
"""
#: Lines of quartz, Cu K-alpha: degrees two-theta and relative intensity.
QUARTZ = (
    (20.86, 22), (26.64, 100), (36.54, 8), (39.47, 8), (40.30, 4), (42.45, 6), (45.79, 4),
    (50.14, 13), (54.87, 4), (59.96, 9), (67.74, 6), (68.14, 7), (68.32, 8), (75.66, 3),
)  # fmt: skip


@dataclass
class Walk:
    """Where a walk has been.

    Attributes
    ----------
    package : Path
        Folder of the package.
    files : set of str
        Files entered, relative to the package.
    passages : set of (str, str)
        Pairs of different files, one of which calls into the other.
    """

    package: Path
    files: set[str] = field(default_factory=set)
    passages: set[tuple[str, str]] = field(default_factory=set)

    @property
    def rooms(self) -> set[str]:
        """Files and folders at the root of the package that were entered."""
        return {name.split("/")[0] for name in self.files}

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Number of files, rooms and passages."""
        return len(self.files), len(self.rooms), len(self.passages)

    def file_of(self, path: str) -> str | None:
        """Name of a file of the package, or None for another's."""
        try:
            name = Path(path).relative_to(self.package).as_posix()
        except ValueError:
            return None
        return None if name.endswith("__init__.py") else name

    def enter(self, path: str, caller: FrameType | None) -> None:
        """Record a call into a file, and the passage from the nearest file of the package."""
        name = self.file_of(path)
        if name is None:
            return
        self.files.add(name)
        while caller is not None:
            before = self.file_of(caller.f_code.co_filename)
            if before is not None:
                if before != name:
                    self.passages.add((before, name))
                return
            caller = caller.f_back

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """For `sys.setprofile`."""
        if event == "call" and frame.f_code.co_name != "<module>":
            self.enter(frame.f_code.co_filename, frame.f_back)

    def kernel(self, function: FunctionType, seen: set[FunctionType] | None = None) -> None:
        """Record a compiled function and those that it calls."""
        seen = set() if seen is None else seen
        if function in seen:
            return
        seen.add(function)
        name = self.file_of(function.__code__.co_filename)
        if name is None:
            return
        self.files.add(name)
        for word in function.__code__.co_names:
            other = _compiled(function.__globals__.get(word))
            if other is not None:
                called = self.file_of(other.__code__.co_filename)
                if called is not None and called != name:
                    self.passages.add((name, called))
                self.kernel(other, seen)


def _compiled(thing: Any) -> FunctionType | None:
    """The Python function of a numba function or intrinsic."""
    for name in ("py_func", "_defn"):
        function = getattr(thing, name, None)
        if isinstance(function, FunctionType) and not isinstance(thing, FunctionType):
            return function
    return getattr(thing, "walked", None)


@contextmanager
def _recorded(walk: Walk) -> Iterator[None]:
    """Record all calls, of Python functions and of compiled ones."""

    def announced(compiled: Any, function: FunctionType) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            walk.enter(function.__code__.co_filename, sys._getframe(1))
            walk.kernel(function)
            return compiled(*arguments, **options)

        call.walked = function  # type: ignore[attr-defined]
        return call

    replaced: list[tuple[dict[str, Any], str, Any]] = []
    for module in [m for n, m in sys.modules.items() if n.startswith("ase_crystalnet")]:
        names = vars(module)
        for name, thing in list(names.items()):
            function = _compiled(thing)
            if function is not None:
                replaced.append((names, name, thing))
                names[name] = announced(thing, function)
    threading.setprofile(walk.profile)
    sys.setprofile(walk.profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
        for names, name, thing in replaced:
            names[name] = thing


def write_samples(folder: Path) -> None:
    """Small files: md.extxyz, tip.pos, tip.rrng, quartz.xy."""
    rng = np.random.default_rng(7)
    crystal = bulk("Cu", cubic=True).repeat((6, 6, 4))
    frames = [crystal.copy() for _ in range(3)]
    for frame in frames:
        frame.positions += rng.normal(0, 0.08, frame.positions.shape)
    write(folder / "md.extxyz", frames)
    ions = np.empty((12_000, 4))
    ions[:, :3] = rng.uniform(-6, 6, (len(ions), 3))  # nanometre
    ions[:, 3] = rng.choice([28.0, 52.0, 40.0], len(ions))
    (folder / "tip.pos").write_bytes(ions.astype(">f4").tobytes())
    (folder / "tip.rrng").write_text(RANGES)
    angle = np.arange(5.0, 90.0, 0.02)
    lines = [height * np.exp(-0.5 * ((angle - at) / 0.06) ** 2) for at, height in QUARTZ]
    np.savetxt(folder / "quartz.xy", np.column_stack([angle, np.sum(lines, axis=0)]))


def interface() -> Atoms:
    """A crystal beside matter without order: windows on both sides, and divided ones."""
    rng = np.random.default_rng(3)
    atoms = bulk("Cu", cubic=True).repeat((4, 4, 10))
    atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    upper = atoms.positions[:, 2] > atoms.cell[2, 2] / 2
    atoms.positions[upper] += rng.normal(0, 1.0, (int(upper.sum()), 3))
    return atoms


def walks() -> dict[str, Walk]:
    """Walk them all, in a temporary folder."""
    import ase_crystalnet
    from ase_crystalnet import CrystalNet
    from ase_crystalnet.cli.app import app

    def command(*words: str) -> Callable[[], Any]:
        return lambda: app(list(words), standalone_mode=False)

    local, whole = CrystalNet(), CrystalNet("ziletti2018")
    mixed, pure = interface(), bulk("Fe", cubic=True)
    ways: dict[str, Callable[[], Any]] = {
        "one frame, windows": lambda: local.analyze(mixed),
        "one frame, whole structure": lambda: whole.analyze(pure),
        "`crystalnet analyze`": command(
            "analyze", "md.extxyz", "-o", "run.h5", "--centers", "grid", "--overwrite"
        ),
        "`crystalnet apt`": command(
            "apt", "tip.pos", "--ranges", "tip.rrng", "-o", "tip.h5", "--window-ions", "250",
            "--overwrite",
        ),
        "`crystalnet xrd classify`": command("xrd", "classify", "quartz.xy"),
        "`crystalnet explain`": command("explain", "fcc", "-o", "fcc.png", "--overwrite"),
    }  # fmt: skip
    package = Path(ase_crystalnet.__file__).parent
    found = {}
    here = Path.cwd()
    with TemporaryDirectory() as folder:
        write_samples(Path(folder))
        os.chdir(folder)
        try:
            for name, way in ways.items():
                way()
                walk = Walk(package)
                with _recorded(walk):
                    way()
                found[name] = walk
        finally:
            os.chdir(here)
    return found


def table(found: dict[str, Walk]) -> str:
    """Markdown: files, rooms and passages before the move and now."""
    lines = [
        "| followed | files: before | now | rooms: before | now | passages: before | now |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, walk in found.items():
        before = [str(number) for number in BEFORE.get(name, ())] or ["", "", ""]
        pairs = zip(before, map(str, walk.numbers), strict=True)
        lines.append(f"| {name} | " + " | ".join(f"{b} | {n}" for b, n in pairs) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    # The commands print their results; the table comes last.
    ways_walked = walks()
    if "--files" in sys.argv:
        for title, each in ways_walked.items():
            sys.stderr.write(f"{title}: {' '.join(sorted(each.files))}\n")
    sys.stdout.write("\n" + table(ways_walked) + "\n")
