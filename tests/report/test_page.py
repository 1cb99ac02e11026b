"""The page as text: nothing in it that came with a result is taken for HTML or a script."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.report import Page, powder_page, trajectory_page
from ase_crystalnet.report.charts import Axis, curves, fractions, round_numbers
from ase_crystalnet.report.page import facts, table
from ase_crystalnet.report.scene import ShownFrame
from ase_crystalnet.report.trajectory import chosen_rows
from ase_crystalnet.results.trajectory import TrajectoryBuilder
from tests.support.fakes import CLASSES, fake_frame, frames

EVIL = "</script><script>alert('x')</script><img src=http://example.org/x>"


def page_of(count: int = 3, source: str = "md.extxyz", title: str = "Melting") -> str:
    builder = TrajectoryBuilder(CLASSES)
    shown = []
    for number, atoms in enumerate(frames(count)):
        analysis = fake_frame(atoms)
        builder.append(analysis, number, source)
        shown.append(ShownFrame(number, analysis, atoms))
    return trajectory_page(builder.build(), shown, {"trajectory": source}, title).html()


def test_names_in_a_result_stay_text() -> None:
    text = page_of(source=EVIL, title=EVIL)
    assert EVIL not in text and "<img src=http" not in text
    assert text.count("<script") == 2 and text.count("</script>") == 2
    for hostile in (table((EVIL,), [(EVIL,)]), facts({EVIL: EVIL})):
        assert "<script" not in hostile and "<img" not in hostile


def test_only_the_pages_own_script_may_run_and_nothing_be_fetched() -> None:
    text = page_of()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]  # type: ignore[index]
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert not re.findall(r'(?:src|href)="(?!data:)', text)


def test_the_data_are_those_of_the_result() -> None:
    text = page_of(count=3)
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert len(data["scene"]["frames"]) == len(data["cursor"]) == 3
    assert data["cursor"] == sorted(data["cursor"])
    # One table a frame; without a script the last one is seen.
    hidden = re.findall(r'<div data-frame="(\d)"( hidden)?>', text)
    assert hidden == [("0", " hidden"), ("1", " hidden"), ("2", "")]
    for number, atoms in enumerate(frames(3)):
        share = fake_frame(atoms).class_fractions[CLASSES.index("fcc")]
        part = text.split(f'<div data-frame="{number}"')[1].split("</table>")[0]
        assert "fcc" in part and f"{100 * share:.2f} %" in part


def test_a_page_without_moving_parts_has_no_script() -> None:
    page = Page("title")
    page.section("heading", "<p>text</p>")
    assert "<script" not in page.html()


def test_chosen_frames_have_both_ends() -> None:
    assert chosen_rows(36, 4) == [0, 12, 23, 35]
    assert chosen_rows(3, 20) == [0, 1, 2]
    assert chosen_rows(9, 1) == [8]
    assert chosen_rows(1, 5) == [0]


def test_numbers_at_an_axis_are_round() -> None:
    assert round_numbers(0, 120).tolist() == [0, 20, 40, 60, 80, 100, 120]
    assert np.allclose(round_numbers(0, 1.02, 4), [0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert np.allclose(round_numbers(-0.013, 0.021), np.arange(-2, 5) * 0.005)


def test_bands_fill_the_height() -> None:
    axis = Axis(0, 2, "frame")
    shares = {"a": np.array([1.0, 0.5, 0.0]), "b": np.array([0.0, 0.5, 1.0])}
    text = fractions(axis, np.arange(3.0), shares, {"a": "#111111", "b": "#222222"})
    first, second = re.findall(r'<path d="M([^"]+)Z" fill', text)
    heights = [[float(p.split(",")[1]) for p in path.split("L")] for path in (first, second)]
    assert heights[0][:3] == pytest.approx([10, 100, 190])  # the top of a, from 100 to 0 %
    assert heights[1][:3] == pytest.approx([10, 10, 10])
    assert heights[1][3:] == pytest.approx(heights[0][:3][::-1])  # b lies on a
    single = fractions(Axis(5, 5, "frame"), np.array([5.0]), {"a": np.ones(1)}, {"a": "#111111"})
    assert "NaN" not in single.upper().replace("NAN", "NaN")


def test_unknown_values_are_no_part_of_a_curve() -> None:
    values = np.array([np.nan, 0.1, 0.2])
    text = curves(Axis(0, 2, "frame"), np.arange(3.0), {"x": values, "y": np.full(3, np.nan)})
    assert len(re.findall('class="curve', text)) == 1 and "nan" not in text


@pytest.mark.parametrize("wrong", [{}, {"files": [{"file": "a"}]}, {"files": 3}, {"files": ["a"]}])
def test_what_is_no_answer_is_refused_in_one_line(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="expected the answers of `crystalnet xrd classify"):
        powder_page(wrong, lambda entry: None, "title", "x.json")
