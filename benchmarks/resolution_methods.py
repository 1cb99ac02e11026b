"""What the resolution benchmark compares: windows, second looks, tapers, choices, other methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from interfaces import Interface
from numpy.typing import NDArray

from ase_crystalnet import CrystalNet
from ase_crystalnet.local import LocalAnalysis

__all__ = ["TAPERED", "TAPERS", "Answer", "all_answers", "method", "windows_answers"]

Array = NDArray[np.float64]

#: Certainty that settles an atom, from the smallest window up and from the largest down.
CERTAIN_UP, CERTAIN_DOWN = 0.9, 0.98
TAPERED = ("fcc-liquid", "diamond-liquid", "twin", "stacking fault", "hcp slab 6", "sigma-5")
TAPERS: dict[str, Callable[[Array], Array]] = {
    "Gaussian": lambda r: np.exp(-2.0 * r**2),  # half the radius is one standard deviation
    "cosine": lambda r: 0.5 + 0.5 * np.cos(np.pi * np.minimum(r, 1.0)),
}


@dataclass(frozen=True, eq=False)
class Answer:
    """Labels, certainty and orientation of the chosen atoms by one method; windows it took."""

    labels: NDArray[np.int16]
    certainty: Array | None = None
    orientation: Array | None = None
    windows: NDArray[np.intp] | None = None


def method(model: str, window_atoms: int, taper: str | None = None) -> LocalAnalysis:
    """The method of a model with windows of a size, tapered if asked for."""
    plain = CrystalNet(model, window_atoms=window_atoms).of_windows()
    return plain if taper is None else replace(plain, taper=TAPERS[taper])


def _answers(net: LocalAnalysis, atoms: Atoms, chosen: NDArray[np.intp]) -> tuple[Answer, Answer]:
    """With boundaries settled by smaller windows, and as the windows are."""
    prepared = net.windower.prepare(atoms)
    points, owners = prepared.centers(chosen)
    first = net.measured(atoms, prepared, points)
    tables = (net.settled(atoms, prepared, points, first), first)
    settled, undivided = (net.concluded(prepared, points, owners, table) for table in tables)
    return (
        Answer(settled.labels, settled.certainty.astype(float), settled.orientation),
        Answer(undivided.labels, undivided.certainty.astype(float), undivided.orientation),
    )


def smallest_certain(answers: list[Answer]) -> Answer:
    """Of answers by growing windows the first that is certain, else the last."""
    labels, certainty, orientation = _stacked(answers)
    sure = certainty > CERTAIN_UP
    sure[-1] = True
    pick = sure.argmax(axis=0)
    row = np.arange(len(pick))
    return Answer(labels[pick, row], certainty[pick, row], orientation[pick, row], pick + 1)


def largest_certain(answers: list[Answer]) -> Answer:
    """Of answers by growing windows the last if it is certain, else a smaller one that is more so.

    The next smaller window is asked until the answer in hand is certain.
    """
    labels, certainty, orientation = _stacked(answers)
    row = np.arange(labels.shape[1])
    pick = np.full(len(row), len(answers) - 1)
    windows = np.ones(len(row), np.intp)
    for smaller in range(len(answers) - 2, -1, -1):
        asked = ~(certainty[pick, row] > CERTAIN_DOWN)
        windows += asked
        pick[asked & (certainty[smaller] > certainty[pick, row])] = smaller
    return Answer(labels[pick, row], certainty[pick, row], orientation[pick, row], windows)


def _stacked(answers: list[Answer]) -> tuple[NDArray[np.int16], Array, Array]:
    return (
        np.array([a.labels for a in answers]),
        np.nan_to_num(np.array([a.certainty for a in answers])),
        np.array([a.orientation for a in answers]),
    )


def windows_answers(
    nets: dict[str, LocalAnalysis], atoms: Atoms, chosen: NDArray[np.intp]
) -> dict[str, Answer]:
    """Answers of every window size and taper, and the adaptive choices among the plain ones."""
    found: dict[str, Answer] = {}
    for name, net in nets.items():
        found[name], found[f"{name}, undivided"] = _answers(net, atoms, chosen)
    plain = [name for name, net in nets.items() if net.taper is None]
    for suffix in ("", ", undivided"):
        whole = [found[name + suffix] for name in plain]
        found[f"up{suffix}"] = smallest_certain(whole)
        found[f"down{suffix}"] = largest_certain(whole)
    return found


def all_answers(
    nets: dict[str, LocalAnalysis], case: Interface, chosen: NDArray[np.intp]
) -> dict[str, Answer]:
    """Every method on the chosen atoms of an interface."""
    used = {n: net for n, net in nets.items() if net.taper is None or case.name in TAPERED}
    return windows_answers(used, case.atoms, chosen) | _baselines(case, chosen)


def _baselines(case: Interface, chosen: NDArray[np.intp]) -> dict[str, Answer]:
    from baselines import MissingOvitoError, acna_labels, ptm_labels

    try:
        return {
            "PTM 0.1": Answer(ptm_labels(case.atoms, 0.1)[chosen]),
            "PTM none": Answer(ptm_labels(case.atoms, None)[chosen]),
            "a-CNA": Answer(acna_labels(case.atoms, diamond="diam" in case.sides)[chosen]),
        }
    except MissingOvitoError:
        return {}
