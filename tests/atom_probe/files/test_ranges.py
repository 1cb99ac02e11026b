"""Range files of atom probes, and ranging."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.atom_probe.files.range_files import read_ranges
from ase_crystalnet.atom_probe.files.ranges import Ion, RangeTable, parse_formula, parse_isotope
from ase_crystalnet.errors import InputError
from tests.support.range_files import write_rrng

RRNG = """[Ions]
Number=2
Ion1=Si
Ion2=O
[Ranges]
Number=3
Range1=27.8560 28.5950 Vol:0.02003 Si:1 Color:CCCCCC
Range2=43.8 44.2 Vol:0.04886 Si:1 O:1 Color:FF0000
Range3=13.9 14.2 Vol:0.02003 Si:1 Color:CCCCCC
"""
RNG = """2 3
Silicon
Si 0.8 0.8 0.8
Oxygen
O 0 0.8 1.0
------------- Si O
. 27.8560 28.5950  1 0
. 43.8 44.2  1 1
. 13.9 14.2  1 0
"""
ENV = """# a comment
Rev_2.0
2 3
Si 0.8 0.8 0.8
SiO 1.0 0.0 0.0
# Definition of mass ranges
Si 27.8560 28.5950 20.03 1.0
SiO 43.8 44.2 48.86 1.0
Si 13.9 14.2 20.03 1.0
# Atom probe definition
0.1
"""


def written(folder, name, text):
    path = folder / name
    path.write_bytes(text.encode())
    return path


def table(*rows):
    """Ranges (low, high, name)."""
    names = list(dict.fromkeys(name for *_, name in rows))
    low, high = (np.array([row[i] for row in rows], float) for i in (0, 1))
    ions = tuple(Ion(name, parse_formula(name)) for name in names)
    return RangeTable(ions, low, high, np.array([names.index(name) for *_, name in rows]))


# --------------------------------------------------------------------------- files made by others
def sample_counts(data_dir):
    with open(data_dir / "apt" / "3depict_rangefiles" / "expected_counts.csv") as file:
        return list(csv.DictReader(file))


def test_samples_of_3depict_give_the_stated_ions_and_ranges(data_dir):
    rows = sample_counts(data_dir)
    assert {row["expected"] for row in rows} == {"ok", "must_fail"}
    for row in rows:
        path = data_dir / "apt" / "3depict_rangefiles" / row["file"]
        if row["expected"] == "ok":
            found = read_ranges(path)
            assert (len(found.ions), len(found)) == (int(row["ions"]), int(row["ranges"])), path
        else:
            with pytest.raises(InputError, match=row["file"]) as error:
                read_ranges(path)
            assert "\n" not in str(error.value)


def test_range_files_of_many_instruments_can_be_read_and_written_again(data_dir, tmp_path):
    suffixes = {".rng", ".rrng", ".env"}
    refused = {row["file"] for row in sample_counts(data_dir) if row["expected"] == "must_fail"}
    files = [
        path
        for path in sorted((data_dir / "apt").rglob("*"))
        if path.suffix.lower() in suffixes and path.name not in refused
    ]
    assert len(files) > 30
    for path in files:
        found = read_ranges(path)
        assert len(found) > 0
        write_rrng(tmp_path / "again.rrng", found)
        again = read_ranges(tmp_path / "again.rrng")
        np.testing.assert_allclose(again.low, found.low, rtol=1e-8)
        np.testing.assert_allclose(again.high, found.high, rtol=1e-8)
        assert [again.ions[i].name for i in again.ion] == [found.ions[i].name for i in found.ion]
        masses = np.linspace(found.low.min() - 1, found.high.max() + 1, 5000)
        name = np.array([*(ion.name for ion in found.ions), "unranged"])
        name_again = np.array([*(ion.name for ion in again.ions), "unranged"])
        assert (name[found.assign(masses)] == name_again[again.assign(masses)]).all()


def test_the_two_range_files_of_the_silicon_agree(data_dir):
    rrng, rng = (read_ranges(data_dir / "apt" / name) for name in ("Si.RRNG", "Si.RNG"))
    masses = np.linspace(0, 100, 200_001)
    names = [np.array([*(ion.name for ion in t.ions), ""])[t.assign(masses)] for t in (rrng, rng)]
    assert (names[0] == names[1]).all()
    assert {ion.name for ion in rrng.ions} == {"Si", "Cr", "Cu", "C", "O", "CrO", "CrO2", "Cr2O"}


# ------------------------------------------------------------------------------------ the formats
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.rrng", RRNG),
        ("a.RRNG", RRNG.replace("\n", "\r\n")),
        ("comma.rrng", RRNG.replace(".", ",")),
        ("spaced.rrng", RRNG.replace("=", " = ").replace(":", ": ")),
        ("nocount.rrng", RRNG.replace("Number=3", "Number=0")),
        ("a.rng", RNG),
        ("noprefix.rng", RNG.replace("\n. ", "\n")),
        ("numbered.rng", RNG.replace("\n. ", "\n7 ")),
        ("a.env", ENV),
    ],
)
def test_one_table_in_every_format(tmp_path, name, text):
    found = read_ranges(written(tmp_path, name, text))
    assert [found.ions[i].name for i in found.ion] == ["Si", "SiO", "Si"]
    np.testing.assert_allclose(found.low, [27.856, 43.8, 13.9])
    np.testing.assert_allclose(found.high, [28.595, 44.2, 14.2])
    assert found.ions[0].color == pytest.approx((0.8, 0.8, 0.8), abs=0.01)


def test_volumes_are_in_cubic_angstrom_whatever_the_file_has(tmp_path):
    for name, text in (("a.rrng", RRNG), ("a.env", ENV)):
        ions = read_ranges(written(tmp_path, name, text)).ions
        assert [ion.volume for ion in ions] == pytest.approx([20.03, 48.86])
    silicon = read_ranges(written(tmp_path, "a.rng", RNG)).ions[0]
    assert np.isnan(silicon.volume)
    assert silicon.material_volume == pytest.approx(5.43**3 / 8, rel=1e-3)  # the element's crystal
    assert np.isnan(Ion.of([("H", 1)]).material_volume)
    assert np.isnan(Ion("un1").material_volume)


def test_a_molecule_takes_the_name_it_was_declared_under(tmp_path):
    text = """3 2
