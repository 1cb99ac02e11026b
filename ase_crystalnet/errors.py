"""Exceptions of CrystalNet: one line each, saying what was given, what was expected, what to do."""

from __future__ import annotations


class CrystalNetError(ValueError):
    """Base of all errors raised on purpose by this package."""


class InputError(CrystalNetError):
    """The structure, trajectory or parameter handed in cannot be analysed."""


class SparseWindowError(CrystalNetError):
    """A window holds too few atoms and ``on_sparse="raise"`` was asked for."""


class ModelError(CrystalNetError):
    """A model is unknown, damaged, or its weights and its card do not belong together."""


class OutputExistsError(CrystalNetError):
    """The output is there already and overwriting was not asked for."""


class OutputLockedError(CrystalNetError):
    """Another process is writing the same output."""


class FileWarning(UserWarning):
    """A file was read, but something that decides the answer was missing in it, or was guessed."""


class WorkerError(CrystalNetError):
    """Processes that were to analyse frames died, did not start or could not be reached."""
