"""The report on powder patterns that `crystalnet xrd classify` answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from ase_crystalnet.errors import InputError
from ase_crystalnet.report.charts import pattern
from ase_crystalnet.report.page import Page, facts, table

if TYPE_CHECKING:
    from ase_crystalnet.xrd.measured.scan import Scan

__all__ = ["powder_page"]


def powder_page(
    answers: Mapping[str, Any],
    scan_of: Callable[[Mapping[str, Any]], Scan | None],
    title: str,
    source: str,
) -> Page:
    """Make the page.

    Parameters
    ----------
    answers : mapping
        The JSON of `crystalnet xrd classify -o`.
    scan_of : callable
        Takes an entry of ``answers["files"]`` and gives its pattern, or None where it is not at
        hand: then its lines are listed and not drawn.
    title : str
    source : str
        The file of the answers.

    Raises
    ------
    InputError
        The mapping holds something else.
    """
    try:
        entries = list(answers["files"])
        page = Page(
            title, f"CrystalNet: {len(entries)} powder pattern{'s' if len(entries) > 1 else ''}"
        )
        columns = ("file", "crystal system", "sure", "space group", "sure", "phases")
        page.section("Answers", table(columns, [_row(entry) for entry in entries]))
        for entry in entries:
            page.section(str(entry["file"]), *_parts(entry, scan_of(entry)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{source}: expected the answers of `crystalnet xrd classify -o FILE.json`, got "
            f"something else ({type(error).__name__}: {error})"
        ) from error
    came_from = {
        "answers": source,
        "answered by": answers.get("answered_by", ""),
        "patterns": ", ".join(str(entry["file"]) for entry in entries),
    }
    page.section("Where it came from", facts(came_from))
    return page


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _group(number: int) -> str:
    from ase_crystalnet.xrd.report import symbol

    return f"{number} ({symbol(number)})"


def _row(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    if entry.get("refused_because"):
        return (entry["file"], "refused", "", "", "", entry["refused_because"])
    names = [str(phase["name"] or phase["formula"]) for phase in entry.get("phases", [])]
    group = _group(int(entry["space_group"]))
    return (
        entry["file"],
        entry["crystal_system"],
        _percent(entry["crystal_system_certainty"]),
        f"refused; most probable {group}" if entry["refused"] else group,
        _percent(entry["certainty"]),
        ", ".join(names),
    )


def _parts(entry: Mapping[str, Any], scan: Scan | None) -> list[str]:
    parts = []
    lines = [float(line["two_theta"]) for line in entry.get("lines", [])]
    if scan is not None:
        from ase_crystalnet.xrd.phase_figure import on_axis

        label = f"2θ (degrees), {scan.wavelength:g} Å; vertical: square root of the intensity"
        drawn = pattern(
            scan.two_theta, scan.intensity, list(on_axis(scan, lines)),
            list(on_axis(scan, entry.get("unidentified", []))), label,
        )  # fmt: skip
        parts.append(drawn)
        below = f"Marks below: the {len(lines)} lines that stand out."
        if entry.get("unidentified"):
            below += " Triangles: lines that no phase explains."
        parts.append(f'<p class="soft">{below}</p>')
    else:
        parts.append('<p class="soft">The measured file was not at hand: it is not drawn.</p>')
    if entry.get("refused_because"):
        return [*parts, f"<p><b>Refused:</b> {escape(str(entry['refused_because']))}</p>"]
    if phases := entry.get("phases"):
        columns = (
            "phase", "space group", "identifier", "weight", "lines", "correlation", "a", "b", "c",
            "angles",
        )  # fmt: skip
        parts.append(table(columns, [_phase(each) for each in phases]))
        parts.append(f"<p>They explain {_percent(entry['explained'])} of the lines' heights.</p>")
    top = [(_group(int(e["space_group"])), _percent(e["probability"])) for e in entry["top"]]
    parts.append(table(("space group", "probability"), top))
    for note in (*entry.get("remarks", []), *entry.get("notes", [])):
        parts.append(f'<p class="soft">Note: {escape(str(note))}</p>')
    return parts


def _phase(phase: Mapping[str, Any]) -> tuple[Any, ...]:
    a, b, c, *angles = (float(value) for value in phase["cell"])
    return (
        phase["name"] or phase["formula"],
        _group(int(phase["space_group"])),
        phase["identifier"],
        _percent(phase["weight_share"]),
        phase["lines"],
        float(phase["correlation"]),
        f"{a:.4f}", f"{b:.4f}", f"{c:.4f}",
        ", ".join(f"{angle:.2f}" for angle in angles),
    )  # fmt: skip
