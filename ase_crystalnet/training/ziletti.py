"""From nothing to ``models/ziletti2018``: pristine structures, fingerprints, training, card.

The network, its training and its data are those of Ziletti et al., Nat. Commun. 9, 2775 (2018):
pristine crystals only, Table 2, Adam 1e-3, batches of 32, five epochs, a tenth held out. What is
done is kept in the work folder, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.average_cell import AverageCell, average_cell
from ase_crystalnet.classifier import CARD_VERSION, file_hash, import_keras
from ase_crystalnet.fingerprint import Fingerprint
from ase_crystalnet.global_mode import CLUSTER_SIZE, cell_cluster, exact_fingerprints
from ase_crystalnet.io.outputs import part_of, write_whole
from ase_crystalnet.training.elements import (
    ELEMENTS,
    LABELS,
    Element,
    elemental_structures,
    prototype_of,
)
from ase_crystalnet.training.fit import code_version

__all__ = ["CLASSES", "ZilettiPlan", "held_out", "pristine_structures", "train_ziletti"]

Log = Callable[[str], None]
#: File of the network as it is after the epochs of the paper.
PAPER = "paper-epochs.keras"
#: As in the model "local", without "disordered".
CLASSES = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc")


@dataclass(frozen=True)
class ZilettiPlan:
    """How "ziletti2018" is trained; stored in its card.

    Attributes
    ----------
    seed : int
        Of structures, split, weights and the order of the batches.
    shards, shard_size : int
        Structures = about shards x shard_size.
    conventional : float
        Share of structures shown in the setting of their conventional cell. A structure may come
        close to another one of which that is the primitive cell: bcc that loses its body centres
        is looked at in the cell of simple cubic.
    held_out : float
        Share of the structures not trained on.
    epochs, batch_size : int
        With the learning rate of the paper.
    settling : int
        Further epochs in which the learning rate falls to zero; the paper has none.
    mixed : bool
        Train with bfloat16 arithmetic (weights stay float32): 1.7 times faster on processors that
        have it.
    learning_rate : float
        Adam's.
    """

    seed: int = 2018
    shards: int = 21
    shard_size: int = 500
    conventional: float = 0.15
    held_out: float = 0.1
    epochs: int = 5
    batch_size: int = 32
    settling: int = 8
    learning_rate: float = 1e-3
    mixed: bool = False


def train_ziletti(
    out: Path,
    work: Path,
    *,
    plan: ZilettiPlan | None = None,
    processes: int = 2,
    evaluation_structures: int = 400,
    databases: Path | None = None,
    log: Log = lambda text: None,
) -> Path:
    """Train the model "ziletti2018" and write ``model.keras`` and ``card.json``.

    Parameters
    ----------
    out : Path
        Model folder.
    work : Path
        Folder of fingerprints and checkpoints.
    plan : ZilettiPlan, optional
    processes : int
        Worker processes that make structures and fingerprints.
    evaluation_structures : int
        Structures a row of the card's table of defects.
    databases : Path, optional
        Folder of ``.jsonl.gz`` files whose elements the trained network is tested on.
    log : callable
        Takes one line of progress.
    """
    plan = plan or ZilettiPlan()
    work.mkdir(parents=True, exist_ok=True)
    _keep_plan(work / "plan.json", plan)
    started = work / "code_version"  # of the code that began the run, not of the last resume
    if not started.is_file():
        write_whole(started, code_version())
    images, labels = _data(plan, work, processes, log)
    train, test = _split(plan, len(labels))
    network = _fit(plan, work, images[train], labels[train], log)
    out.mkdir(parents=True, exist_ok=True)
    network.save(out / "model.part.keras")
    (out / "model.part.keras").replace(out / "model.keras")
    paper = import_keras().saving.load_model(work / PAPER, compile=False)
    percent = {
        name: round(_percent(one, images[test], labels[test]), 2)
        for name, one in (
            ("pristine, held out", network),
            (f"pristine, held out, after the paper's {plan.epochs} epochs", paper),
        )
    }
    log(f"of {len(test)}: {percent}")
    card = _card(plan, len(labels), int(network.count_params()), out)
    card["code_version"] = started.read_text()
    write_whole(out / "card.json", json.dumps(card, indent=1) + "\n")
    card["accuracy"] = {
        "command": "crystalnet train ziletti2018",
        "structures": len(test),
        "percent": percent,
        "evaluation": _evaluation(out, evaluation_structures, databases, log),
    }
    write_whole(out / "card.json", json.dumps(card, indent=1) + "\n")
    return out


def pristine_structures(plan: ZilettiPlan, shard: int) -> list[Element]:
    """The structures of one shard, before they are turned."""
    return elemental_structures(np.random.default_rng([plan.seed, shard, 0]), plan.shard_size)


def held_out(plan: ZilettiPlan | None = None) -> list[Element]:
    """The structures that the shipped model was not trained on."""
    plan = plan or ZilettiPlan()
    everything = [e for shard in range(plan.shards) for e in pristine_structures(plan, shard)]
    return [everything[i] for i in _split(plan, len(everything))[1]]


def _split(plan: ZilettiPlan, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices to train on and to hold out, each sorted."""
    order = np.random.default_rng([plan.seed, 1]).permutation(count)
    out = round(plan.held_out * count)
    return np.sort(order[out:]), np.sort(order[:out])


