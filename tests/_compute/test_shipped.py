"""Compiled loops that come with the package: used where they are good, and nowhere else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet._compute import shipped
from ase_crystalnet._compute.shipped import LEVELS, best_level
from ase_crystalnet._compute.signatures import read, types_of, written
from tests._compute.test_cache import Copy, answer
from tests.support import REPOSITORY

HOST = best_level()
needs_level = pytest.mark.skipif(HOST is None, reason="a processor of no level")
#: The answer, and how many loops were compiled for it.
CALL = """
from ase_crystalnet._compute.compiling import compilation
from ase_crystalnet._kernels.caller import outer
print({}, compilation.loops)
"""
ANSWER = CALL.format("outer(1)")
#: Another caller of both, of which nothing came.
THIRD = """
from ase_crystalnet._compute.options import STRICT, njit
from ase_crystalnet._kernels.callee import inner
from ase_crystalnet._kernels.caller import outer

@njit(**STRICT)
def third(x):
    return inner(x) + outer(x)
"""


def compiled_ahead(copy: Copy, table: str) -> Path:
    """Put compiled loops into a copy of the package; the archive."""
    (copy.package / "_compute" / "signatures.txt").write_text(table)
    folder = copy.package / "_compiled"
    done = subprocess.run(
        [sys.executable, "-m", "ase_crystalnet._compute.ahead", str(folder), "--jobs", "1"],
        env={**os.environ, "PYTHONPATH": str(copy.folder)},
        cwd=copy.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.iterdir()
    assert HOST is not None and path.name == f"{HOST.name}.zip"
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with compiled loops, for the tests to copy again."""
    copy = Copy(tmp_path_factory.mktemp("original"))
    compiled_ahead(copy, "# a remark\nase_crystalnet._kernels.caller.outer: i8\n")
    return copy.folder


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Copy:
    found = Copy(tmp_path)
    for name in ("_compute", "_compiled"):
        shutil.rmtree(found.package / name, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(original / "ase_crystalnet" / name, found.package / name, ignore=ignored)
    return found


def archive(copy: Copy) -> Path:
    (path,) = (copy.package / "_compiled").iterdir()
    return path


@needs_level
def test_a_first_answer_without_a_compiler(copy: Copy) -> None:
    assert answer(copy.start(ANSWER)) == [20, 0]
    # Nothing is kept a second time.
    assert not list(copy.kernels.rglob("*.nbc"))
    # Other types than those that were foreseen are compiled as ever.
    assert answer(copy.start(CALL.format("int(outer(1.0))"))) == [20, 2]


@needs_level
def test_without_a_place_to_keep_anything(copy: Copy) -> None:
    for folder in (copy.package / "_compute", copy.kernels):
        (folder / "__pycache__").write_text("a file, so that no folder has this name")
    assert answer(copy.start(ANSWER, HOME=os.devnull)) == [20, 0]


@needs_level
@pytest.mark.parametrize(
    "environment",
    [{"CRYSTALNET_LEVEL": "none"}, {"NUMBA_CPU_NAME": "generic"}, {"NUMBA_CPU_FEATURES": "+sse2"}],
    ids=lambda given: next(iter(given)),
)
def test_whoever_says_what_to_compile_for_is_obeyed(copy: Copy, environment: dict) -> None:
    assert answer(copy.start(ANSWER, **environment)) == [20, 2]


@needs_level
def test_other_sources_are_compiled(copy: Copy) -> None:
    copy.write(2)
    assert answer(copy.start(ANSWER)) == [30, 2]


@needs_level
@pytest.mark.parametrize("what", ["state", "python", "target"])
def test_code_of_other_circumstances_is_left_alone(copy: Copy, what: str) -> None:
    path = archive(copy)
    with zipfile.ZipFile(path) as old:
        held = {name: old.read(name) for name in old.namelist()}
    about = shipped.ABOUT
    ours = shipped.circumstances("")[what].encode() or held[about].split(b'"')[3]
    assert held[about].count(ours) == 1
    held[about] = held[about].replace(ours, b"another")
    with zipfile.ZipFile(path, "w") as new:
        for name, content in held.items():
            new.writestr(name, content)
    assert answer(copy.start(ANSWER)) == [20, 2]


def damaged(content: bytes, how: str) -> bytes:
    """An archive that was cut short, or of which one byte of a loop's code is another."""
    if how == "empty":
        return b""
    if how == "cut":
        return content[: len(content) // 2]
    where = len(content) // 2
    return content[:where] + bytes([content[where] ^ 255]) + content[where + 1 :]


@needs_level
@pytest.mark.parametrize("how", ["empty", "cut", "a byte"])
def test_a_damaged_archive_is_said_and_done_without(copy: Copy, how: str) -> None:
    path = archive(copy)
    path.write_bytes(damaged(path.read_bytes(), how))
    process = copy.start(ANSWER)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0 and out.split() == ["20", "2"], error
    assert error.count("cannot be read") == 1 and "Installing the package again" in error


@needs_level
def test_a_loop_that_came_is_compiled_into_another(tmp_path: Path) -> None:
    """Callees bring what a caller needs; of callers nothing but their machine code came."""
    copy = Copy(tmp_path)
    (copy.kernels / "third.py").write_text(THIRD)
    names = ("callee.inner", "caller.outer", "third.third")
    table = "".join(f"ase_crystalnet._kernels.{name}: i8\n" for name in names[:2])
    compiled_ahead(copy, table)
    code = (
        "from ase_crystalnet._compute.compiling import compilation\n"
        "from ase_crystalnet._kernels.caller import outer\n"
        "first = outer(1), compilation.loops\n"
        "from ase_crystalnet._kernels.third import third\n"
        "print(*first, third(1), compilation.loops)"
    )
    assert answer(copy.start(code)) == [20, 0, 22, 1]


def features(level: str) -> dict[str, bool]:
    found = next(one for one in LEVELS if one.name == level)
    return dict.fromkeys(found.features, True)


def test_the_best_level_that_a_processor_has() -> None:
    full = features("x86-64-v4") | {"amx-tile": True}
    for limit, expected in (("", "v4"), ("x86-64-v3", "v3"), ("x86-64-v2", "v2")):
        found = best_level("x86_64", full, limit=limit)
        assert found is not None and found.name == f"x86-64-{expected}"
    assert best_level("x86_64", full, limit="none") is None
    with pytest.raises(ValueError, match="CRYSTALNET_LEVEL is 'best'; expected x86-64-v4, "):
        best_level("x86_64", full, limit="best")
    # One feature less, as under a hypervisor, is one level less.
    for missing, expected in (("avx512vl", "v3"), ("fma", "v2"), ("sse4.2", None)):
        found = best_level("x86_64", full | {missing: False})
        assert (found and found.name[-2:]) == expected
    third = best_level("AMD64", full, among=lambda name: name == "x86-64-v3")
    assert third is not None and third.name == "x86-64-v3"
    arm = best_level("aarch64", {"neon": True})
    assert arm is not None and arm.name == "arm64"
    assert best_level("riscv64", full) is None


def test_types_are_read_as_they_are_written() -> None:
    entries = read()
    assert len(entries) > 25
    for entry in entries:
        assert written(*entry[:2], types_of(entry)) == entry


#: Labels, order and probabilities of the windows of a hot crystal.
FRAME = """
import json
from ase.build import bulk
from ase_crystalnet import CrystalNet
atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(4)
atoms.rattle(0.1, seed=5)
found = CrystalNet().analyze(atoms, centers="grid")
print(json.dumps([found.labels.tolist(), found.order.tolist(), found.probabilities.tolist()]))
"""


@pytest.mark.slow
@needs_level
def test_an_installed_wheel_compiles_nothing(tmp_path: Path) -> None:
    """On every way through the package, with the code of every level that this processor runs."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    pytest.importorskip("numba")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    levels = [
        level
        for level in ("x86-64-v3", "x86-64-v4", "arm64")
        if (found := best_level(limit=level)) is not None and found.name == level
    ]
    subprocess.run(
        build,
        cwd=REPOSITORY,
        env={**os.environ, "CRYSTALNET_BUILD_LEVELS": ",".join(levels)},
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert "-none-any" not in wheel.name
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "installed")
    places = (tmp_path / "installed" / "ase_crystalnet" / "_compiled").iterdir()
    assert sorted(path.stem for path in places) == sorted(levels)

    def said(level: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-B", *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(tmp_path / "installed"),
                "NUMBA_CACHE_DIR": str(tmp_path / "kept"),
                "CRYSTALNET_LEVEL": level,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    answers = []
    for level in levels:
        lines = said(level, str(REPOSITORY / "benchmarks" / "loops.py")).splitlines()
        assert len(lines) >= 5 and all(": 0 loops" in line for line in lines), lines
        answers.append(json.loads(said(level, "-c", FRAME)))
    assert not list((tmp_path / "kept").rglob("*.nbc"))
    labels, order, probabilities = zip(*answers, strict=True)
    for other in range(1, len(levels)):
        assert labels[other] == labels[0]
        np.testing.assert_allclose(order[other], order[0], atol=1e-5)
        np.testing.assert_allclose(probabilities[other], probabilities[0], atol=1e-4)


@pytest.mark.slow
def test_a_wheel_without_compiled_loops_is_for_everyone(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    for levels, said in (("none", ""), ("vax", "not compiled into the wheel")):
        folder = tmp_path / levels
        done = subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
            cwd=REPOSITORY,
            env={**os.environ, "CRYSTALNET_BUILD_LEVELS": levels},
            capture_output=True,
            text=True,
            check=True,
        )
        assert said in done.stderr + done.stdout
        (wheel,) = folder.glob("*.whl")
        assert wheel.name.endswith("-py3-none-any.whl")
        with zipfile.ZipFile(wheel) as file:
            assert not [name for name in file.namelist() if "_compiled" in name]
