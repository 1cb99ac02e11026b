"""Pictures of what the OVITO modifier has done, and its speed."""

from __future__ import annotations

import subprocess
import sys
import time
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest

from tests.support import REPOSITORY

pytest.importorskip("ovito", reason="OVITO is not installed (pip install '.[ovito]')")

from ovito.io.ase import ase_to_ovito

from ase_crystalnet import crystals
from ase_crystalnet.analyzer import CrystalNet
from ovito_modifier import CrystalNetModifier, rendering

DRIVERS = [Path(folder) / "vulkan" / "icd.d" for folder in ("/usr/share", "/etc")]

needs_vulkan = pytest.mark.skipif(
    sys.platform.startswith("linux")
    and not (find_library("vulkan") and any(list(folder.glob("*.json")) for folder in DRIVERS)),
    reason="no Vulkan driver (apt-get install libvulkan1 mesa-vulkan-drivers)",
)

SCRIPT = """
import sys
import tensorflow  # the modifier loads it later; at its worst it is there first
from ase_crystalnet import testing
from ovito.io.ase import ase_to_ovito
from ovito.pipeline import Pipeline, StaticSource
from ovito.vis import StandardRenderer, Viewport
from ovito_modifier import CrystalNetModifier

data = ase_to_ovito(crystals.supercell(crystals.fcc(), 500))
pipeline = Pipeline(source=StaticSource(data=data))
pipeline.modifiers.append(CrystalNetModifier())
pipeline.add_to_scene()
view = Viewport(type=Viewport.Type.Ortho, camera_dir=(2, 1, -1))
view.zoom_all((160, 120))
view.render_image(size=(160, 120), filename=sys.argv[1], renderer=StandardRenderer())
"""


@needs_vulkan
def test_render_what_was_found(tmp_path: Path):
    """In a process of its own: a fault of the drivers would end this one."""
    path = tmp_path / "picture.png"
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    from PIL import Image

    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int).reshape(-1, 3)
    red, green, blue = pixels.T
    fcc = (green > red + 60) & (green > blue + 60)
    assert fcc.mean() > 0.15


def test_no_software_renderer_is_no_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rendering, "DRIVER", "libnothing_of_the_kind.so")
    assert rendering.load_software_renderer() is False


@pytest.mark.slow
def test_little_is_added_to_the_analysis(monkeypatch: pytest.MonkeyPatch):
    """10^5 particles on a grid: conversion and output take less than 10 % of the analysis."""
    data = ase_to_ovito(crystals.supercell(crystals.fcc(), 100_000, sigma=0.05))
    spent = []
    analyze = CrystalNet.analyze

    def timed(self, *args, **options):
        start = time.perf_counter()
        try:
            return analyze(self, *args, **options)
        finally:
            spent.append(time.perf_counter() - start)

    small = ase_to_ovito(crystals.supercell(crystals.fcc(), 500))
    small.apply(CrystalNetModifier(centers="grid"))
    monkeypatch.setattr(CrystalNet, "analyze", timed)
    start = time.perf_counter()
    data.apply(CrystalNetModifier(centers="grid"))
    added = time.perf_counter() - start - spent[0]
    assert data.attributes["CrystalNet.fraction.FCC"] > 0.99
    assert added < 0.1 * spent[0], f"{added:.2f} s on top of {spent[0]:.2f} s"
    sys.stdout.write(f"{added:.2f} s on top of {spent[0]:.2f} s\n")
