"""Diffraction fingerprints of atom-probe windows, whatever their size.

A window of 1,000 ions at 37 % efficiency spans 2,700 sites; its Bragg spots are smaller than a
pixel of the fingerprint. So a large window is taken apart into overlapping balls, and the
fingerprints of these, all in the frame of the *whole* window's lattice, are averaged: spots keep
the width the network knows, and the noise between them averages out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.fingerprint import Fingerprint

__all__ = ["BALL_IONS", "WHOLE_IONS", "AveragedFingerprint"]

#: Windows up to this size are taken whole; larger ones in balls of `BALL_IONS`.
WHOLE_IONS = 400
BALL_IONS = 250
#: Centres of the balls, in units of the window's radius.
_CENTERS = 0.5 * np.vstack([np.zeros(3), np.eye(3), -np.eye(3)])


@dataclass(frozen=True)
class AveragedFingerprint:
    """A fingerprint of windows of any size: large ones are averaged over several balls.

    Parameters
    ----------
    single : Fingerprint
        Of one ball.
    """

    single: Fingerprint = field(default_factory=Fingerprint)

    def __call__(
        self,
        positions: NDArray[np.float32],
        mask: NDArray[np.bool_],
        weights: Any = None,
        *,
        numbers: Any = None,
        threads: int | None = None,
    ) -> NDArray[np.float32]:
        """Fingerprints (B, 64, 64, 3), largest value 1.

        Parameters
        ----------
        positions : (B, N, 3) float32 array
            In the standard frame and divided by the scale (`Lattices.standardize`).
        mask : (B, N) bool array
            True for ions, which come first in each row.
        weights, numbers : None
            Every ion counts alike.
        threads : int, optional
            Threads to share the windows.

        Raises
        ------
        InputError
            Weights or numbers are given.
        """
        if weights is not None or numbers is not None:
            raise InputError("ions of an atom-probe window count alike; leave out weights, numbers")
        return _averaged(positions, mask, self.single, threads)


def _averaged(
    positions: NDArray[np.float32],
    mask: NDArray[np.bool_],
    fingerprint: Fingerprint,
    threads: int | None,
) -> NDArray[np.float32]:
    counts = np.count_nonzero(mask, axis=1)
    images = np.zeros((len(positions), 64, 64, 3), np.float32)
    whole = np.flatnonzero(counts <= WHOLE_IONS)
    if len(whole):
        width = int(counts[whole].max())
        images[whole] = fingerprint(
            np.ascontiguousarray(positions[whole, :width]), mask[whole, :width], threads=threads
        )
    large = np.flatnonzero(counts > WHOLE_IONS)
    if len(large):
        given, inside = positions[large], mask[large]
        radius = np.sqrt(np.einsum("bni,bni->bn", given, given).max(axis=1))
        every = np.ones((len(large), BALL_IONS), bool)
        for center in _CENTERS:
            offset = given - (radius[:, None] * center)[:, None].astype(np.float32)
            distance = np.where(inside, np.einsum("bni,bni->bn", offset, offset), np.inf)
            nearest = np.argpartition(distance, BALL_IONS, axis=1)[:, :BALL_IONS]
            ball = np.take_along_axis(offset, nearest[..., None], axis=1)
            images[large] += fingerprint(ball, every, threads=threads)
        brightest = images[large].max(axis=(1, 2, 3), keepdims=True)
        images[large] /= np.where(brightest > 0, brightest, 1)
    return images
