"""From nothing to ``models/local`` or ``models/structure``: data, training, calibration, card.

Every step leaves its result in the work folder and is skipped when it is there, so an interrupted
run goes on where it stopped. The weights of a run depend on the seed, the recipe and the machine's
floating-point arithmetic.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classes import CLASSES, STRUCTURES
from ase_crystalnet.classifier.card import ModelCard
from ase_crystalnet.classifier.network import import_keras, load_network
from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.io.whole_files import write_whole
from ase_crystalnet.training.checkpoint import Checkpoint
from ase_crystalnet.training.local.dataset import Recipe, make_shards
from ase_crystalnet.training.local.network import FAST, Design, local_network
from ase_crystalnet.training.local.set_thresholds import calibrated_sets, held_out
from ase_crystalnet.training.local.structures import (
    Cells,
    StructureRecipe,
    make_structure_shards,
)
from ase_crystalnet.training.model_folder import (
    calibrate,
    save_network,
    write_card,
    write_model_folder,
)
from ase_crystalnet.training.provenance import code_that_began
from ase_crystalnet.training.shards import read_shards

__all__ = ["TrainingPlan", "calibrate_sets", "train_local"]

Log = Callable[[str], None]
WINDOW_ATOMS = (64, 512)


@dataclass(frozen=True)
class TrainingPlan:
    """How "local" is trained; stored in its card.

    Attributes
    ----------
    name : str
        Of the model.
    seed : int
        Of windows, weights and the order of the batches.
    shards, shard_size : int
        Training windows = shards x shard_size.
    epochs, batch_size : int
    learning_rate : float
        AdamW's at the start; it falls to zero along a cosine.
    weight_decay : float
        AdamW's.
    design : Design
        Widths and strides of the network.
    teacher : Design, optional
        A larger network, trained first on the labels; the network then learns from labels and the
        teacher's answers (distillation, Hinton et al., arXiv:1503.02531).
    teacher_epochs : int
    teacher_share : float
        Share of the teacher's answers in what the network learns, beside the labels.
    classes : tuple of str
        `CLASSES`, symmetries, or `STRUCTURES`, structure types.
    real_crystals : int
        Real crystals that those of no type are drawn from, before known types are left out.
    """

    name: str = "local"
    seed: int = 11
    shards: int = 90
    shard_size: int = 4096
    validation_shards: int = 3
    epochs: int = 5
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    design: Design = field(default_factory=Design)
    teacher: Design | None = None
    teacher_epochs: int = 5
    teacher_share: float = 0.5
    classes: tuple[str, ...] = CLASSES
    real_crystals: int = 0


#: The small network, taught by that of "local".
FAST_PLAN = TrainingPlan(name="local-fast", design=FAST, teacher=Design(), epochs=6)
#: Names of structures instead of symmetries.
STRUCTURE_PLAN = TrainingPlan(
    name="structure", seed=21, shards=32, validation_shards=4, epochs=3, classes=STRUCTURES,
    real_crystals=6000,
)  # fmt: skip


def train_local(
    out: Path,
    work: Path,
    *,
    plan: TrainingPlan | None = None,
    recipe: Recipe | None = None,
    structures: Path | None = None,
    processes: int = 2,
    evaluation_windows: int = 1400,
    log: Log = lambda text: None,
) -> Path:
    """Train the model "local", or another by its plan, and write ``model.keras`` and ``card.json``.

    Parameters
    ----------
    out : Path
        Model folder.
    work : Path
        Folder of molecular dynamics, windows and checkpoints.
    plan : TrainingPlan, optional
    recipe : Recipe, optional
        A `StructureRecipe` for structure types.
    structures : Path, optional
        Folder of real crystals (``materials_project_*.jsonl.gz``) for those of no type; without it
        all of them are drawn by symmetry.
    processes : int
        Worker processes that make windows.
    evaluation_windows : int
        Windows a row of the card's accuracy table.
    log : callable
        Takes one line of progress.

    Returns
    -------
    Path
        The model folder.

    Raises
    ------
    InputError
        There are no liquids to learn from and LAMMPS is not installed.
    """
    plan = plan or TrainingPlan()
    named = plan.classes == STRUCTURES
    recipe = recipe or (StructureRecipe() if named else Recipe())
    work.mkdir(parents=True, exist_ok=True)
    code = code_that_began(work)
    md_files = molecular_dynamics(work / "md", log)
    log(f"{len(md_files)} liquids and glasses")
    make: Callable[..., None] = make_shards
    real: Cells = ()
    held: Cells = ()
    if isinstance(recipe, StructureRecipe):
        real, held = held_out(structures, plan.real_crystals)
        log(f"{len(real)} real crystals of no type, {len(held)} held out")
    for name, count, seed in (
        ("windows", plan.shards, plan.seed),
        ("validation", plan.validation_shards, plan.seed + 1),
    ):
        if isinstance(recipe, StructureRecipe):
            make = partial(make_structure_shards, real=real if name == "windows" else held)
        make(
            work / name,
            count,
            recipe=recipe,
            md_files=md_files,
            seed=seed,
            size=plan.shard_size,
            processes=processes,
            progress=lambda done, total, name=name: log(f"{name}: {done} of {total} shards"),
        )
    network = fitted_network(plan, work, log)
    images, targets = read_shards(work / "validation", plan.validation_shards)
    temperature = calibrate(network, images, targets)
    log(f"temperature {temperature:.3f}")
    card = write_model_folder(out, network, _card(plan, recipe, md_files, temperature, code))
    command = "crystalnet train local" + (" --fast" if plan.teacher is not None else "")
    if isinstance(recipe, StructureRecipe):
        command = "crystalnet train structure"
        card |= calibrated_sets(out, recipe, md_files, held, plan.seed + 2, log=log)
        write_card(out, card)
    card["accuracy"] = {
        **_evaluate(plan, out, work, md_files, evaluation_windows, log),
        "command": command,
    }
    write_card(out, card)
    return out


def molecular_dynamics(folder: Path, log: Log) -> list[Path]:
    """Files of liquids and glasses, simulated if they are not there."""
    from ase_crystalnet.training.md.materials import TRAINING
    from ase_crystalnet.training.md.run import run_jobs

    jobs = [job for job in TRAINING if job.phase in ("liquid", "glass")]
    missing = [
        job
        for job in jobs
        if not any((folder / f"{job.name}.npz{end}").is_file() for end in ("", ".rejected"))
    ]
    if missing:
        log(f"simulating {len(missing)} of {len(jobs)} liquids and glasses")
        run_jobs(TRAINING, folder)
    files = sorted(f for job in jobs if (f := folder / f"{job.name}.npz").is_file())
    if not files:
        raise InputError(f"{folder} holds no liquids: repeat the command to simulate them")
    return files


def fitted_network(plan: TrainingPlan, work: Path, log: Log) -> Any:
    """The trained network; with a teacher, that of the plan's design taught by it.

    Networks are kept under names that tell a teacher from its pupil, so that both models come out
    of one work folder and the teacher is trained once.
    """
    name = "trained" if plan.teacher is None else "taught"
    if (work / f"{name}.keras").is_file():
        return load_network(work / f"{name}.keras")
    images, targets = read_shards(work / "windows", plan.shards)
    if plan.teacher is not None:
        teacher = train_network(
            replace(plan, design=plan.teacher, epochs=plan.teacher_epochs),
            images, targets, work, "trained", log,
        )  # fmt: skip
        answers = np.concatenate(
            [
                np.asarray(teacher.predict_on_batch(images[i : i + 512].astype(np.float32) / 255))
                for i in range(0, len(images), 512)
            ]
        )
        share = np.float32(plan.teacher_share)
        targets = (1 - share) * targets + share * answers.astype(np.float32)
    return train_network(plan, images, targets, work, name, log)


def train_network(
    plan: TrainingPlan,
    images: NDArray[np.uint8],
    targets: NDArray[np.float32],
    work: Path,
    name: str,
    log: Log,
) -> Any:
    """Train a network of the plan's design, or go on with it; keep it as `name`.keras."""
    final = work / f"{name}.keras"
    if final.is_file():
        return load_network(final)
    keras = import_keras()
    import tensorflow as tf

    keras.utils.set_random_seed(plan.seed)
    held, held_targets = read_shards(work / "validation", 1)
    steps = len(images) // plan.batch_size

    def batches(epoch_seed: int) -> Any:
        order = np.random.default_rng([plan.seed, epoch_seed]).permutation(len(images))
        mirror = np.random.default_rng([plan.seed, epoch_seed, 1])
        for s in range(steps):
            rows = np.sort(order[s * plan.batch_size : (s + 1) * plan.batch_size])
            # Mirroring the crystal at x = 0 or y = 0 mirrors its fingerprint and keeps its class.
            yield (
                images[rows][:, :: mirror.choice([1, -1]), :: mirror.choice([1, -1])],
                targets[rows],
            )

    network = local_network(len(plan.classes), plan.design, seed=plan.seed)
    network.compile(
        keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(plan.learning_rate, steps * plan.epochs),
            weight_decay=plan.weight_decay,
        ),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    signature = (
        tf.TensorSpec((None, 64, 64, 3), tf.uint8),
        tf.TensorSpec((None, len(plan.classes)), tf.float32),
    )
    checkpoint = Checkpoint(
        work / f"checkpoint-{name}.npz", network, network.optimizer,
        settings=json.dumps([asdict(plan), len(images)]),
    )  # fmt: skip
    history: list[dict[str, float]] = (checkpoint.restore() or {"history": []})["history"]
    # A resumed run goes on with the order of the epoch in which it was stopped.
    epochs = itertools.count(len(history))
    data = (
        tf.data.Dataset.from_generator(lambda: batches(next(epochs)), output_signature=signature)
        .map(lambda x, y: (tf.cast(x, tf.float32) / 255.0, y))
        .prefetch(2)
    )

    def keep(epoch: int, logs: Mapping[str, float]) -> None:
        history.append({name: float(value) for name, value in logs.items()})
        checkpoint.save(history=history)
        log(
            f"{name}: epoch {epoch + 1} of {plan.epochs}: "
            + ", ".join(f"{k} {v:.4f}" for k, v in logs.items())
        )

    network.fit(
        data.repeat(),
        epochs=plan.epochs,
        initial_epoch=len(history),
        steps_per_epoch=steps,
        validation_data=(held.astype(np.float32) / 255, held_targets),
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=keep)],
    )
    write_whole(
        work / f"{name}-history.json",
        json.dumps({k: [row[k] for row in history] for k in history[0]}, indent=1),
    )
    save_network(network, final)
    checkpoint.remove()
    return load_network(final)


