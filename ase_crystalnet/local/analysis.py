"""Method 1: windows about many places of a structure, each classified by itself.

The stages in the order of the data: `windows`, `images` (lattice and fingerprint), classifier; then
`boundaries` and, from windows to atoms, `blending`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.classes import DISORDERED, OTHER, checked_certainty, labels_of
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.errors import InputError
from ase_crystalnet.lattice.finder import Lattices
from ase_crystalnet.lattice.orientation import conventional_setting
from ase_crystalnet.lattice.strain import Strains
from ase_crystalnet.local.blending import blend, window_weights
from ase_crystalnet.local.boundaries import (
    SMALLER_WINDOWS,
    outside,
    unsettled_atoms,
    yield_to_disorder,
)
from ase_crystalnet.local.close_packed import crystals_of
from ase_crystalnet.local.evidence import count_cells, look_again, look_at_sites, not_flat
from ase_crystalnet.local.faults import allowed_misfit, faults_of, with_stacking
from ase_crystalnet.local.images import ImageMaker, WindowImages
from ase_crystalnet.local.names import kept_classes, naming_of, only_kept, share_with_rival
from ase_crystalnet.local.reuse import Reuse, Stages
from ase_crystalnet.local.stacking import stacking_of
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.method import Progress
from ase_crystalnet.results.strain import cell_volumes, volumetric
from ase_crystalnet.results.table import WindowTable
from ase_crystalnet.windows.windower import PreparedSystem, WindowBatch, Windower

__all__ = ["SPECIES", "LocalAnalysis", "Taper"]

#: What species can mean.
SPECIES = ("geometry", "form-factor")
#: Atoms of the smallest window that is tried again at a boundary.
SMALLEST_WINDOW = 64

Taper = Callable[[NDArray[np.floating]], NDArray[np.floating]]
"""Weight of atoms by their distance from the centre in units of the window's radius."""


