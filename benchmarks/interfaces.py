"""Periodic cells with flat interfaces of known place, for the resolution benchmark.

Crystal and liquid, hcp layers in fcc, a sigma-5 grain boundary. Lengths of parameters are in the
crystal's nearest-neighbour distance, d.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ase_crystalnet import crystals
from ase_crystalnet.classes import CLASSES

__all__ = ["FAULTS", "MELTS", "REACH", "Interface", "interfaces"]

Array = NDArray[np.float64]

#: Farthest atoms from an interface that are looked at, and half the thickness of what is built, so
#: that the largest window of the farthest atom ends before the next interface (3.5 d in fcc).
REACH, HALF = 5.0, 8.7
#: Atoms nearer than this are no pair of a liquid and a crystal.
OVERLAP = 0.75

#: The MD runs and classes of the crystals that face their liquids.
MELTS = {
    "fcc-liquid": ("Al", "fcc"),
    "bcc-liquid": ("Fe", "bcc"),
    "hcp-liquid": ("Mg", "hex/rh"),
    "diamond-liquid": ("Si", "diam"),
}
#: Number of neighbouring hcp layers in fcc.
FAULTS = {"twin": 1, "stacking fault": 2, "hcp slab 4": 4, "hcp slab 6": 6, "hcp slab 10": 10}


@dataclass(frozen=True, eq=False)
class Interface:
    """A periodic cell with flat interfaces.

    `distance` (N,) is from the nearest one, Angstrom, negative on the first side; `grains` holds
    the orientations (2, 4) of the two sides where these are part of the answer.
    """

    name: str
    atoms: Atoms
    truth: NDArray[np.int16]
    distance: Array
    nearest: float
    sides: tuple[str, str]
    grains: Array | None = None


def orthogonal_cell(name: str) -> Atoms:
    """Right-angled cell of fcc, bcc, diam or (basal plane normal to z) hex/rh."""
    cell = crystals.unit_cell(name)
    if name != "hex/rh":
        return cell
    a, c = cell.cell.lengths()[[0, 2]]
    sites = [(0, 0, 0), (0.5, 0.5, 0), (0, 1 / 3, 0.5), (0.5, 5 / 6, 0.5)]
    return Atoms("Cu4", cell=[a, np.sqrt(3) * a, c], scaled_positions=sites, pbc=True)


def melt(folder: Path, material: str, name: str, rng: np.random.Generator) -> tuple[Atoms, float]:
    """A liquid (Angstrom) and the volume of an atom in the crystal at its melting point."""
    from ase_crystalnet.crystals import load_frames

    liquid, solid = (folder / f"{material}_{phase}_1.00.npz" for phase in ("liquid", "solid"))
    if liquid.is_file() and solid.is_file():
        crystal = load_frames(solid)[0]
        return load_frames(liquid)[-1], crystal.get_volume() / len(crystal)
    packing = crystals.random_packing(2000, rng=rng)
    cell = orthogonal_cell(name)
    volume = cell.get_volume() / len(cell)
    factor = (1.05 * volume * len(packing) / packing.get_volume()) ** (1 / 3)
    packing.set_cell(packing.cell * factor, scale_atoms=True)
    return packing, volume


def crystal_liquid(kind: str, folder: Path, sigma: float, rng: np.random.Generator) -> Interface:
    """A crystal slab between (001) or basal faces and its melt."""
    material, name = MELTS[kind]
    liquid, volume = melt(folder, material, name, rng)
    cell = orthogonal_cell(name)
    cell.set_cell(cell.cell * (volume * len(cell) / cell.get_volume()) ** (1 / 3), scale_atoms=True)
    d = crystals.nearest_distance(cell)
    edges = cell.cell.lengths()
    lateral = np.rint(liquid.cell.lengths()[:2] / edges[:2]).astype(int)
    layers = int(np.ceil(2 * HALF * d / edges[2]))
    crystal = cell.repeat((*lateral, layers))
    # Half a spacing beyond the outermost planes on both sides.
    planes = np.unique(np.round(crystal.positions[:, 2], 4))
    thick = crystal.cell.lengths()[2]
    crystal.positions[:, 2] += (thick - planes[-1]) / 2
    # The liquid takes the crystal's edges at its own density.
    stretch = crystal.cell.lengths() / liquid.cell.lengths()
    stretch[2] = 1 / (stretch[0] * stretch[1])
    liquid.set_cell(np.diag(liquid.cell.lengths() * stretch), scale_atoms=True)
    liquid.wrap()
    height = 2 * HALF * d
    liquid = liquid.repeat((1, 1, int(np.ceil(height / liquid.cell.lengths()[2])) + 1))
    liquid.positions[:, 2] -= rng.random() * (liquid.cell.lengths()[2] - height)
    inside = (liquid.positions[:, 2] >= 0) & (liquid.positions[:, 2] < height)
    melted = liquid.positions[inside] + [0, 0, thick]
    box = np.array([*crystal.cell.lengths()[:2], thick + height])
    gap = cKDTree(np.mod(crystal.positions, box), boxsize=box).query(np.mod(melted, box))[0]
    melted = melted[gap >= OVERLAP * d]
    solid = crystal.positions + rng.normal(scale=sigma * d, size=crystal.positions.shape)
    atoms = Atoms(f"Cu{len(solid) + len(melted)}", np.vstack([solid, melted]), cell=box, pbc=True)
    depth = np.concatenate([crystal.positions[:, 2], melted[:, 2]])
    far = np.minimum(np.abs(depth), np.minimum(np.abs(depth - thick), np.abs(depth - box[2])))
    truth = np.repeat([CLASSES.index(name), CLASSES.index("disordered")], [len(solid), len(melted)])
    sign = np.where(np.arange(len(atoms)) < len(solid), -1, 1)
    return Interface(kind, atoms, truth.astype(np.int16), sign * far, d, (name, "liquid"))


def stacking(kind: str, sigma: float, rng: np.random.Generator, d: float = 2.6) -> Interface:
    """Hcp layers in fcc; each layer is what its two neighbours make it."""
    hexagonal = FAULTS[kind]
    spacing = np.sqrt(2 / 3) * d
    fcc = int(np.ceil(2 * HALF * d / spacing))
    # An odd number of hcp layers turns the stacking round, so it takes two to close the cell.
    stretch = [False] * fcc + [True] * hexagonal
    pattern = stretch * (1 if hexagonal % 2 == 0 else 2)
    while True:
        step, site, sites = 1, 0, []
        for turned in pattern:
            sites.append(site)
            step = -step if turned else step
            site = (site + step) % 3
        if site == 0 and step == 1:
            break
        pattern = [False, *pattern]
    hcp = np.array(pattern)
    nx, ny = 12, 7
    cell = Atoms("Cu2", [(0, 0, 0), (d / 2, np.sqrt(3) / 2 * d, 0)])
    cell.set_cell([d, np.sqrt(3) * d, spacing])
    layer = cell.repeat((nx, ny, 1)).positions
    shift = np.array([0, d / np.sqrt(3), 0])
    up = np.array([0, 0, spacing])
    points = np.vstack([layer + s * shift + k * up for k, s in enumerate(sites)])
    which = np.repeat(np.arange(len(hcp)), len(layer))
    # Half-way between an fcc layer and an hcp layer, also across the periodic face.
    edges = np.flatnonzero(hcp != np.roll(hcp, -1)) + 0.5
    apart = np.abs(np.arange(len(hcp))[:, None] - edges)
    far = np.minimum(apart, len(hcp) - apart).min(axis=1) * spacing
    points = points + rng.normal(scale=sigma * d, size=points.shape)
    box = [nx * d, ny * np.sqrt(3) * d, len(hcp) * spacing]
    truth = np.where(hcp, CLASSES.index("hex/rh"), CLASSES.index("fcc")).astype(np.int16)
    atoms = Atoms(f"Cu{len(points)}", points, cell=box, pbc=True)
    distance = np.where(hcp, far, -far)
    return Interface(kind, atoms, truth[which], distance[which], d, ("fcc", "hcp layers"))


def sigma5(sigma: float, rng: np.random.Generator, d: float = 2.6) -> Interface:
    """Symmetric (210)[001] tilt boundary of fcc, not relaxed; atoms too near one another merged."""
    a = np.sqrt(2) * d
    period = np.sqrt(5) * a
    repeats = int(np.ceil(2 * HALF * d / period))
    # Columns: [1 -2 0] along x, [001] along y, [-2 -1 0] along z (right-handed).
    turn = Rotation.from_matrix(np.array([[1, -2, 0], [0, 0, np.sqrt(5)], [-2, -1, 0]]) / 5**0.5)
    block = crystals.fcc(d).repeat(4 * repeats + 16)
    half = repeats * period
    width = np.array([4 * period, 9 * a])
    origin = np.rint(block.cell.lengths() / a / 2) * a
    points = turn.apply(block.positions - origin)
    points = points[
        (points[:, 0] > -1e-6)
        & (points[:, 0] < width[0] - 1e-6)
        & (points[:, 1] > -1e-6)
        & (points[:, 1] < width[1] - 1e-6)
        & (points[:, 2] > -1e-6)
        & (points[:, 2] < half + 1e-6)
    ]
    mirrored = points * [1, 1, -1]
    box = np.array([*width, 2 * half])
    both = np.vstack([points, mirrored])
    side = np.repeat([-1, 1], len(points))
    wrapped = np.mod(both + 1e-6, box)
    pairs = cKDTree(wrapped, boxsize=box).query_pairs(OVERLAP * d, output_type="ndarray")
    keep = np.ones(len(both), bool)
    keep[pairs[side[pairs[:, 0]] != side[pairs[:, 1]]].max(axis=1, initial=0)] = False
    keep[0] = True
    both, side = both[keep], side[keep]
    far = np.minimum(np.abs(both[:, 2]), half - np.abs(both[:, 2]))
    grains = np.stack([turn.as_quat(), _mirrored(turn).as_quat()])
    both = both + rng.normal(scale=sigma * d, size=both.shape)
    atoms = Atoms(f"Cu{len(both)}", both, cell=box, pbc=True)
    truth = np.full(len(both), CLASSES.index("fcc"), np.int16)
    return Interface("sigma-5", atoms, truth, side * far, d, ("grain 1", "grain 2"), grains)


def _mirrored(turn: Rotation) -> Rotation:
    """Orientation of the mirror image in the xy plane (fcc has a centre of inversion)."""
    return Rotation.from_matrix(-np.diag([1, 1, -1]) @ turn.as_matrix())


def interfaces(
    folder: Path, sigma: float, names: list[str] | None, seed: int
) -> Iterator[Interface]:
    """All of them, or some by name."""
    every = [*MELTS, *FAULTS, "sigma-5"]
    for number, name in enumerate(every):
        rng = np.random.default_rng([seed, number, int(1000 * sigma)])
        if names is not None and name not in names:
            continue
        if name in MELTS:
            yield crystal_liquid(name, folder, sigma, rng)
        elif name in FAULTS:
            yield stacking(name, sigma, rng)
        else:
            yield sigma5(sigma, rng)
