"""The tutorial notebook runs from a fresh kernel, and what it shows is what is committed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import REPOSITORY

TUTORIAL = REPOSITORY / "docs" / "tutorial.ipynb"
OTHERS = ("tutorial_trajectory", "tutorial_crystals")
WORD = re.compile(r"[A-Za-z_]{2,}")
NUMBER = re.compile(r"(?<![\w.])\d+\.?\d*")
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: Any) -> list[str]:
    """Lines on stdout."""
    streams = (out for out in cell.outputs if out.output_type == "stream")
    return "".join(out.text for out in streams if out.name == "stdout").splitlines()


def pictures(cell: Any) -> int:
    return sum("image/png" in out.get("data", {}) for out in cell.outputs)


@pytest.fixture(scope="module")
def committed() -> Any:
    return nbformat.read(TUTORIAL, as_version=4)


def test_tutorial_is_short_light_and_whole(committed: Any) -> None:
    assert len(code_cells(committed)) == 10
    assert TUTORIAL.stat().st_size < 1_000_000
    assert [cell.execution_count for cell in code_cells(committed)] == list(range(1, 11))
    for cell in code_cells(committed):
        assert cell.outputs, "run the notebook before committing it"
        assert all(out.output_type != "error" for out in cell.outputs)
        assert all(out.get("name") != "stderr" for out in cell.outputs)


@pytest.mark.parametrize("name", OTHERS)
def test_other_tutorials_are_light_and_whole(name: str) -> None:
    path = REPOSITORY / "docs" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 200_000
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert cell.outputs, "run the notebook before committing it"
        assert all(out.output_type != "error" for out in cell.outputs)
        assert all(out.get("name") != "stderr" for out in cell.outputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_tutorials_say_what_is_committed(name: str) -> None:
    """Words alike and numbers near: the last digit of a mean may differ between processors."""
    path = REPOSITORY / "docs" / f"{name}.ipynb"
    committed, fresh = (nbformat.read(path, as_version=4) for _ in range(2))
    folder = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(
        fresh, timeout=600, kernel_name="python3", resources=folder, coalesce_streams=True
    ).execute()
    for now, before in zip(code_cells(fresh), code_cells(committed), strict=True):
        assert pictures(now) == pictures(before)
        for line, wanted in zip(printed(now), printed(before), strict=True):
            assert WORD.findall(line) == WORD.findall(wanted)
            numbers, expected = map(NUMBER.findall, (line, wanted))
            assert [float(x) for x in numbers] == pytest.approx(
                [float(x) for x in expected], rel=0.02, abs=0.02
            )


@pytest.mark.slow
def test_tutorial_runs_and_says_what_is_committed(committed: Any) -> None:
    fresh = nbformat.read(TUTORIAL, as_version=4)
    for cell in code_cells(fresh):
        cell.outputs = []
    folder = {"metadata": {"path": str(TUTORIAL.parent)}}
    client = nbclient.NotebookClient(
        fresh, timeout=600, kernel_name="python3", resources=folder, coalesce_streams=True
    )
    client.execute()
    for now, before in zip(code_cells(fresh), code_cells(committed), strict=True):
        assert pictures(now) == pictures(before)
        assert len(printed(now)) == len(printed(before))
    cells = code_cells(fresh)
    # The crystal, its cell and its block do not depend on the machine.
    assert printed(cells[0]) == printed(code_cells(committed)[0])
    assert float(printed(cells[1])[0].split(":")[1]) < 1e-4
    # Every prototype, and the defective crystals, are named rightly.
    header, *rows = printed(cells[4])
    classes = header.split()
    for row in rows:
        values = [float(p) for p in row.split()[-len(classes) :]]
        best = classes[values.index(max(values))]
        label = row[:18].strip()
        assert best == (label if label in classes else "sc"), row
    # The maps lie on the Bragg spots far above chance.
    for row in printed(cells[8])[1:]:
        response, shuffled, _ = (float(share) for share in row.split()[-3:])
        assert response > 3 * shuffled
