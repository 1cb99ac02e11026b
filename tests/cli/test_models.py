"""The command `crystalnet models`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ase_crystalnet.classifier import card
from tests.support.commands import refused, run
from tests.support.tiny_models import CARD


def test_models_lists_the_cards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    accuracy = {"percent": {"clean": 98.76}, "held_out": {"expected_calibration_error": 0.01234}}
    data = {**CARD, "classes": ["a", "b"], "window_atoms": [64, 300], "sha256": ""}
    cards = [
        card.ModelCard.of(tmp_path, {**data, "accuracy": accuracy}),
        card.ModelCard.of(tmp_path, {**data, "name": "raw"}),
    ]
    monkeypatch.setattr(card, "list_models", lambda: cards)
    result = run("models")
    assert result.exit_code == 0, result.output
    assert "clean 98.76 %; calibration error 0.0123" in result.stdout
    assert "not evaluated" in result.stdout
    assert "64 to 300 atoms" in result.stdout
    monkeypatch.setattr(card, "list_models", list)
    assert "no models in" in refused(run("models"), code=1)


def test_models_of_powder_patterns_are_listed() -> None:
    """With what they were scored on."""
    shown = run("models").stdout
    blocks = {block.splitlines()[0]: block for block in shown.strip().split("\n\n")}
    assert {"structure", "local", "atomprobe", "ziletti2018", "powder"} <= blocks.keys()
    powder = blocks["powder"]
    assert "the 230 space groups" in powder and "crystalnet xrd classify" in powder
    assert "measured: crystal system" in powder
    assert "whole structures" in blocks["ziletti2018"]
    assert "docs/" in blocks["atomprobe"]  # where its accuracy is
