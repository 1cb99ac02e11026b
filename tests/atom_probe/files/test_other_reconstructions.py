"""Reconstructions in .ato, .csv and pyccapt's .h5, and what is remarked on in any of them."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest

from ase_crystalnet.atom_probe.files.ranges import Ion, RangeTable
from ase_crystalnet.atom_probe.files.reconstruction import (
    is_reconstruction,
    read_reconstruction,
    write_pos,
)
from ase_crystalnet.atom_probe.windows import IonWindower
from ase_crystalnet.errors import InputError
from tests.support.apt_files import write_ato, write_pyccapt


@pytest.fixture
def ions(rng):
    """Places (nm) and masses of ions as dense as half of aluminium."""
    positions = rng.uniform([-5, -5, -20], [5, 5, -10], (3000, 3)).round(2)
    return positions, rng.choice([26.98, 13.49, 57.93], 3000)


def check(path, ions, *, tolerance=1e-3, **options):
    found = read_reconstruction(path, **options)
    np.testing.assert_allclose(found.positions, 10 * ions[0], atol=tolerance)
    np.testing.assert_allclose(found.mass, ions[1], rtol=1e-6)
    return found


# ------------------------------------------------------------------------------------------ .ato
@pytest.mark.parametrize("version", [3, 5])
@pytest.mark.parametrize("order", ["<", ">"])
def test_ato_of_both_versions_and_byte_orders(tmp_path, ions, version, order):
    write_ato(tmp_path / "a.ATO", *ions, version=version, order=order)
    found = check(tmp_path / "a.ATO", ions)
    assert found.remarks == (() if order == "<" else ("its numbers are big-endian; read as such",))


@pytest.mark.parametrize("version", [3, 5])
def test_ato_is_read_as_the_library_of_the_community_reads_it(tmp_path, ions, version, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it leaves a log file
    module = pytest.importorskip("ifes_apt_tc_data_modeling.ato.ato_reader")
    write_ato(tmp_path / "a.ato", *ions, version=version)
    theirs = module.ReadAtoFileFormat(str(tmp_path / "a.ato"))
    ours = read_reconstruction(tmp_path / "a.ato")
    positions = theirs.get_reconstructed_positions().to("nanometer").magnitude
    np.testing.assert_allclose(ours.positions, 10 * positions, atol=1e-4)
    np.testing.assert_array_equal(ours.mass, theirs.get_mass_to_charge_state_ratio().magnitude)


def test_damaged_ato_files_are_refused(tmp_path, ions):
    write_ato(tmp_path / "a.ato", *ions)
    whole = (tmp_path / "a.ato").read_bytes()
    for content, says in (
        (whole[:-3], "no multiple of the 56 bytes of an ion in a .ato file after a head of 8"),
        (struct.pack("<II", 0, 6) + whole[8:], "of version 6, or none; expected version 3 or 5"),
        (struct.pack("<II", 0, 5) + whole[8:3000], "no multiple of the 40 bytes"),
        (b"\0\1", "or none; expected version 3 or 5"),
        (b"", "is empty"),
    ):
        (tmp_path / "a.ato").write_bytes(content)
        with pytest.raises(InputError, match=says) as error:
            read_reconstruction(tmp_path / "a.ato")
        assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------ .csv
def write_csv(path, ions, head, mark=",", *, comma=False, columns="xyzm"):
    rows = np.column_stack([*ions[0].T, ions[1]])[:, ["xyzm".index(name) for name in columns]]
    lines = [mark.join(f"{value:.6g}" for value in row) for row in rows]
    text = "\n".join([*head, *lines]) + "\n"
    path.write_text(text.replace(".", ",") if comma else text, encoding="utf-8")


@pytest.mark.parametrize(
    ("head", "options"),
    [
        (["x,y,z,m/n"], {}),
        (["x (nm), y (nm), z (nm), m/n (Da)"], {}),
        (["X;Y;Z;Mass-to-charge ratio [Da]"], {"mark": ";", "comma": True}),
        (['"m/z"\t"z_nm"\t"y_nm"\t"x_nm"'], {"mark": "\t", "columns": "mzyx"}),
        (["x,y,z,mass over charge (Da),again"], {"columns": "xyzmm"}),
        (["# made by hand", "# x y z mass"], {"mark": " "}),
        (["", "x y z mass"], {"mark": " ", "comma": True}),
        (["\ufeffx,y,z,m/q"], {}),
        (["x (nm);y (nm);z (nm);mc (Da)"], {"mark": ";"}),
    ],
)
def test_tables_with_names(tmp_path, ions, head, options):
    write_csv(tmp_path / "a.csv", ions, head, **options)
    assert is_reconstruction(tmp_path / "a.csv")
    assert check(tmp_path / "a.csv", ions).remarks == ()


@pytest.mark.parametrize("head", [[], ["a,b,c,d"]])
def test_tables_without_names_are_x_y_z_and_mass(tmp_path, ions, head):
    write_csv(tmp_path / "a.csv", ions, head)
    assert not is_reconstruction(tmp_path / "a.csv")
    assert "columns 1 to 4" in check(tmp_path / "a.csv", ions).remarks[0]


def test_tables_may_say_that_they_are_in_angstrom(tmp_path, ions):
    write_csv(tmp_path / "a.csv", (10 * ions[0], ions[1]), ["x (Å),y (Å),z (Å),m/n (Da)"])
    assert check(tmp_path / "a.csv", ions).remarks == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a table of ions"),
        ("some words\nand more\n", "expected a table of ions"),
        ("x,y,z\n1,2,3\n", "expected columns x, y, z and m/n; got 3 columns"),
        ("a,b,c,d,e\n1,2,3,4,5\n", "expected columns x, y, z and m/n; got a, b, c, d, e"),
        ("x,y,z,m/n\n1,2,3,4\n1,2,3\n", "expected rows of numbers below its head; .*row 2"),
        ("x,y,z,m/n\n1,2,3,4\n1,2,u,4\n", "expected rows of numbers below its head"),
        ("x,y,z,m/n\n1,2,nan,4\n", "ion 0 is at"),
        ("x,y,z,m/n\n" + 9 * "0,0,0,27\n", "x, y and z of all ions are 0; reconstruct"),
        ("x,y,z,m/n\n1,2\0,3,4\n", "is binary"),
        ("version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("1," * 2**20, "longer than"),
    ],
)
def test_tables_that_hold_no_ions_are_refused(tmp_path, text, says):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=says) as error:
        read_reconstruction(tmp_path / "a.csv")
    assert "a.csv" in str(error.value) and "\n" not in str(error.value)
    assert not (is_reconstruction(tmp_path / "a.csv") and "," not in text)


# ------------------------------------------------------------------------------- .h5 of pyccapt
def frame(ions, **more):
    axes = {f"{axis} (nm)": ions[0][:, i] for i, axis in enumerate("xyz")}
    count = np.arange(len(ions[1]), dtype=np.int32)
    return {**axes, "mc (Da)": ions[1], "x_det (cm)": -ions[0][:, 0], "delta_p": count, **more}


def test_pyccapt_files(tmp_path, ions):
    write_pyccapt(tmp_path / "a.h5", frame(ions))
    assert is_reconstruction(tmp_path / "a.h5")
    assert check(tmp_path / "a.h5", ions).remarks == ()
    # The calibrated masses, where a version of it writes both and has calibrated them.
    both = {**frame(ions), "mc (Da)": ions[1] + 0.1}
    write_pyccapt(tmp_path / "b.hdf5", {**both, "mc_c (Da)": ions[1]})
    check(tmp_path / "b.hdf5", ions)
    write_pyccapt(tmp_path / "b.hdf5", {**both, "mc_c (Da)": 0 * ions[1]})
    np.testing.assert_allclose(read_reconstruction(tmp_path / "b.hdf5").mass, ions[1] + 0.1)


def test_pyccapt_files_as_pandas_writes_them(tmp_path, ions):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    table = pandas.DataFrame(frame(ions))
    table.to_hdf(tmp_path / "a.h5", key="df", mode="w")
    check(tmp_path / "a.h5", ions)
    table.to_hdf(tmp_path / "a.h5", key="df", mode="w", complib="zlib", complevel=9)
    check(tmp_path / "a.h5", ions)
    table.to_hdf(tmp_path / "a.h5", key="df", mode="w", format="table")
    with pytest.raises(InputError, match="was saved as a 'table' of pandas, not as 'fixed'"):
        read_reconstruction(tmp_path / "a.h5")


def test_other_hdf5_files_are_refused(tmp_path, ions):
    import h5py

    path = tmp_path / "a.h5"
    for name, says in (
        ("dld/x", "holds raw data of pyccapt, not a reconstruction; expected a frame 'df'"),
        ("entry1/title", "is a NeXus file without reconstructed_positions"),
        ("other", "holds no frame of pyccapt"),
        ("df/axis0", "has the columns none"),
    ):
        with h5py.File(path, "w") as file:
            file[name] = [1.0, 2.0]
        with pytest.raises(InputError, match=says) as error:
            read_reconstruction(path)
        assert "\n" not in str(error.value) and not is_reconstruction(path)
    write_pyccapt(path, {name: c for name, c in frame(ions).items() if name != "z (nm)"})
    with pytest.raises(InputError, match=r"has the columns x \(nm\), y \(nm\)"):
        read_reconstruction(path)
    path.write_text("x,y,z\n")
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        read_reconstruction(path)


def test_an_array_that_is_not_there_is_not_made_room_for(tmp_path, ions):
    import h5py

    path = tmp_path / "a.h5"
    write_pyccapt(path, frame(ions))
    with h5py.File(path, "r+") as file:
        del file["df/block0_values"]
        file["df"].create_dataset("block0_values", (2**40, 5), "f8", chunks=(1024, 5))
    with pytest.raises(InputError, match=r"of which 0 are stored") as error:
        read_reconstruction(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.ato", "a.csv", "a.h5"])
def test_pipes_and_missing_files(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        read_reconstruction(tmp_path / name)
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="is a pipe"):
        read_reconstruction(tmp_path / name)
    assert not is_reconstruction(tmp_path / name)


# --------------------------------------------------------------------------------------- remarks
@pytest.mark.parametrize("suffix", [".pos", ".epos"])
def test_little_endian_files_are_noticed(tmp_path, ions, suffix):
    columns = 4 if suffix == ".pos" else 11
    records = np.zeros((len(ions[1]), columns), "<f4")
    records[:, :3], records[:, 3] = ions
    path = tmp_path / f"a{suffix}"
    path.write_bytes(records.tobytes())
    found = check(path, ions)
    assert len(found.remarks) == 1 and "little-endian" in found.remarks[0]
    path.write_bytes(records.byteswap().tobytes())
    assert check(path, ions).remarks == ()
    path.write_bytes(np.random.default_rng(0).bytes(records.nbytes))  # neither
    with pytest.raises(InputError, match="and whole"):
        read_reconstruction(path)


def test_positions_in_angstrom_are_noticed_and_can_be_told(tmp_path, ions):
    positions, mass = ions
    write_pos(tmp_path / "nm.pos", 10 * positions, mass)
    write_pos(tmp_path / "angstrom.pos", 100 * positions, mass)
    assert check(tmp_path / "nm.pos", ions).remarks == ()
    found = read_reconstruction(tmp_path / "angstrom.pos")
    np.testing.assert_allclose(found.positions, 100 * positions, rtol=1e-6)  # as the file says
    assert len(found.remarks) == 1 and "seem to be in Angstrom" in found.remarks[0]
    assert "seem to be in Angstrom" in found.to_atoms().info["remarks"]
    assert check(tmp_path / "angstrom.pos", ions, units="angstrom").remarks == ()
    with pytest.raises(InputError, match="expected 'nm' or 'angstrom', got 'm'"):
        read_reconstruction(tmp_path / "nm.pos", units="m")


def test_a_needle_in_a_wide_box_is_no_thin_matter(tmp_path, rng):
    """Tilted across its bounding box, most of which is empty."""
    along = rng.uniform(0, 400, 40_000)
    needle = along[:, None] * np.array([1, 1, 1]) / np.sqrt(3) + rng.normal(0, 1.0, (40_000, 3))
    write_pos(tmp_path / "a.pos", 10 * needle, np.full(40_000, 27.0))
    assert read_reconstruction(tmp_path / "a.pos").remarks == ()


def test_real_reconstructions_need_no_remark(data_dir):
    apt = data_dir / "apt"
    for name in ("Si.pos", "Si_first50000.epos", "atomprobe3D/cubicTestSmall.pos"):
        assert read_reconstruction(apt / name).remarks == (), name
    assert read_reconstruction(apt / "Si.pos", apt / "Si.RRNG").remarks == ()


def test_ranges_of_another_measurement_are_noticed(tmp_path, ions):
    write_pos(tmp_path / "a.pos", 10 * ions[0], ions[1])
    table = RangeTable(
        (Ion.of([("Al", 1)]),), np.array([26.5]), np.array([27.5]), np.array([0]), "b.rrng",
        ("declared without any range: Fe",),
    )  # fmt: skip
    found = read_reconstruction(tmp_path / "a.pos", table)
    assert "ranges: declared without any range: Fe" in found.remarks
    share = f"{np.mean(ions[1] == 26.98):.1%} of the ions lies in a range of b.rrng"
    assert any(share in remark for remark in found.remarks)
    other = RangeTable(table.ions, table.low + 100, table.high + 100, table.ion)
    assert found.ranged(other).remarks[0].startswith("none of the ions lies in a range")


# ------------------------------------------------------------------------------------------ flat
@pytest.mark.parametrize("radius", [None, 30.0])
@pytest.mark.parametrize(("name", "where"), [("flat", "in a plane"), ("line", "on a line")])
def test_flat_and_line_shaped_files_have_no_windows(data_dir, name, where, radius):
    ions = read_reconstruction(data_dir / "cases" / f"{name}.pos")
    with pytest.raises(InputError, match=rf"{name}\.pos: its \d+ ions lie all {where}") as error:
        IonWindower(1000, radius).prepare(ions)
    assert "\n" not in str(error.value)


def test_tilted_sheets_are_flat_and_thin_slices_are_not(tmp_path, ions, rng):
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for thickness, refused in ((0.0, True), (0.01, False)):
        sheet = (ions[0] * [10, 10, thickness]) @ turn + 50
        write_pos(tmp_path / "a.pos", 10 * sheet, ions[1])
        found = read_reconstruction(tmp_path / "a.pos")
        if refused:
            with pytest.raises(InputError, match="lie all in a plane"):
                IonWindower(200).prepare(found)
        else:
            assert len(IonWindower(200).prepare(found))
