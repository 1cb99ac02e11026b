"""The OVITO modifier on all kinds of structures, and on real files with exact counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ovito", reason="OVITO is not installed (pip install '.[ovito]')")

from ase import Atoms
from ase.build import fcc111
from ovito.data import DataCollection
from ovito.io import import_file
from ovito.io.ase import ase_to_ovito
from ovito.modifiers import DeleteSelectedModifier, ExpressionSelectionModifier

from ase_crystalnet import crystals
from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.errors import InputError
from ovito_modifier import CrystalNetModifier
from ovito_modifier.convert import to_atoms


def counts(data: DataCollection) -> dict[str, int]:
    """Counts that are not zero, by key."""
    head = "CrystalNet.counts."
    return {k.removeprefix(head): v for k, v in data.attributes.items() if k.startswith(head) and v}


def bare(positions: np.ndarray) -> DataCollection:
    """Particles without a cell."""
    data = DataCollection()
    data.create_particles(count=len(positions)).create_property("Position", data=positions)
    return data


# ---------------------------------------------------------------------- cells
def test_every_class():
    keys = {
        "bct139": "BCT139",
        "bct141": "BCT141",
        "hcp": "HCP",
        "dhcp": "DHCP",
        "hexdiam": "HEX_DIAMOND",
        "graphite": "GRAPHITE",
        "rh": "RHOMBOHEDRAL",
        "sc": "SC",
        "fcc": "FCC",
        "diam": "CUBIC_DIAMOND",
        "bcc": "BCC",
    }
    for name, key in keys.items():
        data = ase_to_ovito(crystals.supercell(crystals.unit_cell(name), 300, sigma=0.03))
        data.apply(CrystalNetModifier())
        assert counts(data) == {key: data.particles.count}


def test_cluster_without_a_cell():
    atoms, _ = crystals.random_cluster(crystals.fcc(), 15.0, rng=1)
    data = bare(atoms.positions)
    data.apply(CrystalNetModifier())
    assert counts(data) == {"FCC": len(atoms)}


def test_cluster_in_a_box_that_does_not_repeat():
    atoms, _ = crystals.random_cluster(crystals.bcc(), 12.0, rng=1)
    atoms.set_cell([30.0, 30.0, 30.0])
    data = ase_to_ovito(atoms)
    data.apply(CrystalNetModifier())
    assert counts(data) == {"BCC": len(atoms)}


@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), (-37.0, 11.0, 5.0)])
def test_triclinic_cell_with_an_origin(origin):
    """Atoms lie outside of the cell on purpose: they are wrapped."""
    atoms = crystals.fcc().repeat(4)
    atoms.set_cell(atoms.cell.array @ [[1, 0, 0], [1, 1, 0], [1, 2, 1]])
    data = ase_to_ovito(atoms)
    data.cell_[:, 3] = origin
    data.apply(CrystalNetModifier())
    assert counts(data) == {"FCC": 256}


def test_left_handed_cell():
    atoms = crystals.hcp().repeat((6, 6, 4))
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    data = ase_to_ovito(atoms)
    data.apply(CrystalNetModifier())
    assert counts(data) == {"HCP": 288}


def test_slab_periodic_in_the_plane():
    atoms = fcc111("Cu", (8, 8, 9), vacuum=10.0, periodic=False)
    data = ase_to_ovito(atoms)
    data.apply(CrystalNetModifier())
    assert counts(data) == {"FCC": 576}


@pytest.mark.parametrize("centers", ["atoms", "grid"])
def test_two_dimensional_cell(centers):
    """One layer shows no three-dimensional lattice: nothing is claimed about lattice and strain."""
    data = ase_to_ovito(fcc111("Cu", (12, 12, 1), vacuum=5.0))
    data.cell_.pbc = (True, True, True)
    data.cell_.is2D = True
    assert not to_atoms(data).pbc[2]
    data.apply(CrystalNetModifier(centers=centers, write_lattice=True))
    assert sum(counts(data).values()) == 144
    assert np.isnan(np.asarray(data.particles["CrystalNet Lattice Constant"])).all()
    assert not np.asarray(data.particles["Orientation"]).any()


# ---------------------------------------------------------------------- species
def test_two_species():
    atoms = crystals.supercell(crystals.fcc(), 500)
    atoms.symbols[::2] = "Au"
    data = ase_to_ovito(atoms)
    assert np.array_equal(to_atoms(data).numbers, atoms.numbers)
    data.apply(CrystalNetModifier())
    assert counts(data) == {"FCC": 500}


def test_types_without_chemical_names():
    atoms = crystals.supercell(crystals.bcc(), 300)
    data = bare(atoms.positions)
    data.create_cell(atoms.cell.array.T, pbc=(True, True, True))
    data.particles_.create_property("Particle Type", data=np.arange(len(atoms)) % 3)
    assert (to_atoms(data).numbers == 0).all()
    data.apply(CrystalNetModifier())
    assert counts(data) == {"BCC": len(atoms)}


# ---------------------------------------------------------------------- which particles
def test_only_selected_treats_the_others_as_absent():
    atoms = crystals.supercell(crystals.fcc(), 2000)
    inside = np.linalg.norm(atoms.positions - atoms.cell.array.sum(0) / 2, axis=1) < 11.0
    data = ase_to_ovito(atoms)
    data.particles_.create_property("Selection", data=inside.astype(np.int8))
    data.apply(CrystalNetModifier(only_selected=True))
    frame = CrystalNet().analyze(atoms[inside])
    assert np.array_equal(
        np.asarray(data.particles["CrystalNet Certainty"])[inside], frame.atom_certainty
    )
    assert np.isnan(np.asarray(data.particles["CrystalNet Certainty"])[~inside]).all()
    assert np.isnan(np.asarray(data.particles["CrystalNet Probability"])[~inside]).all()
    assert (np.asarray(data.particles["Structure Type"])[~inside] == 0).all()
    assert counts(data) == {"FCC": inside.sum(), "OTHER": (~inside).sum()}
    # Fractions are of those that took part.
    assert data.attributes["CrystalNet.fraction.FCC"] == 1.0
    assert data.attributes["CrystalNet.fraction.OTHER"] == 0.0


def test_selection_of_none():
    data = ase_to_ovito(crystals.supercell(crystals.fcc(), 500))
    data.apply(ExpressionSelectionModifier(expression="0"))
    data.apply(CrystalNetModifier(only_selected=True, write_lattice=True, lindemann_frames=2))
    assert counts(data) == {"OTHER": 500}
    assert not np.asarray(data.particles["Structure Type"]).any()
    assert np.isnan(np.asarray(data.particles["CrystalNet Lindemann"])).all()
    assert np.isnan(data.attributes["CrystalNet.mean_certainty"])


def test_only_selected_without_a_selection_is_an_error():
    data = ase_to_ovito(crystals.supercell(crystals.fcc(), 500))
    with pytest.raises(InputError, match="there is no selection"):
        data.apply(CrystalNetModifier(only_selected=True))


def test_deleted_particles():
    atoms = crystals.supercell(crystals.fcc(), 2000)
    data = ase_to_ovito(atoms)
    data.apply(ExpressionSelectionModifier(expression="Position.Z > 14"))
    data.apply(DeleteSelectedModifier())
    left = data.particles.count
    assert 0 < left < len(atoms)
    data.apply(CrystalNetModifier())
    assert counts(data) == {"FCC": left}
    assert len(data.particles["Structure Type"]) == left


def test_no_particles_left():
    data = ase_to_ovito(crystals.supercell(crystals.fcc(), 500))
    data.apply(ExpressionSelectionModifier(expression="1"))
    data.apply(DeleteSelectedModifier())
    data.apply(CrystalNetModifier(write_lattice=True, grain_segmentation=True))
    assert counts(data) == {}
    assert len(data.particles["Structure Type"]) == 0
    assert np.asarray(data.tables["crystalnet-certainty"].y).sum() == 0


def test_no_particles_at_all_is_an_error():
    with pytest.raises(InputError, match="no particles"):
        DataCollection().apply(CrystalNetModifier())


def test_unusable_positions_are_an_error():
    positions = crystals.supercell(crystals.fcc(), 300).positions
    positions[5, 1] = np.nan
    with pytest.raises(InputError, match=r"(?i)nan"):
        bare(positions).apply(CrystalNetModifier())


def test_few_particles_are_refused_not_guessed():
    data = bare(np.random.default_rng(0).uniform(0, 8, (20, 3)))
    data.apply(CrystalNetModifier())
    assert counts(data) == {"OTHER": 20}


# ---------------------------------------------------------------------- real files
REAL = [
    ("freud/fcc.gsd", "atoms", {"FCC": 1372}),
    ("freud/hcp.gsd", "atoms", {"HCP": 1024}),
    ("freud/bcc.gsd", "atoms", {"BCC": 1024}),
    ("freud/sc.gsd", "atoms", {"SC": 1000}),
    ("mdapy/hea.0.xyz", "atoms", {"FCC": 500}),
    ("mdapy/HexDiamond.xyz", "atoms", {"HEX_DIAMOND": 8}),
    ("mdapy/Ti.poscar", "atoms", {"HCP": 2}),
    ("mdapy/tri_box_small.dump", "atoms", {"FCC": 1}),
    ("atomman/fcc_Al_base.dump", "grid", {"FCC": 32640}),
]


@pytest.mark.parametrize(("name", "centers", "expected"), REAL, ids=[row[0] for row in REAL])
def test_real_files(data_dir: Path, name, centers, expected):
    pipeline = import_file(str(data_dir / "md" / name))
    pipeline.modifiers.append(CrystalNetModifier(centers=centers))
    assert counts(pipeline.compute()) == expected


def test_crystal_nucleus_in_its_melt(data_dir: Path):
    """8,192 atoms, of which OVITO's own methods see a nucleus of about 350 bcc atoms."""
    pipeline = import_file(str(data_dir / "md" / "pyscal" / "cluster.dump"))
    pipeline.modifiers.append(CrystalNetModifier(centers="atoms"))
    found = counts(pipeline.compute())
    assert 280 < found["BCC"] < 380
    assert 300 < 8192 - found["DISORDERED"] < 400


def test_positions_in_a_wide_cell_are_not_moved(data_dir: Path):
    """What the library is handed is what the file holds, less the cell's origin."""
    data = import_file(str(data_dir / "md" / "atomman" / "fcc_Al_base.dump")).compute()
    atoms = to_atoms(data)
    assert isinstance(atoms, Atoms) and len(atoms) == 32640
    origin = np.asarray(data.cell)[:, 3]
    assert np.array_equal(atoms.positions, np.asarray(data.particles.positions) - origin)
    assert np.array_equal(atoms.arrays["id"], np.asarray(data.particles.identifiers))
