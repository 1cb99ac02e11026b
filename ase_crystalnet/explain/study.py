"""How much of the response maps lies on Bragg spots, and whether the maps tell the truth.

Two numbers for a model. The share of a map's energy within two pixels of a Bragg spot, beside what
it would be if the map's pixels were shuffled around the centre, and if the network had never been
trained. And the correlation, over the spots of a fingerprint, of the evidence for a class at a spot
with the change of the class's logit when the spot is wiped out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.explain.bragg_spots import (
    BraggSpots,
    bragg_spots,
    energy_share,
    ring,
    shuffled_share,
)
from ase_crystalnet.explain.explainer import Explainer
from ase_crystalnet.explain.subjects import subject
from ase_crystalnet.whole.average_lattice import NoLatticeError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.fingerprint.fingerprint import Fingerprint

__all__ = [
    "Sample",
    "ShareRow",
    "bootstrap_mean",
    "local_sample",
    "occlusion_correlations",
    "sample_of",
    "share_rows",
]

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Sample:
    """Fingerprints of known crystals, with their Bragg spots.

    Attributes
    ----------
    images : (B, P, P, 3) float32 array
    labels : (B,) int array
        Index of the right class.
    spots : sequence of BraggSpots, length B
        Of the undisturbed crystal.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.intp]
    spots: Sequence[BraggSpots]

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.labels) == len(self.spots):
            raise InputError(
                f"a sample of {len(self.images)} fingerprints, {len(self.labels)} labels and "
                f"{len(self.spots)} sets of spots; expected as many of each"
            )

    def near(self, distance: float = 2.0) -> NDArray[np.bool_]:
        """Pixels near spots, (B, P, P, 3)."""
        return np.stack([spots.near(distance) for spots in self.spots])


@dataclass(frozen=True)
class ShareRow:
    """Share of energy near Bragg spots, of one class and one kind of map; means over fingerprints.

    Attributes
    ----------
    label : str
        Class.
    maps : str
        "input" (the image the network is given, to compare with), "convolution 1", ... (sum over
        all its filters), "evidence" (for the right class).
    share, low, high : float
        Mean and its 95 % bootstrap interval.
    shuffled : float
        With the pixels of each map shuffled around the centre.
    untrained : float
        In networks with random weights (of the input, the same).
    area : float
        Of the ring of the detector.
    count : int
        Fingerprints.
    """

    label: str
    maps: str
    share: float
    low: float
    high: float
    shuffled: float
    untrained: float
    area: float
    count: int


