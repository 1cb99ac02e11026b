"""What is done with each frame of a simulation that runs, however it comes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.observer import Observer
from ase_crystalnet.results.trajectory import TrajectoryAnalysis, TrajectoryBuilder

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.frames.lindemann import LindemannWindow
    from ase_crystalnet.results.frame import FrameAnalysis
    from ase_crystalnet.results.method import Method

__all__ = ["Callback", "LiveWarning", "Monitor"]

Callback = Callable[["FrameAnalysis"], Any]
"""Called after each frame; something true ends the simulation."""


class LiveWarning(UserWarning):
    """A frame of a running simulation could not be analysed; the simulation goes on."""


class Monitor:
    """Analyses frames as they come, writes them, tells others, and never harms the simulation.

    Parameters
    ----------
    analyzer : CrystalNet, optional
        Or anything with its method `analyze`; by default ``CrystalNet()``.
    path : path, optional
        HDF5 file, complete after every frame; it can be read meanwhile.
    on : callable, optional
        Called with the `FrameAnalysis` of each frame; if it returns something true, `stopped`
        becomes true, and whoever drives the simulation ends it.
    lindemann : int, "all" or None
        Frames that the Lindemann parameter averages over.
    centers, spacing
        As in `CrystalNet.analyze`.
    overwrite, resume : bool
        Replace the file, or go on after its last frame. Frames of steps that are already in it are
        passed over: a simulation that was started again from a restart file repeats some.
    strict : bool
        Raise what goes wrong in a frame or in `on`. Otherwise it is a warning, and the simulation
        goes on.
    source : str
        Where the frames come from, for the file.
    settings : mapping, optional
        More that must be the same with `resume`: numbers, strings, lists.

    Attributes
    ----------
    frame : FrameAnalysis or None
        The last.
    stopped : bool
        A callback has asked for the end.
    failed : int
        Frames that could not be analysed.

    Raises
    ------
    OutputExistsError, OutputLockedError
        If the file exists, or another process is writing it.
    InputError
        With `resume`, if the file cannot be read or was made with other options.
    """

    def __init__(
        self,
        analyzer: Method | None = None,
        path: str | os.PathLike[str] | None = None,
        *,
        on: Callback | None = None,
        lindemann: LindemannWindow = None,
        centers: Any = "atoms",
        spacing: float | None = None,
        overwrite: bool = False,
        resume: bool = False,
        strict: bool = False,
        source: str = "live",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if resume and path is None:
            raise InputError("resume: needs a file to go on with")
        if analyzer is None:
            from ase_crystalnet.analyzer import CrystalNet

            analyzer = CrystalNet()
        self._observer = Observer(
            analyzer,
            path,
            lindemann=lindemann,
            centers=centers,
            spacing=spacing,
            overwrite=overwrite,
            resume=resume,
            source=source,
            settings=settings,
        )
        self._on, self._strict = on, strict
        self.frame: FrameAnalysis | None = None
        self.stopped = False
        self.failed = 0
        self._builder: TrajectoryBuilder | None = None
        self._last_step = -np.inf
        if path is not None and self._observer.frames:
            self._remember(path)

    @property
    def frames(self) -> int:
        """Frames analysed, those of a file that is gone on with included."""
        return 0 if self._builder is None else len(self._builder)

    @property
    def last_step(self) -> float:
        """Step of the last frame; minus infinity before the first."""
        return self._last_step

    def summary(self) -> TrajectoryAnalysis | None:
        """One row a frame; None before the first."""
        return None if self._builder is None else self._builder.build()

    def __call__(self, atoms: Atoms) -> FrameAnalysis | None:
        """Analyse a frame.

        Returns
        -------
        FrameAnalysis or None
            None where it was passed over, or failed and `strict` is off.
        """
        step = float(atoms.info.get("step", np.nan))
        if step <= self._last_step:
            return None
        try:
            analysis = self._observer(atoms)
            self._take(analysis, step)
            if self._on is not None and self._on(analysis):
                self.stopped = True
        except Exception as error:
            if self._strict:
                raise
            self.failed += 1
            at = "" if np.isnan(step) else f"step {step:.0f}: "
            warnings.warn(
                f"live: {at}{type(error).__name__}: {error}; the simulation goes on",
                LiveWarning,
                stacklevel=2,
            )
            return None
        return analysis

    def _take(self, analysis: FrameAnalysis, step: float) -> None:
        if self._builder is None:
            self._builder = TrajectoryBuilder(analysis.classes, analysis.metadata)
        self._builder.append(analysis, len(self._builder), self._observer.source)
        self.frame = analysis
        if np.isfinite(step):
            self._last_step = step

    def _remember(self, path: str | os.PathLike[str]) -> None:
        """The frames that a file holds already."""
        from ase_crystalnet.io.results.hdf5_reader import ResultFile

        try:
            with ResultFile(path) as file:
                earlier = file.trajectory()
        except BaseException:
            self._observer.close()
            raise
        self._builder = TrajectoryBuilder(earlier.classes, earlier.metadata)
        self._builder.extend(earlier)
        known = earlier.step[np.isfinite(earlier.step)]
        self._last_step = float(known.max()) if len(known) else -np.inf

    def close(self) -> None:
        """Close the file."""
        self._observer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._observer.__exit__(kind, error, trace)
