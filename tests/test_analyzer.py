"""`CrystalNet`: centres, refusal, interpolation, interfaces, and its life as an ASE calculator."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.io import read, write
from ase.md.verlet import VelocityVerlet

from ase_crystalnet import crystals
from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.classes import STRUCTURES
from ase_crystalnet.errors import InputError, SparseWindowError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.lattice.orientation import misorientation
from ase_crystalnet.local.blending import blend, window_weights
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.windows.windower import SparseWindowWarning

SPACING = 2.5
FCC, BCC, DISORDERED = (STRUCTURES.index(name) for name in ("fcc", "bcc", "disordered"))


def variant(net: CrystalNet, **options: object) -> CrystalNet:
    """Another analyzer on the same weights, without reading them again."""
    other = CrystalNet(net.classifier.card.folder, **options)
    other.classifier = net.classifier
    return other


@pytest.fixture(scope="module")
def hot_fcc() -> Atoms:
    """Periodic fcc, 500 atoms, sigma 0.06."""
    return crystals.supercell(crystals.fcc(), 500, sigma=0.06, rng=1)


@pytest.fixture(scope="module")
def hot_frame(net: CrystalNet, hot_fcc: Atoms) -> FrameAnalysis:
    return net.analyze(hot_fcc)


def halves(seed: int = 0, sigma: float = 0.06) -> Atoms:
    """Fcc below z = L, a packing of the same density above, both 8 cells wide; periodic."""
    rng = np.random.default_rng(seed)
    crystal = crystals.supercell(crystals.fcc(), 8**3 * 4, sigma=sigma, rng=rng)
    edge = crystal.cell.lengths()[0]
    packing = crystals.random_packing(len(crystal), density=1.25, rng=rng)
    packing = packing[np.arange(len(packing))]
    packing.positions *= edge / packing.cell.lengths()[0]
    # Atoms of the packing that overlap the crystal's first and last layer are left out.
    packing = packing[(packing.positions[:, 2] > 1.0) & (packing.positions[:, 2] < edge - 2.0)]
    packing.positions[:, 2] += edge
    both = crystal + packing
    both.set_cell([edge, edge, 2 * edge])
    return both


# ---------------------------------------------------------------- centres
def test_every_atom_of_a_crystal(hot_fcc, hot_frame):
    frame = hot_frame
    count = len(hot_fcc)
    assert frame.classes[FCC] == "fcc"
    assert (frame.labels == FCC).all()
    assert (frame.atom_labels == frame.labels).all()
    assert frame.class_fractions[FCC] == 1
    np.testing.assert_array_equal(frame.center_indices, np.arange(count))
    np.testing.assert_array_equal(frame.centers, hot_fcc.positions)
    # Layers of atoms make their own windows' answer surer, where it is theirs.
    assert (frame.atom_probabilities[:, FCC] >= frame.probabilities[:, FCC]).all()
    np.testing.assert_allclose(frame.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(frame.certainty, frame.probabilities.max(axis=1))
    assert (frame.rank == 3).all()
    assert ((frame.order > 0.3) & (frame.order <= 1)).all()
    volume = np.abs(np.linalg.det(frame.lattice))
    np.testing.assert_allclose(volume, hot_fcc.get_volume() / count, rtol=0.03)
    np.testing.assert_allclose(np.linalg.norm(frame.orientation, axis=1), 1)
    assert np.median(frame.snapshot_lindemann) == pytest.approx(0.06 * np.sqrt(3), rel=0.15)
    assert frame.lindemann is None
    assert "fcc" in repr(frame)


def test_centres_of_every_kind_agree(net, hot_fcc, hot_frame):
    chosen = np.array([3, 77, 402])
    mask = np.zeros(len(hot_fcc), bool)
    mask[chosen] = True
    for centers in (chosen, chosen.tolist(), chosen - len(hot_fcc), mask):
        frame = net.analyze(hot_fcc, centers=centers)
        np.testing.assert_array_equal(frame.center_indices, chosen)
        np.testing.assert_allclose(frame.probabilities, hot_frame.probabilities[chosen], atol=1e-4)
    points = net.analyze(hot_fcc, centers=hot_fcc.positions[chosen])
    assert (points.center_indices == -1).all()
    np.testing.assert_allclose(points.probabilities, hot_frame.probabilities[chosen], atol=1e-4)


def test_no_centres_at_all(net, hot_fcc):
    frame = net.analyze(hot_fcc, centers=[])
    assert frame.number_of_windows == 0
    assert (frame.atom_labels == -1).all()
    assert frame.refused_fraction == 1


def test_progress_reaches_the_end(net, hot_fcc):
    seen: list[tuple[int, int]] = []
    small = variant(net, batch_size=16, divide=False)
    small.analyze(hot_fcc, centers=np.arange(40), progress=lambda *n: seen.append(n))
    assert seen == [(16, 40), (32, 40), (40, 40)]


def test_batches_do_not_matter(net, hot_fcc, hot_frame):
    frame = variant(net, batch_size=7).analyze(hot_fcc, centers=np.arange(20))
    np.testing.assert_allclose(frame.probabilities, hot_frame.probabilities[:20], atol=1e-4)


def test_atoms_are_not_changed(net, hot_fcc):
    copy = hot_fcc.copy()
    net.analyze(copy, centers=[0])
    assert copy == hot_fcc
    assert copy.arrays.keys() == hot_fcc.arrays.keys()
    assert copy.info == hot_fcc.info


# ---------------------------------------------------------------- from windows to atoms
def test_grid_speaks_for_the_atoms(net, hot_fcc):
    net = variant(net, faults=False)
    frame = net.analyze(hot_fcc, centers="grid")
    assert 0 < frame.number_of_windows < len(hot_fcc) / 2
    assert (frame.center_indices == -1).all()
    assert (frame.atom_labels == FCC).all()
    np.testing.assert_allclose(frame.atom_probabilities.sum(axis=1), 1, atol=1e-5)
    low, high = frame.probabilities.min(axis=0), frame.probabilities.max(axis=0)
    assert (frame.atom_probabilities >= low - 1e-6).all()
    assert (frame.atom_probabilities <= high + 1e-6).all()
    assert np.isfinite(frame.atom_order).all()
    np.testing.assert_allclose(np.linalg.norm(frame.atom_orientation, axis=1), 1)
    coarse = net.analyze(hot_fcc, centers="grid", spacing=9.0)
    assert coarse.number_of_windows < frame.number_of_windows


def test_atoms_out_of_reach_of_every_window_know_nothing(net, hot_fcc):
    net = variant(net, faults=False)
    frame = net.analyze(hot_fcc, centers=[0, 7])
    distance = hot_fcc.get_distances(0, np.arange(len(hot_fcc)), mic=True)
    other = hot_fcc.get_distances(7, np.arange(len(hot_fcc)), mic=True)
    nearest = np.minimum(distance, other)
    known = frame.atom_labels >= 0
    assert known[nearest < 0.7 * frame.radius[0]].all()
    assert not known[nearest > 0.8 * frame.radius[0]].any()
    assert np.isnan(frame.atom_probabilities[~known]).all()
    assert np.isnan(frame.atom_certainty[~known]).all()
    assert np.isnan(frame.atom_order[~known]).all()
    assert np.isnan(frame.atom_orientation[~known]).all()
    np.testing.assert_array_equal(frame.atom_probabilities[[0, 7]], frame.probabilities)


def test_atoms_get_the_weighted_mean_of_their_windows():
    values = np.array([[1.0, 0.0], [0.0, 1.0], [np.nan, np.nan]])
    weights = np.array([[3.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    windows = np.array([[0, 1], [1, 2], [-1, -1]])
    mean = blend(values, weights, windows)
    np.testing.assert_allclose(mean[:2], [[0.75, 0.25], [0.0, 1.0]])
    assert np.isnan(mean[2]).all()


def test_nearer_windows_weigh_more(net, hot_fcc):
    near, far = hot_fcc.positions[0] + [0.5, 0, 0], hot_fcc.positions[0] + [0, 3.0, 0]
    prepared = net.of_windows().windower.prepare(hot_fcc)
    none = np.full(2, -1)
    weights, windows = window_weights(prepared, np.array([near, far]), none, none == 0)
    first = dict(zip(windows[0].tolist(), weights[0].tolist(), strict=True))
    assert first[0] > first[1] > 0
    # A sparse window speaks for nobody.
    _, windows = window_weights(prepared, np.array([near, far]), none, np.array([True, False]))
    assert 0 not in windows


def test_grid_tells_two_phases_apart(net):
    both = halves()
    frame = net.analyze(both, centers="grid")
    edge = both.cell.lengths()[2] / 2
    depth = np.minimum(both.positions[:, 2] % edge, edge - both.positions[:, 2] % edge)
    deep = depth > 0.3 * edge
    truth = np.where(both.positions[:, 2] < edge, FCC, DISORDERED)
    assert (frame.atom_labels == truth)[deep].mean() > 0.97


def test_adaptive_windows_are_those_of_the_grid_in_the_bulk(net, hot_fcc):
    grid = net.analyze(hot_fcc, centers="grid")
    seen: list[tuple[int, int]] = []
    frame = net.analyze(hot_fcc, centers="adaptive", progress=lambda *n: seen.append(n))
    assert frame.number_of_windows == grid.number_of_windows
    np.testing.assert_array_equal(frame.atom_probabilities, grid.atom_probabilities)
    assert seen[-1][0] == seen[-1][1] == frame.number_of_windows


def test_adaptive_windows_lie_where_two_phases_meet(net):
    both = halves()
    wanted = net.analyze(both)
    seen: list[tuple[int, int]] = []
    frame = net.analyze(both, centers="adaptive", progress=lambda *n: seen.append(n))
    own = frame.center_indices[frame.center_indices >= 0]
    assert 0 < len(own) < 0.7 * len(both)
    assert len(np.unique(own)) == len(own)
    # An atom with a window of its own has what a window at every atom would have given it.
    np.testing.assert_allclose(
        frame.atom_probabilities[own], wanted.atom_probabilities[own], atol=1e-3
    )
    grid = net.analyze(both, centers="grid")
    agree = (frame.atom_labels == wanted.atom_labels).mean()
    assert agree > (grid.atom_labels == wanted.atom_labels).mean()
    assert agree > 0.99
    assert all(done <= total for done, total in seen)
    assert [n for n, _ in seen] == sorted(n for n, _ in seen)


def test_adaptive_windows_take_a_spacing(net, hot_fcc):
    fine = net.analyze(hot_fcc, centers="adaptive", spacing=4.0)
    assert fine.number_of_windows > net.analyze(hot_fcc, centers="adaptive").number_of_windows


# ---------------------------------------------------------------- refusal
def test_labels_below_the_threshold_are_refused(net):
    atoms = crystals.supercell(crystals.bct139(1.2), 400, sigma=0.17, rng=3)
    chosen = np.arange(0, len(atoms), 5)
    free = net.analyze(atoms, centers=chosen)
    threshold = float(np.median(free.certainty))
    careful = variant(net, min_certainty=threshold).analyze(atoms, centers=chosen)
    np.testing.assert_allclose(careful.probabilities, free.probabilities, atol=1e-6)
    refused = careful.certainty < threshold
    assert 0 < refused.sum() < len(chosen)
    assert (careful.labels[refused] == -1).all()
    assert (careful.labels[~refused] == free.labels[~refused]).all()
    assert (free.labels >= 0).all()
    assert careful.min_certainty == threshold
    assert careful.refused_fraction > 0


def test_nothing_but_labels_depends_on_the_threshold(net):
    """A refused window that is mostly disordered has no displacement, refused or not."""
    layers = crystals.supercell(crystals.fcc(), 800, sigma=0.05, rng=3)
    packing = crystals.random_packing(len(layers), density=1.25, rng=1)
    packing.positions += [0, 0, layers.positions[:, 2].max() + 2]
    atoms = Atoms(positions=np.vstack([layers.positions, packing.positions]))
    chosen = np.arange(0, len(atoms), 7)
    free = net.analyze(atoms, centers=chosen)
    strict = variant(net, min_certainty=0.999).analyze(atoms, centers=chosen)
    refused = (strict.labels < 0) & ~strict.sparse
    disordered = free.classes.index("disordered")
    assert (free.labels[refused] == disordered).any(), "no refused window is mostly disordered"
    for name in FrameAnalysis.quantities():
        if name not in ("labels", "atom_labels", "lindemann"):
            np.testing.assert_array_equal(getattr(strict, name), getattr(free, name), name)
    again = free.with_min_certainty(0.999)
    assert np.array_equal(again.labels, strict.labels) and again.min_certainty == 0.999
    assert np.array_equal(again.atom_labels, strict.atom_labels)
    assert np.array_equal(again.with_min_certainty(None).labels, free.labels)
    with pytest.raises(InputError, match="between 0 and 1"):
        free.with_min_certainty(1.5)


def with_stray_atoms(atoms: Atoms) -> Atoms:
    """Open boundaries, and three atoms far away from all others."""
    atoms = atoms.copy()
    atoms.pbc = False
    return atoms + Atoms("Cu3", [[200, 0, 0], [202.5, 0, 0], [0, 300, 0]])


def test_sparse_windows_say_nothing(net, hot_fcc):
    atoms = with_stray_atoms(hot_fcc)
    frame = net.analyze(atoms, centers=[0, 250, -3, -2, -1])
    np.testing.assert_array_equal(frame.sparse[-3:], True)
    assert not frame.sparse[1]
    stray = slice(-3, None)
    assert (frame.labels[stray] == -1).all()
    assert np.isnan(frame.probabilities[stray]).all()
    assert np.isnan(frame.certainty[stray]).all()
    assert np.isnan(frame.order[stray]).all()
    assert np.isnan(frame.lattice[stray]).all()
    assert np.isnan(frame.orientation[stray]).all()
    assert (frame.rank[stray] == 0).all()
    assert (frame.atom_labels[stray] == -1).all()
    assert frame.labels[1] == FCC
    # Refused atoms do not spoil the means of the others.
    assert np.isfinite([frame.mean_certainty, frame.mean_order]).all()


def test_sparse_windows_warn_or_raise_if_asked(net, hot_fcc):
    atoms = with_stray_atoms(hot_fcc)
    with pytest.raises(SparseWindowError, match="holds 1 atoms") as caught:
        variant(net, on_sparse="raise").analyze(atoms, centers=[250, -1])
    assert "\n" not in str(caught.value)
    with pytest.warns(SparseWindowWarning, match="1 of 2 windows"):
        variant(net, on_sparse="warn").analyze(atoms, centers=[250, -1])
    with warnings.catch_warnings():
        warnings.simplefilter("error", SparseWindowWarning)
        net.analyze(atoms, centers=[250, -1])


def test_a_molecule_is_refused_not_guessed(net):
    frame = net.analyze(Atoms("CO", [[0, 0, 0], [1.1, 0, 0]]))
    assert (frame.labels == -1).all()
    assert frame.sparse.all()
    assert net.analyze(Atoms("H")).sparse.all()


# ---------------------------------------------------------------- parameters
def test_form_factors(local_net, hot_fcc):
    net = local_net
    hot_frame = net.analyze(hot_fcc, centers=np.arange(30))
    alloy = hot_fcc.copy()
    alloy.numbers[::2] = 79
    weighted = variant(net, species="form-factor")
    frame = weighted.analyze(alloy, centers=np.arange(30))
    np.testing.assert_allclose(frame.probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.abs(frame.probabilities - hot_frame.probabilities[:30]).max() > 1e-6
    assert (frame.labels == net.classes.index("fcc")).mean() > 0.8
    assert frame.metadata["species"] == "form-factor"
    # By default the elements do not count.
    same = net.analyze(alloy, centers=np.arange(30))
    np.testing.assert_allclose(same.probabilities, hot_frame.probabilities[:30], atol=1e-4)


@pytest.mark.parametrize("window_atoms", [64, 120, 512])
def test_other_sizes_of_windows(net, hot_fcc, window_atoms):
    frame = variant(net, window_atoms=window_atoms).analyze(hot_fcc, centers=np.arange(20))
    assert (frame.labels == FCC).all()
    density = len(hot_fcc) / hot_fcc.get_volume()
    np.testing.assert_allclose(4 / 3 * np.pi * frame.radius**3 * density, window_atoms, rtol=0.1)
    assert frame.metadata["window_atoms"] == window_atoms


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_atoms": 32}, "window_atoms=32"),
        ({"window_atoms": 2000}, "window_atoms=2000"),
        ({"window_atoms": 100.5}, "window_atoms=100.5"),
        ({"window_atoms": "all"}, "window_atoms='all'"),
        ({"min_certainty": 1.5}, "min_certainty=1.5 is not between 0 and 1"),
        ({"min_certainty": float("nan")}, "min_certainty=nan"),
        ({"species": "xray"}, "species='xray' is unknown: use 'geometry' or 'form-factor'"),
        ({"on_sparse": "ignore"}, "on_sparse='ignore'"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_parameters_out_of_range(local_model, options, message):
    with pytest.raises(InputError) as caught:
        CrystalNet(local_model, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_window_outside_what_the_model_was_trained_for(tmp_path):
    from tests.support.tiny_models import write_card, write_network

    write_network(tmp_path / "model.keras")
    write_card(tmp_path, window_atoms=[100, 300])
    with pytest.raises(InputError, match=r"window_atoms=400 .* 'tiny' .*\(100 to 300\)"):
        CrystalNet(tmp_path, window_atoms=400)


# ---------------------------------------------------------------- bad structures
def broken(fault: str) -> Atoms:
    atoms = crystals.fcc().repeat((4, 4, 4))
    if fault == "nan":
        atoms.positions[7, 1] = np.nan
    elif fault == "inf":
        atoms.positions[7, 1] = np.inf
    elif fault == "empty":
        atoms = atoms[:0]
    elif fault == "no cell":
        atoms.cell = np.zeros((3, 3))
    elif fault == "flat cell":
        atoms.cell[2] = atoms.cell[0] + atoms.cell[1]
    elif fault == "nan cell":
        atoms.cell[0, 0] = np.nan
    elif fault == "one vector missing":
        atoms.cell[1] = 0
    return atoms


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("nan", "NaN"),
        ("inf", "infinite"),
        ("empty", "no atoms"),
        ("no cell", "cell"),
        ("flat cell", "volume"),
        ("nan cell", "cell"),
        ("one vector missing", "cell"),
    ],
)
def test_structures_that_cannot_be_analysed(net, fault, word):
    with pytest.raises(InputError) as caught:
        net.analyze(broken(fault))
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("centers", "word"),
    [
        ("everywhere", "centers='everywhere' is unknown"),
        ([10**6], "atom index 1000000"),
        ([True, False], "mask of 2 entries"),
        ([[0.0, 0.0]], "shape (1, 2)"),
        ([[0.0, np.nan, 0.0]], "NaN"),
        ([[0.0], [0.0, 1.0]], "ragged"),
        ([0.5, 1.5], "shape (2,)"),
        (["a", "b"], "shape (2,)"),
        (None, "centers"),
    ],
)
def test_centres_that_are_none(net, hot_fcc, centers, word):
    with pytest.raises(InputError) as caught:
        net.analyze(hot_fcc, centers=centers)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan")])
def test_spacing_that_is_none(net, hot_fcc, spacing):
    with pytest.raises(InputError, match="spacing") as caught:
        net.analyze(hot_fcc, centers="grid", spacing=spacing)
    assert "\n" not in str(caught.value)


def test_what_is_no_structure(net):
    with pytest.raises(InputError, match=r"ase\.Atoms"):
        net.analyze(np.zeros((300, 3)))


# ---------------------------------------------------------------- interfaces
def sample(rows: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(rows))[:count])


def test_crystal_and_melt_are_told_apart_close_to_their_interface(net):
    both = halves(seed=2)
    edge = both.cell.lengths()[2] / 2
    z = both.positions[:, 2]
    crystal = z < edge - 0.5
    depth = np.minimum(z % edge, edge - z % edge)
    beyond = (depth > 1.5 * SPACING) & (depth < 4 * SPACING)
    solid, liquid = sample(crystal & beyond, 60), sample(~crystal & beyond, 60)
    frame = net.analyze(both, centers=np.concatenate([solid, liquid]))
    assert (frame.labels[:60] == FCC).mean() >= 0.95
    assert (frame.labels[60:] == DISORDERED).mean() >= 0.95


def test_the_second_look_finds_the_melt_next_to_the_crystal(net):
    both = halves(seed=2)
    edge = both.cell.lengths()[2] / 2
    z = both.positions[:, 2]
    next_to_it = (z > edge) & (np.minimum(z % edge, edge - z % edge) < 1.2 * SPACING)
    melt = sample(next_to_it, 60)
    twice = net.analyze(both, centers=melt)
    once = variant(net, divide=False).analyze(both, centers=melt)
    assert (once.labels == DISORDERED).mean() < 0.6
    assert (twice.labels == DISORDERED).mean() > 0.8
    np.testing.assert_allclose(twice.probabilities.sum(axis=1), 1, atol=1e-5)
    # A window that was looked at again is the smaller one.
    assert twice.radius.min() < 0.8 * once.radius.min()


@pytest.mark.parametrize("name", ["fcc", "bcc", "hcp", "sc", "diam", "bct139", "bct141"])
def test_the_second_look_leaves_the_bulk_alone(net, name):
    bulk = crystals.supercell(crystals.unit_cell(name), 400, sigma=0.08, rng=5)
    chosen = sample(np.ones(len(bulk), bool), 40)
    twice = net.analyze(bulk, centers=chosen)
    once = variant(net, divide=False).analyze(bulk, centers=chosen)
    assert (once.labels == net.classes.index(name)).mean() >= 0.97
    np.testing.assert_array_equal(twice.labels, once.labels)
    unchanged = np.abs(twice.probabilities - once.probabilities).max(axis=1) == 0
    assert unchanged.mean() >= 0.97


def test_bicrystal_has_two_orientations_and_one_class(net):
    """Sigma-5 twist boundaries of fcc: 36.87 degrees about z."""
    half = np.degrees(np.arctan(1 / 3))
    block = crystals.fcc().repeat((14, 14, 5))
    block.positions -= block.positions.mean(axis=0)
    a = crystals.fcc().cell.lengths()[0]
    edge, height = 2 * np.sqrt(10) * a, 5 * a  # 2 periods of the coincidence lattice, (310)
    grains = []
    for number, angle in enumerate((half, -half)):
        grain = block.copy()
        grain.rotate(angle, "z")
        x, y, _ = grain.positions.T + 1e-6
        inside = (np.abs(x - 0) < edge / 2) & (np.abs(y) < edge / 2)
        grain = grain[inside]
        grain.positions[:, 2] += number * height
        grains.append(grain)
    assert len(grains[0]) == len(grains[1]) == 4 * 40 * 5
    both = grains[0] + grains[1]
    both.set_cell([edge, edge, 2 * height])
    both.positions[:, 2] -= both.positions[:, 2].min() - 0.25 * a
    both.positions += np.random.default_rng(4).normal(
        scale=0.04 * SPACING, size=both.positions.shape
    )
    z = both.positions[:, 2]
    depth = np.minimum(z % height, height - z % height)
    far = depth > 2.0 * SPACING
    rows = sample(far, 80)
    frame = net.analyze(both, centers=rows)
    assert (frame.labels == FCC).mean() >= 0.97
    angle = np.radians(np.where(z[rows] < height, half, -half)) / 2
    own = np.stack([0 * angle, 0 * angle, np.sin(angle), np.cos(angle)], axis=1)
    good = frame.labels == FCC
    apart = misorientation(frame.orientation[good], own[good], "cubic")
    assert (apart < 2.0).mean() >= 0.95


# ---------------------------------------------------------------- attach, trajectories
def test_attached_results_survive_a_file(hot_fcc, hot_frame, tmp_path):
    atoms = hot_frame.attach(hot_fcc.copy())
    write(tmp_path / "out.extxyz", atoms)
    back = read(tmp_path / "out.extxyz")
    np.testing.assert_array_equal(back.arrays["crystalnet_label"], hot_frame.atom_labels)
    assert set(back.arrays["crystalnet_class"]) == {"fcc"}
    np.testing.assert_allclose(
        back.arrays["crystalnet_probabilities"], hot_frame.atom_probabilities, atol=1e-6
    )
    np.testing.assert_allclose(
        back.arrays["crystalnet_orientation"], hot_frame.atom_orientation, atol=1e-6
    )
    assert back.info["crystalnet_class_fractions"][FCC] == 1
    assert back.info["crystalnet_model"] == "structure"


def test_run_streams_a_trajectory(net, tmp_path):
    path = tmp_path / "md.extxyz"
    hot = [
        crystals.supercell(crystals.fcc(), 100, sigma=s, rng=k) for k, s in enumerate([0.05] * 4)
    ]
    write(path, [*hot, crystals.random_packing(150, rng=0)])
    frames = list(net.run(path, start=0, step=2, centers=[0, 5, 50], lindemann="all"))
    assert [frame.metadata["frame"] for frame in frames] == [0, 2, 4]
    assert [np.bincount(f.labels).argmax() for f in frames] == [FCC, FCC, DISORDERED]
    direct = net.analyze(hot[2], centers=[0, 5, 50])
    np.testing.assert_allclose(frames[1].probabilities, direct.probabilities, atol=1e-3)
    assert frames[1].lindemann is not None
    assert frames[1].metadata["model"] == "structure"


def test_observer_writes_a_running_simulation(net, tmp_path):
    atoms = crystals.fcc(2.55).repeat((3, 3, 3))
    atoms.rattle(0.02, seed=1)
    atoms.calc = EMT()
    with VelocityVerlet(atoms, 2e-16 * 1e15) as dynamics:
        observer = net.observer(tmp_path / "run.h5", centers=[0, 30])
        dynamics.attach(observer, interval=2)
        dynamics.run(4)
        observer.close()
    assert observer.frames == 3
    with VelocityVerlet(atoms, 2e-16 * 1e15) as dynamics:
        path = tmp_path / "run.h5"
        with net.observe(dynamics, path, 2, centers=[0, 30], resume=True) as observer:
            dynamics.run(2)
    assert observer.frames == 5
    assert isinstance(atoms.calc, EMT)
    with ResultFile(tmp_path / "run.h5") as results:
        assert len(results) == 5
        last = results[2]
    assert (last.labels == FCC).all()
    assert last.classes == net.classes


# ---------------------------------------------------------------- ASE calculator
@pytest.fixture
def calculator(net: CrystalNet, monkeypatch: pytest.MonkeyPatch) -> CrystalNet:
    """An analyzer of one's own that counts its analyses in `calls`."""
    calc = variant(net)
    calc.calls = 0
    analyze = calc.analyze

    def counted(*arguments: object, **options: object) -> FrameAnalysis:
        calc.calls += 1
        return analyze(*arguments, **options)

    monkeypatch.setattr(calc, "analyze", counted)
    return calc


