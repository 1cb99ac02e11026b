"""Peculiarities of OVITO that have caught modifiers before: one test each."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("ovito", reason="OVITO is not installed (pip install '.[ovito]')")

from ase import Atoms
from ovito.data import DataCollection
from ovito.io.ase import ase_to_ovito
from ovito.modifiers import CommonNeighborAnalysisModifier, PolyhedralTemplateMatchingModifier

import ovito_modifier.modifier as module
from ase_crystalnet import crystals
from ovito_modifier import CrystalNetModifier
from ovito_modifier.convert import to_atoms
from tests.support.fakes import CLASSES, fake_frame

OURS = [0, 1, 2, 3, 5, 6, 10, 11, 12]


class FakeNet:
    classes = CLASSES
    min_certainty = None

    def analyze(self, atoms, centers="atoms", spacing=None, progress=None):
        return fake_frame(atoms)


@pytest.fixture(autouse=True)
def net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_analyzer", lambda model, window_atoms: FakeNet())


@pytest.fixture
def atoms() -> Atoms:
    atoms = crystals.supercell(crystals.fcc(), 500)
    atoms.positions += 0.1
    return atoms


@pytest.fixture
def data(atoms: Atoms) -> DataCollection:
    return ase_to_ovito(atoms)


def types(data: DataCollection) -> list[int]:
    return [entry.id for entry in data.particles["Structure Type"].types]


def test_upstream_types_do_not_stay(data):
    data.apply(PolyhedralTemplateMatchingModifier())
    assert len(types(data)) > 4
    data.apply(CrystalNetModifier())
    assert types(data) == OURS


def test_upstream_tables_are_left_alone(data):
    data.apply(PolyhedralTemplateMatchingModifier())
    before = {key: np.array(data.tables["structures"][key]) for key in data.tables["structures"]}
    data.apply(CrystalNetModifier())
    after = data.tables["structures"]
    assert all(np.array_equal(after[key], values) for key, values in before.items())
    assert data.tables["crystalnet-counts"].title == "CrystalNet: structure counts"


def test_upstream_correspondences_do_not_stay(data):
    """They belong to PTM's types; the grain segmentation would read them with ours."""
    data.apply(PolyhedralTemplateMatchingModifier(output_orientation=True))
    assert "Correspondences" in data.particles
    data.apply(CrystalNetModifier())
    assert "Correspondences" not in data.particles


def test_downstream_methods_may_overwrite(data):
    data.apply(CrystalNetModifier())
    data.apply(CommonNeighborAnalysisModifier())
    assert data.attributes["CommonNeighborAnalysis.counts.FCC"] == 500
    assert data.attributes["CrystalNet.counts.FCC"] < 500


def test_twice_in_a_pipeline(data):
    data.apply(CrystalNetModifier())
    data.apply(CrystalNetModifier())
    assert types(data) == OURS
    table = data.tables["crystalnet-counts"]
    assert list(table.x) == list(range(13))
    assert [entry.id for entry in table.x.types] == OURS
    assert len([key for key in data.tables if key.startswith("crystalnet")]) == 3


@pytest.mark.parametrize(
    "name",
    ["CrystalNet Probability", "CrystalNet Certainty", "CrystalNet Strain", "Correspondences"],
)
def test_properties_of_another_shape_are_replaced(data, name):
    data.particles_.create_property(name, data=np.ones((500, 2), dtype=np.int32))
    data.apply(CrystalNetModifier(write_lattice=True, grain_segmentation=True))
    found = data.particles[name]
    expected = {"CrystalNet Probability": 8, "CrystalNet Strain": 6}.get(name, 1)
    assert found.component_count == expected


def test_component_names_are_legal(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.apply(CrystalNetModifier(write_lattice=True))
    names = data.particles["CrystalNet Probability"].component_names
    assert list(names) == [name.replace("/", "_") for name in CLASSES]
    for prop in data.particles.values():
        assert not set("/.") & set(prop.name + "".join(prop.component_names))


def test_types_of_data_are_those_ovito_takes(data):
    data.apply(CrystalNetModifier(write_lattice=True, grain_segmentation=True))
    kinds = {name: prop.dtype for name, prop in data.particles.items()}
    assert kinds["Structure Type"] == np.int32
    assert kinds["CrystalNet Probability"] == np.float32
    # Read as 64 bits by the grain segmentation, while integers are 32 bits by default.
    assert kinds["Correspondences"] == np.int64


def test_large_identifiers_are_kept(data, atoms):
    large = np.arange(500, dtype=np.int64)[::-1] + 2**40
    data.particles_.create_property("Particle Identifier", data=large)
    assert np.array_equal(to_atoms(data).arrays["id"], large)


def test_attributes_are_plain_numbers(data):
    data.apply(CrystalNetModifier())
    ours = {key: value for key, value in data.attributes.items() if key.startswith("CrystalNet.")}
    assert len(ours) == 31
    assert all(type(value) in (int, float) for value in ours.values())


def test_parameters_stay_editable_after_a_computation(data):
    """What is put into the data has two owners and is frozen."""
    modifier = CrystalNetModifier()
    data.apply(modifier)
    modifier.type_fcc.name = "Austenite"
    modifier.type_other.color = (0.0, 0.0, 0.0)
    data.apply(modifier)
    assert data.particles["Structure Type"].type_by_id(1).name == "Austenite"


def test_data_of_the_source_is_not_changed(data):
    from ovito.pipeline import Pipeline, StaticSource

    pipeline = Pipeline(source=StaticSource(data=data))
    pipeline.modifiers.append(CrystalNetModifier())
    pipeline.compute()
    assert "Structure Type" not in data.particles and not data.tables


def test_only_types_that_occur_are_listed_if_asked_for(data):
    data.apply(CrystalNetModifier(only_present_types=True))
    values = np.asarray(data.particles["Structure Type"])
    assert types(data) == sorted(set(values.tolist())) == [1, 12]
    table = data.tables["crystalnet-counts"]
    assert [entry.id for entry in table.x.types] == [1, 12]
    assert int(table.y[1]) == (values == 1).sum() and int(table.y[12]) == (values == 12).sum()
    # Types that PTM does not know become Other, which then occurs.
    again = CrystalNetModifier(only_present_types=True, grain_segmentation=True)
    data.apply(again)
    assert types(data) == [0, 1]


def test_nothing_to_list(data):
    data.particles_.create_property("Selection", data=np.zeros(data.particles.count, int))
    data.apply(CrystalNetModifier(only_present_types=True, only_selected=True))
    assert types(data) == [0]


def test_every_parameter_has_its_group_and_its_words():
    parameters = CrystalNetModifier.class_editable_traits()
    ours = [name for name in parameters if not name.startswith(("type_", "_"))]
    seen = set()
    for name in ours:
        trait = CrystalNetModifier.class_traits()[name]
        if trait.label is None:
            continue  # OVITO's own
        assert trait.ovito_group in ("Analysis", "Output") and trait.desc, name
        seen.add(name)
    assert {"model", "centers", "min_certainty", "write_order"} <= seen
    assert "structure" in CrystalNetModifier.class_traits()["model"].desc
