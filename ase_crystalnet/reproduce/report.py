"""What a reproduced table or figure is: cells, checks, pictures, and how they look on a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Cell", "Check", "Picture", "Report", "Table", "checks_table", "format_cell"]

Cell = str | int | float | None


def format_cell(value: Cell, decimals: int = 2) -> str:
    """A cell in words: floats with `decimals`, "-" where nothing is known."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{decimals}f}"
    return str(value)


@dataclass(frozen=True)
class Table:
    """One table, as numbers; the page's text is made from it.

    Attributes
    ----------
    title : str
    header : sequence of str
    rows : sequence of sequences of cells
        As long as the header. None: not known.
    note : str
        Written under the table.
    decimals : int
        Of floats.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    decimals: int = 2

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(
                    f"table {self.title!r}: a row of {len(row)} cells under a header of "
                    f"{len(self.header)}: {row!r}"
                )

    def markdown(self) -> str:
        """Title, table and note in markdown."""
        lines = [f"**{self.title}**", ""]
        lines.append("| " + " | ".join(self.header) + " |")
        lines.append("|" + "---|" * len(self.header))
        for row in self.rows:
            lines.append("| " + " | ".join(format_cell(c, self.decimals) for c in row) + " |")
        if self.note:
            lines += ["", self.note]
        return "\n".join(lines)


@dataclass(frozen=True)
class Check:
    """Something the work is to show, and whether it does.

    Attributes
    ----------
    name : str
        Name of the check.
    wanted, found : str
        In words, with numbers.
    passed : bool
    """

    name: str
    wanted: str
    found: str
    passed: bool


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with its caption; `figure` is None for one that lies on disk already."""

    name: str
    caption: str
    figure: Figure | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """Outcome of one step: what stands on the page, and the numbers behind it.

    Attributes
    ----------
    tables, checks, pictures : tuples
    data : mapping
        Whatever else is worth keeping, as JSON takes it.
    """

    tables: tuple[Table, ...] = ()
    checks: tuple[Check, ...] = ()
    pictures: tuple[Picture, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything but the figures themselves, whose names are kept."""
        return {
            "tables": [asdict(table) for table in self.tables],
            "checks": [asdict(check) for check in self.checks],
            "pictures": [{"name": p.name, "caption": p.caption} for p in self.pictures],
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Report:
        """The report of a stored step."""
        return cls(
            tables=tuple(Table(**table) for table in stored["tables"]),
            checks=tuple(Check(**check) for check in stored["checks"]),
            pictures=tuple(Picture(**picture) for picture in stored["pictures"]),
            data=stored["data"],
        )


def checks_table(title: str, checks: Sequence[Check]) -> Table:
    """Checks as a table, one a row."""
    rows = [(c.name, c.wanted, c.found, c.passed) for c in checks]
    return Table(title, ("what", "wanted", "found", "met"), rows)
