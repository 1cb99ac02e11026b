"""From a folder of structures to a model folder: reflections, training, calibration, card."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classifier.network import load_network
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import write_whole
from ase_crystalnet.training.calibration import (
    best_temperature,
    calibration_error,
    reliability,
    risk_coverage,
)
from ase_crystalnet.training.model_folder import divide_logits, write_card, write_model_folder
from ase_crystalnet.training.powder.loop import (
    accuracy,
    held_out_patterns,
    held_out_sets,
    split_of,
    train_network,
)
from ase_crystalnet.training.powder.plan import XrdPlan
from ase_crystalnet.training.powder.synthetic import (
    SYNTHETIC,
    RandomCrystals,
    space_group_frequencies,
    synthetic_set,
)
from ase_crystalnet.training.provenance import code_that_began
from ase_crystalnet.xrd.measured.readers import measured_patterns
from ase_crystalnet.xrd.pattern import network_input, system_of
from ase_crystalnet.xrd.simulated.patterns import PAPER
from ase_crystalnet.xrd.simulated.sources import SETTINGS
from ase_crystalnet.xrd.simulated.structures import StructureSet, build_structure_set

__all__ = [
    "INPUTS",
    "measured_accuracy",
    "structures_of",
    "synthetic_of",
    "train_xrd",
    "write_model",
]

Log = Callable[[str], None]
#: Source of the minerals of `_rock_forming`, and what must be said of them.
ROCK_FORMING = "amcsd_rock_forming"
_NOT_BLIND = (
    "The 21 favored structures of rock-forming minerals were added after measured patterns (of "
    "even id) without a similar training pattern had been looked at: they were amphiboles and "
    "feldspars, which the list of the database leaves out because it holds no structure with more "
    "than nine sites. They were then taken from a collection of rock-forming minerals, not by what "
    "they match."
)
#: What each network is shown, as its card says it.
INPUTS = {"resnet": "log_sin_theta_2125_sqrt", "dense": "linear_8500", "conv": "linear_8500"}


def structures_of(
    work: Path,
    folders: Sequence[Path],
    *,
    processes: int = 1,
    log: Log = lambda text: None,
) -> StructureSet:
    """Reflections of the structures of folders.

    They are kept in ``work/structures.npz``. Where a folder holds the mineral database's table of
    settings, the rock-forming minerals shipped with this package join.

    Raises
    ------
    InputError
        There are no structures, or the file was made from others.
    """
    path, record = work / "structures.npz", work / "structures.json"
    text = json.dumps(
        [
            [f.name, f.stat().st_size]
            for folder in folders
            for f in sorted([*folder.glob("*.jsonl.gz"), *folder.rglob("*.cif")])
        ]
    )
    if path.is_file():
        if not record.is_file() or record.read_text() != text:
            raise InputError(f"{path} was made from other structures: choose another work folder")
        return StructureSet.load(path)
    work.mkdir(parents=True, exist_ok=True)
    parts = [build_structure_set(folder, processes=processes, log=log) for folder in folders]
    tables = [folder / SETTINGS for folder in folders if (folder / SETTINGS).is_file()]
    if tables:
        parts.append(_rock_forming(tables[0], log))
    found = StructureSet.concatenate(parts).without_duplicates()
    write_whole(record, text)
    found.save(path)
    return found


def synthetic_of(
    work: Path,
    number: int,
    structures: StructureSet | None,
    *,
    kind: RandomCrystals | None = None,
    log: Log = lambda text: None,
) -> StructureSet:
    """Random crystals, kept in ``work/synthetic-NUMBER.npz``.

    Within a crystal system their space groups are as frequent as those of the structures that
    are trained on (`synthetic.space_group_frequencies`), if there are any.

    Raises
    ------
    InputError
        The file holds crystals of another kind.
    """
    kind = kind or RandomCrystals()
    path, record = work / f"synthetic-{number}.npz", work / f"synthetic-{number}.json"
    text = json.dumps(asdict(kind), indent=1)
    if path.is_file():
        # Files without a record are older than records, and of the kind that was the only one.
        default = json.dumps(asdict(RandomCrystals()), indent=1)
        made = record.read_text() if record.is_file() else default
        if made != text:
            raise InputError(f"{path} holds crystals of another kind: choose another work folder")
        return StructureSet.load(path)
    trained = None
    if structures is not None:
        trained = structures.space_group[split_of(structures, XrdPlan()) == "train"]
    crystals = synthetic_set(
        number,
        np.random.default_rng(kind.seed),
        frequencies=space_group_frequencies(trained, kind),
        kind=kind,
        log=log,
    )
    write_whole(record, text)
    crystals.save(path)
    return crystals


def _rock_forming(settings: Path, log: Log) -> StructureSet:
    """The minerals of more than nine sites that the database's list leaves out."""
    shipped = files("ase_crystalnet.xrd") / "data" / "amcsd_rock_forming.jsonl.gz"
    with TemporaryDirectory() as place, as_file(shipped) as source:
        (Path(place) / source.name).symlink_to(source.resolve())
        (Path(place) / SETTINGS).symlink_to(settings.resolve())
        return build_structure_set(Path(place), log=log)


