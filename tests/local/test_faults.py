"""Stacking of single atoms, and the twin planes and stacking faults that it makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, hcp0001
from ase.io import read

from ase_crystalnet import CrystalNet, FrameAnalysis
from ase_crystalnet.classes import CLASSES, stacking_class
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.results import HDF5Writer, ResultFile
from ase_crystalnet.local.close_packed import NEIGHBOURS, NORMALS, PLACES, UP
from ase_crystalnet.results import FAULT_KINDS, TrajectoryBuilder
from tests.support.stackings import FCC_WITH, HCP_WITH, stacked

FCC, HCP = 1, 2
TENSION = np.diag([1.08**-0.5, 1.08**-0.5, 1.08])
SHEAR = np.eye(3) + 0.08 * np.outer([1, 0, 0], [0, 0, 1])


def kinds(frame: FrameAnalysis) -> list[str]:
    return sorted(fault.kind for fault in frame.faults)


def test_the_places_of_the_other_stacking_are_those_of_the_twin() -> None:
    """Mirrored in a plane, the neighbours below a fcc atom come to the other places above it."""
    for q, normal in enumerate(NORMALS):
        mirrored = NEIGHBOURS - 2 * np.outer(NEIGHBOURS @ normal, normal)
        other = PLACES[12 + 6 * q : 18 + 6 * q]
        apart = np.linalg.norm(other[:, None] - mirrored, axis=2)
        assert apart.min(axis=1).max() < 1e-12
        own = np.linalg.norm(other[:3, None] - NEIGHBOURS[UP[q]], axis=2)
        assert own.min() == pytest.approx(3**-0.5), "the two stackings are 0.58 spacings apart"


@pytest.mark.parametrize("sigma", [0.05, 0.10])
@pytest.mark.parametrize("kind", FCC_WITH)
def test_faults_in_fcc_are_found_and_named(net: CrystalNet, kind: str, sigma: float) -> None:
    atoms, hcp = stacked(FCC_WITH[kind], sigma=sigma)
    frame = net.analyze(atoms, centers="grid")
    assert kinds(frame) == [kind] * (2 if kind == "twin" else 1)
    assert (frame.stacking[hcp] == HCP).mean() > 0.99
    assert (frame.stacking[~hcp] == HCP).mean() < 0.001
    wanted = stacking_class(net.classes, "hcp")
    assert (frame.atom_labels[hcp] == wanted).mean() > 0.99
    assert (frame.atom_labels[~hcp] == wanted).mean() < 0.001
    for fault in frame.faults:
        # Rotated with the sample: the normal is that of the layers, the long axis of the cell.
        along = np.cross(*atoms.cell.array[:2])
        assert abs(fault.normal @ along) / np.linalg.norm(along) > 0.999
        assert fault.normal[np.abs(fault.normal).argmax()] > 0
        assert (frame.atom_fault[fault.atoms] >= 0).all()
        # The place lies between the layers of the fault: the nearest atoms are the fault's.
        step = atoms.positions - fault.position
        step -= np.rint(step @ np.linalg.inv(atoms.cell.array)) @ atoms.cell.array
        height = np.abs(step @ fault.normal)
        assert height[fault.atoms].max() < 2.0 * 2.55


@pytest.mark.parametrize("kind", HCP_WITH)
def test_faults_in_hcp_are_found_and_named(net: CrystalNet, kind: str) -> None:
    atoms, hcp = stacked(HCP_WITH[kind], sigma=0.05)
    frame = net.analyze(atoms, centers="grid")
    assert kinds(frame) == [kind, kind]
    assert (frame.stacking[~hcp] == FCC).mean() > 0.99
    assert (frame.stacking[hcp] == HCP).mean() > 0.99
    assert (frame.atom_labels[~hcp] == stacking_class(net.classes, "fcc")).mean() > 0.99


@pytest.mark.parametrize("kind", FCC_WITH)
def test_double_layers_of_diamond_are_the_same(net: CrystalNet, kind: str) -> None:
    atoms, hcp = stacked(FCC_WITH[kind], 8, sigma=0.08, diamond=True)
    frame = net.analyze(atoms, centers="grid")
    assert kinds(frame) == [kind] * (2 if kind == "twin" else 1)
    assert (frame.stacking[hcp] == HCP).mean() > 0.99
    assert (frame.stacking[~hcp] == HCP).mean() < 0.001
    assert (frame.atom_labels[hcp] == stacking_class(net.classes, "hcp", True)).mean() > 0.99
    assert (frame.atom_labels[~hcp] == net.classes.index("diam")).mean() > 0.99


@pytest.mark.parametrize("gradient", [TENSION, SHEAR], ids=["tension", "shear"])
def test_strain_moves_no_layer(net: CrystalNet, gradient: np.ndarray) -> None:
    atoms, hcp = stacked(FCC_WITH["intrinsic"], sigma=0.05, gradient=gradient)
    frame = net.analyze(atoms, centers="grid")
    assert kinds(frame) == ["intrinsic"]
    assert (frame.stacking[hcp] == HCP).mean() > 0.99
    assert (frame.stacking[~hcp] == HCP).mean() < 0.001


def test_vacancies_are_no_faults(net: CrystalNet) -> None:
    atoms, hcp = stacked(FCC_WITH["intrinsic"], sigma=0.05)
    kept = np.random.default_rng(0).random(len(atoms)) > 0.1
    frame = net.analyze(atoms[kept], centers="grid")
    assert kinds(frame) == ["intrinsic"]
    assert (frame.stacking[hcp[kept]] == HCP).mean() > 0.98
    assert (frame.stacking[~hcp[kept]] == HCP).mean() < 0.001


def test_a_free_surface_is_no_fault(net: CrystalNet) -> None:
    """Its atoms have no layer above them, and hence no stacking."""
    for film, state in ((fcc111("Cu", (10, 10, 10), vacuum=8.0), FCC),
                        (hcp0001("Mg", (10, 10, 10), vacuum=8.0), HCP)):  # fmt: skip
        film.positions += np.random.default_rng(0).normal(scale=0.1, size=film.positions.shape)
        frame = net.analyze(film, centers="grid")
        assert frame.faults == ()
        surface = np.isin(film.get_tags(), (1, 10))
        assert (frame.stacking[surface] == 0).all()
        assert (frame.stacking[~surface] == state).mean() > 0.98


def test_what_is_not_close_packed_has_no_stacking(net: CrystalNet) -> None:
    rng = np.random.default_rng(0)
    for cell in (bulk("Fe", cubic=True), bulk("Po", "sc", a=3.3)):
        atoms = cell.repeat(round((1500 / len(cell)) ** (1 / 3)))
        atoms.positions += rng.normal(scale=0.15, size=atoms.positions.shape)
        frame = net.analyze(atoms, centers="grid")
        assert (frame.stacking == 0).all() and frame.faults == ()
        assert np.isnan(frame.stacking_ratio).all()
    gas = Atoms("Ar1500", positions=rng.random((1500, 3)) * 35, cell=[35] * 3, pbc=True)
    assert net.analyze(gas, centers="grid").faults == ()


def test_a_cell_smaller_than_a_window(net: CrystalNet) -> None:
    """One atom a layer, whose neighbours are its own images."""
    atoms, hcp = stacked(FCC_WITH["twin"], 1)
    frame = net.analyze(atoms)
    assert (frame.stacking == np.where(hcp, HCP, FCC)).all()


def test_both_stackings_of_dhcp_are_its_own(net: CrystalNet) -> None:
    atoms, hcp = stacked((1, 1, -1, -1) * 4, sigma=0.05)
    frame = net.analyze(atoms, centers="grid")
    assert (frame.stacking == np.where(hcp, HCP, FCC)).mean() > 0.99
    assert frame.faults == ()
    assert (frame.atom_labels == net.classes.index("dhcp")).all()


def test_a_solid_beside_disorder_has_no_more_faults(net: CrystalNet) -> None:
    """A slab of fcc with one intrinsic fault; beyond it, atoms that are nowhere."""
    atoms, hcp = stacked(FCC_WITH["intrinsic"], sigma=0.08)
    fractional = atoms.get_scaled_positions()[:, 2]
    solid = np.abs(fractional - fractional[hcp].mean()) < 0.3
    rng = np.random.default_rng(1)
    atoms.positions[~solid] += rng.normal(scale=0.9, size=(int((~solid).sum()), 3))
    frame = net.analyze(atoms, centers="grid")
    assert kinds(frame) == ["intrinsic"]
    assert (frame.stacking[hcp] == HCP).mean() > 0.97
    assert (frame.stacking[~hcp] == HCP).mean() < 0.002


def test_rotation_and_order_of_atoms_change_nothing(net: CrystalNet) -> None:
    atoms, _ = stacked(FCC_WITH["extrinsic"], 8, sigma=0.05)
    frame = net.analyze(atoms, centers="grid")
    order = np.random.default_rng(0).permutation(len(atoms))
    shifted = atoms[order]
    shifted.translate([0.7, 1.1, -2.0])
    again = net.analyze(shifted, centers="grid")
    assert (again.stacking == frame.stacking[order]).mean() > 0.999
    assert kinds(again) == kinds(frame) == ["extrinsic"]


def test_one_keyword_leaves_it_out(local_model: Path) -> None:
    atoms, hcp = stacked(FCC_WITH["twin"], 8, sigma=0.05)
    frame = CrystalNet(local_model, faults=False).analyze(atoms, centers="grid")
    assert frame.faults == () and (frame.stacking == 0).all()
    assert (frame.atom_labels[hcp] == stacking_class(frame.classes, "hcp")).mean() < 0.5
    symmetry = CrystalNet(local_model, classes="symmetry").analyze(atoms, centers="grid")
    assert symmetry.faults == ()
    with pytest.raises(InputError, match="faults=True does not apply"):
        CrystalNet(local_model, classes="symmetry", faults=True)
    with pytest.raises(InputError, match="faults do not apply"):
        CrystalNet("ziletti2018", faults=False)


def test_faults_go_into_files_and_come_back(net: CrystalNet, tmp_path: Path) -> None:
    faulted = net.analyze(stacked(FCC_WITH["twin"], 8, sigma=0.05)[0], centers="grid")
    perfect = net.analyze(stacked((1,) * 12, 8, sigma=0.05)[0], centers="grid")
    assert len(faulted.faults) == 2 and perfect.faults == ()
    path = tmp_path / "faults.h5"
    builder = TrajectoryBuilder(net.classes)
    with HDF5Writer(path) as writer:
        for frame in (perfect, faulted, perfect, faulted):
            writer.append(frame)
            builder.append(frame)
    summary = builder.build()
    counts = summary.fault_counts[:, FAULT_KINDS.index("twin")]
    assert counts.tolist() == summary.columns()["faults_twin"] == [0, 2, 0, 2]
    with ResultFile(path) as file:
        assert [len(frame.faults) for frame in file] == [0, 2, 0, 2]
        for mine, back in zip(faulted.faults, file[3].faults, strict=True):
            assert mine.kind == back.kind and (mine.atoms == back.atoms).all()
            np.testing.assert_allclose(back.position, mine.position, atol=1e-4)
        assert (file[1].stacking == faulted.stacking).all()
        again = file.trajectory()
        assert (again.fault_counts == summary.fault_counts).all()
        np.testing.assert_allclose(again.fault_fraction, summary.fault_fraction)
    attached = faulted.attach(stacked(FCC_WITH["twin"], 8)[0])
    assert set(attached.arrays["crystalnet_stacking"]) == {"fcc", "hcp"}
    assert attached.info["crystalnet_faults"] == "twin twin"
    assert "faults: 2 twin" in faulted.table() and "faults" not in perfect.table()


def test_classes_of_stackings() -> None:
    assert CLASSES[stacking_class(CLASSES, "fcc") or 0] == "fcc"
    assert stacking_class(("fcc", "hcp"), "hcp") == 1
    assert stacking_class(("diam", "hexdiam", "hcp"), "hcp", diamond=True) == 1
    assert stacking_class(("bcc",), "hcp") is None


@pytest.mark.parametrize("number", [24, 29, 31, 32, 33])
def test_copper_that_melts_has_no_faults(net: CrystalNet, number: int) -> None:
    """Layers at the edge of the solid towards its melt are none."""
    path = Path(__file__).parents[2] / "examples" / "demo" / "heating.extxyz.gz"
    frame = net.analyze(read(path, index=number), centers="grid")
    assert frame.faults == () and (frame.atom_labels == frame.classes.index("hcp")).mean() < 0.002
