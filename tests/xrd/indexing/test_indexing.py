"""Lattice parameters from lines alone: exact lattices come back, chance does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.indexing import Budget, IndexLines, group_scores, index_lines
from ase_crystalnet.xrd.indexing.extinctions import settings_of
from ase_crystalnet.xrd.indexing.lattices import (
    angles_of,
    centred,
    conventional,
    matrix,
    metric_of,
    parameters_of,
    reflections_in,
)
from ase_crystalnet.xrd.indexing.refinement import figures_of_merit
from ase_crystalnet.xrd.indexing.search import Effort, candidates
from ase_crystalnet.xrd.pattern import TWO_THETA

#: A cell of each crystal system, and the Bravais lattice it is to be found as.
CELLS = {
    "cubic": ((7.3, 7.3, 7.3, 90, 90, 90), "cF"),
    "tetragonal": ((5.36, 5.36, 8.9, 90, 90, 90), "tI"),
    "hexagonal": ((6.1, 6.1, 9.3, 90, 90, 120), "hP"),
    "trigonal": ((5.5, 5.5, 13.4, 90, 90, 120), "hR"),
    "orthorhombic": ((5.1, 7.2, 9.6, 90, 90, 90), "oP"),
    "monoclinic": ((5.9, 9.7, 6.6, 90, 106, 90), "mP"),
    "triclinic": ((5.57, 6.9, 7.38, 83.6, 72.2, 79.2), "aP"),
}


def metric(parameters) -> np.ndarray:
    from ase.geometry import cellpar_to_cell

    return metric_of(np.asarray(cellpar_to_cell(parameters)))


def angles(parameters, centring: str, number: int = 26, displacement: float = 0.0) -> np.ndarray:
    hkl, squares = reflections_in(metric(parameters), 0.6)
    places = angles_of(squares[centred(hkl, centring)], displacement)
    return places[np.diff(places, prepend=0) > 0.05][:number]


def volume(parameters) -> float:
    return float(1 / np.sqrt(np.linalg.det(matrix(metric(parameters)))))


@pytest.mark.parametrize("system", CELLS)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 1000), size=st.floats(0.93, 1.07), shift=st.floats(-0.03, 0.03))
def test_a_lattice_comes_back_from_noisy_lines(system, seed, size, shift):
    parameters, lattice = CELLS[system]
    scaled = tuple(np.array(parameters) * [size, size, size, 1, 1, 1])
    rng = np.random.default_rng(seed)
    places = angles(scaled, lattice[1], displacement=shift)
    places = np.sort(places + rng.normal(0, 0.004, len(places)))
    cells, _ = index_lines(IndexLines.from_angles(places[np.diff(places, prepend=0) > 0], 0.006))
    best = cells[0]
    assert best.convincing
    assert best.family == lattice[0]
    assert best.volume == pytest.approx(volume(scaled), rel=3e-3)
    lengths = np.sort(best.parameters[:3])
    if lattice[0] not in "am":  # others have one setting only
        assert lengths == pytest.approx(np.sort(scaled[:3]), rel=2e-3)
        assert best.centring == lattice[1]
    assert best.m > 10
    assert best.indexed >= min(20, len(places)) - 1


def test_lines_of_another_phase_are_left_out_and_counted():
    parameters, lattice = CELLS["orthorhombic"]
    places = angles(parameters, lattice[1])
    middle = 0.5 * (places[4] + places[5]), 0.5 * (places[9] + places[10])
    lines = IndexLines.from_angles(np.sort([*places, *middle]), 0.006)
    cells, _ = index_lines(lines)
    best = cells[0]
    assert best.lattice == lattice
    assert best.volume == pytest.approx(volume(parameters), rel=2e-3)
    assert best.spurious >= 1


def test_an_error_bar_holds_the_lattice():
    parameters, lattice = CELLS["tetragonal"]
    inside = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        places = angles(parameters, lattice[1])
        lines = IndexLines.from_angles(places + rng.normal(0, 0.006, len(places)), 0.006)
        best = index_lines(lines)[0][0]
        off = np.abs(best.parameters[[0, 2]] - np.array(parameters)[[0, 2]])
        inside.append((off < 3 * best.errors[[0, 2]]).all())
    assert np.mean(inside) >= 0.8


def test_lines_at_random_are_not_indexed():
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        places = np.sort(rng.uniform(10, 60, 22))
        cells, _ = index_lines(IndexLines.from_angles(places, 0.008))
        found.append(bool(cells) and cells[0].convincing)
    assert not any(found)


def test_a_search_ends_after_its_tries():
    places = angles((9.1, 14.2, 11.3, 95, 101, 98), "P", 26)
    small = Budget(boxes=2000, monoclinic=500, triclinic=300)
    lines = IndexLines.from_angles(places)
    _, effort = index_lines(lines, small)
    assert set(effort.tries) == {"c", "t", "h", "o", "m", "a"}
    # The try that is one too many is counted.
    assert all(effort.tries[family] <= small.boxes + 1 for family in "ctho")
    assert effort.tries["m"] <= 2 * (small.monoclinic + 1)
    assert effort.tries["a"] <= 3 * (small.triclinic + 1)
    assert not effort.complete["o"]
    usual = Effort()
    candidates(lines, "m", effort=usual)
    assert effort.tries["m"] < usual.tries["m"] <= 2 * (Budget().monoclinic + 1)


def test_figures_of_merit_are_those_of_their_definitions():
    places = np.array([20.0, 25.0, 30.0, 40.0])
    lines = IndexLines.from_angles([20.004, 29.994, 40.002], 0.01)
    m, f, indexed, left = figures_of_merit(lines, places)
    assert (indexed, left) == (3, 0)
    off = np.array([0.004, 0.006, 0.002])
    assert f == pytest.approx(3 / (off.mean() * 4))  # N / (<|d 2theta|> N_possible)
    q = np.sin(np.radians(lines.angle / 2)) ** 2
    wanted = np.sin(np.radians(np.array([20.0, 30.0, 40.0]) / 2)) ** 2
    assert m == pytest.approx(q[-1] / (2 * np.abs(q - wanted).mean() * 4))


@pytest.mark.parametrize("system", CELLS)
def test_the_bravais_lattice_of_a_primitive_cell_is_named(system):
    parameters, lattice = CELLS[system]
    from ase.geometry import cellpar_to_cell

    vectors = np.asarray(cellpar_to_cell(parameters))
    smaller = {
        "F": [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
        "I": [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]],
        "R": [[2 / 3, 1 / 3, 1 / 3], [-1 / 3, 1 / 3, 1 / 3], [-1 / 3, -2 / 3, 1 / 3]],
        "P": np.eye(3),
    }[lattice[1]]
    found = conventional(metric_of(np.asarray(smaller) @ vectors))
    assert lattice in found
    back = parameters_of(found[lattice])
    assert np.sort(back[:3]) == pytest.approx(np.sort(parameters[:3]), rel=1e-4)


def test_every_space_group_has_its_settings():
    groups = {setting.space_group for family in "amothc" for setting in settings_of(family)[0]}
    assert groups == set(range(1, 231))
    # P 21/c: glides along a, c and the diagonal of the cell with the unique axis b.
    assert sum(setting.space_group == 14 for setting in settings_of("m")[0]) == 3


@pytest.mark.parametrize(("group", "rival"), [(62, 47), (19, 16), (61, 47), (33, 62)])
def test_extinctions_tell_groups_of_one_lattice(group, rival):
    """The pattern of a group's allowed reflections; the rival forbids others, or none."""
    import spglib

    parameters = (5.1, 7.2, 9.6, 90, 90, 90)
    hkl, squares = reflections_in(metric(parameters), 0.7)
    hall = next(h for h in range(1, 531) if spglib.get_spacegroup_type(h).number == group)
    symmetry = spglib.get_symmetry_from_database(hall)
    absent = np.zeros(len(hkl), bool)
    for rotation, shift in zip(symmetry["rotations"], symmetry["translations"], strict=True):
        phase = hkl @ shift
        absent |= (hkl @ rotation == hkl).all(axis=1) & (np.abs(phase - np.round(phase)) > 1e-3)
    rng = np.random.default_rng(group)
    places = angles_of(squares)
    heights = np.where(absent, 0.0, rng.exponential(1.0, len(hkl)))
    grid = np.zeros(len(TWO_THETA))
    for place, height in zip(places, heights, strict=True):
        grid += height * np.exp(-4 * np.log(2) * ((TWO_THETA - place) / 0.08) ** 2)
    grid = np.maximum(grid / grid.max() + rng.normal(0, 0.001, len(grid)), 0)
    shown = places[~absent & (heights > 0.03)]
    lines = IndexLines.from_angles(shown[np.diff(shown, prepend=0) > 0.05], 0.006)
    cell = next(c for c in index_lines(lines)[0] if c.lattice == "oP")
    scores = group_scores(cell, grid, (5.0, 90.0), 0.08)
    if rival == 62:  # the same absences: no pattern tells them apart
        assert scores[group] == pytest.approx(scores[rival], abs=1.0)
    else:
        assert scores[group] > scores[rival] + 3
    assert scores[group] > max(scores.values()) - 4


