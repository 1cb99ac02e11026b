"""What the tests share: stand-ins, samples, small models, the command line."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
"""The checkout: for examples, documents and shipped models."""
