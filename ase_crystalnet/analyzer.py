"""`CrystalNet`: from a structure to classes, certainty, order and orientation of every atom.

The stages, in the order of the data: `windows`, `lattice`, `fingerprint`, `classifier`,
`orientation`, `results`. Files, progress bars and trajectories live outside (`trajectory`, `cli`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from numpy.typing import NDArray

from ase_crystalnet.classifier.classifier import Classifier, labels_of
from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.lattice.finder import LatticeFinder
from ase_crystalnet.lattice.orientation import conventional_setting
from ase_crystalnet.local.blending import blend, window_weights
from ase_crystalnet.local.boundaries import (
    SMALLER_WINDOWS,
    divided,
    give_way,
    unsettled_atoms,
)
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.windows.windower import PreparedSystem, WindowBatch, Windower

__all__ = ["CrystalNet"]

Progress = Callable[[int, int], None]


class CrystalNet(Calculator):
    """Crystal classes, certainty, order and orientation of local windows of atoms.

    It is also an ASE calculator whose properties are its results, so that
    ``atoms.calc.get_property("class_probabilities", atoms)`` works and is cached.

    Parameters
    ----------
    model : str or Path
        Name of a shipped model or a model folder.
    window_atoms : int
        Atoms in a window, 64 to 512; the radius follows from the local density.
    min_certainty : float, optional
        Labels with a smaller certainty are refused (-1); None refuses none.
    on_sparse : {'refuse', 'warn', 'raise'}
        What to do with windows of too few atoms.
    species : {'geometry', 'form-factor'}
        Every atom counts alike, or by the x-ray form factor of Z + 2. The model "local" was
        trained on geometry.
    divide : bool
        Look again, with a smaller window, where the centre does not belong to the crystal that
        its window shows (interfaces, grain boundaries).
    batch_size : int
        Windows worked on at a time; bounds the memory.
    mode : {'local', 'global'}, optional
        Windows about every centre, or the structure as a whole (`whole`); by default what
        the model was trained for.

    Raises
    ------
    ModelError
        The model is unknown or damaged.
    InputError
        A parameter is out of range.
    """

    implemented_properties = [  # noqa: RUF012 (ASE's own convention)
        "class_probabilities",
        "class_labels",
        "class_fractions",
        "certainty",
        "order",
        "orientation",
    ]
    discard_results_on_any_change = True

    def __init__(
        self,
        model: str | Path = "local",
        *,
        window_atoms: int = 250,
        min_certainty: float | None = None,
        on_sparse: str = "refuse",
        species: str = "geometry",
        divide: bool = True,
        batch_size: int = 512,
        mode: str | None = None,
    ) -> None:
        super().__init__()
        if min_certainty is not None and not 0.0 <= min_certainty <= 1.0:
            raise InputError(f"min_certainty={min_certainty!r} is not between 0 and 1 (or None)")
        if species not in ("geometry", "form-factor"):
            raise InputError(f"species={species!r} is unknown: use 'geometry' or 'form-factor'")
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size!r} is not a positive number of windows")
        self.windower = Windower(window_atoms=window_atoms, on_sparse=on_sparse)
        self.classifier = Classifier(model)
        low, high = self.classifier.card.window_atoms
        if not low <= window_atoms <= high:
            raise InputError(
                f"window_atoms={window_atoms!r} is outside what model "
                f"{self.classifier.card.name!r} was trained for ({low} to {high})"
            )
        trained_for = str(self.classifier.card.data.get("mode", "local"))
        if mode not in (None, trained_for):
            raise InputError(
                f"mode={mode!r}: model {self.classifier.card.name!r} was trained for "
                f"mode={trained_for!r}; use that, or another model"
            )
        self.mode = trained_for
        self.min_certainty = min_certainty
        self.species = species
        self.divide = divide
        self.batch_size = batch_size
        self.finder = LatticeFinder()
        self.fingerprint = self._fingerprint()
        self.frame: FrameAnalysis | None = None

    def _fingerprint(self) -> Fingerprint:
        """The fingerprint the model was trained on, with the constants of its card."""
        constants = self.classifier.card.data["fingerprint"]
        try:
            return Fingerprint(**constants)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{self.classifier.card.folder / 'card.json'} is damaged: fingerprint is "
                f"{constants!r} ({error}); install the model again"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        # What goes to another process: the parameters, none of the structure analysed last.
        return {**self.__dict__, "atoms": None, "results": {}, "frame": None}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.classifier.classes

    # ------------------------------------------------------------------ one frame
    def analyze(
        self,
        atoms: Atoms,
        centers: Any = "atoms",
        spacing: float | None = None,
        progress: Progress | None = None,
    ) -> FrameAnalysis:
        """Analyse one structure.

        Parameters
        ----------
        atoms : ase.Atoms
            Any mix of periodic directions.
        centers : {'atoms', 'grid', 'adaptive'}, int array, bool array or (W, 3) float array
            Where windows are cut: every atom, a grid, a grid and every atom where its windows
            disagree or are uncertain, atoms by index or mask, points (Angstrom).
        spacing : float, optional
            Of the grid, Angstrom; by default 2.75 times the cube root of an atom's volume.
        progress : callable, optional
            Called with the number of windows done and in all.

        Returns
        -------
        FrameAnalysis

        Raises
        ------
        InputError
            The structure or the centres cannot be used.
        SparseWindowError
            A window is sparse and ``on_sparse="raise"``.
        """
        if self.mode == "global":
            from ase_crystalnet.whole.analysis import analyze

            return analyze(self, atoms, centers)
        prepared = self.windower.prepare(atoms)
        adaptive = isinstance(centers, str) and centers == "adaptive"
        points, owners = prepared.centers("grid" if adaptive else centers, spacing)
        found = self._looked_at(atoms, prepared, points, progress)
        if adaptive and "disordered" in self.classes:
            none = self.classes.index("disordered")
            chosen = unsettled_atoms(prepared, points, found, none)
            more = self._looked_at(atoms, prepared, prepared.given[chosen], progress, len(points))
            points = np.concatenate([points, prepared.given[chosen]])
            owners = np.concatenate([owners, chosen])
            found = {name: np.concatenate([found[name], more[name]]) for name in found}
        return self._result(prepared, points, owners, found, centers)

    def _looked_at(
        self,
        atoms: Atoms,
        prepared: PreparedSystem,
        points: NDArray[np.float64],
        progress: Progress | None,
        before: int = 0,
    ) -> dict[str, NDArray[Any]]:
        found = self._windows(atoms, prepared, points, progress, before)
        if self.divide and "disordered" in self.classes:
            self._look_again(atoms, prepared, points, found, progress, before)
        return found

    def _windows(
        self,
        atoms: Atoms,
        prepared: PreparedSystem,
        points: NDArray[np.float64],
        progress: Progress | None = None,
        before: int = 0,
    ) -> dict[str, NDArray[Any]]:
        """All stages on all centres, a batch at a time; arrays with one row a window.

        `before` counts the windows done earlier in the same frame.
        """
        total = len(points)
        found: dict[str, NDArray[Any]] = {
            "probabilities": np.full((total, len(self.classes)), np.nan, np.float32),
            "order": np.full(total, np.nan),
            "lattice": np.full((total, 3, 3), np.nan),
            "rank": np.zeros(total, np.int8),
            "mean_square_displacement": np.full(total, np.nan),
            "nearest_neighbor_distance": np.full(total, np.nan),
            "coherence": np.full(total, np.nan),
            "sparse": np.zeros(total, bool),
            "radius": np.zeros(total),
        }
        done = 0
        for batch in prepared.batches(points, self.batch_size):
            rows = slice(done, done + len(batch))
            done += len(batch)
            found["sparse"][rows] = batch.sparse
            found["radius"][rows] = batch.radius
            good = np.flatnonzero(~batch.sparse)
            if len(good):
                for name, values in self._classify(atoms, batch, good).items():
                    found[name][rows.start + good] = values
            if progress is not None:
                progress(before + done, before + total)
        return found

    def _classify(
        self, atoms: Atoms, batch: WindowBatch, good: NDArray[np.intp]
    ) -> dict[str, NDArray[Any]]:
        positions, mask = batch.positions[good], batch.mask[good]
        lattices = self.finder(positions, mask)
        numbers = None
        if self.species == "form-factor":
            numbers = np.where(mask, atoms.numbers[batch.indices[good]], 0)
        images = self.fingerprint(lattices.standardize(positions), mask, numbers=numbers)
        return {
            "probabilities": self.classifier.predict(images),
            "order": lattices.order,
            "lattice": lattices.lattice,
            "rank": lattices.rank,
            "mean_square_displacement": lattices.mean_square_displacement,
            "nearest_neighbor_distance": lattices.nearest_neighbor_distance,
            "coherence": lattices.coherence,
        }

    def _look_again(
        self,
        atoms: Atoms,
        prepared: PreparedSystem,
        points: NDArray[np.float64],
        found: dict[str, NDArray[Any]],
        progress: Progress | None = None,
        before: int = 0,
    ) -> None:
        """Settle windows whose centre is not part of the crystal they show, in place.

        A smaller window is tried; where its centre still is no part of a crystal, the crystal's
        probability goes to "disordered".
        """
        none = self.classes.index("disordered")
        before += len(points)
        for share in SMALLER_WINDOWS:
            rows = np.flatnonzero(divided(found, none))
            size = max(int(share * self.windower.window_atoms), 64)
            if len(rows) == 0 or size >= self.windower.window_atoms:
                break
            smaller = prepared.with_windows_of(size)
            again = self._windows(atoms, smaller, points[rows], progress, before)
            before += len(rows)
            usable = ~again["sparse"]
            for name, values in again.items():
                found[name][rows[usable]] = values[usable]
        give_way(found, none)

    def _result(
        self,
        prepared: PreparedSystem,
        points: NDArray[np.float64],
        center_indices: NDArray[np.int64],
        found: dict[str, NDArray[Any]],
        centers: Any,
    ) -> FrameAnalysis:
        probabilities = found["probabilities"]
        labels, certainty = labels_of(probabilities, self.min_certainty)
        setting = conventional_setting(
            found["lattice"], np.where(found["sparse"], -1, labels), self.classes
        )
        # What passes for a lattice in disordered matter has no mean sites to be displaced from.
        none = self.classes.index("disordered") if "disordered" in self.classes else -2
        displacement = np.where(labels == none, np.nan, found["mean_square_displacement"])
        weights, nearest = window_weights(prepared, points, center_indices, found["sparse"])
        atom_probabilities = blend(probabilities, weights, nearest)
        atom_labels, atom_certainty = labels_of(atom_probabilities, self.min_certainty)
        there = nearest[:, 0] >= 0
        atom_orientation = np.full((len(nearest), 4), np.nan)
        atom_orientation[there] = setting.orientation[nearest[there, 0]]
        return FrameAnalysis(
            classes=self.classes,
            centers=points,
            center_indices=center_indices,
            probabilities=probabilities,
            labels=labels,
            certainty=certainty,
            order=found["order"].astype(np.float32),
            lattice=found["lattice"],
            orientation=setting.orientation,
            rank=found["rank"],
            mean_square_displacement=displacement.astype(np.float32),
            nearest_neighbor_distance=found["nearest_neighbor_distance"].astype(np.float32),
            sparse=found["sparse"],
            radius=found["radius"],
            atom_probabilities=atom_probabilities,
            atom_labels=atom_labels,
            atom_certainty=atom_certainty,
            atom_order=blend(found["order"][:, None], weights, nearest)[:, 0],
            atom_orientation=atom_orientation,
            min_certainty=self.min_certainty,
            metadata={
                "model": self.classifier.card.name,
                "model_sha256": str(self.classifier.card.data["sha256"]),
                "window_atoms": int(self.windower.window_atoms),
                "centers": centers if isinstance(centers, str) else "given",
                "species": self.species,
            },
        )

    # ------------------------------------------------------------------ many frames
    def run(self, source: Any, **options: Any) -> Iterator[FrameAnalysis]:
        """Analyse the frames of trajectory files one after the other.

        Takes what `ase_crystalnet.frames.run.run` takes after the analyzer: ``start``, ``stop``,
        ``step``, ``centers``, ``spacing``, ``lindemann``, ...
        """
        from ase_crystalnet.frames.run import run

        return run(self, source, **options)

    def observer(self, path: str | Path, **options: Any) -> Any:
        """An observer for ASE dynamics that writes each analysed frame to an HDF5 file.

        ``dyn.attach(net.observer("run.h5"), interval=100)``; see
        `ase_crystalnet.frames.observer.Observer`.
        """
        from ase_crystalnet.frames.observer import Observer

        return Observer(self, path, **options)

    # ------------------------------------------------------------------ ASE calculator
    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill ``results`` (ASE's interface).

        Raises
        ------
        PropertyNotImplementedError
            A property was asked for that is no result of CrystalNet (energy, forces, ...).
        """
        super().calculate(atoms, properties, system_changes)
        for name in properties or ():
            if name not in self.implemented_properties:
                raise PropertyNotImplementedError(
                    f"CrystalNet has no {name!r}; it has {', '.join(self.implemented_properties)}"
                )
        if self.atoms is None:
            raise InputError("no structure to analyse: hand atoms to the calculator")
        frame = self.analyze(self.atoms)
        self.frame = frame
        self.results = {
            "class_probabilities": frame.atom_probabilities,
            "class_labels": frame.atom_labels,
            "class_fractions": frame.class_fractions,
            "certainty": frame.atom_certainty,
            "order": frame.atom_order,
            "orientation": frame.atom_orientation,
        }
