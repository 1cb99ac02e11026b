"""Trained networks on powder patterns: finding, checking and running one.

A model is a folder under ``models/xrd`` with ``model.keras``; ``card.json``, which holds the hash
of the weights and what they were made from; and ``combination.json``: how its word and the
library's are weighed.
"""

from __future__ import annotations

import json
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.classifier.card import file_hash, models_folder, read_card
from ase_crystalnet.classifier.network import import_keras
from ase_crystalnet.errors import ModelError
from ase_crystalnet.io.whole_files import write_whole
from ase_crystalnet.xrd.answer.combination import Combination
from ase_crystalnet.xrd.pattern import INPUT_POINTS, POINTS, network_input

if TYPE_CHECKING:
    pass

__all__ = [
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
_NEEDED = ("card_version", "name", "sha256", "input", "classes")


def find_xrd_model(model: str | Path) -> Path:
    """Folder of a model of powder patterns, by name or path.

    Raises
    ------
    ModelError
        There is none of that name.
    """
    if isinstance(model, Path) or "/" in model:
        return Path(model)
    folder = models_folder() / "xrd" / model
    if not (folder / "card.json").is_file():
        known = ", ".join(shipped_xrd_models()) or "(none installed)"
        raise ModelError(
            f"model of powder patterns {model!r} is unknown: use one of {known}, or a folder that "
            "holds model.keras and card.json"
        )
    return folder


def shipped_xrd_models() -> list[str]:
    """Names of the shipped models of powder patterns."""
    return sorted(path.parent.name for path in (models_folder() / "xrd").glob("*/card.json"))


def default_network(model: str | None) -> PowderNetwork | None:
    """Network of the name a user gives: "none" is none, None the first shipped (or none)."""
    if model is None:
        shipped = shipped_xrd_models()
        model = shipped[0] if shipped else "none"
    if model == "none":
        return None
    network = PowderNetwork(find_xrd_model(model))
    if network.card["classes"] != 230:
        raise ModelError(f"model {model!r} knows crystal systems only: use one of space groups")
    return network


class PowderNetwork:
    """A trained network on powder patterns and its card.

    Parameters
    ----------
    folder : Path
        Holds ``model.keras`` and ``card.json``.

    Raises
    ------
    ModelError
        One of them is missing or damaged, or they do not belong together.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.card = _read_card(folder)
        self._weights = folder / "model.keras"
        if not self._weights.is_file():
            raise ModelError(f"{self._weights} is missing: install the model again")
        if file_hash(self._weights) != self.card["sha256"]:
            raise ModelError(f"{self._weights} does not fit its card: install the model again")

    @cached_property
    def _predict(self) -> Any:
        keras = import_keras()
        import tensorflow as tf

        try:
            network = keras.saving.load_model(self._weights, compile=False, safe_mode=True)
        except Exception as error:
            # Keras raises whatever its readers raise, in many lines.
            reason = " ".join(str(error).split())
            raise ModelError(f"{self._weights} cannot be loaded by Keras: {reason}") from error
        wanted = (None, INPUTS[self.card["input"]]), (None, self.card["classes"])
        if (network.input_shape, network.output_shape) != wanted:
            raise ModelError(
                f"{self._weights} maps {network.input_shape} to {network.output_shape}; expected "
                f"{wanted[0]} to {wanted[1]}"
            )
        signature = [tf.TensorSpec(wanted[0], tf.float32)]
        return tf.function(
            lambda x: network(x, training=False), input_signature=signature, autograph=False
        )

    def predict(self, patterns: ArrayLike, batch_size: int = 128) -> NDArray[np.float32]:
        """Probabilities of the space groups (or of the crystal systems, by a network for them).

        Parameters
        ----------
        patterns : (B, 8500) array
        batch_size : int
            Patterns the network sees at a time.

        Returns
        -------
        (B, 230) or (B, 7) float32 array
        """
        seen = network_input(patterns)
        if self.card["input"] == "linear_8500":
            seen = np.asarray(patterns, np.float32)
            seen = seen / seen.max(axis=1, keepdims=True)
        out = np.empty((len(seen), self.card["classes"]), np.float32)
        for start in range(0, len(seen), batch_size):
            part = slice(start, start + batch_size)
            out[part] = self._predict(seen[part]).numpy()
        return out


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / "card.json"
    data = read_card(folder, _NEEDED)
    if data["input"] not in INPUTS or data["classes"] not in (7, 230):
        raise ModelError(
            f"{path}: a network on {data['input']!r} with {data['classes']} classes; expected "
            f"{' or '.join(INPUTS)}, and 7 or 230 classes"
        )
    return data


def _combination_file(network: PowderNetwork | None) -> tuple[Path, str]:
    """Where the combination is kept, and the hash of the weights it belongs to."""
    if network is None:
        return Path(str(files("ase_crystalnet.xrd").joinpath("data"))) / COMBINATION, ""
    return network.folder / COMBINATION, str(network.card["sha256"])


def read_combination(network: PowderNetwork | None) -> Combination:
    """How a network's word and the library's are combined; None: the library alone.

    Raises
    ------
    ModelError
        It is missing, damaged, or belongs to other weights.
    """
    path, sha256 = _combination_file(network)
    again = "`crystalnet xrd calibrate` makes it"
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: {again}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is damaged ({error}): {again}") from None
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
