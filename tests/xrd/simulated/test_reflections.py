"""Reflections and lines of powder patterns: pymatgen's, extinctions, invariance, bad input."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.io import read

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.simulated.reflections import (
    Reflections,
    peaks,
    reflections,
    reflections_of,
)

pymatgen_xrd = pytest.importorskip("pymatgen.analysis.diffraction.xrd")


def profile(angles: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Lines as narrow Gaussians, so that lines split by rounding compare equal."""
    grid = np.arange(5, 90, 0.02)
    y = (heights[:, None] * np.exp(-0.5 * ((grid - angles[:, None]) / 0.05) ** 2)).sum(axis=0)
    return y / y.max()


def by_pymatgen(lattice, numbers, fractional, occupancies=None) -> np.ndarray:
    from ase.data import chemical_symbols
    from pymatgen.core import Structure

    shares = np.ones(len(numbers)) if occupancies is None else occupancies
    species = [{chemical_symbols[z]: o} for z, o in zip(numbers, shares, strict=True)]
    found = pymatgen_xrd.XRDCalculator(1.5406).get_pattern(
        Structure(lattice, species, fractional), two_theta_range=(5, 90)
    )
    return profile(np.array(found.x), np.array(found.y))


def test_form_factors_are_pymatgens() -> None:
    from ase_crystalnet.xrd.simulated.reflections import _gaussians

    theirs = {k: v for k, v in pymatgen_xrd.ATOMIC_SCATTERING_PARAMS.items() if k != "D"}
    assert _gaussians() == theirs


