"""Phases of a pattern in words, JSON and rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.indexing.indexer import IndexedCell
from ase_crystalnet.xrd.phases.cell import Cell
from ase_crystalnet.xrd.phases.library import PhaseLibrary
from ase_crystalnet.xrd.phases.mixture import Phase

if TYPE_CHECKING:
    from ase_crystalnet.xrd.answer.scan_report import ScanReport

__all__ = ["REPORT_COLUMNS", "cell_in_words", "report_entry", "report_lines", "report_row"]

#: What the table of `crystalnet xrd classify` has of phases.
REPORT_COLUMNS = (
    "verdict",
    "phases",
    "phase_weight",
    "cell",
    "indexed_lattice",
    "indexed_cell",
    "figure_of_merit",
    "unidentified_lines",
    "prediction_set",
)
_NAMES = ("a", "b", "c", "alpha", "beta", "gamma")
#: Groups of a prediction set that are listed in words.
_LISTED = 8


def _with_error(value: float, error: float) -> str:
    """ "4.5933(4)"; one digit of the error, no more of the value."""
    if not np.isfinite(error) or error <= 0:
        return f"{value:.3f}"
    places = int(np.clip(-np.floor(np.log10(error)), 1, 6))
    digit = round(error * 10**places)
    if digit >= 10 and places > 1:
        places -= 1
        digit = round(error * 10**places)
    return f"{value:.{places}f}({max(digit, 1)})"


def cell_in_words(cell: Cell) -> str:
    """The lattice parameters that differ from each other and from right angles."""
    words = _parameters_in_words(cell.parameters, cell.errors)
    return words if cell.refined else f"{words}, not refined"


def _parameters_in_words(p: NDArray[np.float64], e: NDArray[np.float64]) -> str:
    said = [f"a = {_with_error(p[0], e[0])}"]
    if abs(p[1] / p[0] - 1) > 1e-5:
        said.append(f"b = {_with_error(p[1], e[1])}")
    if abs(p[2] / p[0] - 1) > 1e-5:
        said.append(f"c = {_with_error(p[2], e[2])}")
    words = ", ".join(said) + " \u00c5"
    for k in (3, 4, 5):
        if abs(p[k] - 90) > 1e-3 and abs(p[k] - 120) > 1e-3:
            words += f", {_NAMES[k]} = {_with_error(p[k], e[k])}\u00b0"
    return words


def _indexed_in_words(report: ScanReport) -> list[str]:
    """The cell that explains the lines, by indexing; nothing where none was asked for."""
    if report.cells is None:
        return []
    cell = report.cell
    if cell is None:
        return ["  cell            none explains the lines: more than one phase, or a large cell"]
    words = _parameters_in_words(cell.parameters, cell.errors)
    return [
        f"  cell            {cell.lattice} by indexing, {words}; it explains {cell.indexed} of the "
        f"first {cell.indexed + cell.spurious} lines, M{cell.indexed} = {cell.m:.0f}, "
        f"F{cell.indexed} = {cell.f:.0f}"
    ]


def report_lines(report: ScanReport, library: PhaseLibrary | None) -> list[str]:
    """Prediction set and phases, in words."""
    groups = report.prediction_set
    more = f" and {len(groups) - _LISTED} more" if len(groups) > _LISTED else ""
    listed = ", ".join(map(str, groups[:_LISTED]))
    lines = [f"  nine in ten     {listed}{more} (hold the right group in 90 % of patterns)"]
    lines += _indexed_in_words(report)
    mixture = report.mixture
    if mixture is None or library is None:
        return lines
    if not mixture.phases:
        return [*lines, "  phases          none of the library fits"]
    for number, phase in enumerate(mixture.phases):
        head = "phases" if number == 0 else ""
        share = f"{100 * phase.share:.0f} % of the weight, " if len(mixture.phases) > 1 else ""
        lines.append(
            f"  {head:<16}{library.title(phase.entry)}, space group "
            f"{library.space_group[phase.entry]}, {library.identifier[phase.entry]}: {share}"
            f"{phase.lines} lines, correlation {phase.correlation:.2f}; {cell_in_words(phase.cell)}"
        )
    lines.append(
        f"  {'':<16}they explain {100 * mixture.explained:.0f} % of the lines' heights; the first "
        f"weighs {100 * report.trust:.0f} % in the answer"
    )
    return lines


def report_entry(report: ScanReport, library: PhaseLibrary | None) -> dict[str, Any]:
    """Findings and phases, for JSON."""
    found = report.findings
    mixture = report.mixture
    return {
        "verdict": found.verdict,
        "refused_because": report.refusal or None,
        "notes": list(report.notes),
        "prediction_set": [int(group) for group in report.prediction_set],
        "lines": [_line(line) for line in found.lines],
        "humps": [_line(hump) for hump in found.humps],
        "phases": []
        if mixture is None or library is None
        else [_phase(phase, library) for phase in mixture.phases],
        "explained": None if mixture is None else round(mixture.explained, 4),
        "unidentified": []
        if mixture is None
        else [round(float(angle), 3) for angle in mixture.unidentified],
        "phase_weight": round(report.trust, 4),
        "indexed": None if report.cells is None else [_indexed(c) for c in report.cells[:5]],
    }


def _line(line: Any) -> dict[str, float]:
    return {
        "two_theta": round(line.angle, 4),
        "width": round(line.width, 3),
        "height": round(line.height, 3),
        "significance": round(line.significance, 1),
    }


def _phase(phase: Phase, library: PhaseLibrary) -> dict[str, Any]:
    cell = phase.cell
    return {
        "name": str(library.name[phase.entry]),
        "formula": str(library.formula[phase.entry]),
        "identifier": str(library.identifier[phase.entry]),
        "space_group": int(library.space_group[phase.entry]),
        "weight_share": round(phase.share, 4),
        "scale": round(phase.scale, 4),
        "correlation": round(phase.correlation, 4),
        "lines": phase.lines,
        "missing": round(phase.missing, 4),
        "cell": [round(float(value), 5) for value in cell.parameters],
        "cell_errors": [
            round(float(value), 6) if np.isfinite(value) else None for value in cell.errors
        ],
        "cell_refined": cell.refined,
        "cell_lines": cell.lines,
        "displacement_degrees": round(cell.displacement, 4),
    }


def _indexed(cell: IndexedCell) -> dict[str, Any]:
    return {
        "lattice": cell.lattice,
        "cell": [round(float(value), 5) for value in cell.parameters],
        "cell_errors": [round(float(value), 6) for value in cell.errors],
        "volume": round(cell.volume, 3),
        "displacement_degrees": round(cell.displacement, 4),
        "lines_indexed": cell.indexed,
        "lines_left_out": cell.spurious,
        "de_wolff": round(cell.m, 2),
        "smith_snyder": round(cell.f, 2),
        "merit": round(cell.merit, 2),
        "more_than_chance": cell.convincing,
    }


def report_row(entry: dict[str, Any]) -> list[Any]:
    """Cells of `REPORT_COLUMNS` for an entry of the JSON."""
    phases = entry.get("phases", [])
    first = phases[0] if phases else None
    cells = [cell for cell in entry.get("indexed") or [] if cell["more_than_chance"]]
    cell = cells[0] if cells else None
    return [
        entry.get("verdict", ""),
        "; ".join(f"{p['name'] or p['formula']} {100 * p['weight_share']:.0f} %" for p in phases),
        entry.get("phase_weight", ""),
        "" if first is None else " ".join(f"{value:g}" for value in first["cell"]),
        "" if cell is None else cell["lattice"],
        "" if cell is None else " ".join(f"{value:g}" for value in cell["cell"]),
        "" if cell is None else cell["de_wolff"],
        len(entry.get("unidentified", [])),
        " ".join(map(str, entry.get("prediction_set", []))),
    ]
