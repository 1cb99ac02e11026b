"""Poles named: crystals by name, planes that scatter, orientation and scales from poles."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from scipy.spatial.transform import Rotation

from ase_crystalnet.atom_probe.crystal import name_poles, read_crystal
from ase_crystalnet.atom_probe.search.poles import Pole
from ase_crystalnet.errors import InputError

SCALES = np.array([0.98, 0.98, 1.05])


def pole(q):
    """A pole of many windows at a wave vector without 2 pi."""
    size = float(np.linalg.norm(q))
    normal = q / size * (1 if q[2] >= 0 else -1)
    return Pole(normal, 1 / size, 0.005, 0.5, np.arange(20), 9, 0.01, 1e-9, 0.5)


def poles_of(crystal, planes, turn, rng, noise=0.002):
    vectors = crystal.vectors(np.array(planes)) @ turn.T / SCALES
    vectors = vectors + noise * rng.normal(size=vectors.shape)
    return [pole(q) for q in vectors]


def test_planes_and_families():
    aluminium = read_crystal("Al")
    indices, share = aluminium.planes(1.2)
    assert {aluminium.label(i) for i in indices} == {
        "{1 1 1}", "{2 0 0}", "{2 2 0}", "{3 1 1}",
    }  # fmt: skip
    np.testing.assert_allclose(share, 1.0)
    assert len(indices) == 4 + 3 + 6 + 12
    titanium = read_crystal("Ti")
    assert titanium.hexagonal and titanium.label(np.array([-1, 0, 0])) == "{1 0 -1 0}"
    assert titanium.label(np.array([0, 0, 2])) == "{0 0 0 2}"


@pytest.mark.parametrize(
    ("name", "planes"),
    [
        ("Al", [(0, 0, 2), (1, 1, 1), (-1, 1, 3), (0, 2, 2)]),
        ("W", [(0, 1, 1), (1, 1, 2), (-1, 1, 2), (0, 0, 2)]),
        ("Ti", [(0, 0, 2), (0, 1, 1), (1, 0, 1), (0, 1, 2)]),
    ],
)
def test_orientation_scales_and_names(name, planes, rng):
    crystal = read_crystal(name)
    for _ in range(5):
        turn = Rotation.random(random_state=rng).as_matrix()
        found = name_poles(poles_of(crystal, planes, turn, rng), crystal)
        assert found.names == tuple(crystal.label(np.array(p)) for p in planes)
        assert found.certain
        # The orientation, but for the crystal's symmetry.
        vectors = crystal.vectors(found.indices) @ found.orientation.T
        true = crystal.vectors(np.array(planes)) @ turn.T
        cosine = np.abs((vectors * true).sum(axis=1)) / (true**2).sum(axis=1)
        assert (cosine > np.cos(np.deg2rad(3.5))).all()


def test_depth_scale_of_planes_across_it(rng):
    crystal = read_crystal("Al")
    planes = [(0, 0, 2), (1, 1, 1), (-1, 1, 1), (1, 1, 3)]
    off = []
    for _ in range(8):
        turn = Rotation.from_euler("xz", rng.uniform(-0.15, 0.15, 2)).as_matrix()
        found = name_poles(poles_of(crystal, planes, turn, rng, 0.001), crystal)
        assert found.depth_error < 0.02
        off.append(found.depth_scale / 1.05 - 1)
        assert found.suggestion.startswith("multiply k x F by 0.97")
    assert np.abs(np.mean(off)) < 0.006


def test_poles_of_another_crystal_get_no_certain_name(rng):
    turn = Rotation.random(random_state=rng).as_matrix()
    poles = poles_of(read_crystal("fcc:5.6"), [(2, 0, 0), (0, 2, 0), (0, 0, 2)], turn, rng)
    # Spacings of 2.8 Angstrom: aluminium has none above 2.34.
    found = name_poles(poles, read_crystal("Al"))
    assert not found.certain and not any(found.names)
    assert found.suggestion.startswith("none")


def test_one_direction_is_named_by_its_spacing(rng):
    found = name_poles([pole(np.array([0, 0, 1 / 2.28]))], read_crystal("W"))
    assert found.names == ("{1 1 0}",) and not found.certain
    assert found.depth_scale == pytest.approx(2.28 / 2.238, rel=1e-2)
    # Between {111} and {200} of a crystal it is left open.
    between = name_poles([pole(np.array([0, 0, 1 / 2.18]))], read_crystal("Al"))
    assert between.names == ("",)
    with pytest.raises(InputError, match="no poles"):
        name_poles([], read_crystal("Al"))


def test_crystals_from_files_and_bad_ones(tmp_path):
    write(tmp_path / "nial.cif", bulk("NiAl", "cesiumchloride", a=2.89))
    assert read_crystal(tmp_path / "nial.cif").label(np.array([0, 1, 1])) == "{1 1 0}"
    (tmp_path / "text.cif").write_text("not a crystal")
    for bad in ("Xx", "fcc", "fcc:0", str(tmp_path / "text.cif"), str(tmp_path / "none.cif")):
        with pytest.raises(InputError):
            read_crystal(bad)
