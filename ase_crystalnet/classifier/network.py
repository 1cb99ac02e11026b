"""Keras, imported when a network is first needed."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["import_keras"]


def import_keras() -> Any:
    """Keras on TensorFlow, imported when first asked for, without TensorFlow's remarks."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    return keras
