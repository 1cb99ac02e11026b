"""Short names for the arrays that nearly every module takes and gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Float32"]

#: Double precision: what is measured and fitted.
Array = NDArray[np.float64]
#: Single precision: images and what sums over many atoms.
Float32 = NDArray[np.float32]
