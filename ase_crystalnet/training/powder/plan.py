"""How a network on powder patterns is trained."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.answer.network import PowderNetwork
from ase_crystalnet.xrd.simulated.patterns import MEASURED, Recipe

__all__ = ["XrdPlan", "plan_of"]


@dataclass(frozen=True)
class XrdPlan:
    """How a network on powder patterns is trained; stored in its card.

    Attributes
    ----------
    network : str
        ``"resnet"``, ``"dense"`` or ``"conv"``.
    classes : int
        230 space groups or 7 crystal systems.
    cost : str
        ``"cross-entropy"``, or ``"alternating"``: epochs of quadratic cost and of cross-entropy
        take turns (Vecsei et al. 2019).
    patterns : float
        Budget: patterns drawn.
    seconds : float
        Budget: wall time of training; 0 is no limit.
    batch_size : int
    learning_rate, weight_decay : float
        AdamW's.
    label_smoothing : float
    average : float
        Momentum of the exponential average of the weights, which is what is evaluated and kept;
        0 keeps the last weights.
    mineral, balance : float
        See `splits.sampling_weights`.
    dtype : str
        Keras' policy of hidden layers while training.
    seed : int
    leave_out : tuple of str
        Sources (`StructureSet.source`) that are neither trained nor tested on: by default the
        hypothetical crystals of WBM.
    favored, favor
        Sources that are always trained on, and how many times more often they are drawn.
    synthetic : float
        Share of the patterns that are of random crystals, where there are any.
    recipe : Recipe
    """

    network: str = "resnet"
    classes: int = 230
    cost: str = "cross-entropy"
    patterns: float = 4e6
    seconds: float = 0.0
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.03
    label_smoothing: float = 0.05
    average: float = 0.998
    mineral: float = 8.0
    balance: float = 0.0
    dtype: str = "float32"
    seed: int = 1
    leave_out: tuple[str, ...] = ("wbm_val_structures",)
    favored: tuple[str, ...] = ("amcsd_rock_forming",)
    favor: float = 8.0
    synthetic: float = 0.2
    recipe: Recipe = field(default=MEASURED)

    def __post_init__(self) -> None:
        if self.classes not in (7, 230):
            raise InputError(f"classes is {self.classes}; expected 7 or 230")
        if not 0 <= self.synthetic <= 1:
            raise InputError(f"synthetic is {self.synthetic}; expected a share, 0 to 1")
        if self.cost not in ("cross-entropy", "alternating"):
            raise InputError(f"cost is {self.cost!r}; expected 'cross-entropy' or 'alternating'")


def plan_of(network: PowderNetwork | None) -> XrdPlan:
    """Plan with the split of structures that a network was trained with; the default without."""

    stated = network.card.get("trained_on", {}).get("plan") if network else None
    if not stated:
        return XrdPlan()
    return replace(
        XrdPlan(), leave_out=tuple(stated["leave_out"]), favored=tuple(stated["favored"])
    )