@pytest.mark.parametrize(
    ("places", "sigma", "message"),
    [
        ([10, 20, 15], 0.01, "do not rise"),
        ([10, 20, 190], 0.01, "between 0 and 180"),
        ([[10, 20]], 0.01, "list of angles"),
        ([10, 20], 0.0, "not positive"),
        ([10, np.nan], 0.01, "between 0 and 180"),
    ],
)
def test_lines_that_are_none_are_refused(places, sigma, message):
    with pytest.raises(InputError, match=message):
        IndexLines.from_angles(places, sigma)


def test_few_lines_are_refused():
    with pytest.raises(InputError, match="5 lines; expected 6"):
        index_lines(IndexLines.from_angles([10, 20, 30, 40, 50]))


def test_a_wide_or_faint_line_is_not_indexed():
    from ase_crystalnet.xrd.phases.cell import Positions

    n = 8
    positions = Positions(
        np.linspace(10, 60, n), np.full(n, 0.003), np.full(n, 0.1), np.full(n, 0.5),
        np.full(n, 40.0),
    )  # fmt: skip
    assert len(IndexLines.of(positions)) == n
    width = positions.width.copy()
    width[3] = 0.9
    height = positions.height.copy()
    height[5] = 0.001
    fewer = IndexLines.of(replace(positions, width=width, height=height))
    assert len(fewer) == n - 2
    assert len(IndexLines.of(positions, np.arange(n) != 2)) == n - 1
