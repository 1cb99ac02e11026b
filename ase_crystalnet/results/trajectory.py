"""Summaries of a trajectory: one short row a frame (`TrajectoryAnalysis`), nothing per atom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classes import REFUSED
from ase_crystalnet.errors import InputError
from ase_crystalnet.results.arrays import format_number, validate_arrays
from ase_crystalnet.results.faults import FAULT_KINDS
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.frames_of_data import html_table, to_dataframe, to_xarray
from ase_crystalnet.results.table import quantity

__all__ = ["CONDITIONS", "TrajectoryAnalysis", "TrajectoryBuilder"]

#: What a trajectory may state of a frame, by its name in `FrameAnalysis.metadata`, and its unit.
CONDITIONS = {"step": "", "time": "ps", "temperature": "K", "pressure": "GPa", "energy": "eV"}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TrajectoryAnalysis:
    """Per-frame summaries of a trajectory of F frames: arrays over frames, nothing per atom.

    What each quantity means: see docs/glossary.md.

    Parameters
    ----------
    classes : tuple of str
        Names of the C classes.
    frames : ndarray of int, shape (F,)
        Number of each frame in its file, from 0.
    sources : tuple of str, length F
        File that each frame came from.
    atoms : ndarray of int, shape (F,)
        Number of atoms.
    class_fractions, mean_probabilities : ndarray, shape (F, C)
        As in `FrameAnalysis`.
    refused_fraction, mean_certainty, mean_order : ndarray, shape (F,)
        As in `FrameAnalysis`.
    lindemann_index : ndarray, shape (F,)
        As in `FrameAnalysis`; nan where it was not requested.
    snapshot_lindemann : ndarray, shape (F,)
        `FrameAnalysis.mean_snapshot_lindemann` of each frame.
    fault_counts : ndarray of int, shape (F, K)
        Faults of each of `FAULT_KINDS`.
    fault_fraction : ndarray, shape (F,)
        As in `FrameAnalysis`.
    mean_von_mises_strain, mean_cell_volume : ndarray, shape (F,)
        As in `FrameAnalysis`.
    step, time, temperature, pressure, energy : ndarray, shape (F,)
        What the trajectory states of each frame: ps, K, GPa, eV; nan where it does not.
    metadata : mapping
        As in `FrameAnalysis`.

    Raises
    ------
    InputError
        If a shape does not fit.
    """

    classes: tuple[str, ...]
    frames: NDArray[np.int64] = quantity(np.int64, "F")
    sources: tuple[str, ...]
    atoms: NDArray[np.int64] = quantity(np.int64, "F")
    class_fractions: NDArray[np.float64] = quantity(np.float64, "F", "C")
    refused_fraction: NDArray[np.float64] = quantity(np.float64, "F")
    mean_probabilities: NDArray[np.float64] = quantity(np.float64, "F", "C")
    mean_certainty: NDArray[np.float64] = quantity(np.float64, "F")
    mean_order: NDArray[np.float64] = quantity(np.float64, "F")
    lindemann_index: NDArray[np.float64] = quantity(np.float64, "F")
    snapshot_lindemann: NDArray[np.float64] = quantity(np.float64, "F")
    fault_counts: NDArray[np.int64] = quantity(np.int64, "F", "K", missing=0, required=False)
    fault_fraction: NDArray[np.float64] = quantity(np.float64, "F", missing=0.0, required=False)
    mean_von_mises_strain: NDArray[np.float64] = quantity(np.float64, "F", required=False)
    mean_cell_volume: NDArray[np.float64] = quantity(np.float64, "F", required=False)
    step: NDArray[np.float64] = quantity(np.float64, "F", required=False)
    time: NDArray[np.float64] = quantity(np.float64, "F", required=False)
    temperature: NDArray[np.float64] = quantity(np.float64, "F", required=False)
    pressure: NDArray[np.float64] = quantity(np.float64, "F", required=False)
    energy: NDArray[np.float64] = quantity(np.float64, "F", required=False)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))
        object.__setattr__(self, "sources", tuple(str(name) for name in self.sources))
        kinds = len(FAULT_KINDS)
        sizes = {"F": len(np.atleast_1d(self.frames)), "C": len(self.classes), "K": kinds}
        validate_arrays(self, sizes)
        if len(self.sources) != sizes["F"]:
            raise InputError(
                f"TrajectoryAnalysis.sources: expected {sizes['F']} names, got {len(self.sources)}"
            )

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def volumetric_strain(self) -> NDArray[np.float64]:
        """Change of `mean_cell_volume` against the first frame that has one, shape (F,)."""
        known = np.isfinite(self.mean_cell_volume)
        if not known.any():
            return np.full(len(self), np.nan)
        return np.asarray(self.mean_cell_volume / self.mean_cell_volume[known][0] - 1)

    def columns(self) -> dict[str, list[Any]]:
        """Return one list of F values a column, in the order in which a CSV file holds them.

        Of time, temperature, pressure, energy and step there are those that a frame states.
        """
        table: dict[str, list[Any]] = {
            "source": list(self.sources),
            "frame": self.frames.tolist(),
            "atoms": self.atoms.tolist(),
        }
        for name, unit in CONDITIONS.items():
            values = getattr(self, name)
            if np.isfinite(values).any():
                table[f"{name}_{unit}" if unit else name] = values.tolist()
        for index, name in enumerate(self.classes):
            table[f"fraction_{name}"] = self.class_fractions[:, index].tolist()
        table["refused_fraction"] = self.refused_fraction.tolist()
        for index, name in enumerate(self.classes):
            table[f"probability_{name}"] = self.mean_probabilities[:, index].tolist()
        for name in ("mean_certainty", "mean_order", "lindemann_index", "snapshot_lindemann"):
            table[name] = getattr(self, name).tolist()
        for index, kind in enumerate(FAULT_KINDS):
            table[f"faults_{kind.replace(' ', '_')}"] = self.fault_counts[:, index].tolist()
        table["fault_fraction"] = self.fault_fraction.tolist()
        table["mean_von_mises_strain"] = self.mean_von_mises_strain.tolist()
        table["mean_cell_volume_A3"] = self.mean_cell_volume.tolist()
        table["volumetric_strain"] = self.volumetric_strain.tolist()
        return table

    def rows(self) -> list[list[Any]]:
        """Return F rows in the order of `columns`."""
        return [list(row) for row in zip(*self.columns().values(), strict=True)]

    def to_dataframe(self) -> Any:
        """Return the columns as a `pandas.DataFrame`, one row a frame.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        return to_dataframe(self.columns())

    def to_xarray(self) -> Any:
        """Return an `xarray.Dataset` over frames and classes, with the units as attributes.

        Raises
        ------
        InputError
            The package xarray is not installed.
        """
        return to_xarray(self, CONDITIONS)

    def _repr_html_(self) -> str:
        return html_table(f"TrajectoryAnalysis: {len(self)} frames", self.columns())

    def table(self) -> str:
        """Return one line a frame: the commonest classes, certainty, order, Lindemann."""
        # Columns only for classes that some frame holds: eight would not fit a terminal.
        shown = [i for i in range(len(self.classes)) if np.any(self.class_fractions[:, i] > 0)]
        names = [self.classes[i] for i in shown]
        head = f"{'frame':>7}" + "".join(f"{name:>12}" for name in [*names, REFUSED])
        lines = [head + f"{'certainty':>11}{'order':>8}{'Lindemann':>11}{'snapshot':>10}"]
        for f in range(len(self)):
            shares = [*(self.class_fractions[f, i] for i in shown), self.refused_fraction[f]]
            lines.append(
                f"{self.frames[f]:>7}"
                + "".join(f"{100 * share:>10.1f} %" for share in shares)
                + "".join(
                    f"{format_number(values[f]):>{width}}"
                    for values, width in (
                        (self.mean_certainty, 11),
                        (self.mean_order, 8),
                        (self.lindemann_index, 11),
                        (self.snapshot_lindemann, 10),
                    )
                )
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"TrajectoryAnalysis: {len(self)} frames\n{self.table()}"


class TrajectoryBuilder:
    """Collect frames into a `TrajectoryAnalysis`; keeps one short row a frame, no atoms."""

    def __init__(self, classes: tuple[str, ...], metadata: Mapping[str, Any] | None = None) -> None:
        self.classes = tuple(classes)
        self.metadata: dict[str, Any] = dict(metadata or {})
        self._rows: dict[str, list[Any]] = {
            f.name: [] for f in fields(TrajectoryAnalysis) if f.name not in ("classes", "metadata")
        }

    def __len__(self) -> int:
        return len(self._rows["frames"])

    def append(self, frame: FrameAnalysis, number: int | None = None, source: str = "") -> None:
        """Add one frame; `number` is its number in `source` (default: how many came before)."""
        if frame.classes != self.classes:
            raise InputError(f"append: expected classes {self.classes}, got {frame.classes}")
        row = self.row(frame, len(self) if number is None else number, source)
        for name, value in row.items():
            self._rows[name].append(value)

    def extend(self, earlier: TrajectoryAnalysis) -> None:
        """Add the rows of an earlier run, such as the one that is being resumed."""
        if earlier.classes != self.classes:
            raise InputError(f"extend: expected classes {self.classes}, got {earlier.classes}")
        for name, values in self._rows.items():
            values.extend(getattr(earlier, name))

    def build(self) -> TrajectoryAnalysis:
        """Return the frames collected so far."""
        values: dict[str, Any] = dict(self._rows)
        for name in ("class_fractions", "mean_probabilities"):
            values[name] = np.reshape(values[name], (len(self), len(self.classes)))
        counts = values["fault_counts"]
        values["fault_counts"] = np.reshape(counts, (len(self), len(FAULT_KINDS)))
        return TrajectoryAnalysis(classes=self.classes, metadata=dict(self.metadata), **values)

    def row_names(self) -> tuple[str, ...]:
        """Names of the values in `row`."""
        return tuple(self._rows)

    @staticmethod
    def row(frame: FrameAnalysis, number: int, source: str) -> dict[str, Any]:
        """Return what is kept of one frame: the fields of `TrajectoryAnalysis`, one value each."""
        return {
            "frames": number,
            "sources": source,
            "atoms": frame.number_of_atoms,
            "class_fractions": frame.class_fractions,
            "refused_fraction": frame.refused_fraction,
            "mean_probabilities": frame.mean_probabilities,
            "mean_certainty": frame.mean_certainty,
            "mean_order": frame.mean_order,
            "lindemann_index": frame.lindemann_index,
            "snapshot_lindemann": frame.mean_snapshot_lindemann,
            "fault_counts": frame.fault_counts,
            "fault_fraction": frame.fault_fraction,
            "mean_von_mises_strain": frame.mean_von_mises_strain,
            "mean_cell_volume": frame.mean_cell_volume,
            **{name: _stated(frame.metadata.get(name)) for name in CONDITIONS},
        }


def _stated(value: Any) -> float:
    """A number of the metadata; nan where there is none."""
    return float(value) if isinstance(value, int | float) else float("nan")
