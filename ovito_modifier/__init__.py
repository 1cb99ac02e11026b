"""CrystalNet as a modifier of OVITO pipelines.

``pipeline.modifiers.append(CrystalNetModifier())``; OVITO Pro lists it by itself where the package
is installed. `ase_crystalnet` computes, this package translates.
"""

from __future__ import annotations

from ovito_modifier.modifier import CrystalNetModifier
from ovito_modifier.rendering import load_software_renderer

__all__ = ["CrystalNetModifier"]

load_software_renderer()
