"""A known crystal in a reconstruction: its planes, and the names of poles."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
