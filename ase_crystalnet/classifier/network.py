"""Keras networks: imported when one is first needed, read in safe mode."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ase_crystalnet.errors import ModelError

__all__ = ["import_keras", "load_network"]

Shape = tuple[int | None, ...]


def import_keras() -> Any:
    """Keras on TensorFlow, imported when first asked for, without TensorFlow's remarks.

    TensorFlow's oneDNN kernels are switched on unless ``TF_ENABLE_ONEDNN_OPTS`` says otherwise.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow leaves them out on x86 processors without AVX-512. Its other kernels divide sums
    # by the number of threads and take a third longer there.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    return keras


def load_network(
    path: Path, *, shapes: tuple[Shape, Shape] | None = None, compiled: bool = False
) -> Any:
    """Read a network from a ``.keras`` file; code in the file is not run.

    Parameters
    ----------
    path : Path
    shapes : tuple of two shapes, optional
        Expected shapes of input and output, with None for the number of samples; not checked by
        default.
    compiled : bool
        Also read the state of the optimizer, to train on.

    Raises
    ------
    ModelError
        The file cannot be read, or its network has other shapes.
    """
    keras = import_keras()
    try:
        network = keras.saving.load_model(path, compile=compiled, safe_mode=True)
    except Exception as error:
        # Keras raises whatever its readers raise, in many lines; each of them means the same to a
        # user.
        reason = " ".join(str(error).split())
        raise ModelError(f"{path} cannot be loaded by Keras: {reason}") from error
    found = network.input_shape, network.output_shape
    if shapes is not None and found != shapes:
        raise ModelError(
            f"{path} maps {found[0]} to {found[1]}, expected {shapes[0]} to {shapes[1]} by its "
            "card: install the model again"
        )
    return network
