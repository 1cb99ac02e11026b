"""From nothing to ``models/ziletti2018``: pristine structures, fingerprints, training, card.

The network and the first five epochs are those of Ziletti et al., Nat. Commun. 9, 2775 (2018):
pristine crystals only, Table 2, Adam 1e-3, batches of 32, a tenth held out. Epochs with a falling
rate follow, in which supercells with vacancies are among the images. What is done is kept in the
work folder, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classifier.network import import_keras, load_network
from ase_crystalnet.crystals.elements import ELEMENTS, LABELS, Element
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.io.whole_files import write_whole
from ase_crystalnet.training.checkpoint import Checkpoint
from ase_crystalnet.training.model_folder import save_network, write_card, write_model_folder
from ase_crystalnet.training.provenance import code_that_began
from ase_crystalnet.training.ziletti2018.dataset import (
    CLASSES,
    Data,
    ZilettiPlan,
    pristine_structures,
    read_or_make,
)
from ase_crystalnet.whole.cluster import CLUSTER_SIZE

__all__ = ["evaluation", "held_out", "split", "train_ziletti"]

Log = Callable[[str], None]
#: File of the network as it is after the epochs of the paper.
PAPER = "paper-epochs.keras"


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
    code = code_that_began(work)
    data = read_or_make(plan, work, processes, log)
    train, test = split(plan, len(data.labels))
    network = _fit(plan, work, data, train, log)
    paper = load_network(work / PAPER)
    percent = {
        name: round(_percent(one, data.images[test], data.labels[test]), 2)
        for name, one in (
            ("pristine, held out", network),
            (f"pristine, held out, after the paper's {plan.epochs} epochs", paper),
        )
    }
    log(f"of {len(test)}: {percent}")
    known = _card(plan, len(data.labels), code)
    card = write_model_folder(out, network, known)
    write_model_folder(work / "paper", paper, known)
    card["accuracy"] = {
        "command": "crystalnet train ziletti2018",
        "structures": len(test),
        "percent": percent,
        "evaluation": evaluation(out, work / "paper", evaluation_structures, databases, log),
    }
    write_card(out, card)
    return out


def held_out(plan: ZilettiPlan | None = None) -> list[Element]:
    """The structures that the shipped model was not trained on."""
    plan = plan or ZilettiPlan()
    everything = [e for shard in range(plan.shards) for e in pristine_structures(plan, shard)]
    return [everything[i] for i in split(plan, len(everything))[1]]


def split(plan: ZilettiPlan, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices to train on and to hold out of `count` structures, each sorted."""
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


