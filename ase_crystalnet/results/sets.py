"""Prediction sets: all classes that an answer leaves open, with a stated coverage.

Conformal prediction, class by class (Vovk, ACML 2012; Romano, Sesia and Candes, NeurIPS 2020): a
class is in the set if its probability is at least what the given share of windows of that class
have, measured on windows that were not trained on. The promise is about windows like those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

__all__ = ["COVERAGES", "least_probabilities", "prediction_sets"]

#: Coverages for which thresholds are kept in the card of a model.
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)


def least_probabilities(
    probabilities: NDArray[Any], truth: NDArray[Any], classes: Sequence[str]
) -> dict[str, list[float]]:
    """Least probability of each class for each of `COVERAGES`, as a card keeps it.

    Parameters
    ----------
    probabilities : (B, C) array
        Of windows that were not trained on, each out of a structure of its own.
    truth : (B,) integer array
    classes : sequence of str

    Raises
    ------
    InputError
        A class has too few windows for the largest coverage (200 for 0.995).
    """
    result = {}
    for number, name in enumerate(classes):
        own = np.sort(probabilities[truth == number, number])
        if (len(own) + 1) * (1 - COVERAGES[-1]) < 1:
            raise InputError(
                f"{len(own)} windows of class {name!r} are too few for a coverage of "
                f"{COVERAGES[-1]}; expected {int(np.ceil(1 / (1 - COVERAGES[-1])))} or more"
            )
        # The k-th smallest of n with k = (n + 1)(1 - coverage) has at least the coverage.
        ranks = [int(np.floor((len(own) + 1) * (1 - c) + 1e-9)) - 1 for c in COVERAGES]
        result[name] = [float(own[rank]) for rank in ranks]
    return result


def prediction_sets(
    probabilities: NDArray[Any],
    classes: Sequence[str],
    least: Mapping[str, Sequence[float]],
    coverage: float = 0.99,
) -> NDArray[np.bool_]:
    """Classes that are left open.

    Parameters
    ----------
    probabilities : (W, C) array
        nan where nothing is known.
    classes : sequence of str
        Names of the C classes.
    least : mapping
        Thresholds of `least_probabilities`.
    coverage : float
        Wanted; the next larger of `COVERAGES` is taken.

    Returns
    -------
    (W, C) bool array
        At least the most probable class; all of them where nothing is known.

    Raises
    ------
    InputError
        The coverage is out of range, or the model has no thresholds.
    """
    if not 0 < coverage <= COVERAGES[-1]:
        raise InputError(
            f"coverage is {coverage}; expected more than 0 and at most {COVERAGES[-1]}, the "
            "largest that was calibrated"
        )
    missing = [name for name in classes if name not in least]
    if missing:
        raise InputError(
            f"no prediction sets are calibrated for {', '.join(missing)}: "
            "use the model 'structure' with all of its classes"
        )
    column = int(np.searchsorted(COVERAGES, coverage - 1e-9))
    threshold = np.array([least[name][column] for name in classes])
    known = np.isfinite(probabilities).all(axis=1)
    safe = np.where(known[:, None], probabilities, 1.0)
    inside = safe >= threshold
    inside[np.arange(len(safe)), safe.argmax(axis=1)] = True
    inside[~known] = True
    return np.asarray(inside)
