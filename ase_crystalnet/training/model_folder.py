"""Model folders that a training leaves: weights and card, and networks on the way to them."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classifier.card import CARD_VERSION, Card, file_hash
from ase_crystalnet.classifier.network import import_keras, load_network
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import whole_file, write_whole
from ase_crystalnet.training.calibration import best_temperature
from ase_crystalnet.training.onnx_export import export_onnx

__all__ = [
    "add_onnx",
    "calibrate",
    "card_text",
    "divide_logits",
    "save_network",
    "write_card",
    "write_model_folder",
]

#: What `write_model_folder` fills in.
_OWN = ("card_version", "sha256", "onnx_sha256", "parameters", "keras", "python", "licence")


def write_model_folder(
    out: Path, network: Any, card: Mapping[str, Any], *, compact: bool = False
) -> dict[str, Any]:
    """Write ``model.keras``, ``model.onnx`` and ``card.json``; all are whole before one is there.

    Parameters
    ----------
    out : Path
        Model folder, made if needed.
    network : keras.Model
    card : mapping
        What the model is and from what it was made, beginning with name and description. Version
        of the card, hashes, number of parameters, versions of Keras and Python and the licence are
        added.
    compact : bool
        Store with `compact` (see `save_network`).

    Returns
    -------
    dict
        The card, to be completed (`write_card`) with how the model in the folder scores.

    Raises
    ------
    InputError
        The card states itself what is added, or the converter is not installed.
    ModelError
        The network cannot be written for onnxruntime.
    """
    twice = [key for key in _OWN if key in card]
    if twice:
        raise InputError(f"the card states {', '.join(twice)}: these are filled in")
    content: dict[str, Any] = {"card_version": CARD_VERSION, **card}
    with (
        whole_file(out / "model.keras") as weights,
        whole_file(out / "model.onnx") as exported,
        whole_file(out / "card.json") as written,
    ):
        save_network(network, weights, compact=compact)
        export_onnx(network, exported)
        content |= {
            "sha256": file_hash(weights),
            "onnx_sha256": file_hash(exported),
            "parameters": int(network.count_params()),
            "keras": import_keras().__version__,
            "python": sys.version.split()[0],
            "licence": "MIT",
        }
        written.write_text(card_text(content), encoding="utf-8")
    return content


def write_card(out: Path, card: Mapping[str, Any]) -> None:
    """Write ``card.json`` anew beside the weights it belongs to.

    Raises
    ------
    InputError
        The weights in the folder are not the card's.
    """
    for name, key in (("model.keras", "sha256"), ("model.onnx", "onnx_sha256")):
        if file_hash(out / name) != card[key]:
            raise InputError(f"{out / name} does not fit the card: write both together")
    write_whole(out / "card.json", card_text(card))


def add_onnx(folder: Path) -> Path:
    """Write ``model.onnx`` beside the weights of a model folder, and its hash into the card.

    Parameters
    ----------
    folder : Path
        Any kind of model.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ModelError
        The folder is damaged, or the file would answer otherwise.
    InputError
        TensorFlow or the converter is not installed.
    """
    card = Card.read(folder)
    network = load_network(card.weights())
    path = folder / "model.onnx"
    with whole_file(path) as part:
        export_onnx(network, part)
        content: dict[str, Any] = {}
        for key, value in card.data.items():
            if key != "onnx_sha256":
                content[key] = value
            if key == "sha256":
                content["onnx_sha256"] = file_hash(part)
    write_whole(folder / "card.json", card_text(content))
    return path


def save_network(network: Any, path: Path, *, compact: bool = False) -> None:
    """Write a network to a ``.keras`` file, whole or not at all.

    Parameters
    ----------
    network : keras.Model
    path : Path
    compact : bool
        Matrices are rounded to 16 bits, in the network that is given also, and the file is
        deflated; it loads as any other.
    """
    if compact:
        network.set_weights(
            [
                w.astype(np.float16).astype(np.float32) if w.ndim > 1 else w
                for w in network.get_weights()
            ]
        )
    with whole_file(path) as part:
        if not compact:
            network.save(part)
            return
        plain = part.with_name("plain.keras")
        network.save(plain)
        with (
            zipfile.ZipFile(plain) as source,
            zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target,
        ):
            for item in source.infolist():
                target.writestr(item.filename, source.read(item.filename))


def divide_logits(network: Any, temperature: float) -> None:
    """Divide the logits of a network by a temperature, in place."""
    layer = network.get_layer("logits")
    layer.set_weights([w / temperature for w in layer.get_weights()])


def calibrate(network: Any, images: NDArray[np.uint8], targets: NDArray[np.float32]) -> float:
    """Divide the logits by the temperature that is likeliest on held-out windows; in place."""
    keras = import_keras()
    logits_of = keras.Model(network.inputs, network.get_layer("logits").output)
    logits = np.concatenate(
        [
            logits_of.predict_on_batch(images[i : i + 512].astype(np.float32) / 255)
            for i in range(0, len(images), 512)
        ]
    )
    temperature = best_temperature(logits, targets)
    divide_logits(network, temperature)
    return temperature


def card_text(card: Mapping[str, Any]) -> str:
    """A card as it stands in its file."""
    return json.dumps(card, indent=1) + "\n"
