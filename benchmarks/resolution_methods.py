"""What the resolution benchmark compares: windows, second looks, tapers, choices, other methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from interfaces import Interface
from numpy.typing import NDArray

from ase_crystalnet import CrystalNet
from ase_crystalnet.lattice import conventional_setting
from ase_crystalnet.windows import WindowBatch

__all__ = ["TAPERED", "TAPERS", "Answer", "Recorder", "all_answers", "windows_answers"]

Array = NDArray[np.float64]

#: Certainty that settles an atom, from the smallest window up and from the largest down.
CERTAIN_UP, CERTAIN_DOWN = 0.9, 0.98
TAPERED = ("fcc-liquid", "diamond-liquid", "twin", "stacking fault", "hcp slab 6", "sigma-5")
TAPERS: dict[str, Callable[[Array], Array]] = {
    "Gaussian": lambda r: np.exp(-2.0 * r**2),  # half the radius is one standard deviation
    "cosine": lambda r: 0.5 + 0.5 * np.cos(np.pi * np.minimum(r, 1.0)),
}


class Recorder(CrystalNet):
    """CrystalNet that also keeps what it found before it looked again, and can taper windows."""

    taper: Callable[[Array], Array] | None = None
    first: dict[str, NDArray[Any]]

    def _look_again(
        self, atoms: Atoms, prepared: Any, points: Array, found: dict[str, NDArray[Any]], *more: Any
    ) -> None:
        self.first = {name: values.copy() for name, values in found.items()}
        super()._look_again(atoms, prepared, points, found, *more)

    def _classify(
        self, atoms: Atoms, batch: WindowBatch, good: NDArray[np.intp]
    ) -> dict[str, NDArray[Any]]:
        if self.taper is None:
            return super()._classify(atoms, batch, good)
        positions, mask = batch.positions[good], batch.mask[good]
        r = np.linalg.norm(positions, axis=2) / batch.radius[good, None]
        weights = np.where(mask, self.taper(r), 0.0).astype(np.float32)
        lattices = self.finder(positions, mask, weights)
        images = self.fingerprint(lattices.standardize(positions), mask, weights)
        return {
            "probabilities": self.classifier.predict(images),
            "coherence": lattices.coherence,
            **{
                name: getattr(lattices, name)
                for name in ("order", "lattice", "rank", "mean_square_displacement")
            },
            "nearest_neighbor_distance": lattices.nearest_neighbor_distance,
        }


@dataclass(frozen=True, eq=False)
class Answer:
    """Labels, certainty and orientation of the chosen atoms by one method; windows it took."""

    labels: NDArray[np.int16]
    certainty: Array | None = None
    orientation: Array | None = None
    windows: NDArray[np.intp] | None = None


def _answers(net: Recorder, atoms: Atoms, chosen: NDArray[np.intp]) -> tuple[Answer, Answer]:
    """With the second look, and without it."""
    frame = net.analyze(atoms, centers=chosen)
    p = net.first["probabilities"]
    known = np.isfinite(p).all(axis=1)
    labels = np.where(known, np.where(known[:, None], p, 0).argmax(axis=1), -1).astype(np.int16)
    setting = conventional_setting(net.first["lattice"], labels, net.classes)
    return (
        Answer(frame.labels, frame.certainty.astype(float), frame.orientation),
        Answer(labels, p.max(axis=1).astype(float), setting.orientation),
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
    nets: dict[str, Recorder], atoms: Atoms, chosen: NDArray[np.intp]
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
    nets: dict[str, Recorder], case: Interface, chosen: NDArray[np.intp]
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
