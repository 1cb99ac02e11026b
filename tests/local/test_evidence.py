"""What a window says besides its image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.spacegroup import crystal

from ase_crystalnet import CrystalNet, crystals
from ase_crystalnet.classes import STRUCTURES
from ase_crystalnet.crystals.sampling import Disorder, cut_crystal
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.lattice.parent import Superlattices
from ase_crystalnet.local.evidence import CELL_ATOMS, count_cells, look_again, not_flat
from ase_crystalnet.local.images import WindowImages
from ase_crystalnet.local.names import image_maker
from ase_crystalnet.training.local.structure_types import sample_structure
from ase_crystalnet.training.shards import pad_windows

NUMBER = {name: number for number, name in enumerate(STRUCTURES)}


def sure(name: str, certainty: float = 1.0) -> np.ndarray:
    """An answer (C,): the rest is spread evenly."""
    answer = np.full(len(STRUCTURES), (1 - certainty) / (len(STRUCTURES) - 1), np.float32)
    answer[NUMBER[name]] = certainty
    return answer


def windows(name: str, disorder: Disorder, atoms: int = 250, count: int = 12) -> list[np.ndarray]:
    rng = np.random.default_rng([3, NUMBER[name]])
    found = []
    for _ in range(count):
        points = cut_crystal(sample_structure(name, rng), int(1.6 * atoms), disorder, rng)
        found.append(points[np.argsort(np.linalg.norm(points, axis=1))[:atoms]])
    return found


@pytest.mark.parametrize("name", ["fcc", "bcc", "sc", "diam", "hcp", "bct141", "bct139", "hexdiam"])
def test_atoms_in_the_cell_are_counted_within_two_percent(name: str):
    seen = image_maker(Fingerprint())(*pad_windows(windows(name, Disorder(sigma=0.05))))
    assert np.abs(seen.cell_atoms / CELL_ATOMS[name] - 1).max() < 0.02


def test_vacancies_reduce_the_count_and_displacements_do_not_raise_it():
    maker = image_maker(Fingerprint())
    hot = maker(*pad_windows(windows("fcc", Disorder(sigma=0.12)))).cell_atoms
    thin = maker(*pad_windows(windows("fcc", Disorder(sigma=0.05, vacancy_fraction=0.3))))
    assert np.abs(hot - 1).max() < 0.04
    assert thin.cell_atoms.min() > 0.55 and thin.cell_atoms.max() < 0.85


def test_too_many_atoms_in_the_cell_are_another_crystal():
    answers = np.stack([sure("diam"), sure("diam"), sure("fcc"), sure("fcc"), sure("disordered")])
    atoms = np.array([3.0, 1.4, 1.0, 1.5, np.nan])
    count_cells(answers, atoms, STRUCTURES)
    assert answers.sum(axis=1) == pytest.approx(1)
    assert answers[:, NUMBER["other"]] == pytest.approx([1, 0, 0, 1, 0], abs=5e-3)
    assert answers[4, NUMBER["disordered"]] == 1


def test_the_doubt_lies_at_an_eighth_too_many():
    answers = np.stack([sure("hcp")] * 3)
    count_cells(answers, np.array([2.1, 2.26, 2.5]), STRUCTURES)
    assert answers[0, NUMBER["hcp"]] > 0.9 and answers[2, NUMBER["hcp"]] < 0.1
    assert answers[1, NUMBER["hcp"]] == pytest.approx(0.5)


def test_a_flat_answer_is_no_name():
    flat = np.full((1, len(STRUCTURES)), 1 / len(STRUCTURES), np.float32)
    not_flat(flat, STRUCTURES)
    assert STRUCTURES[int(flat.argmax())] == "other"
    assert flat[0, NUMBER["disordered"]] == pytest.approx(1 / len(STRUCTURES))
    # Two structures that share the answer, or a liquid beside one, are no flat answer.
    for first, second in (("fcc", "hcp"), ("fcc", "disordered")):
        answer = np.zeros((1, len(STRUCTURES)), np.float32)
        answer[0, [NUMBER[first], NUMBER[second]]] = 0.52, 0.48
        before = answer.copy()
        not_flat(answer, STRUCTURES)
        np.testing.assert_array_equal(answer, before)


@pytest.mark.parametrize(
    ("own", "significance", "wanted"),
    [
        (sure("rh", 0.95), 9.0, "rh"),  # bismuth: simple cubic but for the peaks that were dropped
        (sure("fcc", 0.95), 9.0, "sc"),  # not a structure that such peaks make
        (sure("rh", 0.4), 9.0, "sc"),  # not sure
        (sure("rh", 0.95), 1.0, "sc"),  # fringes of a film: its shape explains them
    ],
)
def test_weak_peaks_are_listened_to_where_they_make_the_structure(
    own: np.ndarray, significance: float, wanted: str
):
    seen = image_maker(Fingerprint())(*pad_windows(windows("sc", Disorder(sigma=0.05), count=2)))
    weak = Superlattices(
        np.array([1, 2], np.int8),
        seen.lattices.lattice,
        np.array([np.nan, 0.03]),
        np.array([np.nan, significance]),
    )
    seen: WindowImages = replace(
        seen,
        superlattices=weak,
        own_rows=np.array([1]),
        own_images=seen.images[:1],
        own_cell_atoms=np.array([2.0]),
    )
    answers = np.stack([sure("sc"), sure("sc", 0.9)])
    atoms, taken = look_again(answers, seen, own[None], STRUCTURES)
    assert STRUCTURES[int(answers[1].argmax())] == wanted
    assert STRUCTURES[int(answers[0].argmax())] == "sc"
    assert atoms[1] == pytest.approx(2.0 if wanted == "rh" else seen.cell_atoms[1])
    assert taken.tolist() == [False, wanted == "rh"]


# ------------------------------------------------------------------ crystals of no type
NO_TYPE = {
    "fluorite": bulk("CaF2", "fluorite", a=5.46, cubic=True),
    "half-Heusler": crystal(
        ["Mg", "Ag", "As"], [(0, 0, 0), (0.25, 0.25, 0.25), (0.5, 0.5, 0.5)], spacegroup=216,
        cellpar=[6.24, 6.24, 6.24, 90, 90, 90],
    ),
    "C15": crystal(
        ["Mg", "Cu"], [(0.125, 0.125, 0.125), (0.5, 0.5, 0.5)], spacegroup=227, setting=2,
        cellpar=[7.05, 7.05, 7.05, 90, 90, 90],
    ),
    "perovskite": crystal(
        ["Sr", "Ti", "O"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221,
        cellpar=[3.9, 3.9, 3.9, 90, 90, 90],
    ),
    "quartz": crystal(
        ["Si", "O"], [(0.4697, 0, 0), (0.4133, 0.2672, 0.1188)], spacegroup=152,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    ),
    "rutile": crystal(
        ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136,
        cellpar=[4.59, 4.59, 2.96, 90, 90, 90],
    ),
    "A15": crystal(
        ["Si", "Cr"], [(0, 0, 0), (0.25, 0, 0.5)], spacegroup=223,
        cellpar=[4.56, 4.56, 4.56, 90, 90, 90],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_TYPE)
@pytest.mark.parametrize("sigma", [0.0, 0.06])
def test_a_crystal_of_no_type_is_called_other(net: CrystalNet, name: str, sigma: float):
    """Before there was 'other', these were diamond or fcc with certainty 0.93 to 1."""
    rng = np.random.default_rng(5)
    atoms = crystals.supercell(NO_TYPE[name], 2500, sigma=sigma, rng=rng)
    atoms = crystals.rotated(atoms, rng)[0]
    frame = net.analyze(atoms, centers=rng.choice(len(atoms), 25, replace=False))
    named = np.array(frame.classes)[frame.labels]
    assert (named == "other").mean() >= 0.96, named
    assert not ((named != "other") & (named != "disordered") & (frame.certainty > 0.5)).any()


ALMOST = {
    "alpha uranium, near hcp": crystal(
        "U", [(0, 0.1025, 0.25)], spacegroup=63, cellpar=[2.854, 5.87, 4.955, 90, 90, 90]
    ),
    "alpha oxygen, near rhombohedral": crystal(
        "O", [(0.054, 0, 0.163)], spacegroup=12, cellpar=[5.403, 3.429, 5.086, 90, 132.53, 90]
    ),
    "Ni2Al3, bcc with vacancies in order": crystal(
        ["Al", "Al", "Ni"],
        [(0, 0, 0), (1 / 3, 2 / 3, 0.648), (1 / 3, 2 / 3, 0.149)],
        spacegroup=164,
        cellpar=[4.028, 4.028, 4.891, 90, 90, 120],
    ),
    "CdAl2S4, diamond with vacancies in order": crystal(
        ["Cd", "Al", "Al", "S"],
        [(0, 0, 0), (0, 0, 0.5), (0, 0.5, 0.25), (0.27, 0.26, 0.139)],
        spacegroup=82,
        cellpar=[5.55, 5.55, 10.09, 90, 90, 90],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALMOST)
@pytest.mark.parametrize("sigma", [0.0, 0.06])
def test_a_crystal_that_is_almost_a_structure_is_none(name: str, sigma: float):
    rng = np.random.default_rng(4)
    atoms = crystals.supercell(ALMOST[name], 1500, sigma=sigma, rng=rng)
    frame = CrystalNet().analyze(atoms, centers=np.arange(0, len(atoms), 75))
    assert (frame.labels == NUMBER["other"]).mean() > 0.95


@pytest.mark.parametrize("name", ["fcc", "bcc", "hcp", "diam"])
def test_vacancies_at_random_leave_the_name(name: str):
    rng = np.random.default_rng(6)
    atoms = crystals.supercell(crystals.unit_cell(name), 2000, sigma=0.06, rng=rng)
    atoms = atoms[rng.random(len(atoms)) > 0.2]
    frame = CrystalNet().analyze(atoms, centers=np.arange(0, len(atoms), 40))
    assert (frame.labels == NUMBER[name]).all()
