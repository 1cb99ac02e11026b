"""Reconstructions with a known answer, from ions to classes, with the shipped model."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from ase_crystalnet.atom_probe.analysis import AtomProbeOptions, analyze_windows, classify_windows
from ase_crystalnet.atom_probe.classes.classifier import AtomProbeClassifier
from ase_crystalnet.atom_probe.files.reconstruction import Reconstruction, read_reconstruction
from ase_crystalnet.atom_probe.windows import IonWindower


def analyzed(ions, **windower):
    windows = IonWindower(**windower).prepare(ions)
    found = analyze_windows(windows, AtomProbeOptions())
    return classify_windows(found, windows, AtomProbeClassifier())


@pytest.mark.slow
def test_half_of_an_aluminium_crystal_is_fcc_with_its_planes(rng):
    atoms = bulk("Al", cubic=True).repeat((14, 14, 14))
    points = atoms.positions[rng.random(len(atoms)) < 0.5]
    points = (points + rng.normal(size=points.shape) * [0.35, 0.35, 0.15]).astype(np.float32)
    count = len(points)
    ions = Reconstruction(points, np.full(count, 27, np.float32), np.full(count, -1, np.int16))
    found = analyzed(ions, window_ions=800)
    assert found.rank_shares["lattice"] > 0.9
    # Of the windows that are given a class at all, all are given the right one.
    assert set(found.class_counts) <= {"fcc", "refused"} and found.class_counts["fcc"] > 0
    spacings = np.array([pole.spacing for pole in found.poles])
    normals = np.abs([pole.normal for pole in found.poles])
    densest = np.abs(spacings - 2.338) < 0.02
    assert densest.sum() == 4  # the four {111}
    np.testing.assert_allclose(normals[densest], 1 / np.sqrt(3), atol=0.02)


@pytest.mark.slow
def test_silicon_is_not_called_diamond(data_dir):
    ions = read_reconstruction(data_dir / "apt" / "Si.pos", data_dir / "apt" / "Si.RRNG")
    slab = ions.take((ions.positions[:, 2] < -390) & (ions.positions[:, 2] > -440))
    found = analyzed(slab)
    assert len(found) > 150
    # At a rate of 1 % a window; windows overlap, so the number scatters more than independently.
    assert found.rank_shares["nothing"] > 0.96
    assert found.rank_shares["lattice"] == 0.0 and found.class_counts == {}
    assert found.poles == ()
