"""How the help shows options, and what the shell offers for them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["Command", "Group", "model_names"]


def _as_flags(parameters: list[Any]) -> list[Any]:
    """Show no type behind options that take no value."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters


class Command(TyperCommand):
    """A command whose flags are shown as flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _as_flags(super().get_params(ctx))


class Group(TyperGroup):
    """The same for a group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _as_flags(super().get_params(ctx))


def model_names(incomplete: str) -> list[str]:
    """Names of the shipped models that begin like this, for the shell."""
    from ase_crystalnet.classifier.card import models_folder

    names = (path.parent.name for path in sorted(models_folder().glob("*/card.json")))
    return [name for name in names if name.startswith(incomplete)]
