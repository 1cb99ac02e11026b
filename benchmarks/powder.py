"""Powder patterns: how fast an answer is, and what the library's parts are worth.

    python benchmarks/powder.py [--model none] [--data DIR] [--crystals] [--phases] [--json FILE]

Accuracy of networks and library is the work of ``crystalnet reproduce vecsei2019``; here it is
that of the nearest entry alone, with and without the minerals that were added to the database's
list, and with and without the shift. DIR holds ``xrd/measured_powder_patterns.npz``.
``--crystals`` times the random crystals that networks are trained on (needs pyxtal). ``--phases``
looks at scans as laboratories measure them (powder_phases.py): everyday materials, mixtures, cells,
scans without lines and, with DIR, the measured minerals with and without phases.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import powder_phases
from common import markdown, show, where, write_json

from ase_crystalnet.training.powder.synthetic import (
    random_crystal,
    space_group_frequencies,
    synthetic_set,
)
from ase_crystalnet.xrd import (
    TWO_THETA,
    PatternLibrary,
    PowderClassifier,
    broaden,
    default_network,
    measured_patterns,
    system_of,
)
from ase_crystalnet.xrd.answer import library as library_module
from ase_crystalnet.xrd.answer.library import CLOSE

#: Largest value wanted, if any, and unit.
WANTED: dict[str, tuple[float | None, str]] = {
    "one pattern": (20.0, "ms"),
    "1,000 in one call": (5.0, "s"),
    "a random crystal": (None, "ms"),
    "with its reflections": (None, "ms"),
}


def made_up(number: int) -> np.ndarray:
    """Patterns of library entries with noise (B, 8500)."""
    rng = np.random.default_rng(3)
    known = PatternLibrary.load()
    out = np.empty((number, len(TWO_THETA)), np.float32)
    for row, i in zip(out, rng.integers(0, len(known), number), strict=True):
        lines = slice(known.offsets[i], known.offsets[i + 1])
        clean = broaden(known.angle[lines] / 100, (known.height[lines] / 255.0) ** 2, 0.12)
        row[:] = np.maximum(clean + rng.normal(0, 0.01, len(clean)), 0)
    return out


def speed(model: str | None) -> dict[str, float]:
    """Milliseconds of one pattern, seconds of 1,000, seconds until the first answer."""
    patterns = made_up(1000)
    start = time.perf_counter()
    classifier = PowderClassifier(default_network(model))
    classifier.classify(patterns[:1])
    first = time.perf_counter() - start
    each = []
    for row in patterns[:100]:
        start = time.perf_counter()
        classifier.classify(row[None])
        each.append(1e3 * (time.perf_counter() - start))
    start = time.perf_counter()
    classifier.classify(patterns)
    return {
        "one pattern": statistics.median(each),
        "1,000 in one call": time.perf_counter() - start,
        "loading and the first answer": first,
    }


def crystals() -> dict[str, float]:
    """Milliseconds of processor time for a random crystal, and for its reflections besides."""
    rng = np.random.default_rng(0)
    synthetic_set(50, rng)  # reads the Wyckoff positions, compiles
    groups = rng.choice(230, 300, p=space_group_frequencies()) + 1
    start = time.process_time()
    for group in groups.tolist():
        random_crystal(group, rng)
    alone = time.process_time() - start
    start = time.process_time()
    synthetic_set(300, rng)
    both = time.process_time() - start
    return {"a random crystal": 1e3 * alone / 300, "with its reflections": 1e3 * both / 300}


def nearest(data: Path) -> list[tuple[Any, ...]]:
    """Percent right of the nearest entry: system, group, group of the nearer half; share close."""
    patterns, truth, _ = measured_patterns(data / "xrd" / "measured_powder_patterns.npz")
    whole = PatternLibrary.load()
    added = files("ase_crystalnet.xrd").joinpath("data/amcsd_rock_forming.jsonl.gz")
    with gzip.open(str(added), "rt") as file:
        names = [f"amcsd{json.loads(line)['amcsd_id']}" for line in file]
    listed = whole.subset(~np.isin(whole.identifier, names))
    rows = []
    for name, known, shifts in (
        ("the database's list", listed, library_module.SHIFTS),
        ("with the rock-forming minerals added", whole, library_module.SHIFTS),
        ("the same without shift", whole, (0,)),
    ):
        with mock.patch.object(library_module, "SHIFTS", shifts):
            found = known.search(patterns, top=1)
        group, likeness = known.space_group[found.entry[:, 0]], found.correlation[:, 0]
        right = group == truth
        near = np.argsort(-likeness)[: len(truth) // 2]
        rows.append(
            (
                name,
                len(known),
                *(
                    f"{100 * float(x.mean()):.1f}"
                    for x in (
                        system_of(group) == system_of(truth),
                        right,
                        right[near],
                        likeness >= CLOSE,
                    )
                ),
            )
        )
    return rows


#: Tables of ``--phases``: title and columns.
TABLES = {
    "materials": (
        "Fifty everyday materials, percent right",
        ("width", "two-theta", "system", "group", "group, not refused", "refused", "in the set"),
    ),
    "mixtures": (
        "Binary mixtures of everyday materials (heights of the strongest lines), percent",
        ("shares", "number", "main found", "both found", "false phase", "called a mixture"),
    ),
    "cells": (
        "Lattice lengths of matches, relative error in percent",
        ("number", "median", "nine in ten below", "within three deviations"),
    ),
    "indexed": (
        "Cells by indexing of simulated scans, percent",
        ("system", "scans", "more than chance", "family right", "volume right where it is",
         "lengths: mean error", "median"),
    ),
    "nothing": ("Scans without lines, percent refused", ("kind", "number", "refused")),
    "measured": (
        "Measured minerals, percent right",
        ("patterns", "by", "number", "system", "group", "half refused", "calibration error",
         "in the set", "groups in it", "refused"),
    ),
}  # fmt: skip


def phases(model: str | None, data: Path | None, only: list[str] | None = None) -> dict[str, Any]:
    """Tables of scans as laboratories measure them, all or some."""
    classifier = PowderClassifier(default_network(model))
    makers: dict[str, Callable[[], list[tuple[Any, ...]]]] = {
        "materials": lambda: powder_phases.materials(classifier),
        "mixtures": lambda: powder_phases.mixtures(classifier),
        "cells": lambda: powder_phases.cells(classifier),
        "indexed": powder_phases.indexed,
        "nothing": powder_phases.nothing,
    }
    if data is not None:
        makers["measured"] = lambda: powder_phases.measured(classifier, data)
    found = {name: make() for name, make in makers.items() if not only or name in only}
    for name, rows in found.items():
        title, header = TABLES[name]
        show(f"\n{title}\n")
        show(markdown(header, rows))
    times = powder_phases.phase_speed(classifier)
    for name, value in times.items():
        show(f"\n{name}: {value:.0f} ms")
    tables = {
        name: [dict(zip(TABLES[name][1], row, strict=True)) for row in rows]
        for name, rows in found.items()
    }
    return {**tables, "times": times}


def main() -> None:
    """Parse the arguments, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="network, or 'none'; the shipped one by default")
    parser.add_argument("--data", type=Path, help="folder of external data")
    parser.add_argument("--crystals", action="store_true", help="time random crystals, too")
    parser.add_argument("--phases", action="store_true", help="scans as laboratories measure them")
    parser.add_argument(
        "--only", choices=tuple(TABLES), action="append", help="with --phases: only these tables"
    )
    parser.add_argument("--json", type=Path, help="also write results here")
    arguments = parser.parse_args()
    times = speed(arguments.model) | (crystals() if arguments.crystals else {})
    rows = []
    for name, value in times.items():
        limit, unit = WANTED.get(name, (None, "s"))
        rows.append((name, f"{value:.2g} {unit}", f"{limit:g} {unit}" if limit else ""))
    show(f"{where()['cores']} cores, model {arguments.model or 'shipped'}\n")
    show(markdown(("", "time", "wanted, at most"), rows))
    result: dict[str, Any] = {"times": times}
    if arguments.data is not None:
        header = ("library", "entries", "system", "group", "group, nearer half", "close match")
        result["nearest"] = [dict(zip(header, row, strict=True)) for row in nearest(arguments.data)]
        show("\nNearest entry on the measured patterns, percent\n")
        show(markdown(header, [tuple(row.values()) for row in result["nearest"]]))
    if arguments.phases:
        result["phases"] = phases(arguments.model, arguments.data, arguments.only)
    write_json(arguments.json, result)


if __name__ == "__main__":
    main()