def _keep_plan(path: Path, plan: ZilettiPlan) -> None:
    from ase_crystalnet.errors import InputError

    content = json.dumps(asdict(plan))
    if path.is_file() and path.read_text() != content:
        raise InputError(
            f"{path.parent} holds a run with other settings ({path.read_text()}): give the same "
            "ones to go on with it, or another work folder"
        )
    write_whole(path, content)


# ---------------------------------------------------------------------- data
def turned(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The structure after three random rotations, about x, y and z."""
    result = atoms.copy()
    for axis in "xyz":
        result.rotate(rng.uniform(0, 360), axis, rotate_cell=True)
    return result


def _conventional(atoms: Atoms) -> AverageCell:
    """The structure in the standard setting of its conventional cell."""
    import spglib

    given: Any = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    cell: Any = spglib.standardize_cell(given, to_primitive=False, no_idealize=True, symprec=1e-3)
    return average_cell(Atoms(cell[2], cell=cell[0], scaled_positions=cell[1], pbc=True), cell[0])


def make_shard(path: Path, plan: ZilettiPlan, shard: int) -> Path:
    """Fingerprints (float16) and labels of one shard, written whole."""
    rng = np.random.default_rng([plan.seed, shard, 1])
    known: dict[tuple[str, bool], NDArray[np.float32]] = {}
    rows, labels = [], []
    for element in pristine_structures(plan, shard):
        atoms = turned(element.atoms, rng)
        conventional = bool(rng.random() < plan.conventional)
        prototype = prototype_of(element)
        key = (element.prototype, conventional)
        pattern = known.get(key)
        if pattern is None:
            cell = _conventional(atoms) if conventional else average_cell(atoms)
            positions = cell_cluster(cell, CLUSTER_SIZE).positions / cell.nearest_neighbor_distance
            pattern = exact_fingerprints(Fingerprint(), positions[None], threads=1)[0]
            if prototype is not None and prototype.fixed:
                known[key] = pattern
        # One species: the form factor is a factor of the whole pattern.
        image = pattern * _form_factor(int(element.atoms.numbers[0]))[..., None] ** 2
        rows.append((image / image.max()).astype(np.float16))
        labels.append(CLASSES.index(element.label))
    images = np.array(rows)
    part = part_of(path)
    with open(part, "wb") as file:
        np.savez(file, images=images, labels=np.array(labels, np.int64))
    part.replace(path)
    return path


@cache
def _form_factor(z: int) -> NDArray[np.float64]:
    """Form factor of Z + 2 at every pixel, (64, 64)."""
    fingerprint = Fingerprint()
    return fingerprint._form_factors((z,), fingerprint.wave_vectors())[0]


def _data(
    plan: ZilettiPlan, work: Path, processes: int, log: Log
) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    paths = [work / f"pristine-{shard:03d}.npz" for shard in range(plan.shards)]
    missing = [shard for shard, path in enumerate(paths) if not path.is_file()]
    if missing:
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            jobs = [pool.submit(make_shard, paths[s], plan, s) for s in missing]
            for done, job in enumerate(jobs, 1):
                job.result()
                log(f"structures: {len(paths) - len(missing) + done} of {len(paths)} shards")
    shards = [np.load(path) for path in paths]
    return (
        np.concatenate([s["images"] for s in shards]),
        np.concatenate([s["labels"] for s in shards]),
    )


# ---------------------------------------------------------------------- network
def _fit(
    plan: ZilettiPlan,
    work: Path,
    images: NDArray[np.float16],
    labels: NDArray[np.int64],
    log: Log,
) -> Any:
    """The trained network, in float32; a checkpoint is kept after every epoch."""
    from ase_crystalnet.training.networks import ziletti_network

    keras = import_keras()
    checkpoint = work / "checkpoint.keras"
    steps = len(images) // plan.batch_size
    if checkpoint.is_file():
        network = keras.saving.load_model(checkpoint)
    else:
        keras.utils.set_random_seed(plan.seed)
        network = ziletti_network(len(CLASSES), seed=plan.seed, mixed=plan.mixed)
        network.compile(
            keras.optimizers.Adam(plan.learning_rate),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
    begin = int(network.optimizer.iterations) // max(steps, 1)
    total = plan.epochs + plan.settling
    for epoch in range(begin, total):
        order = np.random.default_rng([plan.seed, 2, epoch]).permutation(len(images))
        network.reset_metrics()
        for step in range(steps):
            rows = np.sort(order[step * plan.batch_size : (step + 1) * plan.batch_size])
            left = (total * steps - epoch * steps - step) / max(plan.settling * steps, 1)
            network.optimizer.learning_rate = plan.learning_rate * min(left, 1.0)
            logs = network.train_on_batch(
                images[rows].astype(np.float32), labels[rows], return_dict=True
            )
            if step % 50 == 49:
                shown = ", ".join(f"{name} {float(value):.4f}" for name, value in logs.items())
                log(f"epoch {epoch + 1} of {total}, batch {step + 1} of {steps}: {shown}")
        if epoch + 1 == plan.epochs:
            network.save(work / f"part-{PAPER}")
            (work / f"part-{PAPER}").replace(work / PAPER)
        network.save(work / "checkpoint.part.keras")
        (work / "checkpoint.part.keras").replace(checkpoint)
    trained = ziletti_network(len(CLASSES), seed=plan.seed)
    trained.set_weights(network.get_weights())
    return trained


def _percent(network: Any, images: NDArray[np.float16], labels: NDArray[np.int64]) -> float:
    """Percent of the images whose most probable class is right."""
    found = [
        network.predict_on_batch(images[i : i + 256].astype(np.float32)).argmax(axis=1)
        for i in range(0, len(images), 256)
    ]
    return 100 * float((np.concatenate(found) == labels).mean())


def _evaluation(out: Path, count: int, databases: Path | None, log: Log) -> dict[str, Any]:
    """Tables of the card: defects in structures of another seed, and elements of databases."""
    from ase_crystalnet.classifier import Classifier
    from ase_crystalnet.training import evaluate_global as evaluation

    classifier = Classifier(out)
    given = evaluation.fresh_structures(count, seed=7)
    rows = evaluation.defect_table(classifier, given, progress=log)
    result: dict[str, Any] = {
        "what": "structures of another seed than the training's, in supercells of about 250 sites",
        "structures_a_row": len(given),
        "percent": {row.name: round(row.accuracy, 2) for row in rows},
        "failures": {row.name: row.failures() for row in rows if row.failures()},
    }
    if databases is not None:
        row = evaluation.database_row(classifier, evaluation.database_elements(databases))
        result["database_elements"] = {
            "what": "elements of the eight space groups in databases, none of them trained on",
            "structures": len(row.structures),
            "percent": round(row.accuracy, 2),
            "failures": row.failures(),
        }
    return result


def _card(plan: ZilettiPlan, structures: int, parameters: int, out: Path) -> dict[str, Any]:
    return {
        "card_version": CARD_VERSION,
        "name": "ziletti2018",
        "description": "Class of a whole structure, the network and data of Ziletti et al. 2018",
        "mode": "global",
        "classes": list(CLASSES),
        "sha256": file_hash(out / "model.keras"),
        "input": "linear",
        "fingerprint": asdict(Fingerprint()),
        "scale": "average nearest-neighbour distance of the average crystal",
        "species": "form factors of Z + 2",
        "window_atoms": [CLUSTER_SIZE, CLUSTER_SIZE],
        "parameters": parameters,
        "trained_on": {
            "plan": asdict(plan),
            "structures": structures,
            "elements": len(ELEMENTS),
            "space_groups": sorted(LABELS),
            "defects": "none",
        },
        "keras": import_keras().__version__,
        "python": sys.version.split()[0],
        "licence": "MIT",
        "references": {
            "method": "Ziletti et al., Nat. Commun. 9, 2775 (2018), doi:10.1038/s41467-018-05169-6",
            "prototypes": "Mehl et al., Comput. Mater. Sci. 136, S1 (2017), "
            "doi:10.1016/j.commatsci.2017.01.017",
            "architecture": "ase_crystalnet.training.networks.ziletti_network",
        },
    }
