"""Parts of the strain: change of shape, change of volume."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.transform import Rotation

from ase_crystalnet import CrystalNet
from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting import plot_strain
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.strain import VOIGT, cell_volumes, voigt, volumetric, von_mises
from ase_crystalnet.results.trajectory import TrajectoryBuilder
from tests.support.fakes import CLASSES, fake_frame


def test_von_mises_by_hand() -> None:
    stretch = np.diag([0.02, -0.01, -0.01])
    assert von_mises(stretch) == pytest.approx(0.02)
    shear = np.zeros((3, 3))
    shear[0, 1] = shear[1, 0] = 0.03  # half the engineering shear
    assert von_mises(shear) == pytest.approx(2 / np.sqrt(3) * 0.03)
    turn = Rotation.random(random_state=1).as_matrix()
    assert von_mises(turn @ stretch @ turn.T) == pytest.approx(0.02)
    assert von_mises(stretch + 0.05 * np.eye(3)) == pytest.approx(0.02)  # volume does not count
    assert np.isnan(von_mises(np.full((4, 3, 3), np.nan))).all()


def test_volumes_are_those_of_the_parent() -> None:
    known = [np.diag([2.0, 2.0, 3.0]), np.diag([2.0, 2.0, 6.0]), np.eye(3)]
    lattice = np.stack([*known, np.full((3, 3), np.nan)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # unknown lattices are nothing to warn of
        found = cell_volumes(lattice, np.array([1, 2, 0, 0]))
    np.testing.assert_allclose(found, [12, 12, 1, np.nan])


def test_each_structure_has_its_own_median() -> None:
    volumes = np.array([10.0, 10.2, 9.8, 20.0, 22.0, 5.0, np.nan])
    labels = np.array([0, 0, 0, 1, 1, -1, 0])
    known = np.array([True, True, True, True, False, True, True])
    found = volumetric(volumes, labels, known)
    np.testing.assert_allclose(found[:4], [0, 0.02, -0.02, 0], atol=1e-7)
    assert np.isnan(found[4:]).all()


def test_voigt_keeps_every_component() -> None:
    tensor = np.arange(9.0).reshape(3, 3)
    assert voigt(tensor + tensor.T).tolist() == [(tensor + tensor.T)[i, j] for i, j in VOIGT]


@pytest.fixture(scope="module")
def frame() -> FrameAnalysis:
    """Copper, 4 % longer and as much thinner; its upper half has 3 % more room."""
    atoms = bulk("Cu", cubic=True) * (9, 9, 16)
    stretch = np.diag([1.04, 1.04**-0.5, 1.04**-0.5])
    atoms.set_cell(atoms.cell @ stretch, scale_atoms=True)
    height = atoms.positions[:, 2]
    middle = height.max() / 2
    upper = height > middle
    atoms.positions[upper, 2] = middle + (height[upper] - middle) * 1.03
    atoms.set_cell(atoms.cell * [[1], [1], [1.015]])
    atoms.positions += np.random.default_rng(0).normal(scale=0.05, size=atoms.positions.shape)
    return CrystalNet().analyze(atoms, centers="grid")


def test_strain_of_copper_with_two_halves(frame: FrameAnalysis) -> None:
    span = np.ptp(frame.centers[:, 2]) + 6
    place = frame.centers[:, 2] / span
    lower, upper = (abs(place - 0.25) < 0.1), (abs(place - 0.75) < 0.1)
    assert lower.sum() > 10 and upper.sum() > 10
    assert np.median(frame.von_mises_strain[lower]) == pytest.approx(0.04, abs=0.002)
    # Its third axis is less short: the stretch is more even.
    assert 0.02 < np.median(frame.von_mises_strain[upper]) < 0.04
    difference = np.median(frame.volumetric_strain[upper]) - np.median(
        frame.volumetric_strain[lower]
    )
    assert difference == pytest.approx(0.03, abs=0.004)
    # Atoms have what their nearest window has.
    assert np.isfinite(frame.atom_strain).all() and frame.atom_strain.shape[1:] == (3, 3)
    assert set(np.unique(frame.atom_volumetric_strain)) <= set(np.unique(frame.volumetric_strain))
    assert frame.mean_von_mises_strain == pytest.approx(np.mean(frame.atom_von_mises_strain))
    primitive = 3.61**3 / 4
    assert primitive < frame.mean_cell_volume < 1.03 * primitive
    figure = plot_strain(frame, "x")
    labels = [panel.get_ylabel() for panel in figure.axes]
    assert labels[2:] == ["equivalent strain (%)", "volumetric strain (%)"]
    low, high = figure.axes[1].images[0].get_clim()
    assert low == -high and 1 < high < 4


def test_strain_in_tables_and_structures(frame: FrameAnalysis) -> None:
    columns = frame.to_dataframe().columns
    assert {"strain_xx", "strain_xy", "volumetric_strain"} <= set(columns)
    atoms = bulk("Cu", cubic=True) * (9, 9, 16)
    attached = frame.attach(atoms)
    assert attached.arrays["crystalnet_strain"].shape == (len(atoms), 6)
    np.testing.assert_allclose(
        attached.arrays["crystalnet_von_mises_strain"], frame.atom_von_mises_strain
    )
    builder = TrajectoryBuilder(frame.classes)
    builder.append(frame)
    wider = replace(frame, lattice=frame.lattice * 1.01)
    builder.append(wider)
    table = builder.build().columns()
    assert table["mean_von_mises_strain"][0] == pytest.approx(frame.mean_von_mises_strain)
    assert table["volumetric_strain"] == pytest.approx([0.0, 1.01**3 - 1], abs=1e-6)
    assert table["mean_cell_volume_A3"][0] == pytest.approx(frame.mean_cell_volume)


def test_without_strain_nothing_is_claimed() -> None:
    frame = fake_frame(bulk("Cu", cubic=True) * (4, 4, 4))
    assert np.isnan(frame.von_mises_strain).all() and np.isnan(frame.mean_cell_volume)
    assert "crystalnet_strain" not in frame.attach(bulk("Cu", cubic=True) * (4, 4, 4)).arrays
    with pytest.raises(InputError, match="names of symmetries"):
        plot_strain(frame)
    builder = TrajectoryBuilder(CLASSES)
    builder.append(frame)
    assert np.isnan(builder.build().volumetric_strain).all()


def test_noise_makes_little_strain() -> None:
    """The number in docs/glossary.md."""
    atoms = bulk("Cu", cubic=True) * (8, 8, 8)
    atoms.positions += np.random.default_rng(0).normal(scale=0.05, size=atoms.positions.shape)
    frame = CrystalNet().analyze(atoms, centers="grid")
    assert np.median(frame.von_mises_strain) == pytest.approx(0.0013, abs=2e-4)
