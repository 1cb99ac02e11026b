"""Maps of orientations for orix and MTEX, and figures of texture."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation

from ase_crystalnet.errors import InputError
from ase_crystalnet.grains import find_crystals
from ase_crystalnet.grains.texture import (
    bunge,
    laue_number,
    orientation_map,
    orix_phase,
    phases_of,
    write_map,
)
from ase_crystalnet.grains.texture_figures import (
    density,
    plot_inverse_pole_figures,
    plot_orientation_map,
    plot_pole_figures,
)

pytest.importorskip("orix", reason="orix is not installed (pip install '.[texture]')")


@pytest.fixture(scope="module")
def bicrystal() -> tuple[Atoms, Rotation]:
    """An fcc crystal turned by a known rotation beside an hcp one, with a gap between."""
    rng = np.random.default_rng(2)
    turn = Rotation.from_euler("ZXZ", [35, 50, 20], degrees=True)
    copper = bulk("Cu", cubic=True).repeat(16)
    copper.positions -= copper.positions.mean(axis=0)
    copper.positions = turn.apply(copper.positions)
    copper = copper[np.abs(copper.positions).max(axis=1) < 11]
    magnesium = bulk("Mg").repeat(18)
    magnesium.positions -= magnesium.positions.mean(axis=0)
    magnesium = magnesium[np.abs(magnesium.positions).max(axis=1) < 11]
    magnesium.positions += [31.0, 0, 0]
    atoms = Atoms(
        np.append(copper.numbers, magnesium.numbers),
        positions=np.vstack([copper.positions, magnesium.positions]),
    )
    atoms.positions += rng.normal(0, 0.08, (len(atoms), 3))
    return atoms, turn


@pytest.fixture(scope="module")
def found(bicrystal):
    return find_crystals(bicrystal[0])


def misorientation(first, second, group) -> float:
    """Least angle between two orientations (scipy, crystal to sample), degrees."""
    turns = Rotation.create_group(group)
    return float(np.degrees(((first.inv() * second) * turns).magnitude().min()))


def test_angles_of_bunge_give_back_the_orientation(bicrystal, found):
    one = next(row for row, each in enumerate(found) if each.space_group == 225)
    angles = bunge(found)[one]
    again = Rotation.from_euler("ZXZ", angles, degrees=True)
    assert misorientation(again, bicrystal[1], "O") < 0.3
    assert (angles >= 0).all() and angles[1] <= 180


@pytest.mark.parametrize("suffix", ["ctf", "ang"])
def test_files_hold_the_map_for_others_to_read(bicrystal, found, tmp_path, suffix):
    from orix.io import load

    atoms, turn = bicrystal
    given = orientation_map(found, atoms, step=1.0)
    path = tmp_path / f"map.{suffix}"
    write_map(given, path)
    again = load(str(path))
    assert again.shape == given.grains.shape
    copper = again[again.phase_id == _id_of(again, "225")]
    assert abs(copper.dx - 0.1) < 1e-5
    # orix turns from the sample to the crystal.
    back = Rotation.from_quat((~copper.rotations[0]).data[0][[1, 2, 3, 0]])
    assert misorientation(back, turn, "O") < 0.3
    here = given.grains > 0
    np.testing.assert_array_equal(again.is_indexed.reshape(here.shape), here)
    assert 0.3 < here.mean() < 0.95


def _id_of(given, group: str) -> int:
    point = {"225": "m-3m"}[group]
    return next(
        i for i, each in given.phases_in_data if i >= 0 and each.point_group.laue.name == point
    )


def test_poles_point_where_the_planes_do(bicrystal, found):
    """What the pole figures draw, by orix alone: (001) planes of copper lie as they were turned."""
    from orix.quaternion import Rotation as Turns
    from orix.vector import Miller

    from ase_crystalnet.grains.texture import quaternions_of

    phases, number = phases_of(found)
    phase = next(k for k, each in enumerate(phases) if each.space_group == 225)
    row = int(np.flatnonzero(number == phase)[0])
    family = Miller(hkl=[[0, 0, 1]], phase=orix_phase(phases[phase])).symmetrise(unique=True).unit
    poles = (~Turns(quaternions_of(found, None)[row + 1])).outer(family).data.reshape(-1, 3)
    axes = bicrystal[1].apply(np.eye(3))
    assert (np.abs(poles @ axes.T).max(axis=1) > np.cos(np.radians(0.5))).all()


def test_the_map_may_be_normal_to_any_axis(bicrystal, found):
    atoms, _ = bicrystal
    given = orientation_map(found, atoms, axis=0, height=0.0)
    copper = next(each.number for each in found if each.space_group == 225)
    assert set(np.unique(given.grains)) - {0} == {copper}
    angles = bunge(found, given.turn)[copper - 1]
    again = Rotation.from_euler("ZXZ", angles, degrees=True)
    # The map's z is the frame's x: what points along x there is along z here.
    np.testing.assert_allclose(
        again.inv().apply([0, 0, 1]),
        Rotation.from_euler("ZXZ", bunge(found)[copper - 1], degrees=True).inv().apply([1, 0, 0]),
        atol=1e-9,
    )


def test_density_is_one_on_average_and_for_random_directions():
    rng = np.random.default_rng(0)
    at = rng.normal(size=(4000, 3))
    at /= np.linalg.norm(at, axis=1, keepdims=True)
    single = density(at, np.array([[0.0, 0, 1]]), np.ones(1))
    assert single.mean() == pytest.approx(1, abs=0.1)
    peak = density(
        np.array([[0.0, 0, 1], [0, 0, -1], [1, 0, 0]]), np.array([[0.0, 0, 1]]), np.ones(1)
    )
    assert peak[0] == pytest.approx(peak[1]) and peak[0] > 10 and peak[2] < 1e-6
    np.testing.assert_allclose(density(at[:20], at, np.ones(len(at))), 1, atol=0.35)


def test_figures_are_drawn(bicrystal, found):
    given = orientation_map(found, bicrystal[0])
    figure = plot_orientation_map(given)
    image = figure.axes[0].images[0].get_array()
    assert len(np.unique(image.reshape(-1, 3), axis=0)) == 3  # two grains and what is none
    assert len(figure.axes) == 3
    assert len(plot_pole_figures(found).axes) == 9
    assert len(plot_inverse_pole_figures(found, phase=1).axes) == 6
    with pytest.raises(InputError, match="expected 0 to 1"):
        plot_pole_figures(found, phase=2)


@pytest.mark.parametrize(
    "group, number",
    [(1, 1), (2, 1), (3, 2), (16, 3), (75, 4), (89, 5), (148, 6), (149, 7), (168, 8), (194, 9),
     (206, 10), (225, 11), (230, 11)],
)  # fmt: skip
def test_laue_classes(group, number):
    assert laue_number(group) == number


def test_what_cannot_be_is_refused(bicrystal, found, tmp_path):
    atoms = bicrystal[0]
    with pytest.raises(InputError, match="axis is 3"):
        orientation_map(found, atoms, axis=3)
    with pytest.raises(InputError, match="height is 99"):
        orientation_map(found, atoms, height=99)
    with pytest.raises(InputError, match="step is 0"):
        orientation_map(found, atoms, step=0)
    with pytest.raises(InputError, match="given 3"):
        orientation_map(found, atoms[:3])
    with pytest.raises(InputError, match=r"ends in \.ctf or \.ang"):
        write_map(orientation_map(found, atoms), tmp_path / "map.txt")
