"""Simulated reconstructions of whole tips, with a known answer: `TipPlan` and `simulate_tip`.

A needle of a known crystal is evaporated and reconstructed as an atom probe does it, so that the
errors of a reconstruction come from where they come from:

1. **Order of evaporation.** The end of the needle is a cap of constant curvature that sinks. An
   atom leaves when the cap reaches it, so that a terrace of a lattice plane shrinks from its edge
   inwards; blur along depth is an error of this order. A share of the ions (`bursts`) leaves right
   after its neighbour, as in avalanches.
2. **Trajectories.** Lateral blur is in the tangent plane of the cap. Ions are thrown outwards where
   a pole of the crystal comes out of the cap, and inwards above precipitates, which evaporate at a
   lower field (local magnification).
3. **Detection.** A share of the ions is detected at all. Of two successive ions that arrive close
   to each other the second is lost with a chance of its own (multiple hits).
4. **Reconstruction.** Depth is the number of ions detected so far times the volume that each stands
   for (Bas et al., Appl. Surf. Sci. 87/88, 298 (1995)), with errors of the two scales if wanted.
5. **Mass spectrum**: `spectra`; every ion gets a mass, and an analysis has to range it.

Lengths are in Angstrom, depth is z and ends at the apex at z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.training.atom_probe.spectra import assign_masses

__all__ = ["MATERIALS", "Material", "SimulatedTip", "TipPlan", "simulate_tip"]


@dataclass(frozen=True)
class Material:
    """A cubic crystal that tips are made of.

    Attributes
    ----------
    lattice : {'fcc', 'bcc'}
    constant : float
        Edge of the cubic cell, Angstrom.
    solvent, solute : str
        Elements; the solute may be the same.
    content : float
        Share of the solute in the matrix, at random.
    precipitate : float
        Share of the solute in precipitates, which are ordered as L1_2; 0 for none.
    field : float
        Lateral size of a precipitate in the reconstruction over the true one; below 1 where it
        evaporates at a lower field than the matrix.
    """

    lattice: str
    constant: float
    solvent: str
    solute: str
    content: float = 0.0
    precipitate: float = 0.0
    field: float = 1.0

    @property
    def sites(self) -> Array:
        """Sites of the cubic cell, fractional; the first is the one of the solute in L1_2."""
        return np.array(_SITES[self.lattice], np.float64)

    @property
    def density(self) -> float:
        """Atoms in a cubic Angstrom."""
        return len(_SITES[self.lattice]) / self.constant**3


_SITES = {
    "fcc": ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0)),
    "bcc": ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
}
#: What tips can be made of.
MATERIALS = {
    "Al": Material("fcc", 4.0496, "Al", "Al"),
    "W": Material("bcc", 3.1652, "W", "W"),
    "Ni3Al": Material("fcc", 3.555, "Ni", "Al", content=0.08, precipitate=0.24, field=0.95),
}
#: Directions at which the field is disturbed where they come out of the cap.
_POLES = ((1, 0, 0), (1, 1, 0), (1, 1, 1))


@dataclass(frozen=True)
class TipPlan:
    """What is evaporated, and how well it is measured.

    Parameters
    ----------
    material : {'Al', 'W', 'Ni3Al'}
        Ni3Al: precipitates of it in nickel with 8 at.% of aluminium.
    atoms : int
        Atoms that evaporate in the field of view, before losses.
    efficiency : float
        Share that is detected, above 0 to 1.
    lateral, depth : float
        Standard deviation of positions along the surface, per component, and along its normal.
    curvature : float
        Radius of the cap.
    opening : float
        Half of the field of view, as an angle of the surface's normal, degrees.
    axis : sequence of 3 ints
        Crystal direction along the needle.
    tilt : float
        Largest angle between them, degrees; the orientation is random within it, and about z.
    precipitate_radius, precipitate_share : float
        Radius of precipitates, and their share of the volume.
    pole_radius : float
        Radius of the hole in the density at a pole of the crystal.
    bursts : float
        Share of the ions that leave right after a neighbour.
    multiple_loss : float
        Chance that the second of two successive ions less than 2 nm apart is lost.
    background : float
        Share of the detected ions that come from nowhere, with any mass.
    lateral_scale, depth_scale : float
        Reconstructed over true lengths across and along depth.

    Raises
    ------
    InputError
        A value is out of range.
    """

    material: str = "Al"
    atoms: int = 1_000_000
    efficiency: float = 0.52
    lateral: float = 2.0
    depth: float = 0.3
    curvature: float = 250.0
    opening: float = 35.0
    axis: tuple[int, int, int] = (0, 0, 1)
    tilt: float = 10.0
    precipitate_radius: float = 30.0
    precipitate_share: float = 0.1
    pole_radius: float = 6.0
    bursts: float = 0.1
    multiple_loss: float = 0.5
    background: float = 0.02
    lateral_scale: float = 1.0
    depth_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.material not in MATERIALS:
            raise InputError(f"material={self.material!r}: expected {', '.join(MATERIALS)}")
        if self.atoms < 100:
            raise InputError(f"atoms={self.atoms!r}: expected 100 or more")
        if len(self.axis) != 3 or not any(self.axis):
            raise InputError(f"axis={self.axis!r} is not a direction of three indices")
        for name, low, high in (
            ("efficiency", 1e-3, 1.0), ("lateral", 0.0, 20.0), ("depth", 0.0, 20.0),
            ("curvature", 50.0, 1e4), ("opening", 1.0, 60.0), ("tilt", 0.0, 90.0),
            ("precipitate_radius", 1.0, 1e3), ("precipitate_share", 0.0, 0.5),
            ("pole_radius", 0.0, 50.0), ("bursts", 0.0, 0.9), ("multiple_loss", 0.0, 1.0),
            ("background", 0.0, 0.9), ("lateral_scale", 0.5, 2.0), ("depth_scale", 0.5, 2.0),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name}={value!r} is not between {low:g} and {high:g}")


@dataclass(frozen=True, eq=False)
class SimulatedTip:
    """A reconstruction in the order of detection, and what it was made of.

    Attributes
    ----------
    positions : (N, 3) float32 array
        As reconstructed, Angstrom.
    mass : (N,) float32 array
        Mass over charge number, Da.
    true_positions : (N, 3) float32 array
        Sites in the specimen; nan for the background.
    elements : (N,) str array
        What each ion was, '' for the background.
    precipitate : (N,) int array
        Number of the precipitate that it was in; -1 for none.
    orientation : (3, 3) array
        Rows: the cubic axes of the crystal in the specimen.
    precipitate_centers : (P, 3) array
        In the specimen, Angstrom.
    plan : TipPlan
    """

    positions: NDArray[np.float32]
    mass: NDArray[np.float32]
    true_positions: NDArray[np.float32]
    elements: NDArray[np.str_]
    precipitate: NDArray[np.int32]
    orientation: Array
    precipitate_centers: Array
    plan: TipPlan

    def __len__(self) -> int:
        return len(self.mass)


def simulate_tip(plan: TipPlan, rng: np.random.Generator) -> SimulatedTip:
    """Evaporate and reconstruct a tip.

    Parameters
    ----------
    plan : TipPlan
    rng : numpy.random.Generator
    """
    material = MATERIALS[plan.material]
    orientation = _orientation(plan, rng)
    view = plan.curvature * np.sin(np.deg2rad(plan.opening))
    height = plan.atoms / (material.density * np.pi * view**2)
    sites, solute_site, rise = _sites(plan, material, orientation, view, height, rng)
    centers, inside = _precipitates(plan, material, sites, rise, view, height, rng)
    elements = _elements(material, solute_site, inside >= 0, rng)
    # Blur along the normal moves the moment of evaporation by more where the cap is steep.
    flat = np.sqrt(1 - (sites[:, :2] ** 2).sum(axis=1) / plan.curvature**2)
    leaves = rise + rng.normal(size=len(rise)) * plan.depth / flat
    follows = rng.random(len(sites)) < plan.bursts
    if follows.any():
        partner = cKDTree(sites).query(sites[follows], k=2)[1][:, 1]
        leaves[follows] = leaves[partner] - 1e-6
    order = np.argsort(-leaves, kind="stable")
    launched = _launched(plan, material, sites, flat, rise, orientation, centers, rng)
    seen = _detected(plan, launched[order], rng)
    order = order[seen]
    # Depth by counting: the volume of a detected ion over the area of view.
    count = len(order)
    depth = height * (np.arange(count) + 0.5) / max(count, 1)
    positions, true = launched[order], sites[order]
    names, part = elements[order], inside[order]
    strays = rng.random(count) < plan.background
    positions[strays] = view * _disk(int(strays.sum()), rng)
    true[strays], names[strays], part[strays] = np.nan, "", -1
    across = plan.lateral_scale * positions
    cap = plan.lateral_scale * plan.curvature
    reach = np.minimum((across**2).sum(axis=1), 0.99 * cap**2)
    sag = cap - np.sqrt(cap**2 - reach)
    final = np.column_stack([across, -plan.depth_scale * depth - sag])
    return SimulatedTip(
        positions=final.astype(np.float32),
        mass=assign_masses(names, rng),
        true_positions=true.astype(np.float32),
        elements=names,
        precipitate=part.astype(np.int32),
        orientation=orientation,
        precipitate_centers=centers,
        plan=plan,
    )


def _orientation(plan: TipPlan, rng: np.random.Generator) -> Array:
    """Cubic axes as rows, `axis` within `tilt` of z, evenly over that cap."""
    axis = np.array(plan.axis, np.float64)
    axis /= np.linalg.norm(axis)
    other = np.eye(3)[int(np.argmin(np.abs(axis)))]
    x = np.cross(other, axis)
    x /= np.linalg.norm(x)
    # Columns: the crystal coordinates of x, y and z.
    upright = np.column_stack([x, np.cross(axis, x), axis])
    lean = np.arccos(1 - rng.random() * (1 - np.cos(np.deg2rad(plan.tilt))))
    turn, way = rng.uniform(0, 2 * np.pi, 2)
    lab = Rotation.from_euler("z", way) * Rotation.from_euler("x", lean)
    return np.asarray((lab * Rotation.from_euler("z", turn)).apply(upright))


def _sites(
    plan: TipPlan,
    material: Material,
    orientation: Array,
    view: float,
    height: float,
    rng: np.random.Generator,
) -> tuple[Array, NDArray[np.bool_], Array]:
    """Sites in the field of view, whether the solute's, and the rise of the cap at each."""
    sag = plan.curvature - np.sqrt(plan.curvature**2 - view**2)
    low, high = np.array([-view, -view, -height - sag]), np.array([view, view, 0.0])
    corners = np.array([[low[0], high[0]], [low[1], high[1]], [low[2], high[2]]])
    grid = np.stack(np.meshgrid(*corners, indexing="ij"), -1).reshape(-1, 3)
    origin = rng.random(3)
    index = grid @ orientation.T / material.constant - origin
    first = np.floor(index.min(axis=0)).astype(int) - 1
    last = np.ceil(index.max(axis=0)).astype(int) + 1
    rows = [np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]
    parts, solutes = [], []
    plane = np.stack(np.meshgrid(rows[1], rows[2], indexing="ij"), -1).reshape(-1, 2)
    for i in rows[0]:  # a layer at a time: all at once is many times the tip
        cells = np.column_stack([np.full(len(plane), i), plane]) + origin
        for k, site in enumerate(material.sites):
            points = (cells + site) @ orientation * material.constant
            inside = (points[:, 0] ** 2 + points[:, 1] ** 2 < view**2) & (points[:, 2] < 0.0)
            inside &= points[:, 2] > low[2]
            parts.append(points[inside])
            solutes.append(np.full(int(inside.sum()), k == 0))
    sites, solute = np.concatenate(parts), np.concatenate(solutes)
    rise = sites[:, 2] + plan.curvature
    rise -= np.sqrt(plan.curvature**2 - (sites[:, :2] ** 2).sum(axis=1))
    kept = (rise <= 0.0) & (rise > -height)
    return sites[kept], solute[kept], rise[kept]


