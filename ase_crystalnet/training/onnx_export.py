"""The same network for onnxruntime, which answers without TensorFlow: ``model.onnx``."""

from __future__ import annotations

import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ase_crystalnet.classifier.network import import_keras
from ase_crystalnet.classifier.session import open_session, run_session
from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.io.whole_files import whole_file

__all__ = ["AGREEMENT", "check_exporters", "export_onnx"]

#: Largest difference of a probability between the two files of a model.
AGREEMENT = 1e-5
#: Samples on which they are compared when one is made from the other.
COMPARED = 32
#: Arrays of fewer numbers are stored as they are.
LEAST_PACKED = 1024


def check_exporters() -> None:
    """Say what a training will need to write its model, before it begins.

    Raises
    ------
    InputError
        TensorFlow or the converter is not installed.
    """
    import_keras()
    missing = [name for name in ("onnx", "tf2onnx") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"a trained network is also written for onnxruntime, by {' and '.join(missing)}, which "
            "is not installed: pip install 'ase-crystalnet[train]'"
        )


def export_onnx(network: Any, path: Path) -> None:
    """Write a Keras network as an ONNX file, whole or not at all.

    Arrays that 16 bits hold exactly (`save_network`, compact) are stored in 16 bits.

    Parameters
    ----------
    network : keras.Model
        One input and one output.
    path : Path

    Raises
    ------
    ModelError
        The file answers otherwise than the network.
    InputError
        The converter is not installed.
    """
    check_exporters()
    rng = np.random.default_rng(0)
    samples = rng.random((COMPARED, *network.input_shape[1:])).astype(np.float32)
    # Half of them mostly dark, as fingerprints and powder patterns are.
    samples[::2] **= 8
    with whole_file(path) as part:
        with warnings.catch_warnings():
            # Keras has remarks on a batch that is no dictionary, the converter on names of NumPy's.
            warnings.simplefilter("ignore")
            expected = np.asarray(network(samples, training=False))
            network.export(os.fspath(part), format="onnx", verbose=False)
        _pack(part)
        session = open_session(part, (network.input_shape, network.output_shape))
        found = run_session(session, samples)
        error = float(np.abs(found - expected).max())
        if not error <= AGREEMENT:
            raise ModelError(
                f"{path}: probabilities differ by {error:.1e} from those of the network, expected "
                f"{AGREEMENT:g} at most: train in float32, or change the layers"
            )


def _pack(path: Path) -> None:
    """Store arrays of an ONNX file in 16 bits where these are exact; reading unpacks them."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(os.fspath(path))
    unpacked = []
    for array in model.graph.initializer:
        values = numpy_helper.to_array(array)
        if values.dtype != np.float32 or values.size < LEAST_PACKED:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            name = array.name
            array.CopyFrom(numpy_helper.from_array(half, f"{name}_16_bits"))
            unpacked.append(
                helper.make_node("Cast", [array.name], [name], to=onnx.TensorProto.FLOAT)
            )
    for node in reversed(unpacked):
        model.graph.node.insert(0, node)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
