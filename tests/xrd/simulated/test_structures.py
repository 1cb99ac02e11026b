"""Structures to simulate patterns of: readers of folders, labels, duplicates, splits, weights."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.errors import InputError
from ase_crystalnet.training.powder.splits import sampling_weights, split_structures
from ase_crystalnet.training.powder.synthetic import SYNTHETIC
from ase_crystalnet.xrd.simulated.reflections import peaks
from ase_crystalnet.xrd.simulated.sources import parse_operation, site_element
from ase_crystalnet.xrd.simulated.structures import (
    StructureSet,
    build_structure_set,
    structure_set_of,
)

ROCK_SALT = {
    "amcsd_id": 99,
    "mineral": "Halite",
    "formula": "Na Cl",
    "sg": 225,
    "sgid": 1,
    "cell": [5.64, 5.64, 5.64, 90, 90, 90],
    "sites": ["Na", "Cl"],
    "x": [0, 0.5],
    "y": [0, 0.5],
    "z": [0, 0.5],
    "occ": None,
}


def write_lines(path: Path, records: list[dict]) -> None:
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def arrays(name: str, atoms, group: int) -> dict:
    return {
        "id": name,
        "lattice": atoms.cell.array.tolist(),
        "Z": atoms.numbers.tolist(),
        "frac": atoms.get_scaled_positions().tolist(),
        "sg": group,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every kind of source: arrays, asymmetric units and a CIF."""
    salt = bulk("NaCl", "rocksalt", a=5.64)
    from ase.spacegroup import Spacegroup

    operations = [
        ",".join(
            "+".join(
                [f"{int(v)}{axis}" for v, axis in zip(row, "xyz", strict=True) if v]
                + [str(Fraction)]
            ).replace("+-", "-")
            for row, Fraction in zip(rotation, ("0", "0", "0"), strict=True)
        )
        for rotation in Spacegroup(221).rotations
    ]
    centring = [
        ",".join(f"{a}+{part}" for a, part in zip(shift, text.split(","), strict=True))
        for text in operations
        for shift in (
            ("0", "0", "0"),
            ("0", "1/2", "1/2"),
            ("1/2", "0", "1/2"),
            ("1/2", "1/2", "0"),
        )
    ]
    with gzip.open(tmp_path / "amcsd_spacegroup_settings.json.gz", "wt") as file:
        json.dump({"1": {"hm": "F m -3 m", "number": 225, "symops": centring}}, file)
    write_lines(tmp_path / "minerals.jsonl.gz", [ROCK_SALT])
    write_lines(
        tmp_path / "computed.jsonl.gz",
        [
            arrays("a", salt, 225),
            arrays("b", bulk("Cu"), 225),
            arrays("c", bulk("Fe", cubic=True), 229),
            arrays("same", bulk("Cu", a=3.611, cubic=True), 225),
            arrays("larger", bulk("Cu", a=3.9), 225),
        ],
    )
    (tmp_path / "more").mkdir()
    write(tmp_path / "more" / "silicon.cif", bulk("Si"))
    (tmp_path / "more" / "broken.cif").write_text("no crystal here\n")
    return tmp_path


def test_folder(folder: Path) -> None:
    said: list[str] = []
    found = build_structure_set(folder, log=said.append)
    by_name = {str(n): i for i, n in enumerate(found.identifier)}
    # Halite as a mineral and as computed are one, of which the mineral is kept; copper twice too.
    assert set(by_name) == {"amcsd99", "b", "c", "larger", "silicon"}
    assert found.space_group[by_name["silicon"]] == 227
    assert found.mineral[by_name["amcsd99"]] == "Halite"
    assert found.structure_type[by_name["c"]] == "229:1"
    assert found.structure_type[by_name["amcsd99"]] == "225:1.1"
    assert any("unreadable CIF" in text for text in said)
    assert said[-1].startswith("7 structures, 5 without")


def test_asymmetric_unit_and_arrays_give_one_pattern(folder: Path) -> None:
    found = build_structure_set(folder)
    halite = found.reflections(list(found.identifier).index("amcsd99"))
    salt = structure_set_of({"salt": bulk("NaCl", "rocksalt", a=5.64)}).reflections(0)
    for ours, wanted in zip(peaks(halite), peaks(salt), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-3)


def test_saved_and_read_again(folder: Path, tmp_path: Path) -> None:
    found = build_structure_set(folder)
    path = tmp_path / "set.npz"
    found.save(path)
    again = StructureSet.load(path)
    np.testing.assert_array_equal(again.vectors, found.vectors)
    assert again.formula.tolist() == found.formula.tolist()
    assert not list(tmp_path.glob(".writing-*"))


def test_worker_processes_give_the_same(folder: Path) -> None:
    one, two = (build_structure_set(folder, processes=n) for n in (1, 2))
    np.testing.assert_array_equal(one.vectors, two.vectors)


def test_subset(folder: Path) -> None:
    found = build_structure_set(folder)
    some = found.subset(np.array([3, 1]))
    for i, j in enumerate((3, 1)):
        np.testing.assert_array_equal(some.reflections(i).vectors, found.reflections(j).vectors)
    assert some.identifier.tolist() == found.identifier[[3, 1]].tolist()


