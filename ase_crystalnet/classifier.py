"""Shipped models: weights with their card, probabilities in batches.

A model is a folder with ``model.keras`` (Keras 3, loaded in safe mode) and ``card.json``. The card
holds the hash of the weights, the classes and the constants of the stages that feed the network,
so that none of them can part from the weights.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError, ModelError

__all__ = [
    "Classifier",
    "ModelCard",
    "file_hash",
    "import_keras",
    "list_models",
    "models_folder",
]

CARD_VERSION = 1
#: Smaller batches are filled up: TensorFlow sums up a single image in an order that depends on the
#: number of threads, and results must not.
LEAST_BATCH = 8
_NEEDED = ("card_version", "name", "classes", "sha256", "input", "fingerprint", "window_atoms")


def _is_names(value: Any) -> bool:
    whole = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return whole and len(value) > 1 and len(set(value)) == len(value)


def _is_range(value: Any) -> bool:
    whole = isinstance(value, list) and all(isinstance(number, int) for number in value)
    return whole and len(value) == 2 and 0 < value[0] <= value[1]


# Field of the card -> test of its value, and what it should be, in words.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str), "a name"),
    "classes": (_is_names, "a list of two or more different names"),
    "sha256": (lambda value: isinstance(value, str), "a hash"),
    "input": (lambda value: value in ("linear", "sqrt"), "'linear' or 'sqrt'"),
    "fingerprint": (lambda value: isinstance(value, dict), "the constants of the fingerprint"),
    "window_atoms": (_is_range, "the smallest and the largest number of atoms"),
}


def models_folder() -> Path:
    """Folder of the shipped models: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent
    packed = here / "_models"
    return packed if packed.is_dir() else here.parent / "models"


