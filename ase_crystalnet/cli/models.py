"""Command `crystalnet models`: the shipped models."""

from __future__ import annotations

from typing import Any

import typer

from ase_crystalnet.cli.errors import one_line_errors

__all__ = ["models"]


@one_line_errors
def models() -> None:
    """List the shipped models: classes, window sizes, accuracy."""
    from ase_crystalnet.classifier.card import list_models, models_folder
    from ase_crystalnet.errors import ModelError

    cards = list_models()
    if not cards:
        raise ModelError(f"no models in {models_folder()}; install the package again")
    blocks = []
    for card in cards:
        low, high = card.window_atoms
        lines = {
            "description": card.data.get("description"),
            "classes": " ".join(card.classes),
            "windows": f"{low} to {high} atoms",
            "accuracy": _accuracy(card.data.get("accuracy")),
            "licence": card.data.get("licence"),
            "code version": card.data.get("code_version"),
            "folder": card.folder,
        }
        shown = [f"  {name + ':':<14}{value}" for name, value in lines.items() if value]
        blocks.append("\n".join([card.name, *shown]))
    typer.echo("\n\n".join(blocks))


def _accuracy(table: Any) -> str:
    """The card's accuracy table in one line."""
    if not isinstance(table, dict) or not table.get("percent"):
        return "not evaluated"
    rows = ", ".join(f"{name} {value:g} %" for name, value in table["percent"].items())
    error = table.get("held_out", {}).get("expected_calibration_error")
    return rows + (f"; calibration error {error:.4f}" if error is not None else "")
