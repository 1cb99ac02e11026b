"""`CrystalNetModifier`: the parameters, and the order of the work."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from functools import lru_cache
from typing import Any

import numpy as np
from ase import Atoms
from ovito.data import DataCollection, ElementType
from ovito.pipeline import ModifierInterface
from ovito.traits import OvitoObject
from traits import api

from ase_crystalnet import CrystalNet, FrameAnalysis
from ase_crystalnet.classifier import ModelCard, find_model, list_models
from ase_crystalnet.errors import InputError
from ovito_modifier.convert import selected, to_atoms
from ovito_modifier.grains import CORRESPONDENCES
from ovito_modifier.lindemann import frame_window, lindemann
from ovito_modifier.output import Output
from ovito_modifier.steps import in_steps
from ovito_modifier.structures import KNOWN, OTHER, PTM_IDS, StructureType, structure_types

__all__ = ["CrystalNetModifier"]

traits: Any = api  # its annotations do not cover how it is used
#: Groups of the parameters in OVITO Pro's panel.
ANALYSIS, OUTPUT = "Analysis", "Output"
Steps = Generator[str | float, None, Any]


@lru_cache(maxsize=4)
def _analyzer(
    model: str,
    window_atoms: int,
    names: str = "structure",
    faults: bool = True,
    reuse: bool | None = None,
) -> CrystalNet:
    """Analyzers in use; loading a network takes seconds."""
    given: dict[str, Any] = {"classes": "symmetry"} if names == "symmetry" else {}
    # Models of whole structures have no windows, symmetries no layers and nothing to take over.
    if not model or ModelCard.read(find_model(model)).mode != "global":
        given["window_atoms"] = window_atoms
        if names == "structure":
            given |= {"faults": faults, "reuse": reuse}
    return CrystalNet(model or None, **given)


@lru_cache(maxsize=2)
def _with_references(net: CrystalNet, references: str) -> CrystalNet:
    """An analyzer that knows crystals from files, too."""
    files = [name.strip() for name in references.split(";") if name.strip()]
    return net.with_references(files) if files else net


def _models() -> list[str]:
    """Names of the shipped models that name structures."""
    return [card.name for card in list_models() if card.mode in ("local", "global")]


def _type(name: str) -> OvitoObject:
    return _entry(KNOWN[name])


def _entry(entry: StructureType) -> OvitoObject:
    return OvitoObject(ElementType, id=entry.id, name=entry.name, color=entry.color)


class _Latest:
    """The last analysis, kept while only what is written changes, not what is computed."""

    def __init__(self) -> None:
        self.key: str | None = None
        self.frame: FrameAnalysis | None = None


class CrystalNetModifier(ModifierInterface):
    """Crystal class, certainty, order, orientation and disorder of every particle.

    Each parameter is a keyword of the constructor, too: ``CrystalNetModifier(centers="grid")``.
    What is written is described in ``docs/ovito.md``.

    Parameters
    ----------
    model : str
        Name of a shipped model, or a model folder; empty for the one that answers what `names`
        asks.
    centers : {'atoms', 'grid', 'adaptive'}
        A window around every particle, or on a grid whose windows are interpolated to the
        particles (faster in large systems), or on a grid and at every particle where its windows
        disagree.
    spacing : float
        Of the grid, Angstrom; 0 for automatic.
    window_atoms : int
        Particles in a window, 64 to 512.
    names : {'structure', 'symmetry'}
        What classes mean: the structure, with strain and weak superlattices taken out first, or the
        symmetry of a window as it is.
    min_certainty : float
        Particles with a smaller certainty are "Other"; 0 refuses none.
    only_selected : bool
        Treat particles that are not selected as absent, and label them "Other".
    color_by_type : bool
        Colour the particles by their structure type.
    only_present_types : bool
        List only the types that some particle has, in legends and tables.
    lindemann_frames : int
        Frames over which the Lindemann parameter is averaged, at least 2; 0 is off.
    references : str
        Files of known crystals (CIF, POSCAR, ...) with semicolons between: further types, named
        after the files.
    faults : bool
        Find the stacking of every particle of close-packed crystals and diamond, and their twin
        planes and stacking faults; with names as structures.
    reuse : {'grid', 'always', 'never'}
        Windows that are found to show what a window nearby has shown take over its class
        probabilities (much faster in crystals): those of grids, also those at every particle, or
        none; with names as structures.
    write_probability, write_certainty, write_order, write_orientation, write_lattice : bool
        Which properties to write besides the structure type.
    grain_segmentation : bool
        Write what OVITO's Grain Segmentation reads. It knows the types of PTM only, so the other
        classes become "Other".
    type_other, type_fcc, type_hcp, ... : ovito.data.ElementType
        Name and colour of each type, and ``enabled``: a type that is switched off becomes "Other".

    Raises
    ------
    traits.TraitError
        A parameter is unknown or out of range.
    """

    model = traits.Str(
        "",
        label="Model",
        ovito_group=ANALYSIS,
        ovito_placeholder="by classes",
        desc=f"one of {', '.join(_models())}, or a folder; empty for the one that fits",
    )
    names = traits.Enum(
        "structure",
        "symmetry",
        label="Classes are",
        ovito_group=ANALYSIS,
        desc="structures, strain taken out first; or the symmetry of a window as it is",
    )
    centers = traits.Enum(
        "atoms",
        "grid",
        "adaptive",
        label="Windows at",
        ovito_group=ANALYSIS,
        desc="every particle; a grid, which is quicker; a grid, and particles where it disagrees",
    )
    spacing = traits.Range(
        0.0,
        None,
        0.0,
        label="Grid spacing (0: automatic)",
        ovito_unit="world",
        ovito_group=ANALYSIS,
        desc="distance of the windows of a grid; 0: 2.75 cube roots of a particle's volume",
    )
    window_atoms = traits.Range(
        64,
        512,
        250,
        label="Particles in a window",
        ovito_group=ANALYSIS,
        desc="fewer see finer, more are surer",
    )
    min_certainty = traits.Range(
        0.0,
        1.0,
        0.0,
        label="Smallest certainty",
        ovito_unit="percent",
        ovito_group=ANALYSIS,
        desc="particles with a smaller certainty are 'Other'; nothing is computed again",
    )
    references = traits.Str(
        "",
        label="Reference files",
        ovito_group=ANALYSIS,
        ovito_placeholder="none",
        desc="CIF, POSCAR, ... of known crystals, semicolons between: each is a further type",
    )
    reuse = traits.Enum(
        "grid",
        "always",
        "never",
        label="Take over answers of windows nearby",
        ovito_group=ANALYSIS,
        desc="where they are found to show the same crystal: of a grid, of particles too, never",
    )
    faults = traits.Bool(
        True,
        label="Twin planes and stacking faults",
        ovito_group=ANALYSIS,
        desc="and the stacking of every particle of close-packed crystals and diamond",
    )
    only_selected = traits.Bool(
        False,
        label="Use only selected particles",
        ovito_group=ANALYSIS,
        desc="the others are treated as absent",
    )
    lindemann_frames = traits.Range(
        0,
        None,
        0,
        label="Lindemann: frames (0: off)",
        ovito_group=ANALYSIS,
        desc="frames that the Lindemann parameter is averaged over, at least 2",
    )
    color_by_type = traits.Bool(
        True,
        label="Color particles by type",
        ovito_group=OUTPUT,
        desc="the colours can be changed below",
    )
    only_present_types = traits.Bool(
        False,
        label="List only types that occur",
        ovito_group=OUTPUT,
        desc="keeps colour legends and tables short",
    )
    write_probability = traits.Bool(
        True,
        label="Output probabilities",
        ovito_group=OUTPUT,
        desc="'CrystalNet Probability', a component a class",
    )
    write_certainty = traits.Bool(
        True,
        label="Output certainty",
        ovito_group=OUTPUT,
        desc="'CrystalNet Certainty', the largest probability",
    )
    write_order = traits.Bool(
        True,
        label="Output Bragg order",
        ovito_group=OUTPUT,
        desc="'CrystalNet Order', 1 in a perfect crystal, below 0.1 in a liquid",
    )
    write_orientation = traits.Bool(
        True,
        label="Output orientations",
        ovito_group=OUTPUT,
        desc="'Orientation', as polyhedral template matching does",
    )
    write_lattice = traits.Bool(
        False,
        label="Output lattice constants and strain",
        ovito_group=OUTPUT,
        desc="'CrystalNet Lattice Constant' (Angstrom), 'CrystalNet Strain' and its parts",
    )
    grain_segmentation = traits.Bool(
        False,
        label="Prepare for grain segmentation",
        ovito_group=OUTPUT,
        desc="writes what OVITO's modifier of that name reads; it knows the types of PTM only",
    )

    type_other = _entry(OTHER)
    type_fcc = _type("fcc")
    type_hcp = _type("hcp")
    type_bcc = _type("bcc")
    type_sc = _type("sc")
    type_cubic_diamond = _type("diam")
    type_dhcp = _type("dhcp")
    type_hex_diamond = _type("hexdiam")
    type_graphite = _type("graphite")
    type_rhombohedral = _type("rh")
    type_hex_rh = _type("hex/rh")
    type_bct139 = _type("bct139")
    type_bct141 = _type("bct141")
    type_other_crystal = _type("other")
    type_disordered = _type("disordered")

    _latest = traits.Instance(_Latest, args=(), transient=True, visible=False)
    # A misspelt parameter would be swallowed otherwise.
    _ = traits.Disallow

    # ------------------------------------------------------------------ OVITO's interface
    def input_caching_hints(self, frame: int, *, input_slots: Any, **kwargs: Any) -> list[int]:
        """Frames that `modify` will ask for."""
        return list(self._frames(frame, input_slots))

    def modify(
        self,
        data: DataCollection,
        *,
        frame: int,
        input_slots: Any,
        **kwargs: Any,
    ) -> Steps:
        """Analyse `data` and write the results into it; yields progress."""
        if self.lindemann_frames == 1:
            raise InputError(
                "CrystalNet: lindemann_frames is 1, but one frame shows no displacement; give at "
                "least 2, or 0 for off"
            )
        indices = selected(data, self.only_selected)
        yield "CrystalNet: loading the model"
        asked: dict[str, Any] = {}
        if self.names != "structure":
            asked["names"] = self.names
        if not self.faults:
            asked["faults"] = False
        if self.reuse != "grid":
            asked["reuse"] = self.reuse == "always"
        net = _analyzer(self.model, self.window_atoms, **asked)
        net = _with_references(net, self.references)
        atoms = analysis = disorder = None
        if len(indices):
            atoms = to_atoms(data, indices)
            yield "CrystalNet: analysing windows"
            analysis = yield from self._analysis(net, atoms)
        if self.lindemann_frames:
            yield "CrystalNet: Lindemann parameter"
            disorder = yield from self._disorder(data, frame, input_slots, indices, analysis)
        self._write(data, indices, atoms, net.classes, analysis, disorder)

    # ------------------------------------------------------------------ the work
    def _frames(self, frame: int, input_slots: Any) -> range:
        if self.lindemann_frames < 2:
            return range(frame, frame + 1)
        return frame_window(frame, self.lindemann_frames, input_slots["upstream"].num_frames)

    def _analysis(self, net: CrystalNet, atoms: Atoms) -> Steps:
        spacing = self.spacing or None
        # Only labels depend on the smallest certainty: it is no part of the key.
        given = (
            self.model, self.names, self.window_atoms, self.faults, self.reuse, self.references
        )  # fmt: skip
        key = _key(atoms, *given, self.centers, spacing)

        def work(progress: Any) -> FrameAnalysis:
            return net.analyze(atoms, centers=self.centers, spacing=spacing, progress=progress)

        if self._latest.key != key:
            self._latest.frame = yield from in_steps(work)
            self._latest.key = key
        assert self._latest.frame is not None
        return self._latest.frame.with_min_certainty(self.min_certainty or None)

    def _disorder(
        self,
        data: DataCollection,
        frame: int,
        input_slots: Any,
        indices: Any,
        analysis: FrameAnalysis | None,
    ) -> Steps:
        """Lindemann parameter (M,) of the particles that take part."""
        if analysis is None:
            return np.zeros(0, dtype=np.float32)
        if not analysis.typical_distance > 0:
            return np.full(len(indices), np.nan, dtype=np.float32)
        upstream = input_slots["upstream"]

        def atoms_at(number: int) -> Atoms:
            return to_atoms(data if number == frame else upstream.compute(number))

        frames = self._frames(frame, input_slots)
        values = yield from lindemann(atoms_at, frames, frame, analysis.typical_distance)
        return values[indices]

    def _write(
        self,
        data: DataCollection,
        indices: Any,
        atoms: Atoms | None,
        classes: tuple[str, ...],
        analysis: FrameAnalysis | None,
        disorder: Any,
    ) -> None:
        types = structure_types(classes)
        elements = [self._element(name, entry) for name, entry in zip(classes, types, strict=True)]
        enabled = tuple(bool(element.enabled) for element in elements)
        out = Output(data, indices, analysis, classes, types, enabled)
        listed = sorted([_copy(self.type_other), *elements], key=lambda element: element.id)
        shown = [e for e in listed if e.id <= PTM_IDS or not self.grain_segmentation]
        labels = out.labels()
        if self.only_present_types:
            listed = [e for e in listed if e.id in out.present(labels, ptm_only=False)]
            present = out.present(labels, ptm_only=self.grain_segmentation)
            shown = [e for e in shown if e.id in present]
        values = out.structure_type(labels, shown, ptm_only=self.grain_segmentation)
        if self.color_by_type:
            out.color(values, shown)
        if self.write_probability:
            out.probability()
        if self.write_certainty:
            out.scalar("Certainty", None if analysis is None else analysis.atom_certainty)
        if self.write_order:
            out.scalar("Order", None if analysis is None else analysis.atom_order)
        if self.faults and self.names == "structure":
            out.faults()
        if self.lindemann_frames:
            out.scalar("Lindemann", disorder)
        if self.write_orientation or self.grain_segmentation:
            out.orientation()
        # Those of an upstream PTM belong to its types; with ours, the grain segmentation would
        # read them wrongly, and end the program at a type it does not know.
        out.remove(CORRESPONDENCES)
        if self.grain_segmentation:
            out.neighbours(values)
        if self.write_lattice:
            out.lattice(atoms)
        out.attributes(labels, disorder)
        out.tables(labels, listed)

    def _element(self, name: str, entry: StructureType) -> ElementType:
        if name in KNOWN:
            return _copy(getattr(self, f"type_{entry.key.lower()}"))
        return ElementType(id=entry.id, name=entry.name, color=entry.color)


def _copy(element: ElementType) -> ElementType:
    """A type for the output; the parameter itself could not be edited once it is in the data."""
    return ElementType(
        id=element.id, name=element.name, color=element.color, enabled=element.enabled
    )


def _key(atoms: Atoms, *parameters: Any) -> str:
    """What an analysis depends on, as a hash."""
    digest = hashlib.blake2b(repr(parameters).encode())
    for array in (atoms.positions, atoms.cell.array, atoms.pbc, atoms.numbers):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
