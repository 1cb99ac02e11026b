"""Where an ordered phase is: a dark-field image of the superlattice, and the regions it shows.

Each ion is multiplied by the wave of a superlattice reflection, exp(-i q.x), and the sums are
smoothed with a Gaussian: where the lattice is ordered they add up, elsewhere they do not. At a
place that is a window of Gaussian shape; a boundary between order and none lies where the amplitude
falls to half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from ase_crystalnet._compute.types import Array
from ase_crystalnet.atom_probe.order.composition import VoxelGrid
from ase_crystalnet.atom_probe.order.finder import OrderFinder, attenuation
from ase_crystalnet.atom_probe.order.statistic import quadratic_tail

__all__ = ["SMOOTHING", "OrderMap", "OrderedPhase", "map_order"]

#: Standard deviation of the Gaussian, and edge of the voxels, Angstrom.
SMOOTHING, EDGE = 7.0, 4.0
#: Reflections used: those with the most left of their amplitude.
_REFLECTIONS = 6
#: Boundaries are at this share of the order inside.
_HALF = 0.5
#: Ions within the Gaussian below which a voxel is empty, of those that a typical one has.
_EMPTY = 0.3


@dataclass(frozen=True, eq=False)
class OrderedPhase:
    """One connected region of an ordered phase.

    Attributes
    ----------
    center : (3,) array
        Of its voxels, Angstrom.
    volume : float
        Cubic Angstrom.
    voxels : int
    order : float
        Largest S in it.
    counts : (S + 1,) int array
        Ions of each species in it, unranged ones last.
    """

    center: Array
    volume: float
    voxels: int
    order: float
    counts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OrderMap:
    """Order on a grid of voxels, and the regions in which there is some.

    Attributes
    ----------
    origin : (3,) array
        Middle of the first voxel, Angstrom.
    edge : float
        Angstrom.
    order : (X, Y, Z) float32 array
        S; nan where there are no ions.
    region : (X, Y, Z) int32 array
        Number of the phase from 1 on; 0 outside.
    ion_region : (N,) int32 array
        The same at each ion.
    phases : tuple of OrderedPhase
        Largest first.
    """

    origin: Array
    edge: float
    order: NDArray[np.float32]
    region: NDArray[np.int32]
    ion_region: NDArray[np.int32]
    phases: tuple[OrderedPhase, ...]


def map_order(
    finder: OrderFinder,
    positions: NDArray[np.floating],
    excess: NDArray[np.floating],
    variance: NDArray[np.floating],
    species: NDArray[np.integer],
    kinds: int,
    *,
    lateral: float,
    depth: float,
    smoothing: float = SMOOTHING,
    edge: float = EDGE,
) -> OrderMap:
    """Map order over a whole reconstruction and gather connected regions.

    Parameters
    ----------
    finder : OrderFinder
        Lattice, structure, and the false-alarm rate that holds over the whole map.
    positions : (N, 3) array
        Angstrom.
    excess, variance : (N,) arrays
        See `OrderFinder`.
    species : (N,) int array
        Of each ion, -1 unranged.
    kinds : int
        Number of species.
    lateral, depth : float
        Blur where planes resolve, Angstrom: it scales S.
    smoothing, edge : float
        Angstrom.
    """
    best: tuple[float, NDArray[np.float32], NDArray[np.float32]] | None = None
    grid = VoxelGrid(positions, edge, margin=3 * smoothing)
    density = grid.total(None, smoothing)
    # Per voxel: the Gaussian's sums are over its volume in voxels.
    cells = (2 * np.sqrt(np.pi) * smoothing / edge) ** 3
    noise = grid.total(variance.astype(np.float64), smoothing / np.sqrt(2)) / cells
    labelled = grid.total((variance > 0).astype(np.float64), smoothing)
    filled = density > _EMPTY * float(np.median(grid.at_ions(density)))
    variants = [v for v in finder.variants if len(v[0])]
    for q, amplitude in variants:
        weight = amplitude * attenuation(q, lateral, depth)
        use = np.argsort(-weight, kind="stable")[:_REFLECTIONS]
        use = use[weight[use] > 0.2 * weight[use[0]]]
        total, skew = np.zeros(grid.shape, np.float32), 0.0
        for k in use:
            phase = positions @ q[k].astype(np.float32)
            wave = np.cos(phase), np.sin(phase)
            total += weight[k] ** 2 * sum(
                grid.total(excess * part, smoothing) ** 2 for part in wave
            )
            skew = max(skew, _lopsided(grid, wave, variance, smoothing))
        power, more = float((weight[use] ** 2).sum()), float((weight[use] ** 4).sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            square = (total - power * noise) / (more * labelled**2)
            ratio = np.where(filled, np.nan_to_num(total / noise, nan=0.0, posinf=0.0), 0.0)
        law = np.repeat(weight[use] ** 2, 2) * (1 + skew) / 2
        chance = _chances(ratio, law)
        value = np.sqrt(np.maximum(square, 0.0)).astype(np.float32)
        value, chance = np.where(filled, value, np.nan), np.where(filled, chance, 1.0)
        strength = float(np.nanmax(np.where(chance < 0.01, value, 0.0)))
        if best is None or strength > best[0]:
            best = strength, value.astype(np.float32), chance.astype(np.float32)
    assert best is not None
    _, value, chance = best
    # As many independent places as Gaussians fit into the filled voxels.
    places = max(float(np.isfinite(value).sum()) / cells, 1.0) * len(variants)
    seeds = chance < -np.expm1(np.log1p(-finder.false_alarm) / places)
    region = _regions(value, seeds)
    ion_region = region.ravel()[grid.cell].astype(np.int32)
    phases = []
    for number in range(1, int(region.max(initial=0)) + 1):
        inside = np.argwhere(region == number)
        own = species[ion_region == number]
        phases.append(
            OrderedPhase(
                center=grid.centers(inside.mean(axis=0)),
                volume=len(inside) * edge**3,
                voxels=len(inside),
                order=float(np.nanmax(value[tuple(inside.T)])),
                counts=np.bincount(np.where(own < 0, kinds, own), minlength=kinds + 1),
            )
        )
    return OrderMap(grid.origin, edge, value, region, ion_region, tuple(phases))


def _lopsided(
    grid: VoxelGrid,
    wave: tuple[NDArray[np.floating], NDArray[np.floating]],
    variance: NDArray[np.floating],
    smoothing: float,
) -> float:
    """By how much one phase of a wave has more noise than the mean of both, where it is worst.

    Ions on resolved planes sit at one phase of a superlattice wave, or at its opposite.
    """
    width = smoothing / np.sqrt(2)
    even = grid.total(variance * (wave[0] ** 2 - wave[1] ** 2), width)
    odd = grid.total(2 * variance * wave[0] * wave[1], width)
    mean = grid.total(variance.astype(np.float64), width)
    dense = mean > 0.3 * float(np.median(mean[mean > 0]))
    share = np.hypot(even[dense], odd[dense]) / mean[dense]
    return float(np.percentile(share, 99))


def _chances(ratio: NDArray[np.floating], law: Array) -> NDArray[np.float32]:
    """Tail of one quadratic law at every voxel: a table in which voxels are looked up."""
    table = np.linspace(0.0, max(float(ratio.max()), 1e-6), 600)
    chance = quadratic_tail(table, np.broadcast_to(law, (len(table), len(law))))
    logs = np.log(np.maximum(chance, 1e-300))
    return np.exp(np.interp(ratio, table, logs)).astype(np.float32)


def _regions(value: NDArray[np.float32], seeds: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Connected voxels above half of the order in them, around those that are significant."""
    found = np.zeros(value.shape, np.int32)
    if not seeds.any():
        return found
    # The inside of a small precipitate never reaches full order, so that each has its own half.
    inside = np.nan_to_num(value)
    level = _HALF * float(np.median(inside[seeds]))
    parts, _ = label(inside > level)
    kept = []
    for number in np.unique(parts[seeds & (parts > 0)]):
        place = parts == number
        top = np.percentile(inside[place & seeds], 90)
        kept.append(place & (inside > _HALF * top))
    kept.sort(key=lambda place: -int(place.sum()))
    for number, place in enumerate(kept, start=1):
        found[place] = number
    return found
