"""Answers for powder patterns in words, JSON, tables and figures."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ase_crystalnet.xrd.answer.answers import PowderAnswers
from ase_crystalnet.xrd.answer.library import PatternLibrary
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import TWO_THETA
from ase_crystalnet.xrd.phase_report import (
    REPORT_COLUMNS,
    report_entry,
    report_lines,
    report_row,
)
from ase_crystalnet.xrd.phases.library import PhaseLibrary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["entry", "figure", "lines", "symbol", "table"]


#: Columns of the table that are fields of the JSON file, too.
_COLUMNS = (
    "file",
    "crystal_system",
    "crystal_system_certainty",
    "space_group",
    "certainty",
    "refused",
    "close_match",
)


def symbol(space_group: int) -> str:
    """Hermann-Mauguin symbol of a space group's standard setting, such as "P 31 2 1"."""
    from ase.spacegroup import Spacegroup

    return str(Spacegroup(space_group).symbol)


def lines(
    scan: Scan,
    answers: PowderAnswers,
    i: int,
    library: PatternLibrary,
    top: int,
    phases: PhaseLibrary | None = None,
) -> list[str]:
    """The answer for one file, in words."""
    groups, shares = (row[i] for row in answers.top(top))
    named = [f"{group} ({symbol(int(group))})" for group in groups]
    first = f"{named[0]}, {_percent(shares[0])} sure"
    others = ", ".join(f"{n} {_percent(p)}" for n, p in zip(named[1:], shares[1:], strict=True))
    beside = ", ".join(
        f"{number} {_percent(share)}"
        for number, _, share in answers.alternatives(i)[:4]
        if share > 0.005
    )
    report = answers.reports[i] if answers.reports else None
    if report is not None and report.refusal:
        return [scan.name, f"  refused         {report.refusal}"]
    entry = int(answers.matches.entry[i, 0])
    kind = "close match:" if answers.matches.close[i] else "no close match; nearest:"
    lines = [
        scan.name,
        f"  crystal system  {answers.system[i]}, {_percent(answers.system_certainty[i])} sure",
        f"  space group     {'' if answers.answered[i] else 'refused; most probable '}{first}",
    ]
    if report is not None:
        lines += report_lines(report, phases)
    if others:
        lines.append(f"  else            {others}")
    if beside:
        lines.append(f"  one step away   {beside} (sub- and supergroups)")
    return [
        *lines,
        f"  {kind} {library.name(entry)}, space group {library.space_group[entry]}, "
        f"{library.identifier[entry]}; correlation {answers.matches.correlation[i, 0]:.2f}, "
        f"it weighs {_percent(answers.trust[i])} beside the network",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def entry(
    scan: Scan,
    answers: PowderAnswers,
    i: int,
    library: PatternLibrary,
    top: int,
    phases: PhaseLibrary | None = None,
) -> dict[str, Any]:
    """The answer for one file, for JSON."""
    groups, shares = (row[i] for row in answers.top(max(top, 5)))
    # Of a scan without lines there is nothing to say but that.
    refused = bool(answers.reports) and bool(answers.reports[i].refusal)
    return {
        "file": scan.name,
        "wavelength": scan.wavelength,
        "wavelength_assumed": scan.assumed,
        "covered": [round(angle, 2) for angle in scan.covered],
        "remarks": list(scan.remarks),
        "crystal_system": None if refused else answers.system[i],
        "crystal_system_certainty": round(float(answers.system_certainty[i]), 4),
        "space_group": int(answers.space_group[i]),
        "refused": not bool(answers.answered[i]),
        "certainty": round(float(answers.certainty[i]), 4),
        "top": [
            {"space_group": int(g), "probability": round(float(p), 4)}
            for g, p in zip(groups, shares, strict=True)
        ],
        "neighbors": [
            {"space_group": number, "relation": relation, "probability": round(share, 4)}
            for number, relation, share in ([] if refused else answers.alternatives(i)[:10])
        ],
        "close_match": bool(answers.matches.close[i]),
        "matches": [
            {
                "name": library.name(int(entry)),
                "identifier": str(library.identifier[entry]),
                "space_group": int(library.space_group[entry]),
                "correlation": round(float(correlation), 4),
                "shift_degrees": round(float(shift), 3),
            }
            for entry, correlation, shift in zip(
                answers.matches.entry[i],
                answers.matches.correlation[i],
                answers.matches.shift[i],
                strict=True,
            )
            if not refused
        ],
        "match_weight": round(float(answers.trust[i]), 4),
        **(report_entry(answers.reports[i], phases) if answers.reports else {}),
    }


def table(entries: list[dict[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*_COLUMNS, "match", "match_identifier", "correlation", *REPORT_COLUMNS])
    for entry in entries:
        nothing = {"name": "", "identifier": "", "correlation": ""}
        best = entry["matches"][0] if entry["matches"] else nothing
        writer.writerow(
            [
                *(entry[c] for c in _COLUMNS),
                *(best["name"], best["identifier"], best["correlation"]),
                *report_row(entry),
            ]
        )
    return buffer.getvalue()


def figure(curve: NDArray[Any], lines: NDArray[Any], title: str) -> Figure:
    from ase_crystalnet.classes import CLASS_COLORS
    from ase_crystalnet.plotting.style import INK, new_figure

    figure = new_figure(7.0, 2.8)
    axes = figure.add_subplot()
    axes.plot(TWO_THETA, curve, color=CLASS_COLORS["bcc"], linewidth=0.8)
    axes.vlines(lines, -0.06, -0.02, color=INK, linewidth=0.5)
    axes.set(
        xlim=(TWO_THETA[0], TWO_THETA[-1]),
        ylim=(-0.08, 1.05),
        xlabel="2θ (degrees)",
        ylabel="intensity",
        title=title,
    )
    return figure
