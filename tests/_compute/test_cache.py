"""Kept compiled loops: good for exactly the sources they came from, wherever they are kept."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ase_crystalnet
from ase_crystalnet._compute.cache import kernel_sources, state
from tests.support import REPOSITORY

PACKAGE = REPOSITORY / "ase_crystalnet"
CALLEE = """
from ase_crystalnet._compute.options import STRICT, njit

@njit(**STRICT)
def inner(x):
    return x + {}
"""
CALLER = """
from ase_crystalnet._compute.options import STRICT, njit
from ase_crystalnet._kernels.callee import inner

@njit(**STRICT)
def outer(x):
    return 10 * inner(x)
"""
CALL = """
from ase_crystalnet._kernels.caller import outer
print(outer(1), sum(outer.stats.cache_hits.values()))
"""


class Copy:
    """The part of the package that compiles, with a loop that calls one of another file.

    Parameters
    ----------
    folder : Path
        Where to make it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "ase_crystalnet"
        source = Path(ase_crystalnet.__file__).parent / "_compute"
        shutil.copytree(
            source, self.package / "_compute", ignore=shutil.ignore_patterns("__pycache__")
        )
        self.kernels = self.package / "_kernels"
        self.kernels.mkdir()
        for place in (self.package, self.kernels):
            (place / "__init__.py").touch()
        (self.kernels / "caller.py").write_text(CALLER)
        self.write(1)

    def write(self, number: int) -> None:
        """Change the callee alone."""
        (self.kernels / "callee.py").write_text(CALLEE.format(number))

    def start(self, code: str = CALL, **environment: str) -> subprocess.Popen[str]:
        """Call the caller in a fresh process."""
        kept = {
            k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
        }
        return subprocess.Popen(
            [sys.executable, "-B", "-c", code],
            env={**kept, "PYTHONPATH": str(self.folder), **environment},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, **environment: str) -> list[int]:
        """Its answer, and how often it was read from the cache."""
        return answer(self.start(**environment))


def answer(process: subprocess.Popen[str]) -> list[int]:
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return [int(word) for word in out.split()]


def caches(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.nb[ic]") if "outer" in path.name)


@pytest.mark.parametrize("place", ["package", "user", "home"])
def test_an_unchanged_caller_sees_a_changed_callee(tmp_path: Path, place: str) -> None:
    copy = Copy(tmp_path)
    kept = copy.kernels
    environment = {}
    if place == "user":
        kept = tmp_path / "kept"
        environment["NUMBA_CACHE_DIR"] = str(kept)
    elif place == "home":
        kept = tmp_path / "home"
        kept.mkdir()
        environment["HOME"] = str(kept)
        for folder in (copy.package / "_compute", copy.kernels):  # not even root can write there
            (folder / "__pycache__").write_text("a file, so that no folder has this name")
    assert copy.call(**environment) == [20, 0]
    assert copy.call(**environment) == [20, 1]
    first = caches(kept)
    assert len(first) == 2
    copy.write(2)
    assert copy.call(**environment) == [30, 0]
    assert copy.call(**environment) == [30, 1]
    # Nothing is heaped up: the new files took the place of the old.
    assert len(caches(kept)) == 2 and not set(caches(kept)) & set(first)


def test_what_numba_itself_kept_is_not_read_and_removed(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    assert copy.call() == [20, 0]
    kept = copy.kernels / "__pycache__"
    mark = state(copy.package)
    for path in list(kept.iterdir()):  # as earlier versions of the package named them
        path.rename(kept / path.name.replace(f"-{mark}", ""))
    other = kept / "caller.outer-5.py27.nbi"
    other.write_text("of another Python")
    assert copy.call() == [20, 0]
    assert len(caches(copy.kernels)) == 3 and other.exists()


def test_without_a_place_nothing_is_kept(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    for folder in (copy.package / "_compute", copy.kernels):
        (folder / "__pycache__").write_text("a file, so that no folder has this name")
    for number, expected in ((1, 20), (2, 30)):
        copy.write(number)
        assert copy.call(HOME=os.devnull) == [expected, 0]


def test_processes_that_start_at_once_after_a_change(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.call()
    for number in (2, 3):
        copy.write(number)
        for process in [copy.start() for _ in range(4)]:
            assert answer(process)[0] == 10 * (1 + number)
    assert len(caches(copy.kernels)) == 2
    assert not list(copy.kernels.rglob("*.tmp.*"))


def test_a_process_whose_sources_change_under_it_keeps_nothing(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    code = (
        "import sys\n"
        "from ase_crystalnet._kernels.callee import inner\n"
        "from pathlib import Path\n"
        "from ase_crystalnet._kernels import callee\n"
        f"Path(callee.__file__).write_text({CALLEE.format(7)!r})\n" + CALL
    )
    assert answer(copy.start(code)) == [20, 0]
    assert caches(copy.kernels) == []
    copy.write(1)
    assert copy.call() == [20, 0]


def test_the_state_is_that_of_content_names_and_nothing_else(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    first = state(copy.package)
    assert len(first) == 16 and state(copy.package) == first
    os.utime(copy.kernels / "callee.py", (1, 1))
    (copy.package / "plain.py").write_text("x = 1")
    assert state(copy.package) == first
    copy.write(2)
    second = state(copy.package)
    (copy.kernels / "caller.py").rename(copy.kernels / "other.py")
    assert len({first, second, state(copy.package)}) == 3
    assert state(tmp_path / "no sources here") == ""


def imported(path: Path) -> list[tuple[str, set[str]]]:
    """Modules a file imports from, and the names."""
    return [
        (node.module or "", {alias.name for alias in node.names})
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
    ]


def test_all_that_is_compiled_is_known_and_compiled_here() -> None:
    known = set(kernel_sources(PACKAGE))
    for path in [*PACKAGE.rglob("*.py"), *(REPOSITORY / "ovito_modifier").rglob("*.py")]:
        for module, names in imported(path):
            if "njit" in names:
                assert path in known, f"{path}: compiled loops belong into _kernels"
                assert module.startswith("ase_crystalnet._compute."), f"{path}: njit of {module}"
        assert path in known or "@njit" not in path.read_text(encoding="utf-8"), path


def test_nothing_unknown_is_compiled_in() -> None:
    """Constants, too, are compiled into the loops that use them."""
    known = set(kernel_sources(PACKAGE))
    waiting = [path for path in known if "@njit" in path.read_text(encoding="utf-8")]
    assert len(waiting) > 15
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        for module, names in imported(path):
            if not module.startswith("ase_crystalnet"):
                continue
            source = REPOSITORY.joinpath(*module.split("."))
            for name in names:
                found = {source.with_suffix(".py"), source / f"{name}.py"} & known
                assert found, f"{path} imports {name} of {module}, whose changes nobody would see"
                waiting += found - seen
                seen |= found
