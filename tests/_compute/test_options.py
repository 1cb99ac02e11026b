"""How inner loops are compiled: with a cache where there is a place for one, without where not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import ase_crystalnet

SCRIPT = """
import numpy as np
from ase_crystalnet import _compute, windows
from ase_crystalnet._compute.options import CACHE
from ase_crystalnet.geometry import CellList
print(_compute.__file__, CACHE)
points = np.arange(30.0).reshape(10, 3)
print(CellList(points, 1.0).nearest(points, 1, 0.5)[0].ravel().tolist())
"""


def package_without_a_place(folder: Path) -> Path:
    """A copy of the package in which no `__pycache__` can be made, not even by root."""
    source = Path(ase_crystalnet.__file__).parent
    copy = folder / "ase_crystalnet"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for place in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        (place / "__pycache__").write_text("a file, so that no folder has this name")
    return folder


def answer(folder: Path, **environment: str) -> list[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**kept, "PYTHONPATH": str(folder), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(folder))
    return done.stdout.split(maxsplit=1)[1].splitlines()


def test_a_package_that_cannot_be_written_works_without_a_cache(tmp_path: Path) -> None:
    copy = package_without_a_place(tmp_path)
    # A home that is no folder: nothing can be made in it.
    assert answer(copy, HOME=os.devnull) == ["False", str(list(range(10)))]


def test_a_home_that_can_be_written_takes_the_cache(tmp_path: Path) -> None:
    copy = package_without_a_place(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    assert answer(copy, HOME=str(home)) == ["True", str(list(range(10)))]
    assert list(home.rglob("*.nbi"))
