"""How far probabilities can be trusted: reliability, temperature, risk and coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_temperature", "calibration_error", "reliability", "risk_coverage"]


def reliability(
    probabilities: NDArray[Any], truth: NDArray[Any], bins: int = 15
) -> list[dict[str, float]]:
    """Reliability diagram: mean certainty and accuracy in bins of equal numbers of windows."""
    certainty = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    order = np.argsort(certainty, kind="stable")
    return [
        {
            "windows": len(part),
            "certainty": float(certainty[part].mean()),
            "accuracy": float(right[part].mean()),
        }
        for part in np.array_split(order, bins)
        if len(part)
    ]


def calibration_error(probabilities: NDArray[Any], truth: NDArray[Any], bins: int = 15) -> float:
    """Expected calibration error: mean |certainty - accuracy| over bins of equal numbers."""
    rows = reliability(probabilities, truth, bins)
    total = sum(r["windows"] for r in rows)
    return sum(r["windows"] * abs(r["certainty"] - r["accuracy"]) for r in rows) / total


def best_temperature(logits: NDArray[Any], targets: NDArray[Any]) -> float:
    """Temperature (0.22 to 4.5) by which logits are to be divided to be likeliest.

    Parameters
    ----------
    logits : (B, C) array
        Or logarithms of probabilities.
    targets : (B, C) array
        Probabilities that are right; rows sum to 1.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    values = np.asarray(logits, np.float64)

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(values / np.exp(log_temperature), axis=1)
        return float(-(targets * log_p).sum(axis=1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded").x))


def risk_coverage(probabilities: NDArray[Any], truth: NDArray[Any]) -> list[dict[str, float]]:
    """Error among the answers kept when the least certain are refused.

    Returns rows of threshold on the certainty, coverage (share answered) and risk (share of the
    answers that is wrong).
    """
    certainty = probabilities.max(axis=1)
    wrong = probabilities.argmax(axis=1) != truth
    rows = []
    for threshold in (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999):
        kept = certainty >= threshold
        rows.append(
            {
                "threshold": threshold,
                "coverage": float(kept.mean()),
                "risk": float(wrong[kept].mean()) if kept.any() else 0.0,
            }
        )
    return rows
