"""The reproduction of Ziletti et al. 2018: its pieces, and a quick run of all of it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from typer.testing import CliRunner, Result

from ase_crystalnet.cli.app import app
from ase_crystalnet.crystals import elements, prototypes
from ase_crystalnet.crystals.defects import displaced
from ase_crystalnet.errors import InputError
from ase_crystalnet.reproduce.report import Report, Table
from ase_crystalnet.reproduce.store import Memo, Store
from ase_crystalnet.reproduce.ziletti2018 import (
    databases as ziletti_databases,
)
from ase_crystalnet.reproduce.ziletti2018 import (
    measure as ziletti_measure,
)
from ase_crystalnet.reproduce.ziletti2018 import (
    melting as ziletti_melting,
)
from ase_crystalnet.reproduce.ziletti2018 import (
    paths as ziletti_paths,
)
from ase_crystalnet.reproduce.ziletti2018 import (
    spglib_baseline as symmetry_baseline,
)
from ase_crystalnet.reproduce.ziletti2018 import (
    steps as ziletti2018,
)
from ase_crystalnet.reproduce.ziletti2018 import (
    tables as ziletti_tables,
)
from ase_crystalnet.reproduce.ziletti2018.bench import evenly, familiar
from ase_crystalnet.reproduce.ziletti2018.images import PROTOTYPES, prototype_cell
from ase_crystalnet.whole.average_cell import average_cell
from ase_crystalnet.whole.cluster import perfect_supercell
from tests.support import REPOSITORY


def crystalnet(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


# ------------------------------------------------------------------ pieces
def test_evenly_takes_both_ends_and_no_more_than_there_are() -> None:
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly(3, 10).tolist() == [0, 1, 2]


def test_the_local_model_was_made_for_some_of_the_elements(rng: np.random.Generator) -> None:
    every = {p.name: p for p in prototypes.PROTOTYPES}

    def one(name: str, label: str, ratio: float) -> elements.Element:
        kind = every[name]
        cell = np.diag([3.0, 3.0, 3.0 * ratio])
        atoms = Atoms("Cu2", cell=cell, scaled_positions=[(0, 0, 0), (0.5,) * 3], pbc=True)
        return elements.Element(atoms, kind.space_group, label, name)

    assert familiar(one("A_tI2_139_a", "bct139", 0.8))
    assert not familiar(one("A_tI2_139_a", "bct139", 0.97))  # near bcc
    assert not familiar(one("A_tI2_139_a", "bct139", 2.3))  # longer than any it has seen
    assert familiar(one("A_cI2_229_a", "bcc", 1.0))
    assert not familiar(one("A_tI8_139_h", "bct139", 0.8))


def test_score_counts_every_class_by_itself() -> None:
    labels, truth = np.array([0, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 2])
    found = score = ziletti_measure.score(labels, truth, ("a", "b", "c"))
    assert found["percent"] == 80
    assert found["percent_by_class"] == {"a": 100, "b": 50, "c": 100}
    assert score["wrong"] == [["b", "c", 1]]


def test_a_structure_without_a_lattice_is_wrong() -> None:
    probabilities = np.array([[0.9, 0.1], [np.nan, np.nan]])
    labels = ziletti_measure.most_probable(probabilities)
    assert labels.tolist() == [0, -1]
    found = ziletti_measure.score(labels, np.array([0, 0]), ("a", "b"))
    assert found["percent"] == 50 and found["wrong"] == [["a", "none", 1]]


@pytest.mark.parametrize("name", PROTOTYPES)
def test_prototypes_have_their_space_groups(name: str) -> None:
    wanted = {"rh": 166, "hex": 194, "sc": 221, "fcc": 225, "diam": 227, "bcc": 229}
    wanted |= {"bct139": 139, "bct141": 141}
    cell = prototype_cell(name)
    assert set(symmetry_baseline.space_groups([cell])[0]) == {wanted[name.split()[0]]}


@pytest.mark.parametrize(("mu", "number"), [(1, 229), (2, 221), (4, 225), (1.5, 166), (3, 166)])
def test_the_rhombohedral_path_goes_through_the_cubic_lattices(mu: float, number: int) -> None:
    cell = ziletti_paths.rhombohedral_cell(mu * ziletti_paths.MU)
    assert symmetry_baseline.space_group(cell, 1e-3, 1.0) == number


def test_crossing_is_where_the_line_falls_below() -> None:
    x = np.array([0.0, 1.0, 2.0])
    assert ziletti_paths.crossing(x, np.array([1.0, 0.75, 0.25])) == 1.5
    assert ziletti_paths.crossing(x, np.array([1.0, 1.0, 1.0])) is None
    assert ziletti_paths.crossing(x, np.array([0.0, 1.0, 1.0])) is None


@pytest.mark.parametrize("sigma", [0.05, 0.15])
def test_bragg_spots_weaken_as_debye_and_waller_say(sigma: float, rng: np.random.Generator) -> None:
    for name, crystal in ziletti_melting.crystals_to_melt().items():
        lattice = average_cell(crystal).lattice
        block = perfect_supercell(crystal, 2000)
        assert ziletti_melting.bragg_intensity(block.positions, lattice) == pytest.approx(1)
        distance = ziletti_melting.nearest_distances(block)
        assert np.ptp(distance) < 1e-6
        moved = displaced(block, sigma * distance[0], rng)
        q = 2 * np.pi * np.linalg.norm(np.linalg.inv(lattice), axis=0).min()
        expected = np.exp(-((q * sigma * distance[0]) ** 2))
        left = ziletti_melting.bragg_intensity(moved.positions, lattice)
        assert left == pytest.approx(expected, rel=0.15), name
        # Displaced atoms have nearer neighbours: a scale that fools a network.
        assert ziletti_melting.nearest_distances(moved).mean() < (1 - 0.8 * sigma) * distance[0]


def test_conditions_do_what_they_say(rng: np.random.Generator) -> None:
    atoms = prototype_cell("fcc (Cu)").repeat(4)
    assert len(ziletti_measure.Condition("vacancy", 25).apply(atoms, rng)) == 192
    moved = ziletti_measure.Condition("displacement", 0.05).apply(atoms, rng)
    assert np.std(moved.positions - atoms.positions) == pytest.approx(0.05, rel=0.1)
    mixed = ziletti_measure.Condition("substitution", 3).apply(atoms, rng)
    assert len(set(mixed.numbers)) == 3 and 29 in mixed.numbers
    assert (
        ziletti_measure.Condition("pristine").apply(atoms, rng).positions == atoms.positions
    ).all()


def test_the_local_model_needs_no_orientation(symmetries: Any, rng: np.random.Generator) -> None:
    bench: Any = SimpleNamespace(local=symmetries)
    names = list(PROTOTYPES)
    cells = [prototype_cell(name) for name in names]
    for condition in ("pristine", 0.0), ("vacancy", 40), ("displacement", 0.06):
        labels = ziletti_measure.local_labels(
            bench, cells, ziletti_measure.Condition(*condition), rng
        )
        assert [symmetries.classes[i] for i in labels] == [PROTOTYPES[name][0] for name in names]


def stored_row(value: float, percent: float) -> dict[str, Any]:
    spglib = {"structures": 5, "loose": 1.0, "medium": 2.0, "tight": 3.0}
    local = {"local": {"percent": 4.0}, "local familiar": {"percent": 5.0}}
    return {"value": value, "global": {"percent": percent}, "spglib": spglib, **local}


def test_table_1_is_made_of_the_stored_tables(tmp_path: Path) -> None:
    store = Store(tmp_path, {})
    memo = Memo(tmp_path / "memo", {})
    with pytest.raises(InputError, match="run --only pristine first"):
        ziletti_tables.table_1(memo, store)
    rows = {
        "pristine": [stored_row(0, 100)],
        "table-s1": [stored_row(0.02, 99.5), stored_row(0.04, 98.0)],
        "table-s2": [stored_row(25, 97.5)],
    }
    for name, values in rows.items():
        store.save(name, Report(data={"rows": values}), 1.0)
    table = ziletti_tables.table_1(memo, store).tables[0]
    assert [row[0] for row in table.rows] == ["pristine", "sigma 0.02 Å", "vacancies 25 %"]
    assert table.rows[1][1:] == [99.5, 100.0, 5.0, 4.0, 1.0, 2.0, 3.0]


# ------------------------------------------------------------------ databases
class FccEverywhere:
    """A bench whose network calls everything fcc, but has no answer to hexagonal cells."""

    classes = ("fcc", "hex/rh", "bct139")

    def __init__(self, data: Path | None) -> None:
        self.data = data

    def probabilities(self, structures: list[Atoms]) -> Any:
        rows = [[np.nan] * 3 if a.cell.angles().max() > 119 else [0.9, 0.06, 0.04]
                for a in structures]  # fmt: skip
        return np.array(rows, np.float32).reshape(-1, 3)


def test_databases_want_their_folder(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "memo", {})
    with pytest.raises(InputError, match="needs --data DIR"):
        ziletti_databases.databases(memo, FccEverywhere(None))  # type: ignore[arg-type]


def test_elements_of_databases_are_counted_by_source(tmp_path: Path) -> None:
    def entry(name: str, group: int, atoms: Atoms) -> dict[str, Any]:
        cell, sites = atoms.cell.array.tolist(), atoms.get_scaled_positions().tolist()
        numbers = atoms.numbers.tolist()
        return {"id": name, "Z": numbers, "sg": group, "lattice": cell, "frac": sites}

    iron = bulk("Fe", "bcc", a=2.87, cubic=True)
    iron.set_cell([2.87, 2.87, 2.89], scale_atoms=True)  # 0.7 % from bcc, called tetragonal
    entries = [
        entry("mp-1", 225, bulk("Cu", "fcc", a=3.6)),
        entry("mp-2", 139, iron),
        entry("mp-3", 194, bulk("Mg", "hcp", a=3.2, c=5.2)),
        entry("mp-4", 62, bulk("Cu", "fcc", a=3.6)),
    ]
    (tmp_path / "structures").mkdir()
    with gzip.open(tmp_path / "structures" / "x.jsonl.gz", "wt") as lines:
        lines.writelines(json.dumps(line) + "\n" for line in entries)
    bench: Any = FccEverywhere(tmp_path)
    report = ziletti_databases.databases(Memo(tmp_path / "memo", {}), bench)
    first, second = report.tables
    # The tetragonal iron is too near to bcc to tell: it is counted once, and left out once.
    assert first.rows[0][:5] == ["Materials Project", 3, pytest.approx(100 / 3), 2, 50.0]
    assert first.rows[1][1] == 0
    assert [[*row[:3], row[4]] for row in second.rows] == [
        ["Fe2 mp-2 (139)", "bct139", "fcc", "no"],
        ["Mg2 mp-3 (194)", "hex/rh", "none", ""],
    ]
    assert not report.checks[0].passed


# ------------------------------------------------------------------ the command
def test_unknown_steps_are_refused(tmp_path: Path) -> None:
    done = crystalnet("reproduce", "ziletti2018", "-o", tmp_path, "--only", "figure-9", "-q")
    assert done.exit_code == 2
    assert "there is no such step; use figure-2, pristine" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_names_every_step() -> None:
    shown = " ".join(crystalnet("reproduce", "ziletti2018", "--help").output.split())
    for name in ziletti2018.STEPS:
        assert name in shown


@pytest.mark.slow
def test_quick_run_of_everything(tmp_path: Path) -> None:
    done = crystalnet("reproduce", "ziletti2018", "--quick", "-o", tmp_path)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "ziletti2018.md").read_text()
    assert "**A quick run" in page
    store = Store(tmp_path / "ziletti2018", {})
    for name in set(ziletti2018.STEPS) - {"databases"}:
        report = store.load(name)
        assert report is not None
        for table in report.tables:
            assert table.markdown() in page
        for picture in report.pictures:
            assert store.picture(name, picture.name).stat().st_size > 5000
            assert f"ziletti2018/{name}-{picture.name}.png" in page
    # What is stored is not made again, and the page comes out the same.
    again = crystalnet("reproduce", "ziletti2018", "--quick", "-o", tmp_path)
    assert again.stderr.count(": kept") == len(ziletti2018.STEPS) - 1
    assert (tmp_path / "ziletti2018.md").read_text() == page
    refused = crystalnet("reproduce", "ziletti2018", "-o", tmp_path, "-q")
    assert refused.exit_code == 2 and "another sizes" in refused.stderr


# ------------------------------------------------------------------ what is kept in docs/
def test_the_page_kept_is_that_of_the_stored_run() -> None:
    folder = REPOSITORY / "docs" / "reproduce"
    page = (folder / "ziletti2018.md").read_text()
    store = Store(folder / "ziletti2018", {})
    for name in ziletti2018.STEPS:
        report = store.load(name)
        assert report is not None, f"{name} is not stored"
        for table in report.tables:
            assert Table(**vars(table)).markdown() in page
        for picture in report.pictures:
            assert store.picture(name, picture.name).is_file()
