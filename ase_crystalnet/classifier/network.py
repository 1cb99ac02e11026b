"""Keras networks: imported when one is first needed, read in safe mode."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ase_crystalnet.errors import ModelError, WorkerError

__all__ = ["import_keras", "load_network", "refuse_forked"]

Shape = tuple[int | None, ...]

#: The process in which a network was first read; its threads are there and nowhere else.
_home: int | None = None


def refuse_forked() -> None:
    """Refuse to run a network in a process that was forked after one was in use.

    TensorFlow's threads are not copied by a fork, and it would wait for them for ever.

    Raises
    ------
    WorkerError
        This is such a process.
    """
    if _home not in (None, os.getpid()):
        raise WorkerError(
            f"expected a process that starts its own network, got process {os.getpid()}, forked "
            f"from {_home}, which has one in use; start processes with the method 'spawn' "
            "(multiprocessing.get_context('spawn')), fork before the first analysis, or use "
            "workers=..."
        )


def import_keras() -> Any:
    """Keras on TensorFlow, imported when first asked for, without TensorFlow's remarks."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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
    WorkerError
        This process was forked from one that has a network in use.
    """
    global _home
    refuse_forked()
    _home = os.getpid()
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
