"""Lines of the table about a crystal that is known: names of poles, scales, order, phases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.results import AtomProbeAnalysis

__all__ = ["known_crystal_rows", "phase_composition"]

_NM = 0.1
_PHASES_SHOWN, _SPECIES_SHOWN = 5, 4


def known_crystal_rows(analysis: AtomProbeAnalysis) -> list[tuple[str, str]]:
    """Names and texts; none where no crystal was given."""
    rows = []
    named = analysis.named
    if named is not None:
        count = sum(bool(name) for name in named.names)
        text = f"{named.crystal}: {count} of {len(named.names)} poles named"
        if np.isfinite(named.orientation).all():
            text += f", orientation to {named.orientation_error:.1f}°"
            if not named.certain:
                text += "; AMBIGUOUS, another orientation fits nearly as well"
        elif count:
            text += "; orientation open: planes in one direction only"
        rows += [("crystal", text), ("  suggestion", named.suggestion)]
    if "refused" in analysis.settings:
        rows.append(("order", str(analysis.settings["refused"])))
    if analysis.order is not None:
        rows += _order_rows(analysis)
    return rows


def _order_rows(analysis: AtomProbeAnalysis) -> list[tuple[str, str]]:
    order = analysis.order
    assert order is not None
    name = str(analysis.settings.get("order", ""))
    species = ", ".join(analysis.settings.get("order_species", ()))
    resolved = np.isfinite(order.order)
    found = int(order.significant.sum())
    rate = float(analysis.settings.get("false_alarm", np.nan))
    chance = f"{rate * resolved.sum():.0f} expected by chance"
    if analysis.settings.get("family_wise"):
        chance = f"any at all by chance: {100 * rate:g} %"
    text = f"{found:,} of {int(resolved.sum()):,} windows whose planes resolve ({chance})"
    if found:
        low, middle, high = np.percentile(order.order[order.significant], [5, 50, 95])
        text += f"; S {middle:.2f} ({low:.2f} to {high:.2f})"
    rows = [(f"order {name}{' of ' + species if species else ''}", text)]
    limit = order.order_limit[np.isfinite(order.order_limit)]
    if len(limit):
        rows.append(("  detection limit", f"S = {np.median(limit):.2f} (median)"))
    if analysis.order_map is not None:
        phases = analysis.order_map.phases
        rows.append(("  ordered phases", f"{len(phases)}" if phases else "none"))
        for phase in phases[:_PHASES_SHOWN]:
            radius = (3 * phase.volume / (4 * np.pi)) ** (1 / 3)
            place = ", ".join(f"{x * _NM:.1f}" for x in phase.center)
            rows.append(
                ("", f"at ({place}) nm, {phase.volume * _NM**3:.1f} nm³ (a ball of "
                     f"{radius * _NM:.1f} nm), S up to {phase.order:.2f}, "
                     + phase_composition(analysis, phase.counts)),
            )  # fmt: skip
        if len(phases) > _PHASES_SHOWN:
            rows.append(("", f"and {len(phases) - _PHASES_SHOWN} more"))
    return rows


def phase_composition(analysis: AtomProbeAnalysis, counts: NDArray[np.int64]) -> str:
    """Shares of the ranged ions of a region, largest first, with counting errors."""
    total = max(int(counts[:-1].sum()), 1)
    parts = []
    for i in np.argsort(-counts[:-1], kind="stable")[:_SPECIES_SHOWN]:
        if counts[i]:
            share = counts[i] / total
            error = np.sqrt(share * (1 - share) / total)
            parts.append(f"{analysis.species[i]} {100 * share:.1f} ± {100 * error:.1f} %")
    return ", ".join(parts)
