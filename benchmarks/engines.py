"""Shipped networks by onnxruntime and by TensorFlow: time, memory, and how far answers differ.

    python benchmarks/engines.py [--samples 2000] [--json FILE]

CPU microseconds a sample on one thread, the fastest of three passes over all samples, and what a
process pays before its first answer: CPU seconds and MB. Samples are windows of crystals with up to
70 % vacancies and of random packings, and powder patterns (`tests/support/engines.py`). Then CPU
microseconds an atom for frames in grid mode by either engine, and by PTM with orientations where
OVITO is installed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from common import markdown, show, write_json
from speed import copper

from ase_crystalnet import crystals
from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.classifier.card import models_folder
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.classifier.engines import ENGINES
from ase_crystalnet.frames.worker import limit_threads
from ase_crystalnet.xrd.answer.network import PowderNetwork

FIRST = """
import sys, time; sys.path.insert(0, {here!r})
from common import peak_memory
import numpy as np
from ase_crystalnet.classifier.classifier import Classifier
seconds, before = time.process_time(), peak_memory()
Classifier("structure", engine={engine!r}).predict(np.zeros((1, 64, 64, 3), np.float32))
print(time.process_time() - seconds, peak_memory() - before)
"""


def first_answer(engine: str) -> tuple[float, float]:
    """CPU seconds and MB that the first answer of a process costs."""
    code = FIRST.format(here=str(Path(__file__).parent), engine=engine)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, memory = done.stdout.split()[-2:]
    return float(seconds), float(memory)


def cost(network: Classifier | PowderNetwork, samples: np.ndarray) -> float:
    """CPU microseconds a sample."""
    network.predict(samples[:32])
    times = []
    for _ in range(3):
        start = time.process_time()
        network.predict(samples)
        times.append(time.process_time() - start)
    return min(times) / len(samples) * 1e6


def frame_cost(atoms: Atoms, engine: str) -> float:
    """CPU microseconds an atom in grid mode, the smaller of two."""
    net = CrystalNet(engine=engine)
    times = []
    for _ in range(3):
        start = time.process_time()
        net.analyze(atoms, centers="grid")
        times.append(time.process_time() - start)
    return min(times[1:]) / len(atoms) * 1e6


def ptm_cost(atoms: Atoms) -> float | None:
    """CPU microseconds an atom of polyhedral template matching with orientations."""
    try:
        from ovito.io.ase import ase_to_ovito
        from ovito.modifiers import PolyhedralTemplateMatchingModifier
    except ImportError:
        return None
    data = ase_to_ovito(atoms)
    times = []
    for _ in range(4):
        start = time.process_time()
        data.clone().apply(PolyhedralTemplateMatchingModifier(output_orientation=True))
        times.append(time.process_time() - start)
    return min(times) / len(atoms) * 1e6


def frames(atoms: int) -> list[tuple[str, float, float, float | None]]:
    """Name, cost by each engine and by PTM of hot copper and of a random packing."""
    rows = []
    for name, frame in (
        ("hot copper", copper(atoms)),
        ("random packing", crystals.random_packing(atoms, rng=1)),
    ):
        by_engine = [frame_cost(frame, engine) for engine in ENGINES]
        rows.append((f"{name}, {len(frame):,}", *by_engine, ptm_cost(frame)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--atoms", type=int, default=10_000, help="of the frames")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.support.engines import fingerprints, powder_patterns

    limit_threads(1)
    first = {engine: first_answer(engine) for engine in ENGINES}
    show(
        markdown(
            ("engine", "first answer, CPU s", "MB"),
            [(name, f"{s:.2f}", f"{memory:.0f}") for name, (s, memory) in first.items()],
        )
    )
    windows, patterns = fingerprints(given.samples), powder_patterns(given.samples)
    rows = []
    for card in sorted(models_folder().rglob("card.json")):
        folder = card.parent
        powder = folder.parent.name == "xrd"
        samples = patterns if powder else windows
        networks = [
            (PowderNetwork if powder else Classifier)(folder, engine=engine) for engine in ENGINES
        ]
        answers = [network.predict(samples) for network in networks]
        rows.append(
            {
                "model": folder.name,
                **{name: cost(n, samples) for name, n in zip(ENGINES, networks, strict=True)},
                "difference": float(np.abs(answers[0] - answers[1]).max()),
                "labels": int((answers[0].argmax(axis=1) != answers[1].argmax(axis=1)).sum()),
            }
        )
    show(
        markdown(
            ("model", "onnxruntime, us", "TensorFlow, us", "largest difference", "labels changed"),
            [
                (
                    row["model"],
                    f"{row['onnx']:.0f}",
                    f"{row['tensorflow']:.0f}",
                    f"{row['difference']:.1e}",
                    str(row["labels"]),
                )
                for row in rows
            ],
        )
    )
    whole = frames(given.atoms)
    show(
        markdown(
            ("frame, atoms", "onnxruntime, us an atom", "TensorFlow, us", "PTM, us"),
            [
                (name, *("-" if value is None else f"{value:.1f}" for value in values))
                for name, *values in whole
            ],
        )
    )
    write_json(given.json, {"first": first, "models": rows, "frames": whole})


if __name__ == "__main__":
    main()
