"""Tables of a run, one row a frame: CSV and Parquet."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
from pathlib import Path

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.results.held_file import HeldFile, named, new_part, remove_part
from ase_crystalnet.io.trajectories.stream import StreamFrame
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.trajectory import CONDITIONS, TrajectoryAnalysis

__all__ = ["CsvFile", "ParquetFile"]


class _TableFile:
    """A table, written when all frames are known."""

    note = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held: HeldFile | None = None

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        """Nothing yet: the rows come from the summary."""

    def complete(self, summary: TrajectoryAnalysis) -> None:
        """Write all of it."""
        self.held = new_part(self.path)
        with named(self.path), open(os.dup(self.held.handle), "wb") as file:
            file.write(self._content(summary))

    def _content(self, summary: TrajectoryAnalysis) -> bytes:
        raise NotImplementedError

    def rename(self) -> None:
        """Give the file its name."""
        assert self.held is not None
        with named(self.path):
            self.held.rename(self.path)
        self.held.close()

    def discard(self) -> None:
        """Remove it, if it has not got its name."""
        if self.held is not None:
            remove_part(self.held, self.path)


class CsvFile(_TableFile):
    """Numbers with six digits, for eyes and spreadsheets."""

    def _content(self, summary: TrajectoryAnalysis) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(summary.columns())
        for row in summary.rows():
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row])
        return text.getvalue().encode("utf-8")


class ParquetFile(_TableFile):
    """The same columns to the last bit, with their types; units are in the fields' metadata.

    Raises
    ------
    InputError
        The package pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if importlib.util.find_spec("pyarrow") is None:
            raise InputError(
                f"{path}: Parquet needs the package pyarrow (pip install pyarrow, or "
                "ase-crystalnet[parquet]); .csv needs none"
            )

    def _content(self, summary: TrajectoryAnalysis) -> bytes:
        import pyarrow
        from pyarrow import parquet

        table = pyarrow.table(summary.columns())
        units = {f"{name}_{unit}": unit for name, unit in CONDITIONS.items() if unit}
        for place, field in enumerate(table.schema):
            if field.name in units:
                told = field.with_metadata({"unit": units[field.name]})
                table = table.set_column(place, told, table.column(place))
        image = io.BytesIO()
        parquet.write_table(table, image)
        return image.getvalue()