def _precipitates(
    plan: TipPlan,
    material: Material,
    sites: Array,
    rise: Array,
    view: float,
    height: float,
    rng: np.random.Generator,
) -> tuple[Array, NDArray[np.int64]]:
    """Centres of spheres that do not touch, and the number of the one that each site is in."""
    inside = np.full(len(sites), -1, np.int64)
    if material.precipitate == 0.0 or plan.precipitate_share == 0.0:
        return np.empty((0, 3)), inside
    radius = plan.precipitate_radius
    wanted = plan.precipitate_share * np.pi * view**2 * height / (4 / 3 * np.pi * radius**3)
    centers: list[Array] = []
    for _ in range(2000):
        if len(centers) >= max(round(wanted), 1):
            break
        place = sites[rng.integers(len(sites))]
        if all(np.linalg.norm(place - other) > 2.2 * radius for other in centers):
            centers.append(place)
    tree = cKDTree(sites)
    for i, center in enumerate(centers):
        inside[tree.query_ball_point(center, radius)] = i
    return np.array(centers), inside


def _elements(
    material: Material,
    solute_site: NDArray[np.bool_],
    ordered: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.str_]:
    """Element of each site: solute at random, and on its own sites first where ordered."""
    quarter = 1 / len(material.sites)
    on_site = min(material.precipitate / quarter, 1.0)
    share = np.where(ordered, np.where(solute_site, on_site, 0.0), material.content)
    solute = rng.random(len(share)) < share
    return np.where(solute, material.solute, material.solvent)


