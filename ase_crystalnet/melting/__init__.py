"""Solid or liquid: of one configuration, of the two halves of a cell, of fronts that move."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
