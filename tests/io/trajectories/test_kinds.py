"""Files as people have them: each kind once, with the atoms that it holds."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_crystalnet.errors import FileWarning, InputError
from ase_crystalnet.io.trajectories.conditions import conditions_of
from ase_crystalnet.io.trajectories.lammps_data import STYLES
from ase_crystalnet.io.trajectories.stream import count_frames, iter_frames

COPPER = bulk("Cu", "fcc", a=3.61, cubic=True) * (2, 2, 2)


def read(path: Path, text: str, **how: object) -> list[Atoms]:
    path.write_text(text)
    return [frame.atoms for frame in iter_frames(path, **how)]  # type: ignore[arg-type]


def is_copper(atoms: Atoms) -> bool:
    """Whether positions and cell are those of `COPPER`, whatever the species are called."""
    return (
        len(atoms) == len(COPPER)
        and np.allclose(atoms.cell[:], COPPER.cell[:], atol=1e-4)
        and np.allclose(
            np.sort(atoms.positions, axis=0), np.sort(COPPER.positions, axis=0), atol=1e-4
        )
    )


def dump(titles: str, row: str, before: str = "", step: int = 0) -> str:
    """A frame of a dump; `row` is formatted with i, x, y, z."""
    text = before + f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n32\n"
    text += "ITEM: BOX BOUNDS pp pp pp\n" + "0 7.22\n" * 3 + f"ITEM: ATOMS {titles}\n"
    for i, (x, y, z) in enumerate(COPPER.positions, 1):
        text += row.format(i=i, x=x, y=y, z=z, s="A B"[i % 2 * 2]) + "\n"
    return text


DUMPS = {
    "no type": ("id x y z", "{i} {x} {y} {z}"),
    "nothing but positions": ("x y z", "{x} {y} {z}"),
    "a column twice": ("id type x y z type", "{i} 1 {x} {y} {z} 1"),
    "positions twice": ("id type x y z x y z", "{i} 1 {x} {y} {z} {x} {y} {z}"),
    "names of a force field": ("id type element x y z", "{i} 1 C_3 {x} {y} {z}"),
    "names and no type": ("id element x y z", "{i} Cu{s}+ {x} {y} {z}"),
    "labels of types": ("id typelabel x y z", "{i} ow-{s} {x} {y} {z}"),
    "types that are labels": ("id type x y z", "{i} hw{s} {x} {y} {z}"),
    "a column of words": ("id type state x y z", "{i} 1 solid {x} {y} {z}"),
    "mass": ("id mass x y z", "{i} 63.546 {x} {y} {z}"),
    "symbols": ("id element x y z", "{i} Cu {x} {y} {z}"),
}


@pytest.mark.parametrize("kind", DUMPS)
def test_dumps_of_any_columns(tmp_path, kind):
    (atoms,) = read(tmp_path / "x.dump", dump(*DUMPS[kind]))
    assert is_copper(atoms)


def test_names_follow_the_order_of_the_ids(tmp_path):
    text = dump("id element x y z", "{i} a{i} {x} {y} {z}")
    head, rows = text.rsplit("z\n", 1)
    shuffled = head + "z\n" + "".join(reversed(rows.splitlines(keepends=True)))
    (atoms,) = read(tmp_path / "x.dump", shuffled)
    assert atoms.arrays["name"].tolist() == [f"a{i}" for i in range(1, 33)]
    np.testing.assert_allclose(atoms.positions, COPPER.positions)


@pytest.mark.parametrize(
    ("units", "angstrom", "picoseconds"),
    [("metal", 1.0, 1.0), ("real", 1.0, 1e-3), ("electron", 0.529177, 1e-3), ("nano", 10.0, 1e3)],
)
def test_units_and_time_stand_before_the_step(tmp_path, units, angstrom, picoseconds):
    """LAMMPS writes the units before the first frame alone."""
    first = dump("id type x y z", "{i} 1 {x} {y} {z}", f"ITEM: UNITS\n{units}\nITEM: TIME\n0.5\n")
    later = dump("id type x y z", "{i} 1 {x} {y} {z}", "ITEM: TIME\n1.5\n", 10)
    found = read(tmp_path / "x.dump", first + later + later)
    assert len(found) == 3 == count_frames(tmp_path / "x.dump")
    for atoms, time in zip(found, (0.5, 1.5, 1.5), strict=True):
        assert atoms.cell.lengths()[0] == pytest.approx(7.22 * angstrom, rel=1e-4)
        assert conditions_of(atoms)["time"] == pytest.approx(time * picoseconds)
    last = [frame.atoms for frame in iter_frames(tmp_path / "x.dump", -1)]
    np.testing.assert_array_equal(last[0].positions, found[2].positions)


YAML = """---
creator: LAMMPS
timestep: 5
units: metal
time: 0.005
natoms: 2
boundary: [ p, p, p, p, f, s, ]
thermo:
  - keywords: [ Step, Temp, PotEng, TotEng, Press, ]
  - data: [ 5, 300.5, -7.5, -7.0, 10000, ]