Silicon
Si 0.8 0.8 0.8
Monoxide
Mono 1 0 0 (SiO)
Oxygen
O 0 0.8 1.0
------------- Si Mono O
. 27.8560 28.5950  1 0 0
. 43.8 44.2  1 0 1
"""
    with pytest.raises(InputError, match="'Mono' is declared and has no range"):
        # Two silicon atoms are no Mono, and Mono is then nothing.
        read_ranges(written(tmp_path, "b.rng", text.replace("1 0 1", "2 0 0")))
    found = read_ranges(written(tmp_path, "a.rng", text))
    assert [found.ions[i].name for i in found.ion] == ["Si", "Mono"]
    assert len(found.ions) == 3


def test_columns_go_by_their_names(tmp_path):
    swapped = RNG.replace("Si O\n", "O Si\n").replace(" 1 0\n", " 0 1\n")
    found = read_ranges(written(tmp_path, "a.rng", swapped))
    assert [found.ions[i].name for i in found.ion] == ["Si", "SiO", "Si"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.rrng", "", "is empty"),
        ("a.rrng", "[Ions]\nNumber=1\nIon1=Si\n", "holds no range"),
        ("a.rrng", RRNG.replace("Number=3", "Number=4"), "states 4 ranges and holds 3"),
        ("a.rrng", RRNG.replace("27.8560", "x"), "line 7: expected a range such as"),
        ("a.rrng", RRNG.replace(" Si:1 Color:CCCCCC", "", 1), "line 7: expected .* names no ion"),
        ("a.rrng", RRNG.replace("Si:1", "Si:1.5", 1), "line 7: expected a range"),
        ("a.rrng", RRNG.replace("Ion1=Si", "Ion1"), "line 3: expected a line KEY=VALUE"),
        ("a.rrng", RRNG.replace("28.5950", "27.0"), "range 1 is from 27.856 to 27 Da"),
        ("a.rrng", RRNG.replace("43.8 ", "28.2 "), r"27.856-28.595 \(Si\) and .* overlap"),
        ("a.rng", RNG.replace("2 3", "2 4"), "ends where range 4 of 4 was expected"),
        ("a.rng", RNG.replace("2 3", "2 2"), "line 9: expected no more than the 2 ranges"),
        ("a.rng", RNG.replace("2 3\n", "two\n"), "line 1: expected the numbers of ions and ranges"),
        ("a.rng", RNG.replace("------------- Si O\n", ""), "line 6: expected a line of dashes"),
        ("a.rng", RNG.replace(" 1 1\n", " 1\n"), "line 8: expected a range: two masses and 2"),
        ("a.rng", RNG.replace(" 1 1\n", " 1 -1\n"), "line 8: expected a range"),
        ("a.rng", RNG.replace("0.8 0.8 0.8", "gray"), "line 3: expected an ion's short name"),
        ("a.rng", RNG.replace("43.8 44.2  1 1", "28.0 28.3  1 0"), "overlap; change a bound"),
        ("a.env", ENV.replace("SiO 43.8", "GeO 43.8"), "expected a range: .* declared before"),
        ("a.env", ENV.split("Si 27")[0], "ends where range 1 of 3 was expected"),
        ("a.txt", RRNG, r"expected a range file \(.rng, .rrng, .env\)"),
        ("a.rrng", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("a.rng", "\0\1", "is binary"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, name, text, says):
    path = written(tmp_path, name, text)
    with pytest.raises(InputError, match=says) as error:
        read_ranges(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_ranges(tmp_path / "none.rrng")


# ---------------------------------------------------------------------------------------- ranging
def test_bounds_belong_to_their_range_and_touching_ranges_to_both():
    ranges = table((1.0, 2.0, "H"), (2.0, 3.0, "C"), (5.0, 6.0, "H"))
    found = ranges.assign([0.999, 1.0, 1.5, 2.0, 3.0, 3.001, 4.0, 5.0, 6.0, 7.0])
    assert found.tolist() == [-1, 0, 0, 1, 1, -1, -1, 0, 0, -1]


def test_overlapping_ranges_of_one_ion_are_one():
    ranges = table((1.0, 4.0, "H"), (2.0, 3.0, "H"), (3.5, 5.0, "H"), (6.0, 7.0, "C"))
    assert ranges.assign([0.5, 1.0, 2.5, 3.2, 4.5, 5.5, 6.5]).tolist() == [-1, 0, 0, 0, 0, -1, 1]
    assert ranges.overlap() == "1-4 (H) and 2-3 (H)"


def test_no_ranges_range_nothing():
    assert table().assign([1.0, 2.0]).tolist() == [-1, -1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.5, 200, width=32), min_size=2, max_size=24, unique=True),
    st.lists(st.floats(0, 210, width=32), min_size=1, max_size=50),
)
def test_ranging_agrees_with_the_definition(bounds, masses):
    bounds = sorted(bounds)
    rows = [
        (low, high, ("H", "C", "N", "O")[i % 4])
        for i, (low, high) in enumerate(zip(bounds[::2], bounds[1::2], strict=False))
    ]
    ranges = table(*rows)
    for mass, found in zip(masses, ranges.assign(masses), strict=True):
        wanted = [name for low, high, name in rows if low <= mass <= high]
        assert (ranges.ions[found].name if found >= 0 else None) == (wanted[0] if wanted else None)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Si", (("Si", 1),)),
        ("Mn2O", (("Mn", 2), ("O", 1))),
        ("HOH", (("H", 2), ("O", 1))),
        ("CO", (("C", 1), ("O", 1))),
        ("Co", (("Co", 1),)),
        ("X23", ()),
        ("Hyd", ()),
        ("All", ()),
        ("59", ()),
        ("O0", ()),
        ("", ()),
    ],
)
def test_formulas(text, parts):
    assert parse_formula(text) == parts


# ------------------------------------------------------------------------------------ hostile files
@pytest.mark.parametrize("name", ["a.rrng", "a.rng", "a.env"])
def test_pipes_and_large_files_are_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="is a pipe"):
        read_ranges(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(b"# \n" * 4_000_000)
    with pytest.raises(InputError, match="expected a range file"):
        read_ranges(tmp_path / name)


@pytest.mark.parametrize("number", ["nan", "inf", "1.5", "-1", "1e300", "1e9"])
def test_multiplicities_that_are_no_numbers_of_atoms(tmp_path, number):
    (tmp_path / "a.rng").write_text(RNG.replace("1 1\n", f"1 {number}\n"))
    (tmp_path / "a.rrng").write_text(RRNG.replace("O:1", f"O:{number}"))
    (tmp_path / "b.rrng").write_text(RRNG.replace("Number=3", f"Number={number}"))
    for name in ("a.rng", "a.rrng", "b.rrng"):
        with pytest.raises(InputError, match=name):
            read_ranges(tmp_path / name)


def test_an_ion_of_a_billion_atoms_is_no_formula():
    assert parse_formula("Al999") == (("Al", 999),)
    assert parse_formula("Al999999999") == () and parse_formula("Al" + "9" * 5000) == ()


def test_names_of_ions_cannot_make_the_reading_of_a_molecule_take_for_ever(tmp_path):
    """A and AA in A...A!: a regular expression tried every way to divide it."""
    names = ["A", "AA", "AAA", "A" * 60 + "!"]
    ions = "".join(f"{name}\n{name} 0 0 0\n" for name in names)
    rows = ". 1 2 1 0 0 0\n. 3 4 0 1 0 0\n. 5 6 0 0 1 0\n"
    (tmp_path / "a.rng").write_text(f"4 3\n{ions}---- {' '.join(names)}\n{rows}")
    assert len(read_ranges(tmp_path / "a.rng")) == 3


# ---------------------------------------------------------------------- other programs' range files
FIG = """1H+ 1.000011e+00 1.030011e+00
12C2+ 2.394526e+01 2.407026e+01
16O 1H2+ 1.796520e+01 1.808020e+01

