"""What an atom probe makes of a crystal: lost ions, anisotropic blur, slow density and strain.

Lengths are in nearest-neighbour distances, as in `ase_crystalnet.crystals.sampling`. Depth is the
z axis; crystals are cut in random orientation, so nothing is lost by that. Atom probes detect 37 to
80 % of the ions, and resolve depth several times better than the lateral directions (Gault et al.,
Atom Probe Microscopy, Springer, 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array
from ase_crystalnet.crystals.sampling import Crystal, random_ball, random_direction
from ase_crystalnet.errors import InputError

__all__ = [
    "Measurement",
    "Measurements",
    "cut_measured",
    "distort",
    "lattice_ball",
    "sample_measurement",
]

Range = tuple[float, float]


@dataclass(frozen=True)
class Measurement:
    """How an atom probe sees a crystal.

    Attributes
    ----------
    efficiency : float
        Share of the ions that are detected, above 0 to 1.
    lateral, depth : float
        Standard deviation of the positions across and along depth, per component.
    density_variation : float
        Relative amplitude of a slow wave (longer than the window's diameter) of the share of ions
        detected: zone lines and poles. 0 to 1.
    stretch : float
        Largest error of the depth scale, lateral scale and their change from one side of the
        window to the other.
    shear : float
        Largest slope by which depth planes lean.
    stray : float
        Share of ions that come from nowhere: noise of the detector and of the mass spectrum.

    Raises
    ------
    InputError
        A value is out of range.
    """

    efficiency: float = 1.0
    lateral: float = 0.0
    depth: float = 0.0
    density_variation: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0
    stray: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.efficiency <= 1.0:
            raise InputError(f"efficiency={self.efficiency!r} is not above 0 and at most 1")
        for name, largest in (
            ("lateral", np.inf),
            ("depth", np.inf),
            ("density_variation", 1.0),
            ("stretch", 0.3),
            ("shear", 0.3),
            ("stray", 1.0),
        ):
            value = getattr(self, name)
            if not 0.0 <= value <= largest:
                raise InputError(f"{name}={value!r} is not between 0 and {largest:g}")


@dataclass(frozen=True)
class Measurements:
    """Ranges of the measurements to train on: from nearly perfect to one that leaves planes alone.

    Ranges are drawn from evenly; see `Measurement` for the quantities.

    Attributes
    ----------
    efficiency : tuple of float
    blurred_share, lateral, sharp_lateral
        Share of windows with a lateral resolution out of the first range; the others' is out of
        the second.
    depth : tuple of float
        Resolution in depth as a share of the lateral one.
    density_variation, stretch, shear : tuple of float
    stray_share, stray
        Share of windows with stray ions, and their share of the ions.
    """

    efficiency: Range = (0.22, 1.0)
    blurred_share: float = 0.8
    lateral: Range = (0.0, 0.32)
    sharp_lateral: Range = (0.0, 0.1)
    depth: Range = (0.15, 1.0)
    density_variation: Range = (0.0, 0.5)
    stretch: Range = (0.0, 0.025)
    shear: Range = (0.0, 0.025)
    stray_share: float = 0.5
    stray: Range = (0.0, 0.05)


def sample_measurement(rng: np.random.Generator, ranges: Measurements | None = None) -> Measurement:
    """A measurement for training, of the ranges given (`Measurements` by default)."""
    ranges = ranges or Measurements()
    blurred = rng.random() < ranges.blurred_share
    lateral = rng.uniform(*(ranges.lateral if blurred else ranges.sharp_lateral))
    return Measurement(
        efficiency=rng.uniform(*ranges.efficiency),
        lateral=lateral,
        depth=lateral * rng.uniform(*ranges.depth),
        density_variation=rng.uniform(*ranges.density_variation),
        stretch=rng.uniform(*ranges.stretch),
        shear=rng.uniform(*ranges.shear),
        stray=rng.uniform(*ranges.stray) if rng.random() < ranges.stray_share else 0.0,
    )


def distort(
    points: Array, radius: float, measurement: Measurement, rng: np.random.Generator
) -> Array:
    """Slow error of the reconstruction: wrong scales along and across depth, and a shear.

    Parameters
    ----------
    points : (n, 3) array
        About the window's centre, depth along z.
    radius : float
        Of the window; the scale of depth changes by up to `stretch` over it.
    measurement : Measurement
    rng : numpy.random.Generator
    """
    stretch, shear = measurement.stretch, measurement.shear
    along, across, change = rng.uniform(-stretch, stretch, 3)
    lean = rng.uniform(-shear, shear, 2)
    x, y, z = points.T
    depth = z * (1 + along) + 0.5 * change * z * z / radius + x * lean[0] + y * lean[1]
    return np.column_stack([x * (1 + across), y * (1 + across), depth])


def lattice_ball(crystal: Crystal, radius: float, rng: np.random.Generator) -> Array:
    """Sites (n, 3) of an ideal crystal within `radius` of a random point, in random orientation."""
    inverse = np.linalg.inv(crystal.cell)
    origin = -rng.random(3) @ crystal.cell
    reach = radius * np.linalg.norm(inverse, axis=0)
    low = np.floor(-reach - origin @ inverse - 1).astype(int)
    high = np.ceil(reach - origin @ inverse + 1).astype(int)
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    points = (cells[:, None] + crystal.sites).reshape(-1, 3) @ crystal.cell + origin
    points = points[np.einsum("ij,ij->i", points, points) < radius**2]
    turned: Array = Rotation.random(random_state=rng).apply(points)
    return turned


def cut_measured(
    crystal: Crystal, ions: int, measurement: Measurement, rng: np.random.Generator
) -> Array:
    """A spherical window of the reconstruction of a crystal in random orientation.

    Parameters
    ----------
    crystal : Crystal
    ions : int
        Expected number of ions, after losses.
    measurement : Measurement
    rng : numpy.random.Generator

    Returns
    -------
    (n, 3) array
        Positions about the window's centre, nearest-neighbour distances, depth along z.
    """
    given = measurement
    radius = (3 * ions / (4 * np.pi * crystal.density * given.efficiency)) ** (1 / 3)
    margin = (
        0.5 + 4 * max(given.lateral, given.depth) + radius * (2 * given.stretch + 2 * given.shear)
    )
    points = lattice_ball(crystal, radius + margin, rng)
    # A wave longer than the window, on both sides of the mean efficiency.
    wave = random_direction(rng) * np.pi / (radius * rng.uniform(2.0, 4.0))
    level = np.cos(points @ wave + rng.uniform(0, 2 * np.pi))
    share = given.efficiency * (1 + given.density_variation * level)
    points = points[rng.random(len(points)) < share]
    points = points + rng.normal(size=points.shape) * (given.lateral, given.lateral, given.depth)
    points = distort(points, radius, given, rng)
    if given.stray > 0:
        kept = rng.random(len(points)) >= given.stray
        stray = random_ball(int(len(points) - kept.sum()), radius + margin, rng)
        points = np.vstack([points[kept], stray])
    inside: Array = points[np.einsum("ij,ij->i", points, points) < radius**2]
    return inside
