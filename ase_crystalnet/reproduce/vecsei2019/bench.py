"""What the tables of Vecsei et al. (2019) are made of: patterns, who answers, their probabilities.

Test sets are measured patterns (a file of them) and simulated ones, drawn from the structures that
no network was trained on, with the paper's noise and with that of measured patterns. Answers come
from every network, from averages of networks that differ in their seed, from the library of known
patterns, and from network and library together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.training.calibration import calibration_error
from ase_crystalnet.training.powder.plan import plan_of
from ase_crystalnet.xrd.answer.classifier import evidence
from ase_crystalnet.xrd.answer.combination import Combination
from ase_crystalnet.xrd.answer.library import PatternLibrary
from ase_crystalnet.xrd.answer.network import (
    PowderNetwork,
    find_xrd_model,
    read_combination,
    shipped_xrd_models,
)
from ase_crystalnet.xrd.measured.readers import measured_patterns
from ase_crystalnet.xrd.measured.scan import subtract_background
from ase_crystalnet.xrd.pattern import SYSTEM_MATRIX, system_of

__all__ = ["LIBRARY", "MEASURED_SET", "SIMULATED_SET", "PaperBench", "Said", "scores"]

LIBRARY = "library alone"
MEASURED_SET = "measured"
#: The test set that is most like the paper's own.
SIMULATED_SET = "random, the paper's noise"
_MEASURED_FILE = Path("xrd/measured_powder_patterns.npz")
#: Simulated patterns in a test set; `--quick` takes a tenth.
_MOST = 1500


@dataclass(frozen=True, eq=False)
class Said:
    """Probabilities one answerer gave for one test set.

    Attributes
    ----------
    probabilities : (B, 230) or (B, 7) array
    truth : (B,) array of int
        Space groups, 1 to 230.
    close : (B,) bool array
        Whether the library holds a close match.
    even : (B,) bool array
        Patterns that were open to tuning: even id; none of the simulated ones.
    """

    probabilities: NDArray[Any]
    truth: NDArray[np.int64]
    close: NDArray[np.bool_]
    even: NDArray[np.bool_]

    @property
    def of_groups(self) -> bool:
        """Whether space groups were asked for, not crystal systems only."""
        return self.probabilities.shape[1] == 230

    @property
    def certainty(self) -> NDArray[Any]:
        """Largest probability (B,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def target(self) -> NDArray[np.int64]:
        """Right column of `probabilities` (B,)."""
        return self.truth - 1 if self.of_groups else system_of(self.truth)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the most probable answer is right (B,)."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.target)

    @property
    def system_right(self) -> NDArray[np.bool_]:
        """Whether the most probable crystal system is right (B,)."""
        systems = self.probabilities @ SYSTEM_MATRIX if self.of_groups else self.probabilities
        return np.asarray(systems.argmax(axis=1) == system_of(self.truth))

    def part(self, keep: NDArray[np.bool_]) -> Said:
        """Some of the patterns."""
        return Said(self.probabilities[keep], self.truth[keep], self.close[keep], self.even[keep])


def half_refused(said: Said) -> float:
    """Share right among the more certain half."""
    kept = np.argsort(-said.certainty, kind="stable")[: max(len(said.truth) // 2, 1)]
    return float(said.right[kept].mean())


def scores(said: Said) -> dict[str, float | None]:
    """Percent right in what the tables list; None where it does not apply."""
    if not len(said.truth):
        names = ("system", "group", "top5", "half_refused", "calibration_error")
        return {"patterns": 0, **dict.fromkeys(names)}
    order = np.argsort(-said.probabilities, axis=1)[:, :5]
    groups = said.of_groups
    return {
        "patterns": len(said.truth),
        "system": 100 * float(said.system_right.mean()),
        "group": 100 * float(said.right.mean()) if groups else None,
        "top5": 100 * float((order == said.target[:, None]).any(axis=1).mean()) if groups else None,
        "half_refused": 100 * half_refused(said) if groups else None,
        "calibration_error": 100 * calibration_error(said.probabilities, said.target, 10),
    }


class PaperBench:
    """Test sets, and the answers for them.

    Parameters
    ----------
    data : Path, optional
        Folder of external data with ``xrd/measured_powder_patterns.npz``.
    structures : Path, optional
        Reflections of the structures that the networks were trained on (``structures.npz`` of the
        work folder of `crystalnet xrd train`), whose held-out part is simulated.
    networks : sequence of str
        Names or folders; all shipped ones by default. Names that end in a hyphen and a number
        ("dense-3") are also averaged.
    quick : bool
        A tenth of the simulated patterns.

    Raises
    ------
    InputError, ModelError
        Neither measured patterns nor structures are given, or a model is unknown.
    """

    def __init__(
        self,
        data: Path | None,
        structures: Path | None,
        networks: Sequence[str] = (),
        quick: bool = False,
    ) -> None:
        self.measured = data / _MEASURED_FILE if data else None
        if self.measured is not None and not self.measured.is_file():
            raise InputError(f"--data: {data} holds no {_MEASURED_FILE}")
        if self.measured is None and structures is None:
            raise InputError(
                "nothing to test on: give --data DIR with measured patterns, --structures FILE "
                "with structures, or both"
            )
        self.structures_file = structures
        self.quick = quick
        chosen = networks or shipped_xrd_models()
        self.networks = {
            network.card.name: network
            for network in (PowderNetwork(find_xrd_model(name)) for name in chosen)
        }
        self.library = PatternLibrary.load()

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the results."""
        return {
            "networks": {name: n.card.sha256[:16] for name, n in self.networks.items()},
            "library": len(self.library),
            "measured": self.measured is not None,
            "simulated": self.structures_file is not None,
            "quick": self.quick,
        }

    @property
    def histories(self) -> dict[str, list[dict[str, Any]]]:
        """Training of the networks that brought the history of it."""
        paths = {name: n.folder / "history.json" for name, n in self.networks.items()}
        return {name: json.loads(p.read_text()) for name, p in paths.items() if p.is_file()}

    @cached_property
    def sets(self) -> dict[str, tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]]:
        """Name -> patterns (B, 8500), space groups, whether they were open to tuning."""
        found = {}
        if self.measured is not None:
            found[MEASURED_SET] = measured_patterns(self.measured)
        if self.structures_file is not None:
            found |= self._simulated()
        return found

    def _simulated(self) -> dict[str, Any]:
        from ase_crystalnet.training.powder.loop import held_out_patterns, held_out_sets
        from ase_crystalnet.xrd.simulated.patterns import MEASURED, PAPER

        structures, split = self.split
        most = _MOST // 10 if self.quick else _MOST
        found: dict[str, Any] = {}
        for recipe, noise in ((PAPER, "the paper's noise"), (MEASURED, "noise as measured")):
            for name in held_out_sets(split):
                x, groups = held_out_patterns(structures, split, name, recipe, "dense", most)
                found[f"{name}, {noise}"] = x, groups, np.zeros(len(groups), bool)
        return found

    @cached_property
    def split(self) -> tuple[Any, NDArray[np.str_]]:
        """Structures and their split: that of the networks, which must agree on it."""
        from ase_crystalnet.training.powder.loop import split_of
        from ase_crystalnet.xrd.simulated.structures import StructureSet

        assert self.structures_file is not None
        plans = [plan_of(network) for network in self.networks.values()] or [plan_of(None)]
        plan = plans[0]
        if any((p.leave_out, p.favored) != (plan.leave_out, plan.favored) for p in plans):
            raise ModelError("the networks were trained on different splits: compare them apart")
        structures = StructureSet.load(self.structures_file)
        structures = structures.subset(~np.isin(structures.source, plan.leave_out))
        return structures, split_of(structures, plan)

    def library_for(self, name: str) -> PatternLibrary:
        """The library without the structures a simulated set is made of."""
        if name == MEASURED_SET:
            return self.library
        structures, split = self.split
        held_out = structures.identifier[split == name.split(",")[0]]
        return self.library.subset(~np.isin(self.library.identifier, held_out))

    @cached_property
    def said(self) -> Mapping[str, Mapping[str, Said]]:
        """Test set -> answerer -> probabilities."""
        found: dict[str, dict[str, Said]] = {}
        for name, (patterns, truth, even) in self.sets.items():
            library = self.library_for(name)
            # Networks are shown the background; the library compares lines.
            lines = patterns if name == MEASURED_SET else subtract_background(patterns)
            frequencies, matches = evidence(None, library, np.asarray(lines, np.float32))

            def say(
                p: NDArray[Any],
                truth: NDArray[np.int64] = truth,
                even: NDArray[np.bool_] = even,
                close: NDArray[np.bool_] = matches.close,
            ) -> Said:
                return Said(p, truth, close, even)

            each = {key: network.predict(patterns) for key, network in self.networks.items()}
            rows = {key: say(p) for key, p in (each | _averages(each)).items()}
            alone = read_combination(None)
            rows[LIBRARY] = say(alone.probabilities(frequencies, matches))
            for key, combination in self._combinations.items():
                rows[f"{key} and library"] = say(combination.probabilities(each[key], matches))
            found[name] = rows
        return found

    @cached_property
    def _combinations(self) -> dict[str, Combination]:
        """Of the networks that have been calibrated with the library."""
        found = {}
        for key, network in self.networks.items():
            if (network.folder / "combination.json").is_file():
                found[key] = read_combination(network)
        return found

    @property
    def best(self) -> str:
        """Who answers in the figures: network and library, a network, or the library."""
        return next(iter([*(f"{k} and library" for k in self._combinations), LIBRARY]))


def _averages(each: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Ensembles: means over networks "name-1", "name-2" and so on."""
    families: dict[str, list[NDArray[Any]]] = {}
    for name, probabilities in each.items():
        match = re.fullmatch(r"(.+)-\d+", name)
        if match:
            families.setdefault(match.group(1), []).append(probabilities)
    return {
        f"{name}, {len(members)} averaged": np.mean(members, axis=0)
        for name, members in families.items()
        if len(members) > 1
    }