@pytest.fixture
def small() -> Atoms:
    return crystals.supercell(crystals.bcc(), 16, sigma=0.03, rng=2)


def test_results_as_properties(calculator, small):
    small.calc = calculator
    probabilities = small.calc.get_property("class_probabilities", small)
    assert probabilities.shape == (len(small), len(STRUCTURES))
    assert (small.calc.get_property("class_labels", small) == BCC).all()
    assert small.calc.get_property("class_fractions")[BCC] == 1
    for name, shape in {"certainty": (16,), "order": (16,), "orientation": (16, 4)}.items():
        assert small.calc.get_property(name, small).shape == shape
    assert calculator.calls == 1
    assert calculator.frame is not None
    np.testing.assert_array_equal(calculator.frame.atom_probabilities, probabilities)


def test_nothing_moved_nothing_computed_again(calculator, small):
    small.calc = calculator
    first = small.calc.get_property("certainty", small)
    again = small.calc.get_property("certainty", small.copy())
    np.testing.assert_array_equal(first, again)
    assert calculator.calls == 1


def test_computed_again_when_an_atom_moves(calculator, small):
    small.calc = calculator
    before = small.calc.get_property("class_probabilities", small).copy()
    small.positions[3] += [0.2, 0.0, 0.1]
    after = small.calc.get_property("class_probabilities", small)
    assert calculator.calls == 2
    assert np.abs(after - before).max() > 0
    small.set_cell(small.cell * 1.05, scale_atoms=True)
    small.calc.get_property("class_labels", small)
    assert calculator.calls == 3
    assert small.calc.get_property("certainty", small, allow_calculation=False) is not None
    small.positions[0] += 0.1
    assert small.calc.get_property("certainty", small, allow_calculation=False) is None


