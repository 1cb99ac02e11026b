"""What every method of analysis does: a structure goes in, a `FrameAnalysis` comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["Method", "Progress"]

Progress = Callable[[int, int], None]
"""Called with the number of windows done and in all."""


class Method(Protocol):
    """A way to analyse a structure: `LocalAnalysis`, `WholeAnalysis`, and `CrystalNet` by both."""

    def analyze(
        self,
        atoms: Atoms,
        centers: Any = "atoms",
        spacing: float | None = None,
        progress: Progress | None = None,
    ) -> FrameAnalysis:
        """Analyse one structure.

        Raises
        ------
        InputError
            The structure or an option cannot be used by this method; named in the message.
        """
