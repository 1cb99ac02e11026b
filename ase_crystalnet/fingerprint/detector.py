"""The experiment behind a fingerprint: beam, turns of the sample, flat detector, form factors.

Everything here follows from the constants alone and knows no atoms. The *separable* grid is a set
of points of q near the detector's pixels on which the phase exp(-i q.r) is a product of one factor
in i and one in j: q_x = q(i), q_y = q(j) and q_z = f(i) + f(j). Its nodes lie within 0.05 pixels of
the pixels and within 0.001 of the Ewald sphere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError

__all__ = ["Detector", "Grid", "Views", "known_grid"]

Grid = Literal["detector", "separable"]

#: Atoms up to here, in scale lengths, are resampled faithfully.
TAP_RADIUS = 5.2
#: On the diagonal of the filter's normal equations, whose largest entry is 1.
TAP_DAMPING = 1.0e-7
#: Of the even polynomial for q_z.
TERMS = 3


class Views(NamedTuple):
    """Turns of the sample that must be computed, and where their patterns go.

    Attributes
    ----------
    rotations : (V, 3, 3) float64 array
    channels : (V,) int array
        Channel of the image that each adds to.
    quarter_turn : bool
        Whether the pair about the beam is one pattern and its turn by 90 degrees, so that only one
        of the two is among the views.
    """

    rotations: Array
    channels: NDArray[np.intp]
    quarter_turn: bool


@dataclass(frozen=True)
class Detector:
    """Constants of the experiment; what follows from them are its methods.

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
        The sample is turned by minus and plus this angle about each axis, degrees.

    Raises
    ------
    InputError
        A parameter makes no detector.
    """

    wavelength: float = 0.05
    pixels: int = 64
    pixel_size: float = 4.0e-4
    detector_distance: float = 0.1
    inner_radius: float = 5.0
    outer_radius: float = 30.0
    angle: float = 45.0

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

    def window(self) -> Array:
        """Factor (P, P) on the intensity: cos^3 theta within the ring, 0 outside."""
        x, y, distance = self.pixel_positions()
        radius = np.hypot(x, y) / self.pixel_size
        ring = (radius > self.inner_radius) & (radius < self.outer_radius)
        return np.where(ring, (self.detector_distance / distance) ** 3, 0.0)

    def pixel_positions(self) -> tuple[Array, Array, Array]:
        """x, y and the distance from the sample of every pixel, metre, each (P, P)."""
        axis = (np.arange(self.pixels) - (self.pixels - 1) / 2) * self.pixel_size
        x, y = np.meshgrid(axis, axis, indexing="ij")
        return x, y, np.sqrt(x**2 + y**2 + self.detector_distance**2)

    def wave_vectors(self, grid: Grid = "detector") -> Array:
        """q = k1 - k0 (P, P, 3) at every pixel, in inverse scale lengths.

        Parameters
        ----------
        grid : {"detector", "separable"}

        Raises
        ------
        InputError
            The grid is unknown.
        """
        if known_grid(grid) == "separable":
            q, axial = self.separable_axis()
            q, axial = np.concatenate([-q[::-1], q]), np.concatenate([axial[::-1], axial])
            components = np.broadcast_arrays(q[:, None], q[None, :], axial[:, None] + axial[None])
            return np.stack(components, axis=-1)
        x, y, distance = self.pixel_positions()
        k = 2 * np.pi / self.wavelength
        # k1 points to the pixel and k0 along the beam, so q_z is never positive.
        return k * np.stack([x, y, self.detector_distance - distance], -1) / distance[..., None]

    def rotations(self) -> Array:
        """Turns of the sample, (3, 2, 3, 3): about x, y, z, by minus and by plus the angle."""
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

    def views(self) -> Views:
        """The turns that a compiled form computes: those of `rotations` without the redundant."""
        rotations = self.rotations()
        views = [(channel, rotation) for channel in range(3) for rotation in rotations[channel]]
        # Turns by +-45 degrees about the beam differ by 90: one image and its quarter turn.
        quarter_turn = self.angle == 45.0
        if quarter_turn:
            del views[4]
        return Views(
            np.array([rotation for _, rotation in views]),
            np.array([channel for channel, _ in views]),
            quarter_turn,
        )

    def separable_axis(self) -> tuple[Array, Array]:
        """q and f on the positive half of the separable grid, each (P/2,).

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

    def taps(self) -> Array:
        """Filters from the separable grid to the detector, (2 for x and y, taps, P W).

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
        x, y, _ = self.pixel_positions()
        outside = np.hypot(x, y) > (self.outer_radius + 1) * self.pixel_size
        along_y = taps.transpose(0, 2, 1).copy()
        along_y[:, outside] = 0
        # Along x the filter is wanted wherever the one along y will look.
        both = np.pad(np.stack([taps, along_y]), ((0, 0), (0, 0), (0, 0), (TAP_REACH,) * 2))
        return both.reshape(2, TAPS, -1)

    def form_factors(self, elements: tuple[int, ...], grid: Grid = "detector") -> Array:
        """X-ray form factors of Z + 2 at every pixel, (species, P, P), in electrons.

        Parameters
        ----------
        elements : tuple of int
            Atomic numbers Z; none: an empty array.
        grid : {"detector", "separable"}
        """
        q = self.wave_vectors(grid)
        if not elements:
            return np.empty((0, *q.shape[:2]))
        import xraydb  # needed for species only

        s = np.linalg.norm(q, axis=-1) / (4 * np.pi)  # sin(theta/2) / wavelength, per Angstrom
        flat = [np.asarray(xraydb.f0(z + 2, s.ravel()), float) for z in elements]
        return np.stack(flat).reshape(-1, *s.shape)


def known_grid(grid: str) -> Grid:
    """The name of a grid.

    Raises
    ------
    InputError
        It is none.
    """
    if grid == "detector":
        return "detector"
    if grid == "separable":
        return "separable"
    raise InputError(f'grid is {grid!r}; expected "detector" or "separable"')
