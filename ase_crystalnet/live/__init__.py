"""A simulation that runs: its frames come to the analysis from memory, by a socket or by a call."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