def _launched(
    plan: TipPlan,
    material: Material,
    sites: Array,
    flat: Array,
    rise: Array,
    orientation: Array,
    centers: Array,
    rng: np.random.Generator,
) -> Array:
    """Places (N, 2) across depth that the ions seem to come from."""
    across = sites[:, :2].copy()
    # A step in the tangent plane is shorter across depth, up the slope of the cap.
    step = rng.normal(size=across.shape) * plan.lateral
    out = np.linalg.norm(across, axis=1, keepdims=True)
    uphill = across / np.where(out > 0, out, 1.0)
    along = (step * uphill).sum(axis=1, keepdims=True)
    across += step + along * (flat[:, None] - 1) * uphill
    if plan.pole_radius > 0:
        for pole in _pole_directions() @ orientation:
            if pole[2] > 0:
                across = _thrown_out(across, plan.curvature * pole[:2], plan.pole_radius)
    if material.field != 1.0:
        for center in centers:
            top = center[2] + plan.curvature
            top -= np.sqrt(plan.curvature**2 - (center[:2] ** 2).sum())
            size = np.sqrt(np.maximum(plan.precipitate_radius**2 - (rise - top) ** 2, 0.0))
            off = across - center[:2]
            far = np.linalg.norm(off, axis=1)
            share = np.exp(-np.maximum(far - size, 0.0) / 10.0) * (size > 0)
            across = center[:2] + off * (1 - (1 - material.field) * share)[:, None]
    return across


