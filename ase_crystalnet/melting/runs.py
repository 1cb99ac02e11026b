"""Two-phase runs: from the frames of their files to the motion of their fronts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.job import named
from ase_crystalnet.io.trajectories.conditions import conditions_of
from ase_crystalnet.io.trajectories.stream import iter_frames
from ase_crystalnet.melting.fronts import FrontMotion, front_motion
from ase_crystalnet.melting.interfaces import find_interfaces

if TYPE_CHECKING:
    from ase_crystalnet.results.method import Method

__all__ = ["TwoPhaseRun", "analyze_run", "rows_of"]


@dataclass(frozen=True)
class TwoPhaseRun:
    """A trajectory of a crystal with its melt.

    Attributes
    ----------
    path : path
        Anything that `crystalnet analyze` reads.
    temperature : float, K, optional
        By default the mean that its frames state.
    """

    path: str | os.PathLike[str]
    temperature: float | None = None


def analyze_run(
    run: TwoPhaseRun,
    analyzer: Method,
    *,
    frames: tuple[int, int | None, int] = (0, None, 1),
    timestep: float | None = None,
    axis: int | None = None,
    spacing: float | None = None,
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> FrontMotion:
    """Follow the fronts of a run.

    Parameters
    ----------
    run : TwoPhaseRun
    analyzer : CrystalNet
    frames : start, stop, step
        Which frames.
    timestep : float, ps, optional
        Of the simulation, for files that state the step but no time.
    axis, spacing
        As of `find_interfaces`; the axis is that of the first frame with interfaces.
    format, reader
        As of `CrystalNet.run`.
    progress : callable, optional
        Called with the number of frames done.

    Raises
    ------
    InputError
        The file cannot be read, or states neither times nor steps, or no temperature.
    """
    times, temperatures, found = [], [], []
    name = Path(run.path).name
    for frame in iter_frames(Path(run.path), *frames, format=format, reader=dict(reader or {})):
        stated = conditions_of(frame.atoms)
        times.append(_time(stated, timestep, name))
        temperatures.append(stated.get("temperature", np.nan))
        with named(frame):
            found.append(find_interfaces(frame.atoms, analyzer, axis=axis, spacing=spacing))
        if axis is None and found[-1].found:
            axis = found[-1].axis
        if progress is not None:
            progress(len(found))
    if not found:
        raise InputError(f"{name}: no frames among those asked for")
    temperature = run.temperature
    if temperature is None:
        known = np.isfinite(temperatures)
        if not known.any():
            raise InputError(
                f"{name}: states no temperature; give it after the name, {name}@900, in kelvin"
            )
        temperature = float(np.mean(np.array(temperatures)[known]))
    return front_motion(times, found, temperature=float(temperature), name=name)


def _time(stated: Mapping[str, float], timestep: float | None, name: str) -> float:
    if timestep is not None and "step" in stated:
        return stated["step"] * timestep
    if "time" in stated:
        return stated["time"]
    raise InputError(
        f"{name}: states no time; give the time step of the simulation (--timestep, ps)"
        if "step" in stated
        else f"{name}: its frames state neither time nor step; write them as extended XYZ"
    )


def rows_of(motions: Sequence[FrontMotion]) -> list[dict[str, Any]]:
    """One row a frame of all runs, for a table."""
    return [
        {
            "run": motion.name,
            "temperature_K": motion.temperature,
            "time_ps": time,
            "thickness_A": thickness,
            "thickness_error_A": error,
            "solid_fraction": share,
        }
        for motion in motions
        for time, thickness, error, share in zip(
            motion.time,
            motion.thickness,
            motion.thickness_error,
            motion.solid_fraction,
            strict=True,
        )
    ]
