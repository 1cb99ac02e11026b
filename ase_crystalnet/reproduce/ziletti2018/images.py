"""Fingerprints and response maps in Ziletti et al. (2018): Fig. 2 and Fig. 5."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.reproduce import figures
from ase_crystalnet.reproduce.report import (
    Cell,
    Check,
    Picture,
    Report,
    Table,
)
from ase_crystalnet.reproduce.store import Memo
from ase_crystalnet.reproduce.ziletti2018.bench import Bench

__all__ = ["PROTOTYPES", "fingerprints", "prototype_cell", "response_maps"]

#: Name -> class, symbol, prototype with its parameters, nearest-neighbour distance (Angstrom): one
#: element for each of the eight structures.
PROTOTYPES: dict[str, tuple[str, str, str, tuple[float, ...], float]] = {
    "rh (As)": ("hex/rh", "As", "alpha-As", (2.805, 0.2271), 2.517),
    "hex (Mg)": ("hex/rh", "Mg", "hcp", (1.624,), 3.197),
    "sc (Po)": ("sc", "Po", "sc", (), 3.359),
    "fcc (Cu)": ("fcc", "Cu", "fcc", (), 2.556),
    "diam (C)": ("diam", "C", "diam", (), 1.545),
    "bcc (Fe)": ("bcc", "Fe", "bcc", (), 2.482),
    "bct139 (In)": ("bct139", "In", "bct139", (1.521,), 3.253),
    "bct141 (Sn)": ("bct141", "Sn", "bct141", (0.5456,), 3.022),
}
_DEFECTS = ("25 % vacancies", "displaced, 0.06 Å", "half of Po is Al")


def prototype_cell(name: str) -> Atoms:
    """Conventional cell of one of `PROTOTYPES`."""
    from ase_crystalnet.crystals.sampling import prototype

    _, symbol, kind, parameters, distance = PROTOTYPES[name]
    cell, sites = prototype(kind, *parameters)
    return Atoms(f"{symbol}{len(sites)}", cell=distance * cell, scaled_positions=sites, pbc=True)


def fingerprints(memo: Memo, bench: Bench) -> Report:
    """Fig. 2: fingerprints of the eight prototypes, and of simple cubic with defects."""
    from ase_crystalnet.crystals import defects
    from ase_crystalnet.whole.analysis import global_fingerprints
    from ase_crystalnet.whole.cluster import perfect_supercell

    rng = bench.rng("fingerprints")
    supercells = [perfect_supercell(prototype_cell(name)) for name in PROTOTYPES]
    images = np.asarray(global_fingerprints(supercells), float)
    cubic = supercells[list(PROTOTYPES).index("sc (Po)")]
    spoilt = [
        cubic,
        defects.with_vacancies(cubic, 0.25, rng),
        defects.displaced(cubic, 0.06, rng),
        defects.substituted(cubic, ["Po", "Al"], rng),
    ]
    defective = np.asarray(global_fingerprints(spoilt), float)
    p = bench.probabilities(supercells)
    q = bench.probabilities(spoilt)
    rows: list[list[Cell]] = [
        [name, PROTOTYPES[name][0], bench.classes[int(v.argmax())], float(v.max())]
        for name, v in zip(PROTOTYPES, p, strict=True)
    ]
    sc = bench.classes.index("sc")
    names = ("pristine", *_DEFECTS)
    changes: list[list[Cell]] = [
        [name, _largest(image - defective[0]), _correlation(image, defective[0]), float(v[sc])]
        for name, image, v in zip(names, defective, q, strict=True)
    ]
    tables = (
        Table(
            "The eight prototypes", ("structure", "class", "found", "certainty"), rows, decimals=4
        ),
        Table(
            "Simple cubic with defects",
            ("defect", "largest change of a pixel", "correlation with pristine", "probability sc"),
            changes,
            "The brightest pixel of a fingerprint is 1.",
            decimals=4,
        ),
    )
    pictures = (
        Picture(
            "prototypes",
            "Fingerprints of the eight prototypes (the paper's Fig. 2).",
            figures.fingerprint_grid(images, list(PROTOTYPES)),
        ),
        Picture(
            "defects",
            "Simple cubic polonium with defects, and the difference from pristine.",
            figures.defect_images(defective, names),
        ),
    )
    return Report(tables, (), pictures)


def _largest(difference: NDArray[np.float64]) -> float:
    return float(np.abs(difference).max())


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


# ------------------------------------------------------------------ Fig. 5
_EXPLAINED = ("fcc (Cu)", "bcc (Fe)")


def response_maps(memo: Memo, bench: Bench) -> Report:
    """Fig. 5: attentive response maps, and how much of them lies on Bragg spots."""
    from ase_crystalnet.explain.explainer import Explainer
    from ase_crystalnet.explain.figures import plot_explanation, plot_filter_sums
    from ase_crystalnet.explain.study import occlusion_correlations, sample_of, share_rows
    from ase_crystalnet.explain.subjects import subject

    net = bench.net
    explainer = Explainer(net.classifier)
    subjects = {name: subject(net, prototype_cell(name)) for name in PROTOTYPES}
    images = np.stack([one.image for one in subjects.values()])

    def shares() -> dict[str, list[list[Cell]]]:
        sample = bench.sample
        chosen = np.concatenate(
            [
                np.flatnonzero(sample.truth == c)[: bench.sizes.maps]
                for c in range(len(bench.classes))
            ]
        )
        labels = [int(c) for c in sample.truth[chosen]]
        crystals = sample_of(net, [sample.cells[i] for i in chosen], labels)
        found = share_rows(
            explainer,
            crystals,
            net.fingerprint,
            bench.rng("maps"),
            untrained=bench.sizes.untrained,
            say=memo.say,
        )
        wiped = occlusion_correlations(explainer, crystals)
        own = wiped[np.arange(len(wiped)), crystals.labels]
        return {
            "shares": [
                [r.label, r.maps, r.count, r.share, r.low, r.high, r.shuffled, r.untrained, r.area]
                for r in found
            ],
            "occlusion": [
                [bench.classes[c], float(np.nanmean(own[crystals.labels == c]))]
                for c in np.unique(crystals.labels)
            ],
        }

    study = memo("shares", shares)
    rows, occlusion = study["shares"], study["occlusion"]
    filters = [row for row in rows if str(row[1]).startswith("convolution")]
    ratios = [float(row[3]) / float(row[6]) for row in filters]
    check = Check(
        "response maps put their weight on diffraction spots",
        "more energy within two pixels of a spot than in shuffled maps, in every class and layer",
        f"{min(ratios):.2f} to {max(ratios):.2f} times as much",
        all(float(row[4]) > float(row[6]) for row in filters),
    )
    header = ("class", "maps", "fingerprints", "share", "95 % from", "to", "shuffled", "untrained",
              "area")  # fmt: skip
    table = Table(
        "Share of a map's energy within two pixels of a Bragg spot",
        header,
        rows,
        "Pristine crystals. Shuffled: the map's pixels exchanged at the same distance from the "
        "centre. Untrained: networks with random weights, whose maps lie near spots as well, since "
        "a fingerprint is dark elsewhere. Area: share of the detector's ring.",
        decimals=3,
    )
    pictures = [
        Picture(
            "templates",
            "Fingerprints, and the sum over the last convolution's filters (Fig. 5, right).",
            plot_filter_sums(list(PROTOTYPES), images, explainer.filter_sums(images)),
        )
    ]
    for name in _EXPLAINED:
        label, one = PROTOTYPES[name][0], subjects[name]
        pictures.append(
            Picture(
                label,
                f"The four brightest filters of the first, third and last convolution for {name}, "
                "and the evidence for each class (Fig. 5).",
                plot_explanation(explainer.explain(one.image), name, one.spots),
            )
        )
    wiped = Table(
        "Do the maps tell the truth?",
        ("class", "correlation"),
        occlusion,
        "Correlation, over the spots of a fingerprint, of the evidence for the right class at a "
        "spot with what the class's logit loses when the spot is wiped out; mean over the same "
        "crystals.",
    )
    return Report((table, wiped), (check,), tuple(pictures))