def _card(
    plan: TrainingPlan,
    recipe: Recipe,
    md_files: list[Path],
    temperature: float,
    code: str,
) -> dict[str, Any]:
    return {
        "name": plan.name,
        "description": "Class of a local window of atoms in any orientation, hot or incomplete",
        "classes": list(plan.classes),
        "input": "sqrt",
        "fingerprint": asdict(Fingerprint()),
        "scale": "cube root of the primitive volume of the window's average lattice",
        "window_atoms": list(WINDOW_ATOMS),
        "trained_on": {
            "plan": asdict(plan),
            "recipe": asdict(recipe),
            "units": "nearest-neighbour distances",
            "molecular_dynamics": [f.stem for f in md_files],
            "windows": plan.shards * plan.shard_size,
        },
        "temperature": temperature,
        "code_version": code,
        "references": {
            "method": "Ziletti et al., Nat. Commun. 9, 2775 (2018), doi:10.1038/s41467-018-05169-6",
            "certainty": "Vecsei et al., Phys. Rev. B 99, 245120 (2019), "
            "doi:10.1103/PhysRevB.99.245120",
            "architecture": "ase_crystalnet.training.local.network.local_network",
        },
    }


def calibrate_sets(
    model: Path,
    work: Path,
    *,
    plan: TrainingPlan | None = None,
    structures: Path | None = None,
    processes: int = 2,
    log: Log = lambda text: None,
) -> Path:
    """Measure the thresholds of the prediction sets of a trained model again; write its card.

    Parameters
    ----------
    model : Path
        Folder with weights and card.
    work : Path
        The liquids and glasses in its folder ``md`` are taken; if there are none, all are
        simulated.
    plan : TrainingPlan, optional
        That of the training: its seed and the number of its crystals count.
    structures : Path, optional
        Folder of real crystals, as of the training.
    processes : int
        Not used: one process is enough.
    log : callable
        Takes one line of progress.

    Raises
    ------
    InputError
        The model does not name structures.
    """
    plan = plan or STRUCTURE_PLAN
    card = dict(ModelCard.read(model).data)
    _, held = held_out(structures, plan.real_crystals)
    files = sorted((work / "md").glob("*.npz")) or molecular_dynamics(work / "md", log)
    card |= calibrated_sets(model, StructureRecipe(), files, held, plan.seed + 2, log=log)
    write_card(model, card)
    return model


