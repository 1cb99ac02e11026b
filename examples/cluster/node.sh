#!/bin/bash
#SBATCH --job-name=crystalnet
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=32
#SBATCH --time=04:00:00
#SBATCH --requeue
# One node, no Dask: as many processes as cores, a frame each. The job may be killed at any time, by
# its time limit or for another's sake: submitted again, or requeued by Slurm, it goes on after the
# last frame in run.h5. Frames larger than memory / cores: fewer workers, each with more cores.
#
#     sbatch node.sh md.lammpstrj -o run.h5
set -euo pipefail
exec crystalnet analyze "$@" --resume --workers "$SLURM_CPUS_PER_TASK"
