"""How far an exact match decides the answer, and how many groups a prediction set takes.

A phase of the library that lies on a pattern is trusted by a logistic function of what shows that
it is the sample: the correlation of the two, how much of the pattern's lines it explains, how many
of its own are missing, how many lines that rests on, how far behind the best entry of another space
group is, whether it is met every day, and how many parameters its cell has. The weights are fitted
by `crystalnet xrd calibrate --phases`; on what, is in the file and in xrd/data/SOURCES.md.
"""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.inputs import read_plain, reason_of
from ase_crystalnet.io.whole_files import write_whole
from ase_crystalnet.xrd.answer.cells import Pool
from ase_crystalnet.xrd.pattern import system_of
from ase_crystalnet.xrd.phases.comparison import FREE_PARAMETERS
from ase_crystalnet.xrd.phases.library import PhaseLibrary
from ase_crystalnet.xrd.phases.mixture import Mixture

__all__ = ["FEATURES", "MIRRORED", "Trust", "features_of", "mirrored", "near_groups"]

#: What the trust rests on, in the order of the weights; the first is the constant.
FEATURES = (
    "constant", "correlation", "explained", "missing", "lines", "margin", "everyday", "parameters",
)  # fmt: skip
#: Space groups of mirror images, which give the same powder pattern.
MIRRORED = (
    (76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154), (169, 170), (171, 172),
    (178, 179), (180, 181), (212, 213),
)  # fmt: skip
#: No match is surer than a few hundred patterns can show.
MOST = 0.998
#: The fit's weights are drawn to zero by this, per pattern.
_WEIGHT = 0.01
_LARGEST = 1_000_000
_NO_CELLS = Pool()


def mirrored(space_group: int) -> int | None:
    """The space group of the mirror images of a crystal, if that is another one."""
    for a, b in MIRRORED:
        if space_group in (a, b):
            return b if space_group == a else a
    return None


def features_of(mixture: Mixture, library: PhaseLibrary) -> NDArray[np.float64]:
    """What shows that the first phase of a mixture is the sample (8,); zeros without a phase."""
    out = np.zeros(len(FEATURES))
    if not mixture.phases:
        return out
    first = mixture.phases[0]
    group = library.space_group[first.entry]
    partner = mirrored(int(group))
    others = [
        phase.correlation * (1 - phase.missing)
        for phase in mixture.rivals
        if library.space_group[phase.entry] not in (group, partner)
    ]
    margin = first.correlation * (1 - first.missing) - max(others, default=0.0)
    out[:] = (
        1.0,
        10 * (first.correlation - 0.8),
        4 * (mixture.explained - 0.8),
        10 * first.missing,
        np.log(max(first.lines, 1) / 8.0),
        10 * np.clip(margin, -0.1, 0.3),
        1.0 if str(library.identifier[first.entry]).startswith("everyday") else 0.0,
        FREE_PARAMETERS[int(system_of(int(group)))] - 2.0,
    )
    return out


def near_groups(mixture: Mixture, library: PhaseLibrary) -> NDArray[np.float64]:
    """Probabilities of the space groups (230,) if the first phase is the sample.

    Those of mirror images share, by how often the library has them.
    """
    out = np.zeros(230)
    if mixture.phases:
        group = int(library.space_group[mixture.phases[0].entry])
        partner = mirrored(group)
        out[group - 1] = 1.0
        if partner is not None:
            counts = np.bincount(library.space_group, minlength=231)[[group, partner]] + 1.0
            out[[group - 1, partner - 1]] = counts / counts.sum()
    return out


@dataclass(frozen=True)
class Trust:
    """Weights of the trust in a match, and masses of prediction sets.

    Attributes
    ----------
    weights : tuple of 8 float
        Of `FEATURES`.
    set_mass : dict
        Probability that the groups of a set of 90 % hold together: by "match" where the match is
        trusted with at least a half, and by "network" where it is not.
    fitted_on : str
    pool : Pool
        How cells by indexing count beside the network.
    """

    weights: tuple[float, ...]
    set_mass: dict[str, float]
    fitted_on: str
    pool: Pool = _NO_CELLS

    def of(self, features: ArrayLike) -> NDArray[np.float64]:
        """Trust in matches with these features (B, 8); 0 where there is no phase."""
        x = np.atleast_2d(np.asarray(features, float))
        logit = np.clip(x @ np.array(self.weights), -30, 30)
        return np.where(x[:, 0] > 0, np.minimum(1 / (1 + np.exp(-logit)), MOST), 0.0)

    def prediction_set(self, probabilities: NDArray[Any], trust: float) -> NDArray[np.int64]:
        """Space groups, most probable first, that hold the right one in nine of ten patterns."""
        order = np.argsort(-probabilities, kind="stable")
        mass = self.set_mass["match" if trust >= 0.5 else "network"]
        number = int(np.searchsorted(np.cumsum(probabilities[order]), mass - 1e-9)) + 1
        return np.asarray(order[: min(number, len(order))] + 1)

    @classmethod
    def fit(
        cls, features: NDArray[Any], right: ArrayLike, weights: ArrayLike | None = None
    ) -> tuple[float, ...]:
        """Weights that give right matches the highest probability.

        Parameters
        ----------
        features : (B, 8) array
        right : (B,) bool array
            Whether the match has the right space group.
        weights : (B,) array, optional
            How much each counts.

        Raises
        ------
        InputError
            Fewer than 50 patterns.
        """
        from scipy.optimize import minimize

        x, truth = np.asarray(features, float), np.asarray(right, float)
        if len(x) < 50:
            raise InputError(f"{len(x)} patterns; 50 at least are needed")
        counts = np.ones(len(x)) if weights is None else np.asarray(weights, float)

        def cost(w: NDArray[np.float64]) -> float:
            logit = x @ w
            loss = np.logaddexp(0, logit) - truth * logit
            return float(np.average(loss, weights=counts) + _WEIGHT * (w[1:] ** 2).sum() / len(w))

        found = minimize(cost, np.zeros(x.shape[1]), method="BFGS")
        return tuple(float(v) for v in np.round(found.x, 4))

    @classmethod
    def load(cls, path: Path | None = None) -> Trust:
        """Read what `save` wrote, the shipped one by default.

        Raises
        ------
        ModelError
            It is missing or damaged.
        """
        if path is None:
            path = Path(str(files("ase_crystalnet.xrd").joinpath("data/trust.json")))
        try:
            data = json.loads(read_plain(path, _LARGEST, "weights of a match"))
            weights = tuple(float(v) for v in data["weights"])
            masses = {key: float(data["set_mass"][key]) for key in ("match", "network")}
            powers = {key: float(value) for key, value in data.get("pool", {}).items()}
            pool = Pool(**powers)
            found = cls(weights, masses, str(data["fitted_on"]), pool)
        except FileNotFoundError:
            raise ModelError(f"{path} is missing: install the package again") from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ModelError(f"{path} is damaged ({reason_of(error)})") from None
        numbers = [*weights, *masses.values(), *astuple(found.pool)]
        if len(weights) != len(FEATURES) or not np.isfinite(numbers).all():
            raise ModelError(f"{path} is damaged: {len(weights)} weights of {len(FEATURES)}")
        return found

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_whole(path, json.dumps(asdict(self), indent=1) + "\n")