def bootstrap_mean(
    values: NDArray[np.float64], rng: np.random.Generator, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean and its bootstrap interval (percentiles of 2,000 resamplings)."""
    from scipy.stats import bootstrap

    values = np.asarray(values, float)
    mean = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        return mean, mean, mean
    found = bootstrap(
        (values,), np.mean, confidence_level=confidence, n_resamples=2000, method="percentile",
        rng=rng,
    )  # fmt: skip
    return mean, float(found.confidence_interval.low), float(found.confidence_interval.high)


def share_rows(
    explainer: Explainer,
    sample: Sample,
    fingerprint: Fingerprint,
    rng: np.random.Generator,
    *,
    distance: float = 2.0,
    untrained: int = 3,
    say: Say | None = None,
) -> list[ShareRow]:
    """Shares of energy near Bragg spots for each class and layer.

    Parameters
    ----------
    explainer : Explainer
    sample : Sample
    fingerprint : Fingerprint
        Of the model: its ring is the area that counts.
    rng : numpy.random.Generator
        For the bootstrap and the untrained networks.
    distance : float
        From a spot, pixels.
    untrained : int
        Networks with random weights.
    say : callable, optional
        Told of each kind of map that is done.

    Returns
    -------
    list of ShareRow
        By class, then by kind of map.
    """
    near = sample.near(distance)
    area = near[:, ring(fingerprint)].mean(axis=(1, 2))
    controls = [explainer.untrained(rng) for _ in range(untrained)]
    found: dict[tuple[int, str], ShareRow] = {}
    for kind, number in _kinds(explainer):
        maps = _maps(explainer, sample, number)
        share, shuffled = energy_share(maps, near), shuffled_share(maps, near)
        random = np.full(len(share), np.nan)
        if controls:
            others = [energy_share(_maps(other, sample, number), near) for other in controls]
            random = np.mean(others, axis=0)
        for label in np.unique(sample.labels):
            here = (sample.labels == label) & np.isfinite(share)
            mean, low, high = bootstrap_mean(share[here], rng)
            found[int(label), kind] = ShareRow(
                explainer.classes[label],
                kind,
                mean,
                low,
                high,
                float(shuffled[here].mean()),
                float(np.mean(random[here])),
                float(area[here].mean()),
                int(here.sum()),
            )
        if say is not None:
            say(kind)
    labels = sorted({label for label, _ in found})
    return [found[label, kind] for label in labels for kind, _ in _kinds(explainer)]


#: Instead of the number of a convolution.
_INPUT, _EVIDENCE = -2, -3


def _kinds(explainer: Explainer) -> list[tuple[str, int]]:
    """Kinds of maps by name, with the index of the convolution."""
    layers = [(f"convolution {n + 1}", n) for n in explainer.shown]
    return [("input", _INPUT), *layers, ("evidence", _EVIDENCE)]


def _maps(explainer: Explainer, sample: Sample, number: int) -> NDArray[np.float32]:
    if number == _INPUT:
        return explainer.inputs(sample.images)
    if number == _EVIDENCE:
        return explainer.class_maps(sample.images)[np.arange(len(sample.labels)), sample.labels]
    return explainer.filter_sums(sample.images, number)


def occlusion_correlations(
    explainer: Explainer,
    sample: Sample,
    maps: NDArray[np.float32] | None = None,
    *,
    distance: float = 2.5,
) -> NDArray[np.float64]:
    """Correlation, over spots, of maps with what wiping out a spot does to the logit.

    Each spot of a fingerprint is set to zero, to a distance in pixels, in its channel, and the
    logit of a class above the mean of the others is computed anew. That is compared with the sum of
    the map for the class over the same pixels.

    Parameters
    ----------
    explainer : Explainer
    sample : Sample
    maps : (B, C, P, P, 3) array, optional
        Default: the evidence for each class.
    distance : float
        Pixels.

    Returns
    -------
    (B, C) float64 array
        Pearson's r; nan with fewer than three spots.
    """
    axis = np.arange(sample.images.shape[1])
    out = np.full((len(sample.images), len(explainer.classes)), np.nan)
    if maps is None:
        maps = explainer.class_maps(sample.images)
    whole = explainer.margins(sample.images)
    for b, spots in enumerate(sample.spots):
        if len(spots) < 3:
            continue
        x, y = spots.pixel.T[:, :, None, None]
        discs = np.hypot(axis[:, None] - x, axis - y) <= distance
        wiped = np.where(
            discs[..., None] & (np.arange(3) == spots.channel[:, None, None, None]),
            np.float32(0),
            sample.images[b],
        )
        loss = whole[b] - explainer.margins(wiped)
        changed = wiped != sample.images[b]
        told = np.einsum("sxyk,cxyk->sc", changed, maps[b])
        for label in range(out.shape[1]):
            if np.ptp(loss[:, label]) > 0 and np.ptp(told[:, label]) > 0:
                out[b, label] = np.corrcoef(told[:, label], loss[:, label])[0, 1]
    return out


def sample_of(net: CrystalNet, structures: Sequence[Atoms], labels: Sequence[int]) -> Sample:
    """Sample of structures of known class, of either mode; in local mode about their first atom.

    Structures in which no lattice is found are left out.

    Parameters
    ----------
    net : CrystalNet
    structures : sequence of ase.Atoms
    labels : sequence of int
        Index of each one's class.

    Raises
    ------
    InputError
        None of them has a lattice.
    """
    images, kept, spots = [], [], []
    for atoms, label in zip(structures, labels, strict=True):
        try:
            one = subject(net, atoms)
        except NoLatticeError:
            continue
        if one.spots is not None:
            images.append(one.image)
            kept.append(label)
            spots.append(one.spots)
    if not images:
        raise InputError(f"none of {len(structures)} structures has a lattice to take spots from")
    return Sample(np.stack(images), np.array(kept), spots)


def local_sample(
    net: CrystalNet,
    per_class: int,
    rng: np.random.Generator,
    *,
    sigma: float = 0.0,
    vacancy_fraction: float = 0.0,
) -> Sample:
    """Windows of random crystals of every class in random orientation, for a local model.

    Parameters
    ----------
    net : CrystalNet
    per_class : int
    rng : numpy.random.Generator
    sigma : float
        Displacement per component, nearest-neighbour distances.
    vacancy_fraction : float

    Returns
    -------
    Sample
        Spots are those of the undisplaced, complete window in the frame found of the disturbed one.
    """
    from ase_crystalnet.crystals.sampling import Disorder, cut_crystal, sample_crystal

    images: list[NDArray[np.float32]] = []
    labels: list[int] = []
    spots: list[BraggSpots] = []
    method = net.of_windows()
    # The crystals are unstrained, and the ideal window is turned by hand into the frame of the
    # disturbed one.
    plain = replace(method.images, parents=None, strains=None)
    size = int(method.windower.window_atoms / (1 - vacancy_fraction))
    for label, name in enumerate(net.classes):
        if name == "disordered":
            continue
        while labels.count(label) < per_class:
            crystal = sample_crystal(name, rng, shared=False)
            ideal = cut_crystal(crystal, size, Disorder(), rng)
            moved = ideal + sigma * rng.normal(size=ideal.shape)
            moved = moved[rng.random(len(moved)) >= vacancy_fraction]
            window, every = moved[None].astype(np.float32), np.ones((1, len(moved)), bool)
            seen = plain(window, every)
            lattices = seen.lattices
            if lattices.rank[0] < 3:
                continue  # no lattice, no spots
            turn = lattices.frame[0].T / lattices.scale[0]
            images.append(seen.images[0])
            perfect = (ideal @ turn).astype(np.float32)
            spots.append(
                bragg_spots(
                    net.fingerprint(perfect[None])[0],
                    lattices.lattice[0] @ turn,
                    net.fingerprint,
                    perfect,
                )
            )
            labels.append(label)
    return Sample(np.stack(images), np.array(labels), spots)
