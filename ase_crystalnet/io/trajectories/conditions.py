"""Time, step, temperature, pressure and energy of a frame, as far as its file states them.

Programs call them many things. Units are those that the file or its format has; what has no known
unit is left out, but for extended XYZ, whose values are in ASE's units by convention.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["conditions_of", "stated_in"]

#: Names in `Atoms.info` in lower case, and factors to the units of `trajectory.CONDITIONS`.
_NAMES: dict[str, dict[str, float]] = {
    "step": {"step": 1.0, "timestep": 1.0, "md_step": 1.0, "frame_step": 1.0},
    "time": {"time_ps": 1.0, "time": 1.0, "time_fs": 1e-3, "time_ns": 1e3},
    "temperature": {"temperature": 1.0, "temp": 1.0, "temperature_k": 1.0, "t_k": 1.0},
    "pressure": {"pressure_gpa": 1.0, "pressure": 1.0, "pressure_bar": 1e-4},
    "energy": {"energy": 1.0, "potential_energy": 1.0, "total_energy": 1.0, "free_energy": 1.0},
}  # fmt: skip
_GPA = 160.21766208  # of one eV per cubic Angstrom
_HARTREE = 27.211386245988
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?)"


def conditions_of(atoms: Atoms) -> dict[str, float]:
    """What is known of a frame, by the names of `results.trajectory.CONDITIONS`, in their units.

    The energy of a calculator comes before others; a temperature is taken from momenta, and a
    pressure from the stress, where none is stated.
    """
    stated = {str(key).lower(): value for key, value in atoms.info.items()}
    found: dict[str, float] = {}
    for name, keys in _NAMES.items():
        for key, factor in keys.items():
            value = _number(stated.get(key))
            if value is not None:
                found[name] = value * factor
                break
    results = getattr(atoms.calc, "results", None) or {}
    energy = _number(results.get("energy"))
    if energy is not None:
        found["energy"] = energy
    if "pressure" not in found and (pressure := _pressure(results.get("stress"))) is not None:
        found["pressure"] = pressure
    if "temperature" not in found and "momenta" in atoms.arrays and len(atoms) > 1:
        with np.errstate(all="ignore"):
            temperature = float(atoms.get_temperature())
        if math.isfinite(temperature) and temperature > 0:
            found["temperature"] = temperature
    return found


def stated_in(comment: str) -> dict[str, float]:
    """Step, time (ps) and energy (eV) in the comment of a plain XYZ frame.

    LAMMPS writes ``Atoms. Timestep: 100``, CP2K ``i = 5, time = 2.500, E = -17.1`` (fs, Hartree),
    i-PI ``Step: 10``.
    """
    found: dict[str, float] = {}
    if cp2k := re.search(rf"\bi\s*=\s*(\d+),\s*time\s*=\s*{_NUMBER},", comment):
        found["step"], found["time_ps"] = float(cp2k[1]), float(cp2k[2]) * 1e-3
        if energy := re.search(rf"\bE\s*=\s*{_NUMBER}", comment):
            found["energy"] = float(energy[1]) * _HARTREE
    elif step := re.search(r"\b(?:time ?)?step\b\s*[:=]?\s*(\d{1,15})", comment, re.IGNORECASE):
        found["step"] = float(step[1])
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _pressure(stress: Any) -> float | None:
    """Of a stress in eV per cubic Angstrom: minus a third of its trace, GPa."""
    values = np.asarray(stress, dtype=float).ravel() if stress is not None else np.empty(0)
    if len(values) not in (6, 9) or not np.isfinite(values).all():
        return None
    diagonal = values[:3] if len(values) == 6 else values[::4]
    return -float(diagonal.mean()) * _GPA
