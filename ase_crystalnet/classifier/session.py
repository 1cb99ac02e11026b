"""Networks as ONNX files: read within bounds, and opened by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classifier.network import LARGEST, Shape, claim_process
from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.inputs import read_plain, reason_of

__all__ = ["open_session", "run_session"]

#: Severity from which onnxruntime writes to stderr: what ends the process. Errors are raised.
SILENT = 4

#: Messages in the messages of an ONNX file (onnx.proto3), by the numbers of their fields. Data are
#: in tensors, and tensors are in all of these.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
#: Fields of a tensor whose data lie in another file.
_ELSEWHERE = {13, 14}


def open_session(path: Path, shapes: tuple[Shape, Shape]) -> Any:
    """Open a network in an ONNX file on the processor, in one thread.

    Parameters
    ----------
    path : Path
    shapes : tuple of two shapes
        Expected shapes of input and output, with None for the number of samples.

    Returns
    -------
    onnxruntime.InferenceSession
        It has no threads of its own: an answer does not depend on how many there are, and may be
        asked for from several threads at once.

    Raises
    ------
    ModelError
        The file cannot be read, takes data from other files, or its network has other shapes.
    WorkerError
        This process was forked from one that has a network in use.
    """
    claim_process()
    content = _checked(path)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    try:
        session = onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would print that it tries again
        )
        ends = [_shape(session.get_inputs()), _shape(session.get_outputs())]
    except Exception as error:  # each of onnxruntime's own is one of another kind
        reason = reason_of(error, longest=400)
        raise ModelError(f"{path} cannot be loaded by onnxruntime: {reason}") from error
    if (ends[0], ends[1]) != shapes:
        raise ModelError(
            f"{path} maps {ends[0]} to {ends[1]}, expected {shapes[0]} to {shapes[1]} by its card: "
            "install the model again"
        )
    return session


def run_session(session: Any, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Output of a network for samples.

    Raises
    ------
    ModelError
        The network fails, or answers in another shape than it states.
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.log_severity_level = SILENT
    (given,), (stated,) = session.get_inputs(), session.get_outputs()
    try:
        found = session.run(None, {given.name: samples}, options)[0]
    except Exception as error:  # each of onnxruntime's own is one of another kind
        reason = reason_of(error, longest=400)
        raise ModelError(f"a network fails ({reason}): install the model again") from error
    if found.shape != (len(samples), *stated.shape[1:]):
        raise ModelError(
            f"a network answers {len(samples)} samples by {found.shape}, stated was "
            f"{stated.shape}: install the model again"
        )
    return np.asarray(found, np.float32)


def _shape(ends: list[Any]) -> Shape | str:
    """Shape of the one input or output of a network; what it is instead, in words."""
    if len(ends) != 1 or ends[0].type != "tensor(float)":
        return " and ".join(f"{end.name} of {end.type}" for end in ends) or "nothing"
    return tuple(size if isinstance(size, int) else None for size in ends[0].shape)


def _checked(path: Path) -> bytes:
    """Content of an ONNX file that has all its data in itself."""
    try:
        content = read_plain(path, LARGEST, "a network")
        for fields in _tensors(memoryview(content), "model"):
            if fields & _ELSEWHERE:
                raise InputError("its weights lie in other files")
    except FileNotFoundError:
        raise ModelError(f"{path} cannot be loaded by onnxruntime: it is missing") from None
    except (InputError, OSError, IndexError, RecursionError) as error:
        reason = reason_of(error).removeprefix(f"{os.fspath(path)}: ")
        raise ModelError(f"{path} cannot be loaded by onnxruntime: {reason}") from None
    return content


def _tensors(message: memoryview, kind: str) -> Iterator[set[int]]:
    """Numbers of the fields of each tensor in a message (wire format of protocol buffers).

    Data are passed over by their length, so that this takes no time.
    """
    inside = _INSIDE[kind]
    fields = set()
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        fields.add(number)
        if wire == 0:
            _, at = _varint(message, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            length, at = _varint(message, at)
            if number in inside:
                yield from _tensors(message[at : at + length], inside[number])
            at += length
        else:
            raise InputError("it is no ONNX file, or damaged")
    if at != end:
        raise InputError("it is cut off")
    if kind == "tensor":
        yield fields


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length, and where the next thing begins."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise InputError("it is no ONNX file, or damaged")