box:
  - [ 0, 16.629 ]
  - [ 0, 15.6168 ]
  - [ 0, 14.46 ]
  - [ 1.446, 0.723, 1.1568 ]
keywords: [ id, type, x, y, z,  ]
data:
  - [ 2 , 1 , 1.8 , 1.8 , 0, ]
  - [ 1 , 2 , 0 , 0 , 0, ]
...
"""


def test_yaml_dumps(tmp_path):
    """As LAMMPS 2025 writes them: the box is that around the tilted cell."""
    found = read(tmp_path / "x.yaml", YAML + YAML.replace("timestep: 5", "timestep: 6"))
    assert len(found) == 2
    cell = [[14.46, 0, 0], [1.446, 14.46, 0], [0.723, 1.1568, 14.46]]
    np.testing.assert_allclose(found[0].cell[:], cell)
    assert found[0].arrays["type"].tolist() == [2, 1]
    assert found[0].pbc.tolist() == [True, True, False]
    said = conditions_of(found[1])
    assert said == {
        "step": 6, "time": 0.005, "temperature": 300.5, "pressure": 1.0, "energy": -7.5,
    }  # fmt: skip
    with pytest.raises(InputError, match="cut short"):
        read(tmp_path / "y.yaml", YAML[:-4])


COLUMNS = {
    "atomic": "i t x y z", "full": "i m t q x y z", "charge": "i t q x y z",
    "molecular": "i m t x y z", "bond": "i m t x y z", "angle": "i m t x y z",
    "sphere": "i t r r x y z", "bpm/sphere": "i m t r r x y z", "dipole": "i t q x y z r r r",
    "spin": "i t x y z r r r r", "ellipsoid": "i t 0 r x y z", "body": "i t 0 r x y z",
    "line": "i m t 0 r x y z", "tri": "i m t 0 r x y z", "electron": "i t q 0 r x y z",
    "dpd": "i t r x y z", "edpd": "i t r r x y z", "peri": "i t r r x y z",
    "sph": "i t r r r x y z", "template": "i t m 1 1 x y z", "mdpd": "i t r x y z",
    "rheo": "i t 1 r x y z", "amoeba": "i m t q x y z", "oxdna": "i t x y z",
    "dielectric": "i t q x y z r r r r r r r r", "wavepacket": "i t q 0 r 1 r r x y z",
    "smd": "i t m r r r r r r r x y z", "hybrid": "i t x y z r r",
}  # fmt: skip
#: Too rare, and too like others, to be told by their columns.
TOLD = ("dielectric", "wavepacket", "smd", "hybrid")


def data_file(columns: str, hint: str = "", flags: str = "", label: str = "") -> str:
    rng = np.random.default_rng(3)
    text = "5 atoms of a title\n\n32 atoms\n2 atom types\n\n"
    text += "".join(f"0 7.22 {axis}lo {axis}hi\n" for axis in "xyz")
    if label:
        text += f"\nAtom Type Labels\n\n1 {label}\n2 Zr\n"
    text += f"\nMasses\n\n1 63.546 # Cu\n2 91.2\n\nAtoms{hint}\n\n"
    for i, (x, y, z) in enumerate(COPPER.positions, 1):
        words = {
            "i": i, "t": label or 1, "m": i // 3 + 1, "q": "-0.82", "x": x, "y": y, "z": z,
        }  # fmt: skip
        row = [words.get(name, f"{rng.uniform(0.1, 3):.3f}" if name == "r" else name)
               for name in columns.split()]  # fmt: skip
        text += " ".join(map(str, row)) + flags + "\n"
    return text + "\nBonds\n\n1 1 1 2\n\nCMAP\n\n1 1 1 2 3 4 5\n"


def test_every_style_has_a_case():
    assert set(COLUMNS) == set(STYLES)


@pytest.mark.parametrize("flags", ["", " 0 0 0", "  # a remark"])
@pytest.mark.parametrize("style", COLUMNS)
def test_data_files_of_every_style(tmp_path, style, flags):
    named = read(tmp_path / "x.data", data_file(COLUMNS[style], f" # {style}", flags))
    assert is_copper(named[0]) and set(named[0].symbols) == {"Cu"}
    plain = data_file(COLUMNS[style], "  # my crystal", flags)
    told = read(tmp_path / "y.data", plain, reader={"atom_style": style})
    assert is_copper(told[0])
    if style not in TOLD:
        assert is_copper(read(tmp_path / "z.data", plain)[0])


def test_labels_of_types_in_data_files(tmp_path):
    (atoms,) = read(tmp_path / "x.data", data_file("i t q x y z", label="C_3"))
    assert is_copper(atoms) and set(atoms.arrays["name"]) == {"C_3"}


def test_image_flags_move_atoms(tmp_path):
    (atoms,) = read(tmp_path / "x.data", data_file("i m t q x y z", flags=" 1 0 -1"))
    np.testing.assert_allclose(
        atoms.positions - COPPER.positions, [[7.22, 0, -7.22]] * 32, atol=1e-9
    )


def test_what_cannot_be_a_data_file_is_said(tmp_path):
    with pytest.raises(InputError, match=r"no atom style fits.*read as lammps-data"):
        read(tmp_path / "x.data", data_file("i r r r r r"))
    with pytest.raises(InputError, match="expected one of atomic"):
        read(tmp_path / "x.data", data_file("i t x y z"), reader={"atom_style": "nonsense"})
    with pytest.raises(InputError, match="has no option 'nonsense'"):
        read(tmp_path / "x.data", data_file("i t x y z"), reader={"nonsense": 1})


CELLS = {
    "i-PI": "# CELL(abcABC):  7.22000  7.22000  7.22000  90.00  90.00  90.00  Traj: positions"
    "{angstrom} Step:  10  Bead:  0 cell{angstrom}",
    "i-PI, matrix": "# CELL(H): 7.22 0 0 0 7.22 0 0 0 7.22 cell{angstrom} positions{angstrom}",
    "i-PI, bohr": "# CELL(abcABC): 13.64382 13.64382 13.64382 90 90 90 cell{atomic_unit} "
    "positions{angstrom}",
    "box": "frame 3 Box X: 7.22 Y: 7.22 Z: 7.22 A: 90.0 B: 90.0 G: 90.0",
    "cell =": "energy = -1.5 cell = [[7.22, 0, 0], [0, 7.22, 0], [0, 0, 7.22]]",
    "lattice, other quotes": "lattice='7.22 0 0 0 7.22 0 0 0 7.22' T=300",
    "three numbers": "7.22 7.22 7.22",
    "nine numbers": " 7.22 0.0 0.0 0.0 7.22 0.0 0.0 0.0 7.22",
    "lengths and angles": "7.22 7.22 7.22 90.0 90.0 90.0",
}


def xyz(comment: str, name: str = "Cu") -> str:
    rows = "".join(f"{name} {x} {y} {z}\n" for x, y, z in COPPER.positions)
    return f"32\n{comment}\n{rows}"


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_in_the_comment_is_used(tmp_path, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (atoms,) = read(tmp_path / "x.xyz", xyz(CELLS[kind]))
    assert is_copper(atoms) and atoms.pbc.all()


@pytest.mark.parametrize(
    "comment", ["", "Atoms. Timestep: 0", "1 2 3", "i = 5, time = 2.5, E = -1", "run 300 K 1 bar 7"]
)
def test_prose_is_no_cell_and_that_there_is_none_is_said(tmp_path, comment):
    with pytest.warns(FileWarning, match="no cell"):
        (atoms,) = read(tmp_path / "x.xyz", xyz(comment))
    assert atoms.cell.rank == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (atoms,) = read(tmp_path / "x.xyz", xyz(comment), reader={"cell": "7.22,7.22,7.22"})
    assert is_copper(atoms) and atoms.pbc.all()


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("1", "H"), ("29", "Cu"), ("CU", "Cu"), ("C_3", "C"), ("Cu1", "Cu"), ("OW", "O"), ("?", "H")],
)
def test_no_name_is_an_error(tmp_path, name, symbol):
    for comment in (CELLS["box"], 'Lattice="7.22 0 0 0 7.22 0 0 0 7.22" '
                                  "Properties=species:S:1:pos:R:3"):  # fmt: skip
        (atoms,) = read(tmp_path / "x.xyz", xyz(comment, name))
        assert is_copper(atoms) and set(atoms.symbols) == {symbol}
        (atoms,) = read(tmp_path / "x.xyz", xyz(comment, name), reader={"species": f"{name}=Zr"})
        assert set(atoms.symbols) == {"Zr"}


def test_species_by_type_number(tmp_path):
    path = tmp_path / "x.dump"
    (atoms,) = read(path, dump(*DUMPS["a column twice"]), reader={"species": {1: "Zr"}})
    assert set(atoms.symbols) == {"Zr"}
    with pytest.raises(InputError, match="1=Cu,2=Zr"):
        list(iter_frames(path, reader={"species": "1=Qq"}))


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("Atoms. Timestep: 100", {"step": 100}),
        (" i = 5, time = 2.500, E = -1.0", {"step": 5, "time": 2.5e-3, "energy": -27.211386}),
        ("Step: 7 Bead: 0", {"step": 7}),
        ("a crystal", {}),
    ],
)
def test_what_a_comment_states_is_kept(tmp_path, comment, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (atoms,) = read(tmp_path / "x.xyz", xyz(comment))
    assert conditions_of(atoms) == pytest.approx(expected)


def test_conditions_come_from_calculators_and_momenta():
    from ase import units
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms = COPPER.copy()
    atoms.set_momenta(np.random.default_rng(0).normal(size=(32, 3)))
    atoms.set_momenta(atoms.get_momenta() * (300.0 / atoms.get_temperature()) ** 0.5)
    stress = [-1.0 * units.GPa] * 3 + [0.0] * 3
    atoms.calc = SinglePointCalculator(atoms, energy=-3.5, stress=stress)
    found = conditions_of(atoms)
    assert found == pytest.approx({"energy": -3.5, "pressure": 1.0, "temperature": 300.0})


IMD = """#F A 1 1 1 3 0 0
#C number type mass x y z
#X 7.22 0 0
#Y 0 7.22 0
#Z 0 0 7.22
#E
"""


def test_imd(tmp_path):
    rows = "".join(f"{i} 0 63.5 {x} {y} {z}\n" for i, (x, y, z) in enumerate(COPPER.positions))
    assert is_copper(read(tmp_path / "x.imd", IMD + rows)[0])
    with pytest.raises(InputError, match="read as imd"):
        read(tmp_path / "y.imd", IMD.replace("#X", "#Q") + rows)


def test_zst(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    texts = {
        "x.dump": dump(*DUMPS["no type"]) * 3,
        "x.xyz": xyz(CELLS["box"]),
        "x.data": data_file("i t x y z"),
        "x.yaml": YAML,
    }
    from ase.io import write

    for name in ("x.cif", "POSCAR", "x.json"):
        write(tmp_path / name, COPPER)
        texts[name] = (tmp_path / name).read_text()
    for name, text in texts.items():
        packed = tmp_path / f"{name}.zst"
        packed.write_bytes(zstandard.compress(text.encode()))
        found = [frame.atoms for frame in iter_frames(packed)]
        assert len(found) == (3 if name == "x.dump" else 1), name
        if name != "x.yaml":
            assert is_copper(found[-1]), name
    last = next(iter_frames(tmp_path / "x.dump.zst", -1)).atoms  # found, then gone back to
    assert is_copper(last)
    for name, damage in (("cut", packed.read_bytes()[:-9]), ("noise", b"(\xb5/\xfd" + bytes(99))):
        path = tmp_path / f"{name}.dump.zst"
        path.write_bytes(damage)
        with pytest.raises(InputError) as error:
            list(iter_frames(path))
        assert len(str(error.value).splitlines()) == 1


def test_cases_that_were_refused_once(data_dir):
    folder = data_dir / "cases"
    for name in ("units_yes.dump", "no_type.dump", "column_twice.dump", "element_ff.dump",
                 "zst.dump.zst", "charge_nohint.data", "comment.data", "numeric.xyz"):  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FileWarning)
            found = [frame.atoms for frame in iter_frames(folder / name)]
        distance = found[0].get_all_distances(mic=found[0].pbc.any())
        nearest = distance[distance > 0].min()
        assert 1.9 < nearest < 2.6, name
        assert len(found[0]) in (32, 256)


def test_a_failed_reader_says_what_was_assumed(tmp_path):
    (tmp_path / "OUTCAR").write_text("not of VASP\n")
    with pytest.raises(InputError, match=re.escape("(read as vasp-out; if it is another format")):
        list(iter_frames(tmp_path / "OUTCAR"))
