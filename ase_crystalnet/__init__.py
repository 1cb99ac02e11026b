"""CrystalNet: which crystal is this, how sure are we, how disordered is it?

The public names are imported when they are first used, so that ``import ase_crystalnet`` is quick.
They stand in ``__init__.pyi``, the one list for the interpreter, type checkers and readers; the
same holds for every folder of the package.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
