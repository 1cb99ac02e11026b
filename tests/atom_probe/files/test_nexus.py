"""NeXus files (NXapm): positions in their units, masses, ranges by nuclides, and damaged ones."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ase_crystalnet.atom_probe.files import is_reconstruction, read_ranges, read_reconstruction
from ase_crystalnet.errors import InputError

RANGES = {
    "ion1": ([13 + 256 * 14], [[26.9, 27.2], [13.4, 13.6]]),
    "ion2": ([8, 13], [[42.9, 43.2]]),
}


def write(path, positions, mass, units="nm", probe="atom_probe", entry="entry1", ranges=RANGES):
    with h5py.File(path, "w") as file:
        place = f"{entry}/{probe}/" if probe else f"{entry}/"
        data = file.create_dataset(
            place + "reconstruction/reconstructed_positions", data=positions, compression="gzip"
        )
        if units:
            data.attrs["units"] = units
        file[place + "mass_to_charge_conversion/mass_to_charge"] = mass
        for name, (hashes, bounds) in ranges.items():
            group = file.create_group(place + f"ranging/peak_identification/{name}")
            group["nuclide_hash"] = np.pad(np.array(hashes, np.uint16), (0, 32 - len(hashes)))
            group["mass_to_charge_range"] = np.array(bounds, np.float32)
            group["name"] = "an ion"


@pytest.fixture
def ions(rng):
    mass = np.where(rng.random(300) < 0.7, 27.0, 43.0).astype(np.float32)
    return rng.uniform(-9, 9, (300, 3)).astype(np.float32), mass


@pytest.mark.parametrize("name", ["a.nxs", "a.h5"])
@pytest.mark.parametrize(("units", "scale"), [("nm", 10), ("", 10), ("angstrom", 1), ("m", 1e10)])
def test_positions_and_masses(tmp_path, ions, name, units, scale):
    positions, mass = ions
    write(tmp_path / name, positions / (scale / 10), mass, units)
    assert is_reconstruction(tmp_path / name)
    found = read_reconstruction(tmp_path / name, tmp_path / name)
    np.testing.assert_allclose(found.positions, 10 * positions, rtol=1e-5)
    np.testing.assert_array_equal(found.mass, mass)
    assert [ion.name for ion in found.ions] == ["Al", "OAl"]
    assert found.counts.tolist() == [(mass == 27).sum(), (mass == 43).sum()]


def test_other_names_of_the_probe(tmp_path, ions):
    for probe, entry in (("", "entry1"), ("atom_probeID", "entry"), ("atom_probe", "entry")):
        write(tmp_path / "a.nxs", *ions, probe=probe, entry=entry)
        assert len(read_reconstruction(tmp_path / "a.nxs")) == 300


def test_what_is_no_such_file_is_refused_in_one_line(tmp_path, ions):
    positions, mass = ions
    path = tmp_path / "a.nxs"
    for given, says in (
        ((positions[:, :2], mass), "expected positions"),
        ((positions, mass[:5]), "expected positions"),
        ((positions, mass, "furlong"), "positions are in 'furlong'"),
    ):
        write(path, *given)
        with pytest.raises(InputError, match=says) as error:
            read_reconstruction(path)
        assert "\n" not in str(error.value) and "a.nxs" in str(error.value)
    write(path, positions, mass, ranges={})
    with pytest.raises(InputError, match="has no ranges"):
        read_ranges(path)
    write(path, positions, mass, ranges={"ion1": ([250], [[1, 2]])})
    with pytest.raises(InputError, match="hash of no nuclide"):
        read_ranges(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        read_reconstruction(path)
    assert not is_reconstruction(path)


def test_an_array_that_is_not_there_is_not_made_room_for(tmp_path, ions):
    path = tmp_path / "a.nxs"
    write(path, *ions)
    with h5py.File(path, "r+") as file:
        group = file["entry1/atom_probe/reconstruction"]
        del group["reconstructed_positions"], file["entry1/atom_probe/mass_to_charge_conversion"]
        group.create_dataset("reconstructed_positions", (2**38, 3), "f4", chunks=(1024, 3))
        place = "entry1/atom_probe/mass_to_charge_conversion/mass_to_charge"
        file.create_dataset(place, (2**38,), "f4", chunks=(1024,))
    with pytest.raises(InputError, match="of which 0 are stored"):
        read_reconstruction(path)
