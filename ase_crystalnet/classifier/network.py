"""Keras networks: imported when one is first needed, read in safe mode.

TensorFlow trains and makes response maps; answers do without it (`session`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ase_crystalnet._compute.silence import without_stderr
from ase_crystalnet.errors import InputError, ModelError, WorkerError
from ase_crystalnet.inputs import read_archive, read_plain, reason_of

__all__ = [
    "LARGEST",
    "Shape",
    "claim_process",
    "import_keras",
    "load_network",
    "refuse_forked",
]

#: Bytes of a network, packed and unpacked: a hundred times the largest that is shipped.
LARGEST = 512_000_000
Shape = tuple[int | None, ...]

#: The process in which a network was first read; its threads are there and nowhere else.
_home: int | None = None


def refuse_forked() -> None:
    """Refuse to run a network in a process that was forked after one was in use.

    TensorFlow's threads are not copied by a fork, and it would wait for them for ever; of
    onnxruntime a lock that another thread held would be copied, and never be given free.

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


def claim_process() -> None:
    """Note that this process has a network in use from now on.

    Raises
    ------
    WorkerError
        It was forked from one that has.
    """
    global _home
    refuse_forked()
    _home = os.getpid()


def import_keras() -> Any:
    """Keras on TensorFlow, imported when first asked for, without TensorFlow's remarks.

    It writes what it found on the machine past Python, and in part past TF_CPP_MIN_LOG_LEVEL;
    TF_CPP_MIN_LOG_LEVEL=0 keeps that. Its oneDNN kernels are switched on unless
    ``TF_ENABLE_ONEDNN_OPTS`` says otherwise.

    Raises
    ------
    InputError
        TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow leaves them out on x86 processors without AVX-512. Its other kernels divide sums
    # by the number of threads and take a third longer there.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        if "keras" in sys.modules or os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0":
            import keras
            import tensorflow as tf

            return keras
        with without_stderr():
            import keras
            import tensorflow as tf

            tf.zeros(1)  # the first operation brings the rest of its remarks
    except ModuleNotFoundError as error:
        if error.name not in ("keras", "tensorflow"):
            raise
        raise InputError(
            "training, response maps and engine='tensorflow' need TensorFlow, which is not "
            "installed: pip install 'ase-crystalnet[tensorflow]'"
        ) from None
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
    InputError
        TensorFlow is not installed.
    WorkerError
        This process was forked from one that has a network in use.
    """
    claim_process()
    _check_sizes(path)
    keras = import_keras()
    try:
        network = keras.saving.load_model(path, compile=compiled, safe_mode=True)
    except Exception as error:
        # Keras raises whatever its readers raise, in many lines; each of them means the same to a
        # user.
        reason = reason_of(error, longest=400)
        raise ModelError(f"{path} cannot be loaded by Keras: {reason}") from error
    found = network.input_shape, network.output_shape
    if shapes is not None and found != shapes:
        raise ModelError(
            f"{path} maps {found[0]} to {found[1]}, expected {shapes[0]} to {shapes[1]} by its "
            "card: install the model again"
        )
    return network


def _check_sizes(path: Path) -> None:
    """Refuse a network that unpacks to more than a network is, or whose weights lie elsewhere.

    Raises
    ------
    ModelError
        It does, or is no archive.
    """
    import io

    import h5py

    try:
        members = read_archive(read_plain(path, LARGEST, "a network"), LARGEST, str(path))
        weights = members.get("model.weights.h5")
        if weights is None:
            raise InputError(f"{path}: holds no model.weights.h5, it is no network of Keras 3")
        with h5py.File(io.BytesIO(weights), "r") as file:
            size = _stored_size(file)
    except FileNotFoundError:
        raise ModelError(f"{path} cannot be loaded by Keras: it is missing") from None
    except (InputError, IsADirectoryError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ModelError(f"{path} cannot be loaded by Keras: {reason}") from None
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} cannot be loaded by Keras: damaged weights ({reason_of(error)})"
        ) from None
    if size > LARGEST:
        raise ModelError(f"{path}: weights of {size / 1e6:.0f} MB, expected {LARGEST / 1e6:g}")


def _stored_size(group: Any) -> int:
    """Bytes of all arrays in a group of an HDF5 file, unpacked."""
    import h5py

    size = 0
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{group.file.filename}: its weights are links to others")
        item = group[name]
        if isinstance(item, h5py.Group):
            size += _stored_size(item)
        elif item.external or item.is_virtual:
            raise InputError(f"{group.file.filename}: its weights are links to others")
        else:
            size += int(item.nbytes)
    return size
