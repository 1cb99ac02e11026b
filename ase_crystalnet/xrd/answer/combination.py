"""How the nearest library entry and the network are combined."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.xrd.answer.library import Matches

__all__ = ["Combination"]


#: Correlation around which the fit of the trust in a match is centered.
_CENTER = 0.6


#: The fit's parameters are drawn to these by `_WEIGHT`, in units of `_SPREADS`: matters only
#: where the data do not constrain them.
_START = (-2.0, 18.0, 0.3, 30.0, 0.8, 3.0)


_SPREADS = (2.0, 10.0, 0.5, 20.0, 0.5, 5.0)


_WEIGHT = 0.002


_SMALLEST = 1e-8


@dataclass(frozen=True)
class Combination:
    """Weights of a network (or of the frequencies of space groups) and of a library.

    Attributes
    ----------
    offset, slope : float
        Trust in the nearest entry (docs/glossary.md): logistic function of
        ``offset + slope (correlation - 0.6)``.
    network_near, library_near : float
        Where the entry is trusted: weights of the logarithm of the network's probabilities, and of
        the best correlation in each space group.
    network_far, library_far : float
        The same where it is not.
    """

    offset: float
    slope: float
    network_near: float
    library_near: float
    network_far: float
    library_far: float

    def trust(self, correlation: ArrayLike) -> NDArray[np.float64]:
        """Weight of a match of this correlation; the rest is the weight of the network."""
        logit = self.offset + self.slope * (np.asarray(correlation, float) - _CENTER)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -50, 50))))

    def probabilities(self, network: NDArray[Any], matches: Matches) -> NDArray[np.float32]:
        """Combined probabilities of the space groups (B, 230), rows sum to 1.

        Parameters
        ----------
        network : (B, 230) array
            Probabilities by the network; the frequencies of space groups without one.
        matches : Matches
            Of the same patterns.
        """
        known = np.log(np.maximum(network, _SMALLEST))
        alike = np.maximum(matches.by_group, 0).astype(float)
        near = _softmax(self.network_near * known + self.library_near * alike)
        far = _softmax(self.network_far * known + self.library_far * alike)
        trust = self.trust(matches.correlation[:, 0])[:, None]
        return np.asarray(trust * near + (1 - trust) * far, np.float32)

    @classmethod
    def fit(
        cls,
        network: NDArray[Any],
        matches: Matches,
        truth: ArrayLike,
        weights: ArrayLike | None = None,
    ) -> Combination:
        """The combination that gives true space groups the highest probability.

        Parameters
        ----------
        network, matches
            As of `probabilities`.
        truth : (B,) array of int
            Space groups, 1 to 230.
        weights : (B,) array, optional
            How much each pattern counts; all the same by default.

        Raises
        ------
        InputError
            Fewer than 50 patterns.
        """
        from scipy.optimize import minimize

        label = np.asarray(truth) - 1
        if len(label) < 50:
            raise InputError(f"{len(label)} labelled patterns; 50 at least are needed")
        rows = np.arange(len(label))
        start, spread = np.array(_START), np.array(_SPREADS)
        counts = np.ones(len(label)) if weights is None else np.asarray(weights, float)

        def cost(units: NDArray[np.float64]) -> float:
            found = cls(*(start + units * spread)).probabilities(network, matches)
            loss = -np.log(np.maximum(found[rows, label], 1e-12))
            return float(np.average(loss, weights=counts) + _WEIGHT * (units**2).sum())

        options = {"maxiter": 1500, "maxfev": 2000, "xatol": 1e-3, "fatol": 1e-5}
        best = minimize(cost, np.zeros(6), method="Nelder-Mead", options=options)
        return cls(*(float(v) for v in np.round(start + best.x * spread, 4)))

    def to_dict(self) -> dict[str, float]:
        """For a JSON file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Combination:
        """From a JSON file.

        Raises
        ------
        ModelError
            A number is missing or is none.
        """
        try:
            found = cls(**{k: float(v) for k, v in data.items()})
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"damaged combination of network and library ({error})") from None
        if not np.isfinite(astuple(found)).all():
            raise ModelError("damaged combination of network and library: not finite")
        return found


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))