def list_models(folder: Path | None = None) -> list[ModelCard]:
    """Cards of the models in a folder (the shipped ones by default), sorted by name."""
    folder = models_folder() if folder is None else Path(folder)
    return [ModelCard.read(path.parent) for path in sorted(folder.glob("*/card.json"))]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class ModelCard:
    """What a model is, from what it was made, and how it scored.

    Attributes
    ----------
    folder : Path
    data : dict
        Content of ``card.json``.
    """

    folder: Path
    data: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """Read and check the card of a model folder.

        Raises
        ------
        ModelError
            The card is missing, is no JSON, is of another version, or a field is missing or of
            the wrong kind.
        """
        path = folder / "card.json"
        data = read_card(folder, _NEEDED)
        for key, (fits, wanted) in _KINDS.items():
            if not fits(data[key]):
                raise ModelError(
                    f"{path} is damaged: {key} is {data[key]!r}, expected {wanted}; install the "
                    "model again"
                )
        return cls(folder, data)

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.data["name"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes, in the order of the probabilities."""
        return tuple(self.data["classes"])

    @property
    def window_atoms(self) -> tuple[int, int]:
        """Smallest and largest window the model was trained for."""
        low, high = self.data["window_atoms"]
        return int(low), int(high)


class Classifier:
    """Probabilities of fingerprints by a pretrained network.

    TensorFlow is imported, and the weights are read, when the first prediction is asked for; the
    card is read, and the weights checked against it, at once.

    Parameters
    ----------
    model : str or Path
        Name of a shipped model, or a model folder.

    Raises
    ------
    ModelError
        There is no such model, or weights and card do not belong together.
    """

    def __init__(self, model: str | Path = "local") -> None:
        self._model = model if isinstance(model, str) and os.sep not in model else Path(model)
        self.card = ModelCard.read(_find(model))
        self._weights = self.card.folder / "model.keras"
        if not self._weights.is_file():
            raise ModelError(f"{self._weights} is missing: install the model again")
        found = file_hash(self._weights)
        if found != self.card.data["sha256"]:
            raise ModelError(
                f"{self._weights} does not fit its card (hash {found[:12]}, card says "
                f"{str(self.card.data['sha256'])[:12]}): install model {self.card.name!r} again"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process reads the weights itself, and must find the same ones under the name.
        place = self._model if isinstance(self._model, str) else self._model.resolve()
        return _same_classifier, (place, self.card.data["sha256"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes, in the order of the probabilities."""
        return self.card.classes

    @cached_property
    def network(self) -> Any:
        """The Keras model.

        Raises
        ------
        ModelError
            The weights cannot be read, or do not have the card's input and classes.
        """
        keras = import_keras()
        try:
            network = keras.saving.load_model(self._weights, compile=False, safe_mode=True)
        except Exception as error:
            # Keras raises whatever its readers raise, in many lines; each of them means the same
            # to a user.
            reason = " ".join(str(error).split())
            raise ModelError(f"{self._weights} cannot be loaded by Keras: {reason}") from error
        wanted = (None, 64, 64, 3), (None, len(self.classes))
        if (network.input_shape, network.output_shape) != wanted:
            raise ModelError(
                f"{self._weights} maps {network.input_shape} to {network.output_shape}; the card "
                f"of {self.card.name!r} says {wanted[0]} to {wanted[1]}"
            )
        return network

    @cached_property
    def _predict(self) -> Any:
        import tensorflow as tf

        network = self.network
        square_root = self.card.data["input"] == "sqrt"

        def predict(images: Any) -> Any:
            return network(tf.sqrt(images) if square_root else images, training=False)

        signature = [tf.TensorSpec((None, 64, 64, 3), tf.float32)]
        return tf.function(predict, input_signature=signature, autograph=False)

    def predict(
        self, fingerprints: NDArray[np.float32], batch_size: int = 256
    ) -> NDArray[np.float32]:
        """Class probabilities.

        Parameters
        ----------
        fingerprints : (B, 64, 64, 3) array
            D_F, largest value 1.
        batch_size : int
            Images the network sees at a time.

        Returns
        -------
        (B, C) float32 array
            Rows sum to 1; calibrated on held-out windows (see the card).
        """
        fingerprints = np.asarray(fingerprints, np.float32)
        if fingerprints.ndim != 4 or fingerprints.shape[1:] != (64, 64, 3):
            raise InputError(
                f"fingerprints have shape {fingerprints.shape}; expected (B, 64, 64, 3)"
            )
        out = np.empty((len(fingerprints), len(self.classes)), np.float32)
        for start in range(0, len(fingerprints), batch_size):
            part = fingerprints[start : start + batch_size]
            if (there := len(part)) < LEAST_BATCH:
                part = np.resize(part, (LEAST_BATCH, *part.shape[1:]))
            out[start : start + batch_size] = self._predict(part).numpy()[:there]
        return out


def _same_classifier(model: str | Path, sha256: str) -> Classifier:
    classifier = Classifier(model)
    if classifier.card.data["sha256"] != sha256:
        raise ModelError(
            f"{classifier.card.folder} holds other weights than the model {str(model)!r} of the "
            "process that sent it: install the same version in both places"
        )
    return classifier


def read_card(folder: Path, needed: Iterable[str]) -> dict[str, Any]:
    """Content of the card of a model folder, of this program's version and with these fields.

    Raises
    ------
    ModelError
        The card is missing, is no JSON, is of another version, or a field is missing.
    """
    path = folder / "card.json"
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no card.json: it is not a model folder") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is damaged ({error}): install the model again") from None
    missing = [key for key in needed if not isinstance(data, dict) or key not in data]
    if missing:
        raise ModelError(f"{path} lacks {', '.join(missing)}: install the model again")
    # The version first: another version may mean something else by its fields.
    if data["card_version"] != CARD_VERSION:
        raise ModelError(
            f"{path} is of card version {data['card_version']}, this program reads "
            f"{CARD_VERSION}: use the version of ase-crystalnet the model came with"
        )
    return dict(data)


def labels_of(
    probabilities: NDArray[np.float32], min_certainty: float | None = None
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Labels and certainty of some answers (Vecsei et al. 2019, Eq. 13).

    Parameters
    ----------
    probabilities : (B, C) array
        nan where nothing is known.
    min_certainty : float, optional
        Answers that are less certain are refused; None refuses none.

    Returns
    -------
    labels : (B,) int16 array
        Most probable class; -1 where refused or nothing is known.
    certainty : (B,) float32 array
        max_i p_i; nan where nothing is known.
    """
    known = np.asarray(np.isfinite(probabilities).all(axis=1))
    safe = np.where(known[:, None], probabilities, 0)
    labels = safe.argmax(axis=1).astype(np.int16)
    certainty = np.where(known, safe.max(axis=1, initial=0), np.nan).astype(np.float32)
    threshold = 0.0 if min_certainty is None else min_certainty
    labels[~known | ~(certainty >= threshold)] = -1
    return labels, certainty


def import_keras() -> Any:
    """Keras on TensorFlow, imported when first asked for, without TensorFlow's remarks."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    return keras


def _find(model: str | Path) -> Path:
    if isinstance(model, Path) or os.sep in model:
        return Path(model)
    folder = models_folder() / model
    if not (folder / "card.json").is_file():
        known = ", ".join(sorted(p.parent.name for p in models_folder().glob("*/card.json")))
        raise ModelError(
            f"model {model!r} is unknown: use one of {known or '(none installed)'}, or a folder "
            "that holds model.keras and card.json"
        )
    return folder
