"""The page in a real browser: it turns, colours, moves on, prints, and asks for nothing."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.report.test_page import EVIL, page_of
from tests.support.browser import Browser
from tests.support.fakes import CLASSES, fake_frame, frames

CANVAS = "document.getElementById('view')"


def open_page(browser: Browser, folder: Path, text: str) -> None:
    page = folder / "report.html"
    page.write_text(text, encoding="utf-8")
    browser.requests.clear()
    browser.errors.clear()
    browser.media("light")
    browser.size(1100, 900)
    browser.open(page)
    browser.wait_for("document.documentElement.dataset.ready")
    browser.wait_for(f"{CANVAS}.dataset.drawn > 0")


def seen(browser: Browser) -> np.ndarray:
    """Pixels of the view, after what was asked for has been drawn."""
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    data = browser.run(f"{CANVAS}.toDataURL()")
    image = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))
    return np.asarray(image.convert("RGBA")).astype(int)


def choose(browser: Browser, identifier: str, value: object, event: str = "input") -> None:
    browser.run(
        f"(() => {{ const part = document.getElementById('{identifier}'); part.value = '{value}';"
        f"part.dispatchEvent(new Event('{event}')); }})()"
    )


def colored(pixels: np.ndarray, color: tuple[int, int, int]) -> int:
    """Pixels of about the hue of a colour: balls are shaded."""
    solid = pixels[pixels[..., 3] > 200][:, :3].astype(float)
    solid /= np.maximum(np.linalg.norm(solid, axis=1, keepdims=True), 1)
    wanted = np.array(color) / np.linalg.norm(color)
    return int((solid @ wanted > 0.985).sum())


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Browser:
    open_page(browser, tmp_path, page_of(count=3))
    return browser


def test_it_asks_for_nothing_and_complains_of_nothing(page: Browser) -> None:
    seen(page)
    assert [url for url in page.requests if not url.startswith("file://")] == []
    assert len(page.requests) == 1 and page.errors == []


def test_it_draws_the_structures_in_their_colours(page: Browser) -> None:
    pixels = seen(page)
    fcc, bcc = (20, 104, 83), (11, 31, 89)
    assert colored(pixels, fcc) > 500 and colored(pixels, bcc) < colored(pixels, fcc) / 20
    disordered = fake_frame(frames(3)[2]).class_counts[CLASSES.index("disordered")]
    assert page.run(f"{CANVAS}.dataset.drawn") == "32"
    # A click on a class in the legend hides it.
    page.run(
        "[...document.querySelectorAll('#legend button')].find(b => b.textContent == 'fcc').click()"
    )
    assert colored(seen(page), fcc) < 50
    assert page.run(f"{CANVAS}.dataset.drawn") == str(disordered)


def test_dragging_turns_and_a_double_click_turns_back(page: Browser) -> None:
    at_first = seen(page)
    box = page.run(f"(r => [r.left, r.top, r.width, r.height])({CANVAS}.getBoundingClientRect())")
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    page.drag((x, y), (x + 90, y + 40))
    turned = seen(page)
    assert (turned != at_first).any(axis=2).mean() > 0.01
    page.run(f"{CANVAS}.dispatchEvent(new MouseEvent('dblclick'))")
    assert (seen(page) == at_first).all()
    page.run(f"{CANVAS}.dispatchEvent(new KeyboardEvent('keydown', {{key: 'ArrowLeft'}}))")
    assert (seen(page) != at_first).any()


def test_it_is_coloured_by_certainty_with_a_scale(page: Browser) -> None:
    before = seen(page)
    choose(page, "coloring", "certainty", "change")
    assert (seen(page) != before).any()
    assert page.run("document.querySelectorAll('#legend button').length") == 0
    ends = page.run(
        "[...document.querySelectorAll('#legend .ends span')].map(s => s.textContent.trim())"
    )
    assert ends == ["0", "1"]


def test_the_slider_moves_the_view_the_tables_and_the_mark(page: Browser) -> None:
    last = seen(page)
    mark = page.run("document.querySelector('.cursor').getAttribute('x1')")
    choose(page, "frame", 0)
    assert (seen(page) != last).any()
    assert page.run(f"{CANVAS}.dataset.frame") == "0"
    shown = "[...document.querySelectorAll('div[data-frame]')].filter(d => !d.hidden)"
    assert page.run(f"{shown}.map(d => d.dataset.frame)") == ["0"]
    assert page.run("document.querySelector('.cursor').getAttribute('x1')") != mark
    # A click at the right end of the curves goes to the last frame.
    page.run(
        "(c => c.dispatchEvent(new MouseEvent('click', "
        "{clientX: c.getBoundingClientRect().right - 100})))"
        "(document.querySelector('svg.over-frames'))"
    )
    assert page.run("document.getElementById('frame').value") == "2"
    assert (seen(page) == last).all()


def test_the_front_can_be_cut_away(page: Browser) -> None:
    choose(page, "cut", 50)
    seen(page)
    assert page.run(f"{CANVAS}.dataset.drawn") == "16"


def test_atoms_under_the_mouse_say_what_they_are(page: Browser) -> None:
    seen(page)
    at = page.run("[view.last.x[view.last.drawn.at(-1)], view.last.y[view.last.drawn.at(-1)]]")
    box = page.run(f"(r => [r.left, r.top])({CANVAS}.getBoundingClientRect())")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + at[0], y=box[1] + at[1])
    page.wait_for("!document.getElementById('tip').hidden")
    words = page.run("document.getElementById('tip').textContent").splitlines()
    assert words[0].startswith("atom ") and words[1].startswith("structure: ")
    assert words[2].startswith("certainty: ")


@pytest.mark.parametrize("width", [360, 700, 1600])
def test_no_width_makes_the_page_scroll_sideways(page: Browser, width: int) -> None:
    page.size(width, 800)
    seen(page)
    assert page.run("document.documentElement.scrollWidth") <= width


def test_the_dark_is_dark_and_paper_is_white(page: Browser) -> None:
    ink = "getComputedStyle(document.body).color"
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.run(ink), page.run(ground)
    page.media("dark")
    dark = page.run(ink), page.run(ground)
    assert dark != light
    page.media("dark", "print")
    assert (page.run(ink), page.run(ground)) == light
    controls = "[...document.querySelectorAll('.controls')].map(c => getComputedStyle(c).display)"
    assert set(page.run(controls)) == {"none"}
    paper = page.paper()
    assert paper.startswith(b"%PDF-") and len(paper) > 20_000


def test_a_hostile_name_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    text = page_of(source=EVIL, title=EVIL)
    # Even if the escaping failed: the policy allows one script only.
    text = text.replace("</main>", "</main><script>window.hostile = 1</script>", 1)
    open_page(browser, tmp_path, text)
    assert browser.run("typeof window.hostile") == "undefined"
    assert browser.run("document.title") == EVIL
    assert any("Content Security Policy" in error for error in browser.errors)
