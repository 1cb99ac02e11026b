"""Shipped models: weights with their card, probabilities in batches.

A model is a folder with ``model.keras`` (Keras 3, loaded in safe mode) and ``card.json``. The card
holds the hash of the weights, the classes and the constants of the stages that feed the network,
so that none of them can part from the weights.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classifier.card import ModelCard, find_model
from ase_crystalnet.classifier.network import load_network, refuse_forked
from ase_crystalnet.errors import InputError, ModelError

__all__ = ["Classifier"]

#: Smaller batches are filled up: TensorFlow sums up a few images in another order than many, which
#: shows in the last digit, and a single one in an order that depends on the number of threads.
LEAST_BATCH = 8


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
        self.card = ModelCard.read(find_model(model))
        self.card.weights()

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process reads the weights itself, and must find the same ones under the name.
        place = self._model if isinstance(self._model, str) else self._model.resolve()
        return _same_classifier, (place, self.card.sha256)

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
        shapes = (None, 64, 64, 3), (None, len(self.classes))
        # The hash again: the file may have changed since, and is opened only if it has not.
        return load_network(self.card.weights(), shapes=shapes)

    @cached_property
    def _predict(self) -> Any:
        network = self.network
        import tensorflow as tf  # not before: it is the network's reader that keeps it quiet

        square_root = self.card.input == "sqrt"

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
            Rows sum to 1; calibrated on held-out windows (see the card). On one machine they
            depend on the number of images and of threads by 1e-6 at most.

        Raises
        ------
        WorkerError
            This process was forked from one that has a network in use.
        """
        refuse_forked()
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
    if classifier.card.sha256 != sha256:
        raise ModelError(
            f"{classifier.card.folder} holds other weights than the model {str(model)!r} of the "
            "process that sent it: install the same version in both places"
        )
    return classifier
