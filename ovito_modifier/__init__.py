"""CrystalNet as modifiers of OVITO pipelines.

``pipeline.modifiers.append(CrystalNetModifier())``, or ``CrystalNetCrystalsModifier()``; OVITO Pro
lists them by itself where the package is installed. `ase_crystalnet` computes, this package
translates.
"""

from __future__ import annotations

from ovito_modifier.crystals import CrystalNetCrystalsModifier
from ovito_modifier.modifier import CrystalNetModifier
from ovito_modifier.rendering import load_software_renderer

__all__ = ["CrystalNetCrystalsModifier", "CrystalNetModifier"]

load_software_renderer()
