"""Model folders made on the spot: a few weights, a card that fits them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ase_crystalnet.classifier.card import CARD_VERSION, file_hash

CLASSES = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc", "disordered")

CARD: dict[str, Any] = {
    "card_version": CARD_VERSION,
    "name": "tiny",
    "classes": list(CLASSES),
    "input": "sqrt",
    "fingerprint": {"wavelength": 0.05, "grid": "detector"},
    "window_atoms": [64, 512],
}


def write_network(
    path: Path, outputs: int = len(CLASSES), side: int = 64, code: bool = False, seed: int = 0
) -> None:
    """Save a network of one dense layer on 4 x 4 x 3 means; with `code`, a Python lambda in it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    from keras import layers

    inputs = keras.Input((side, side, 3))
    x = layers.AveragePooling2D(side // 4)(inputs)
    if code:
        x = layers.Lambda(lambda values: values + 1)(x)
    x = layers.Flatten()(x)
    start = keras.initializers.RandomNormal(stddev=2.0, seed=seed)
    x = layers.Dense(outputs, kernel_initializer=start, name="logits")(x)
    keras.Model(inputs, layers.Softmax()(x)).save(path)


def write_card(folder: Path, **changes: Any) -> None:
    """Write the card of the weights in a folder; a change to None leaves the field out."""
    card = {**CARD, "sha256": file_hash(folder / "model.keras"), **changes}
    kept = {key: value for key, value in card.items() if value is not None}
    (folder / "card.json").write_text(json.dumps(kept))


def write_convolutions(path: Path, outputs: int = len(CLASSES)) -> None:
    """Save a small ConvNet in the manner of Ziletti's Table 2: convolutions, maximum poolings."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    from keras import layers

    seeds = iter(range(10))

    def start() -> keras.Initializer:
        return keras.initializers.HeNormal(seed=next(seeds))

    inputs = x = keras.Input((64, 64, 3))
    for filters in (6, 5, 4):
        x = layers.Conv2D(
            filters, 5, padding="same", activation="relu", kernel_initializer=start()
        )(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dropout(0.25, seed=next(seeds))(x)
    x = layers.Dense(8, activation="relu", kernel_initializer=start())(layers.Flatten()(x))
    x = layers.BatchNormalization()(x)
    keras.Model(
        inputs, layers.Dense(outputs, activation="softmax", kernel_initializer=start())(x)
    ).save(path)
