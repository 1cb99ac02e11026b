"""When the inner loops are compiled: how many, how long it takes, and who wants to know.

Loops that were compiled before are read from the cache and do not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Compilation", "compilation", "listen"]


@dataclass
class Compilation:
    """What has been compiled in this process.

    Attributes
    ----------
    loops : int
        Functions, with those that they call.
    seconds : float
        Time that took.
    on_begin : callable or None
        Called before the first of them.
    """

    loops: int = 0
    seconds: float = 0.0
    on_begin: Callable[[], None] | None = None
    _depth: int = 0
    _begun: float = 0.0

    @property
    def under_way(self) -> bool:
        """Whether a function is being compiled."""
        return self._depth > 0

    def began(self) -> None:
        """A function is going to be compiled."""
        if self._depth == 0:
            self._begun = time.monotonic()
            if self.loops == 0 and self.on_begin is not None:
                self.on_begin()
        self._depth += 1

    def ended(self) -> None:
        """A function has been compiled."""
        self._depth -= 1
        self.loops += 1
        if self._depth == 0:
            self.seconds += time.monotonic() - self._begun


#: Of this process.
compilation = Compilation()


def listen() -> None:
    """Have numba tell `compilation` what it compiles."""
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            compilation.began()

        def on_end(self, event: Any) -> None:
            compilation.ended()

    event.register("numba:compile", Listener())
