"""Keep OVITO's software renderer and TensorFlow apart.

Both bring a compiler, LLVM, in different versions. Where there is no graphics processor, OVITO
draws by Mesa's software driver, and this finds TensorFlow's LLVM first, with which it ends the
whole program. Loaded early with "deep binding", the driver uses its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

__all__ = ["load_software_renderer"]

DRIVER = "libvulkan_lvp.so"


def load_software_renderer() -> bool:
    """Load Mesa's software driver if it is there; True if it was."""
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError):
        ctypes.CDLL(DRIVER, mode=os.RTLD_NOW | os.RTLD_LOCAL | os.RTLD_DEEPBIND)
        return True
    return False