56Fe ++ 27.755 28.320
54Fe ++ 26.88 27.185
"""
XRNG = """<?xml version="1.0" encoding="UTF-8"?>
<xrng><ranges>
<item><masstochargebegin>27.8</masstochargebegin><masstochargeend>28.3</masstochargeend>
<ions><item><chargestate>2</chargestate><volume>0.0118</volume>
<atoms><item><atomicnumber>26</atomicnumber></item></atoms>
<isotopiccombinations><item><item/></item></isotopiccombinations></item></ions></item>
<item><masstochargebegin>35.8</masstochargebegin><masstochargeend>36.2</masstochargeend>
<ions><item><chargestate>2</chargestate><volume>0.03</volume><atoms>
<item><atomicnumber>26</atomicnumber></item><item><atomicnumber>8</atomicnumber></item>
</atoms></item><item><atoms><item><atomicnumber>1</atomicnumber></item></atoms></item></ions></item>
<item><masstochargebegin>1</masstochargebegin><masstochargeend>2</masstochargeend></item>
</ranges></xrng>
"""
PYCCAPT = """name;ion;mass;mc;mc_low;mc_up;color;element;complex;isotope;charge
un;unranged;0.0;0.0;0.0;400.0;#000000;unranged;0;0;0
Fe;${}^{56}Fe^{2+}$;27.97;27.97;27.8;28.3;#ff0080;['Fe'];[1];[56];2
FeO;x;35.96;35.96;35.8;36.2;#00ff00;['Fe', 'O'];[1, 1];[56, 16];2
"""


def test_figures_of_the_atom_probe_toolbox(tmp_path):
    found = read_ranges(written(tmp_path, "R56.rng.FIG.txt", FIG))
    assert [found.ions[i].name for i in found.ion] == ["H", "C2", "OH2", "Fe", "Fe"]
    assert found.assign([1.01, 18.0, 28.0, 27.0, 50.0]).tolist() == [0, 2, 3, 3, -1]
    text = FIG.replace("12C2+", "Hyd+")
    assert read_ranges(written(tmp_path, "b.fig.txt", text)).ions[1].composition == ()


def test_xml_ranges(tmp_path):
    left_open = XRNG.replace("</ranges>", "<item> </ranges>")
    for name, text in (("a.xrng", XRNG), ("b.XRNG", left_open)):
        found = read_ranges(written(tmp_path, name, text))
        assert [found.ions[i].name for i in found.ion] == ["Fe", "FeO"]
        assert found.low.tolist() == [27.8, 35.8] and found.high.tolist() == [28.3, 36.2]
        assert found.ions[0].volume == pytest.approx(11.8)
        assert any("1 ranges name no ion" in note for note in found.notes)
        assert any("several ions" in note for note in found.notes)


def test_ranges_of_pyccapt_as_a_table(tmp_path):
    for text in (PYCCAPT, PYCCAPT.replace("[1, 1]", '"[1, 1]"')):
        found = read_ranges(written(tmp_path, "x_range.csv", text))
        assert [ion.name for ion in found.ions] == ["Fe", "FeO"]
        assert found.ions[0].color == (1.0, 0.0, 128 / 255) and found.high.tolist() == [28.3, 36.2]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.fig.txt", FIG.replace("27.185", "x"), "line 6: expected a range such as"),
        ("a.fig.txt", "27 28\n", "line 1: expected a range such as"),
        ("a.xrng", XRNG.replace("ranges", "rows"), "with an element <ranges>"),
        ("a.xrng", XRNG[:300], "is no whole XML"),
        ("a.xrng", XRNG.replace(">28.3<", "><"), "range 1: expected a number in <masstochargeend>"),
        ("a.xrng", XRNG.replace(">26<", ">126<"), "range 1: expected an atomic number, got 126"),
        ("a.xrng", '<!DOCTYPE x [<!ENTITY a "b">]><ranges/>', "declares a document type"),
        ("a.xrng", "<x><ranges></ranges></x>", "holds no range of an ion"),
        ("a.csv", "x,y\n1,2\n", "has no mc_low, mc_up, element, complex"),
        ("a.csv", PYCCAPT.replace("[1, 1]", "[1]"), "line 4: expected as many elements"),
        ("a.csv", PYCCAPT.replace("35.8;", ""), "line 4: expected 11 columns"),
        ("a_range.h5", "x", "pickled Python objects.*give the _range.csv"),
    ],
)
def test_damaged_tables_of_ranges_get_one_clear_line(tmp_path, name, content, says):
    with pytest.raises(InputError, match=says) as error:
        read_ranges(written(tmp_path, name, content))
    assert name in str(error.value) and "\n" not in str(error.value)


# --------------------------------------------------------------------- what is no element, remarks
def test_charges_and_isotopes_are_no_elements(data_dir, tmp_path):
    found = read_ranges(data_dir / "cases" / "charge.rrng")
    assert [(ion.name, ion.composition) for ion in found.ions] == [
        ("Al", (("Al", 1),)),
        ("Fe", (("Fe", 1),)),
    ]
    text = RRNG.replace("Si:1 O:1", "28Si:1 O-16:1 Charge:1 Isotope:28").replace(
        "Si:1 C", "Si28:1 C"
    )
    found = read_ranges(written(tmp_path, "a.rrng", text))
    assert [found.ions[i].name for i in found.ion] == ["Si", "SiO", "Si"]
    rng = RNG.replace("Si 0.8", "28Si 0.8").replace("- Si O", "- 28Si O")
    rng = rng.replace("1 0\n", "1 0 Charge:2\n")
    found = read_ranges(written(tmp_path, "a.rng", rng))
    assert [found.ions[i].composition for i in found.ion][::2] == [(("Si", 1),)] * 2


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("56Fe", (("Fe", 1),)), ("16O2", (("O", 2),)), ("Fe-56", (("Fe", 1),)),
        ("Fe56", (("Fe", 1),)), ("2H", (("H", 1),)), ("238U", (("U", 1),)), ("Ca48", (("Ca", 1),)),
        ("C60", ()), ("H4", ()), ("O2", ()), ("Si4", ()), ("10Fe", ()), ("56Xx", ()), ("Fe", ()),
        ("16O0", ()), ("1000Fe", ()),
    ],
)  # fmt: skip
def test_isotopes_are_told_from_formulas(text, parts):
    assert parse_isotope(text) == parts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.rrng", RRNG.replace("Ion2=O", "Ion2=O\nIon3=Fe")),
        ("a.rng", RNG.replace("2 3", "3 3").replace("Si O\n", "Si O Fe\n")
         .replace("-----", "Iron\nFe 1 0 0\n-----", 1).replace(" 1 0\n", " 1 0 0\n")
         .replace(" 1 1\n", " 0 1 0\n")),
        ("a.env", ENV.replace("2 3", "3 3").replace("SiO 1.0", "Fe 1 0 0\nSiO 1.0", 1)),
    ],
)  # fmt: skip
def test_ions_without_any_range_are_named(tmp_path, name, text):
    assert read_ranges(written(tmp_path, name, text)).notes == ("declared without any range: Fe",)
    for other, whole in (("b.rrng", RRNG), ("b.rng", RNG), ("b.env", ENV)):
        assert read_ranges(written(tmp_path, other, whole)).notes == ()
