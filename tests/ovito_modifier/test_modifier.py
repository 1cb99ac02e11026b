"""The OVITO modifier as a modifier: parameters, output, saving, progress, recomputation."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

from tests.support import REPOSITORY

pytest.importorskip("ovito", reason="OVITO is not installed (pip install '.[ovito]')")

import ovito
from ovito.data import DataCollection
from ovito.io.ase import ase_to_ovito
from ovito.modifiers import PolyhedralTemplateMatchingModifier
from ovito.pipeline import Pipeline, StaticSource
from traits.api import TraitError

import ovito_modifier.modifier as module
from ase_crystalnet import crystals
from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.errors import InputError, ModelError
from ovito_modifier import CrystalNetModifier
from ovito_modifier.steps import in_steps
from ovito_modifier.structures import structure_types
from tests.support.fakes import CLASSES, fake_frame


class FakeNet:
    """Stands where CrystalNet stands: lower half of the cell fcc, upper half disordered."""

    classes = CLASSES

    def __init__(self) -> None:
        self.calls = 0
        self.min_certainty: float | None = None

    def analyze(self, atoms, centers="atoms", spacing=None, progress=None):
        self.calls += 1
        progress(1, 2)
        return fake_frame(atoms, min_certainty=self.min_certainty, centers=centers)


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> FakeNet:
    fake = FakeNet()
    monkeypatch.setattr(module, "_analyzer", lambda model, window_atoms: fake)
    return fake


@pytest.fixture
def data() -> DataCollection:
    atoms = crystals.supercell(crystals.fcc(), 500)
    atoms.positions += 0.1  # nothing on the border between the halves
    return ase_to_ovito(atoms)


def pipeline(data: DataCollection, **parameters) -> tuple[Pipeline, CrystalNetModifier]:
    made = Pipeline(source=StaticSource(data=data))
    modifier = CrystalNetModifier(**parameters)
    made.modifiers.append(modifier)
    return made, modifier


# ---------------------------------------------------------------------- output
def test_shipped_model_in_a_pipeline(data):
    made, _ = pipeline(data)
    out = made.compute()
    assert out.attributes["CrystalNet.counts.FCC"] == 500
    assert (np.asarray(out.particles["Structure Type"]) == 1).all()
    assert np.asarray(out.particles["CrystalNet Certainty"]).min() > 0.9
    assert np.allclose(np.asarray(out.particles["CrystalNet Order"]), 1.0, atol=0.01)


def test_apply_to_data(data):
    data.apply(CrystalNetModifier())
    assert data.attributes["CrystalNet.counts.FCC"] == 500


def test_says_what_the_library_says(data):
    """Every array is the library's, particle by particle."""
    atoms, _ = crystals.random_cluster(crystals.hcp(), 12.0, sigma=0.05, rng=2)
    frame = CrystalNet(min_certainty=0.9).analyze(atoms)
    out = ase_to_ovito(atoms)
    out.apply(CrystalNetModifier(min_certainty=0.9))
    ids = np.array([entry.id for entry in structure_types(frame.classes)] + [0])
    assert np.array_equal(out.particles["Structure Type"], ids[frame.atom_labels])
    assert np.array_equal(out.particles["CrystalNet Probability"], frame.atom_probabilities)
    assert np.array_equal(out.particles["CrystalNet Certainty"], frame.atom_certainty)
    assert np.array_equal(out.particles["CrystalNet Order"], frame.atom_order)
    expected = np.nan_to_num(frame.atom_orientation).astype(np.float32)
    assert np.array_equal(out.particles["Orientation"], expected)
    assert out.attributes["CrystalNet.mean_certainty"] == frame.mean_certainty
    assert out.attributes["CrystalNet.mean_order"] == frame.mean_order
    assert out.attributes["CrystalNet.snapshot_lindemann"] == frame.mean_snapshot_lindemann