@dataclass(frozen=True, eq=False)
class LocalAnalysis:
    """Windows, their classes, and what follows for the atoms.

    Parameters
    ----------
    classifier : Classifier
        Of a model of local windows.
    windower : Windower
    images : ImageMaker
    species : {'geometry', 'form-factor'}
        Every atom counts alike, or by the x-ray form factor of Z + 2.
    divide : bool
        Try a smaller window where the centre does not belong to the crystal its window shows.
    batch_size : int
        Windows worked on at a time; bounds the memory.
    min_certainty : float, optional
        Labels with a smaller certainty are refused (-1).
    taper : callable, optional
        Weight of atoms by distance over radius; by default all count 1.
    chosen : tuple of str, optional
        Structures that may be named; the others count as "other".
    faults : bool
        Find the stacking of every atom of close-packed crystals and diamond, and their faults,
        where names are structures.
    reuse : bool, optional
        Windows that show what one nearby has shown take over its answer (`local.reuse`), where
        names are structures; by default those of grids, for nobody asked for them one by one.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    classifier: Classifier
    windower: Windower
    images: ImageMaker
    species: str = "geometry"
    divide: bool = True
    batch_size: int = 512
    min_certainty: float | None = None
    taper: Taper | None = None
    chosen: tuple[str, ...] | None = None
    faults: bool = True
    reuse: bool | None = None

    def __post_init__(self) -> None:
        kept_classes(self.classifier.classes, self.chosen)
        checked_certainty(self.min_certainty)
        if self.species not in SPECIES:
            raise InputError(
                f"species={self.species!r} is unknown: use {' or '.join(map(repr, SPECIES))}"
            )
        if self.batch_size < 1:
            raise InputError(f"batch_size={self.batch_size!r} is not a positive number of windows")
        low, high = self.classifier.card.window_atoms
        if not low <= self.windower.window_atoms <= high:
            raise InputError(
                f"window_atoms={self.windower.window_atoms!r} is outside what model "
                f"{self.classifier.card.name!r} was trained for ({low} to {high})"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return kept_classes(self.classifier.classes, self.chosen)

    @property
    def disordered(self) -> int | None:
        """Number of the class "disordered"; None for a model without it."""
        return self.classes.index(DISORDERED) if DISORDERED in self.classes else None

    # ------------------------------------------------------------------ one frame
    def analyze(
        self,
        atoms: Atoms,
        centers: Any = "atoms",
        spacing: float | None = None,
        progress: Progress | None = None,
    ) -> FrameAnalysis:
        """Analyse one structure; see `CrystalNet.analyze`."""
        prepared = self.windower.prepare(atoms)
        kind = centers if isinstance(centers, str) else "given"
        adaptive = kind == "adaptive"
        points, owners = prepared.centers("grid" if adaptive else centers, spacing)
        reuse = kind in ("grid", "adaptive") if self.reuse is None else self.reuse
        table = self.measured(atoms, prepared, points, progress, reuse=reuse)
        table = self.settled(atoms, prepared, points, table, progress)
        if adaptive and self.disordered is not None:
            more = unsettled_atoms(prepared, points, table, self.disordered)
            places = prepared.given[more]
            extra = self.measured(atoms, prepared, places, progress, before=len(points))
            extra = self.settled(atoms, prepared, places, extra, progress, before=len(points))
            points = np.concatenate([points, places])
            owners = np.concatenate([owners, more])
            table = WindowTable.joined([table, extra])
        return self.concluded(prepared, points, owners, table, kind)

    def measured(
        self,
        atoms: Atoms,
        prepared: PreparedSystem,
        points: NDArray[np.float64],
        progress: Progress | None = None,
        before: int = 0,
        *,
        reuse: bool = False,
    ) -> WindowTable:
        """All stages on all windows, a batch at a time.

        Parameters
        ----------
        atoms : ase.Atoms
        prepared : PreparedSystem
            Of these atoms.
        points : (W, 3) array
            Centres, Angstrom.
        progress : callable, optional
        before : int
            Windows done earlier in the same frame.
        reuse : bool
            Windows may take over what one nearby has shown.
        """
        stages = self._stages(atoms) if reuse else None
        if stages is not None and prepared.windower.on_sparse != "raise":
            return Reuse().measured(stages, prepared, points, progress, before)
        total = len(points)
        table = WindowTable.empty(total, len(self.classes))
        done = 0
        for batch in prepared.batches(points, self.batch_size):
            rows = slice(done, done + len(batch))
            done += len(batch)
            table.set_rows(rows, sparse=batch.sparse, radius=batch.radius)
            good = np.flatnonzero(~batch.sparse)
            if len(good):
                self._look(atoms, batch, good, table, rows.start + good)
            if progress is not None:
                progress(before + done, before + total)
        return table

    def _stages(self, atoms: Atoms) -> Stages | None:
        """The way of a window that answers are taken over for; None where none may be.

        What is compared are positions: neither what atoms they are of, nor by what they count. And
        a name that is of the symmetry changes with every strain.
        """
        if self.images.strains is None or self.taper is not None or self.species != "geometry":
            return None
        look = partial(self._look, atoms)
        parts = (self.classes, self.images.finder, self.images.strains)
        return Stages(look, *parts, self.batch_size)

    def _look(
        self,
        atoms: Atoms,
        batch: WindowBatch,
        chosen: NDArray[np.intp],
        table: WindowTable,
        rows: NDArray[np.intp],
        found: Lattices | None = None,
    ) -> Strains | None:
        """Write what windows show, and what the network says of them, into their rows."""
        seen = self.images_of(atoms, batch, chosen, found)
        table.set_rows(rows, seen.lattices, probabilities=self.answers(seen))
        if seen.strains is not None:
            table.set_rows(rows, strain=seen.strains.strain)
        if seen.superlattices is not None:
            table.set_rows(
                rows,
                superlattice=seen.superlattices.index,
                superlattice_strength=seen.superlattices.strength,
                superlattice_significance=seen.superlattices.significance,
            )
        return seen.strains

    def answers(self, seen: WindowImages) -> NDArray[np.float32]:
        """Class probabilities (B, C) of windows: of their images, and of what else they show."""
        classes = self.classifier.classes
        probabilities = self.classifier.predict(seen.images)
        if OTHER in classes and seen.strains is not None:
            own = self.classifier.predict(seen.own_images)
            cell_atoms, own_counts = look_again(probabilities, seen, own, classes)
            not_flat(probabilities, classes)
            count_cells(probabilities, cell_atoms, classes)
            look_at_sites(probabilities, seen, cell_atoms, own_counts, classes)
        if seen.strains is not None:
            share_with_rival(probabilities, classes, seen.strains)
        return only_kept(probabilities, classes, self.classes)

    def images_of(
        self,
        atoms: Atoms,
        batch: WindowBatch,
        rows: NDArray[np.intp] | None = None,
        found: Lattices | None = None,
    ) -> WindowImages:
        """Lattices and fingerprints of windows of a batch, as this method takes them.

        Parameters
        ----------
        atoms : ase.Atoms
            The structure that was cut.
        batch : WindowBatch
        rows : (K,) integer array, optional
            Windows of the batch; by default all of them.
        found : Lattices, optional
            What the finder found in these windows, where that is known.
        """
        chosen = np.arange(len(batch)) if rows is None else rows
        positions, mask = batch.positions[chosen], batch.mask[chosen]
        weights = numbers = None
        if self.taper is not None:
            distance = np.linalg.norm(positions, axis=2) / batch.radius[chosen, None]
            weights = np.where(mask, self.taper(distance), 0.0).astype(np.float32)
        if self.species == "form-factor":
            numbers = np.where(mask, atoms.numbers[batch.indices[chosen]], 0)
        return self.images(positions, mask, weights=weights, numbers=numbers, found=found)

    def settled(
        self,
        atoms: Atoms,
        prepared: PreparedSystem,
        points: NDArray[np.float64],
        table: WindowTable,
        progress: Progress | None = None,
        before: int = 0,
    ) -> WindowTable:
        """The table with boundaries settled: smaller windows about centres outside their crystal.

        Where the centre of the smaller window is outside too, the crystal's probability goes to
        "disordered". Parameters as of `measured`; returns a table of its own, or the given one
        where there is nothing to settle.
        """
        disordered = self.disordered
        if not self.divide or disordered is None:
            return table
        result = table.copy()
        before += len(points)
        for share in SMALLER_WINDOWS:
            rows = np.flatnonzero(outside(result, disordered))
            size = max(int(share * self.windower.window_atoms), SMALLEST_WINDOW)
            if len(rows) == 0 or size >= self.windower.window_atoms:
                break
            smaller = prepared.with_windows_of(size)
            again = self.measured(atoms, smaller, points[rows], progress, before)
            before += len(rows)
            usable = np.flatnonzero(~again.sparse)
            result.set_rows(rows[usable], again.rows(usable))
        yield_to_disorder(result, disordered)
        return result

    def concluded(
        self,
        prepared: PreparedSystem,
        points: NDArray[np.float64],
        owners: NDArray[np.int64],
        table: WindowTable,
        centers: str = "given",
    ) -> FrameAnalysis:
        """From a table of windows to labels, orientations, and the atoms.

        Parameters
        ----------
        prepared : PreparedSystem
        points : (W, 3) array
            Centres, Angstrom.
        owners : (W,) integer array
            Atom at each centre; -1 where there is none.
        table : WindowTable
        centers : str
            Kind of the centres, for the record.
        """
        best, certainty = labels_of(table.probabilities)
        setting = conventional_setting(table.lattice, best, self.classes)
        columns = table.columns()
        if self.disordered is not None:
            # What passes for a lattice in disordered matter has no mean sites to be displaced from.
            columns["mean_square_displacement"] = np.where(
                best == self.disordered, np.nan, table.mean_square_displacement
            )
        weights, nearest = window_weights(prepared, points, owners, table.sparse)
        atom_probabilities = blend(table.probabilities, weights, nearest)
        if self.faults and self.images.strains is not None:
            atom_probabilities, found = self._stacked(prepared, points, table, atom_probabilities)
            columns |= found
        atom_best, atom_certainty = labels_of(atom_probabilities)
        known = nearest[:, 0] >= 0
        atom_orientation = np.full((len(nearest), 4), np.nan)
        atom_orientation[known] = setting.orientation[nearest[known, 0]]
        columns |= _strains(table, best, nearest)
        frame = FrameAnalysis(
            classes=self.classes,
            centers=points,
            center_indices=owners,
            labels=best,
            certainty=certainty,
            orientation=setting.orientation,
            atom_probabilities=atom_probabilities,
            atom_labels=atom_best,
            atom_certainty=atom_certainty,
            atom_order=blend(table.order[:, None], weights, nearest)[:, 0],
            atom_orientation=atom_orientation,
            metadata={
                "model": self.classifier.card.name,
                "model_sha256": self.classifier.card.sha256,
                "window_atoms": int(self.windower.window_atoms),
                "centers": centers,
                "species": self.species,
                **naming_of(self.images, self.chosen),
                # Structures left out are in "other", which other thresholds were measured for.
                **({} if self.chosen else self.classifier.card.sets_table()),
            },
            **columns,
        )
        return frame if self.min_certainty is None else frame.with_min_certainty(self.min_certainty)

    def _stacked(
        self,
        prepared: PreparedSystem,
        points: NDArray[np.float64],
        table: WindowTable,
        probabilities: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
        """Class probabilities of atoms with their stacking, and stacking and faults by name."""
        assert self.images.strains is not None
        crystals = crystals_of(prepared, points, table, self.classes, self.images.strains)
        best = np.nan_to_num(probabilities).argmax(axis=1)
        allowed = allowed_misfit(probabilities, self.classes)
        stacking = stacking_of(prepared, crystals, allowed, best != self.disordered)
        faults = faults_of(prepared, stacking)
        return with_stacking(probabilities, self.classes, stacking), {
            "stacking": stacking.state,
            "stacking_ratio": stacking.ratio,
            "atom_fault": faults.atom_fault,
            "fault_kind": faults.kind,
            "fault_normal": faults.normal,
            "fault_position": faults.position,
        }


def _strains(
    table: WindowTable, labels: NDArray[np.int16], nearest: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Volumetric strain of windows, and the strains of each atom's nearest window, by name."""
    has = np.asarray(np.isfinite(table.strain).all(axis=(1, 2)))
    volume = volumetric(cell_volumes(table.lattice, table.superlattice), labels, has)
    known = nearest[:, 0] >= 0
    strain = np.full((len(nearest), 3, 3), np.nan, np.float32)
    change = np.full(len(nearest), np.nan, np.float32)
    strain[known], change[known] = table.strain[nearest[known, 0]], volume[nearest[known, 0]]
    return {
        "volumetric_strain": volume,
        "atom_strain": strain,
        "atom_volumetric_strain": change,
    }