def train_xrd(
    out: Path,
    work: Path,
    folders: Sequence[Path],
    *,
    plan: XrdPlan | None = None,
    synthetic: int = 0,
    measured: Path | None = None,
    processes: int = 1,
    log: Log = lambda text: None,
) -> Path:
    """Train a network on powder patterns and write ``model.keras`` and ``card.json``.

    Parameters
    ----------
    out, work : Path
        Model folder, and folder of reflections and of the run; what is there is not redone.
    folders : sequence of Path
        Structures (see `structures.build_structure_set`).
    plan : XrdPlan, optional
    synthetic : int
        Random crystals to learn from besides (needs pyxtal).
    measured : Path, optional
        ``.npz`` file of measured patterns (``X`` (B, 8500), ``space_group`` and ``ids`` (B,)).
        They are used for the card's accuracy alone.
    processes : int
        Worker processes that read structures.
    log : callable
        Takes one line of progress.

    Returns
    -------
    Path
        The model folder.
    """
    plan = plan or XrdPlan()
    if measured is not None:
        measured_patterns(measured)  # a wrong file is said before the training, not after it
    if not folders and not synthetic:
        raise InputError("no folder of structures and no synthetic crystals: nothing to learn from")
    parts = [structures_of(work, folders, processes=processes, log=log)] if folders else []
    if synthetic:
        known = parts[0] if parts else None
        parts.append(synthetic_of(work, synthetic, known, kind=plan.random_crystals, log=log))
    structures = StructureSet.concatenate(parts)
    run = work / (f"{plan.network}-{plan.seed}" + ("-systems" if plan.classes == 7 else ""))
    code = code_that_began(run)
    network = train_network(run, structures, plan, log=log)
    history = json.loads((run / "history.json").read_text())
    return write_model(out, network, plan, structures, history, measured=measured, code=code)