def test_attributes_and_tables(net, data):
    data.apply(CrystalNetModifier(min_certainty=0.7))
    labels = np.asarray(data.particles["Structure Type"])
    names = {0: "OTHER", 1: "FCC", 12: "DISORDERED"}
    for number, name in names.items():
        count = int((labels == number).sum())
        assert count > 0
        assert data.attributes[f"CrystalNet.counts.{name}"] == count
        assert data.attributes[f"CrystalNet.fraction.{name}"] == pytest.approx(count / 500)
    bars = data.tables["crystalnet-counts"]
    assert bars.plot_mode == bars.PlotMode.BarChart
    shown = {entry.name: int(bars.y[entry.id]) for entry in bars.x.types}
    assert np.array_equal(bars.x, np.arange(13)) and np.asarray(bars.y).sum() == 500
    assert shown["FCC"] == (labels == 1).sum() and shown["Disordered"] == (labels == 12).sum()
    assert sum(shown.values()) == 500
    histogram = data.tables["crystalnet-certainty"]
    assert histogram.plot_mode == histogram.PlotMode.Histogram
    assert np.asarray(histogram.y).sum() == 500
    certainty = np.asarray(data.particles["CrystalNet Certainty"])
    assert np.asarray(histogram.y)[12] == ((certainty >= 0.6) & (certainty < 0.65)).sum()


def test_ids_names_and_colors_are_those_of_ptm(net, data):
    theirs = {entry.id: entry for entry in PolyhedralTemplateMatchingModifier().structures}
    data.apply(CrystalNetModifier())
    ours = {entry.id: entry for entry in data.particles["Structure Type"].types}
    assert sorted(ours) == [0, 1, 2, 3, 5, 6, 10, 11, 12]
    for number in (0, 1, 2, 3, 5, 6):
        assert np.allclose(ours[number].color, theirs[number].color, atol=1e-6)
    for number in (0, 1, 3, 5, 6):
        assert ours[number].name == theirs[number].name
    assert not set(ours) - {0, 1, 2, 3, 5, 6} & set(theirs)


def test_color_by_type(net, data):
    data.apply(CrystalNetModifier())
    fcc = np.asarray(data.particles["Structure Type"]) == 1
    assert np.allclose(np.asarray(data.particles.colors)[fcc], (0.4, 1.0, 0.4))


def test_color_is_left_alone_if_not_wanted(net, data):
    data.particles_.create_property("Color", data=np.full((500, 3), 0.25))
    data.apply(CrystalNetModifier(color_by_type=False))
    assert (np.asarray(data.particles.colors) == 0.25).all()


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("write_probability", "CrystalNet Probability"),
        ("write_certainty", "CrystalNet Certainty"),
        ("write_order", "CrystalNet Order"),
        ("write_orientation", "Orientation"),
        ("write_lattice", "CrystalNet Strain"),
        ("grain_segmentation", "Correspondences"),
    ],
)
def test_outputs_can_be_chosen(net, data, parameter, name):
    other = data.clone()
    data.apply(CrystalNetModifier(**{parameter: True}))
    other.apply(CrystalNetModifier(**{parameter: False}))
    assert name in data.particles and name not in other.particles


def test_lattice_constants_and_strain():
    """A cell stretched along z by 1 %, cut from the crystal and turned."""
    cell = crystals.fcc(2.5)
    cell.set_cell(cell.cell.array * [1.0, 1.0, 1.01], scale_atoms=True)
    atoms, _ = crystals.random_cluster(cell, 12.0, rng=0)
    for centers in ("atoms", "grid"):
        data = ase_to_ovito(atoms)
        data.apply(CrystalNetModifier(write_lattice=True, centers=centers))
        good = np.asarray(data.particles["Structure Type"]) == 1
        assert good.mean() > 0.95
        constants = np.sort(np.asarray(data.particles["CrystalNet Lattice Constant"])[good], 1)
        a = 2.5 * np.sqrt(2)
        assert np.allclose(constants, [a, a, 1.01 * a], rtol=2e-4)
        strain = np.asarray(data.particles["CrystalNet Strain"])[good]
        # Against the cube of the same volume.
        assert np.allclose(np.sort(strain[:, :3], 1), [-0.0033, -0.0033, 0.0066], atol=3e-4)
        assert np.allclose(strain[:, 3:], 0, atol=3e-4)
        equivalent = np.asarray(data.particles["CrystalNet Von Mises Strain"])[good]
        assert np.allclose(equivalent, 0.0066, atol=4e-4)
        change = np.asarray(data.particles["CrystalNet Volumetric Strain"])[good]
        assert (
            np.abs(change[np.isfinite(change)]).max() < 1e-3 and np.isfinite(change).mean() > 0.95
        )


