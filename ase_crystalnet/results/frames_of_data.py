"""Results in the containers of others: pandas, xarray, and HTML for notebooks."""

from __future__ import annotations

import html
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.results.table import Quantity, quantities_of

__all__ = ["atom_columns", "html_table", "to_dataframe", "to_xarray", "window_columns"]

#: Rows of a table in a notebook; a longer one is shown by its two ends.
_ROWS = 12


class Frame(Protocol):
    """What is asked of a `FrameAnalysis`."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @classmethod
    def quantities(cls) -> dict[str, Quantity]: ...
    def class_names(self) -> Any: ...


def window_columns(frame: Frame) -> dict[str, Any]:
    """One column a quantity of the windows; vectors and tensors by their components."""
    return _columns(frame, "windows")


def atom_columns(frame: Frame) -> dict[str, Any]:
    """One column a quantity of the atoms, and the name of the class."""
    return {"class": frame.class_names(), **_columns(frame, "atoms")}


def _columns(frame: Frame, rows: str) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, quantity in frame.quantities().items():
        values = getattr(frame, name)
        if values is None or quantity.rows != rows:
            continue
        short = name.removeprefix("atom_")
        if values.ndim == 1:
            table[short] = values
            continue
        for place in np.ndindex(values.shape[1:]):
            by_class = quantity.shape[1:] == ("C",)
            part = (
                frame.classes[place[0]]
                if by_class
                else "".join(
                    "xyzw"[i] if (quantity.shape[1:] in ((3,), (4,), (3, 3))) else str(i)
                    for i in place
                )
            )
            table[f"{short}_{part}"] = values[(slice(None), *place)]
    return table


def to_dataframe(columns: Mapping[str, Any]) -> Any:
    """Columns as a `pandas.DataFrame`.

    Raises
    ------
    InputError
        pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise InputError("to_dataframe needs the package pandas (pip install pandas)") from error
    return pandas.DataFrame(columns)


def to_xarray(trajectory: Any, units: Mapping[str, str]) -> Any:
    """A dataset over frames and classes; see `TrajectoryAnalysis.to_xarray`."""
    try:
        xarray = importlib.import_module("xarray")
    except ImportError as error:
        raise InputError("to_xarray needs the package xarray (pip install xarray)") from error
    data = {}
    for name, quantity in quantities_of(trajectory).items():
        if name == "frames":
            continue
        over = ("frame", "class")[: len(quantity.shape)]
        attributes = {"units": units[name]} if units.get(name) else {}
        data[name] = (over, getattr(trajectory, name), attributes)
    data["source"] = (("frame",), np.asarray(trajectory.sources, dtype=str), {})
    return xarray.Dataset(
        data, coords={"frame": trajectory.frames, "class": list(trajectory.classes)}
    )


def html_table(title: str, columns: Mapping[str, Sequence[Any]]) -> str:
    """A table as HTML: a title, the names of the columns, and the first and last rows."""
    rows = list(zip(*columns.values(), strict=True))
    if len(rows) > _ROWS:
        half = _ROWS // 2
        rows = [*rows[:half], ("...",) * len(columns), *rows[-half:]]

    def cell(value: Any) -> str:
        text = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
        return f"<td>{html.escape(text)}</td>"

    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return (
        f"<div><b>{html.escape(title)}</b><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )
