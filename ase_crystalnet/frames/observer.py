"""Analyse a simulation while it runs."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.run import Analyzer, LindemannWindow, _tracker, _with_lindemann

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["Observer"]


class Observer:
    """Analyse a simulation while it runs and write each result to an HDF5 file.

    Attach it to ASE dynamics or optimizers: ``dyn.attach(Observer(net, "run.h5"), interval=100)``.
    The file is complete after every frame and can be read meanwhile; close the observer, or use it
    as a context manager, to close the file.

    Parameters
    ----------
    analyzer : CrystalNet
        Or anything with its method `analyze`.
    path : path
        Result file to make.
    atoms : ase.Atoms, optional
        The system; by default that of the dynamics that calls.
    lindemann : int, "all" or None
        As in `run`.
    centers, spacing
        As in `CrystalNet.analyze`.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    OutputExistsError, OutputLockedError
        If the file is there, or another process is writing it.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        path: str | os.PathLike[str],
        atoms: Atoms | None = None,
        *,
        lindemann: LindemannWindow = None,
        centers: Any = "atoms",
        spacing: float | None = None,
        overwrite: bool = False,
    ) -> None:
        from ase_crystalnet.io.results.hdf5_writer import HDF5Writer

        self.analyzer, self.atoms = analyzer, atoms
        self.centers, self.spacing = centers, spacing
        self._tracker = _tracker(lindemann)
        self._writer = HDF5Writer(path, overwrite=overwrite)

    @property
    def frames(self) -> int:
        """Number of frames written."""
        return self._writer.frames

    def __call__(self, atoms: Atoms | None = None) -> FrameAnalysis:
        """Analyse the present state and write it."""
        if atoms is None:
            atoms = self.atoms
        if atoms is None:
            # ASE calls observers without arguments; the dynamics is the `self` of the caller.
            caller = sys._getframe(1).f_locals.get("self")
            atoms = getattr(caller, "atoms", None)
        if atoms is None:
            raise InputError(
                "observer: no atoms; attach it to ASE dynamics, or make it with atoms=..."
            )
        analysis = self.analyzer.analyze(atoms, centers=self.centers, spacing=self.spacing)
        if self._tracker is not None:
            analysis = _with_lindemann(analysis, self._tracker, atoms)
        self._writer.append(analysis, source="observer")
        return analysis

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.__exit__(kind, error, trace)