# ---------------------------------------------------------------------- parameters
@pytest.mark.parametrize(
    "wrong",
    [
        {"centres": "grid"},
        {"centers": "everywhere"},
        {"window_atoms": 63},
        {"window_atoms": 513},
        {"min_certainty": 1.5},
        {"spacing": -1.0},
        {"lindemann_frames": -1},
        {"model": 3},
    ],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(TraitError):
        CrystalNetModifier(**wrong)


def test_errors_come_as_themselves(data):
    with pytest.raises(ModelError, match="'nobody' is unknown"):
        data.apply(CrystalNetModifier(model="nobody"))
    with pytest.raises(InputError, match="lindemann_frames is 1"):
        data.apply(CrystalNetModifier(lindemann_frames=1))


def test_types_can_be_edited_and_switched_off(net, data):
    made, modifier = pipeline(data)
    before = made.compute()
    modifier.type_fcc.color = (1.0, 0.0, 0.0)
    modifier.type_fcc.name = "Austenite"
    out = made.compute()
    fcc = np.asarray(out.particles["Structure Type"]) == 1
    assert (np.asarray(out.particles.colors)[fcc] == (1.0, 0.0, 0.0)).all()
    assert out.particles["Structure Type"].type_by_id(1).name == "Austenite"
    modifier.type_fcc.enabled = False
    out = made.compute()
    assert (np.asarray(out.particles["Structure Type"])[fcc] == 0).all()
    assert out.attributes["CrystalNet.counts.FCC"] == 0
    assert (
        out.attributes["CrystalNet.counts.OTHER"] == before.attributes["CrystalNet.counts.FCC"] > 0
    )
    assert net.calls == 1


def test_classes_of_other_models_get_ids_of_their_own():
    types = structure_types(("fcc", "sigma", "NaCl/B1"))
    assert [entry.id for entry in types] == [1, 21, 22]
    assert [entry.key for entry in types] == ["FCC", "SIGMA", "NACL_B1"]
    assert types[2].component == "NaCl_B1"
    assert types[1].color != types[2].color


# ---------------------------------------------------------------------- saving, discovery
def test_survives_saving_and_loading(net, data, tmp_path: Path):
    made, modifier = pipeline(data, min_certainty=0.7, centers="grid", lindemann_frames=3)
    modifier.type_bcc.enabled = False
    modifier.type_fcc.color = (0.0, 0.0, 0.5)
    expected = made.compute()
    made.add_to_scene()
    try:
        ovito.scene.save(str(tmp_path / "session.ovito"))
        ovito.scene.load(str(tmp_path / "session.ovito"))
        again = ovito.scene.pipelines[0]
        loaded = again.modifiers[0].delegate
        assert isinstance(loaded, CrystalNetModifier) and loaded is not modifier
        assert loaded.min_certainty == 0.7 and loaded.centers == "grid"
        assert loaded.lindemann_frames == 3 and loaded.only_selected is False
        assert loaded.type_bcc.enabled is False
        assert np.allclose(loaded.type_fcc.color, (0.0, 0.0, 0.5))
        out = again.compute()
        for name in ("Structure Type", "Color", "CrystalNet Certainty"):
            assert np.array_equal(out.particles[name], expected.particles[name])
    finally:
        for old in list(ovito.scene.pipelines):
            old.remove_from_scene()


def test_ovito_finds_it_by_its_entry_point():
    found = [entry for entry in entry_points(group="OVITO.Modifier") if entry.name == "CrystalNet"]
    if not found:
        pytest.skip("ase-crystalnet is not installed, only its sources are here")
    assert found[0].load() is CrystalNetModifier


def test_the_library_does_not_need_ovito():
    code = (
        "import sys; sys.modules['ovito'] = None\n"
        "import ase_crystalnet, ase_crystalnet.cli.entry, ase_crystalnet.plotting.trajectory\n"
        "from ase_crystalnet import CrystalNet"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------------- progress, recomputation
def test_computed_once_and_again_only_if_it_must_be(net, data):
    made, modifier = pipeline(data)
    made.compute()
    made.compute()
    assert net.calls == 1
    modifier.color_by_type = False
    modifier.write_order = False
    assert "CrystalNet Order" not in made.compute().particles
    assert net.calls == 1
    before = np.asarray(made.compute().particles["Structure Type"])
    modifier.min_certainty = 0.7
    after = made.compute().particles
    assert net.calls == 1, "only labels depend on the smallest certainty"
    refused = np.asarray(after["CrystalNet Certainty"]) < 0.7
    assert 0 < refused.sum() < len(refused)
    types = np.asarray(after["Structure Type"])
    assert (types[refused] == 0).all() and (types[~refused] == before[~refused]).all()
    modifier.min_certainty = 0.0
    assert np.array_equal(made.compute().particles["Structure Type"], before)
    assert net.calls == 1
    modifier.centers = "grid"
    made.compute()
    assert net.calls == 2


def test_progress_is_yielded(net, data):
    steps = CrystalNetModifier().modify(data, frame=0, input_slots={})
    given = list(steps)
    assert all(isinstance(step, (str, float)) for step in given)
    assert "CrystalNet: analysing windows" in given
    assert data.attributes["CrystalNet.counts.FCC"] > 0


def test_cancelled_work_ends():
    done = []

    def work(progress):
        for number in range(10_000):
            progress(number, 10_000)
            done.append(number)
            ended.wait(0.01)

    import threading

    ended = threading.Event()
    steps = in_steps(work)
    share = next(steps)
    assert 0.0 <= share < 1.0
    steps.close()
    assert len(done) < 10_000
    assert not [thread for thread in threading.enumerate() if thread.name == "CrystalNet"]


def test_work_in_steps_returns_and_raises():
    def result(steps):
        try:
            while True:
                next(steps)
        except StopIteration as stop:
            return stop.value

    assert result(in_steps(lambda progress: 42)) == 42

    def fail(progress):
        raise InputError("no such thing")

    with pytest.raises(InputError, match="no such thing"):
        result(in_steps(fail))


def test_a_cancelled_analysis_is_not_kept(net, data):
    modifier = CrystalNetModifier()
    steps = modifier.modify(data, frame=0, input_slots={})
    next(steps)
    steps.close()
    data.apply(modifier)
    assert data.attributes["CrystalNet.counts.FCC"] > 0


def test_the_example_session_opens(net):
    """It was saved elsewhere: the trajectory is found by its place beside the session."""
    folder = REPOSITORY / "examples" / "ovito"
    ovito.scene.load(str(folder / "melting.ovito"))
    try:
        loaded = ovito.scene.pipelines[0]
        assert isinstance(loaded.modifiers[0].delegate, CrystalNetModifier)
        out = loaded.compute(35)
        assert out.attributes["temperature"] == 1500.0
        assert out.attributes["CrystalNet.counts.FCC"] > 0
    finally:
        for old in list(ovito.scene.pipelines):
            old.remove_from_scene()


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({}, {}),
        ({"reuse": "always"}, {"reuse": True}),
        ({"reuse": "never", "faults": False}, {"reuse": False, "faults": False}),
        ({"names": "symmetry"}, {"names": "symmetry"}),
    ],
)
def test_options_reach_the_analyzer(data, monkeypatch, parameters, wanted):
    asked: list[dict[str, object]] = []

    def analyzer(model: str, window_atoms: int, **options: object) -> FakeNet:
        asked.append(options)
        return FakeNet()

    monkeypatch.setattr(module, "_analyzer", analyzer)
    pipeline(data, **parameters)[0].compute()
    assert asked == [wanted]


@pytest.mark.parametrize(("reuse", "wanted"), [(None, None), (True, True), (False, False)])
def test_taking_over_is_an_option_of_names_as_structures(reuse, wanted):
    made = module._analyzer("", 250, reuse=reuse)
    assert made.of_windows().reuse is wanted
    assert module._analyzer("", 250, names="symmetry").of_windows().reuse is None


def test_a_reference_is_a_type_of_its_own(tmp_path: Path) -> None:
    cell = crystals.fcc()
    cell.write(tmp_path / "matrix.cif")
    atoms = crystals.supercell(cell, 300)
    atoms.positions += np.random.default_rng(1).normal(0, 0.1, (len(atoms), 3))
    pipe, _ = pipeline(ase_to_ovito(atoms), references=str(tmp_path / "matrix.cif"), centers="grid")
    out = pipe.compute()
    kinds = out.particles["Structure Type"]
    matrix = next(kind for kind in kinds.types if kind.name == "matrix")
    assert matrix.id >= 20 and (np.asarray(kinds) == matrix.id).all()
    assert out.attributes["CrystalNet.counts.MATRIX"] == len(atoms)
