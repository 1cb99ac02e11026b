"""Crystals that only their twins lead to: the tetrahedra of icosahedra."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.cluster import Icosahedron
from ase.neighborlist import neighbor_list

from ase_crystalnet import CrystalNet


def stacked(atoms: Atoms) -> np.ndarray:
    """2 for atoms with twelve neighbours in six opposite pairs, 1 with three such pairs, else 0."""
    result = np.zeros(len(atoms), int)
    center, vector = neighbor_list("iD", atoms, 3.1)
    for i in range(len(atoms)):
        near = vector[center == i]
        if len(near) == 12:
            sums = np.linalg.norm(near[:, None] + near[None, :], axis=2)
            opposite = (sums.min(axis=1) < 0.7).sum() // 2
            result[i] = {6: 2, 3: 1}.get(opposite, 0)
    return result


@pytest.mark.parametrize(("sigma", "least"), [(0.0, 0.95), (0.08, 0.90)])
def test_every_tetrahedron_of_an_icosahedron_is_seen(
    net: CrystalNet, sigma: float, least: float
) -> None:
    particle = Icosahedron("Cu", 9, latticeconstant=3.61)
    truth = stacked(particle)
    truth[np.linalg.norm(particle.positions - particle.positions.mean(axis=0), axis=1).argmin()] = 0
    assert (truth == 2).sum() == 20 * 35 and (truth == 1).sum() == 30 * 21  # faces of tetrahedra
    rng = np.random.default_rng(1)
    particle.positions += rng.normal(scale=sigma * 2.55, size=particle.positions.shape)
    frame = net.analyze(particle)
    names = np.array(frame.classes)[frame.atom_labels]
    right = np.where(truth == 2, names == "fcc", names == "hcp")[truth > 0]
    assert right.mean() >= least
    assert (frame.fault_kind >= 0).sum() >= 25, "thirty twin planes meet in an icosahedron"
