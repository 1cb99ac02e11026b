"""Windows: centres, radii, padding, refusal and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111
from scipy.spatial import cKDTree

from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError, SparseWindowError
from ase_crystalnet.geometry.periodic import PeriodicSpace
from ase_crystalnet.windows.windower import (
    PreparedSystem,
    SparseWindowWarning,
    WindowBatch,
    Windower,
)


def cut(atoms: Atoms, spec: object = "atoms", **parameters: object) -> WindowBatch:
    """All windows of a structure in one batch."""
    system = Windower(workers=1, **parameters).prepare(atoms)
    centers, _ = system.centers(spec)
    return next(system.batches(centers, max(len(centers), 1)))


def slab(layers: int, across: int = 14) -> Atoms:
    atoms = fcc111("Al", (across, across, layers), vacuum=20.0)
    atoms.pbc = [True, True, False]
    return atoms


# ---------------------------------------------------------------- contents of a batch
def test_batch_is_padded_and_consistent(rng):
    atoms = crystals.supercell(crystals.fcc(), 1500, sigma=0.05, vacancies=0.3, rng=rng)
    system = Windower(workers=1).prepare(atoms)
    centers, owners = system.centers("atoms")
    batches = list(system.batches(centers, 400))
    assert [len(batch) for batch in batches] == [400] * (len(atoms) // 400) + [len(atoms) % 400]
    inverse = np.linalg.inv(atoms.cell.array)
    seen = 0
    for batch in batches:
        count = batch.mask.sum(axis=1)
        assert batch.positions.dtype == np.float32
        assert batch.positions.shape[:2] == batch.mask.shape == batch.indices.shape
        assert count.max() == batch.mask.shape[1]
        prefix = np.arange(batch.mask.shape[1]) < count[:, None]
        assert (batch.mask == prefix).all()
        assert (batch.positions[~batch.mask] == 0).all()
        assert (batch.indices[~batch.mask] == -1).all()
        distance = np.linalg.norm(batch.positions, axis=2)
        assert (distance <= batch.radius[:, None] * (1 + 1e-6)).all()
        # The centre atom is the nearest, and each entry is an image of the atom it names.
        nearest = np.where(batch.mask, distance, np.inf).argmin(axis=1)
        owner = batch.indices[np.arange(len(batch)), nearest]
        assert (owner == owners[seen : seen + len(batch)]).all()
        absolute = batch.positions + batch.centers[:, None]
        off = (absolute - atoms.positions[batch.indices])[batch.mask] @ inverse
        assert np.abs(off - np.rint(off)).max() < 1e-5
        seen += len(batch)


@pytest.mark.parametrize("name", ["fcc", "bcc", "hex/rh", "sc", "diam", "bct139", "bct141"])
@pytest.mark.parametrize("wanted", [64, 120, 250, 512])
def test_bulk_window_holds_about_window_atoms(name, wanted):
    batch = cut(crystals.unit_cell(name), window_atoms=wanted)
    count = batch.mask.sum(axis=1)
    # A shell of neighbours is in or out as a whole, hence the width.
    assert (np.abs(count - wanted) <= max(0.15 * wanted, 18)).all()
    assert not batch.sparse.any()


@pytest.mark.parametrize("vacancies", [0.0, 0.2, 0.4, 0.6, 0.7])
@pytest.mark.parametrize("spec", ["atoms", "grid"])
def test_window_atoms_counts_after_vacancies(vacancies, spec, rng):
    atoms = crystals.supercell(crystals.fcc(), 4000, vacancies=vacancies, sigma=0.05, rng=rng)
    count = cut(atoms, spec).mask.sum(axis=1)
    assert 0.9 * 250 <= count.mean() <= 1.05 * 250
    assert count.min() > 0.7 * 250
    assert count.max() < 1.25 * 250


def test_equal_counts_by_brute_force(rng):
    """Every image within the radius is there, and once."""
    atoms = crystals.supercell(crystals.bcc(), 150, sigma=0.08, rng=rng)
    batch = cut(atoms)
    steps = np.arange(-3, 4)
    shifts = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3) @ atoms.cell.array
    images = (atoms.positions[None] + shifts[:, None]).reshape(-1, 3)
    for row in range(0, len(batch), 17):
        distance = np.linalg.norm(images - batch.centers[row], axis=1)
        expected = np.sort(distance[distance <= batch.radius[row]])
        got = np.linalg.norm(batch.positions[row][batch.mask[row]], axis=1)
        assert np.allclose(np.sort(got), expected, atol=1e-5)


# ---------------------------------------------------------------- surfaces, clusters, two phases
def test_surface_cuts_the_window_and_does_not_stretch_it():
    atoms = slab(24)
    batch = cut(atoms)
    bulk = cut(crystals.fcc(2.8638)).radius[0]
    assert np.allclose(batch.radius, bulk, rtol=0.02)
    depth = np.minimum(
        atoms.positions[:, 2] - atoms.positions[:, 2].min(),
        atoms.positions[:, 2].max() - atoms.positions[:, 2],
    )
    count = batch.mask.sum(axis=1)
    assert (np.abs(count[depth > bulk] - 249) <= 10).all()
    assert (count[depth < 0.1] < 0.68 * 249).all()
    assert (count[depth < 0.1] > 0.5 * 249).all()
    assert not batch.sparse.any()


@pytest.mark.parametrize(("layers", "tolerance"), [(3, 0.16), (5, 0.1), (8, 0.03)])
def test_thin_film_keeps_nearly_the_bulk_radius(layers, tolerance):
    bulk = cut(crystals.fcc(2.8638)).radius[0]
    radius = cut(slab(layers)).radius
    assert (radius >= 0.98 * bulk).all()
    assert (radius <= (1 + tolerance) * bulk).all()


def test_cluster_larger_than_a_window_is_cut_at_its_surface(rng):
    cluster, _ = crystals.random_cluster(crystals.fcc(), 18.0, rng=rng)
    batch = cut(cluster)
    bulk = cut(crystals.fcc()).radius[0]
    assert np.allclose(batch.radius, bulk, rtol=0.04)  # counting would stretch it by 26 %
    count = batch.mask.sum(axis=1)
    far = np.linalg.norm(cluster.positions, axis=1)
    assert (np.abs(count[far < 18.0 - bulk] - 249) <= 12).all()
    assert (count[far > 17.5] < 0.6 * 249).all()


def test_cluster_smaller_than_a_window_is_one_window(rng):
    cluster, _ = crystals.random_cluster(crystals.fcc(), 7.0, sigma=0.05, rng=rng)
    assert 62 < len(cluster) < 250
    batch = cut(cluster)
    assert (batch.mask.sum(axis=1) == len(cluster)).all()
    assert not batch.sparse.any()
    assert cut(cluster, [[400.0, 0.0, 0.0]]).sparse.all()


def test_two_densities_each_get_their_own_radius(rng):
    atoms = crystals.fcc().repeat((24, 8, 8))
    x = atoms.positions[:, 0] / atoms.cell[0, 0]
    atoms = atoms[(x < 0.5) | (rng.random(len(atoms)) < 0.5)]
    batch = cut(atoms)
    x = atoms.positions[:, 0] / atoms.cell[0, 0]
    dense, half = np.abs(x - 0.25) < 0.1, np.abs(x - 0.75) < 0.05
    bulk = cut(crystals.fcc()).radius[0]
    assert np.allclose(batch.radius[dense], bulk, rtol=0.01)
    assert np.allclose(batch.radius[half], bulk * 2 ** (1 / 3), rtol=0.06)


def test_gas_beside_a_crystal_does_not_widen_the_crystals_windows(rng):
    crystal = crystals.fcc().repeat((8, 8, 8))
    edge = crystal.cell[0, 0]
    gas = Atoms("Ar60", rng.random((60, 3)) * [40.0, edge, edge] + [edge + 3, 0, 0])
    atoms = crystal + gas
    atoms.set_cell([edge + 46, edge, edge])
    batch = cut(atoms)
    bulk = cut(crystals.fcc()).radius[0]
    assert np.allclose(batch.radius[: len(crystal)], bulk, rtol=0.02)
    # Deep in the gas a window takes gas, and is refused rather than filled from far away.
    deep = np.abs(atoms.positions[:, 0] - edge - 23.0) < 8.0
    assert batch.sparse[deep].mean() > 0.5


# ---------------------------------------------------------------- centres
def test_centres_of_every_kind_agree():
    atoms = crystals.supercell(crystals.fcc(), 500, sigma=0.02)
    system = Windower(workers=1).prepare(atoms)
    chosen = np.array([3, 200, len(atoms) - 1])
    mask = np.zeros(len(atoms), dtype=bool)
    mask[chosen] = True
    for spec in (chosen, chosen.tolist(), [3, 200, -1], mask, mask.tolist()):
        centers, owners = system.centers(spec)
        assert (owners == chosen).all()
        assert (centers == atoms.positions[chosen]).all()
    centers, owners = system.centers(atoms.positions[chosen])
    assert (owners == -1).all()
    assert (centers == atoms.positions[chosen]).all()
    assert system.centers([])[0].shape == (0, 3)
    assert list(system.batches(system.centers([])[0])) == []


def test_three_indices_are_not_taken_for_a_point():
    system = Windower(workers=1).prepare(crystals.supercell(crystals.fcc(), 500))
    assert system.centers([0, 1, 2])[1].tolist() == [0, 1, 2]
    assert system.centers([[0, 1, 2]])[1].tolist() == [-1]


def test_grid_divides_a_periodic_cell_evenly():
    atoms = crystals.fcc().repeat((6, 7, 8))
    system = Windower(workers=1).prepare(atoms)
    centers, owners = system.centers("grid", spacing=4.0)
    lengths = atoms.cell.lengths()
    number = np.ceil(lengths / 4.0).astype(int)
    assert len(centers) == number.prod()
    assert (owners == -1).all()
    for axis in range(3):
        values = np.unique(np.round(centers[:, axis], 6))
        assert len(values) == number[axis]
        assert np.allclose(np.diff(values), lengths[axis] / number[axis], atol=1e-5)
    default, _ = system.centers("grid")
    spacing = 2.75 * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    assert len(default) == np.ceil(lengths / spacing).prod()


@pytest.mark.parametrize("name", ["fcc", "bcc", "hex/rh", "sc", "diam", "bct139"])
@pytest.mark.parametrize("wanted", [64, 250, 512])
def test_default_spacing_follows_the_volume_of_an_atom(name, wanted):
    atoms = crystals.supercell(crystals.unit_cell(name), 1000)
    centers, _ = Windower(window_atoms=wanted, workers=1).prepare(atoms).centers("grid")
    spacing = 2.75 * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    number = np.ceil(atoms.cell.lengths() / spacing * np.array([[0.98], [1.0], [1.02]]))
    assert len(centers) in number.prod(axis=1)


def test_default_spacing_is_not_misled_by_near_neighbours(rng):
    gas = Atoms("Si4000", rng.random((4000, 3)) * 60.0, cell=[60.0] * 3, pbc=True)
    system = Windower(workers=1).prepare(gas)
    volume = 60.0**3 / 4000
    assert 2.5 * system.nearest_neighbor_distance < 1.6 * volume ** (1 / 3)
    centers, _ = system.centers("grid")
    spacing = (60.0**3 / len(centers)) ** (1 / 3)
    assert 2.3 < spacing / volume ** (1 / 3) < 2.85


def test_grid_leaves_out_empty_space():
    atoms = slab(10)
    atoms.pbc = True
    centers, _ = Windower(workers=1).prepare(atoms).centers("grid", spacing=2.0)
    bottom, top = atoms.positions[:, 2].min(), atoms.positions[:, 2].max()
    assert centers[:, 2].min() > bottom - 4.5
    assert centers[:, 2].max() < top + 4.5
    atoms.pbc = [True, True, False]
    centers, _ = Windower(workers=1).prepare(atoms).centers("grid", spacing=2.0)
    assert centers[:, 2].min() == pytest.approx(bottom)
    assert centers[:, 2].max() == pytest.approx(top)


@pytest.mark.parametrize("vacancies", [0.4, 0.7])
def test_grid_has_no_holes_where_atoms_are_missing(vacancies, rng):
    atoms = crystals.supercell(crystals.diamond(), 3000, vacancies=vacancies, rng=rng)
    centers, _ = Windower(workers=1).prepare(atoms).centers("grid", spacing=4.0)
    assert len(centers) == np.ceil(atoms.cell.lengths() / 4.0).prod()


def test_grid_of_a_cluster_with_a_far_outlier_stays_small(rng):
    cluster, _ = crystals.random_cluster(crystals.fcc(), 15.0, rng=rng)
    with_outlier = cluster + Atoms("Cu", [[1e5, 0, 0]])
    few = len(Windower(workers=1).prepare(cluster).centers("grid")[0])
    more = len(Windower(workers=1).prepare(with_outlier).centers("grid")[0])
    assert more < 1.4 * few


def test_grid_of_a_flat_sheet_lies_in_the_sheet():
    x, y = np.meshgrid(np.arange(20.0), np.arange(20.0))
    sheet = Atoms("C400", np.stack([x.ravel(), y.ravel(), np.full(400, 3.0)], axis=1) * 1.4)
    centers, _ = Windower(workers=1).prepare(sheet).centers("grid")
    assert len(centers) > 9
    assert np.allclose(centers[:, 2], 4.2)


@pytest.mark.parametrize("emptied", [False, True])
def test_nearest_of_many_centers_are_those_of_a_tree(rng, emptied):
    atoms = crystals.fcc(2.5).repeat(7)
    atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
    system = Windower(workers=1).prepare(atoms)
    edge = atoms.cell[0, 0]
    centers = rng.random((400, 3)) * edge
    if emptied:  # where half of the distance holds too few
        centers = centers[centers[:, 0] < 0.3 * edge]
    within = 2.0 * float(system.radii(centers).max())
    found, distance = system.nearest_centers(centers, 6, within)
    tree = cKDTree(centers % edge, boxsize=edge)
    wanted = tree.query(atoms.positions % edge, k=6, distance_upper_bound=within)[0]
    np.testing.assert_allclose(distance, wanted, atol=1e-6)
    assert ((found >= 0) == np.isfinite(wanted)).all()


def test_nearest_centers_crosses_the_faces():
    atoms = crystals.fcc().repeat((6, 6, 6))
    system = Windower(workers=1).prepare(atoms)
    edge = atoms.cell[0, 0]
    centers = np.array([[0.01, 0.0, 0.0], [edge / 2, edge / 2, edge / 2]])
    found, distance = system.nearest_centers(centers, 1, within=edge)
    offset = atoms.positions[:, None] - centers[None]
    offset -= edge * np.rint(offset / edge)
    expected = np.linalg.norm(offset, axis=2)
    assert np.allclose(distance[:, 0], expected.min(axis=1))
    assert np.allclose(expected[np.arange(len(atoms)), found[:, 0]], expected.min(axis=1))
    near, distance = system.nearest_centers(centers, 1, within=edge / 4)
    there = expected.min(axis=1) <= edge / 4
    assert ((near[:, 0] >= 0) == there).all()
    assert np.isinf(distance[~there]).all()


# ---------------------------------------------------------------- refusal
def test_sparse_windows_are_marked_warned_of_or_raised(rng):
    atoms = crystals.fcc().repeat((6, 6, 6))
    atoms.pbc = False
    spec = [[0.0, 0.0, 0.0], [11.0, 11.0, 11.0]]  # a corner and the middle
    assert cut(atoms, spec).sparse.tolist() == [True, False]
    with pytest.warns(SparseWindowWarning, match="1 of 2 windows"):
        system = Windower(on_sparse="warn").prepare(atoms)
        list(system.batches(system.centers(spec)[0]))
    with pytest.raises(SparseWindowError, match=r"holds \d+ atoms, fewer than 63"):
        cut(atoms, spec, on_sparse="raise")


def test_few_atoms_are_sparse_and_do_not_crash():
    assert cut(Atoms("H")).sparse.all()
    assert cut(Atoms("H"), "grid").sparse.all()
    assert cut(Atoms("H2", [[0, 0, 0], [0, 0, 1.0]])).sparse.all()
    assert cut(crystals.fcc().repeat(2) * (1, 1, 1)).mask.any()


# ---------------------------------------------------------------- bad input
@pytest.mark.parametrize("value", [63, 513, 250.0, "many", None, True])
def test_window_atoms_out_of_range(value):
    with pytest.raises(InputError, match="whole number from 64 to 512"):
        Windower(window_atoms=value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"on_sparse": "ignore"}, "expected 'refuse', 'warn' or 'raise'"),
        ({"min_atoms": 0}, "min_atoms=0"),
        ({"min_atoms": 251}, "min_atoms=251"),
    ],
)
def test_unknown_parameters(parameters, message):
    with pytest.raises(InputError, match=message):
        Windower(**parameters)


def spoiled(value: float) -> Atoms:
    atoms = crystals.fcc().repeat(3)
    atoms.positions[7, 1] = value
    return atoms


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (spoiled(np.nan), r"1 of 108 atoms have NaN or infinite positions, the first is atom 7"),
        (spoiled(np.inf), "NaN or infinite"),
        (Atoms(), "no atoms"),
        ("Al.xyz", r"expected an ase\.Atoms, got str"),
        (Atoms("H", pbc=True), "no cell vector"),
        (Atoms("H", cell=[3, 3, 0], pbc=True), "no cell vector"),
        (Atoms("H", cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], pbc=True), "span no volume"),
        (Atoms("H", cell=[[3, 0, 0], [6, 0, 0], [0, 0, 3]], pbc=[1, 1, 0]), "span no volume"),
        (Atoms("H", cell=[[np.nan, 0, 0], [0, 3, 0], [0, 0, 3]], pbc=True), "NaN or infinite"),
    ],
)
def test_bad_structures_are_named_in_one_line(atoms, message):
    with pytest.raises(InputError, match=message) as caught:
        Windower().prepare(atoms)
    assert "\n" not in str(caught.value)


def test_zero_vectors_are_fine_where_not_periodic(rng):
    cluster, _ = crystals.random_cluster(crystals.fcc(), 12.0, rng=rng)
    cluster.cell = np.zeros((3, 3))
    assert not cut(cluster, [[0.0, 0.0, 0.0]]).sparse.any()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("surface", "centers='surface' is unknown"),
        ([0, 108], "atom index 108"),
        ([-109], "atom index -109"),
        (np.ones(5, dtype=bool), "mask of 5 entries for a structure of 108"),
        (np.zeros((4, 2)), r"shape \(4, 2\)"),
        ([0.5, 0.5, 0.5], r"shape \(3,\)"),
        ([[np.nan, 0, 0]], "NaN or infinite points"),
        ([[0, 1], [2]], "ragged"),
        (None, "expected 'atoms'"),
        ({"a": 1}, "expected 'atoms'"),
    ],
)
def test_bad_centers(spec, message):
    system = Windower().prepare(crystals.fcc().repeat(3))
    with pytest.raises(InputError, match=message):
        system.centers(spec)


@pytest.mark.parametrize("spacing", [0.0, -1.0, np.nan, np.inf, "wide", 1e-9])
def test_bad_spacing(spacing):
    system = Windower().prepare(crystals.fcc().repeat(3))
    with pytest.raises(InputError, match="spacing="):
        system.centers("grid", spacing=spacing)


def test_bad_batches():
    system = Windower().prepare(crystals.fcc().repeat(3))
    assert isinstance(system, PreparedSystem)
    with pytest.raises(InputError, match="batch_size=0"):
        list(system.batches(system.centers()[0], 0))
    with pytest.raises(InputError, match=r"expected \(W, 3\)"):
        list(system.batches(np.zeros(3)))


# ---------------------------------------------------------------- periodic space
def test_ghosts_are_every_image_within_the_depth_once(rng):
    cell = np.array([[3.0, 0.0, 0.0], [2.9, 4.0, 0.0], [-1.0, 2.0, 5.0]])
    space = PeriodicSpace.of(Atoms("H", cell=cell, pbc=True))
    points = space.wrap(rng.normal(size=(5, 3)) * 20)
    images, source = space.with_ghosts(points, 7.0)
    assert (images[:5] == points).all()
    shift = (images - points[source]) @ np.linalg.inv(space.reduced)
    assert np.abs(shift - np.rint(shift)).max() < 1e-9
    pairs = np.column_stack([source, np.rint(shift)])
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    steps = np.arange(-9, 10)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    everything = (points[None] + (grid @ cell)[:, None]).reshape(-1, 3)
    for point in points:
        near = np.linalg.norm(everything - point, axis=1) <= 7.0
        assert (np.linalg.norm(images - point, axis=1) <= 7.0).sum() == near.sum()


# ---------------------------------------------------------------- the generators used above
@pytest.mark.parametrize("name", ["fcc", "bcc", "hex/rh", "sc", "diam", "bct139", "bct141"])
def test_random_cluster_is_a_whole_ball(name, rng):
    cell = crystals.unit_cell(name)
    cluster, rotation = crystals.random_cluster(cell, 14.0, rng=rng)
    expected = 4 / 3 * np.pi * 14.0**3 * len(cell) / cell.get_volume()
    assert len(cluster) == pytest.approx(expected, rel=0.05)
    assert crystals.nearest_distance(cluster) == pytest.approx(2.5)
    back = rotation.inv().apply(cluster.positions - cluster.positions[0])
    scaled = cell.cell.scaled_positions(back)[:, None] - cell.get_scaled_positions()[None]
    scaled = scaled + cell.get_scaled_positions()[:, None, None]
    off = np.abs(scaled - np.rint(scaled)).max(axis=-1)
    assert (off.min(axis=-1).max(axis=-1) < 1e-6).any()  # some motif atom explains all the others


def test_random_packing_is_dense_and_without_order(rng):
    atoms = crystals.random_packing(1000, rng=rng)
    assert crystals.nearest_distance(atoms) > 0.8 * 2.5
    assert len(atoms) / atoms.get_volume() * 2.5**3 == pytest.approx(1.2)


def test_unknown_cell_is_named():
    with pytest.raises(InputError, match="crystal 'quartz' is unknown"):
        crystals.unit_cell("quartz")


def test_one_radius_for_all_windows(rng):
    atoms = Atoms("Cu4000", rng.uniform(0, 50, (4000, 3)))
    system = Windower(window_atoms=600, radius=12.0).prepare(atoms)
    centers, _ = system.centers("grid", spacing=12.0)
    assert (system.radii(centers) == 12.0).all()
    batch = next(iter(system.batches(centers)))
    tree = cKDTree(atoms.positions)
    wanted = [len(found) for found in tree.query_ball_point(centers, 12.0)]
    assert batch.mask.sum(axis=1).tolist() == wanted
    assert batch.sparse.tolist() == [count < 150 for count in wanted]
    default, _ = system.centers("grid")
    assert 0 < len(default) < 4000


@pytest.mark.parametrize("radius", [0.0, -1.0, np.inf, np.nan])
def test_a_radius_is_a_positive_length(radius):
    with pytest.raises(InputError, match="not a positive length in Angstrom"):
        Windower(radius=radius)
