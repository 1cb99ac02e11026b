"""Answers taken over are those that every window would have had."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal
from hypothesis import given, settings
from hypothesis import strategies as st

import ase_crystalnet.local.reuse as module
from ase_crystalnet import CrystalNet, crystals
from ase_crystalnet.crystals import polycrystal
from ase_crystalnet.errors import InputError
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.windows.windower import SparseWindowWarning
from tests.support.stackings import FCC_WITH, stacked


def hot(name: str, repeat: int, sigma: float, seed: int = 0) -> Atoms:
    rng = np.random.default_rng(seed)
    cell = crystals.unit_cell(name)
    atoms = cell.repeat(repeat)
    scale = sigma * crystals.nearest_distance(cell)
    atoms.positions += rng.normal(scale=scale, size=atoms.positions.shape)
    return atoms


def melting() -> Atoms:
    """A slab of fcc between two layers of random packing."""
    rng = np.random.default_rng(1)
    liquid = crystals.random_packing(1500, rng=rng)
    solid = crystals.fcc(2.56).repeat((6, 6, 9))
    edges, edge = solid.cell.lengths(), liquid.cell.lengths()
    liquid.set_cell([edges[0], edges[1], edge[2] * (edge[0] / edges[0]) ** 2 * 1.05], True)
    liquid.positions[:, 2] += edges[2]
    solid.positions += rng.normal(scale=0.06 * 2.56, size=solid.positions.shape)
    both = solid + liquid
    both.set_cell([edges[0], edges[1], edges[2] + liquid.cell.lengths()[2]])
    return both


def shifted() -> Atoms:
    """Simple cubic, in one half with every second site shifted, as in bismuth."""
    ideal = crystals.unit_cell("sc").repeat((14, 9, 9))
    distance = crystals.nearest_distance(crystals.unit_cell("sc"))
    sites = np.rint(ideal.positions / distance).astype(int)
    moved = (sites.sum(axis=1) % 2 == 1) & (sites[:, 0] >= 7)
    ideal.positions[moved] += 0.06 * distance
    rng = np.random.default_rng(2)
    ideal.positions += rng.normal(scale=0.03 * distance, size=ideal.positions.shape)
    return ideal


SYSTEMS = {
    "hot copper": lambda: hot("fcc", 9, 0.08),
    "bcc": lambda: hot("bcc", 12, 0.08),
    "hcp": lambda: hot("hcp", 12, 0.08),
    "diamond": lambda: hot("diam", 7, 0.06),
    "twins": lambda: stacked(FCC_WITH["twin"], 11, sigma=0.05)[0],
    "intrinsic": lambda: stacked(FCC_WITH["intrinsic"], 11, sigma=0.05)[0],
    "melting": melting,
    "grains": lambda: polycrystal(crystals.fcc(2.56), 7000, 2, sigma=0.05, rng=0)[0],
    "two forms of one lattice": shifted,
}


def both(
    net: CrystalNet, atoms: Atoms, centers: Any = "grid"
) -> tuple[FrameAnalysis, FrameAnalysis]:
    """Answers with and without taking over."""
    method = net.of_windows()
    some = replace(method, reuse=True).analyze(atoms, centers)
    return some, replace(method, reuse=False).analyze(atoms, centers)


class Counter:
    """Windows that went the whole way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.whole = 0
        look = module._Work._look

        def counted(work: Any, batch: Any, which: Any, *rest: Any) -> None:
            self.whole += len(which)
            look(work, batch, which, *rest)

        monkeypatch.setattr(module._Work, "_look", counted)


@pytest.mark.parametrize("name", SYSTEMS)
def test_labels_are_those_of_every_window_computed(net: CrystalNet, name: str) -> None:
    atoms = SYSTEMS[name]()
    some, full = both(net, atoms)
    assert (some.labels == full.labels).mean() >= 0.997
    assert (some.atom_labels == full.atom_labels).mean() >= 0.998
    assert (some.stacking == full.stacking).mean() >= 0.998
    assert sorted(some.fault_kind) == sorted(full.fault_kind)
    known = np.isfinite(full.lattice).all(axis=(1, 2))
    assert (np.isfinite(some.lattice).all(axis=(1, 2)) == known).all()
    ratio = np.linalg.det(some.lattice[known]) / np.linalg.det(full.lattice[known])
    assert np.abs(ratio - 1).max() < 0.02
    assert np.abs(some.order - full.order).max() < 0.1
    assert np.nanmax(np.abs(some.coherence - full.coherence)) < 0.08
    strained = np.isfinite(full.strain).all(axis=(1, 2))
    assert np.abs(some.strain[strained] - full.strain[strained]).max() < 0.02
    assert (some.superlattice == full.superlattice).all()


@pytest.mark.parametrize(
    ("name", "most"), [("hot copper", 0.1), ("bcc", 0.1), ("hcp", 0.1), ("melting", 0.9)]
)
def test_few_windows_of_a_crystal_go_the_whole_way(
    net: CrystalNet, monkeypatch: pytest.MonkeyPatch, name: str, most: float
) -> None:
    counter = Counter(monkeypatch)
    frame = net.analyze(SYSTEMS[name](), centers="grid")
    assert 1 <= counter.whole <= most * frame.number_of_windows


def test_neither_batches_nor_threads_matter(net: CrystalNet) -> None:
    atoms = SYSTEMS["melting"]()
    method = net.of_windows()
    given = method.analyze(atoms, "grid")
    small = replace(method, batch_size=37).analyze(atoms, "grid")
    threads = replace(method, windower=replace(method.windower, workers=3)).analyze(atoms, "grid")
    for other in (small, threads):
        np.testing.assert_array_equal(other.labels, given.labels)
        np.testing.assert_allclose(other.probabilities, given.probabilities, atol=2e-6)
        np.testing.assert_array_equal(other.order, given.order)
        np.testing.assert_array_equal(other.lattice, given.lattice)


