"""Two-dimensional diffraction fingerprint D_F of local windows (Ziletti et al. 2018).

A window is turned by -45 and +45 degrees about x, y and z; each time a beam along z scatters onto
a flat detector; the two patterns of an axis are added and become one channel of an image.

Two forms of the same physics:

* `Fingerprint.exact` evaluates the sum over atoms at every pixel, in float64. It is the reference;
  `ase_crystalnet.fingerprint.exact_fingerprints` is the same, compiled.
* Calling a `Fingerprint` makes use of the *separable* grid (see `detector`), on which a pattern is
  one small complex matrix product per rotation. An 11-point filter on the complex amplitude moves
  its nodes onto the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet._compute.threads import share
from ase_crystalnet._compute.types import Array, Float32
from ase_crystalnet.fingerprint.batch import AtomBatch
from ase_crystalnet.fingerprint.detector import Detector, Grid, known_grid

__all__ = ["Fingerprint", "KernelTables", "kernel_tables"]


@dataclass(frozen=True)
class Fingerprint:
    """Diffraction fingerprint D_F of windows of atoms.

    Psi(q) = sum_a f_a(theta) sum_j w_j exp(-i q.x_j) and I = Omega(theta) |Psi|^2 with
    q = k1 - k0 and |k| = 2 pi / wavelength (Ziletti et al., Nat. Commun. 9, 2775 (2018), Eqs. 1-2
    and Methods). Omega = cos^3 theta is the solid angle of a pixel of the flat detector relative
    to the central one (0.98 at the ring's edge). The constants r_0, r and A cancel in the image.

    Parameters
    ----------
    wavelength : float
        Of the incident beam, Angstrom.
    pixels : int
        Edge length P of the square detector, even.
    pixel_size : float
        Edge length of a pixel, metre.
    detector_distance : float
        From the sample to the centre of the detector, metre.
    inner_radius, outer_radius : float
        Intensity is kept between these distances from the centre, pixels.
    angle : float
        Each axis is given two patterns, turned by minus and plus this angle, degrees.
    grid : {"detector", "separable"}
        "detector": pixels of the flat detector (the paper's). "separable": the nearby grid on
        which the fast form needs no resampling. The two images differ by up to 7 % of the
        brightest pixel, so a model is to be used with the grid it was trained on.

    Raises
    ------
    InputError
        A parameter makes no detector.

    Notes
    -----
    Positions are dimensionless: the scale length (nearest-neighbour distance or the cube root of
    the primitive volume, as the model wants it) stands for 1 Angstrom, and the standard frame of
    the crystal lies along x, y, z. The image does not depend on the order of the atoms or on
    translations. Axis 1 of the image is the detector's x, axis 2 its y, axis 3 the turning axis.

    Examples
    --------
    >>> import numpy as np
    >>> cube = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), -1).reshape(1, -1, 3)
    >>> image = Fingerprint()(cube - 2.5)
    >>> image.shape, float(image.max())
    ((1, 64, 64, 3), 1.0)
    """

    wavelength: float = 0.05
    pixels: int = 64
    pixel_size: float = 4.0e-4
    detector_distance: float = 0.1
    inner_radius: float = 5.0
    outer_radius: float = 30.0
    angle: float = 45.0
    grid: Grid = "detector"

    def __post_init__(self) -> None:
        known_grid(self.grid)
        # Made now, so that constants that make no detector are named here and not on first use.
        _ = self.detector

    @cached_property
    def detector(self) -> Detector:
        """What the constants without the grid describe: rays, turns and form factors."""
        return Detector(
            wavelength=self.wavelength,
            pixels=self.pixels,
            pixel_size=self.pixel_size,
            detector_distance=self.detector_distance,
            inner_radius=self.inner_radius,
            outer_radius=self.outer_radius,
            angle=self.angle,
        )

    def __call__(
        self,
        positions: ArrayLike,
        mask: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        numbers: ArrayLike | None = None,
        *,
        threads: int | None = None,
    ) -> Float32:
        """Fingerprints by the fast form.

        Parameters
        ----------
        positions : (B, N, 3) array
            In scale lengths, in the standard frame; best with the centre near 0.
        mask : (B, N) bool array, optional
            False where there is no atom; by default all are atoms.
        weights : (B, N) array, optional
            Real weight of each atom (a taper, an occupancy); by default 1.
        numbers : (B, N) int array, optional
            Atomic numbers, for x-ray form factors of Z + 2 (the paper's shift, which gives
            hydrogen a form factor like lithium's); by default every atom scatters alike.
        threads : int, optional
            Threads to share the windows; by default numba's number (``NUMBA_NUM_THREADS``).

        Returns
        -------
        (B, P, P, 3) float32 array
            Between 0 and 1, each window's brightest pixel over the three channels being 1. A
            window without atoms is zero everywhere.

        Raises
        ------
        InputError
            A shape does not fit, a position or weight is not finite, or an element has no
            tabulated form factor.
        """
        from ase_crystalnet.fingerprint._kernels.fast import diffract  # compiled on first use

        batch = AtomBatch(positions, mask, weights, numbers)
        tables = kernel_tables(self, batch.elements)
        atoms = batch.in_single_precision()
        out = np.empty((batch.windows, self.pixels, self.pixels, 3), np.float32)

        def part(start: int, stop: int) -> None:
            chosen = slice(start, stop)
            diffract(*(array[chosen] for array in atoms), *tables, out[chosen])

        share(part, batch.windows, threads)
        return out

    def exact(
        self,
        positions: ArrayLike,
        mask: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        numbers: ArrayLike | None = None,
        *,
        grid: Grid | None = None,
        normalize: bool = True,
    ) -> Array:
        """Fingerprints atom by atom and pixel by pixel, as in the paper's Eqs. 1-2: the reference.

        Slow (some 0.1 s a window): tests and benchmarks compare with it, and everything else calls
        the fast form or `exact_fingerprints`. The fast form agrees to 1e-5 on the separable grid
        and to about 1e-3 on the detector; see ``benchmarks/fingerprint.py``.

        Parameters
        ----------
        positions, mask, weights, numbers
            As in calling.
        grid : {"detector", "separable"}, optional
            Where intensities are evaluated; by default this fingerprint's own grid.
        normalize : bool
            Divide by the brightest pixel (the image). Otherwise by the squared sum of weights,
            which keeps how much of the window scatters in phase: a Bragg peak of a perfect crystal
            approaches 1, a liquid's brightest pixel is of order 1/N.

        Returns
        -------
        (B, P, P, 3) float64 array

        Raises
        ------
        InputError
            As in calling, or the grid is unknown.
        """
        batch = AtomBatch(positions, mask, weights, numbers)
        grid = self.grid if grid is None else known_grid(grid)
        q = self.detector.wave_vectors(grid)
        window = self.detector.window()
        lit = window > 0
        forms = self.detector.form_factors(batch.elements, grid)[:, lit]
        images = np.zeros((batch.windows, self.pixels, self.pixels, 3))
        for b in range(batch.windows):
            for channel, pair in enumerate(self.detector.rotations()):
                for rotation in pair:
                    amplitude = np.zeros(int(lit.sum()), complex)
                    for species in range(max(1, len(forms))):
                        chosen = batch.species[b] == species
                        turned = batch.positions[b, chosen] @ rotation.T
                        term = np.exp(-1j * (q[lit] @ turned.T)) @ batch.weights[b, chosen]
                        amplitude += term * forms[species] if len(forms) else term
                    images[b, lit, channel] += np.abs(amplitude) ** 2
        images *= window[None, :, :, None]
        if normalize:
            scale = images.max(axis=(1, 2, 3), initial=0.0)
        else:
            scale = np.where(batch.species >= 0, batch.weights, 0.0).sum(axis=1) ** 2
        scale = scale[:, None, None, None]
        result = np.zeros_like(images)
        np.divide(images, scale, out=result, where=scale > 0)
        return result


class KernelTables(NamedTuple):
    """What the fast kernel needs besides the atoms, in its order of arguments (see `diffract`).

    Attributes
    ----------
    rotations, channels, quarter_turn
        Turns of the sample, as in `detector.Views`; float32.
    axis, axial : (Q,) and (2 Q,) float32 arrays
        Positive half of the separable grid, padded with zeros to whole blocks.
    forms : (S, P, P) float32 array
        Form factors on the separable grid.
    taps : (2, taps, P W) float32 array
        Filters onto the flat detector; none for the separable grid.
    window : (P, P) float32 array
        Factor on the intensity.
    """

    rotations: Float32
    channels: NDArray[np.intp]
    quarter_turn: bool
    axis: Float32
    axial: Float32
    forms: Float32
    taps: Float32
    window: Float32


@lru_cache(maxsize=32)
def kernel_tables(fingerprint: Fingerprint, elements: tuple[int, ...]) -> KernelTables:
    """Tables of the fast form for windows of these elements; kept, so not to be changed."""
    from ase_crystalnet.fingerprint._kernels.fast import PADDING, TAP_REACH

    detector, size = fingerprint.detector, fingerprint.pixels
    views = detector.views()
    padding = ((0, 0), (0, -(size // 2) % PADDING))
    axis, axial = np.pad(detector.separable_axis(), padding).astype(np.float32)
    resampled = fingerprint.grid == "detector"
    taps = detector.taps() if resampled else np.empty((2, 0, size * (size + 2 * TAP_REACH)))
    return KernelTables(
        rotations=views.rotations.astype(np.float32),
        channels=views.channels,
        quarter_turn=views.quarter_turn,
        axis=axis,
        axial=np.tile(axial, 2),
        forms=detector.form_factors(elements, "separable").astype(np.float32),
        taps=taps.astype(np.float32),
        window=detector.window().astype(np.float32),
    )
