"""docs/glossary.md defines every quantity that is handed to the user, and no other."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from functools import cached_property
from typing import Any

import pytest

from ase_crystalnet import CrystalNet, FrameAnalysis, Lattices, TrajectoryAnalysis, Windower
from ase_crystalnet.atom_probe import (
    AtomProbeOptions,
    ClassFindings,
    NamedPoles,
    OrderFindings,
    Pole,
    WindowFindings,
)
from ase_crystalnet.atom_probe.windows import WindowMeasures
from ase_crystalnet.lattice.orientation import Setting
from ase_crystalnet.xrd import PowderAnswers, PowderClassifier
from ase_crystalnet.xrd.answer.library import Matches
from ase_crystalnet.xrd.answer.scan_report import ScanReport
from ase_crystalnet.xrd.indexing import IndexedCell
from ase_crystalnet.xrd.measured.lines import Findings
from ase_crystalnet.xrd.phases.library import PhaseLibrary
from ase_crystalnet.xrd.phases.mixture import Mixture, Phase
from tests.support import REPOSITORY

GLOSSARY = REPOSITORY / "docs" / "glossary.md"
RESULTS = (
    FrameAnalysis,
    TrajectoryAnalysis,
    Lattices,
    Setting,
    WindowFindings,
    WindowMeasures,
    ClassFindings,
    Pole,
    NamedPoles,
    OrderFindings,
    PowderAnswers,
    Matches,
)
#: Parts of results, whose most telling fields are defined beside them.
PARTS = (ScanReport, Findings, Mixture, Phase, PhaseLibrary, IndexedCell)
#: What takes the parameters that stand in the glossary beside the results.
TAKERS = (
    CrystalNet.__init__,
    CrystalNet.analyze,
    Windower,
    AtomProbeOptions,
    PowderClassifier.classify,
)


def defined() -> set[str]:
    """Names in the first column of the tables."""
    text = GLOSSARY.read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"\w+", cell)}


def names(result: Any) -> set[str]:
    return {each.name for each in fields(result)}


def derived(result: Any) -> set[str]:
    """Names of the properties of a class of results."""
    found = inspect.getmembers(result, lambda m: isinstance(m, (property, cached_property)))
    return {name for name, _ in found}


@pytest.mark.parametrize("result", RESULTS)
def test_every_field_is_defined(result):
    assert names(result) - defined() == set()


@pytest.mark.parametrize("result", [FrameAnalysis, PowderAnswers])
def test_every_property_of_a_result_is_defined(result):
    sizes = {"number_of_atoms", "number_of_windows"}
    assert derived(result) - sizes - defined() == set()


def test_nothing_is_defined_that_is_not_handed_out():
    known = {name for result in (*RESULTS, *PARTS) for name in names(result) | derived(result)}
    known |= {name for taker in TAKERS for name in inspect.signature(taker).parameters}
    assert defined() - known == set()


@pytest.mark.parametrize("result", RESULTS)
def test_docstrings_point_to_the_glossary(result):
    assert "docs/glossary.md" in (result.__doc__ or "")


def test_a_row_has_all_columns():
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            assert len(re.split(r"(?<!\\)\|", line)) == 8, line
