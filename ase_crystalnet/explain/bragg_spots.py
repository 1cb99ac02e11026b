"""Where the Bragg spots of a lattice fall on the detector, and how much of a map lies on them.

The spots come from the lattice and the fingerprint of the perfect crystal, never from the map that
is judged by them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.fingerprint import Fingerprint

__all__ = ["BraggSpots", "bragg_spots", "energy_share", "ring", "shuffled_share"]

Float64 = NDArray[np.float64]

#: A reflection ends, for a ball of radius R, at the first zero of its scattering, q R = 4.49: there
#: q.C.q = 4.49^2 / 5 with C the covariance of the positions in it.
_WIDTH = 4.4934**2 / 5


@dataclass(frozen=True, eq=False)
class BraggSpots:
    """Bragg spots of a crystal on the detector.

    Attributes
    ----------
    channel : (S,) int array
        Turning axis: 0, 1, 2.
    pixel : (S, 2) float array
        Where along axes 0 and 1 of the image, in pixels.
    brightness : (S,) float array
        Brightest pixel of the perfect crystal's fingerprint within one pixel.
    pixels : int
        Edge of the image.
    """

    channel: NDArray[np.intp]
    pixel: Float64
    brightness: Float64
    pixels: int

    def __len__(self) -> int:
        return len(self.channel)

    def near(self, distance: float = 2.0) -> NDArray[np.bool_]:
        """Pixels (P, P, 3) within a distance, in pixels, of a spot of their channel."""
        axis = np.arange(self.pixels)
        found = np.zeros((self.pixels, self.pixels, 3), bool)
        for channel, (x, y) in zip(self.channel, self.pixel, strict=True):
            found[:, :, channel] |= np.hypot(axis[:, None] - x, axis - y) <= distance
        return found


def bragg_spots(
    image: ArrayLike,
    lattice: ArrayLike,
    fingerprint: Fingerprint,
    positions: ArrayLike,
    *,
    least: float = 0.01,
) -> BraggSpots:
    """Bragg spots of a crystal whose lattice is known.

    About each point of the reciprocal lattice there is a reflection as wide as the crystal is
    small, by its outer shape: near its middle exp(-s.C.s) at a distance s, with C the covariance of
    the positions. It gives a spot where that is largest on the Ewald sphere, unless it ends before
    it reaches the sphere, or the perfect crystal's fingerprint is dark there (that is, the motif
    extinguishes it).

    Parameters
    ----------
    image : (P, P, 3) array
        Fingerprint of the perfect crystal.
    lattice : (3, 3) array
        Primitive lattice vectors in rows, in the frame and the unit of the fingerprint's positions.
    fingerprint : Fingerprint
        Constants with which the image was made.
    positions : (N, 3) array
        Atoms of the perfect crystal, for its outer shape only.
    least : float
        Leave out spots dimmer than this share of the brightest pixel.

    Raises
    ------
    InputError
        The lattice is singular or not finite, the image does not fit the fingerprint, or all atoms
        lie in one plane.
    """
    image, lattice = np.asarray(image), np.asarray(lattice, float)
    if lattice.shape != (3, 3) or not np.isfinite(lattice).all() or _singular(lattice):
        raise InputError("the lattice of Bragg spots must be three independent, finite vectors")
    size = fingerprint.pixels
    if image.shape != (size, size, 3):
        raise InputError(f"fingerprint has shape {image.shape}; expected {(size, size, 3)}")
    k = 2 * np.pi / fingerprint.wavelength
    points = _reciprocal_points(lattice, k, fingerprint)
    covariance = np.cov(np.asarray(positions, float), rowvar=False)
    if np.linalg.eigvalsh(covariance)[0] < 1e-6:
        raise InputError("Bragg spots are those of a solid body; these atoms all lie in one plane")
    channels, places = [], []
    for channel, pair in enumerate(fingerprint.detector.rotations()):
        for rotation in pair:
            scattered = points @ rotation.T + [0, 0, k]  # k1, if it were as long as k
            length = np.linalg.norm(scattered, axis=1, keepdims=True)
            normal = scattered / length
            # Of the plane that touches the sphere, the point where s.C.s is least.
            lean = normal @ np.linalg.inv(rotation @ covariance @ rotation.T)
            across = np.sum(lean * normal, axis=1, keepdims=True)
            off = length - k
            direction = scattered - off * lean / across
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            lit = ((off**2 / across)[:, 0] < _WIDTH) & (direction[:, 2] > 0)
            flat = direction[lit, :2] / direction[lit, 2:] * fingerprint.detector_distance
            radii = np.linalg.norm(flat, axis=1) / fingerprint.pixel_size
            flat = flat[(radii > fingerprint.inner_radius) & (radii < fingerprint.outer_radius)]
            places.append(flat / fingerprint.pixel_size + (size - 1) / 2)
            channels.append(np.full(len(flat), channel))
    pixel, of_channel = np.concatenate(places), np.concatenate(channels)
    brightness = np.array(
        [_brightest(image[:, :, c], place) for c, place in zip(of_channel, pixel, strict=True)]
    )
    kept = np.flatnonzero(brightness >= least)
    return BraggSpots(of_channel[kept], pixel[kept], brightness[kept], size)


def _singular(lattice: Float64) -> bool:
    lengths = np.linalg.norm(lattice, axis=1)
    return bool(abs(np.linalg.det(lattice)) <= 1e-6 * max(float(lengths.prod()), 1e-300))


def _reciprocal_points(lattice: Float64, k: float, fingerprint: Fingerprint) -> Float64:
    """Reciprocal-lattice points (n, 3), but the origin, that the ring of the detector may see."""
    edge = np.arctan(
        fingerprint.outer_radius * fingerprint.pixel_size / fingerprint.detector_distance
    )
    reach = 1.1 * 2 * k * np.sin(edge / 2)
    reciprocal = 2 * np.pi * np.linalg.inv(lattice).T
    # |h_i| = |G . a_i| / 2 pi <= |G| |a_i| / 2 pi
    most = np.floor(reach * np.linalg.norm(lattice, axis=1) / (2 * np.pi)).astype(int)
    axes = [np.arange(-m, m + 1) for m in most]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    points = hkl[hkl.any(axis=1)] @ reciprocal
    result: Float64 = points[np.linalg.norm(points, axis=1) < reach]
    return result


def _brightest(image: NDArray[np.float32], place: Float64) -> float:
    """Brightest pixel within one of a place."""
    low = np.maximum(np.rint(place).astype(int) - 1, 0)
    return float(image[low[0] : low[0] + 3, low[1] : low[1] + 3].max(initial=0))


def ring(fingerprint: Fingerprint) -> NDArray[np.bool_]:
    """Pixels (P, P) whose intensity a fingerprint keeps."""
    return np.asarray(fingerprint.detector.window() > 0)


def energy_share(maps: ArrayLike, near: ArrayLike) -> Float64:
    """Share of the energy (sum of squares) of maps that lies on some pixels.

    Parameters
    ----------
    maps : (..., P, P, 3) array
    near : (..., P, P, 3) bool array
        `BraggSpots.near`; broadcast.

    Returns
    -------
    (...) float64 array
        nan for a map that is dark.
    """
    energy = np.square(np.asarray(maps, np.float64))
    return _ratio(np.sum(energy * np.asarray(near), axis=(-3, -2, -1)), energy)


def shuffled_share(maps: ArrayLike, near: ArrayLike) -> Float64:
    """`energy_share` expected of maps whose pixels are shuffled around the centre.

    Pixels change places with others of their channel at the same distance from the centre (to one
    pixel), so what a map owes to the ring and to how energy falls with the angle stays. The mean
    over all shuffles is exact: a ring's energy times the share of its pixels near spots.
    """
    energy = np.square(np.asarray(maps, np.float64))
    near = np.asarray(near)
    rings = _rings(energy.shape[-2])
    expected = np.zeros(np.broadcast_shapes(energy.shape, near.shape)[:-3])
    for ring in range(int(rings.max()) + 1):
        inside = rings == ring
        # (..., pixels of the ring, 3)
        expected += np.sum(energy[..., inside, :].sum(axis=-2) * near[..., inside, :].mean(-2), -1)
    return _ratio(expected, energy)


def _rings(size: int) -> NDArray[np.intp]:
    axis = np.arange(size) - (size - 1) / 2
    return np.hypot(axis[:, None], axis).astype(np.intp)


def _ratio(part: Float64, energy: Float64) -> Float64:
    whole = np.broadcast_to(np.sum(energy, axis=(-3, -2, -1)), np.shape(part))
    result = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result
