"""The Lindemann parameter: against analytic and naive results, wrapping, drift, changing cells."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.cells import lattice_change
from ase_crystalnet.frames.lindemann import AtomOrderWarning, LindemannTracker
from ase_crystalnet.results.arrays import snapshot_lindemann

SIGMA = 0.1
D_NN = 2.5


def crystal() -> Atoms:
    return bulk("Cu", "fcc", a=D_NN * np.sqrt(2), cubic=True) * (3, 3, 3)


def shaken(frames: int, seed: int = 0, sigma: float = SIGMA) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(frames):
        atoms = crystal()
        atoms.positions += rng.normal(scale=sigma, size=atoms.positions.shape)
        out.append(atoms)
    return out


def naive(positions: np.ndarray, distance: float) -> np.ndarray:
    """The definition, with all frames in memory and the mean drift taken out of each."""
    moved = positions - positions[0]
    moved = moved - moved.mean(axis=1, keepdims=True)
    about_mean = moved - moved.mean(axis=0)
    return np.sqrt((about_mean**2).sum(axis=2).mean(axis=0)) / distance


def follow(tracker: LindemannTracker, frames: list[Atoms], distance: float = D_NN) -> np.ndarray:
    for atoms in frames:
        delta = tracker.add(atoms, distance)
    return delta


def test_gaussian_displacements_give_the_analytic_value() -> None:
    frames = 200
    delta = follow(LindemannTracker(), shaken(frames))
    expected = np.sqrt(3 * SIGMA**2 * (1 - 1 / frames)) / D_NN
    # 108 atoms x 200 frames x 3: the mean is known to 0.3 %.
    assert np.sqrt(np.mean(delta.astype(float) ** 2)) == pytest.approx(expected, rel=0.01)


def test_first_frame_has_no_value() -> None:
    assert np.isnan(LindemannTracker().add(crystal(), D_NN)).all()


def test_all_frames_equal_the_naive_value() -> None:
    frames = shaken(12)
    expected = naive(np.array([a.positions for a in frames]), D_NN)
    np.testing.assert_allclose(follow(LindemannTracker(), frames), expected, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(window=st.integers(2, 9), frames=st.integers(2, 25), seed=st.integers(0, 1000))
def test_running_window_equals_the_naive_value(window: int, frames: int, seed: int) -> None:
    run = shaken(frames, seed)
    tracker = LindemannTracker(window)
    delta = follow(tracker, run)
    expected = naive(np.array([a.positions for a in run[-window:]]), D_NN)
    np.testing.assert_allclose(delta, expected, rtol=1e-4, atol=1e-6)
    assert tracker.frames == min(window, frames)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), shear=st.floats(-0.4, 0.4), reach=st.floats(0.0, 50.0))
def test_wrapping_and_drift_do_not_matter(seed: int, shear: float, reach: float) -> None:
    rng = np.random.default_rng(seed)
    plain, disguised = shaken(6, seed), []
    velocity = rng.normal(size=3) * reach
    for number, atoms in enumerate(plain):
        cell = atoms.cell.array.copy()
        cell[1, 0] = shear * cell[0, 0]
        atoms.set_cell(cell, scale_atoms=True)
        other = atoms.copy()
        other.positions += velocity * number
        other.wrap()
        disguised.append(other)
    np.testing.assert_allclose(
        follow(LindemannTracker(), disguised),
        follow(LindemannTracker(), plain),
        rtol=1e-4,
        atol=1e-5,
    )


def test_an_atom_that_diffuses_far_is_unwrapped() -> None:
    frames = []
    for number in range(40):
        atoms = crystal()
        atoms.positions[0, 0] += 0.8 * number
        atoms.wrap()
        frames.append(atoms)
    delta = follow(LindemannTracker(), frames)
    # A uniform walk of length L has the rms L / sqrt(12); the cell is 10.6 A, the walk 31 A.
    assert delta[0] * D_NN == pytest.approx(40 * 0.8 / np.sqrt(12), rel=0.03)


def test_a_growing_cell_is_not_disorder() -> None:
    frames = []
    for number in range(10):
        atoms = crystal()
        atoms.set_cell(atoms.cell * (1 + 0.01 * number), scale_atoms=True)
        frames.append(atoms)
    assert follow(LindemannTracker(), frames).max() < 1e-6


def test_a_free_direction_is_not_scaled_by_its_box() -> None:
    frames = []
    for number in range(10):
        atoms = crystal()
        atoms.pbc = (True, True, False)
        atoms.cell[2, 2] *= 1 + 0.05 * number
        frames.append(atoms)
    assert follow(LindemannTracker(), frames).max() < 1e-6


def test_a_cluster_without_cell() -> None:
    frames = shaken(5)
    for atoms in frames:
        atoms.pbc = False
        atoms.cell = None
    expected = naive(np.array([a.positions for a in frames]), D_NN)
    np.testing.assert_allclose(follow(LindemannTracker(), frames), expected, rtol=1e-5)


def test_atoms_in_another_order_are_matched_by_id() -> None:
    rng = np.random.default_rng(1)
    frames = shaken(6)
    expected = follow(LindemannTracker(), frames)
    mixed = []
    for atoms in frames:
        atoms.set_array("id", np.arange(1, len(atoms) + 1))
        mixed.append(atoms[rng.permutation(len(atoms))])
    delta = follow(LindemannTracker(), mixed)
    np.testing.assert_allclose(delta, expected[mixed[-1].arrays["id"] - 1], rtol=1e-5)


FLIPS = (
    [[1, 0, 0], [1, 1, 0], [0, 0, 1]],
    [[1, 0, 0], [-1, 1, 0], [0, 0, 1]],
    [[1, 0, 0], [0, 1, 0], [-1, 1, 1]],
    [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    [[2, 1, 0], [1, 1, 0], [0, 0, 1]],
)


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("wrap", [True, False])
def test_a_flipped_box_is_the_same_lattice(flip: list[list[int]], wrap: bool) -> None:
    plain, flipped = shaken(6), shaken(6)
    for number, (atoms, other) in enumerate(zip(plain, flipped, strict=True)):
        for one in (atoms, other):
            one.set_cell(one.cell * (1 + 0.005 * number), scale_atoms=True)
        if number in (2, 3, 5):
            other.set_cell(np.array(flip) @ other.cell.array)
        if wrap:
            other.wrap()
    expected = follow(LindemannTracker(), plain)
    np.testing.assert_allclose(follow(LindemannTracker(), flipped), expected, rtol=1e-3, atol=1e-6)


def test_a_box_sheared_without_end_is_no_disorder() -> None:
    frames = []
    for number in range(40):
        atoms = crystal()
        cell = atoms.cell.array.copy()
        tilt = 0.05 * number
        cell[1, 0] = tilt * cell[0, 0]
        atoms.set_cell(cell, scale_atoms=True)
        cell[1, 0] -= round(tilt) * cell[0, 0]  # as LAMMPS keeps its boxes within half a length
        atoms.set_cell(cell)
        atoms.wrap()
        frames.append(atoms)
    assert follow(LindemannTracker(), frames).max() < 1e-6
    assert follow(LindemannTracker(window=5), frames).max() < 1e-6


def test_a_box_of_another_lattice_is_followed_vector_by_vector() -> None:
    cell = np.diag([10.0, 10.0, 10.0])
    other = np.array([[10.0, 0, 0], [5.0, 10.0, 0], [0, 0, 10.0]])
    everywhere = np.ones(3, bool)
    np.testing.assert_array_equal(lattice_change(cell, other, everywhere), np.eye(3))
    np.testing.assert_array_equal(lattice_change(cell, 3 * cell, everywhere), np.eye(3))
    slab = np.array([True, True, False])
    tilted = np.array([[10.0, 0, 0], [10.0, 10.0, 0], [0, 0, 1.0]])
    change = lattice_change(np.diag([10.0, 10.0, 1.0]), tilted, slab)
    np.testing.assert_array_equal(change, [[1, 0, 0], [1, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize("pbc", [True, False])
def test_another_order_without_ids_is_said_once(pbc: bool) -> None:
    rng = np.random.default_rng(1)
    mixed = [atoms[rng.permutation(len(atoms))] for atoms in shaken(5, sigma=0.03)]
    for atoms in mixed:
        atoms.pbc = pbc
    with pytest.warns(AtomOrderWarning, match=r"\d+ of 108 atoms are where others were") as caught:
        assert follow(LindemannTracker(), mixed).mean() > 0.5
    assert len(caught) == 1


@pytest.mark.filterwarnings("error")
def test_motion_is_no_change_of_order() -> None:
    rng = np.random.default_rng(1)
    follow(LindemannTracker(), shaken(5, sigma=0.15 * D_NN))  # hot
    cell = crystal().cell
    liquid = []
    for _ in range(5):
        atoms = crystal()
        atoms.positions = rng.random((len(atoms), 3)) * cell.lengths()
        liquid.append(atoms)
    follow(LindemannTracker(), liquid)
    drifting = shaken(5, sigma=0.03)
    for number, atoms in enumerate(drifting):
        atoms.positions += D_NN / np.sqrt(2) * number  # onto sites of the crystal
        atoms.wrap()
    follow(LindemannTracker(), drifting)
    with_ids = []
    for atoms in shaken(5, sigma=0.03):
        atoms.set_array("id", np.arange(len(atoms)))
        with_ids.append(atoms[rng.permutation(len(atoms))])
    follow(LindemannTracker(), with_ids)


def test_other_atoms_raise_or_reset() -> None:
    frames = shaken(3)
    fewer = frames[2][:-1]
    tracker = LindemannTracker()
    follow(tracker, frames[:2])
    with pytest.raises(InputError, match=r"107 atoms.*before \(108\)"):
        tracker.add(fewer, D_NN)
    tracker = LindemannTracker(on_change="reset")
    follow(tracker, frames[:2])
    assert np.isnan(tracker.add(fewer, D_NN)).all()
    assert tracker.frames == 1


def test_memory_does_not_grow() -> None:
    tracker = LindemannTracker(window=3)
    frames = shaken(20)
    follow(tracker, frames[:6])
    size = len(pickle.dumps(tracker))
    follow(tracker, frames[6:])
    assert tracker.frames == 3
    assert len(pickle.dumps(tracker)) == pytest.approx(size, rel=0.01)


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="at least 2"):
        LindemannTracker(1)
    with pytest.raises(InputError, match="on_change"):
        LindemannTracker(on_change="ignore")
    with pytest.raises(InputError, match="positive nearest-neighbour distance"):
        LindemannTracker().add(crystal(), 0.0)
    broken = crystal()
    broken.positions[3, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        LindemannTracker().add(broken, D_NN)
    no_cell = crystal()
    no_cell.cell = None
    with pytest.raises(InputError, match="cell vector is zero"):
        LindemannTracker().add(no_cell, D_NN)


def test_snapshot_lindemann() -> None:
    msd = np.array([SIGMA**2, np.nan, 0.0, 0.01, -1.0])
    distance = np.array([D_NN, 2.5, 2.5, 0.0, 2.5])
    expected = [np.sqrt(3) * SIGMA / D_NN, np.nan, 0.0, np.nan, np.nan]
    np.testing.assert_allclose(snapshot_lindemann(msd, distance), expected)