def test_computed_again_after_a_change_of_parameters(calculator, small):
    small.calc = calculator
    small.calc.get_property("certainty", small)
    calculator.set(note="changed")
    small.calc.get_property("certainty", small)
    assert calculator.calls == 2


def test_energies_are_not_among_the_results(calculator, small):
    small.calc = calculator
    with pytest.raises(PropertyNotImplementedError):
        small.get_potential_energy()
    with pytest.raises(PropertyNotImplementedError):
        small.get_forces()
    with pytest.raises(PropertyNotImplementedError, match="energy"):
        calculator.calculate(small, ["energy"])
    assert calculator.calls == 0


def test_calculator_without_a_structure(net):
    with pytest.raises(InputError, match="hand atoms to the calculator"):
        variant(net).calculate()


def test_calculator_reports_a_bad_structure_and_recovers(calculator, small):
    small.calc = calculator
    good = small.positions.copy()
    small.positions[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        small.calc.get_property("certainty", small)
    small.positions[:] = good
    assert np.isfinite(small.calc.get_property("certainty", small)).all()


def test_the_name_of_the_model_goes_with_the_result(hot_frame, net):
    card = net.classifier.card.data
    assert hot_frame.metadata["model_sha256"] == card["sha256"]
    assert hot_frame.metadata["model"] == card["name"]
