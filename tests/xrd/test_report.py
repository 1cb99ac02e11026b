"""Answers for powder patterns in words."""

from __future__ import annotations

from ase_crystalnet.xrd.report import symbol


def test_symbols() -> None:
    assert [symbol(n) for n in (1, 14, 62, 152, 225)] == [
        "P 1", "P 21/c", "P n m a", "P 31 2 1", "F m -3 m"
    ]  # fmt: skip
