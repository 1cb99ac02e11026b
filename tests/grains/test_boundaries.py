"""Misorientations and coincidences, against known ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ase_crystalnet.grains.boundaries import (
    brandon,
    coincidence,
    contacts,
    disorientation,
    special_rotations,
)

CUBIC = Rotation.create_group("O").as_matrix()
#: Sigma, angle and axis of the disorientation: Grimmer, Bollmann & Warrington, Acta Cryst. A30, 197
#: (1974).
KNOWN = (
    (3, 60.0, (1, 1, 1)),
    (5, 36.87, (1, 0, 0)),
    (7, 38.21, (1, 1, 1)),
    (9, 38.94, (1, 1, 0)),
    (11, 50.48, (1, 1, 0)),
    (13, 22.62, (1, 0, 0)),
    (13, 27.80, (1, 1, 1)),
    (15, 48.19, (2, 1, 0)),
    (17, 28.07, (1, 0, 0)),
    (17, 61.93, (2, 2, 1)),
    (19, 26.53, (1, 1, 0)),
    (19, 46.83, (1, 1, 1)),
)


@pytest.mark.parametrize(("sigma", "angle", "axis"), KNOWN)
def test_known_coincidences(sigma, angle, axis):
    rng = np.random.default_rng(sigma)
    first = Rotation.random(random_state=rng)
    unit = np.array(axis) / np.linalg.norm(axis)
    # Seen from another variant of the crystal, and half of Brandon's limit away.
    off = Rotation.from_rotvec(np.radians(0.4 * brandon(sigma)) * np.array([0.6, 0.8, 0]))
    second = first * Rotation.from_rotvec(np.radians(angle) * unit) * off
    second = second.as_matrix() @ CUBIC[rng.integers(24)]
    found, deviation = coincidence(first.as_matrix(), second)
    assert found == sigma
    assert deviation == pytest.approx(0.4 * brandon(sigma), abs=0.05)
    exact = Rotation.from_rotvec(np.radians(angle) * unit).as_matrix()
    least, found_axis = disorientation(np.eye(3), exact, CUBIC)
    assert least == pytest.approx(angle, abs=0.01)
    assert np.sort(np.abs(found_axis)) == pytest.approx(np.sort(unit), abs=1e-3)


def test_small_angles_and_general_boundaries():
    tilt = Rotation.from_rotvec([0, 0, np.radians(5)]).as_matrix()
    assert coincidence(np.eye(3), tilt) == (1, pytest.approx(5))
    general = Rotation.from_rotvec(np.radians(33) * np.array([0.83, 0.53, 0.17])).as_matrix()
    sigma, deviation = coincidence(np.eye(3), general)
    assert sigma == 0 and np.isnan(deviation)


def test_there_are_as_many_coincidences_as_in_the_tables():
    indices = [sigma for sigma, _ in special_rotations()]
    assert indices == [
        3,
        5,
        7,
        9,
        11,
        13,
        13,
        15,
        17,
        17,
        19,
        19,
        21,
        21,
        23,
        25,
        25,
        27,
        27,
        29,
        29,
    ]


def test_disorientation_is_symmetric():
    first, second = Rotation.random(2, random_state=1).as_matrix()
    there, _ = disorientation(first, second, CUBIC)
    back, _ = disorientation(second, first, CUBIC)
    assert there == pytest.approx(back)
    assert there <= 62.8


def test_contacts_reach_over_atoms_of_no_grain():
    grain = np.array([1, 1, 0, 2, 2, 3])
    neighbors = np.array([[1, 2], [0, 2], [1, 3], [2, 4], [3, 3], [5, 5]])
    # Atom 2 goes to the smaller number where both are equally common; 3 is alone.
    assert set(contacts(grain, neighbors)) == {(1, 2)}
