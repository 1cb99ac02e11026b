"""spglib's answers, and what it has none for."""

from __future__ import annotations

import numpy as np
import pytest
import spglib

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet.training.local.structure_types import type_of


@pytest.mark.parametrize("old", ["true", "false"])
def test_nothing_found_is_none_in_both_ways_of_telling(
    monkeypatch: pytest.MonkeyPatch, old: str
) -> None:
    monkeypatch.setenv("SPGLIB_OLD_ERROR_HANDLING", old)
    twice = (np.eye(3), [[0, 0, 0], [0, 0, 0]], [1, 1])
    once = (np.eye(3), [[0, 0, 0]], [1])
    assert answer_of(spglib.get_symmetry_dataset, twice, symprec=0.1) is None
    assert answer_of(spglib.get_symmetry_dataset, once, symprec=0.1).number == 221
    assert type_of(np.eye(3), np.array([[0.0, 0, 0], [0.01, 0, 0]])) == ("", 0)


def test_faults_of_the_caller_are_not_hidden() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        answer_of(broken)
