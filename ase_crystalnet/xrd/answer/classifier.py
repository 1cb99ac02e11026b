"""Crystal system and space group of powder patterns: network and library together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cached_property, reduce
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.answer.answers import PowderAnswers, answered
from ase_crystalnet.xrd.answer.library import Matches, PatternLibrary
from ase_crystalnet.xrd.answer.network import PowderNetwork, default_network, read_combination
from ase_crystalnet.xrd.answer.scans import examined, no_matches, with_phases
from ase_crystalnet.xrd.answer.trust import Trust
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import POINTS
from ase_crystalnet.xrd.phases.library import PhaseLibrary
from ase_crystalnet.xrd.phases.search import PhaseIndex

__all__ = ["PowderClassifier", "evidence"]


class PowderClassifier:
    """Space groups of powder patterns, from a network and a library of known patterns.

    Parameters
    ----------
    model : str, Path, PowderNetwork or None
        A network, its name or folder; None (or "none") asks the library alone. By default the
        first shipped network, and the library alone where none is shipped.
    library : PatternLibrary, optional
        The shipped library of minerals by default. The calibration was made with that one.
    phases : PhaseLibrary or None, optional
        Known phases that scans are compared with, one to four at a time; the shipped ones by
        default, None for none. Patterns on the grid (`classify`) are not.
    engine : {'onnx', 'tensorflow'}, optional
        What runs the network, if it is not given as a `PowderNetwork`.

    Raises
    ------
    ModelError
        The model or its calibration is missing or damaged.

    Examples
    --------
    >>> from ase_crystalnet.xrd import read_scan
    >>> answers = PowderClassifier().classify_scans([read_scan("quartz.xy")])  # doctest: +SKIP
    >>> answers.space_group, answers.certainty  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path | PowderNetwork | None = "",
        library: PatternLibrary | None = None,
        phases: PhaseLibrary | Literal["shipped"] | None = "shipped",
        *,
        engine: str | None = None,
    ) -> None:
        if isinstance(model, str):
            self.network = default_network(model or None, engine=engine)
        elif isinstance(model, Path):
            self.network = PowderNetwork(model, engine=engine)
        else:
            self.network = model
        self.library = PatternLibrary.load() if library is None else library
        self.combination = read_combination(self.network)
        self._phases = phases

    @cached_property
    def phases(self) -> PhaseIndex | None:
        """The known phases, ready for searches."""
        if self._phases is None:
            return None
        known = PhaseLibrary.load() if self._phases == "shipped" else self._phases
        return PhaseIndex(known)

    @property
    def name(self) -> str:
        """Name of the network and library that answer."""
        return f"{self.network.card.name} and library" if self.network else "library alone"

    def classify(
        self,
        patterns: ArrayLike,
        *,
        min_certainty: float | None = None,
        coverage: float | None = None,
        covered: Sequence[tuple[float, float]] | None = None,
    ) -> PowderAnswers:
        """Answer for patterns on the grid.

        Parameters
        ----------
        patterns : (B, 8500) array
            Intensities on `pattern.TWO_THETA`, background subtracted (`Scan.on_grid`).
        min_certainty : float, optional
            Refuse space groups less certain than this.
        coverage : float, optional
            Answer this share of the patterns, the most certain first; refuse the others.
        covered : (B, 2) sequence, optional
            First and last angle that was measured, degrees, where it is not all.

        Raises
        ------
        InputError
            Patterns of another shape, not finite, negative or without lines; both thresholds.
        """
        x = np.asarray(patterns, np.float32)
        if x.ndim != 2 or x.shape[1] != POINTS or not len(x):
            raise InputError(f"patterns have shape {x.shape}; expected (B, {POINTS}), B > 0")
        if not np.isfinite(x).all() or (x < 0).any():
            raise InputError("patterns hold negative or not finite intensities")
        by_network, matches = evidence(self.network, self.library, x, covered)
        combined = self.combination.probabilities(by_network, matches)
        keep = answered(combined.max(axis=1), min_certainty=min_certainty, coverage=coverage)
        trust = self.combination.trust(matches.correlation[:, 0])
        network = by_network if self.network else None
        return PowderAnswers(combined, matches, trust, network, keep)

    def classify_scans(
        self,
        scans: Sequence[Scan],
        *,
        min_certainty: float | None = None,
        coverage: float | None = None,
    ) -> PowderAnswers:
        """Answer for measured scans: lines, known phases, network and library.

        A scan without lines, of glass, or with too few lines is refused, whatever the network
        says of its noise. Parameters as of `classify`.

        Raises
        ------
        InputError
            No scan was given, or both thresholds.
        """
        if not len(scans):
            raise InputError("no scan was given")
        reports = [examined(scan, self.phases) for scan in scans]
        usable = np.array([not report.refusal for report in reports], bool)
        said = self._on_grids(
            [scan for scan, use in zip(scans, usable, strict=True) if use], usable
        )
        whole = with_phases(said, scans, reports, self.phases, Trust.load())
        kept = np.where(whole.answered, whole.certainty, -1.0)
        keep = answered(kept, min_certainty=min_certainty, coverage=coverage)
        return replace(whole, answered=keep & whole.answered)

    def _on_grids(self, scans: Sequence[Scan], usable: NDArray[np.bool_]) -> PowderAnswers:
        """Answers of network and library; frequencies of space groups where not usable."""
        number = len(usable)
        counts = np.bincount(self.library.space_group, minlength=231)[1:] + 1.0
        probabilities = np.tile(counts / counts.sum(), (number, 1)).astype(np.float32)
        matches, trust = no_matches(number), np.zeros(number)
        network = None if self.network is None else probabilities.copy()
        if len(scans):
            said = self.classify(
                [scan.on_grid() for scan in scans], covered=[scan.covered for scan in scans]
            )
            probabilities[usable], trust[usable] = said.probabilities, said.trust
            if network is not None and said.network is not None:
                network[usable] = said.network
            matches = matches.widened(said.matches.entry.shape[1]).with_rows(usable, said.matches)
        return PowderAnswers(probabilities, matches, trust, network, usable.copy())


def evidence(
    network: PowderNetwork | None,
    library: PatternLibrary,
    patterns: NDArray[np.float32],
    covered: Sequence[tuple[float, float]] | None = None,
) -> tuple[NDArray[np.float32], Matches]:
    """The two sources of an answer: probabilities (B, 230) by the network and library matches.

    Without a network the probabilities are the frequencies of the space groups in the library.
    """
    if network is not None:
        return network.predict(patterns), _search(library, patterns, covered)
    counts = np.bincount(library.space_group, minlength=231)[1:].astype(np.float32) + 1
    frequencies = np.tile(counts / counts.sum(), (len(patterns), 1))
    return frequencies, _search(library, patterns, covered)


def _search(
    library: PatternLibrary,
    patterns: NDArray[np.float32],
    covered: Sequence[tuple[float, float]] | None,
) -> Matches:
    if covered is None:
        return library.search(patterns)
    if len(covered) != len(patterns):
        raise InputError(f"{len(covered)} ranges for {len(patterns)} patterns; expected as many")
    # Patterns of one range are searched together.
    rounded = [(round(low, 1), round(high, 1)) for low, high in covered]
    ranges = sorted(set(rounded))
    parts = [np.array([i for i, r in enumerate(rounded) if r == one]) for one in ranges]
    found = [
        library.search(patterns[part], covered=one) for one, part in zip(ranges, parts, strict=True)
    ]
    whole = reduce(Matches.joined, found)
    order = np.argsort(np.concatenate(parts))
    return Matches(*(getattr(whole, f.name)[order] for f in fields(Matches)))
