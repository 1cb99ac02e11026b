"""The library of phases: lines, cell and reference intensity of tens of thousands of crystals.

Unlike `answer.library.PatternLibrary`, which the network's calibration was made with, an entry here
knows its cell, so that it can breathe and be refined, and how strongly it scatters, so that shares
of a mixture follow. Sources and licences: xrd/data/SOURCES.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.inputs import read_arrays
from ase_crystalnet.xrd.library_file import LARGEST, read_library, shipped, write_library

__all__ = ["VERSION", "PhaseLibrary", "is_phase_library"]

#: Version of the file; `answer.library` has 1.
VERSION = 2
_KINDS = {
    "angle": "u",
    "height": "u",
    "offsets": "iu",
    "space_group": "iu",
    "cell": "f",
    "reference": "f",
    "identifier": "U",
    "name": "U",
    "formula": "U",
}
_AGAIN = "install the package again, or build it anew by `crystalnet xrd library --join`"


@dataclass(frozen=True)
class PhaseLibrary:
    """Lines of M phases in flat arrays.

    Attributes
    ----------
    angle : (L,) uint16 array
        Two-theta of the lines (Cu K-alpha, 1.5406 Angstrom), in hundredths of degrees.
    height : (L,) uint8 array
        255 times the square root of the intensity over the strongest line's.
    offsets : (M + 1,) int32 array
        Entry i has the lines ``offsets[i]:offsets[i + 1]``.
    space_group : (M,) uint8 array
    cell : (M, 6) float32 array
        Conventional cell: lengths in Angstrom, angles in degrees.
    reference : (M,) float32 array
        Intensity of the strongest line over corundum's in a mixture of equal weights (I/Ic), from
        the structure: without absorption, vibration and anomalous scattering, so to about a fifth.
    identifier, name, formula : (M,) str arrays
        Entry of its source ("mp-31117"), a name or "", its formula.
    """

    angle: NDArray[np.uint16]
    height: NDArray[np.uint8]
    offsets: NDArray[np.int32]
    space_group: NDArray[np.uint8]
    cell: NDArray[np.float32]
    reference: NDArray[np.float32]
    identifier: NDArray[np.str_]
    name: NDArray[np.str_]
    formula: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.space_group)

    def title(self, entry: int) -> str:
        """Name and formula of an entry, in words."""
        name, formula = str(self.name[entry]), str(self.formula[entry])
        return f"{name} ({formula})" if name else formula

    def lines(self, entry: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Two-theta (degrees) and intensity (strongest 1) of an entry's lines."""
        part = slice(self.offsets[entry], self.offsets[entry + 1])
        return self.angle[part] / 100.0, (self.height[part] / 255.0) ** 2

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Entry of each line (L,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @classmethod
    def load(cls, path: Path | None = None) -> PhaseLibrary:
        """Read a library, the shipped one by default.

        Raises
        ------
        ModelError
            It is not there, damaged, or of another version.
        """
        content = read_library(
            path or shipped("phases.npz"), cls, VERSION, _problem,
            what="library of phases", again=_AGAIN, missing=_AGAIN,
        )  # fmt: skip
        return cls(**content)

    def save(self, path: Path) -> None:
        """Write as a compressed .npz file, whole or not at all."""
        write_library(self, path, VERSION)

    def subset(self, keep: NDArray[Any]) -> PhaseLibrary:
        """The entries of a mask or an index array."""
        chosen = np.arange(len(self))[keep]
        counts = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        lines = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], counts)
        each = {
            f.name: getattr(self, f.name)[chosen]
            for f in fields(self)
            if f.name not in ("angle", "height", "offsets")
        }
        return PhaseLibrary(self.angle[lines], self.height[lines], offsets, **each)

    @classmethod
    def concatenate(cls, parts: Sequence[PhaseLibrary]) -> PhaseLibrary:
        """All entries of several libraries."""
        whole = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(cls)
            if f.name != "offsets"
        }
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        return cls(offsets=offsets, **whole)


def is_phase_library(path: Path) -> bool:
    """Whether a file is a library of phases, and not one of patterns.

    Raises
    ------
    InputError, FileNotFoundError
        It is neither.
    """
    version = read_arrays(path, ("version",), LARGEST)["version"]
    return version.shape == () and version.dtype.kind in "iu" and int(version) == VERSION


def _problem(content: Mapping[str, NDArray[Any]]) -> str:
    """What is wrong with the arrays of a library, in words; empty if nothing is."""
    for name, kinds in _KINDS.items():
        size = 2 if name == "cell" else 1
        if content[name].ndim != size or content[name].dtype.kind not in kinds:
            return f"{name} is of type {content[name].dtype} and shape {content[name].shape}"
    offsets, entries = content["offsets"], len(content["space_group"])
    if entries == 0:
        return "it has no entry"
    if len(content["height"]) != len(content["angle"]):
        return f"{len(content['angle'])} angles and {len(content['height'])} heights"
    for name in ("cell", "reference", "identifier", "name", "formula"):
        if len(content[name]) != entries:
            return f"{entries} space groups and {len(content[name])} in {name}"
    if content["cell"].shape != (entries, 6):
        return f"cells of shape {content['cell'].shape}"
    if len(offsets) != entries + 1:
        return f"{len(offsets)} offsets of {entries} entries"
    rising = (np.diff(offsets.astype(np.int64)) > 0).all()
    if offsets[0] != 0 or offsets[-1] != len(content["angle"]) or not rising:
        return f"offsets that do not rise from 0 to the {len(content['angle'])} lines"
    groups = content["space_group"]
    if groups.min() < 1 or groups.max() > 230:
        return f"space groups from {groups.min()} to {groups.max()}"
    if not (np.isfinite(content["cell"]).all() and (content["cell"] > 0).all()):
        return "cells that are none"
    if not (np.isfinite(content["reference"]).all() and (content["reference"] > 0).all()):
        return "reference intensities that are none"
    return ""