def _pole_directions() -> Array:
    """All unit vectors of the families of `_POLES`."""
    grid = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 3)
    grid = grid[np.any(grid != 0, axis=1)]
    assert {tuple(sorted(np.abs(g), reverse=True)) for g in grid} == set(_POLES)
    return np.asarray(grid / np.linalg.norm(grid, axis=1, keepdims=True))


def _thrown_out(across: Array, pole: Array, radius: float) -> Array:
    """Ions near a pole move away from it, so that a hole of `radius` is left."""
    off = across - pole
    far = np.linalg.norm(off, axis=1)
    new = np.sqrt(far**2 + radius**2 * np.exp(-((far / (2.5 * radius)) ** 2)))
    return np.asarray(pole + off * (new / np.maximum(far, 1e-9))[:, None])


def _detected(plan: TipPlan, across: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which ions, in the order of evaporation, are detected."""
    seen = rng.random(len(across)) < plan.efficiency
    near = np.zeros(len(across), bool)
    near[1:] = np.linalg.norm(np.diff(across, axis=0), axis=1) < 20.0
    near[1:] &= seen[:-1]
    return np.asarray(seen & ~(near & (rng.random(len(across)) < plan.multiple_loss)))


def _disk(count: int, rng: np.random.Generator) -> Array:
    """Points evenly over the unit disk."""
    angle, radius = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
