"""Results as plain arrays: `FrameAnalysis` of one frame (a trajectory: `results.trajectory`).

Nothing here reads or writes a file; `ase_crystalnet.io.results` and the command line do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classes import REFUSED, checked_certainty, labels_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.results.arrays import (
    format_number,
    mean_finite,
    snapshot_lindemann,
    validate_arrays,
)
from ase_crystalnet.results.faults import FAULT_KINDS, STACKINGS, Fault
from ase_crystalnet.results.frames_of_data import (
    atom_columns,
    html_table,
    to_dataframe,
    window_columns,
)
from ase_crystalnet.results.sets import prediction_sets
from ase_crystalnet.results.strain import cell_volumes, voigt, von_mises
from ase_crystalnet.results.table import Quantity, WindowTable, quantities_of, quantity

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["FrameAnalysis"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class FrameAnalysis(WindowTable):
    """Analysis of one frame: W windows, N atoms, C classes.

    What each quantity means, its range and where it can mislead: see docs/glossary.md.

    Parameters
    ----------
    classes : tuple of str
        Names of the C classes.
    centers : ndarray, shape (W, 3), Angstrom
        Window centres.
    center_indices : ndarray of int, shape (W,)
        Atoms at the centres, or -1.
    probabilities : ndarray, shape (W, C)
        Class probabilities; nan where sparse.
    labels : ndarray of int, shape (W,)
        Index into `classes`; -1 where refused.
    certainty : ndarray, shape (W,)
        Largest class probability.
    order : ndarray, shape (W,)
        Bragg order.
    lattice : ndarray, shape (W, 3, 3), Angstrom
        Reduced average lattices, vectors as rows; nan if unknown.
    orientation : ndarray, shape (W, 4)
        Unit quaternions (x, y, z, w); nan if unknown.
    rank : ndarray of int, shape (W,)
        0 nothing, 1 planes, 2 rods, 3 lattice.
    mean_square_displacement : ndarray, shape (W,), Angstrom^2
        Per Cartesian component; nan if unknown.
    nearest_neighbor_distance : ndarray, shape (W,), Angstrom
        Of each window.
    coherence : ndarray, shape (W,)
        Whether the centres belong to the crystal that the windows show; nan if unknown.
    sparse : ndarray of bool, shape (W,)
        True where a window holds too few atoms.
    radius : ndarray, shape (W,), Angstrom
        Window radii.
    atom_probabilities, atom_labels, atom_certainty, atom_order, atom_orientation : ndarray
        The same per atom, shapes (N, C), (N,), (N,), (N,), (N, 4).
    volumetric_strain : ndarray, shape (W,)
        Change of the parent cell's volume against the median of the frame's windows of that class.
    atom_strain, atom_volumetric_strain : ndarray, shapes (N, 3, 3), (N,)
        Those of the nearest window; nan where it has none.
    stacking : ndarray of int, shape (N,)
        Stacking of close-packed planes or double layers about each atom: 0 not known, 1 fcc, 2 hcp
        (`STACKINGS`).
    stacking_ratio : ndarray, shape (N,)
        Log likelihood ratio of hcp to fcc; nan where there is no such crystal.
    atom_fault : ndarray of int, shape (N,)
        Index into `faults` of the one that each atom is part of, or -1.
    fault_kind, fault_normal, fault_position : ndarray, shapes (F,), (F, 3), (F, 3)
        The faults as arrays: index into `FAULT_KINDS`, unit normal, a point of the plane, Angstrom.
    lindemann : ndarray, shape (N,), or None
        Lindemann parameter over a trajectory; None for a single frame.
    min_certainty : float or None
        Certainty below which labels are refused; None refuses no label for it.
    metadata : mapping
        Model, window size, kind of centres: numbers, strings, and tables of them.

    Raises
    ------
    InputError
        If a shape does not fit.
    """

    classes: tuple[str, ...]
    centers: NDArray[np.float64] = quantity(np.float64, "W", 3, stored="f4")
    center_indices: NDArray[np.int64] = quantity(np.int64, "W", stored="i4", missing=-1)
    labels: NDArray[np.int16] = quantity(np.int16, "W", stored="i1", missing=-1)
    certainty: NDArray[np.float32] = quantity(np.float32, "W", stored="f2")
    orientation: NDArray[np.float64] = quantity(np.float64, "W", 4, stored="f4")
    volumetric_strain: NDArray[np.float32] = quantity(np.float32, "W", required=False)
    atom_probabilities: NDArray[np.float32] = quantity(np.float32, "N", "C", stored="f2")
    atom_labels: NDArray[np.int16] = quantity(np.int16, "N", stored="i1", missing=-1)
    atom_certainty: NDArray[np.float32] = quantity(np.float32, "N", stored="f2")
    atom_order: NDArray[np.float32] = quantity(np.float32, "N", stored="f2")
    atom_orientation: NDArray[np.float64] = quantity(np.float64, "N", 4, stored="f4")
    atom_strain: NDArray[np.float32] = quantity(np.float32, "N", 3, 3, stored="f2", required=False)
    atom_volumetric_strain: NDArray[np.float32] = quantity(
        np.float32, "N", stored="f2", required=False
    )
    stacking: NDArray[np.int8] = quantity(np.int8, "N", missing=0, required=False)
    stacking_ratio: NDArray[np.float32] = quantity(np.float32, "N", stored="f2", required=False)
    atom_fault: NDArray[np.int32] = quantity(np.int32, "N", missing=-1, required=False)
    fault_kind: NDArray[np.int8] = quantity(np.int8, "F", missing=0, required=False)
    fault_normal: NDArray[np.float64] = quantity(np.float64, "F", 3, stored="f4", required=False)
    fault_position: NDArray[np.float64] = quantity(np.float64, "F", 3, stored="f4", required=False)
    lindemann: NDArray[np.float32] | None = quantity(np.float32, "N", stored="f2", optional=True)
    min_certainty: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))
        sizes = {
            "W": len(np.atleast_1d(self.centers)),
            "N": len(np.atleast_1d(self.atom_labels)),
            "F": 0 if self.fault_kind is None else len(np.atleast_1d(self.fault_kind)),
            "C": len(self.classes),
        }
        validate_arrays(self, sizes)
        for name, numbers, end in (
            ("stacking", self.stacking, len(STACKINGS)),
            ("fault_kind", self.fault_kind, len(FAULT_KINDS)),
            ("atom_fault", self.atom_fault + 1, sizes["F"] + 1),
        ):
            if numbers.size and (numbers.min() < 0 or numbers.max() >= end):
                raise InputError(
                    f"FrameAnalysis.{name}: expected numbers of {end} entries, got "
                    f"{numbers.min()} to {numbers.max()}"
                )
        for name, labels in (("labels", self.labels), ("atom_labels", self.atom_labels)):
            if labels.size and (labels.min() < -1 or labels.max() >= sizes["C"]):
                raise InputError(
                    f"FrameAnalysis.{name}: expected -1 (refused) to {sizes['C'] - 1}, "
                    f"got {labels.min()} to {labels.max()}"
                )

    @classmethod
    def quantities(cls) -> dict[str, Quantity]:
        """Name and meaning of every array: the schema that writers follow."""
        return quantities_of(cls)

    @property
    def number_of_atoms(self) -> int:
        """Number of atoms of the frame, N."""
        return len(self.atom_labels)

    @property
    def number_of_windows(self) -> int:
        """Number of windows, W."""
        return len(self.labels)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Planar faults of close-packed planes and double layers, largest first."""
        order = np.argsort(self.atom_fault, kind="stable")
        ends = np.searchsorted(self.atom_fault[order], np.arange(len(self.fault_kind) + 1))
        return tuple(
            Fault(
                FAULT_KINDS[self.fault_kind[f]],
                self.fault_normal[f],
                self.fault_position[f],
                order[ends[f] : ends[f + 1]],
            )
            for f in range(len(self.fault_kind))
        )

    @property
    def fault_counts(self) -> NDArray[np.int64]:
        """Faults of each of `FAULT_KINDS`, shape (K,)."""
        return np.bincount(self.fault_kind, minlength=len(FAULT_KINDS)).astype(np.int64)

    @property
    def fault_fraction(self) -> float:
        """Share of the atoms that are part of a fault."""
        return float(np.mean(self.atom_fault >= 0)) if self.number_of_atoms else 0.0

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """Atoms with each label, shape (C,); refused atoms are not counted."""
        kept = self.atom_labels[self.atom_labels >= 0]
        return np.bincount(kept, minlength=len(self.classes)).astype(np.int64)

    @property
    def class_fractions(self) -> NDArray[np.float64]:
        """Share of each class in all atoms, shape (C,); with `refused_fraction` it sums to 1."""
        return self.class_counts / max(self.number_of_atoms, 1)

    @property
    def refused_fraction(self) -> float:
        """Share of the atoms without a label."""
        return float(np.mean(self.atom_labels < 0)) if self.number_of_atoms else 0.0

    @property
    def mean_probabilities(self) -> NDArray[np.float64]:
        """Class probabilities averaged over the atoms that have any, shape (C,)."""
        return np.asarray(mean_finite(self.atom_probabilities, axis=0))

    @property
    def mean_certainty(self) -> float:
        """Certainty averaged over the atoms that have one."""
        return float(mean_finite(self.atom_certainty))

    @property
    def mean_order(self) -> float:
        """Bragg order averaged over the atoms that have one."""
        return float(mean_finite(self.atom_order))

    @property
    def lindemann_index(self) -> float:
        """Lindemann parameter averaged over the atoms; nan where there was no trajectory."""
        return float("nan") if self.lindemann is None else float(mean_finite(self.lindemann))

    @property
    def von_mises_strain(self) -> NDArray[np.float64]:
        """Equivalent strain of each window, shape (W,): its change of shape."""
        return von_mises(self.strain)

    @property
    def atom_von_mises_strain(self) -> NDArray[np.float64]:
        """The same of each atom, shape (N,)."""
        return von_mises(self.atom_strain)

    @property
    def mean_von_mises_strain(self) -> float:
        """Equivalent strain averaged over the atoms that have one; nan if none has."""
        return float(mean_finite(self.atom_von_mises_strain))

    @property
    def mean_cell_volume(self) -> float:
        """Mean volume of the parent's primitive cells of the commonest class, Angstrom^3."""
        known = np.isfinite(self.strain).all(axis=(1, 2)) & (self.labels >= 0)
        if not known.any():
            return float("nan")
        known &= self.labels == np.bincount(self.labels[known]).argmax()
        return float(mean_finite(cell_volumes(self.lattice, self.superlattice)[known]))

    @property
    def typical_distance(self) -> float:
        """Median nearest-neighbour distance of the windows, Angstrom; nan where none is known."""
        distances = self.nearest_neighbor_distance
        known = distances[np.isfinite(distances) & (distances > 0)]
        return float(np.median(known)) if len(known) else float("nan")

    @property
    def snapshot_lindemann(self) -> NDArray[np.float64]:
        """Lindemann parameter of each window from this frame alone, shape (W,)."""
        return snapshot_lindemann(self.mean_square_displacement, self.nearest_neighbor_distance)

    @property
    def mean_snapshot_lindemann(self) -> float:
        """Mean of `snapshot_lindemann` over the windows that have a lattice; nan if none has."""
        return float(mean_finite(self.snapshot_lindemann))

    def class_names(self) -> NDArray[np.str_]:
        """Class name of every atom, shape (N,); ``'refused'`` where there is no label."""
        return np.array([*self.classes, REFUSED])[self.atom_labels]

    def sets(self, coverage: float = 0.99) -> NDArray[np.bool_]:
        """Prediction sets of the windows: the classes that an answer leaves open, shape (W, C).

        Of windows like those the model was calibrated on, at least the share `coverage` of each
        class has its own class in its set.

        Parameters
        ----------
        coverage : float
            Up to 0.995.

        Raises
        ------
        InputError
            The coverage is out of range, or the model was not calibrated for sets.
        """
        least = self.metadata.get("least_probabilities") or {}
        return prediction_sets(self.probabilities, self.classes, least, coverage)

    def with_min_certainty(self, min_certainty: float | None) -> FrameAnalysis:
        """Return the same analysis with labels refused below another certainty.

        Nothing else depends on the threshold, so nothing is computed again.

        Parameters
        ----------
        min_certainty : float or None
            0 to 1; None refuses none.

        Raises
        ------
        InputError
            The threshold is not between 0 and 1.
        """
        checked = checked_certainty(min_certainty)
        return replace(
            self,
            labels=labels_of(self.probabilities, checked)[0],
            atom_labels=labels_of(self.atom_probabilities, checked)[0],
            min_certainty=checked,
        )

    def with_lindemann(self, lindemann: NDArray[Any] | None) -> FrameAnalysis:
        """Return the same analysis with the Lindemann parameter, shape (N,), of a trajectory."""
        return replace(self, lindemann=lindemann)

    def attach(self, atoms: Atoms) -> Atoms:
        """Write the results into ``atoms.arrays`` and ``atoms.info``, all of it safe in extxyz.

        Parameters
        ----------
        atoms : ase.Atoms
            The frame that was analysed; changed in place.

        Returns
        -------
        ase.Atoms
            The same object, with ``arrays['crystalnet_label' | 'crystalnet_class' |
            'crystalnet_certainty' | 'crystalnet_order' | 'crystalnet_orientation' |
            'crystalnet_probabilities' | 'crystalnet_stacking' | 'crystalnet_stacking_ratio' |
            'crystalnet_fault' | 'crystalnet_strain' (xx, yy, zz, yz, xz, xy) |
            'crystalnet_volumetric_strain' | 'crystalnet_von_mises_strain' |
            'crystalnet_lindemann']`` and ``info['crystalnet_*']``.

        Raises
        ------
        InputError
            If the number of atoms differs.
        """
        if len(atoms) != self.number_of_atoms:
            raise InputError(
                f"attach: the analysis is of {self.number_of_atoms} atoms, given {len(atoms)}; "
                "pass the frame that was analysed"
            )
        arrays: dict[str, NDArray[Any]] = {
            "label": self.atom_labels.astype(np.int8),
            "class": self.class_names(),
            "certainty": self.atom_certainty,
            "order": self.atom_order,
            "orientation": self.atom_orientation,
            "probabilities": self.atom_probabilities,
            "stacking": np.array(STACKINGS)[self.stacking],
            "stacking_ratio": self.stacking_ratio,
            "fault": self.atom_fault,
        }
        if np.isfinite(self.atom_strain).any():
            arrays["strain"] = voigt(self.atom_strain)
            arrays["volumetric_strain"] = self.atom_volumetric_strain
            arrays["von_mises_strain"] = self.atom_von_mises_strain
        # A second attach must not keep the Lindemann parameter of an earlier analysis.
        atoms.arrays.pop("crystalnet_lindemann", None)
        atoms.info.pop("crystalnet_lindemann_index", None)
        if self.lindemann is not None:
            arrays["lindemann"] = self.lindemann
            atoms.info["crystalnet_lindemann_index"] = self.lindemann_index
        for name, array in arrays.items():
            atoms.arrays[f"crystalnet_{name}"] = array.copy()
        atoms.info["crystalnet_classes"] = " ".join(self.classes)
        atoms.info["crystalnet_class_fractions"] = self.class_fractions
        atoms.info["crystalnet_mean_probabilities"] = self.mean_probabilities
        kinds = [fault.kind.replace(" ", "_") for fault in self.faults]
        atoms.info["crystalnet_faults"] = " ".join(kinds) or "none"
        for name in (
            "fault_fraction",
            "refused_fraction",
            "mean_certainty",
            "mean_order",
            "mean_snapshot_lindemann",
        ):
            atoms.info[f"crystalnet_{name}"] = float(getattr(self, name))
        if "model" in self.metadata:
            atoms.info["crystalnet_model"] = str(self.metadata["model"])
        return atoms

    def phases(self) -> list[tuple[str, int, float, float, float]]:
        """Rows (class, atoms, fraction, certainty, order), commonest first, refused last."""
        total = max(self.number_of_atoms, 1)
        rows = []
        for index in [*np.argsort(-self.class_counts, kind="stable"), -1]:
            of_class = self.atom_labels == index
            count = int(of_class.sum())
            if count:
                name = REFUSED if index < 0 else self.classes[index]
                certainty = float(mean_finite(self.atom_certainty[of_class]))
                order = float(mean_finite(self.atom_order[of_class]))
                rows.append((name, count, count / total, certainty, order))
        return rows

    def table(self) -> str:
        """Return the phases as text: atoms, fraction, mean certainty and mean order of each."""
        lines = [f"{'class':<12}{'atoms':>10}{'fraction':>11}{'certainty':>11}{'order':>9}"]
        for name, count, fraction, certainty, order in self.phases():
            lines.append(
                f"{name:<12}{count:>10}{100 * fraction:>9.1f} %"
                f"{format_number(certainty):>11}{format_number(order):>9}"
            )
        lines.append(
            f"mean Lindemann parameter: {format_number(self.lindemann_index)} (trajectory), "
            f"{format_number(self.mean_snapshot_lindemann)} (this frame alone)"
        )
        counts = self.fault_counts
        found = [f"{n} {kind}" for kind, n in zip(FAULT_KINDS, counts, strict=True) if n]
        if found:
            share = f"{100 * self.fault_fraction:.1f} % of the atoms"
            lines.append(f"faults: {', '.join(found)} ({share})")
        return "\n".join(lines)

    def to_dataframe(self, of: str = "atoms") -> Any:
        """Return a `pandas.DataFrame` of the atoms or of the windows, one row each.

        Parameters
        ----------
        of : {'atoms', 'windows'}

        Raises
        ------
        InputError
            It is something else, or pandas is not installed.
        """
        if of not in ("atoms", "windows"):
            raise InputError(f"to_dataframe: expected 'atoms' or 'windows', got {of!r}")
        return to_dataframe(atom_columns(self) if of == "atoms" else window_columns(self))

    def _repr_html_(self) -> str:
        names = ("class", "atoms", "fraction", "certainty", "order")
        columns = dict(zip(names, zip(*self.phases(), strict=True), strict=False))
        return html_table(repr(self).partition("\n")[0], columns)

    def __repr__(self) -> str:
        model = self.metadata.get("model")
        head = f"FrameAnalysis: {self.number_of_atoms} atoms, {self.number_of_windows} windows"
        return f"{head}{f', model {model}' if model else ''}\n{self.table()}"
