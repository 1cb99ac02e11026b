"""Two-dimensional diffraction fingerprint D_F of local windows (Ziletti et al. 2018).

A window is turned by -45 and +45 degrees about x, y and z; each time a beam along z scatters onto
a flat detector; the two patterns of an axis are added and become one channel of an image.

Two forms of the same physics:

* `Fingerprint.exact` evaluates the sum over atoms at every pixel, in float64.
* Calling a `Fingerprint` (and `Fingerprint.intensity`) uses that on a *separable* grid, with
  q_x = q(i), q_y = q(j) and q_z = f(i) + f(j), the phase exp(-i q.r) is a product of one factor in
  i and one in j: a pattern is one small complex matrix product per rotation. Its nodes lie within
  0.05 pixels of the flat detector's pixels and within 0.001 of the Ewald sphere; an 11-point
  filter on the complex amplitude moves them onto the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet._compute.threads import share
from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.batch import AtomBatch

Grid = Literal["detector", "separable"]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

__all__ = ["Fingerprint"]

TAP_RADIUS = 5.2  # atoms up to here (in scale lengths) are resampled faithfully
TAP_DAMPING = 1.0e-7
TERMS = 3  # of the even polynomial for q_z


@dataclass(frozen=True)
class Fingerprint:
    """Diffraction fingerprint D_F of windows of atoms.

    Psi(q) = sum_a f_a(theta) sum_j w_j exp(-i q.x_j) and I = Omega(theta) |Psi|^2 with
    q = k1 - k0 and |k| = 2 pi / wavelength (Ziletti et al., Nat. Commun. 9, 2775 (2018), Eqs. 1-2
    and Methods). Omega = cos^3 theta is the solid angle of a pixel of the flat detector relative
    to the central one (0.98 at the ring's edge). The constants r_0, r and A cancel in the image.

    Parameters
    ----------
    wavelength
        Of the incident beam, Angstrom.
    pixels
        Edge length P of the square detector, even.
    pixel_size
        Edge length of a pixel, metre.
    detector_distance
        From the sample to the centre of the detector, metre.
    inner_radius, outer_radius
        Intensity is kept between these distances from the centre, pixels.
    angle
        Each axis is given two patterns, turned by minus and plus this angle, degrees.
    grid
        "detector": pixels of the flat detector (the paper's). "separable": the nearby grid on
        which the fast form needs no resampling. The two images differ by up to 7 % of the
        brightest pixel, so a model is to be used with the grid it was trained on.

    Raises
    ------
    InputError
        When a parameter makes no detector.

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
        for name in ("wavelength", "pixel_size", "detector_distance"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}; expected a positive length")
        if self.pixels < 8 or self.pixels % 2:
            raise InputError(f"pixels is {self.pixels}; expected an even number of 8 or more")
        if not 0 <= self.inner_radius < self.outer_radius <= self.pixels / 2:
            raise InputError(
                f"the ring from {self.inner_radius} to {self.outer_radius} pixels does not fit; "
                f"expected 0 <= inner_radius < outer_radius <= {self.pixels / 2:g}"
            )
        if not math.isfinite(self.angle):
            raise InputError(f"angle is {self.angle}; expected finite degrees")
        _known_grid(self.grid)

    def __call__(
        self,
        positions: ArrayLike,
        mask: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        numbers: ArrayLike | None = None,
        *,
        threads: int | None = None,
    ) -> Float32:
        """Compute fingerprints by the fast form.

        Parameters
        ----------
        positions
            (B, N, 3) scaled positions in the standard frame; best with the centre near 0.
        mask
            (B, N) bool, False where there is no atom; default: all are atoms.
        weights
            (B, N) real weight of each atom (a taper, an occupancy); default 1.
        numbers
            (B, N) atomic numbers, for x-ray form factors of Z + 2 (the paper's shift, which gives
            hydrogen a form factor like lithium's); default: every atom scatters alike.
        threads
            Threads to share the windows; default: numba's number (``NUMBA_NUM_THREADS``).

        Returns
        -------
        ndarray
            (B, P, P, 3) float32 between 0 and 1, each window's brightest pixel over the three
            channels being 1. A window without atoms is zero everywhere.

        Raises
        ------
        InputError
            When a shape does not fit, a position or weight is not finite, or an element has no
            tabulated form factor.
        """
        return self._fast(AtomBatch(positions, mask, weights, numbers), threads, normalize=True)

    def intensity(
        self,
        positions: ArrayLike,
        mask: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        numbers: ArrayLike | None = None,
        *,
        threads: int | None = None,
    ) -> Float32:
        """Compute intensities by the fast form, divided by the squared sum of weights.

        Unlike the normalised image this keeps how much of the window scatters in phase: a Bragg
        peak of a perfect crystal approaches 1, a liquid's brightest pixel is of order 1/N.
        Parameters and errors are those of calling; returns (B, P, P, 3) float32.
        """
        return self._fast(AtomBatch(positions, mask, weights, numbers), threads, normalize=False)

    def exact(
        self,
        positions: ArrayLike,
        mask: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        numbers: ArrayLike | None = None,
        *,
        grid: Grid | None = None,
        normalize: bool = True,
    ) -> Float64:
        """Compute fingerprints atom by atom and pixel by pixel, as in the paper's Eqs. 1-2.

        Slow (some 0.1 s a window). The fast form agrees to 1e-5 on the separable grid and to about
        1e-3 on the detector; see ``benchmarks/fingerprint.py``.

        Parameters
        ----------
        positions, mask, weights, numbers
            As in calling.
        grid
            Where intensities are evaluated; default: this fingerprint's own grid.
        normalize
            Divide by the brightest pixel (the image); otherwise by the squared sum of weights.

        Returns
        -------
        ndarray
            (B, P, P, 3) float64.

        Raises
        ------
        InputError
            As in calling, or when the grid is unknown.
        """
        batch = AtomBatch(positions, mask, weights, numbers)
        q = self.wave_vectors(self.grid if grid is None else _known_grid(grid))
        window = self._window()
        lit = window > 0
        forms = self._form_factors(batch.elements, q)[:, lit]
        images = np.zeros((batch.windows, self.pixels, self.pixels, 3))
        for b in range(batch.windows):
            for channel, pair in enumerate(self._rotations()):
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

    def wave_vectors(self, grid: Grid = "detector") -> Float64:
        """Return q = k1 - k0 at every pixel: (P, P, 3), per scale length, for the given grid."""
        if _known_grid(grid) == "separable":
            q, axial = self._separable_axis()
            q, axial = np.concatenate([-q[::-1], q]), np.concatenate([axial[::-1], axial])
            components = np.broadcast_arrays(q[:, None], q[None, :], axial[:, None] + axial[None])
            return np.stack(components, axis=-1)
        x, y, distance = self._pixel_positions()
        k = 2 * np.pi / self.wavelength
        # k1 points to the pixel and k0 along the beam, so q_z is never positive.
        return k * np.stack([x, y, self.detector_distance - distance], -1) / distance[..., None]

    def _pixel_positions(self) -> tuple[Float64, Float64, Float64]:
        """Return x, y and the distance from the sample of every pixel, metre, each (P, P)."""
        axis = (np.arange(self.pixels) - (self.pixels - 1) / 2) * self.pixel_size
        x, y = np.meshgrid(axis, axis, indexing="ij")
        return x, y, np.sqrt(x**2 + y**2 + self.detector_distance**2)

    def _window(self) -> Float64:
        """Return the factor on the intensity: cos^3 theta within the ring, 0 outside, (P, P)."""
        x, y, distance = self._pixel_positions()
        radius = np.hypot(x, y) / self.pixel_size
        ring = (radius > self.inner_radius) & (radius < self.outer_radius)
        return np.where(ring, (self.detector_distance / distance) ** 3, 0.0)

    def _rotations(self) -> Float64:
        """Return the rotations, (axis, minus or plus, 3, 3)."""
        c = math.cos(math.radians(self.angle))
        s = math.sin(math.radians(self.angle))
        plus = np.array(
            [
                [[1, 0, 0], [0, c, -s], [0, s, c]],
                [[c, 0, s], [0, 1, 0], [-s, 0, c]],
                [[c, -s, 0], [s, c, 0], [0, 0, 1]],
            ]
        )
        return np.stack([plus.transpose(0, 2, 1), plus], axis=1)

    def _separable_axis(self) -> tuple[Float64, Float64]:
        """Return q and f on the positive half of the separable grid, each (P/2,).

        q is the detector's q_x midway between the smallest and largest y^2 within the ring; f is
        the even polynomial for which f(q_x) + f(q_y) is closest to the Ewald sphere there.
        """
        k = 2 * np.pi / self.wavelength
        x = (np.arange(self.pixels // 2) + 0.5) * self.pixel_size
        edge = self.outer_radius * self.pixel_size
        middle = np.maximum(edge**2 - x**2, 0) / 2
        q = k * x / np.sqrt(self.detector_distance**2 + x**2 + middle)
        u, v = np.meshgrid((q / k) ** 2, (q / k) ** 2, indexing="ij")
        inside = u + v < edge**2 / (edge**2 + self.detector_distance**2)
        terms = np.stack([(u**p + v**p)[inside] for p in range(TERMS)], axis=1)
        sphere = k * (np.sqrt(1 - (u + v)[inside]) - 1)
        emphasis = np.ones(len(sphere))
        for _ in range(3):  # Lawson: a few rounds from least squares towards least largest error
            root = np.sqrt(emphasis)
            coefficients = np.linalg.lstsq(terms * root[:, None], sphere * root, rcond=None)[0]
            emphasis *= np.abs(terms @ coefficients - sphere)
            emphasis /= emphasis.mean()
        return q, np.stack([(q / k) ** (2 * p) for p in range(TERMS)], axis=1) @ coefficients

    def _taps(self) -> Float64:
        """Return the filters from the separable grid to the detector, (2 for x and y, taps, P W).

        Least squares over point scatterers within a ball of `TAP_RADIUS`; 0 outside the ring. The
        P rows have W = P + 2 reach pixels, with a margin of zeros on either side.
        """
        from ase_crystalnet.fingerprint._kernels.fast import TAP_REACH, TAPS

        q = self.wave_vectors("separable")[:, 0, 0]
        target = self.wave_vectors("detector")[:, :, 0]
        spacing = float(q[self.pixels // 2] * 2)
        radius = min(TAP_RADIUS, 0.8 * np.pi / spacing)
        r = np.linspace(-radius, radius, 81)
        density = np.sqrt(1 - (r / radius) ** 2) + 0.02
        density /= density.sum()
        taps = np.zeros((TAPS, self.pixels, self.pixels))
        for i in range(self.pixels):
            first = max(0, i - TAP_REACH)
            near = q[first : i + TAP_REACH + 1]
            gram = np.cos((near[:, None] - near)[..., None] * r) @ density
            gram += TAP_DAMPING * np.eye(len(near))
            wanted = np.cos((near[:, None] - target[i])[..., None] * r) @ density
            offset = first - i + TAP_REACH
            taps[offset : offset + len(near), i] = np.linalg.solve(gram, wanted)
        x, y, _ = self._pixel_positions()
        outside = np.hypot(x, y) > (self.outer_radius + 1) * self.pixel_size
        along_y = taps.transpose(0, 2, 1).copy()
        along_y[:, outside] = 0
        # Along x the filter is wanted wherever the one along y will look.
        both = np.pad(np.stack([taps, along_y]), ((0, 0), (0, 0), (0, 0), (TAP_REACH,) * 2))
        return both.reshape(2, TAPS, -1)

    def _form_factors(self, elements: tuple[int, ...], q: Float64) -> Float64:
        """Return f_a of Z + 2 at |q|, (species, P, P); no species: an empty array."""
        if not elements:
            return np.empty((0, *q.shape[:2]))
        import xraydb  # needed for species only

        s = np.linalg.norm(q, axis=-1) / (4 * np.pi)  # sin(theta/2) / wavelength, per Angstrom
        flat = [np.asarray(xraydb.f0(z + 2, s.ravel()), float) for z in elements]
        return np.stack(flat).reshape(-1, *s.shape)

    def _fast(self, batch: AtomBatch, threads: int | None, normalize: bool) -> Float32:
        """Share the windows out to threads, each running the compiled kernel on its part."""
        from ase_crystalnet.fingerprint._kernels.fast import (
            diffract,  # compiles or loads its cache on first use
        )

        tables = _tables(self, batch.elements)
        atoms = (
            # Writeable, or the kernel would be compiled once more for read-only arrays.
            np.require(batch.positions, np.float32, ["C", "W"]),
            np.require(batch.weights, np.float32, ["C", "W"]),
            batch.species,
        )
        out = np.empty((batch.windows, self.pixels, self.pixels, 3), np.float32)

        def part(start: int, stop: int) -> None:
            chosen = slice(start, stop)
            diffract(*(array[chosen] for array in atoms), *tables, normalize, out[chosen])

        share(part, batch.windows, threads)
        return out


def _known_grid(grid: str) -> Grid:
    """Return the name of a grid, or raise."""
    if grid == "detector":
        return "detector"
    if grid == "separable":
        return "separable"
    raise InputError(f'grid is {grid!r}; expected "detector" or "separable"')


@lru_cache(maxsize=32)
def _tables(fingerprint: Fingerprint, elements: tuple[int, ...]) -> tuple[Any, ...]:
    """Return what the kernel needs besides the atoms, in its order of arguments."""
    from ase_crystalnet.fingerprint._kernels.fast import PADDING, TAP_REACH

    rotations = fingerprint._rotations()
    views = [(channel, rotation) for channel in range(3) for rotation in rotations[channel]]
    # Turns by +-45 degrees about the beam differ by 90: one image and its quarter turn.
    quarter_turn = fingerprint.angle == 45.0
    if quarter_turn:
        del views[4]
    size = fingerprint.pixels
    detector = fingerprint.grid == "detector"
    forms = fingerprint._form_factors(elements, fingerprint.wave_vectors("separable"))
    half = size // 2
    axis = np.pad(fingerprint._separable_axis(), ((0, 0), (0, -half % PADDING))).astype(np.float32)
    taps = fingerprint._taps() if detector else np.empty((2, 0, size * (size + 2 * TAP_REACH)))
    return (
        np.array([rotation for _, rotation in views], np.float32),
        np.array([channel for channel, _ in views]),
        quarter_turn,
        axis[0],
        np.tile(axis[1], 2),
        forms.astype(np.float32),
        taps.astype(np.float32),
        fingerprint._window().astype(np.float32),
    )
