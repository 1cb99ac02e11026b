"""Model folders that a training leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classifier.network import import_keras
from ase_crystalnet.training.calibration import best_temperature

__all__ = ["calibrate", "write_card"]


def write_card(out: Path, card: dict[str, Any]) -> None:
    """Write ``card.json`` of a model folder, whole or not at all."""
    temporary = out / "card.json.part"
    temporary.write_text(json.dumps(card, indent=1) + "\n")
    temporary.replace(out / "card.json")


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
    layer = network.get_layer("logits")
    layer.set_weights([w / temperature for w in layer.get_weights()])
    return temperature