def _evaluate(
    plan: TrainingPlan, out: Path, work: Path, md_files: list[Path], windows: int, log: Log
) -> dict[str, Any]:
    """Tables of the card, on windows of other seeds than the training's."""
    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.classifier.classifier import Classifier
    from ase_crystalnet.training.calibration import calibration_error, reliability, risk_coverage
    from ase_crystalnet.training.local.evaluate import disorder_table, liquid_row

    net = CrystalNet(out, classes=None if plan.classes == STRUCTURES else "symmetry")
    rows = disorder_table(net, windows=windows, progress=log)
    rows.append(liquid_row(net, md_files, windows=windows))
    images, targets = read_shards(work / "validation", 1)
    pure = targets.max(axis=1) == 1.0
    # The analyzer takes the root itself; bytes hold the root.
    probabilities = Classifier(out).predict((images[pure].astype(np.float32) / 255) ** 2)
    truth = targets[pure].argmax(axis=1)
    return {
        "windows_a_row": windows,
        "window_atoms": net.window_atoms,
        "percent": {row.name: round(row.accuracy, 2) for row in rows},
        "percent_by_class": {
            row.name: {k: round(v, 2) for k, v in row.by_class().items()} for row in rows
        },
        "held_out": {
            "what": "windows of the training's own recipe, with every disorder in it mixed",
            "windows": len(truth),
            "percent": round(100 * float((probabilities.argmax(axis=1) == truth).mean()), 2),
            "expected_calibration_error": round(calibration_error(probabilities, truth), 5),
            "reliability": reliability(probabilities, truth),
            "risk_coverage": risk_coverage(probabilities, truth),
        },
    }
