"""What names mean: the structure of a strained crystal, or the symmetry that strain leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc100
from ase.io import read

from ase_crystalnet import CrystalNet, crystals
from ase_crystalnet.classes import CLASSES
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.results import HDF5Writer, ResultFile
from ase_crystalnet.lattice.strain import Strains
from ase_crystalnet.local.names import share_with_rival

TENSION = np.diag([1.06**-0.5, 1.06**-0.5, 1.06])
SHEAR = np.eye(3) + 0.06 * np.outer([1, 0, 0], [0, 1, 0])


def strained(name: str, gradient: np.ndarray, sigma: float = 0.05, seed: int = 0) -> Atoms:
    """A block of some 2,000 atoms, turned at random after it was strained."""
    rng = np.random.default_rng(seed)
    cell = crystals.unit_cell(name)
    block = cell.repeat(int(np.ceil((2000 / len(cell)) ** (1 / 3))))
    block.set_cell(block.cell.array @ gradient, scale_atoms=True)
    distance = crystals.nearest_distance(block)
    block.positions += rng.normal(scale=sigma * distance, size=block.positions.shape)
    return crystals.rotated(block, rng)[0]


@pytest.mark.parametrize("name", ["fcc", "bcc", "sc", "diam", "hcp"])
@pytest.mark.parametrize("gradient", [TENSION, SHEAR], ids=["tension", "shear"])
def test_a_strained_crystal_keeps_its_name(net: CrystalNet, name: str, gradient: np.ndarray):
    atoms = strained(name, gradient)
    frame = net.analyze(atoms, centers=np.arange(0, len(atoms), len(atoms) // 20))
    assert {frame.classes[label] for label in frame.labels} == {name}
    assert frame.certainty.mean() > 0.95
    assert frame.metadata["names"] == "structure" and frame.metadata["strain_limit"] == 0.1


def test_the_strain_is_that_of_the_crystal(net: CrystalNet):
    """Principal stretches, in whatever of the equal axes: within 0.3 % at sigma 0.05."""
    atoms = strained("fcc", TENSION)
    frame = net.analyze(atoms, centers=np.arange(0, len(atoms), 40))
    found = np.linalg.eigvalsh(frame.strain.astype(float))
    wanted = np.sort(np.diag(TENSION)) - 1
    assert np.abs(found.mean(axis=0) - wanted).max() < 0.003
    # The axis of the pull is an axis of the crystal: the tensor is diagonal in the parent's axes.
    diagonal = np.einsum("wii->wi", frame.strain)
    assert np.abs(frame.strain - diagonal[:, :, None] * np.eye(3)).max() < 0.03


def test_symmetry_is_still_a_question_one_can_ask(local_model: Path):
    atoms = strained("fcc", TENSION)
    chosen = np.arange(0, len(atoms), 100)
    asked = CrystalNet(local_model, classes="symmetry").analyze(atoms, centers=chosen)
    assert {asked.classes[label] for label in asked.labels} == {"bct139"}
    assert np.isnan(asked.strain).all() and not asked.superlattice.any()
    assert asked.metadata["names"] == "symmetry" and "strain_limit" not in asked.metadata
    none = CrystalNet(local_model, strain_limit=0.0).analyze(atoms, centers=chosen)
    assert {none.classes[label] for label in none.labels} == {"bct139"}


def test_a_thin_film_is_named_behind_its_fringes(net: CrystalNet):
    film = fcc100("Cu", (12, 12, 4), vacuum=10.0)
    film.rattle(0.08, seed=1)
    frame = net.analyze(film, centers=np.arange(0, len(film), 12))
    assert (np.array(frame.classes)[frame.labels] == "fcc").mean() > 0.95
    assert (frame.superlattice > 1).any(), "no window of a film of four layers has fringes?"


def test_a_measured_particle_is_fcc_in_its_core(net: CrystalNet, data_dir: Path):
    atoms = read(data_dir / "aet" / "PdPt_TO.xyz")
    radius = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1)
    core = np.flatnonzero(radius < np.quantile(radius, 0.4))[::40]
    frame = net.analyze(atoms, centers=core)
    assert (np.array(frame.classes)[frame.labels] == "fcc").mean() >= 0.99


def test_between_two_parents_both_are_possible():
    classes = CLASSES
    fcc, bcc = classes.index("fcc"), classes.index("bcc")
    certain = np.zeros((4, len(classes)), np.float32)
    certain[[0, 1, 3], fcc] = 1.0
    certain[2, classes.index("diam")] = 1.0
    unknown = np.full((4, 3, 3), np.nan)
    strains = Strains(
        parent=np.array([0, 0, 0, -1], np.int8),
        undo=np.tile(np.eye(3), (4, 1, 1)),
        strain=unknown,
        size=np.full(4, 0.09),
        margin=np.array([0.5, 0.99, 0.5, 0.5]),
        rival=np.array([1, 1, 1, 1], np.int8),
        orientation=np.full((4, 4), np.nan),
    )
    before = certain.copy()
    share_with_rival(certain, classes, strains)
    assert certain[0, fcc] == certain[0, bcc] == 0.5
    assert certain[1, fcc] == pytest.approx(0.99) and certain[1, bcc] == pytest.approx(0.01)
    assert (certain[2:] == before[2:]).all(), "diamond has no rival name, the last no parent"
    assert certain.sum(axis=1) == pytest.approx(1.0)


def test_strain_is_kept_in_files(net: CrystalNet, tmp_path: Path):
    atoms = strained("bcc", SHEAR)
    frame = net.analyze(atoms, centers=[0, 300, 900])
    with HDF5Writer(tmp_path / "a.h5") as file:
        file.append(frame)
    with ResultFile(tmp_path / "a.h5") as file:
        np.testing.assert_allclose(file[0].strain, frame.strain, atol=1e-6)
        assert (file[0].superlattice == frame.superlattice).all()


def test_options_of_names_are_checked(local_model: Path):
    with pytest.raises(InputError, match="classes='wyckoff' is unknown; expected 'structure' or"):
        CrystalNet(local_model, classes="wyckoff")
    with pytest.raises(InputError, match="strain_limit does not apply to classes='symmetry'"):
        CrystalNet(local_model, classes="symmetry", strain_limit=0.1)
    with pytest.raises(InputError, match="limit is -1"):
        CrystalNet(local_model, strain_limit=-1)
    with pytest.raises(InputError, match="as a whole: strain_limit do not apply"):
        CrystalNet("ziletti2018", strain_limit=0.1)
    assert CrystalNet("ziletti2018", classes="symmetry").mode == "global"


def test_the_name_of_a_hot_cell_that_someone_made(net: CrystalNet):
    """ASE's own copper cell pulled along [110] by 5 %: another generator than ours."""
    atoms = bulk("Cu", cubic=True) * (8, 8, 8)
    axis = np.array([1, 1, 0]) / np.sqrt(2)
    gradient = np.eye(3) + 0.05 * np.outer(axis, axis)
    atoms.set_cell(atoms.cell.array @ gradient, scale_atoms=True)
    atoms.rattle(0.15, seed=2)
    frame = net.analyze(atoms, centers=np.arange(0, len(atoms), 100))
    assert {frame.classes[label] for label in frame.labels} == {"fcc"}
