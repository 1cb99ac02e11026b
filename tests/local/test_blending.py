"""Weights of the windows that speak for an atom."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet import crystals
from ase_crystalnet.local.blending import window_weights
from ase_crystalnet.windows.windower import Windower


@pytest.mark.filterwarnings("error")
def test_atoms_with_few_windows_near_have_weights_without_overflow(rng):
    """Most atoms have a window of their own, so the width is tiny; the others have two at best."""
    crystal, _ = crystals.random_cluster(crystals.fcc(), 13.0, sigma=0.05, rng=rng)
    grain, _ = crystals.random_cluster(crystals.fcc(), 10.0, sigma=0.05, rng=rng)
    first = len(crystal)
    grain.positions += [60.0, 0.0, 0.0]
    atoms = crystal + grain
    prepared = Windower(workers=1).prepare(atoms)
    own = np.append(np.arange(first), first + np.array([3, 90]))
    weights, windows = window_weights(prepared, atoms.positions[own], own, np.zeros(len(own), bool))
    assert (weights[own, 0] == 1).all() and (windows[own, 0] == np.arange(len(own))).all()
    others = np.setdiff1d(np.arange(len(atoms)), own)
    near = windows[others] >= 0
    assert near.any() and near.sum(axis=1).max() == 2
    assert ((weights[others] >= 0) & (weights[others] <= 1)).all()
    assert (weights[others[near[:, 0]], 0] == 1).all()  # the nearest weighs most
    assert (weights[windows < 0] == 0).all()