def test_the_order_of_atoms_does_not_matter(net: CrystalNet) -> None:
    atoms = SYSTEMS["grains"]()
    given = net.analyze(atoms, centers="grid")
    order = np.random.default_rng(0).permutation(len(atoms))
    method = replace(net.of_windows(), reuse=True)
    shuffled = method.analyze(atoms[order], given.centers)
    # Where nothing is certain, neither is the search for lattices, whatever is taken over.
    crystal = given.certainty > 0.99
    assert crystal.mean() > 0.2
    np.testing.assert_array_equal(shuffled.labels[crystal], given.labels[crystal])
    np.testing.assert_allclose(shuffled.order[crystal], given.order[crystal], atol=1e-4)
    # Of equally short vectors either may be the first.
    volumes = [np.linalg.det(frame.lattice[crystal]) for frame in (shuffled, given)]
    np.testing.assert_allclose(*volumes, rtol=1e-4)


def test_the_order_of_windows_does_not_matter(net: CrystalNet) -> None:
    atoms = SYSTEMS["twins"]()
    method = net.of_windows()
    centers = method.analyze(atoms, "grid").centers
    order = np.random.default_rng(0).permutation(len(centers))
    method = replace(method, reuse=True)
    one, other = method.analyze(atoms, centers), method.analyze(atoms, centers[order])
    np.testing.assert_array_equal(one.labels[order], other.labels)
    np.testing.assert_allclose(one.probabilities[order], other.probabilities, atol=2e-5)
    np.testing.assert_allclose(one.coherence[order], other.coherence, atol=1e-4)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["fcc", "bcc", "hcp"]))
def test_crystals_that_meet_keep_their_names(net: CrystalNet, seed: int, name: str) -> None:
    """Half fcc, half another, each strained a little and with some atoms missing."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, kind in enumerate(("fcc", name)):
        atoms = hot(kind, 12, rng.uniform(0.02, 0.08), int(rng.integers(2**31)))
        pull = np.eye(3) + rng.normal(scale=0.01, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ pull, scale_atoms=True)
        atoms = crystals.rotated(atoms, rng)[0]
        middle = atoms.cell.array.sum(axis=0) / 2
        inside = (np.abs(atoms.positions - middle) < 10).all(axis=1)
        inside &= rng.random(len(atoms)) > rng.uniform(0, 0.2)
        points = atoms.positions[inside] - middle
        points[:, 0] += 20.0 * number
        parts.append(Atoms(f"Cu{len(points)}", points))
    some, full = both(net, parts[0] + parts[1])
    assert (some.labels == full.labels).mean() >= 0.98
    assert (some.atom_labels == full.atom_labels).mean() >= 0.98


def test_atoms_as_centres(net: CrystalNet, monkeypatch: pytest.MonkeyPatch) -> None:
    atoms = SYSTEMS["twins"]()
    chosen = np.arange(0, len(atoms), 5)
    counter = Counter(monkeypatch)
    some, full = both(net, atoms, chosen)
    assert 0 < counter.whole < len(chosen)
    assert (some.labels == full.labels).mean() >= 0.998
    before = counter.whole
    net.analyze(atoms, centers=chosen[:50])
    assert counter.whole == before, "windows that were asked for one by one go the whole way"


def test_crystals_of_no_name_are_taken_over_too(
    net: CrystalNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = crystal(
        ("Cr", "Si"), [(0.25, 0, 0.5), (0, 0, 0)], spacegroup=223, cellpar=[4.56] * 3 + [90] * 3
    )
    ideal = cell.repeat(5)
    moved = np.random.default_rng(0).normal(scale=0.06, size=ideal.positions.shape)
    atoms = Atoms(ideal.numbers, ideal.positions + moved, cell=ideal.cell, pbc=True)
    counter = Counter(monkeypatch)
    some = net.analyze(atoms, "grid")
    assert counter.whole < 0.2 * some.number_of_windows
    full = replace(net.of_windows(), reuse=False).analyze(atoms, "grid")
    names = np.array(full.classes)
    assert (names[full.labels] == "other").mean() > 0.9
    np.testing.assert_array_equal(some.labels, full.labels)


def test_uncertain_windows_give_nothing_away(
    net: CrystalNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = net.of_windows()
    classifier = method.classifier
    predict = type(classifier).predict
    monkeypatch.setattr(
        type(classifier), "predict", lambda self, images: 0.9 * predict(self, images) + 0.1 / 13
    )
    counter = Counter(monkeypatch)
    frame = method.analyze(SYSTEMS["hot copper"](), "grid")
    assert counter.whole == frame.number_of_windows


def test_sparse_windows_are_warned_of_once(net: CrystalNet) -> None:
    atoms = hot("fcc", 6, 0.05)
    atoms.pbc = False
    atoms.center(vacuum=20.0)
    method = net.of_windows()
    warned = replace(method, windower=replace(method.windower, on_sparse="warn", min_atoms=150))
    with pytest.warns(SparseWindowWarning) as said:
        frame = warned.analyze(atoms, "grid")
    assert len(said) == 1 and f"{int(frame.sparse.sum())} of {frame.number_of_windows}" in str(
        said[0].message
    )


@pytest.mark.parametrize("option", [{"classes": "symmetry"}, {"species": "form-factor"}])
def test_what_cannot_be_compared_is_refused(option: dict[str, str]) -> None:
    with pytest.raises(InputError, match="reuse=True does not apply"):
        CrystalNet(reuse=True, **option)  # type: ignore[arg-type]
    assert isinstance(CrystalNet(**option), CrystalNet)  # type: ignore[arg-type]
