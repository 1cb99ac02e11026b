"""Trainings that are killed and go on, and model folders on a disk that is full."""

from __future__ import annotations

import io
import json
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.crash.process import Program, Tell, start
from tests.crash.tally import Bench, Tally

PATTERNS, BATCH = 128, 32
#: TensorFlow takes its time to come up on a machine that is busy.
SLOW = 600.0


def train() -> Program:
    """A small `crystalnet xrd train`, which keeps a checkpoint at every step and tells each."""

    def program(tell: Tell) -> None:
        import tensorflow as tf

        from ase_crystalnet import cli
        from ase_crystalnet.training.powder import loop
        from ase_crystalnet.training.powder import train as powder
        from tests.support.powder_samples import eighty_crystals

        # Sums over several threads come out in another order each time.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        report, train_network = loop._report, powder.train_network

        def reported(*arguments: Any) -> Any:
            tell("report")
            row = report(*arguments)
            tell(f"checkpoint {row['patterns']}")
            return row

        def often(*arguments: Any, **options: Any) -> Any:
            tell("begun")
            network = train_network(*arguments, every=0, **options)
            tell("trained")
            return network

        loop._report, powder.train_network = reported, often
        powder.structures_of = lambda *_, **__: eighty_crystals()  # type: ignore[assignment]
        import sys

        sys.argv = [
            *("crystalnet", "xrd", "train", "crystals", "-o", "model", "--work", "work", "-q"),
            *("--network", "dense", "--systems", "--noise", "paper", "--seed", "5"),
            *("--patterns", str(PATTERNS), "--batch-size", str(BATCH)),
        ]
        cli.main()

    return program


class Learning(Bench):
    """Trials of a training; the first run, which nothing happens to, is what they compare with."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        super().__init__(folder, rng)
        Path("crystals").mkdir()
        self.inputs |= {"crystals"}
        child = start(train())
        assert child.end(SLOW) == 0, Path("messages").read_text()
        self.reference = folder.with_name("reference-model")
        shutil.copytree("model", self.reference)
        self.steps = len(child.steps_told)

    def kill(self, tally: Tally, kills: int = 2) -> None:
        """Signals at random moments of a training, then an end in peace."""
        self.clear()
        tally.trials += 1
        done = 0
        for _ in range(kills):
            child = start(train())
            number = self.signal()
            child.wait_until("begun")
            child.wait_for(int(self.rng.integers(1, self.steps + 1)))
            time.sleep(self.rng.uniform(0, 0.3))
            child.send(number)
            if self.ended(child, tally, number) != 0:
                tally.interrupted += 1
            kept = [int(s.split()[1]) for s in child.steps_told if s.startswith("checkpoint")]
            # A run goes on from the last checkpoint that any before it told.
            tally.lost += bool(kept) and kept[0] < done
            done = max([done, *kept])
            tally.with_frames += done > 0
        if self.ended(start(train()), tally) != 0:
            tally.lost += 1
            return
        tally.damaged += not same_model(Path("model"), self.reference)
        patterns = [row["patterns"] for row in json.loads(Path("model/history.json").read_text())]
        tally.lost += len(set(range(0, PATTERNS + 1, BATCH)) - set(patterns))
        tally.doubled += len(patterns) - len(set(patterns))
        left = self.litter({"model", "work"})
        tally.outcomes["left behind"] += any(".writing-" in name for name in left)
        tally.littered += any(".writing-" not in name for name in left)

    def fill(self, tally: Tally) -> None:
        """A model folder is written, on a disk that is full at each write in turn."""
        self.clear()
        child = start(write_folders)
        self.ended(child, tally)
        for step in child.steps_told:
            kind, _, rest = step.partition(" ")
            tally.trials += 1
            tally.interrupted += kind == "refused"
            tally.with_frames += 1
            tally.damaged += kind == "damaged"
            tally.littered += kind == "littered"
            if kind not in ("refused", "written"):
                tally.outcomes[f"{kind} {rest}"] += 1
        tally.lost += "written at the end" not in child.steps_told


def same_model(folder: Path, reference: Path) -> bool:
    """Whether weights, card and history are those of a run that nothing happened to."""
    import h5py

    def weights(path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def take(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = np.asarray(item)

        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(content, "r") as file:
            file.visititems(take)
        return found

    one, other = (weights(place / "model.keras") for place in (folder, reference))
    if one.keys() != other.keys():
        return False
    if not all(np.array_equal(one[name], other[name]) for name in one):
        return False
    cards = [json.loads((place / "card.json").read_text()) for place in (folder, reference)]
    for card in cards:
        # Time, the hash of a file in which its time is, and of one in which names are counted.
        del card["trained_on"]["seconds"], card["sha256"], card["onnx_sha256"]
    histories = [json.loads((place / "history.json").read_text()) for place in (folder, reference)]
    losses = [[(row["patterns"], row["loss"]) for row in rows[1:]] for rows in histories]
    return bool(cards[0] == cards[1] and losses[0] == losses[1])


def write_folders(tell: Tell) -> None:
    """Write a model folder over an old one again and again, failing at one write after another."""
    import resource

    from ase_crystalnet.classifier.card import file_hash
    from ase_crystalnet.training.model_folder import write_model_folder
    from tests.crash.full_disk import FullDisk
    from tests.support.tiny_models import CLASSES, write_network

    write_network(Path("tiny.keras"))
    from ase_crystalnet.classifier.network import import_keras

    network = import_keras().saving.load_model("tiny.keras")
    Path("tiny.keras").unlink()
    disk = FullDisk(None)
    disk.install()
    out = Path("model")
    card = {"name": "tiny", "description": "x", "classes": list(CLASSES)}

    def write(what: str) -> None:
        for compact in (False, True):
            disk.count = 0
            try:
                write_model_folder(out, network, card, compact=compact)
            except OSError:
                result = "refused"
            else:
                result = "written"
            disk.at = None
            whole = {"model.keras", "model.onnx", "card.json"}
            files = {path.name for path in out.iterdir()}
            if files != whole:
                result = "littered" if files > whole else "damaged"
            # A card that does not fit its weights is refused by whoever reads it: none is lost, and
            # the training writes both anew.
            elif result == "written":
                stated = json.loads((out / "card.json").read_text())
                hashes = {"sha256": "model.keras", "onnx_sha256": "model.onnx"}
                fit = all(stated[key] == file_hash(out / name) for key, name in hashes.items())
                result = "written" if fit else "damaged"
            else:
                json.loads((out / "card.json").read_text())
                with zipfile.ZipFile(out / "model.keras") as archive:
                    if archive.testzip() is not None:
                        result = "damaged"
            tell(f"{result} {what} {compact}")
            for path in out.glob(".writing-*"):
                shutil.rmtree(path)

    write("first")
    count, size = disk.count, (out / "model.keras").stat().st_size
    for at in range(count):
        disk.at, disk.again = at, bool(at % 2)
        write(f"at {at}")
    for step in range(20):
        resource.setrlimit(resource.RLIMIT_FSIZE, (step * size // 18, resource.RLIM_INFINITY))
        write(f"limit {step}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    tell("written at the end")
