"""Analyse a trajectory on the nodes of a Slurm cluster, through Dask.

    python slurm.py --jobs 4 --cores 32 --memory 64GB md.lammpstrj -o run.h5 --resume

starts four Slurm jobs of 32 processes and hands what it does not know to `crystalnet analyze`.
`--show` prints the job script instead. Run it where the result file is to be written, for instance
on the login node inside tmux, or in a small job of its own; if that dies, run it again. Needs
``pip install 'ase-crystalnet[dask]'`` in an environment that the nodes see.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from dask_jobqueue import SLURMCluster


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="Slurm jobs to keep running")
    parser.add_argument("--cores", type=int, default=16, help="of a job: as many frames at a time")
    parser.add_argument("--memory", default="32GB", help="of a job")
    parser.add_argument("--walltime", default="01:00:00", help="of a job")
    parser.add_argument("--queue", help="partition")
    parser.add_argument("--account", help="project that pays")
    parser.add_argument("--interface", help="network interface of the nodes, such as ib0")
    parser.add_argument("--show", action="store_true", help="print the job script and stop")
    given, rest = parser.parse_known_args()
    with SLURMCluster(
        queue=given.queue,
        account=given.account,
        cores=given.cores,
        # One process a core, each with one frame at a time.
        processes=given.cores,
        memory=given.memory,
        walltime=given.walltime,
        interface=given.interface,
        # The nodes' Python is this one. A node that is slow to start is waited for.
        python=sys.executable,
        death_timeout=600,
    ) as cluster:
        if given.show:
            sys.stdout.write(cluster.job_script())
            return 0
        # Jobs that reach their walltime are replaced; their frames are begun again by others.
        cluster.adapt(minimum_jobs=1, maximum_jobs=given.jobs)
        command = [sys.executable, "-m", "ase_crystalnet.cli.entry", "analyze", *rest]
        return subprocess.run(
            [*command, "--dask", cluster.scheduler_address], check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
