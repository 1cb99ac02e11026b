"""The neighbour-based methods the benchmarks compare with."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ase_crystalnet import crystals
from benchmarks import baselines


@pytest.mark.parametrize("name", ["fcc", "bcc", "hex/rh", "sc", "diam"])
def test_ptm_knows_perfect_crystals(name):
    pytest.importorskip("ovito", reason="needs the extra 'ovito'")
    atoms = crystals.supercell(crystals.unit_cell(name), 300)
    assert baselines.percent_right(baselines.ptm_labels(atoms), name) == 100
    assert baselines.percent_right(baselines.ptm_labels(atoms, None), name) == 100


@pytest.mark.parametrize("name", ["fcc", "bcc", "hex/rh", "diam"])
def test_acna_knows_perfect_crystals(name):
    pytest.importorskip("ovito", reason="needs the extra 'ovito'")
    atoms = crystals.supercell(crystals.unit_cell(name), 300)
    labels = baselines.acna_labels(atoms, diamond=name == "diam")
    assert baselines.percent_right(labels, name) == 100


def test_free_faces_and_no_cell():
    pytest.importorskip("ovito", reason="needs the extra 'ovito'")
    slab = crystals.fcc().repeat((5, 5, 4))
    slab.pbc = [True, True, False]
    inner = (slab.positions[:, 2] > 0.1) & (slab.positions[:, 2] < slab.positions[:, 2].max() - 0.1)
    for labels in (baselines.ptm_labels(slab), baselines.acna_labels(slab)):
        assert ((labels == baselines.CLASSES.index("fcc")) == inner).all()
    cluster, _ = crystals.random_cluster(crystals.fcc(), 12.0)
    assert 40 < baselines.percent_right(baselines.ptm_labels(cluster), "fcc") < 60


def test_the_cutoff_decides_about_noise():
    pytest.importorskip("ovito", reason="needs the extra 'ovito'")
    atoms = crystals.supercell(crystals.fcc(), 2000, sigma=0.10)
    assert baselines.percent_right(baselines.ptm_labels(atoms), "fcc") < 2
    assert baselines.percent_right(baselines.ptm_labels(atoms, None), "fcc") > 80


def test_without_ovito_a_clear_message(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ovito", None)
    monkeypatch.setattr(sys, "argv", ["baselines", "--atoms", "100"])
    assert baselines.main() == 1
    assert "pip install '.[ovito]'" in capsys.readouterr().err
    with pytest.raises(baselines.MissingOvitoError):
        baselines.acna_labels(crystals.fcc())
    assert np.allclose(baselines.percent_right(np.array([4, 4, 7, 0]), "fcc"), 50)
