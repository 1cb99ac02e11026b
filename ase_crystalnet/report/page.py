"""The page: parts of HTML, the data of the moving parts, style and script in one file.

A result may come from anybody, and so may the names in it: all text is escaped, and the page tells
the browser to run its own script alone (by hash) and to fetch nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ase_crystalnet.report.scene import Scene

__all__ = ["Page", "facts", "picture", "table"]


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], swatches: Mapping[str, str] | None = None
) -> str:
    """A table; numbers (of text, too) stand to the right.

    Parameters
    ----------
    columns : sequence of str
    rows : iterable of sequences
        Numbers are written with four digits; None and nan are a dash.
    swatches : mapping of str to str, optional
        Colour that is shown before a text of the first column.
    """
    cells = [[_said(value) for value in row] for row in rows]
    right = [
        bool(cells) and all(row[i][1] for row in cells if row[i][0] != "–")
        for i in range(len(columns))
    ]
    kind = [' class="number"' if each else "" for each in right]
    head = "".join(f"<th{kind[i]}>{escape(name)}</th>" for i, name in enumerate(columns))
    body = []
    for row in cells:
        line = ""
        for i, (text, _) in enumerate(row):
            color = (swatches or {}).get(text) if i == 0 else None
            before = f'<span class="swatch" style="background:{color}"></span>' if color else ""
            line += f"<td{kind[i]}>{before}{escape(text)}</td>"
        body.append(f"<tr>{line}</tr>")
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(body)}</table></div>'


def facts(values: Mapping[str, Any]) -> str:
    """A table of two columns: names and what they are."""
    rows = "".join(
        f'<tr><th>{escape(str(name))}</th><td class="path">{escape(_fact(value))}</td></tr>'
        for name, value in values.items()
    )
    return f'<div class="wide"><table>{rows}</table></div>'


def picture(figure: Figure, words: str) -> str:
    """A figure as a picture in the page; `words` for those who cannot see it."""
    import io

    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=130)
    text = base64.b64encode(image.getvalue()).decode("ascii")
    return f'<figure><img alt="{escape(words)}" src="data:image/png;base64,{text}"></figure>'


def _fact(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return _said(value)[0]


def _said(value: Any) -> tuple[str, bool]:
    """Text of a value, and whether it is a number."""
    if value is None or value == "":
        return "–", False
    if isinstance(value, bool | np.bool_):
        return ("yes" if value else "no"), False
    if isinstance(value, int | np.integer):
        return f"{value:,}", True
    if isinstance(value, float | np.floating):
        return (f"{value:.4g}", True) if np.isfinite(value) else ("–", False)
    text = str(value)
    return text, text.removesuffix(" %").replace(".", "", 1).isdigit()


@dataclass
class Page:
    """Parts of a page, in order.

    Parameters
    ----------
    title : str
    lead : str
        One line below the title.
    """

    title: str
    lead: str = ""
    parts: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def section(self, heading: str, *parts: str) -> None:
        """Add a section; the parts are HTML."""
        self.parts.append(f"<section><h2>{escape(heading)}</h2>{''.join(parts)}</section>")

    def scene(self, heading: str, scene: Scene, remark: str = "") -> None:
        """Add the 3-D view, of which a page has one."""
        self.data["scene"] = scene.json()
        choices = "".join(
            f'<option value="{escape(name)}">{escape(name)}</option>' for name in scene.colorings
        )
        words = escape(f"{heading}: points in space, to be turned with the mouse or arrow keys")
        self.section(
            heading,
            f"""<div class="view"><div class="stage">
<canvas id="view" tabindex="0" role="img" aria-label="{words}"></canvas>
<div id="tip" class="tip" hidden></div></div>
<div class="panel"><label>Colour<select id="coloring">{choices}</select></label>
<label class="controls">Cut away from the front
<input id="cut" type="range" value="0" max="95"></label>
<div id="legend" class="legend"></div>
<p class="soft controls">Drag: turn. Shift and drag: move. Wheel: zoom.
Double click: as at first.</p>
</div></div>""",
            f'<p class="soft">{escape(remark)}</p>' if remark else "",
            "<noscript><p>The 3-D view needs JavaScript; all else does not.</p></noscript>",
        )

    def html(self) -> str:
        """The whole page."""
        style = _file("page.css")
        script = _file("page.js") if self.data else ""
        allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
        policy = (
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
        )
        # In a script that is data, only an end of the element can end it.
        data = json.dumps(self.data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        moving = (
            f'<script type="application/json" id="data">{data}</script><script>{script}</script>'
            if self.data
            else ""
        )
        return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(self.title)}</title>
<style>{style}</style></head>
<body><main><h1>{escape(self.title)}</h1><p class="soft">{escape(self.lead)}</p>
{"".join(self.parts)}
</main>{moving}</body></html>
"""


def _file(name: str) -> str:
    return (files("ase_crystalnet.report") / "data" / name).read_text(encoding="utf-8")