def test_labels_of_real_minerals(data_dir: Path) -> None:
    """Expanded asymmetric units have the space group of their entry, by spglib."""
    import spglib

    from ase_crystalnet.xrd.simulated.sources import from_amcsd

    source = data_dir / "structures"
    if not (source / "amcsd.jsonl.gz").is_file():
        pytest.skip("no minerals in the data folder")
    with gzip.open(source / "amcsd.jsonl.gz", "rt") as file:
        records = [json.loads(line) for i, line in enumerate(file) if i % 300 == 0]
    right = []
    for record in records:
        crystal = from_amcsd(record, source)
        if not np.allclose(crystal.occupancies, 1):
            continue
        cell = crystal.lattice, crystal.fractional, crystal.numbers
        right.append(spglib.get_symmetry_dataset(cell, symprec=0.01).number == record["sg"])
    assert len(right) > 10
    assert np.mean(right) > 0.9


@pytest.mark.parametrize(
    ("text", "rotation", "translation"),
    [
        ("x,y,z", np.eye(3), [0, 0, 0]),
        ("1/2+x,-y,z-1/4", np.diag([1, -1, 1]), [0.5, 0, -0.25]),
        ("-y,x-y,2/3+z", [[0, -1, 0], [1, -1, 0], [0, 0, 1]], [0, 0, 2 / 3]),
        ("X, 0.5+Y, -Z", np.diag([1, 1, -1]), [0, 0.5, 0]),
    ],
)
def test_operations(text: str, rotation, translation) -> None:
    found = parse_operation(text)
    np.testing.assert_allclose(found[0], rotation)
    np.testing.assert_allclose(found[1], translation)


@pytest.mark.parametrize(
    ("site", "formula", "number"),
    [
        ("CaM2", "Ca Mg Si O6", 20),
        ("CO2", "C O2", 6),
        ("CO2", "Co O2", 6),
        ("Co1", "Co O", 27),
        ("OH3", "O H", 8),
        ("Wat1", "H2 O", 8),
        ("D", "D2 O", 1),
        ("Dy1", "Dy", 66),
        ("SiT", "Si O2", 14),
    ],
)
def test_site_labels(site: str, formula: str, number: int) -> None:
    import re

    assert site_element(site, set(re.findall("[A-Z][a-z]?", formula))) == number


def test_site_without_element() -> None:
    with pytest.raises(InputError, match="begins with no element"):
        site_element("?", set())


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no structures"):
        build_structure_set(tmp_path)


def test_folder_of_broken_files(tmp_path: Path) -> None:
    (tmp_path / "x.cif").write_text("nothing")
    with pytest.raises(InputError, match="no usable structure"):
        build_structure_set(tmp_path)


def test_file_that_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        StructureSet.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(InputError, match="holds no set"):
        StructureSet.load(tmp_path / "text.npz")


def many(rng: np.random.Generator, size: int = 600) -> StructureSet:
    """A set with made-up compositions and types; only these matter here."""
    one = structure_set_of({"Cu": bulk("Cu")})
    found = one.subset(np.zeros(size, int))
    return replace(
        found,
        elements=rng.choice([f"e{i}" for i in range(150)], size),
        structure_type=rng.choice([f"t{i}" for i in range(100)], size),
        mineral=np.where(rng.random(size) < 0.3, rng.choice(["quartz", "opal"], size), ""),
        space_group=rng.choice([2, 14, 225], size, p=[0.7, 0.2, 0.1]).astype(np.int16),
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_splits_share_nothing_with_training(seed: int) -> None:
    rng = np.random.default_rng(seed)
    structures = many(rng)
    keep = rng.random(len(structures)) < 0.02
    split = split_structures(structures, rng, keep=keep)
    train = split == "train"
    for name, groups in (
        ("composition", structures.elements),
        ("type", structures.structure_type),
    ):
        test = split == name
        assert 0 < test.sum() < 0.15 * len(structures)
        assert not set(groups[test]) & set(groups[train])
    assert (split[keep] == "train").all()
    assert (split == "random").sum() == int(0.04 * len(structures))


def test_split_is_reproducible(rng: np.random.Generator) -> None:
    structures = many(rng)
    a, b = (split_structures(structures, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_share_out_of_range(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="share"):
        split_structures(many(rng, 50), rng, share=0.5)


def test_weights(rng: np.random.Generator) -> None:
    structures = many(rng)
    mineral = structures.mineral != ""
    plain = sampling_weights(structures, mineral=1.0)
    assert plain.sum() == pytest.approx(1)
    heavy = sampling_weights(structures, mineral=5.0)
    ratio = heavy[mineral].mean() / heavy[~mineral].mean()
    assert ratio == pytest.approx(5)
    even = sampling_weights(structures, balance=1.0)
    for group in (2, 14, 225):
        assert even[structures.space_group == group].sum() == pytest.approx(1 / 3)
    favored = sampling_weights(structures, mineral=1.0, favored=("atoms",), favor=3.0)
    np.testing.assert_allclose(favored, plain)  # all are of that source
    source = np.where(np.arange(len(structures)) < 50, SYNTHETIC, structures.source)
    mixed = sampling_weights(replace(structures, source=source), mineral=1.0, synthetic=0.2)
    assert mixed.sum() == pytest.approx(1)
    assert mixed[:50].sum() == pytest.approx(0.2)
