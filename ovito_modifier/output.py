"""From a `FrameAnalysis` to particle properties, tables and attributes of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from ovito.data import DataTable, ElementType
from scipy.spatial import cKDTree

from ase_crystalnet import FrameAnalysis
from ase_crystalnet.geometry import PeriodicSpace
from ase_crystalnet.lattice import conventional_setting
from ase_crystalnet.results import FAULT_KINDS, STACKINGS
from ase_crystalnet.results.strain import von_mises
from ovito_modifier.grains import CORRESPONDENCES, correspondences
from ovito_modifier.structures import OTHER, PTM_IDS, StructureType

__all__ = ["PREFIX", "Output"]

PREFIX = "CrystalNet"
CERTAINTY_BINS = 20
#: Of the stackings: not known, fcc, hcp, as OVITO's types of these have them.
STACKING_COLORS = ((0.95, 0.95, 0.95), (0.4, 1.0, 0.4), (1.0, 0.4, 0.4))
STRAIN = ("XX", "YY", "ZZ", "XY", "XZ", "YZ")
_VOIGT = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))

Array = NDArray[Any]


@dataclass(frozen=True)
class Output:
    """Writes one frame's results into a DataCollection.

    Attributes
    ----------
    data : ovito.data.DataCollection
        Changed in place.
    indices : (M,) int array
        Particles that were analysed; the others become "Other" and nan.
    frame : FrameAnalysis or None
        Of these particles; None if there are none.
    classes : tuple of str
        The model's classes.
    types : tuple of StructureType
        One a class.
    enabled : tuple of bool
        Classes that are switched off become "Other".
    """

    data: Any
    indices: NDArray[np.intp]
    frame: FrameAnalysis | None
    classes: tuple[str, ...]
    types: tuple[StructureType, ...]
    enabled: tuple[bool, ...]

    # ------------------------------------------------------------------ helpers
    @property
    def count(self) -> int:
        """Number of particles in the pipeline."""
        return int(self.data.particles.count)

    def full(self, values: Array | None, shape: tuple[int, ...], fill: float) -> Array:
        """Values (M, ...) of the analysed particles as an array (N, ...) of all."""
        result = np.full((self.count, *shape), fill, dtype=np.float32)
        if values is not None:
            result[self.indices] = values
        return result

    def property(self, name: str, values: Array, components: Sequence[str] = ()) -> None:
        """Write a property of our own; one of the same name is replaced."""
        full_name = f"{PREFIX} {name}"
        # An older one may have another type or another number of components.
        self.remove(full_name)
        options = {"components": list(components)} if components else {}
        self.data.particles_.create_property(full_name, data=values, **options)

    def remove(self, name: str) -> None:
        """Take a property away if it is there."""
        if name in self.data.particles:
            del self.data.particles_[name]

    # ------------------------------------------------------------------ per particle
    def labels(self) -> NDArray[np.int16]:
        """Class of each particle (N,), -1 for Other."""
        labels = np.full(self.count, -1, dtype=np.int16)
        if self.frame is not None:
            on = np.append(self.enabled, False)
            found = self.frame.atom_labels
            labels[self.indices] = np.where(on[found], found, -1)
        return labels

    def _ids(self, ptm_only: bool) -> NDArray[np.int32]:
        """Id of the type of each class, and of no class."""
        ids = np.array([entry.id for entry in self.types] + [OTHER.id], dtype=np.int32)
        if ptm_only:
            ids[ids > PTM_IDS] = OTHER.id
        return ids

    def present(self, labels: NDArray[np.int16], *, ptm_only: bool) -> set[int]:
        """Ids of the types that some particle has."""
        return set(np.unique(self._ids(ptm_only)[labels]).tolist())

    def structure_type(
        self, labels: NDArray[np.int16], elements: Sequence[Any], *, ptm_only: bool
    ) -> NDArray[np.int32]:
        """Write ``Structure Type`` with `elements` as its only types.

        `ptm_only` makes classes that PTM does not know "Other".
        """
        values = self._ids(ptm_only)[labels]
        prop = self.data.particles_.create_property("Structure Type", data=values)
        # An upstream modifier's types would stay, and ours be added to them.
        prop.types.clear()
        for element in elements:
            prop.types.append(element)
        return values

    def color(self, values: NDArray[np.int32], elements: Sequence[Any]) -> None:
        """Colour the particles by the (perhaps edited) colours of the types."""
        colors = np.full((self.count, 3), OTHER.color)
        for element in elements:
            colors[values == element.id] = element.color
        self.data.particles_.create_property("Color", data=colors)

    def probability(self) -> None:
        """Write ``CrystalNet Probability``."""
        values = None if self.frame is None else self.frame.atom_probabilities
        names = [entry.component for entry in self.types]
        self.property("Probability", self.full(values, (len(names),), np.nan), names)

    def scalar(self, name: str, values: Array | None) -> None:
        """Write a property with one component."""
        self.property(name, self.full(values, (), np.nan))

    def orientation(self) -> None:
        """Write ``Orientation`` as PTM does: zero where there is none."""
        values = None if self.frame is None else np.nan_to_num(self.frame.atom_orientation)
        self.data.particles_.create_property("Orientation", data=self.full(values, (4,), 0.0))

    def neighbours(self, structure_type: NDArray[np.int32]) -> None:
        """Write what the grain segmentation wants besides types and orientations."""
        self.remove(CORRESPONDENCES)
        self.data.particles_.create_property(
            CORRESPONDENCES,
            dtype=np.int64,  # as OVITO reads them, while its own integers are of 32 bits
            components=1,
            data=correspondences(self.data, structure_type),
        )

    def lattice(self, atoms: Atoms | None) -> None:
        """Write lattice constants and strain of each particle's nearest window of rank 3."""
        cell = strain = equivalent = change = None
        if self.frame is not None and atoms is not None:
            frame = self.frame
            labels = np.where(frame.rank == 3, frame.labels, -1)
            setting = conventional_setting(frame.lattice, labels, self.classes)
            window, known = _nearest_window(frame, atoms)
            cell = np.where(known[:, None], setting.cell[window], np.nan)
            # Where windows were named without their strain, it is that against the parent they were
            # compared with; else against the cell of the named class.
            own = np.asarray(np.isfinite(frame.strain).all(axis=(1, 2)))
            full = np.where(own[:, None, None], frame.strain, setting.strain)
            tensor = np.stack([full[:, i, j] for i, j in _VOIGT], axis=1)
            strain = np.where(known[:, None], tensor[window], np.nan)
            equivalent = np.where(known, von_mises(full)[window], np.nan)
            change = np.where(known, frame.volumetric_strain[window], np.nan)
        self.property("Lattice Constant", self.full(cell, (3,), np.nan), ("a", "b", "c"))
        self.property("Strain", self.full(strain, (6,), np.nan), STRAIN)
        self.property("Von Mises Strain", self.full(equivalent, (), np.nan))
        self.property("Volumetric Strain", self.full(change, (), np.nan))

    def faults(self) -> None:
        """Write ``CrystalNet Stacking``, ``CrystalNet Fault``, the table of faults and counts."""
        frame = self.frame
        stacking = np.zeros(self.count, dtype=np.int32)
        fault = np.full(self.count, -1, dtype=np.int32)
        if frame is not None:
            stacking[self.indices] = frame.stacking
            fault[self.indices] = frame.atom_fault
        full_name = f"{PREFIX} Stacking"
        self.remove(full_name)
        prop = self.data.particles_.create_property(full_name, data=stacking)
        for number, name in enumerate(STACKINGS):
            prop.types.append(ElementType(id=number, name=name, color=STACKING_COLORS[number]))
        self.property("Fault", fault)
        found = () if frame is None else frame.faults
        counts = dict.fromkeys(FAULT_KINDS, 0)
        for each in found:
            counts[each.kind] += 1
        for kind, count in counts.items():
            self.data.attributes[f"{PREFIX}.faults.{kind.replace(' ', '_')}"] = count
        share = 0.0 if frame is None else frame.fault_fraction
        self.data.attributes[f"{PREFIX}.fault_fraction"] = share
        table = self.data.tables.create(
            identifier="crystalnet-faults",
            title=f"{PREFIX}: faults",
            plot_mode=DataTable.PlotMode.NoPlot,
        )
        # A table without rows has no columns either, to OVITO.
        numbers = [FAULT_KINDS.index(each.kind) for each in found]
        kinds = table.create_property("Kind", data=np.array(numbers, dtype=np.int32))
        kinds.types.clear()
        for number, name in enumerate(FAULT_KINDS):
            kinds.types.append(ElementType(id=number, name=name))
        sizes = np.array([len(each.atoms) for each in found], dtype=np.int32)
        table.create_property("Particles", data=sizes)
        for name, rows in (
            ("Normal", [each.normal for each in found]),
            ("Position", [each.position for each in found]),
        ):
            values = np.array(rows, dtype=np.float64).reshape(-1, 3)
            table.create_property(name, data=values, components=["X", "Y", "Z"])

    # ------------------------------------------------------------------ of the frame
    def attributes(self, labels: NDArray[np.int16], lindemann: Array | None) -> None:
        """Write the global attributes.

        Fractions are of the particles that took part; ``counts.OTHER`` counts all others, too.
        """
        total = max(len(self.indices), 1)
        taking_part = labels[self.indices]
        out = self.data.attributes
        for number, entry in enumerate(self.types):
            count = int((taking_part == number).sum())
            out[f"{PREFIX}.counts.{entry.key}"] = count
            out[f"{PREFIX}.fraction.{entry.key}"] = count / total
        out[f"{PREFIX}.counts.{OTHER.key}"] = int((labels < 0).sum())
        out[f"{PREFIX}.fraction.{OTHER.key}"] = float((taking_part < 0).sum() / total)
        frame = self.frame
        nothing = float("nan")
        out[f"{PREFIX}.mean_certainty"] = nothing if frame is None else frame.mean_certainty
        out[f"{PREFIX}.mean_order"] = nothing if frame is None else frame.mean_order
        out[f"{PREFIX}.snapshot_lindemann"] = (
            nothing if frame is None else frame.mean_snapshot_lindemann
        )
        out[f"{PREFIX}.windows"] = 0 if frame is None else frame.number_of_windows
        if lindemann is not None:
            known = lindemann[np.isfinite(lindemann)]
            out[f"{PREFIX}.lindemann_index"] = float(known.mean()) if len(known) else nothing

    def tables(self, labels: NDArray[np.int16], elements: Sequence[Any]) -> None:
        """Write a bar chart of the counts and a histogram of the certainty."""
        number_of = {entry.id: number for number, entry in enumerate(self.types)}
        # One row for each id up to the largest: OVITO takes the row number for the id, draws and
        # exports the rows that have a type.
        counts = np.zeros(max((e.id for e in elements), default=0) + 1, dtype=np.int32)
        for element in elements:
            counts[element.id] = int((labels == number_of.get(element.id, -1)).sum())
        # Not "structures": that is PTM's table, and would be handed back.
        bars = self.data.tables.create(
            identifier="crystalnet-counts",
            title=f"{PREFIX}: structure counts",
            plot_mode=DataTable.PlotMode.BarChart,
        )
        x = bars.create_property("Structure Type", data=np.arange(len(counts), dtype=np.int32))
        x.types.clear()
        for element in elements:
            x.types.append(element)
        bars.x = x
        bars.y = bars.create_property("Count", data=counts)
        certainty = np.zeros(0) if self.frame is None else self.frame.atom_certainty
        histogram = self.data.tables.create(
            identifier="crystalnet-certainty",
            title=f"{PREFIX}: certainty",
            plot_mode=DataTable.PlotMode.Histogram,
        )
        found = np.histogram(certainty[np.isfinite(certainty)], CERTAINTY_BINS, (0.0, 1.0))[0]
        histogram.y = histogram.create_property("Count", data=found.astype(np.int32))
        histogram.interval = (0.0, 1.0)
        histogram.axis_label_x = "Certainty"


def _nearest_window(
    frame: FrameAnalysis, atoms: Atoms
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Window (N,) that speaks for each atom, and whether the atom has a lattice of its own."""
    known = np.asarray(np.isfinite(frame.atom_orientation).all(axis=1))
    if (
        frame.number_of_windows == frame.number_of_atoms
        and (frame.center_indices == np.arange(frame.number_of_atoms)).all()
    ):
        return np.arange(frame.number_of_atoms), known
    usable = np.flatnonzero(~frame.sparse)
    if len(usable) == 0:
        return np.zeros(frame.number_of_atoms, np.intp), np.zeros(frame.number_of_atoms, bool)
    space = PeriodicSpace.of(atoms)
    depth = float(frame.radius[usable].max())
    images, source = space.with_ghosts(space.wrap(frame.centers[usable]), depth)
    nearest = cKDTree(images).query(space.wrap(atoms.positions))[1]
    return usable[source[nearest]], known