# ---------------------------------------------------------------------- network
def _fit(
    plan: ZilettiPlan,
    work: Path,
    data: Data,
    train: NDArray[np.int64],
    log: Log,
) -> Any:
    """The trained network, in float32; a checkpoint is kept after every epoch."""
    from ase_crystalnet.training.ziletti2018.network import ziletti_network

    keras = import_keras()
    steps = len(train) // plan.batch_size
    keras.utils.set_random_seed(plan.seed)
    network = ziletti_network(len(CLASSES), seed=plan.seed, mixed=plan.mixed)
    network.compile(
        keras.optimizers.Adam(plan.learning_rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    checkpoint = Checkpoint(
        work / "checkpoint.npz", network, network.optimizer, settings=json.dumps(asdict(plan))
    )
    begin = (checkpoint.restore() or {"epochs": 0})["epochs"]
    total = plan.epochs + plan.settling
    for epoch in range(begin, total):
        rng = np.random.default_rng([plan.seed, 2, epoch])
        order = rng.permutation(train)
        settled = epoch >= plan.epochs
        thin = rng.random(len(data.labels)) < plan.thinned_shown if settled else None
        network.reset_metrics()
        for step in range(steps):
            rows = np.sort(order[step * plan.batch_size : (step + 1) * plan.batch_size])
            left = (total * steps - epoch * steps - step) / max(plan.settling * steps, 1)
            network.optimizer.learning_rate = plan.learning_rate * min(left, 1.0)
            images = data.images[rows].astype(np.float32)
            if thin is not None:
                images[thin[rows]] = data.thinned[rows[thin[rows]]]
            logs = network.train_on_batch(images, data.labels[rows], return_dict=True)
            if step % 50 == 49:
                shown = ", ".join(f"{name} {float(value):.4f}" for name, value in logs.items())
                log(f"epoch {epoch + 1} of {total}, batch {step + 1} of {steps}: {shown}")
        if epoch + 1 == plan.epochs:
            save_network(_in_float32(network, plan), work / PAPER)
        checkpoint.save(epochs=epoch + 1)
    return _in_float32(network, plan)


def _in_float32(network: Any, plan: ZilettiPlan) -> Any:
    """The network with its arithmetic in float32, as it is kept; weights are that already."""
    from ase_crystalnet.training.ziletti2018.network import ziletti_network

    plain = ziletti_network(len(CLASSES), seed=plan.seed)
    plain.set_weights(network.get_weights())
    return plain


def _percent(network: Any, images: NDArray[np.float16], labels: NDArray[np.int64]) -> float:
    """Percent of the images whose most probable class is right."""
    found = [
        network.predict_on_batch(images[i : i + 256].astype(np.float32)).argmax(axis=1)
        for i in range(0, len(images), 256)
    ]
    return 100 * float((np.concatenate(found) == labels).mean())


def evaluation(
    out: Path, paper: Path, count: int, databases: Path | None, log: Log
) -> dict[str, Any]:
    """Tables of the card: defects in structures of another seed, and elements of databases.

    `out` and `paper` are model folders: the trained network, and that after the paper's epochs.
    """
    from ase_crystalnet.classifier.classifier import Classifier
    from ase_crystalnet.training.ziletti2018 import evaluate as evaluation

    classifier = Classifier(out)
    given = evaluation.fresh_structures(count, seed=7)
    rows = evaluation.defect_table(classifier, given, progress=log)
    result: dict[str, Any] = {
        "what": "structures of another seed than the training's, in supercells of about 250 sites",
        "structures_a_row": len(given),
        "percent": {row.name: round(row.accuracy, 2) for row in rows},
        "failures": {row.name: row.failures() for row in rows if row.failures()},
    }
    theirs = evaluation.defect_table(Classifier(paper), given, progress=log)
    result["percent, after the paper's epochs"] = {
        row.name: round(row.accuracy, 2) for row in theirs
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


def _card(plan: ZilettiPlan, structures: int, code: str) -> dict[str, Any]:
    return {
        "name": "ziletti2018",
        "description": "Class of a whole structure, the network and data of Ziletti et al. 2018",
        "mode": "global",
        "classes": list(CLASSES),
        "input": "linear",
        "fingerprint": asdict(Fingerprint()),
        "scale": "average nearest-neighbour distance of the average crystal",
        "species": "form factors of Z + 2",
        "window_atoms": [CLUSTER_SIZE, CLUSTER_SIZE],
        "trained_on": {
            "plan": asdict(plan),
            "structures": structures,
            "elements": len(ELEMENTS),
            "space_groups": sorted(LABELS),
            "defects": f"none in the first {plan.epochs} epochs; then vacancies, "
            f"0 to {100 * plan.most_vacancies:g} %, in about "
            f"{100 * plan.thinned * plan.thinned_shown:g} % of the images",
        },
        "code_version": code,
        "references": {
            "method": "Ziletti et al., Nat. Commun. 9, 2775 (2018), doi:10.1038/s41467-018-05169-6",
            "prototypes": "Mehl et al., Comput. Mater. Sci. 136, S1 (2017), "
            "doi:10.1016/j.commatsci.2017.01.017",
            "architecture": "ase_crystalnet.training.ziletti2018.network.ziletti_network",
        },
    }
