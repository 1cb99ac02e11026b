"""From "local" to ``models/atomprobe``: windows, training on, calibration, card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ase_crystalnet.classes import CLASSES
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.classifier.network import import_keras
from ase_crystalnet.training.atom_probe.dataset import AtomProbeRecipe, make_windows
from ase_crystalnet.training.checkpoint import Checkpoint
from ase_crystalnet.training.model_folder import calibrate, write_model_folder
from ase_crystalnet.training.provenance import code_that_began
from ase_crystalnet.training.shards import read_shards

__all__ = ["AtomProbePlan", "train_atomprobe"]

Log = Callable[[str], None]
WINDOW_IONS = (64, 2000)


@dataclass(frozen=True)
class AtomProbePlan:
    """How "atomprobe" is trained; stored in its card.

    Attributes
    ----------
    start : str
        Model whose weights it starts from.
    seed : int
        Of windows and the order of the batches.
    shards, shard_size, validation_shards : int
        Training windows = shards x shard_size.
    epochs, batch_size : int
    learning_rate : float
        AdamW's at the start; it falls to zero along a cosine.
    weight_decay : float
    """

    start: str = "local"
    seed: int = 23
    shards: int = 14
    shard_size: int = 2048
    validation_shards: int = 2
    epochs: int = 4
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3


def train_atomprobe(
    out: Path,
    work: Path,
    *,
    plan: AtomProbePlan | None = None,
    recipe: AtomProbeRecipe | None = None,
    processes: int = 2,
    log: Log = lambda text: None,
) -> Path:
    """Train the model "atomprobe" and write ``model.keras`` and ``card.json``.

    Parameters
    ----------
    out : Path
        Model folder.
    work : Path
        Folder of windows and the checkpoint; an interrupted run goes on where it stopped.
    plan : AtomProbePlan, optional
    recipe : AtomProbeRecipe, optional
    processes : int
        Worker processes that make windows.
    log : callable
        Takes one line of progress.

    Returns
    -------
    Path
        The model folder.
    """
    plan = plan or AtomProbePlan()
    recipe = recipe or AtomProbeRecipe()
    code = code_that_began(work)
    for name, count, seed in (
        ("windows", plan.shards, plan.seed),
        ("validation", plan.validation_shards, plan.seed + 1),
    ):
        make_windows(
            work / name,
            count,
            recipe=recipe,
            seed=seed,
            size=plan.shard_size,
            processes=processes,
            progress=lambda done, total, name=name: log(f"{name}: {done} of {total} shards"),  # type: ignore[misc]
        )
    network = _fit(plan, work, log)
    temperature = calibrate(network, *read_shards(work / "validation", plan.validation_shards))
    log(f"temperature {temperature:.3f}")
    # Without the state of the optimizer, which is twice as large as the weights.
    network = import_keras().Model(network.inputs, network.outputs, name="atomprobe")
    write_model_folder(out, network, _card(plan, recipe, temperature, code))
    return out


def _fit(plan: AtomProbePlan, work: Path, log: Log) -> Any:
    """The trained network; after every epoch its state is kept, and a run goes on from it."""
    keras = import_keras()
    keras.utils.set_random_seed(plan.seed)
    start = Classifier(plan.start)
    network = start.network
    images, targets = read_shards(work / "windows", plan.shards)
    held, held_targets = read_shards(work / "validation", 1)
    steps = len(images) // plan.batch_size
    network.compile(
        keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(plan.learning_rate, steps * plan.epochs),
            weight_decay=plan.weight_decay,
        ),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    rng = np.random.default_rng(plan.seed)
    checkpoint = Checkpoint(
        work / "checkpoint.npz", network, network.optimizer,
        settings=json.dumps([asdict(plan), start.card.sha256]),
    )  # fmt: skip
    begin = 0
    if (kept := checkpoint.restore()) is not None:
        begin, rng.bit_generator.state = kept["epochs"], kept["random"]
    for epoch in range(begin, plan.epochs):
        order = rng.permutation(len(images))[: steps * plan.batch_size]
        for rows in order.reshape(steps, plan.batch_size):
            # Mirroring the crystal at x = 0 or y = 0 mirrors its fingerprint and keeps its class.
            batch = images[rows][:, :: rng.choice([1, -1]), :: rng.choice([1, -1])]
            network.train_on_batch(batch.astype(np.float32) / 255, targets[rows])
        checkpoint.save(epochs=epoch + 1, random=rng.bit_generator.state)
        loss, accuracy = network.evaluate(
            held.astype(np.float32) / 255, held_targets, batch_size=256, verbose=0
        )
        log(
            f"epoch {epoch + 1} of {plan.epochs}: held out loss {loss:.4f}, accuracy {accuracy:.4f}"
        )
    return network


def _card(
    plan: AtomProbePlan, recipe: AtomProbeRecipe, temperature: float, code: str
) -> dict[str, Any]:
    start = Classifier(plan.start).card
    return {
        "name": "atomprobe",
        "description": "Class of a window of an atom-probe reconstruction that shows a lattice",
        "classes": list(CLASSES),
        "input": "sqrt",
        "fingerprint": dict(start.fingerprint),
        "scale": start.data["scale"],
        "window_atoms": list(WINDOW_IONS),
        "trained_on": {
            "plan": asdict(plan),
            "recipe": asdict(recipe),
            "start": {"name": start.name, "sha256": start.sha256},
            "measurement": "ase_crystalnet.training.atom_probe.measurement.cut_measured",
            "windows": plan.shards * plan.shard_size,
        },
        "temperature": temperature,
        "code_version": code,
        "references": {
            "method": "Ziletti et al., Nat. Commun. 9, 2775 (2018), doi:10.1038/s41467-018-05169-6",
            "certainty": "Vecsei et al., Phys. Rev. B 99, 245120 (2019), "
            "doi:10.1103/PhysRevB.99.245120",
            "measurement": "Gault et al., Atom Probe Microscopy, Springer (2012)",
        },
        "accuracy": {
            "command": "python benchmarks/atom_probe.py",
            "table": "docs/atom_probe_method.md",
        },
    }
