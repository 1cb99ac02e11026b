"""Shipped models: weights with their card, probabilities in batches.

A model is a folder with ``model.keras`` (Keras 3, loaded in safe mode), ``model.onnx`` (the same
weights for onnxruntime) and ``card.json``. The card holds the hashes of the weights, the classes
and the constants of the stages that feed the network, so that none of them can part from the
weights.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classifier.card import ModelCard, find_model
from ase_crystalnet.classifier.engines import Network, chosen_engine
from ase_crystalnet.classifier.network import Shape, load_network, refuse_forked
from ase_crystalnet.errors import InputError, ModelError

__all__ = ["Classifier"]


class Classifier:
    """Probabilities of fingerprints by a pretrained network.

    The weights are read, and what runs them is imported, when the first prediction is asked for;
    the card is read, and the weights checked against it, at once.

    Parameters
    ----------
    model : str or Path
        Name of a shipped model, or a model folder.
    engine : {'onnx', 'tensorflow'}, optional
        What runs the network: onnxruntime (the default, where the model has ``model.onnx``), or
        TensorFlow, which the extra "tensorflow" installs and which uses a GPU that it sees.
        Probabilities agree to 1e-5.

    Attributes
    ----------
    engine : str
        The one that runs it.
    card : ModelCard

    Raises
    ------
    ModelError
        There is no such model, or weights and card do not belong together.
    InputError
        There is no such engine.
    """

    def __init__(self, model: str | Path = "local", *, engine: str | None = None) -> None:
        self._model = model if isinstance(model, str) and os.sep not in model else Path(model)
        self.card = ModelCard.read(find_model(model))
        self.engine = chosen_engine(self.card, engine)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process reads the weights itself, and must find the same ones under the name.
        place = self._model if isinstance(self._model, str) else self._model.resolve()
        return _same_classifier, (place, self.card.sha256, self.engine)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes, in the order of the probabilities."""
        return self.card.classes

    @cached_property
    def network(self) -> Any:
        """The Keras model, whatever engine answers.

        Raises
        ------
        ModelError
            The weights cannot be read, or do not have the card's input and classes.
        InputError
            TensorFlow is not installed.
        """
        # The hash again: the file may have changed since, and is opened only if it has not.
        return load_network(self.card.weights(), shapes=self._shapes)

    @property
    def _shapes(self) -> tuple[Shape, Shape]:
        return (None, 64, 64, 3), (None, len(self.classes))

    @cached_property
    def _predict(self) -> Network:
        return Network(self.card, self.engine, self._shapes, root=self.card.input == "sqrt")

    def predict(
        self, fingerprints: NDArray[np.float32], batch_size: int = 256
    ) -> NDArray[np.float32]:
        """Class probabilities.

        Parameters
        ----------
        fingerprints : (B, 64, 64, 3) array
            D_F, largest value 1.
        batch_size : int
            Images the network sees at a time (onnxruntime at most 16 in each thread).

        Returns
        -------
        (B, C) float32 array
            Rows sum to 1; calibrated on held-out windows (see the card). On one machine they
            do not depend on the number of threads, and on that of images by 1e-6 at most (with
            TensorFlow on both by 1e-6).

        Raises
        ------
        InputError
            Images of another shape, or the engine is TensorFlow and not installed.
        WorkerError
            This process was forked from one that has a network in use.
        """
        refuse_forked()
        fingerprints = np.asarray(fingerprints, np.float32)
        if fingerprints.ndim != 4 or fingerprints.shape[1:] != (64, 64, 3):
            raise InputError(
                f"fingerprints have shape {fingerprints.shape}; expected (B, 64, 64, 3)"
            )
        return self._predict(fingerprints, batch_size)


def _same_classifier(model: str | Path, sha256: str, engine: str) -> Classifier:
    classifier = Classifier(model, engine=engine)
    if classifier.card.sha256 != sha256:
        raise ModelError(
            f"{classifier.card.folder} holds other weights than the model {str(model)!r} of the "
            "process that sent it: install the same version in both places"
        )
    return classifier