def write_model(
    out: Path,
    network: Any,
    plan: XrdPlan,
    structures: StructureSet,
    history: list[dict[str, Any]],
    *,
    measured: Path | None = None,
    code: str | None = None,
) -> Path:
    """Calibrate a trained network on the held-out structures, store it and write its card.

    The temperature is the likeliest on the structures of held-out composition; it divides the
    weights of the last layer. Weights are rounded to 16 bits and the file is compressed. The
    version of the code that trained goes into the card.
    """
    structures = structures.subset(~np.isin(structures.source, plan.leave_out))
    split = split_of(structures, plan)
    tests = {
        name: held_out_patterns(structures, split, name, plan.recipe, plan.network)
        for name in held_out_sets(split)
    }
    if not tests:
        raise InputError(f"{len(structures)} structures are too few to hold any out: give more")
    hardest = "composition" if "composition" in tests else next(iter(tests))
    temperature = _calibrate(network, *tests[hardest], plan.classes)
    card: dict[str, Any] = {
        "name": out.name,
        "description": "Space group of a powder pattern"
        if plan.classes == 230
        else "Crystal system of a powder pattern",
        "classes": plan.classes,
        "input": INPUTS[plan.network],
        "trained_on": {
            "plan": asdict(plan),
            "structures": int((split == "train").sum()),
            "sources": {
                str(name): int((structures.source[split == "train"] == name).sum())
                for name in np.unique(structures.source)
            },
            "favored": structures.identifier[np.isin(structures.source, plan.favored)].tolist(),
            "patterns": history[-1]["patterns"],
            "seconds": history[-1]["seconds"],
        },
        "temperature": temperature,
        "references": {
            "method": "Vecsei et al., Phys. Rev. B 99, 245120 (2019), "
            "doi:10.1103/PhysRevB.99.245120",
            "architecture": f"ase_crystalnet.training.powder.network.NETWORKS[{plan.network!r}]",
            "structures": "ase_crystalnet.training.powder.synthetic"
            if (structures.source == SYNTHETIC).all()
            else "Materials Project, CC-BY-4.0; AMCSD: Downs and Hall-Wallace, "
            "Am. Mineral. 88, 247 (2003); AFLOW; random ones: training.powder.synthetic",
        },
    }
    if code:
        card["code_version"] = code
    if (structures.source[split == "train"] == ROCK_FORMING).any():
        card["trained_on"]["note"] = _NOT_BLIND
    card = write_model_folder(out, network, card, compact=True)
    network = load_network(out / "model.keras")
    card["accuracy"] = {
        "command": "crystalnet xrd train",
        "simulated": {
            name: accuracy(_predict(network, inputs), groups)
            for name, (inputs, groups) in tests.items()
        },
    }
    if plan.recipe != PAPER:
        paper = {n: held_out_patterns(structures, split, n, PAPER, plan.network) for n in tests}
        card["accuracy"]["simulated_with_the_papers_noise"] = {
            name: accuracy(_predict(network, inputs), groups)
            for name, (inputs, groups) in paper.items()
        }
    if measured is not None:
        card["accuracy"]["measured"] = measured_accuracy(network, measured, plan)
    write_whole(out / "history.json", json.dumps(history, indent=1) + "\n")
    write_card(out, card)
    return out


def measured_accuracy(network: Any, path: Path, plan: XrdPlan) -> dict[str, Any]:
    """Accuracy and calibration on measured patterns: all, those with even id, with odd id.

    Raises
    ------
    InputError
        The file does not hold the arrays ``X`` (B, 8500), ``space_group`` and ``ids`` (B,).
    """
    patterns, groups, even = measured_patterns(path)
    patterns = np.clip(patterns, 0, None)
    inputs = network_input(patterns) if plan.network == "resnet" else patterns
    said = _predict(network, inputs)
    truth = groups - 1 if plan.classes == 230 else system_of(groups)
    halves = {"all": np.ones(len(groups), bool), "even_id": even, "odd_id": ~even}
    return {
        "patterns": len(groups),
        **{name: accuracy(said[part], groups[part]) for name, part in halves.items()},
        "expected_calibration_error": round(calibration_error(said, truth, bins=10), 4),
        "reliability": reliability(said, truth, bins=10),
        "risk_coverage": risk_coverage(said, truth),
    }


def _predict(network: Any, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(network.predict(inputs, batch_size=256, verbose=0))


def _calibrate(
    network: Any, inputs: NDArray[np.float32], groups: NDArray[np.int64], classes: int
) -> float:
    """Divide the logits by the temperature that is likeliest on held-out patterns; in place."""
    truth = groups - 1 if classes == 230 else system_of(groups)
    log_p = np.log(_predict(network, inputs).astype(np.float64) + 1e-12)
    temperature = best_temperature(log_p, np.eye(classes)[truth])
    divide_logits(network, temperature)
    return temperature
