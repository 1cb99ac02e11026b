"""Crystals of a frame: grains, their average unit cells, space groups and chemical order."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
