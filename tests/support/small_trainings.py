"""Trainings of each kind on a few random images, with a folder to go on from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["EPOCHS", "TRAININGS", "Weights"]

Weights = list[Any]
EPOCHS = 3
_IMAGES, _BATCH = 48, 16


def _images(seed: int, classes: int) -> tuple[Any, Any]:
    """Byte images (B, 64, 64, 3) and labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 255, (_IMAGES, 64, 64, 3), dtype=np.uint8)
    return images, rng.integers(0, classes, _IMAGES)


def _shards(work: Path) -> None:
    """Windows to learn from, and to judge by."""
    for seed, name in enumerate(("windows", "validation")):
        images, labels = _images(seed, 8)
        (work / name).mkdir(parents=True, exist_ok=True)
        targets = np.eye(8, dtype=np.float32)[labels]
        np.savez(work / name / "shard0000.npz", images=images, targets=targets)


def local(work: Path) -> Weights:
    """The fit of "local" and "structure"."""
    from ase_crystalnet.training.local import train
    from ase_crystalnet.training.local.network import Design
    from ase_crystalnet.training.shards import read_shards

    _shards(work)
    plan = train.TrainingPlan(
        seed=5,
        shards=1,
        validation_shards=1,
        epochs=EPOCHS,
        batch_size=_BATCH,
        design=Design((8, 8, 4), ((8, 2),), 8),
    )
    images, targets = read_shards(work / "windows", 1)
    network = train.train_network(plan, images, targets, work, "trained", lambda text: None)
    return list(network.get_weights())


def atomprobe(work: Path) -> Weights:
    """The fit of "atomprobe", which begins with another model's weights."""
    from ase_crystalnet.training.atom_probe import train
    from ase_crystalnet.training.local.network import Design, local_network
    from ase_crystalnet.training.model_folder import save_network
    from tests.support.tiny_models import write_card

    _shards(work)
    start = work / "start"
    if not (start / "card.json").exists():
        network = local_network(8, Design((8, 8, 4), ((8, 2),), 8), seed=3)
        save_network(network, start / "model.keras")
        write_card(start)
    plan = train.AtomProbePlan(
        start=str(start.resolve()), shards=1, validation_shards=1, epochs=EPOCHS, batch_size=_BATCH
    )
    return list(train._fit(plan, work, lambda text: None).get_weights())


def ziletti2018(work: Path) -> Weights:
    """The fit of "ziletti2018"."""
    from ase_crystalnet.training.ziletti2018 import train
    from ase_crystalnet.training.ziletti2018.dataset import CLASSES, Data, ZilettiPlan

    images, labels = _images(7, len(CLASSES))
    pixels = (images / 255).astype(np.float16)
    data = Data(pixels, labels, pixels[:, ::-1], np.arange(len(labels)) % 2 == 0)
    plan = ZilettiPlan(epochs=EPOCHS - 1, settling=1, batch_size=_BATCH, mixed=False)
    work.mkdir(parents=True, exist_ok=True)
    network = train._fit(plan, work, data, np.arange(len(labels)), lambda text: None)
    return list(network.get_weights())


#: By the name of the model; each takes its work folder and gives the weights that were learned.
TRAININGS: dict[str, Callable[[Path], Weights]] = {
    "local": local,
    "atomprobe": atomprobe,
    "ziletti2018": ziletti2018,
}
