"""`CrystalNet`: from a structure to classes, certainty, order and orientation of every atom.

It chooses the method that a model was made for, windows (`local`) or whole structures (`whole`),
and is ASE's calculator. Files, progress bars and trajectories live outside (`frames`, `cli`).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from ase_crystalnet.classes import OTHER
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.io.structures import as_atoms
from ase_crystalnet.io.trajectories.selection import Only, chosen_atoms
from ase_crystalnet.local.analysis import LocalAnalysis
from ase_crystalnet.local.names import image_maker, meaning_of, model_of
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.method import Progress
from ase_crystalnet.whole.analysis import WholeAnalysis
from ase_crystalnet.windows.windower import Windower

if TYPE_CHECKING:
    from distributed import Client

    from ase_crystalnet.frames.lindemann import LindemannWindow
    from ase_crystalnet.frames.observer import Observer
    from ase_crystalnet.grains.references import Reference
    from ase_crystalnet.grains.results import Crystals
    from ase_crystalnet.grains.segmentation import GrainFinder

__all__ = ["CrystalNet"]


class CrystalNet(Calculator):
    """Crystal classes, certainty, order and orientation of local windows of atoms.

    It is also an ASE calculator whose properties are its results, so that
    ``atoms.calc.get_property("class_probabilities", atoms)`` works and is cached.

    The model decides the method: windows about many places of a structure (`local.LocalAnalysis`),
    or the structure as a whole (`whole.WholeAnalysis`). The options below `min_certainty` belong to
    models of windows; given to a model of whole structures they are refused.

    Parameters
    ----------
    model : str or Path, optional
        Name of a shipped model or a model folder; by default the one that answers what `classes`
        asks: "structure", or "local" for symmetries.
    min_certainty : float, optional
        Labels with a smaller certainty are refused (-1); None refuses none.
    classes : {'structure', 'symmetry'} or sequence of str, optional
        What names mean. 'structure' (default): which crystal it is; strain is taken out of a window
        before it is named, and weak superlattice peaks and thickness fringes are set aside, so that
        copper pulled by 5 % is fcc. 'symmetry': the symmetry of the window as it is, by which that
        is ``bct139``; the question of Ziletti et al. Names of structures, such as
        ``("fcc", "hcp")``: these, ``other`` and ``disordered``; the probability of all other
        structures goes to ``other``.
    strain_limit : float, optional
        Largest principal logarithmic stretch that is taken for a strain (0.10), with 'structure'.
    window_atoms : int, optional
        Atoms in a window, 64 to 512 (250); the radius follows from the local density.
    on_sparse : {'refuse', 'warn', 'raise'}, optional
        What to do with windows of too few atoms (refuse).
    species : {'geometry', 'form-factor'}, optional
        Every atom counts alike (geometry), or by the x-ray form factor of Z + 2. The model "local"
        was trained on geometry.
    divide : bool, optional
        Look again, with a smaller window, where the centre does not belong to the crystal that
        its window shows: interfaces, grain boundaries (True).
    batch_size : int, optional
        Windows worked on at a time (512); bounds the memory.
    faults : bool, optional
        Find the stacking of every atom of close-packed crystals and diamond, and their twin planes
        and stacking faults (True with structures; symmetries have none).
    reuse : bool, optional
        Windows that are found to show what a window nearby has shown take over its class
        probabilities; with structures. By default (None) those of a grid, `centers` "grid" and
        "adaptive"; True: all of them; False: every window goes the whole way.
    references : sequence of ase.Atoms, str, Path or Reference
        Known crystals, as cells or files of cells: each becomes a class by its name (that of the
        file, or ``info["name"]``), without training (`grains.reference_classes`).
    engine : {'onnx', 'tensorflow'}, optional
        What runs the network: onnxruntime (the default, where the model has ``model.onnx``), or
        TensorFlow, if the extra "tensorflow" is installed. Probabilities agree to 1e-5.

    Raises
    ------
    ModelError
        The model is unknown or damaged.
    InputError
        A parameter is out of range, or does not apply to the model.
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
        model: str | Path | None = None,
        *,
        min_certainty: float | None = None,
        classes: str | Sequence[str] | None = None,
        strain_limit: float | None = None,
        window_atoms: int | None = None,
        on_sparse: str | None = None,
        species: str | None = None,
        divide: bool | None = None,
        batch_size: int | None = None,
        faults: bool | None = None,
        reuse: bool | None = None,
        references: Sequence[Atoms | str | Path | Reference] = (),
        engine: str | None = None,
    ) -> None:
        super().__init__()
        meaning, chosen = meaning_of(classes)
        naming = {"classes": meaning, "strain_limit": strain_limit}
        windowing = {"window_atoms": window_atoms, "on_sparse": on_sparse}
        looking = {
            "species": species,
            "divide": divide,
            "batch_size": batch_size,
            "faults": faults,
            "reuse": reuse,
        }
        # Options that were not given keep the defaults of their stage.
        naming = {name: value for name, value in naming.items() if value is not None}
        windowing = {name: value for name, value in windowing.items() if value is not None}
        looking = {name: value for name, value in looking.items() if value is not None}
        if faults and classes == "symmetry":
            raise InputError(
                "faults=True does not apply to classes='symmetry', which knows no single layers; "
                "leave one of them out"
            )
        if reuse and (classes == "symmetry" or species == "form-factor"):
            other = "classes='symmetry'" if classes == "symmetry" else "species='form-factor'"
            raise InputError(
                f"reuse=True does not apply to {other}: windows are compared without their strain "
                "and species; leave one of them out"
            )
        windower = Windower(**windowing)  # type: ignore[arg-type]
        chosen_model = model_of(meaning) if model is None else model
        self.classifier = Classifier(chosen_model, engine=engine)
        if self.mode == "global" and classes == "symmetry":
            naming.pop("classes")  # what a model of whole structures names anyway
        if meaning == "symmetry" and OTHER in self.classifier.classes:
            raise InputError(
                f"model {self.classifier.card.name!r} names structures and not symmetries; leave "
                "the model out with classes='symmetry', or use 'local'"
            )
        self.fingerprint = self._fingerprint_of_card()
        self.method: LocalAnalysis | WholeAnalysis
        if self.mode == "global":
            if refused := [*naming, *windowing, *looking]:
                raise InputError(
                    f"model {self.classifier.card.name!r} classifies structures as a whole: "
                    f"{', '.join(refused)} do not apply; leave them out, or use a model of windows"
                )
            self.method = WholeAnalysis(self.classifier, self.fingerprint, min_certainty)
        else:
            self.method = LocalAnalysis(
                self.classifier,
                windower,
                image_maker(self.fingerprint, **naming),  # type: ignore[arg-type]
                min_certainty=min_certainty,
                chosen=chosen,
                **looking,  # type: ignore[arg-type]
            )
        self.references: tuple[Reference, ...] = ()
        self._know(references)
        self.frame: FrameAnalysis | None = None

    def _fingerprint_of_card(self) -> Fingerprint:
        """The fingerprint the model was trained on, with the constants of its card."""
        constants = self.classifier.card.fingerprint
        try:
            return Fingerprint(**constants)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{self.classifier.card.folder / 'card.json'} is damaged: fingerprint is "
                f"{constants!r} ({error}); install the model again"
            ) from error

    def _know(self, references: Sequence[Atoms | str | Path | Reference]) -> None:
        """Take crystals as classes beside those of the model."""
        if references:
            from ase_crystalnet.grains.reference_classes import check_names
            from ase_crystalnet.grains.references import load_references

            self.references = check_names(load_references(references), self.method.classes)

    def with_references(self, references: Sequence[Atoms | str | Path | Reference]) -> CrystalNet:
        """The same analyzer, the network shared, with these known crystals as further classes.

        Parameters
        ----------
        references : sequence of ase.Atoms, str, Path or Reference
            As of the constructor; they take the place of those that this one has.

        Raises
        ------
        InputError
            A reference cannot be used, or its name is taken.
        """
        result = copy.copy(self)
        result.atoms, result.results, result.frame = None, {}, None
        result.references = ()
        result._know(references)
        return result

    def __repr__(self) -> str:
        shown = [repr(self.classifier.card.name)]
        if isinstance(self.method, LocalAnalysis):
            shown.append(f"window_atoms={self.window_atoms}")
        if self.min_certainty is not None:
            shown.append(f"min_certainty={self.min_certainty:g}")
        return f"CrystalNet({', '.join(shown)}): {', '.join(self.classes)}"

    def __getstate__(self) -> dict[str, Any]:
        # What goes to another process: the parameters, none of the structure analysed last.
        return {**self.__dict__, "atoms": None, "results": {}, "frame": None}

    @property
    def mode(self) -> str:
        """What the model was made for: "local", windows, or "global", whole structures."""
        return self.classifier.card.mode

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return (*self.method.classes, *(each.name for each in self.references))

    @property
    def min_certainty(self) -> float | None:
        """Certainty below which labels are refused; None refuses none."""
        return self.method.min_certainty

    @property
    def window_atoms(self) -> int:
        """Atoms in a window; an InputError for a model of whole structures."""
        return self.of_windows().windower.window_atoms

    def of_windows(self) -> LocalAnalysis:
        """The method of a model of windows, with its stages.

        Raises
        ------
        InputError
            The model classifies structures as a whole.
        """
        if not isinstance(self.method, LocalAnalysis):
            raise InputError(
                f"model {self.classifier.card.name!r} classifies structures as a whole, it has no "
                "windows; use a model of windows, such as 'local'"
            )
        return self.method

    # ------------------------------------------------------------------ one frame
    def analyze(
        self,
        atoms: Atoms,
        centers: Any = "atoms",
        spacing: float | None = None,
        progress: Progress | None = None,
        *,
        only: Only = None,
    ) -> FrameAnalysis:
        """Analyse one structure.

        Parameters
        ----------
        atoms : ase.Atoms
            Any mix of periodic directions. Structures of pymatgen, atom groups and universes of
            MDAnalysis and data collections of OVITO are taken as well.
        centers : {'atoms', 'grid', 'adaptive'}, int array, bool array or (W, 3) float array
            Where windows are cut: every atom, a grid, a grid and every atom where its windows
            disagree or are uncertain, atoms by index or mask, points (Angstrom).
        spacing : float, optional
            Of the grid, Angstrom; by default 2.75 times the cube root of an atom's volume.
        progress : callable, optional
            Called with the number of windows done and in all.
        only : mask, callable or str, optional
            The atoms that count, as of `run`; the others are treated as absent, and the analysis
            is of the chosen ones, in their order. `centers` by index or mask are of these.

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
        atoms = as_atoms(atoms)
        if only is not None:
            atoms = chosen_atoms(atoms, only)
        frame = self.method.analyze(atoms, centers, spacing, progress)
        if not self.references:
            return frame
        from ase_crystalnet.grains.reference_classes import with_references

        return with_references(frame, atoms, self.references)

    def crystals(
        self,
        atoms: Atoms,
        *,
        finder: GrainFinder | None = None,
        elastic_strain: float | None = None,
        references: Sequence[Atoms | str | Path | Reference] = (),
    ) -> Crystals:
        """Grains of a structure, each with its average crystal, space group and chemical order.

        They are found by their lattices, whatever the classes of the model; a model of windows adds
        the name of each grain's structure.

        Parameters
        ----------
        atoms : ase.Atoms
            Any mix of periodic directions.
        finder : GrainFinder, optional
            Parameters of the search for grains.
        elastic_strain : float, optional
            Root mean square of the components of a strain that is no change of symmetry; by default
            the lattice of a crystal on its own tells, and grains among others may have 0.005.
        references : sequence of ase.Atoms, str, Path or Reference
            Known crystals, as cells or files: grains that are one of them carry its name.

        Returns
        -------
        Crystals
            Empty where there is no crystal, as in a liquid or a glass.

        Raises
        ------
        InputError
            The structure cannot be used.
        """
        from ase_crystalnet.grains.analysis import find_crystals, names_by_windows

        found = find_crystals(
            atoms, finder=finder, elastic_strain=elastic_strain, references=references
        )
        if self.mode == "global" or not len(found):
            return found
        return found.with_structures(names_by_windows(found, lambda at: self.analyze(atoms, at)))

    # ------------------------------------------------------------------ many frames
    def run(
        self,
        source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        start: int = 0,
        stop: int | None = None,
        step: int = 1,
        *,
        lindemann: LindemannWindow = None,
        centers: Any = "atoms",
        spacing: float | None = None,
        format: str | None = None,
        reader: Mapping[str, Any] | None = None,
        only: Only = None,
        progress: Progress | None = None,
        workers: int | None = None,
        dask: str | Client | None = None,
    ) -> Iterator[FrameAnalysis]:
        """Analyse the frames of trajectory files one after the other.

        The parameters are those of `ase_crystalnet.frames.run.run`, which says more.
        """
        from ase_crystalnet.frames.run import run

        return run(
            self,
            source,
            start,
            stop,
            step,
            lindemann=lindemann,
            centers=centers,
            spacing=spacing,
            format=format,
            reader=reader,
            only=only,
            progress=progress,
            workers=workers,
            dask=dask,
        )

    def observe(
        self,
        dynamics: Any,
        path: str | os.PathLike[str],
        interval: int = 1,
        *,
        lindemann: LindemannWindow = None,
        centers: Any = "atoms",
        spacing: float | None = None,
        overwrite: bool = False,
        resume: bool = False,
    ) -> Observer:
        """Analyse ASE dynamics while it runs, every `interval` steps, into an HDF5 file.

        Parameters
        ----------
        dynamics : ase.optimize.optimize.Dynamics
            Molecular dynamics or an optimizer; the observer is attached to it.
        path : path
            Result file to make.
        interval : int
            Steps from one analysis to the next.
        lindemann, centers, spacing, overwrite, resume
            As of `ase_crystalnet.frames.Observer`.

        Returns
        -------
        Observer
            Close it when the dynamics is done, or use it as a context manager.

        Raises
        ------
        OutputExistsError, OutputLockedError
            If the file exists, or another process is writing it.
        """
        observer = self.observer(
            path,
            dynamics.atoms,
            lindemann=lindemann,
            centers=centers,
            spacing=spacing,
            overwrite=overwrite,
            resume=resume,
        )
        dynamics.attach(observer, interval=interval)
        return observer

    def observer(
        self,
        path: str | os.PathLike[str],
        atoms: Atoms | None = None,
        *,
        lindemann: LindemannWindow = None,
        centers: Any = "atoms",
        spacing: float | None = None,
        overwrite: bool = False,
        resume: bool = False,
    ) -> Observer:
        """An observer to attach by hand (`observe` does both): `ase_crystalnet.frames.Observer`."""
        from ase_crystalnet.frames.observer import Observer

        return Observer(
            self,
            path,
            atoms,
            lindemann=lindemann,
            centers=centers,
            spacing=spacing,
            overwrite=overwrite,
            resume=resume,
        )

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
