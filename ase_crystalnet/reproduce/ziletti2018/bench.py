"""What the steps of Ziletti et al. (2018) work on: sizes, models, the sample of elemental crystals.

Everything is made when it is first asked for, so that a step that is stored costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet._compute.symmetry import answer_of

if TYPE_CHECKING:
    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.classifier.classifier import Classifier
    from ase_crystalnet.crystals.elements import Element

__all__ = ["FULL", "QUICK", "Bench", "Sample", "Sizes", "axial_ratio", "evenly", "familiar"]

MODEL = "ziletti2018"


@dataclass(frozen=True)
class Sizes:
    """How much is computed.

    Attributes
    ----------
    structures : int
        Elemental crystals in each row of the tables.
    spglib, local : int
        Those of them, evenly spread, that spglib and the local model are given.
    repeats : int
        Random defects at each point of a path.
    removals, displacements, ratios : int
        Points of the paths: body centres removed, Lindemann parameters, rhombohedral c/a.
    maps : int
        Crystals of each class whose response maps are measured.
    untrained : int
        Networks with random weights beside them.
    """

    structures: int = 1000
    spglib: int = 100
    local: int = 1000
    repeats: int = 20
    removals: int = 21
    displacements: int = 31
    ratios: int = 161
    maps: int = 8
    untrained: int = 3


FULL = Sizes()
QUICK = Sizes(
    structures=12,
    spglib=5,
    local=4,
    repeats=1,
    removals=5,
    displacements=7,
    ratios=9,
    maps=1,
    untrained=1,
)


@dataclass(frozen=True, eq=False)
class Sample:
    """Elemental crystals of the tables.

    Attributes
    ----------
    cells : list of Atoms
        One primitive cell each.
    truth : (B,) int array
        Index into the classes of the model.
    space_groups : (B,) int array
    prototypes : list of str
    familiar : (B,) bool array
        Whether the local model was made for this crystal (see `familiar`).
    """

    cells: list[Atoms]
    truth: NDArray[np.int64]
    space_groups: NDArray[np.int64]
    prototypes: list[str]
    familiar: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.cells)


#: Prototypes of the elements that are among those of the local model's training.
_FAMILIAR = {
    "A_tI2_139_a": "bct139",
    "A_tI4_141_a": "bct141",
    "A_hR1_166_a": "rh",
    "A_hP2_194_c": "hcp",
    "A_cP1_221_a": "sc",
    "A_cF4_225_a": "fcc",
    "A_cF8_227_a": "diam",
    "A_cI2_229_a": "bcc",
}


def familiar(element: Element) -> bool:
    """Whether the local model was made for this crystal.

    Its training holds the prototype and the axial ratio, and not as one at which two classes
    meet.
    """
    from ase_crystalnet.crystals.sampling import _MEETINGS, _RANGES, _meeting

    kind = _FAMILIAR.get(element.prototype)
    if kind is None:
        return False
    ranges = [r for name, _, r in _RANGES[element.label] if name == kind]
    if not any(ranges):
        return True
    ratio = axial_ratio(element.atoms)
    inside = any(low <= ratio <= high for ((low, high),) in ranges)
    return inside and _meeting(ratio, _MEETINGS.get(kind, {}))[0] == 1.0


def axial_ratio(atoms: Atoms) -> float:
    """c/a of the conventional cell; nan where spglib finds none."""
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    found = answer_of(spglib.get_symmetry_dataset, cell, symprec=1e-3)
    return (
        float("nan") if found is None else float(found.std_lattice[2, 2] / found.std_lattice[0, 0])
    )


def evenly(total: int, count: int) -> NDArray[np.int64]:
    """Indices of `count` of `total` things, evenly spread; all of them if there are fewer."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64))


class Bench:
    """Models and structures of a run.

    Parameters
    ----------
    sizes : Sizes
    seed : int
        Of structures and defects; no seed of the training.
    model, local_model : str or Path
        Name or folder of the paper's network and of the local model.
    data : Path, optional
        Folder of external data (elements of databases in ``structures/``).
    """

    def __init__(
        self,
        sizes: Sizes,
        seed: int,
        model: str | Path = MODEL,
        local_model: str | Path = "local",
        data: Path | None = None,
    ) -> None:
        from ase_crystalnet.classifier.classifier import Classifier

        self.sizes, self.seed, self.data = sizes, seed, data
        self.classifier: Classifier = Classifier(model)
        self._model, self._local_model = model, local_model
        self._supercells: dict[int, Atoms] = {}
        self._local_hash = Classifier(local_model).card.sha256

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the results."""
        return {
            "sizes": asdict(self.sizes),
            "seed": self.seed,
            "model": self.classifier.card.sha256,
            "local_model": self._local_hash,
        }

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the paper's network."""
        return self.classifier.classes

    @cached_property
    def net(self) -> CrystalNet:
        """Analyzer of whole structures, with the paper's network."""
        from ase_crystalnet.analyzer import CrystalNet

        return CrystalNet(self._model)

    @cached_property
    def local(self) -> CrystalNet:
        """The local model's analyzer."""
        from ase_crystalnet.analyzer import CrystalNet

        return CrystalNet(self._local_model, classes="symmetry")

    @cached_property
    def sample(self) -> Sample:
        """Elemental crystals the network was not trained on, spread over its classes."""
        from ase_crystalnet.crystals.elements import elemental_structures

        rng = self.rng("sample")
        elements = elemental_structures(rng, count=self.sizes.structures)
        elements.sort(key=lambda element: element.space_group)
        return Sample(
            [element.atoms for element in elements],
            np.array([self.classes.index(element.label) for element in elements]),
            np.array([element.space_group for element in elements]),
            [element.prototype for element in elements],
            np.array([familiar(element) for element in elements]),
        )

    def supercell(self, index: int) -> Atoms:
        """Periodic supercell of one of the sample, near 250 atoms, in random orientation."""
        from ase_crystalnet.crystals.structures import rotated
        from ase_crystalnet.whole.cluster import perfect_supercell

        if index not in self._supercells:
            perfect = perfect_supercell(self.sample.cells[index])
            self._supercells[index] = rotated(perfect, self.rng("orientation", index))[0]
        return self._supercells[index]

    def rng(self, *name: object) -> np.random.Generator:
        """Randomness of the part of this name: the same whatever else is run."""
        return np.random.default_rng([self.seed, *"/".join(map(str, name)).encode()])

    def probabilities(self, structures: Sequence[Atoms]) -> NDArray[np.float32]:
        """Probabilities (B, C) of whole structures, by the paper's network in global mode."""
        from ase_crystalnet.whole.analysis import global_probabilities

        return global_probabilities(self.classifier, structures)