def random_crystal(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cell = np.diag(rng.uniform(4, 8, 3)) + rng.uniform(-1, 1, (3, 3))
    return cell, rng.choice([1, 8, 14, 26, 57, 82], 7), rng.random((7, 3))


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_pymatgen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lattice, numbers, positions = random_crystal(rng)
    shares = rng.uniform(0.3, 1.0, len(numbers))
    ours = profile(*peaks(reflections(lattice, numbers, positions, shares)))
    assert np.abs(ours - by_pymatgen(lattice, numbers, positions, shares)).max() < 2e-5


def test_agrees_with_pymatgen_on_real_structures(data_dir: Path) -> None:
    path = data_dir / "structures" / "materials_project_b.jsonl.gz"
    if not path.is_file():
        pytest.skip("no structures in the data folder")
    with gzip.open(path, "rt") as file:
        records = [json.loads(line) for i, line in enumerate(file) if i % 400 == 0]
    for record in records:
        given = record["lattice"], record["Z"], record["frac"]
        assert np.abs(profile(*peaks(reflections(*given))) - by_pymatgen(*given)).max() < 1e-4


def test_face_centring_and_glide_planes_extinguish() -> None:
    # hkl of unmixed parity only; diamond lacks h + k + l = 4n + 2 besides.
    def squares(atoms: Atoms, a: float) -> set[int]:
        angles, _ = peaks(reflections_of(atoms))
        return set(np.rint((2 * np.sin(np.radians(angles / 2)) / 1.5406 * a) ** 2).astype(int))

    fcc = bulk("Cu", cubic=True)
    strengths = reflections_of(fcc).strengths
    assert (strengths < 1e-9 * strengths.max()).sum() > len(strengths) / 2
    visible = reflections_of(fcc).stronger_than(1e-6)
    found = np.rint((visible.lengths * 3.61) ** 2).astype(int)
    assert set(found) == {3, 4, 8, 11, 12}
    diamond = reflections_of(bulk("Si", cubic=True)).stronger_than(1e-6)
    assert {3, 8, 11, 16, 19, 24, 27} == set(np.rint((diamond.lengths * 5.43) ** 2).astype(int))
    assert 3 in squares(bulk("Si", cubic=True), 5.43)


def test_cell_origin_and_orientation_do_not_matter(rng: np.random.Generator) -> None:
    lattice, numbers, positions = random_crystal(rng)
    atoms = Atoms(numbers, scaled_positions=positions, cell=lattice, pbc=True)
    reference = profile(*peaks(reflections_of(atoms)))
    moved = atoms.copy()
    moved.translate([0.3, -1.1, 0.7])
    moved.rotate(37, (1, 2, 3), rotate_cell=True)
    large = make_supercell(atoms, [[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    for other in (moved, large):
        assert np.abs(profile(*peaks(reflections_of(other))) - reference).max() < 1e-6


def test_inversion_gives_the_same_pattern(rng: np.random.Generator) -> None:
    lattice, numbers, positions = random_crystal(rng)
    a, b = (reflections(lattice, numbers, x) for x in (positions, -positions))
    np.testing.assert_allclose(a.strengths, b.strengths, rtol=1e-9, atol=1e-6)


def test_occupancies_of_a_cif(tmp_path: Path) -> None:
    path = tmp_path / "mixed.cif"
    path.write_text(
        "data_x\n_cell_length_a 5\n_cell_length_b 5\n_cell_length_c 5\n_cell_angle_alpha 90\n"
        "_cell_angle_beta 90\n_cell_angle_gamma 90\n_space_group_IT_number 1\nloop_\n"
        "_symmetry_equiv_pos_as_xyz\n'x,y,z'\nloop_\n_atom_site_label\n_atom_site_type_symbol\n"
        "_atom_site_occupancy\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
        "Na1 Na 0.7 0 0 0\nK1 K 0.3 0 0 0\nCl1 Cl 1.0 0.5 0.5 0.5\n"
    )
    ours = reflections_of(read(path))
    sites = [[0, 0, 0], [0, 0, 0], [0.5, 0.5, 0.5]]
    by_hand = reflections(5 * np.eye(3), [11, 19, 17], sites, [0.7, 0.3, 1.0])
    np.testing.assert_allclose(ours.strengths, by_hand.strengths)


def test_wavelength_moves_the_lines() -> None:
    copper = reflections_of(bulk("Cu", cubic=True)).stronger_than(1e-6)
    short, _ = peaks(copper, wavelength=0.7093, two_theta=(5, 40))
    long, _ = peaks(copper)
    d_short = 0.7093 / 2 / np.sin(np.radians(short / 2))
    d_long = 1.5406 / 2 / np.sin(np.radians(long / 2))
    np.testing.assert_allclose(d_short[: len(d_long)], d_long, rtol=1e-9)


def test_heights_are_in_percent_of_the_strongest() -> None:
    _, heights = peaks(reflections_of(bulk("Si", cubic=True)))
    assert heights.max() == 100


@pytest.mark.parametrize(
    ("lattice", "numbers", "positions", "words"),
    [
        (np.zeros((3, 3)), [14], [[0, 0, 0]], "volume"),
        (np.eye(2), [14], [[0, 0, 0]], "lattice"),
        (5 * np.eye(3), [], np.zeros((0, 3)), "atomic numbers"),
        (5 * np.eye(3), [14], [[0, 0]], "expected"),
        (5 * np.eye(3), [14], [[0, 0, np.nan]], "finite"),
        (5 * np.eye(3), [118], [[0, 0, 0]], "form factor"),
        (5 * np.eye(3), [0], [[0, 0, 0]], "form factor"),
        (1.01 * np.eye(3), [14], [[0, 0, 0]], "no reflection"),
    ],
)
def test_bad_structures(lattice, numbers, positions, words: str) -> None:
    with pytest.raises(InputError, match=words):
        reflections(lattice, numbers, positions)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (np.zeros((3, 3)), "volume is 0"),
        ([[5, 0, 0], [5, 0, 0], [0, 0, 5]], "volume is 0"),
        ([[5, 0, 0], [0, 5, 0], [0, 0, np.nan]], "volume is nan"),
        ([[1e200, 0, 0], [0, 1e200, 0], [0, 0, 1e200]], "volume is inf"),
        # Long vectors that are nearly parallel: 500 cubic Angstrom, and 10^10 Miller indices.
        ([[1e30, 0, 0], [0, 1e-29, 0], [0, 0, 50]], "reduce the cell"),
        ([[1e5, 0, 0], [1e5, 1e-3, 0], [0, 0, 5]], "reduce the cell"),
    ],
)
def test_cells_without_a_volume_or_that_take_for_ever(cell, words: str) -> None:
    atoms = Atoms("Si", [[0, 0, 0]], cell=cell, pbc=True)
    with pytest.raises(InputError, match=words):
        reflections_of(atoms)


@pytest.mark.parametrize("angles", [(5, 170), (40, 30), (-1, 20)])
def test_bad_ranges(angles: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="two-theta"):
        peaks(reflections_of(bulk("Cu")), two_theta=angles)


def test_no_line_in_the_range() -> None:
    angles, heights = peaks(Reflections(np.array([[0.9, 0, 0]]), np.ones(1)), two_theta=(5, 20))
    assert len(angles) == len(heights) == 0
