"""Command `crystalnet models`: the shipped models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from ase_crystalnet.cli.errors import one_line_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase_crystalnet.classifier.card import Card

__all__ = ["models"]


@one_line_errors
def models() -> None:
    """List the shipped models: what they look at, their classes, accuracy."""
    from ase_crystalnet.classifier.card import list_models, models_folder
    from ase_crystalnet.errors import ModelError
    from ase_crystalnet.xrd.answer.network import PowderCard, find_xrd_model, shipped_xrd_models

    cards = list_models()
    if not cards:
        raise ModelError(f"no models in {models_folder()}; install the package again")
    blocks = []
    for card in cards:
        low, high = card.window_atoms
        looks_at = {
            "classes": " ".join(card.classes),
            "windows": f"{low} to {high} atoms" if card.mode == "local" else "whole structures",
            "accuracy": _accuracy(card.data.get("accuracy")),
        }
        blocks.append(_block(card, looks_at))
    for name in shipped_xrd_models():
        powder = PowderCard.read(find_xrd_model(name))
        classes = {230: "the 230 space groups", 7: "the 7 crystal systems"}[powder.classes]
        looks_at = {
            "classes": classes,
            "patterns": "powder diffraction (crystalnet xrd classify)",
            "accuracy": _powder_accuracy(powder.data.get("accuracy")),
        }
        blocks.append(_block(powder, looks_at))
    typer.echo("\n\n".join(blocks))


def _block(card: Card, looks_at: Mapping[str, str]) -> str:
    """A model in a few lines."""
    lines = {
        "description": card.data.get("description"),
        **looks_at,
        "licence": card.data.get("licence"),
        "code version": card.data.get("code_version"),
        "folder": card.folder,
    }
    shown = [f"  {name + ':':<14}{value}" for name, value in lines.items() if value]
    return "\n".join([card.name, *shown])


def _accuracy(table: Any) -> str:
    """The card's accuracy table in one line."""
    if not isinstance(table, dict) or not table.get("percent"):
        place = table.get("table") if isinstance(table, dict) else None
        return f"in {place}" if isinstance(place, str) else "not evaluated"
    rows = ", ".join(f"{name} {value:g} %" for name, value in table["percent"].items())
    error = table.get("held_out", {}).get("expected_calibration_error")
    return rows + (f"; calibration error {error:.4f}" if error is not None else "")


def _powder_accuracy(table: Any) -> str:
    """The same of a model of powder patterns: measured ones, and simulated ones held out."""
    rows: dict[str, Any] = {}
    if isinstance(table, dict):
        held_out = table.get("simulated", {})
        rows = {"measured": table.get("measured", {}).get("all")}
        rows |= {f"simulated, {name} held out": row for name, row in held_out.items()}
    words = {"system": "crystal system", "group": "space group"}
    lines = [
        f"{name}: " + ", ".join(f"{words[k]} {row[k]:g} %" for k in words if k in row)
        for name, row in rows.items()
        if isinstance(row, dict) and words.keys() & row.keys()
    ]
    return "; ".join(lines) or "not evaluated"
