"""The OVITO modifier of crystals: grains, colours, tables, attributes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ovito", reason="OVITO is not installed (pip install '.[ovito]')")

from ase import Atoms
from ase.io import write
from ovito.io.ase import ase_to_ovito
from ovito.modifiers import ExpressionSelectionModifier
from ovito.pipeline import Pipeline, StaticSource
from traits.api import TraitError

from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains import find_crystals
from ase_crystalnet.grains.colors import grain_color
from ovito_modifier import CrystalNetCrystalsModifier
from tests.grains.conftest import cubic


@pytest.fixture(scope="module")
def grown() -> Atoms:
    return crystals.polycrystal(crystals.fcc(), 5000, 3, sigma=0.05, rng=5)[0]


@pytest.fixture(scope="module")
def data(grown):
    pipeline = Pipeline(source=StaticSource(data=ase_to_ovito(grown)))
    pipeline.modifiers.append(CrystalNetCrystalsModifier())
    return pipeline.compute()


def test_grains_are_those_of_the_package(grown, data):
    found = find_crystals(grown)
    grains = np.asarray(data.particles["CrystalNet Grain"])
    assert np.array_equal(grains, found.grains)
    groups = np.asarray(data.particles["CrystalNet Space Group"])
    assert set(groups[grains > 0]) == {225} and set(groups[grains == 0]) == {0}
    assert data.attributes["CrystalNet.grains.count"] == len(found) == 3
    assert data.attributes["CrystalNet.grains.fraction"] == pytest.approx((grains > 0).mean())
    assert data.attributes["CrystalNet.grains.largest"] == len(found[0].atoms)


def test_colours_are_of_grains(data):
    grains, colors = (np.asarray(data.particles[k]) for k in ("CrystalNet Grain", "Color"))
    for number in range(4):
        assert np.abs(colors[grains == number] - grain_color(number)).max() < 1e-6
    names = [each.name for each in data.particles["CrystalNet Grain"].types]
    assert names[0] == "no grain" and names[1] == "1: A1 (fcc)"


def test_the_table_of_grains(grown, data):
    found = find_crystals(grown)
    table = data.tables["crystalnet-grains"]
    assert table.title == "Grains"
    assert np.asarray(table["Grain"]).tolist() == [1, 2, 3]
    assert np.asarray(table["Particles"]).tolist() == [len(one.atoms) for one in found]
    assert [each.name for each in table["Space Group"].types] == ["Fm-3m (225)"]
    assert np.allclose(table["Cell"][0], found[0].cell_parameters)
    assert np.allclose(table["Orientation"][1], found[1].orientation)
    assert np.isnan(table["Order"]).all()
    strain = np.asarray(table["Strain"])
    assert strain.shape == (3, 6) and np.abs(strain).max() < 0.01
    assert np.allclose(strain[0, 3], found.relative_strains[0][0, 1])


def test_orientation_and_strain_of_particles(data):
    grains = np.asarray(data.particles["CrystalNet Grain"])
    table = data.tables["crystalnet-grains"]
    quaternions = np.asarray(data.particles["Orientation"])
    assert np.allclose(quaternions[grains == 2], table["Orientation"][1], atol=1e-6)
    assert not quaternions[grains == 0].any()
    strain = np.asarray(data.particles["CrystalNet Grain Strain"])
    assert np.allclose(strain[grains == 3], table["Strain"][2], atol=1e-6)
    assert np.isnan(strain[grains == 0]).all()


def test_references_and_order(tmp_path):
    salt = cubic(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], 225, 5.64)
    write(tmp_path / "halite.cif", salt)
    atoms = crystals.random_cluster(salt, 18.0, sigma=0.05, rng=np.random.default_rng(0))[0]
    pipeline = Pipeline(source=StaticSource(data=ase_to_ovito(atoms)))
    pipeline.modifiers.append(
        CrystalNetCrystalsModifier(references=f"{tmp_path / 'halite.cif'}; ", color_by_grain=False)
    )
    found = pipeline.compute()
    table = found.tables["crystalnet-grains"]
    assert [each.name for each in table["Crystal"].types] == ["halite"]
    assert table["Order"][0][0] == pytest.approx(1.0, abs=0.02)
    assert "Color" not in found.particles


def test_only_selected_particles(grown):
    pipeline = Pipeline(source=StaticSource(data=ase_to_ovito(grown)))
    pipeline.modifiers.append(ExpressionSelectionModifier(expression="Position.X < 15"))
    pipeline.modifiers.append(CrystalNetCrystalsModifier(only_selected=True))
    found = pipeline.compute()
    grains = np.asarray(found.particles["CrystalNet Grain"])
    chosen = np.asarray(found.particles.selection) == 1
    assert (grains[~chosen] == 0).all() and (grains[chosen] > 0).any()


def test_what_is_no_crystal_has_an_empty_table():
    atoms = crystals.random_packing(900, density=1.1, rng=np.random.default_rng(0))
    pipeline = Pipeline(source=StaticSource(data=ase_to_ovito(atoms)))
    pipeline.modifiers.append(CrystalNetCrystalsModifier())
    found = pipeline.compute()
    assert not np.asarray(found.particles["CrystalNet Grain"]).any()
    assert found.attributes["CrystalNet.grains.count"] == 0
    assert found.tables["crystalnet-grains"].count == 0


def test_only_what_is_computed_is_computed_again(grown, monkeypatch):
    import ovito_modifier.crystals as module

    calls = []

    def counted(*given, **options):
        calls.append(1)
        return find_crystals(*given, **options)

    monkeypatch.setattr(module, "find_crystals", counted)
    modifier = CrystalNetCrystalsModifier()
    pipeline = Pipeline(source=StaticSource(data=ase_to_ovito(grown)))
    pipeline.modifiers.append(modifier)
    pipeline.compute()
    modifier.color_by_grain = False
    pipeline.compute()
    assert len(calls) == 1
    modifier.least_atoms = 100
    pipeline.compute()
    assert len(calls) == 2


def test_parameters_are_checked(grown):
    for wrong in ({"least_atoms": 3}, {"elastic_strain": 2.0}, {"colour": True}):
        with pytest.raises(TraitError):
            CrystalNetCrystalsModifier(**wrong)
    with pytest.raises((InputError, RuntimeError, FileNotFoundError), match="no_such"):
        ase_to_ovito(grown).apply(CrystalNetCrystalsModifier(references="no_such.cif"))
