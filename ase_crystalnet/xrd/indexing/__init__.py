"""Indexing: lattice parameters from the lines alone, and the space groups their absences leave."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
