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
from typer.testing import CliRunner, Result

from ase_crystalnet.cli import app
from ase_crystalnet.errors import InputError
from ase_crystalnet.reproduce import symmetry_baseline, ziletti2018, ziletti_paths, ziletti_tables
from ase_crystalnet.reproduce.report import Report, Table
from ase_crystalnet.reproduce.steps import Memo, Store
from ase_crystalnet.reproduce.ziletti_bench import evenly, familiar
from ase_crystalnet.reproduce.ziletti_images import PROTOTYPES, prototype_cell
from ase_crystalnet.training import elements, prototypes

REPOSITORY = Path(__file__).resolve().parents[1]


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
    found = score = ziletti_tables.score(labels, truth, ("a", "b", "c"))
    assert found["percent"] == 80
    assert found["percent_by_class"] == {"a": 100, "b": 50, "c": 100}
    assert score["wrong"] == [["b", "c", 1]]


def test_a_structure_without_a_lattice_is_wrong() -> None:
    probabilities = np.array([[0.9, 0.1], [np.nan, np.nan]])
    labels = ziletti_tables.most_probable(probabilities)
    assert labels.tolist() == [0, -1]
    found = ziletti_tables.score(labels, np.array([0, 0]), ("a", "b"))
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


def test_conditions_do_what_they_say(rng: np.random.Generator) -> None:
    atoms = prototype_cell("fcc (Cu)").repeat(4)
    assert len(ziletti_tables.Condition("vacancy", 25).apply(atoms, rng)) == 192
    moved = ziletti_tables.Condition("displacement", 0.05).apply(atoms, rng)
    assert np.std(moved.positions - atoms.positions) == pytest.approx(0.05, rel=0.1)
    mixed = ziletti_tables.Condition("substitution", 3).apply(atoms, rng)
    assert len(set(mixed.numbers)) == 3 and 29 in mixed.numbers
    assert (
        ziletti_tables.Condition("pristine").apply(atoms, rng).positions == atoms.positions
    ).all()


def test_the_local_model_needs_no_orientation(net: Any, rng: np.random.Generator) -> None:
    bench: Any = SimpleNamespace(local=net)
    names = list(PROTOTYPES)
    cells = [prototype_cell(name) for name in names]
    for condition in ("pristine", 0.0), ("vacancy", 40), ("displacement", 0.06):
        labels = ziletti_tables.local_labels(
            bench, cells, ziletti_tables.Condition(*condition), rng
        )
        assert [net.classes[i] for i in labels] == [PROTOTYPES[name][0] for name in names]


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

    classes = ("fcc", "hex/rh", "bcc")

    def __init__(self, data: Path | None) -> None:
        self.data = data

    def probabilities(self, structures: list[Atoms]) -> Any:
        rows = [[np.nan] * 3 if a.cell.angles().max() > 119 else [0.9, 0.06, 0.04]
                for a in structures]  # fmt: skip
        return np.array(rows, np.float32).reshape(-1, 3)


def test_databases_want_their_folder(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "memo", {})
    with pytest.raises(InputError, match="needs --data DIR"):
        ziletti_tables.databases(memo, FccEverywhere(None))  # type: ignore[arg-type]


def test_elements_of_databases_are_counted_by_source(tmp_path: Path) -> None:
    cubic, hexagonal = np.eye(3) * 2.5, [[3, 0, 0], [-1.5, 2.598, 0], [0, 0, 5]]
    entries = [
        {"id": "mp-1", "Z": [29], "sg": 225, "lattice": cubic.tolist(), "frac": [[0, 0, 0]]},
        {"id": "mp-2", "Z": [26], "sg": 229, "lattice": cubic.tolist(), "frac": [[0, 0, 0]]},
        {"id": "mp-3", "Z": [12], "sg": 194, "lattice": hexagonal, "frac": [[0, 0, 0]]},
        {"id": "mp-4", "Z": [12], "sg": 62, "lattice": hexagonal, "frac": [[0, 0, 0]]},
    ]
    (tmp_path / "structures").mkdir()
    with gzip.open(tmp_path / "structures" / "x.jsonl.gz", "wt") as lines:
        lines.writelines(json.dumps(entry) + "\n" for entry in entries)
    bench: Any = FccEverywhere(tmp_path)
    report = ziletti_tables.databases(Memo(tmp_path / "memo", {}), bench)
    first, second = report.tables
    assert first.rows[0][:3] == ["Materials Project", 3, pytest.approx(100 / 3)]
    assert first.rows[1][1] == 0
    assert [row[:3] for row in second.rows] == [
        ["Fe1 mp-2 (229)", "bcc", "fcc"],
        ["Mg1 mp-3 (194)", "hex/rh", "none"],
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
