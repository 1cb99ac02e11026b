"""A calculator that is watched: for i-PI, socket drivers and whatever asks ASE for forces."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from ase_crystalnet.errors import InputError
from ase_crystalnet.live.monitor import Monitor

__all__ = ["WatchedCalculator"]


class WatchedCalculator(Calculator):
    """Hands every call to a calculator, and every N-th structure to a `Monitor`.

    A program that drives the dynamics and asks for forces, such as i-PI through
    ``ase.calculators.socketio.SocketClient``, is thereby analysed without knowing of it.

    Parameters
    ----------
    calculator : ase calculator
        What answers.
    monitor : Monitor
        What is done with each frame. The number of the call is its step.
    every : int
        Structures from one analysis to the next.

    Attributes
    ----------
    stopped : bool
        A callback of the monitor has asked for the end.
    """

    def __init__(self, calculator: Any, monitor: Monitor, every: int = 1) -> None:
        if every < 1:
            raise InputError(f"every: expected a number of structures from 1 on, got {every}")
        super().__init__()
        self.calculator, self.monitor, self.every = calculator, monitor, every
        self.implemented_properties = list(calculator.implemented_properties)
        self.calls = 0

    @property
    def stopped(self) -> bool:
        """Whether a callback of the monitor has asked for the end."""
        return self.monitor.stopped

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Have it calculated, and the structure analysed if it is its turn."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        self.calculator.calculate(atoms, properties, system_changes)
        self.results = self.calculator.results
        if self.calls % self.every == 0:
            seen = self.atoms.copy()
            seen.info["step"] = self.calls
            self.monitor(seen)
        self.calls += 1
