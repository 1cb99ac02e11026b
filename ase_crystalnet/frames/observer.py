"""Analyse a simulation while it runs."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.lindemann import (
    LindemannTracker,
    LindemannWindow,
    tracker_of,
    with_lindemann,
)
from ase_crystalnet.io.trajectories.conditions import conditions_of
from ase_crystalnet.results.method import Method

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["Observer"]


class Observer:
    """Analyse a simulation while it runs and write each result to an HDF5 file.

    ``net.observe(dyn, "run.h5", interval=100)`` makes one and attaches it to ASE dynamics or
    optimizers. The file is complete after every frame and can be read meanwhile; close the
    observer, or use it as a context manager, to close the file.

    Parameters
    ----------
    analyzer : CrystalNet
        Or anything with its method `analyze`.
    path : path or None
        Result file to make; None for none.
    atoms : ase.Atoms, optional
        The system. Without it the observer must be called with atoms, or by ASE dynamics that it
        is attached to.
    lindemann : int, "all" or None
        As in `run`.
    centers, spacing
        As in `CrystalNet.analyze`.
    overwrite : bool
        Replace an existing file.
    resume : bool
        Go on after the last frame of an existing file, if there is one, of a simulation that goes
        on from where it was. The Lindemann parameter goes on to the last bit: what it needs of the
        frames before is in the file.
    source : str
        Where the frames come from, for the file.
    settings : mapping, optional
        More that must be the same with `resume`: numbers, strings, lists.

    Raises
    ------
    OutputExistsError, OutputLockedError
        If the file exists, or another process is writing it.
    InputError
        With `resume`, if the file cannot be read or was made with other options; later, at the
        first frame, if it was made by another model.

    Warns
    -----
    UserWarning
        With `resume`, if the file is of a version that did not keep what the Lindemann parameter
        needs: it begins anew.
    """

    def __init__(
        self,
        analyzer: Method,
        path: str | os.PathLike[str] | None,
        atoms: Atoms | None = None,
        *,
        lindemann: LindemannWindow = None,
        centers: Any = "atoms",
        spacing: float | None = None,
        overwrite: bool = False,
        resume: bool = False,
        source: str = "observer",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        from ase_crystalnet.io.results.hdf5_writer import HDF5Writer

        self.analyzer, self.atoms, self.source = analyzer, atoms, source
        self.centers, self.spacing = centers, spacing
        self._tracker = tracker_of(lindemann)
        asked = {"centers": _words(centers), "spacing": spacing, "lindemann": lindemann}
        look_back = None if self._tracker is None else self._tracker.window or 0
        self._writer: HDF5Writer | None = None
        if path is not None:
            self._writer = HDF5Writer(
                path,
                settings={**(settings or {}), **asked},
                overwrite=overwrite,
                resume=resume,
                look_back=look_back,
            )
            if self._tracker is not None and self._writer.frames:
                self._go_on(self._tracker, self._writer)

    @property
    def frames(self) -> int:
        """Number of frames in the file; 0 without one."""
        return 0 if self._writer is None else self._writer.frames

    def __call__(self, atoms: Atoms | None = None) -> FrameAnalysis:
        """Analyse the present state and write it."""
        if atoms is None:
            atoms = self.atoms
        if atoms is None:
            # Attached by hand without atoms: ASE calls observers without arguments, and only the
            # frame of its call knows the dynamics. `CrystalNet.observe` hands the atoms over.
            atoms = getattr(sys._getframe(1).f_locals.get("self"), "atoms", None)
        if atoms is None:
            raise InputError(
                "observer: no atoms; use net.observe(dynamics, path, interval=...), or make it "
                "with atoms=..."
            )
        analysis = self.analyzer.analyze(atoms, centers=self.centers, spacing=self.spacing)
        origin = {"source": self.source, **conditions_of(atoms)}
        analysis = replace(analysis, metadata={**analysis.metadata, **origin})
        if self._tracker is not None:
            analysis = with_lindemann(analysis, self._tracker, atoms)
        if self._writer is not None:
            memory = None if self._tracker is None else self._tracker.memory()
            self._writer.append(analysis, source=self.source, memory=memory)
        return analysis

    def _go_on(self, tracker: LindemannTracker, writer: HDF5Writer) -> None:
        """Have the tracker go on from what the file holds of it."""
        try:
            if writer.memory is None:
                warnings.warn(
                    f"{writer.path}: holds nothing to go on from with the Lindemann "
                    "parameter; it begins anew",
                    stacklevel=3,
                )
            else:
                tracker.remember(writer.memory)
        except InputError as error:
            writer.abandon()
            raise InputError(f"{writer.path}: damaged ({error})") from error
        except BaseException:  # a warning that was made an error
            writer.abandon()
            raise

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, trace)


def _words(centers: Any) -> str:
    """A choice of centres, as what is stored; many points or indices by their hash."""
    if isinstance(centers, str):
        return str(centers)
    values = np.ascontiguousarray(centers)
    content = hashlib.blake2b(values.tobytes(), digest_size=8).hexdigest()
    return f"{values.dtype.name} array {values.shape} {content}"
