"""From the stacking of single atoms to fault planes: twins, intrinsic and extrinsic faults.

Atoms that are stacked otherwise than the crystal about them, joined through neighbours in one
plane, make a layer. Layers of parallel planes that lie one over the other are one fault, and how
far they are apart gives its kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.spatial import cKDTree
from scipy.special import expit

from ase_crystalnet._compute.types import Array
from ase_crystalnet.classes import OTHER, STACKED, stacking_class
from ase_crystalnet.local.stacking import FCC, HCP, MISFIT, Stacking
from ase_crystalnet.results.faults import FAULT_KINDS
from ase_crystalnet.windows.windower import PreparedSystem

__all__ = ["Faults", "allowed_misfit", "faults_of", "with_stacking"]

Numbers = NDArray[np.int64]

#: Fewest atoms of a layer.
LEAST_LAYER = 10
#: Neighbours beside a plane: up to so many spacings and this high over it; and how many atoms of
#: known stacking (three in a whole crystal) there must be on the emptier side, in the mean.
BESIDE, ROOM, UPWARDS, LEAST_BESIDE = 1.3, 64, 0.4, 1.2
#: Cosine of the largest angle between planes that are parallel.
PARALLEL = 0.96
#: Farthest neighbours across layers, and how far aside they may be, in spacings: two layers up the
#: nearest atom is 0.58 aside.
ACROSS, ASIDE = 2.0, 0.75
#: Layers belong to one fault where this share of the smaller one has the other over it; a layer
#: with a smaller share of the largest one's atoms has no part in the name.
OVER, PART = 0.3, 0.3
#: Distances of planes, in layers, and levels between them.
LEVELS = {1.0: 1, 2.0: 2}
DOUBLE_LEVELS = {0.25: 1, 0.75: 0, 1.0: 1, 1.25: 2, 1.75: 1, 2.0: 2}
#: Names by the layers' places, from 0 on.
_IN_FCC = {(0,): "twin", (0, 1): "intrinsic", (0, 2): "extrinsic"}
_IN_HCP = {(0,): "I1", (0, 1): "I2", (0, 1, 2): "E"}


#: Largest misfit (`stacking.MISFIT`) of atoms that windows call disordered (liquids have 0.10 to
#: 0.15) or anything else that windows about a fault may be called, and of those in crystals of
#: another kind (bcc in fcc's place has 0.05).
MISFIT_DISORDERED, MISFIT_FOREIGN, FOREIGN = 0.095, 0.035, ("bcc", "sc")


@dataclass(frozen=True, eq=False)
class Faults:
    """F faults in a structure of N atoms, largest first.

    Attributes
    ----------
    kind : (F,) int8 array
        Index into `results.FAULT_KINDS`.
    normal : (F, 3) array
        Unit normals; the largest component is positive.
    position : (F, 3) array
        Points of the planes, Angstrom.
    atom_fault : (N,) int32 array
        Fault that each atom is part of; -1 where none.
    """

    kind: NDArray[np.int8]
    normal: Array
    position: Array
    atom_fault: NDArray[np.int32]


def faults_of(prepared: PreparedSystem, stacking: Stacking) -> Faults:
    """Faults that the atoms make which depart from their crystals.

    Parameters
    ----------
    prepared : PreparedSystem
    stacking : Stacking
        Of its atoms; atoms of layers too small to be a fault become unknown, in place.
    """
    atoms = np.flatnonzero(stacking.departs)
    layer, count = _layers(stacking, atoms)
    size = np.bincount(layer, minlength=count)
    # In a small cell a layer of one atom goes on across the faces.
    ends = (stacking.alike[atoms] >= 0).sum(axis=1) < 5
    small = (size < LEAST_LAYER) & (np.bincount(layer, ends, minlength=count) > 0)
    small = small[layer]
    stacking.state[atoms[small]] = 0
    atoms, layer = atoms[~small], layer[~small]
    # Where one goes the next may come to the edge.
    while (outer := _at_an_edge(prepared, stacking, atoms, layer, count)[layer]).any():
        stacking.state[atoms[outer]] = 0
        atoms, layer = atoms[~outer], layer[~outer]
    names, layer = np.unique(layer, return_inverse=True)
    nothing = np.full(len(stacking.state), -1, np.int32)
    if len(atoms) == 0:
        return Faults(np.zeros(0, np.int8), np.zeros((0, 3)), np.zeros((0, 3)), nothing)
    normal = stacking.crystals.normals[stacking.reference[atoms], stacking.plane[atoms]]
    normal = normal * np.where(_upright(normal), 1.0, -1.0)[:, None]
    # Signs as of the first atom of the layer; the largest component may change within one.
    first = np.unique(layer, return_index=True)[1]
    normal *= np.sign(np.einsum("ai,ai->a", normal, normal[first][layer]))[:, None]
    fault, level = _stacks(prepared, stacking, atoms, layer, len(names), normal)
    return _described(prepared, stacking, atoms, fault[layer], level[layer], normal, nothing)


def _upright(normal: Array) -> NDArray[np.bool_]:
    largest = np.abs(normal).argmax(axis=1)
    return np.asarray(normal[np.arange(len(normal)), largest] > 0)


def _layers(stacking: Stacking, atoms: Numbers) -> tuple[Numbers, int]:
    """Layer of each of some atoms, and how many: joined through neighbours in the plane.

    Two atoms are joined where they have a neighbour in common: displacements may bring an atom of
    the next layer near a place in this one, but not its neighbours as well.
    """
    row = np.full(len(stacking.state), -1)
    row[atoms] = np.arange(len(atoms))
    alike = stacking.alike[atoms]
    here, slot = np.nonzero(alike >= 0)
    there = row[alike[here, slot]]
    here, there = here[there >= 0], there[there >= 0]
    shape = (len(atoms), len(atoms))
    graph = coo_matrix((np.ones(len(here), np.int32), (here, there)), shape).tocsr()
    graph.data[:] = 1  # a small cell has an atom twice
    graph = graph.minimum(graph.T)
    graph = graph.multiply(graph @ graph)
    graph.eliminate_zeros()
    count, layer = connected_components(graph, directed=False)
    return np.asarray(layer, np.int64), int(count)


def _at_an_edge(
    prepared: PreparedSystem, stacking: Stacking, atoms: Numbers, layer: Numbers, count: int
) -> NDArray[np.bool_]:
    """Layers that have their crystal on one side only: the edge of a solid towards its melt.

    The first atoms of the melt sit in hollows of the last layer, in either half of them.
    """
    if len(atoms) == 0:
        return np.zeros(count, bool)
    crystals, reference = stacking.crystals, stacking.reference[atoms]
    spacing = crystals.spacing[reference]
    relative, near, _ = prepared.neighbors(prepared.given[atoms], BESIDE * spacing, ROOM)
    normal = crystals.normals[reference, stacking.plane[atoms]]
    up = np.einsum("kri,ki->kr", relative, normal) / spacing[:, None]
    known = (near >= 0) & (stacking.state[near] > 0)
    # Signs of normals differ within a layer; what counts is the emptier side of most atoms.
    sides = [(known & side).sum(axis=1) for side in (up > UPWARDS, up < -UPWARDS)]
    emptier = np.bincount(layer, np.minimum(*sides), minlength=count)
    return emptier < LEAST_BESIDE * np.bincount(layer, minlength=count)


def _stacks(
    prepared: PreparedSystem,
    stacking: Stacking,
    atoms: Numbers,
    layer: Numbers,
    count: int,
    normal: Array,
) -> tuple[Numbers, Numbers]:
    """Fault and place in it of each layer."""
    crystals, reference = stacking.crystals, stacking.reference[atoms]
    spacing = crystals.spacing[reference]
    height = crystals.heights[reference, stacking.plane[atoms]]
    diamond = crystals.diamond[reference]
    reach = ACROSS * float(spacing.max())
    points = prepared.space.wrap(prepared.given[atoms])
    images, source = prepared.space.with_ghosts(points, reach)
    pairs = cKDTree(images).query_pairs(reach, output_type="ndarray")
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    pairs = pairs[pairs[:, 0] < len(atoms)]
    one, other = pairs[:, 0], source[pairs[:, 1]]
    step = images[pairs[:, 1]] - images[one]
    cosine = np.einsum("pi,pi->p", normal[one], normal[other])
    up = np.einsum("pi,pi->p", step, normal[one])
    aside = np.linalg.norm(step - up[:, None] * normal[one], axis=1) / spacing[one]
    near = (np.abs(cosine) > PARALLEL) & (aside < ASIDE) & (layer[one] != layer[other])
    one, other, up = one[near], other[near], (up / height[one])[near]
    size = np.bincount(layer, minlength=count)
    order = np.lexsort((up, layer[other], layer[one]))
    one, other, up = one[order], other[order], up[order]
    links = np.column_stack([layer[one], layer[other]])
    begin = np.flatnonzero(np.append(True, (np.diff(links, axis=0) != 0).any(axis=1)))
    distance = {}
    for start, stop in pairwise([*begin.tolist(), len(up)]):
        if stop == start:
            continue
        first, second = links[start].tolist()
        covered = len(np.unique(one[start:stop]))
        # Planes are parallel: one height for all their atoms, the middle of those sorted.
        apart = _levels_apart(float(up[(start + stop) // 2]), bool(diamond[one[start]]))
        if apart is not None and covered >= OVER * min(size[first], size[second]):
            distance[first, second] = apart
    return _levels(distance, normal, layer, count)


def _levels_apart(height: float, diamond: bool) -> int | None:
    """Levels by which a plane is above another, of their distance in layers; None if too far.

    In diamond a level is a double layer, whose two planes are 3/4 of a layer apart.
    """
    places = DOUBLE_LEVELS if diamond else LEVELS
    nearest = min(places, key=lambda place: abs(place - abs(height)))
    if abs(nearest - abs(height)) > (0.12 if diamond else 0.3):
        return None
    return places[nearest] if height > 0 else -places[nearest]


def _levels(
    distance: dict[tuple[int, int], int], normal: Array, layer: Numbers, count: int
) -> tuple[Numbers, Numbers]:
    """Connected layers, and their places along the normal of the first of them."""
    pairs = np.array(sorted(distance), np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(pairs), bool), pairs.T), (count, count)).tocsr()
    fault = connected_components(graph, directed=False)[1]
    first = np.unique(layer, return_index=True)[1]
    facing = normal[first]
    level = np.zeros(count, np.int64)
    for start in np.unique(fault, return_index=True)[1]:
        order, before = breadth_first_order(graph, start, directed=False)
        for other in order[1:]:
            one = int(before[other])
            step = distance.get((one, int(other)))
            if step is None:  # seen from the other one alone
                step = -distance[int(other), one] * int(np.sign(facing[one] @ facing[other]))
            step *= int(np.sign(facing[one] @ facing[start]))
            level[other] = level[one] + step
    return fault.astype(np.int64), level


def _described(
    prepared: PreparedSystem,
    stacking: Stacking,
    atoms: Numbers,
    fault: Numbers,
    level: Numbers,
    normal: Array,
    nothing: NDArray[np.int32],
) -> Faults:
    size = np.bincount(fault)
    kinds, normals, positions = [], [], []
    for rank, number in enumerate(np.argsort(-size, kind="stable")):
        rows = np.flatnonzero(fault == number)
        nothing[atoms[rows]] = rank
        places, filled = np.unique(level[rows], return_counts=True)
        places = places[filled >= PART * filled.max()]
        names, rest = (_IN_FCC, "hcp lamella")
        if np.median(stacking.state[atoms[rows]]) != HCP:
            names, rest = (_IN_HCP, "fcc lamella")
        kind = names.get(tuple((places - places[0]).tolist()), rest)
        kinds.append(FAULT_KINDS.index(kind))
        # All of one sign before the mean.
        signs = np.sign(normal[rows] @ normal[rows[0]])
        mean = (normal[rows] * signs[:, None]).mean(axis=0, keepdims=True)
        mean *= (np.where(_upright(mean), 1.0, -1.0) / np.linalg.norm(mean, axis=1))[:, None]
        normals.append(mean[0])
        spacing = stacking.crystals.spacing[stacking.reference[atoms[rows[0]]]]
        positions.append(_middle(prepared, prepared.given[atoms[rows]], mean[0], 3 * spacing))
    return Faults(np.array(kinds, np.int8), np.array(normals), np.array(positions), nothing)


def _middle(prepared: PreparedSystem, points: Array, normal: Array, near: float) -> Array:
    """A point of a plane (3,): where its atoms are, as high as those around that place."""
    space = prepared.space
    inverse = np.linalg.inv(space.basis)
    fractional = points @ inverse
    # Means on a circle, which know no faces.
    turns = np.exp(2j * np.pi * fractional).mean(axis=0)
    center = np.where(
        space.pbc & (np.abs(turns) > 0.05),
        np.angle(turns) / (2 * np.pi),
        np.where(space.pbc, fractional[0], fractional.mean(axis=0)),
    )

    def apart(origin: Array) -> Array:
        step = fractional - origin @ inverse
        result: Array = (step - np.where(space.pbc, np.rint(step), 0.0)) @ space.basis
        return result

    start = points[np.linalg.norm(apart(center @ space.basis), axis=1).argmin()]
    step = apart(start)
    around = step[np.linalg.norm(step, axis=1) < near]
    middle = start + (around @ normal).mean() * normal
    result: Array = space.wrap(middle[None], reduced=False)[0]
    return result


def allowed_misfit(
    probabilities: NDArray[np.float32], classes: tuple[str, ...]
) -> NDArray[np.float32]:
    """Misfit (N,) up to which atoms are of a crystal nearby, by what windows say of them.

    Parameters
    ----------
    probabilities : (N, C) float32 array
        Of the C classes; nan where nothing is known.
    classes : tuple of str
    """
    limits = [
        MISFIT if name in STACKED else MISFIT_FOREIGN if name in FOREIGN else MISFIT_DISORDERED
        for name in classes
    ]
    best = np.nan_to_num(probabilities).argmax(axis=1)
    return np.where(
        np.isfinite(probabilities).all(axis=1), np.array(limits)[best], MISFIT_DISORDERED
    ).astype(np.float32)


def with_stacking(
    probabilities: NDArray[np.float32], classes: tuple[str, ...], stacking: Stacking
) -> NDArray[np.float32]:
    """Class probabilities (N, C) of atoms with what their stacking says.

    Atoms of faults, and those that are of a stacking class or of no type by their windows, move to
    the class of their own stacking, as far as that is likely.

    Parameters
    ----------
    probabilities : (N, C) float32 array
        By windows.
    classes : tuple of str
    stacking : Stacking
    """
    result = probabilities.copy()
    kind = np.append(stacking.crystals.diamond, False)[stacking.reference]
    double = np.append(stacking.crystals.double, False)[stacking.reference]
    # A window with a fault in it may look like a crystal of no type; its layers do not.
    stacked = np.array([name in STACKED or name == OTHER for name in classes])
    named = stacked[np.nan_to_num(probabilities).argmax(axis=1)]
    concerned = (stacking.departs | named) & ~double & np.isfinite(probabilities).all(axis=1)
    for state, name in ((FCC, "fcc"), (HCP, "hcp")):
        for diamond in (False, True):
            number = stacking_class(classes, name, diamond)
            rows = np.flatnonzero(concerned & (stacking.state == state) & (kind == diamond))
            if number is None or len(rows) == 0:
                continue
            weight = expit(np.abs(stacking.ratio[rows]))[:, None]
            result[rows] *= 1 - weight
            result[rows, number] += weight[:, 0]
    return result
