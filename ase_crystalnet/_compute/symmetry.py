"""spglib's answers, None where it has none.

Up to version 2.8 spglib returns None where it finds no symmetry; later ones raise, and so do these
once ``SPGLIB_OLD_ERROR_HANDLING`` is set, which ASE does in passing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["answer_of"]


def answer_of(function: Callable[..., Any], *given: Any, **options: Any) -> Any:
    """What a function of spglib returns for these arguments; None if it finds nothing.

    Parameters
    ----------
    function : callable
        Of spglib, such as ``spglib.get_symmetry_dataset``.
    *given, **options
        Its arguments.
    """
    try:
        return function(*given, **options)
    except Exception as error:
        # spglib's own, whose names differ from version to version: it says no, and why.
        if type(error).__module__.split(".")[0] != "spglib":
            raise
        return None
