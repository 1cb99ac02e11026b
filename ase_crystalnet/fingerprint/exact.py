"""The exact fingerprint on the flat detector, compiled."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ase_crystalnet._compute.threads import share
from ase_crystalnet._compute.types import Float32
from ase_crystalnet.fingerprint.batch import AtomBatch
from ase_crystalnet.fingerprint.detector import Detector
from ase_crystalnet.fingerprint.fingerprint import Fingerprint

__all__ = ["exact_fingerprints"]


def exact_fingerprints(
    fingerprint: Fingerprint,
    positions: ArrayLike,
    mask: ArrayLike | None = None,
    numbers: ArrayLike | None = None,
    *,
    threads: int | None = None,
) -> Float32:
    """Fingerprints atom by atom and pixel by pixel of the flat detector.

    The form to use where a window is longer than five scale lengths from its centre, up to which
    the fast form holds: a block of cells. It is `Fingerprint.exact` in float32, which lies within
    2e-5 of the brightest pixel of that reference.

    Parameters
    ----------
    fingerprint : Fingerprint
        Constants; the flat detector is taken whatever its grid.
    positions : (B, N, 3) array
        In scale lengths, in the standard frame.
    mask : (B, N) bool array, optional
        False where there is no atom; by default all are atoms.
    numbers : (B, N) int array, optional
        Atomic numbers, for form factors; by default every atom scatters alike.
    threads : int, optional
        Threads to share the windows; by default numba's number (``NUMBA_NUM_THREADS``).

    Returns
    -------
    (B, P, P, 3) float32 array
        Each window's brightest pixel is 1; a window without atoms is zero everywhere.

    Raises
    ------
    InputError
        As in calling a `Fingerprint`.
    """
    from ase_crystalnet.fingerprint._kernels.exact import diffract_exact  # compiled on first use

    batch = AtomBatch(positions, mask, None, numbers)
    size = fingerprint.pixels
    tables = _tables(fingerprint.detector, batch.elements)
    atoms = batch.in_single_precision()
    out = np.empty((batch.windows, size, size, 3), np.float32)

    def part(start: int, stop: int) -> None:
        chosen = slice(start, stop)
        diffract_exact(*(array[chosen] for array in atoms), *tables, out[chosen])

    share(part, batch.windows, threads)
    return out


@lru_cache(maxsize=256)
def _tables(detector: Detector, elements: tuple[int, ...]) -> tuple[Any, ...]:
    """What the kernel needs besides the atoms, in its order of arguments."""
    views = detector.views()
    window = detector.window()
    lit = window > 0
    forms = detector.form_factors(elements) if elements else np.ones((1, *window.shape))
    return (
        views.rotations.astype(np.float32),
        views.channels,
        views.quarter_turn,
        np.ascontiguousarray(detector.wave_vectors()[lit], np.float32),
        np.ascontiguousarray(forms[:, lit], np.float32),
        window[lit].astype(np.float32),
        np.argwhere(lit),
    )
