"""What an installation costs: MB, packages, and the first answers with empty caches.

    python benchmarks/installation.py [--extras train] [--levels host] [--json FILE]

Makes a virtual environment in a temporary folder, builds the wheel of this checkout and installs it
there with its dependencies. Times are of the processor (user and system), of one thread, and of the
clock. ``--levels none`` builds a wheel without compiled loops, as all were before.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from common import markdown, show, write_json

CHECKOUT = Path(__file__).resolve().parents[1]
CELL = "from ase.build import bulk; bulk('Cu', cubic=True).repeat(2).write('cu.extxyz')"

NAMES = "from importlib.metadata import distributions as d; print(*(p.name for p in d()))"


def megabytes(folder: Path) -> float:
    """Size on disk of what is in a folder, as `du` counts it."""
    return sum(path.lstat().st_blocks for path in folder.rglob("*")) * 512 / 2**20


def seconds(place: Path, *command: str, **variables: str) -> tuple[float, float]:
    """Processor seconds and seconds of a command in a folder."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "NUMBA_CACHE_DIR": str(place / "numba"),
        "NUMBA_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(command, cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--extras", default="", help="extras to install, by commas")
    parser.add_argument("--levels", default="host", help="of compiled loops: host, all, none")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        venv.create(place / "venv", with_pip=True)
        programs = place / "venv" / "bin"
        pip = str(programs / "pip"), "--quiet", "--disable-pip-version-check"
        empty = megabytes(place / "venv")
        build = (*pip, "wheel", "--no-deps", "-w", str(place), str(CHECKOUT))
        built = seconds(place, *build, CRYSTALNET_BUILD_LEVELS=given.levels)
        (wheel,) = place.glob("*.whl")
        wanted = f"{wheel}[{given.extras}]" if given.extras else str(wheel)
        subprocess.run([*pip, "install", wanted], check=True)
        listed = subprocess.run(
            [str(programs / "python"), "-c", NAMES], check=True, capture_output=True, text=True
        ).stdout.split()
        found: dict[str, float] = {
            "MB": megabytes(place / "venv"),
            "MB of an empty environment": empty,
            "packages": len(set(listed) - {"pip", "setuptools"}),
            "kB of compiled loops": sum(
                path.stat().st_size for path in (place / "venv").rglob("_compiled/*.zip")
            )
            / 1000,
            "build of the wheel, CPU s": built[0],
            "build of the wheel, s": built[1],
        }
        program = str(programs / "crystalnet")
        subprocess.run([str(programs / "python"), "-c", CELL], cwd=place, check=True)
        for name, arguments in (
            ("--version", ["--version"]),
            ("--help", ["--help"]),
            ("first analysis of 32 atoms", ["analyze", "cu.extxyz"]),
            ("second", ["analyze", "cu.extxyz"]),
        ):
            found[f"{name}, CPU s"], found[f"{name}, s"] = seconds(place, program, *arguments)
    show(markdown(("what", "value"), [(name, f"{value:.4g}") for name, value in found.items()]))
    write_json(given.json, found)


if __name__ == "__main__":
    sys.exit(main())
