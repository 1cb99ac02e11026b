"""Which network for the model "local": accuracy and cost of several, trained on the same windows.

    python benchmarks/network.py [--work training-runs] [--only NAME ...] [--json FILE]

Every candidate is trained by ``train_local`` on the windows of ``training-runs/local`` (made first
if they are not there) and judged on the same held-out windows and the same disordered crystals.
Trained candidates are kept in the work folder and are not trained again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import markdown, show, write_json

from ase_crystalnet import Classifier
from ase_crystalnet.classes import CLASSES
from ase_crystalnet.training.local.network import FAST, Design
from ase_crystalnet.training.local.train import FAST_PLAN, TrainingPlan, train_local

CANDIDATES = {
    "five convolutions": TrainingPlan(),
    "half as wide": replace(
        TrainingPlan(), design=Design((5, 2, 16), ((32, 2), (32, 1), (64, 2), (64, 1)))
    ),
    "stem of stride 4": replace(TrainingPlan(), design=FAST),
    "stem of stride 4, taught by the first": FAST_PLAN,
}
#: Windows the network is timed on.
TIMED = 4096


def cost(model: Path, images: np.ndarray) -> float:
    """Microseconds an image on all cores, the fastest of five."""
    classifier = Classifier(model)
    classifier.predict(images[:512])
    times = []
    for _ in range(5):
        start = time.perf_counter()
        classifier.predict(images)
        times.append(time.perf_counter() - start)
    return min(times) / len(images) * 1e6


def train(name: str, plan: TrainingPlan, work: Path) -> Path:
    """Train a candidate, unless it is there; its model folder."""
    folder = work / "networks" / name.replace(", ", "-").replace(" ", "-")
    model = folder / "model"
    card = model / "card.json"
    if card.is_file() and "accuracy" in json.loads(card.read_text()):
        return model
    folder.mkdir(parents=True, exist_ok=True)
    for shared in ("windows", "validation", "md"):
        (work / "local" / shared).mkdir(parents=True, exist_ok=True)
        if not (folder / shared).exists():
            (folder / shared).symlink_to((work / "local" / shared).resolve())
    teacher = work / "local" / "trained.keras"
    if plan.teacher is not None and teacher.is_file() and not (folder / teacher.name).exists():
        (folder / teacher.name).symlink_to(teacher.resolve())
    return train_local(model, folder, plan=plan, log=lambda text: show(f"{name}: {text}"))


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("training-runs"))
    parser.add_argument("--only", nargs="*", choices=list(CANDIDATES), default=list(CANDIDATES))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    images = np.random.default_rng(0).random((TIMED, 64, 64, 3), dtype=np.float32)
    rows: list[dict[str, Any]] = []
    for name in given.only:
        model = train(name, CANDIDATES[name], given.work)
        card = json.loads((model / "card.json").read_text())
        accuracy = card["accuracy"]
        rows.append(
            {
                "network": name,
                "design": asdict(CANDIDATES[name].design),
                "parameters": card["parameters"],
                "multiply-adds": CANDIDATES[name].design.multiply_adds(len(CLASSES)),
                "us an image": cost(model, images),
                "held out, %": accuracy["held_out"]["percent"],
                "calibration error": accuracy["held_out"]["expected_calibration_error"],
                **accuracy["percent"],
            }
        )
        write_json(given.json, {"windows": TIMED, "rows": rows})
    header = [key for key in rows[0] if key != "design"]
    cells = [
        [f"{row[k]:.4g}" if isinstance(row[k], float) else row[k] for k in header] for row in rows
    ]
    show(markdown(header, cells))


if __name__ == "__main__":
    main()
