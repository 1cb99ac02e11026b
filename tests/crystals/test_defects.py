"""Defects: what is moved, removed and renamed, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.crystals.defects import (
    displaced,
    substituted,
    with_vacancies,
    without_body_centers,
)
from ase_crystalnet.errors import InputError

CUBE = bulk("Fe", cubic=True).repeat(5)


def test_displacements_have_the_standard_deviation_asked_for(rng: np.random.Generator) -> None:
    moved = displaced(CUBE, 0.08, rng)
    shift = moved.positions - CUBE.positions
    # 750 components: the error of their standard deviation is 2.6 %.
    assert shift.std() == pytest.approx(0.08, rel=0.1)
    assert abs(shift.mean()) < 4 * 0.08 / np.sqrt(shift.size)
    assert (moved.cell.array == CUBE.cell.array).all() and (moved.numbers == CUBE.numbers).all()
    assert (displaced(CUBE, 0.0, rng).positions == CUBE.positions).all()


@given(fraction=st.floats(0, 0.999), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_vacancies_are_as_many_as_asked_for(fraction: float, seed: int) -> None:
    left = with_vacancies(CUBE, fraction, np.random.default_rng(seed))
    assert len(left) == max(1, len(CUBE) - round(fraction * len(CUBE)))
    sites = {tuple(p) for p in CUBE.positions}
    assert len({tuple(p) for p in left.positions} & sites) == len(left)


def test_substitution_gives_every_species_its_share(rng: np.random.Generator) -> None:
    alloy = substituted(CUBE.repeat(2), ["Li", 79, "O"], rng, [0.5, 0.3, 0.2])
    assert (alloy.positions == CUBE.repeat(2).positions).all()
    for number, share in ((3, 0.5), (79, 0.3), (8, 0.2)):
        assert (alloy.numbers == number).mean() == pytest.approx(share, abs=0.05)
    assert set(substituted(CUBE, [1, 2], rng).numbers) == {1, 2}


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_only_body_centers_go(fraction: float, rng: np.random.Generator) -> None:
    left = without_body_centers(CUBE, fraction, rng)
    assert len(left) == 250 - round(fraction * 125)
    corner = np.rint(left.positions / 2.87) * 2.87
    assert (np.abs(left.positions - corner).max(axis=1) < 1e-6).sum() == 125


def test_what_is_given_stays_as_it_was(rng: np.random.Generator) -> None:
    before = CUBE.copy()
    displaced(CUBE, 0.1, rng)
    with_vacancies(CUBE, 0.5, rng)
    substituted(CUBE, [1, 2], rng)
    without_body_centers(CUBE, 0.5, rng)
    assert before == CUBE


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: displaced(CUBE, -0.1, r), "sigma is -0.1; expected"),
        (lambda r: displaced(CUBE, float("nan"), r), "sigma is nan"),
        (lambda r: with_vacancies(CUBE, 1.0, r), "fraction of vacancies is 1.0"),
        (lambda r: with_vacancies(CUBE, -0.2, r), "fraction of vacancies is -0.2"),
        (lambda r: substituted(CUBE, ["Xx"], r), "species 'Xx' is unknown"),
        (lambda r: substituted(CUBE, [0], r), "species 0 is unknown"),
        (lambda r: substituted(CUBE, [], r), "no species given"),
        (lambda r: substituted(CUBE, [1, 2], r, [0.5, 0.6]), "fractions are"),
        (lambda r: without_body_centers(CUBE, 1.5, r), "fraction of body centres is 1.5"),
        (lambda r: without_body_centers(bulk("Cu").repeat(4), 0.5, r), "no bcc supercell"),
    ],
)
def test_errors_say_what_was_given(call, message: str, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match=message):
        call(rng)
