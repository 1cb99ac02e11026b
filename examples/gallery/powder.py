"""A powder pattern with its phase.

Quartz, simulated with noise; lines of the phase that was found are drawn below the pattern.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ase_crystalnet.xrd import PowderClassifier, read_scan
from ase_crystalnet.xrd.phase_figure import answer_figure

LINES = (
    (20.86, 22), (26.64, 100), (36.54, 8), (39.47, 8), (40.30, 4), (42.45, 6), (45.79, 4),
    (50.14, 13), (54.87, 4), (59.96, 9), (67.74, 6), (68.14, 7), (68.32, 8), (75.66, 3),
)  # fmt: skip
angle = np.arange(10, 80, 0.02)
rng = np.random.default_rng(0)
counts = 30 + sum(20 * height * np.exp(-(((angle - at) / 0.06) ** 2)) for at, height in LINES)
with TemporaryDirectory() as folder:
    path = Path(folder) / "quartz.xy"
    np.savetxt(path, np.column_stack([angle, rng.poisson(counts)]))
    scan = read_scan(path)
classifier = PowderClassifier()
answers = classifier.classify_scans([scan])
answer_figure(scan, answers, 0, classifier.phases.library).savefig(sys.argv[1], dpi=130)
