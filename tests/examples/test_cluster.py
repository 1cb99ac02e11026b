"""The Slurm examples: their job scripts, and a run with a stand-in for Slurm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.io import write

from ase_crystalnet import crystals
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from tests.support import REPOSITORY

pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")

EXAMPLES = REPOSITORY / "examples" / "cluster"


def slurm(*words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if path is not None:
        environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        [sys.executable, str(EXAMPLES / "slurm.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=300,  # a job that never comes would be waited for without end
    )


def test_the_job_script_has_one_thread_a_process() -> None:
    done = slurm("--show", "--queue", "normal", "--cores", "8", "--memory", "16GB", "md.xyz")
    assert done.returncode == 0, done.stderr
    for line in ("#SBATCH -p normal", "#SBATCH --cpus-per-task=8", "#SBATCH --mem=15G"):
        assert line in done.stdout
    assert "--nthreads 1" in done.stdout and "--nworkers 8" in done.stdout
    assert sys.executable in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_the_script_for_one_node_passes_its_arguments_on(tmp_path: Path) -> None:
    command = tmp_path / "crystalnet"
    command.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "SLURM_CPUS_PER_TASK": "32"}
    environment["PATH"] = f"{tmp_path}{os.pathsep}{environment['PATH']}"
    script = ["bash", str(EXAMPLES / "node.sh"), "md file.xyz", "-o", "run.h5"]
    done = subprocess.run(script, capture_output=True, text=True, check=True, env=environment)
    words = ["analyze", "md file.xyz", "-o", "run.h5", "--resume", "--workers", "32"]
    assert done.stdout.splitlines() == words


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_run_where_jobs_run_at_once(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "sbatch").write_text(
        # The script is a temporary file: like the real command, this one keeps a copy of it.
        '#!/bin/bash\ncp "$1" "job.$$.sh"\nbash "job.$$.sh" >job.out 2>&1 </dev/null &\n'
        'echo "Submitted batch job $!"\n'
    )
    (commands / "scancel").write_text('#!/bin/bash\nkill "$@"\n')
    for command in commands.iterdir():
        command.chmod(0o755)
    write("md.traj", [crystals.supercell(crystals.bcc(), 150, sigma=s, rng=rng) for s in (0, 0.1)])
    done = slurm("--cores", "1", "--memory", "4GB", "md.traj", "-o", "a.h5", path=commands)
    assert done.returncode == 0, done.stderr
    with ResultFile("a.h5") as file:
        fractions = file.trajectory().class_fractions
        assert fractions[:, file.classes.index("bcc")].min() > 0.9
