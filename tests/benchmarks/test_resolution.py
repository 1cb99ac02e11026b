"""The resolution benchmark: its interfaces are where it says, its measures mean what they say."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ase_crystalnet.classes import CLASSES
from ase_crystalnet.lattice.orientation import misorientation
from tests.support import REPOSITORY


@pytest.fixture
def bench(monkeypatch):
    """The benchmark's modules, imported as its command imports them."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import interfaces
    import resolution

    return interfaces, resolution


def neighbor_counts(atoms, cutoff):
    box = atoms.cell.lengths()
    points = np.mod(atoms.positions, box)
    tree = cKDTree(points, boxsize=box)
    return tree.query_ball_point(points, cutoff, return_length=True) - 1


@pytest.mark.parametrize("name", ["twin", "stacking fault", "hcp slab 6"])
def test_faults_are_close_packed_and_hexagonal_where_said(bench, name, rng):
    case = bench[0].stacking(name, 0.0, rng)
    assert (neighbor_counts(case.atoms, 1.2 * case.nearest) == 12).all()
    # The twelve neighbours have a centre of inversion in fcc, and so no odd moments.
    box = case.atoms.cell.lengths()
    points = np.mod(case.atoms.positions, box)
    near = cKDTree(points, boxsize=box).query(points, k=13)[1][:, 1:]
    v = points[near] - points[:, None]
    v = (v - box * np.rint(v / box)) / case.nearest
    odd = np.abs(np.einsum("nki,nkj,nkl->nijl", v, v, v)).max(axis=(1, 2, 3)) > 0.1
    assert (odd == (case.truth == CLASSES.index("hex/rh"))).all()
    assert ((case.distance > 0) == (case.truth == CLASSES.index("hex/rh"))).all()


@pytest.mark.parametrize("name", ["fcc-liquid", "bcc-liquid", "hcp-liquid", "diamond-liquid"])
def test_melts_face_crystals_without_overlap(bench, name, rng, tmp_path):
    case = bench[0].crystal_liquid(name, tmp_path, 0.0, rng)  # no MD there: random packings
    solid = case.truth != CLASSES.index("disordered")
    assert ((case.distance < 0) == solid).all()
    tree = cKDTree(case.atoms.positions[solid])
    assert tree.query(case.atoms.positions[~solid])[0].min() >= 0.75 * case.nearest
    # Far from the interfaces there is crystal on one side and about its density on the other.
    depth = np.abs(case.distance) / case.nearest
    both = [np.sum((depth > 2) & (depth < 7) & side) for side in (solid, ~solid)]
    assert 0.75 < both[1] / both[0] < 1.1


def test_grains_of_the_boundary_have_their_orientations(bench, rng):
    case = bench[0].sigma5(0.0, rng)
    assert misorientation(case.grains[:1], case.grains[1:], "cubic") == pytest.approx(
        36.87, abs=0.01
    )
    inside = np.abs(case.distance) > 1.5 * case.nearest
    assert (neighbor_counts(case.atoms, 1.2 * case.nearest)[inside] == 12).all()


def test_resolution_is_where_the_errors_end(bench):
    x = np.linspace(0, 5, 1001)
    measure = bench[1].resolution
    assert measure(x, x >= 0) == 0
    assert measure(x, x > 2.0) == pytest.approx(1.97, abs=0.01)  # one in a hundred may be wrong
    assert measure(x, x < 4.9) is None
    assert measure(x[:10], x[:10] >= 0) is None  # too few to tell


def test_quick_run(local_model, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "benchmarks/resolution.py",
            "--quick",
            f"--model={local_model}",
            f"--json={tmp_path / 'out.json'}",
            f"--figure={tmp_path / 'out.png'}",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "fcc-liquid: liquid" in done.stdout
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["where"]["commit"]
    melt = data["rows"][0]["methods"]["250"]["label"]
    assert melt["sides"]["fcc"]["percent"] > 90
    assert melt["profile"]["percent"][-1] > 90
    assert (tmp_path / "out.png").stat().st_size > 1000
