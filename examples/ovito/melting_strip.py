"""Melting copper in OVITO: a strip of pictures, a session file, and three methods side by side.

    python examples/ovito/melting_strip.py [--output DIR]

writes into DIR (by default ``ovito-output``)

* ``melting.png``: frames of the demo trajectory, coloured by structure type (above) and by
  certainty (below);
* ``methods.png`` and ``methods.txt``: PTM, adaptive CNA and CrystalNet on the frame before the
  melting fronts set out, the hottest that is still solid inside;
* ``melting.ovito``: the pipeline, to be opened with OVITO Pro.

Needs the extra ``ovito``; rendering needs a Vulkan driver (Debian: ``apt-get install
--no-install-recommends libvulkan1 mesa-vulkan-drivers``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ovito
from ovito.io import import_file
from ovito.modifiers import (
    ColorCodingModifier,
    CommonNeighborAnalysisModifier,
    PolyhedralTemplateMatchingModifier,
)
from ovito.pipeline import Pipeline
from ovito.vis import StandardRenderer, Viewport
from PIL import Image, ImageDraw, ImageFont

from ovito_modifier import CrystalNetModifier

DEMO = Path(__file__).resolve().parents[1] / "demo" / "heating.extxyz.gz"
FRAMES = (0, 22, 27, 30, 32, 35)
#: The last frame before the two melting fronts run inward, 34 K above the melting point.
HOTTEST_SOLID = 25
SIZE, CROP = (170, 330), (8, 40, 162, 290)  # the cell is taller than the slab
WIDTH, HEIGHT = CROP[2] - CROP[0], CROP[3] - CROP[1]
INK, PAPER = (40, 40, 40), (255, 255, 255)
METHODS = ("PTM, RMSD cutoff 0.1", "PTM, no cutoff", "adaptive CNA", "CrystalNet")
CERTAINTY = (0.3, 1.0)


def pipeline(*modifiers: Any) -> Pipeline:
    """The demo trajectory and some modifiers; the atoms as balls that nearly touch."""
    # Said outright, as OVITO 3.17 sometimes takes a compressed file for a single frame.
    made = import_file(str(DEMO), multiple_frames=True)
    made.source.data.cell.vis.enabled = False
    made.source.data.particles.vis.radius = 1.28
    made.modifiers.extend(modifiers)
    return made


def picture(made: Pipeline, frame: int) -> Image.Image:
    """A view along the layers, the two free surfaces above and below."""
    made.add_to_scene()
    try:
        view = Viewport(type=Viewport.Type.Front)
        view.zoom_all(SIZE)
        shot = view.render_image(size=SIZE, frame=frame, renderer=StandardRenderer())
    finally:
        made.remove_from_scene()
    whole = Image.frombuffer("RGBA", SIZE, bytes(shot.bits()), "raw", "RGBA", 0, 1)
    return whole.convert("RGB").crop(CROP)


def font(size: int) -> Any:
    return ImageFont.load_default(size)


def assemble(
    rows: Sequence[Sequence[Image.Image]],
    above: Sequence[str],
    beside: Sequence[str],
    legend: Sequence[tuple[str, tuple[int, int, int]]],
) -> Image.Image:
    """Pictures in rows, with words above and beside them, a legend below."""
    top, left, gap, bottom = 40, 96 if any(beside) else 8, 6, 30
    width = left + len(rows[0]) * (WIDTH + gap)
    sheet = Image.new("RGB", (width, top + len(rows) * (HEIGHT + gap) + bottom), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, words in enumerate(above):
        place = (left + column * (WIDTH + gap) + WIDTH / 2, top / 2)
        draw.text(place, words, INK, font(14), anchor="mm", align="center")
    for row, (pictures, words) in enumerate(zip(rows, beside, strict=True)):
        height = top + row * (HEIGHT + gap)
        draw.text((8, height + HEIGHT / 2), words, INK, font(14), anchor="lm")
        for column, shot in enumerate(pictures):
            sheet.paste(shot, (left + column * (WIDTH + gap), height))
    x = left
    for words, color in legend:
        y = sheet.height - bottom / 2
        draw.ellipse((x, y - 6, x + 12, y + 6), fill=color, outline=INK)
        draw.text((x + 18, y), words, INK, font(14), anchor="lm")
        x += 34 + draw.textlength(words, font(14))
    # Few colours keep the file small; an octree keeps the rare ones among them.
    return sheet.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def used_types(data: Any) -> list[tuple[str, tuple[int, int, int]]]:
    """Names and colours of the types that more than half a percent of the atoms have."""
    kinds = data.particles["Structure Type"]
    share = {entry.id: (kinds[...] == entry.id).mean() for entry in kinds.types}
    return [
        (entry.name, tuple(round(255 * part) for part in entry.color))
        for entry in kinds.types
        if share[entry.id] > 0.005
    ]


def melting_strip(output: Path) -> None:
    by_type = pipeline(CrystalNetModifier())
    low, high = CERTAINTY
    by_certainty = pipeline(
        CrystalNetModifier(color_by_type=False),
        ColorCodingModifier(
            property="CrystalNet Certainty",
            gradient=ColorCodingModifier.Viridis(),
            start_value=low,
            end_value=high,
        ),
    )
    rows = [[picture(made, frame) for frame in FRAMES] for made in (by_type, by_certainty)]
    words = []
    legend: dict[str, tuple[int, int, int]] = {}
    for frame in FRAMES:
        data = by_type.compute(frame)
        fcc = data.attributes["CrystalNet.fraction.FCC"]
        words.append(f"{data.attributes['temperature']:.0f} K\n{100 * fcc:.0f} % fcc")
        legend.update(used_types(data))
    shades = [low, (low + high) / 2, high]
    legend.update(
        {
            f"certainty {shade:.2f}": color
            for shade, color in zip(
                shades, ((68, 1, 84), (33, 145, 140), (253, 231, 37)), strict=True
            )
        }
    )
    assemble(rows, words, ["structure\ntype", "certainty"], list(legend.items())).save(
        output / "melting.png", optimize=True
    )


def session(output: Path) -> None:
    """Save the pipeline; the session names the trajectory relative to itself, too."""
    made = pipeline(CrystalNetModifier())
    made.add_to_scene()
    ovito.scene.save(str(output / "melting.ovito"))
    made.remove_from_scene()


def methods(output: Path) -> None:
    modifiers = (
        PolyhedralTemplateMatchingModifier(rmsd_cutoff=0.1),
        PolyhedralTemplateMatchingModifier(rmsd_cutoff=0.0),
        CommonNeighborAnalysisModifier(mode=CommonNeighborAnalysisModifier.Mode.AdaptiveCutoff),
        CrystalNetModifier(),
    )
    shots, words = [], []
    legend: dict[str, tuple[int, int, int]] = {}
    names = ("fcc", "hcp", "bcc", "none", "fcc in 10 inner layers")
    lines = [f"{'percent of the atoms':24}" + "".join(f"{name:>24}" for name in names)]
    for method, modifier in zip(METHODS, modifiers, strict=True):
        made = pipeline(modifier)
        data = made.compute(HOTTEST_SOLID)
        kinds = data.particles["Structure Type"][...]
        height = data.particles.positions[:, 2]
        inner = abs(height - height.mean()) < 0.2 * (height.max() - height.min())
        shares = [(kinds == number).mean() for number in (1, 2, 3)]
        shares += [1 - sum(shares), (kinds[inner] == 1).mean()]
        lines.append(f"{method:24}" + "".join(f"{100 * share:24.1f}" for share in shares))
        words.append(f"{method}\n{100 * shares[0]:.0f} % fcc")
        shots.append(picture(made, HOTTEST_SOLID))
        legend.update(used_types(data))
    (output / "methods.txt").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")
    assemble([shots], words, [""], list(legend.items())).save(output / "methods.png", optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=Path("ovito-output"))
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    session(output)
    methods(output)
    melting_strip(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
