"""The analysis that is killed: `crystalnet live` with the analyzer that needs no model."""

from __future__ import annotations

import sys

from ase_crystalnet.cli import analyze
from ase_crystalnet.cli.app import app
from tests.support.fakes import FakeAnalyzer

if __name__ == "__main__":
    analyze.make_analyzer = lambda *_, **__: FakeAnalyzer()  # type: ignore[assignment]
    app(["live", *sys.argv[1:]])
