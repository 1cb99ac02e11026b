"""Labels of answers."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet.classes import flat_below, labels_of


@pytest.mark.parametrize("classes", [2, 4, 7, 8, 13, 230])
def test_an_answer_that_is_flat_names_nothing(classes: int) -> None:
    chance = 1 / classes
    even = np.full(classes, chance, np.float32)
    nearly = even.copy()
    nearly[0] *= 1.04
    nearly[1] -= 0.04 * chance
    answer = np.full(classes, 0.35 / max(classes - 1, 1), np.float32)
    answer[1] = 0.65
    unknown = np.full(classes, np.nan, np.float32)
    labels, certainty = labels_of(np.stack([even, nearly, answer, unknown]))
    assert labels.tolist() == [-1, -1, 1, -1]
    assert certainty[:3] == pytest.approx([chance, 1.04 * chance, 0.65])
    assert chance < flat_below(classes) < 0.65
    assert labels_of(answer[None], 0.7)[0].tolist() == [-1]
