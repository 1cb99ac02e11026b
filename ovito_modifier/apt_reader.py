"""Atom-probe files in OVITO: ``import_file("x.pos")`` for .pos, .epos, .ato, .apt, .csv, .h5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ovito.data import DataCollection
from ovito.io import FileReaderInterface
from traits import api

from ase_crystalnet.atom_probe.files.range_files import RANGE_SUFFIXES
from ase_crystalnet.atom_probe.files.reconstruction import (
    SUFFIXES,
    is_reconstruction,
    read_reconstruction,
)

__all__ = ["AtomProbeReader"]

traits: Any = api  # its annotations do not cover how it is used
_UNRANGED_COLOR = (0.75, 0.75, 0.75)


class AtomProbeReader(FileReaderInterface):
    """Reconstructions of atom probes as particles, a type for each ion.

    Parameters
    ----------
    ranges : str
        Range file (.rrng, .rng, .env, .xrng, .fig.txt, pyccapt's _range.csv). Empty: the one beside
        the file that has its name, if there is one; else every ion is of the type "unranged".
    """

    ranges = traits.Str("", label="Range file")
    _ = traits.Disallow

    @staticmethod
    def detect(filename: str) -> bool:
        """Whether a file is a reconstruction, by its suffix and its first bytes."""
        return Path(filename).suffix.lower() in SUFFIXES and is_reconstruction(filename)

    def parse(self, data: DataCollection, *, filename: str, **kwargs: Any) -> None:
        """Read positions (Angstrom), types and mass-to-charge ratios (Da)."""
        found = read_reconstruction(filename, self.ranges or _beside(Path(filename)))
        particles = data.create_particles(count=len(found))
        particles.create_property("Position", data=found.positions)
        types = particles.create_property("Particle Type")
        types.types.clear()
        types[...] = found.species + 1
        colors = [_UNRANGED_COLOR, *(ion.color for ion in found.ions)]
        names = ["unranged", *(ion.name for ion in found.ions)]
        for number, (name, color) in enumerate(zip(names, colors, strict=True)):
            types.add_type_id(number, particles, name=name).color = color
        particles.create_property("Mass-to-charge", data=found.mass)
        low, high = found.positions.min(axis=0), found.positions.max(axis=0)
        matrix = np.column_stack([np.diag(np.maximum(high - low, 1e-3)), low]).astype(float)
        data.create_cell(matrix, pbc=(False, False, False))
        data.attributes["AtomProbe.ions"] = len(found)
        data.attributes["AtomProbe.unranged"] = found.unranged
        if found.remarks:
            data.attributes["AtomProbe.remarks"] = "; ".join(found.remarks)


def _beside(path: Path) -> Path | None:
    """Range file of the same name in the same folder, in any case of letters."""
    others = sorted(path.parent.glob("*"))
    for suffix in RANGE_SUFFIXES:
        for other in others:
            # The suffix in any case of letters, the name as it is.
            stem, end = other.name[: -len(suffix)], other.name[-len(suffix) :]
            if stem == path.stem and end.lower() == suffix:
                return other
    return None
