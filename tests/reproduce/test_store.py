"""What the reproductions of both papers share: reports, stored steps, pages, spglib, figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk

from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.plotting.style import new_figure
from ase_crystalnet.reproduce import figures
from ase_crystalnet.reproduce.report import (
    Check,
    Picture,
    Report,
    Table,
    checks_table,
)
from ase_crystalnet.reproduce.store import (
    Memo,
    Step,
    Store,
    choose,
    run_steps,
    write_page,
)
from ase_crystalnet.reproduce.ziletti2018 import spglib_baseline as symmetry_baseline


# ------------------------------------------------------------------ reports
def test_table_says_what_is_known_and_what_is_not() -> None:
    table = Table(
        "T", ("name", "value", "n", "met"), [("a", 1.0, 3, True), ("b", None, 0, False)], "note", 1
    )
    lines = table.markdown().splitlines()
    assert lines[2] == "| name | value | n | met |"
    assert lines[4:6] == ["| a | 1.0 | 3 | yes |", "| b | - | 0 | no |"]
    assert lines[-1] == "note"
    assert "| - |" in Table("T", ("x",), [(float("nan"),)]).markdown()


def test_table_refuses_a_row_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells under a header of 2"):
        Table("T", ("a", "b"), [(1,)])


def test_report_survives_json() -> None:
    report = Report(
        tables=(Table("T", ("a", "b"), [(1, 0.5), ("x", None)], "n", 3),),
        checks=(Check("c", "100", "99", False),),
        pictures=(Picture("p", "caption"),),
        data={"x": [1, 2]},
    )
    again = Report.from_json(json.loads(json.dumps(report.to_json())))
    assert again.tables[0].markdown() == report.tables[0].markdown()
    assert again.checks == report.checks and again.data == report.data
    assert again.pictures[0].caption == "caption" and again.pictures[0].figure is None
    assert checks_table("C", again.checks).rows[0] == ("c", "100", "99", False)


# ------------------------------------------------------------------ steps
class Counter:
    """A step that counts what it makes, and may stop in the middle."""

    def __init__(self, stop: bool = False) -> None:
        self.made: list[str] = []
        self.stop = stop

    def run(self, memo: Memo) -> Report:
        values = []
        for name in ("one", "two"):
            if name == "two" and self.stop:
                raise KeyboardInterrupt
            values.append(memo(name, lambda n=name: self._make(n)))
        figure = new_figure(1, 1)
        table = Table("T", ("x",), [(v["value"],) for v in values])
        return Report((table,), (), (Picture("dot", "a dot", figure),), {"values": values})

    def _make(self, name: str) -> dict[str, Any]:
        self.made.append(name)
        return {"value": np.float32(len(name)), "array": np.arange(2)}


def a_step(counter: Counter, name: str = "table-1") -> Step:
    return Step(name, f"Title of {name}", "What was done.", counter.run)


def test_steps_are_stored_kept_and_put_on_a_page(tmp_path: Path) -> None:
    counter, said = Counter(), []
    store = Store(tmp_path / "paper", {"seed": 1})
    steps = [a_step(counter)]
    done = run_steps(steps, store, said.append)
    assert counter.made == ["one", "two"] and len(done) == 1
    assert {p.name for p in (tmp_path / "paper").iterdir()} == {
        "table-1.json",
        "table-1-dot.png",
    }
    run_steps(steps, Store(tmp_path / "paper", {"seed": 1}), said.append)
    assert counter.made == ["one", "two"]
    assert said[-1] == "[1/1] table-1: kept"
    page = tmp_path / "paper.md"
    write_page(page, "# Paper", steps, store, "The end.")
    text = page.read_text()
    assert text.startswith("# Paper") and text.rstrip().endswith("The end.")
    assert "## Title of table-1" in text and "| 3.00 |" in text
    assert "(paper/table-1-dot.png)" in text
    assert store.load("table-1").data["values"][0] == {"value": 3.0, "array": [0, 1]}  # type: ignore[union-attr]


def test_an_interrupted_step_goes_on_in_the_middle(tmp_path: Path) -> None:
    first = Counter(stop=True)
    store = Store(tmp_path, {"seed": 1})
    with pytest.raises(KeyboardInterrupt):
        run_steps([a_step(first)], store, lambda text: None)
    assert not store.path("table-1").exists()
    second = Counter()
    run_steps([a_step(second)], store, lambda text: None)
    assert second.made == ["two"]
    # Parts made under other settings are of no use.
    with pytest.raises(KeyboardInterrupt):
        run_steps([a_step(Counter(stop=True), "table-2")], store, lambda text: None)
    third = Counter()
    run_steps([a_step(third, "table-2")], Store(tmp_path, {"seed": 2}), lambda text: None)
    assert third.made == ["one", "two"]


def test_a_damaged_memo_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "memo").write_text('{"settings": {')
    assert Memo(tmp_path / "memo", {})("a", lambda: 5) == 5


def test_other_settings_are_refused_before_anything_runs(tmp_path: Path) -> None:
    run_steps([a_step(Counter())], Store(tmp_path, {"seed": 1, "n": 5}), lambda text: None)
    counter = Counter()
    steps = [a_step(counter, "new"), a_step(counter)]
    with pytest.raises(OutputExistsError, match=r"another seed; --overwrite"):
        run_steps(steps, Store(tmp_path, {"seed": 2, "n": 5}), lambda text: None)
    assert counter.made == []
    store = Store(tmp_path, {"seed": 2, "n": 5}, overwrite=True)
    run_steps([a_step(counter)], store, lambda text: None)
    assert counter.made == ["one", "two"]
    assert store.is_current("table-1")


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is damaged"), ('{"settings": {}}', "is no stored step")]
)
def test_a_damaged_step_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "table-1.json").write_text(content)
    with pytest.raises(InputError, match=message):
        run_steps([a_step(Counter())], Store(tmp_path, {}), lambda text: None)


def test_choose_keeps_the_order_and_names_the_unknown() -> None:
    steps = [a_step(Counter(), name) for name in ("a", "b", "c")]
    assert [s.name for s in choose(steps, ["c", "a"])] == ["a", "c"]
    assert choose(steps, []) == steps
    with pytest.raises(InputError, match="no such step; use a, b, c"):
        choose(steps, ["d"])


def test_what_json_cannot_hold_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object cannot be stored"):
        Memo(tmp_path / "memo", {})("a", object)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ spglib
@pytest.mark.parametrize(
    ("name", "number"),
    [("fcc", 225), ("bcc", 229), ("sc", 221), ("diam", 227), ("hex/rh", 194), ("bct141", 141)],
)
def test_spglib_finds_the_group_only_within_its_tolerance(name: str, number: int) -> None:
    rng = np.random.default_rng(5)
    perfect = crystals.supercell(crystals.unit_cell(name), 60)
    shaken = perfect.copy()
    shaken.positions += rng.normal(scale=0.002, size=shaken.positions.shape)
    defective = perfect[rng.random(len(perfect)) > 0.2]
    found = symmetry_baseline.space_groups([perfect, shaken, defective])
    assert found[0].tolist() == [number] * 3
    assert found[1, 0] == number and found[1, 2] != number
    assert (found[2] != number).all()
    right = symmetry_baseline.matches(found, np.full(3, number))
    assert right[0].all() and right[1, 0] and not right[1, 2] and not right[2].any()


def test_hexagonal_and_rhombohedral_are_one_class() -> None:
    found = np.array([[166, 194, 225]])
    assert symmetry_baseline.matches(found, np.array([194])).tolist() == [[True, True, False]]


def test_spglib_without_an_answer_is_no_error() -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.positions[1] = atoms.positions[0]  # two atoms in one place
    assert symmetry_baseline.space_groups([atoms]).tolist() == [[0, 0, 0]]


# ------------------------------------------------------------------ figures
def test_figures_draw_what_they_are_given(rng: np.random.Generator) -> None:
    images = rng.random((5, 64, 64, 3))
    grid = figures.fingerprint_grid(images, [f"n{i}" for i in range(5)])
    assert [a.get_title() for a in grid.axes[:5]] == ["n0", "n1", "n2", "n3", "n4"]
    defects = figures.defect_images(images[:3], ["pristine", "vacancies", "displaced"])
    assert f"{np.abs((images[1] - images[0]).mean(-1)).max():.3f}" in defects.axes[4].get_title()
    lines = figures.probability_lines(
        np.linspace(0, 1, 7),
        np.eye(7)[None].repeat(2, 0),
        list("abcdefg"),
        "x",
        marks={0.5: "here"},
        band=(0.1, 0.2),
        titles=("p", "q"),
    )
    assert len(lines.axes) == 2 and len(lines.axes[0].get_legend().get_texts()) == 7
    accuracy = figures.accuracy_lines([1, 2], {"ours": [100.0, 90.0], "paper": [None, 80.0]}, "s")
    assert [len(line.get_xdata()) for line in accuracy.axes[0].lines] == [2, 1]
