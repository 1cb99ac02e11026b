"""Trained networks on powder patterns: finding, checking and running one.

A model is a folder under ``models/xrd`` with ``model.keras`` and the same weights for onnxruntime,
``model.onnx``; ``card.json``, which holds their hashes and what they were made from; and
``combination.json``: how its answer and the library's are weighed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.classifier.card import LARGEST_CARD, Card, Need, find_model, models_folder
from ase_crystalnet.classifier.engines import Network, chosen_engine
from ase_crystalnet.classifier.network import refuse_forked
from ase_crystalnet.errors import ModelError
from ase_crystalnet.inputs import read_plain, reason_of
from ase_crystalnet.io.whole_files import write_whole
from ase_crystalnet.xrd.answer.combination import Combination
from ase_crystalnet.xrd.pattern import INPUT_POINTS, POINTS, network_input

__all__ = [
    "PowderCard",
    "PowderNetwork",
    "default_network",
    "find_xrd_model",
    "read_combination",
    "shipped_xrd_models",
    "write_combination",
]

#: File beside a model's weights: its combination with the library.
COMBINATION = "combination.json"
#: What a card may say its network is shown, and how many points that has.
INPUTS = {"log_sin_theta_2125_sqrt": INPUT_POINTS, "linear_8500": POINTS}
#: Space groups, or crystal systems.
CLASSES = (230, 7)


@dataclass(frozen=True)
class PowderCard(Card):
    """What a model of powder patterns is, from what it was made, and how it scored.

    Attributes
    ----------
    classes : int
        230 space groups or 7 crystal systems.
    """

    classes: int

    needs: ClassVar[Mapping[str, Need]] = {
        **Card.needs,
        "input": (lambda value: value in INPUTS, " or ".join(map(repr, INPUTS))),
        "classes": (
            lambda value: isinstance(value, int) and value in CLASSES,
            " or ".join(map(str, CLASSES)),
        ),
    }

    @classmethod
    def _fields(cls, path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
        return {**super()._fields(path, data), "classes": data["classes"]}


def find_xrd_model(model: str | Path) -> Path:
    """Folder of a model of powder patterns, by name or path.

    Raises
    ------
    ModelError
        There is none of that name.
    """
    return find_model(model, models_folder() / "xrd", "model of powder patterns")


def shipped_xrd_models() -> list[str]:
    """Names of the shipped models of powder patterns."""
    return sorted(path.parent.name for path in (models_folder() / "xrd").glob("*/card.json"))


def default_network(model: str | None, *, engine: str | None = None) -> PowderNetwork | None:
    """Network of the name a user gives: "none" is none, None the first shipped (or none)."""
    if model is None:
        shipped = shipped_xrd_models()
        model = shipped[0] if shipped else "none"
    if model == "none":
        return None
    network = PowderNetwork(find_xrd_model(model), engine=engine)
    if network.card.classes != 230:
        raise ModelError(f"model {model!r} knows crystal systems only: use one of space groups")
    return network


class PowderNetwork:
    """A trained network on powder patterns and its card.

    Parameters
    ----------
    folder : Path
        Holds ``model.keras``, ``model.onnx`` and ``card.json``.
    engine : {'onnx', 'tensorflow'}, optional
        What runs it: onnxruntime where the model has ``model.onnx``, else TensorFlow.

    Raises
    ------
    ModelError
        One of them is missing or damaged, or they do not belong together.
    InputError
        There is no such engine.
    """

    def __init__(self, folder: Path, *, engine: str | None = None) -> None:
        self.folder = folder
        self.card = PowderCard.read(folder)
        self.engine = chosen_engine(self.card, engine)

    @cached_property
    def _predict(self) -> Network:
        shapes = (None, INPUTS[self.card.input]), (None, self.card.classes)
        return Network(self.card, self.engine, shapes)

    def predict(self, patterns: ArrayLike, batch_size: int = 128) -> NDArray[np.float32]:
        """Probabilities of the space groups (or of the crystal systems, by a network for them).

        Parameters
        ----------
        patterns : (B, 8500) array
        batch_size : int
            Patterns the network sees at a time (onnxruntime at most 16 in each thread).

        Returns
        -------
        (B, 230) or (B, 7) float32 array

        Raises
        ------
        InputError
            The engine is TensorFlow, which is not installed.
        WorkerError
            This process was forked from one that has a network in use.
        """
        refuse_forked()
        seen = network_input(patterns)
        if self.card.input == "linear_8500":
            seen = np.asarray(patterns, np.float32)
            seen = seen / seen.max(axis=1, keepdims=True)
        return self._predict(seen, batch_size)


def _combination_file(network: PowderNetwork | None) -> tuple[Path, str]:
    """Where the combination is kept, and the hash of the weights it belongs to."""
    if network is None:
        return Path(str(files("ase_crystalnet.xrd").joinpath("data"))) / COMBINATION, ""
    return network.folder / COMBINATION, network.card.sha256


def read_combination(network: PowderNetwork | None) -> Combination:
    """How the answers of a network and of the library are combined; None: the library alone.

    Raises
    ------
    ModelError
        It is missing, damaged, or belongs to other weights.
    """
    path, sha256 = _combination_file(network)
    again = "`crystalnet xrd calibrate` makes it"
    try:
        data = json.loads(read_plain(path, LARGEST_CARD, "a combination"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: {again}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged ({reason_of(error)}): {again}") from None
    if not isinstance(data, dict) or data.get("sha256") != sha256:
        raise ModelError(f"{path} belongs to other weights: {again}")
    return Combination.from_dict(data.get("combination"))


def write_combination(
    network: PowderNetwork | None, combination: Combination, fitted_on: str
) -> Path:
    """Store what `read_combination` reads, beside the weights it was fitted with."""
    path, sha256 = _combination_file(network)
    content = {"sha256": sha256, "combination": combination.to_dict(), "fitted_on": fitted_on}
    write_whole(path, json.dumps(content, indent=1) + "\n")
    return path
