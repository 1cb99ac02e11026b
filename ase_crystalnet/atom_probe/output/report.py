"""The table `crystalnet apt` prints: what a reconstruction holds and what its windows show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.output.crystal_report import known_crystal_rows
from ase_crystalnet.atom_probe.results import RANKS, AtomProbeAnalysis

__all__ = ["report"]

_NM = 0.1
_ELEMENTS_SHOWN, _POLES_SHOWN = 8, 6


def report(analysis: AtomProbeAnalysis) -> str:
    """Lines of the table, lengths in nanometres as atom probers have them."""
    counts = analysis.species_counts
    total, unranged = int(counts.sum()), int(counts[-1])
    rows: list[tuple[str, str]] = [("ions", f"{total:,}{_selection(analysis)}")]
    if analysis.species:
        rows.append(("ranged", f"{total - unranged:,} ({_percent(total - unranged, total)})"))
        rows.append(("unranged", f"{unranged:,} ({_percent(unranged, total)})"))
        shown = list(analysis.composition.items())[:_ELEMENTS_SHOWN]
        rows.append(("composition", ", ".join(f"{n} {100 * c:.2f} at.%" for n, c in shown)))
    else:
        rows.append(("ranged", "none: no range file was given (--ranges)"))
    measures, findings = analysis.measures, analysis.findings
    rows += [
        ("density", _spread(1000 * measures.density, "ions/nm³")),
        ("detection efficiency", _efficiency(measures.efficiency)),
        (
            "windows",
            f"{len(analysis):,} of radius {analysis.radius * _NM:.2f} nm, "
            f"{int(np.median(measures.count))} ions (median), "
            f"{int(measures.surface.sum()):,} at the surface, {analysis.refused:,} too empty",
        ),
    ]
    for rank, name in enumerate(RANKS):
        share = int((findings.rank == rank).sum())
        rows.append((f"  {name}", f"{share:,} ({_percent(share, len(analysis))})"))
    rows.append(("expected by chance", _expected(analysis)))
    rows.append(("strongest window", _strongest(analysis)))
    rows.append(
        (
            "detection limit",
            f"{_spread(findings.detection_limit)} contrast of a plane in any direction, "
            f"{_spread(findings.detection_limit_depth)} along depth (2 = perfect)",
        )
    )
    if analysis.classes is not None:
        classes = ", ".join(f"{name} {count}" for name, count in analysis.class_counts.items())
        rows.append(("classes of the lattices", classes or "none: no window shows a lattice"))
    first, *more = _poles(analysis)
    rows += [("poles", first), *(("", text) for text in more)]
    rows += known_crystal_rows(analysis)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def _selection(analysis: AtomProbeAnalysis) -> str:
    species = analysis.settings.get("species")
    return f" (only {', '.join(species)})" if species else ""


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.2f} %"


def _spread(values: NDArray[np.float64], unit: str = "") -> str:
    """Median and the middle 90 %."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "unknown"
    low, middle, high = np.percentile(finite, [5, 50, 95])
    return f"{middle:.3g} {unit}".strip() + f" ({low:.3g} to {high:.3g})"


def _efficiency(values: NDArray[np.float64]) -> str:
    if not np.isfinite(values).any():
        return "unknown: no volumes (a .rrng file has them), or no window inside the specimen"
    text = _spread(100 * values, "%")
    above = float(np.mean(values[np.isfinite(values)] > 1.0))
    if above > 0.005:
        text += f"; above 100 % in {100 * above:.0f} % of the windows: check volumes and ranges"
    return text


def _expected(analysis: AtomProbeAnalysis) -> str:
    rate = float(analysis.settings.get("false_alarm", np.nan))
    if analysis.settings.get("family_wise"):
        return f"any window at all: {100 * rate:g} %"
    return f"{rate * len(analysis):.0f} windows with planes (false-alarm rate {100 * rate:g} %)"


def _strongest(analysis: AtomProbeAnalysis) -> str:
    """The most significant window, and what it is worth among all of them."""
    findings = analysis.findings
    best = int(np.argmin(findings.p_value))
    p_value = float(findings.p_value[best])
    overall = -np.expm1(len(analysis) * np.log1p(-min(p_value, 1 - 1e-12)))
    text = f"p = {p_value:.1e}, among all windows {overall:.1e}"
    if findings.rank[best] == 0:
        return text
    normal = findings.normal[best]
    spacing, error = findings.spacing[best] * _NM, findings.spacing_error[best] * _NM
    return (
        f"{text}; at ({_vector(analysis.centers[best] * _NM, 1)}) nm"
        f"{', at the surface' if analysis.measures.surface[best] else ''}, "
        f"spacing {spacing:.4f} ± {error:.4f} nm, normal ({_vector(normal, 2)}), "
        f"{_tilt(normal):.1f}° from z, contrast {findings.contrast[best]:.2f}"
    )


def _vector(values: NDArray[np.float64], digits: int) -> str:
    return ", ".join(f"{round(x, digits) + 0.0:.{digits}f}" for x in values)  # no -0.00


def _tilt(normal: NDArray[np.float64]) -> float:
    """Angle to z, degrees."""
    return float(np.degrees(np.arccos(min(abs(float(normal[2])), 1.0))))


def _poles(analysis: AtomProbeAnalysis) -> list[str]:
    """A line a pole."""
    if not analysis.poles:
        return ["none that is significant"]
    named = analysis.named
    names = named.names if named is not None else ("",) * len(analysis.poles)
    lines = [
        f"{len(pole.windows)} windows: spacing {pole.spacing * _NM:.4f} nm, normal "
        f"({_vector(pole.normal, 2)}), {_tilt(pole.normal):.1f}° from z, p = {pole.p_value:.1e}"
        f"{', ' + name if name else ''}"
        for pole, name in zip(analysis.poles[:_POLES_SHOWN], names, strict=False)
    ]
    if len(analysis.poles) > _POLES_SHOWN:
        lines.append(f"and {len(analysis.poles) - _POLES_SHOWN} more")
    return lines
