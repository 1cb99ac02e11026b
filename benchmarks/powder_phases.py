"""Patterns as laboratories measure them, simulated with known answers: phases, mixtures, nothing.

Used by ``python benchmarks/powder.py --phases``. The samples are everyday phases (xrd/data/
everyday.jsonl) whose cells are stretched at random by a third of a percent, with lines of any
width, K-alpha 2, displacement, intensities changed by 15 %, background and counting noise. They are
in the library, as everyday phases are: the tables say how often they are recognized as a laboratory
would measure them, not what happens to an unknown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from ase_crystalnet.training.calibration import calibration_error
from ase_crystalnet.training.powder.calibrate_phases import simulated_scan
from ase_crystalnet.xrd.answer.classifier import PowderClassifier
from ase_crystalnet.xrd.answer.trust import mirrored
from ase_crystalnet.xrd.indexing import IndexLines, index_lines
from ase_crystalnet.xrd.indexing.lattices import FAMILIES
from ase_crystalnet.xrd.indexing.lines import FEWEST
from ase_crystalnet.xrd.measured.lines import findings
from ase_crystalnet.xrd.measured.readers import measured_patterns
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import CRYSTAL_SYSTEMS, TWO_THETA, WAVELENGTH, system_of
from ase_crystalnet.xrd.phases import _kernels as kernels
from ase_crystalnet.xrd.phases.build import everyday_crystal, everyday_records
from ase_crystalnet.xrd.phases.cell import positions_of
from ase_crystalnet.xrd.phases.library import PhaseLibrary
from ase_crystalnet.xrd.phases.mixture import decompose
from ase_crystalnet.xrd.simulated.reflections import peaks, reflections

#: Formula and space group of fifty materials of many laboratories.
MATERIALS = (
    "ZnO:186", "CeO2:225", "Fe2O3:167", "Fe3O4:227", "CuO:15", "Cu2O:224", "KBr:225", "NaCl:225",
    "LiCoO2:166", "TiO2:136", "TiO2:141", "Al2Si2O5(OH)4:1", "FeOOH:62", "SrTiO3:221",
    "CsPbBr3:221", "CH3NH3PbI3:221", "LiFePO4:62", "LiNi1/3Mn1/3Co1/3O2:166", "LiMn2O4:227",
    "Li4Ti5O12:227", "Si:227", "Al:225", "Cu:225", "Ni:225", "Ag:225", "Au:225", "Pt:225",
    "Fe:229", "W:229", "Al2O3:167", "MgO:225", "NiO:225", "Co3O4:227", "MnO2:136", "SnO2:136",
    "In2O3:206", "Y2O3:206", "ZrO2:137", "GaN:186", "AlN:186", "GaAs:216", "CdTe:216", "ZnS:216",
    "MoS2:194", "Bi2Te3:166", "CaF2:225", "CaCO3:167", "SiO2:154", "LaB6:221", "BaTiO3:99",
)  # fmt: skip
RANGES = ((10.0, 60.0), (20.0, 80.0), (5.0, 90.0))
WIDTHS = (0.08, 0.2, 0.5)
#: Shares of the weaker phase of a mixture, by the height of its strongest line.
MIXTURES = (0.5, 0.2, 0.05)
DOUBLET = 0.002484


@cache
def records() -> dict[str, dict[str, Any]]:
    """Everyday phases by formula and space group."""
    return {record["id"].removeprefix("everyday:"): record for record in everyday_records()}


@cache
def lines_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """1/d and intensity (strongest 1) of the lines of a phase."""
    crystal = everyday_crystal(records()[name])
    found = reflections(crystal.lattice, crystal.numbers, crystal.fractional, crystal.occupancies)
    angle, intensity = peaks(found, two_theta=(3.0, 94.0))
    return 2 * np.sin(np.radians(angle / 2)) / WAVELENGTH, intensity / 100


def curve(
    name: str, x: np.ndarray, fwhm: float, rng: np.random.Generator, stretch: float = 0.003
) -> np.ndarray:
    """Noiseless pattern of one phase, strongest line about 1."""
    g, intensity = lines_of(name)
    # Along each axis by itself, as far as a change of all lines of one order shows it.
    g = g * (1 + rng.normal(0, stretch))
    sine = g * WAVELENGTH / 2
    inside = sine < 0.99
    angle = 2 * np.degrees(np.arcsin(sine[inside]))
    angle = angle + rng.normal(0, 0.02) * np.cos(np.radians(angle / 2))
    height = intensity[inside] * np.exp(rng.normal(0, 0.15, inside.sum()))
    out = np.zeros(len(x))
    step = float(x[1] - x[0])
    kernels.render(out, angle, height, float(x[0]), step, fwhm, rng.uniform(0.2, 0.8), DOUBLET)
    return out / max(out.max(), 1e-12)


def scan_of(
    parts: dict[str, float], span: tuple[float, float], fwhm: float, rng: np.random.Generator
) -> Scan:
    """A scan of phases with these heights of their strongest lines."""
    step = rng.choice([0.01, 0.02, 0.03])
    x = np.arange(*span, step)
    y = sum(share * curve(name, x, fwhm, rng) for name, share in parts.items())
    counts = 10 ** rng.uniform(3.3, 4.5)
    ground = counts * rng.uniform(0.01, 0.08) * (1 + 2 * np.exp(-(x - x[0]) / 8))
    return Scan(x, rng.poisson(counts * y + ground).astype(float), name=" + ".join(parts))


def right_group(answer: int, truth: int) -> bool:
    """Whether a space group is the right one, or that of the mirror image."""
    return answer in (truth, mirrored(truth))


def materials(classifier: PowderClassifier, seed: int = 0) -> list[tuple[Any, ...]]:
    """Percent right of fifty materials at three ranges and three widths of line."""
    rng = np.random.default_rng(seed)
    rows = []
    for fwhm in WIDTHS:
        for span in RANGES:
            scans = [scan_of({name: 1.0}, span, fwhm, rng) for name in MATERIALS]
            said = classifier.classify_scans(scans)
            truth = [int(name.rpartition(":")[2]) for name in MATERIALS]
            guess = said.probabilities.argmax(axis=1) + 1
            group = np.array([right_group(int(a), b) for a, b in zip(guess, truth, strict=True)])
            system = system_of(guess) == system_of(np.array(truth))
            asked = np.array([not report.refusal for report in said.reports])
            held = [
                t in report.prediction_set
                for t, report in zip(truth, said.reports, strict=True)
                if not report.refusal
            ]
            rows.append(
                (f"{fwhm:g}", f"{span[0]:g} to {span[1]:g}", _percent(system), _percent(group),
                 _percent(group[asked]), int((~asked).sum()), _percent(held))
            )  # fmt: skip
    return rows


def _percent(values: Any) -> str:
    return f"{100 * float(np.mean(values)):.1f}" if len(values) else ""


def pairs(number: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Pairs of different everyday materials."""
    for _ in range(number):
        first, second = rng.choice(len(MATERIALS), 2, replace=False)
        yield MATERIALS[first], MATERIALS[second]


def mixtures(
    classifier: PowderClassifier, number: int = 60, seed: int = 1
) -> list[tuple[Any, ...]]:
    """Percent of binary mixtures: main found, both found, a false third, called a mixture."""
    rng = np.random.default_rng(seed)
    index = classifier.phases
    assert index is not None
    rows = []
    for share in MIXTURES:
        main, both, false, said = [], [], [], []
        for first, second in pairs(number, rng):
            scan = scan_of({first: 1.0, second: share / (1 - share)}, (10.0, 80.0), 0.12, rng)
            found = decompose(scan, findings(scan), index)
            main.append(any(is_phase(index, phase, first) for phase in found.phases))
            other = any(is_phase(index, phase, second) for phase in found.phases)
            both.append(main[-1] and other)
            false.append(
                any(
                    not (is_phase(index, phase, first) or is_phase(index, phase, second))
                    for phase in found.phases
                )
            )
            said.append(len(found.phases) > 1 or found.unexplained.sum() >= 2)
        rows.append(
            (f"{100 * (1 - share):.0f}:{100 * share:.0f}", number,
             *(_percent(values) for values in (main, both, false, said)))
        )  # fmt: skip
    return rows


def is_phase(index: Any, phase: Any, name: str) -> bool:
    """Whether a phase that was found is this one: its lines lie where that one's do.

    Isostructural compounds whose cells breathe into each other cannot be told apart by a powder
    pattern alone; space group and the cell that was refined decide.
    """
    record = records()[name]
    group = int(index.library.space_group[phase.entry])
    if not right_group(group, int(record["sg"])):
        return False
    cell = np.asarray(record["cell"], float)
    volume = float(np.prod(cell[:3]))
    mine = float(np.prod(phase.cell.parameters[:3]))
    # Of primitive, conventional or doubled cells.
    ratio = mine / volume
    return any(abs(ratio / k - 1) < 0.05 for k in (0.25, 1 / 3, 0.5, 1.0, 2.0, 3.0, 4.0))


def nothing(number: int = 100, seed: int = 2) -> list[tuple[Any, ...]]:
    """Percent refused of scans without lines: noise, glass, smoothed noise, a spike or two."""
    rng = np.random.default_rng(seed)
    rows = []
    for kind in ("noise", "glass", "smoothed", "spikes"):
        refused = [not findings(_empty(kind, rng)).usable for _ in range(number)]
        rows.append((kind, number, _percent(refused)))
    return rows


def _empty(kind: str, rng: np.random.Generator) -> Scan:
    x = np.arange(rng.uniform(5, 20), rng.uniform(60, 90), rng.choice([0.01, 0.02, 0.03, 0.05]))
    u = (x - x[0]) / np.ptp(x)
    level = 10 ** rng.uniform(0.5, 4.5)
    y = level * (1 + rng.uniform(0, 5) * np.exp(-u / rng.uniform(0.03, 0.5)))
    if kind == "glass":
        for _ in range(rng.integers(1, 3)):
            y += (
                level
                * rng.uniform(0.5, 10)
                * np.exp(-0.5 * ((x - rng.uniform(18, 45)) / rng.uniform(2.2, 5)) ** 2)
            )
    counts = rng.poisson(y).astype(float)
    if kind == "smoothed":
        width = int(rng.integers(2, 8))
        counts = np.convolve(counts, np.ones(width) / width, mode="same")[width:-width]
        x = x[width:-width]
    if kind == "spikes":
        counts[rng.integers(10, len(x) - 10, 3)] += 10 * level
    return Scan(x, counts + (counts.max() == 0))


def cells(classifier: PowderClassifier, number: int = 50, seed: int = 3) -> list[tuple[Any, ...]]:
    """Lattice lengths of matches: relative error, and how often three deviations hold it."""
    rng = np.random.default_rng(seed)
    index = classifier.phases
    assert index is not None
    error, held = [], []
    for name in MATERIALS[:number]:
        state = rng.bit_generator.state
        stretch = 1 + rng.normal(0, 0.003)  # what `curve` will draw first
        rng.bit_generator.state = state
        x = np.arange(10.0, 80.0, 0.02)
        y = curve(name, x, 0.12, rng)
        scan = Scan(x, rng.poisson(8000 * y + 200).astype(float))
        found = decompose(scan, findings(scan), index)
        if not found.phases or not is_phase(index, found.phases[0], name):
            continue
        cell = found.phases[0].cell
        truth = np.asarray(records()[name]["cell"][:3], float) / stretch
        if not cell.refined or abs(np.prod(cell.parameters[:3]) / np.prod(truth) - 1) > 0.02:
            continue  # another setting of the cell
        off = cell.parameters[:3] / truth - 1
        error.append(np.abs(off).mean())
        held.append((np.abs(off * truth) < 3 * np.maximum(cell.errors[:3], 1e-6)).mean())
    return [(len(error), f"{100 * np.median(error):.4f}", f"{100 * np.quantile(error, 0.9):.4f}",
             _percent(held))]  # fmt: skip


def indexed(number: int = 12, seed: int = 5) -> list[tuple[Any, ...]]:
    """Cells by indexing of simulated scans of library entries, by crystal system of the entry.

    How often a cell is more than chance, and of these: crystal family right, and volume right where
    it is (also of a cell half or twice as large, another setting), relative error of the lengths.
    """
    known = PhaseLibrary.load()
    systems = system_of(known.space_group)
    rng = np.random.default_rng(seed)
    rows = []
    for system, name in enumerate(CRYSTAL_SYSTEMS):
        asked, said, family, volumes, errors = 0, 0, [], [], []
        for entry in rng.choice(np.flatnonzero(systems == system), number).tolist():
            scan = simulated_scan(known, entry, rng)
            lines = IndexLines.of(positions_of(scan, findings(scan).lines))
            if len(lines) < FEWEST:
                continue
            asked += 1
            cell = next(iter(index_lines(lines)[0]), None)
            if cell is None or not cell.convincing:
                continue
            said += 1
            family.append(system in FAMILIES[cell.family])
            if not family[-1]:
                continue
            truth = np.asarray(known.cell[entry], float)
            ratio = cell.volume / _volume(truth)
            volumes.append(any(abs(ratio / k - 1) < 0.04 for k in (0.5, 1.0, 2.0)))
            lengths = np.sort(cell.parameters[:3]) / np.sort(truth[:3])
            errors.append(float(np.abs(lengths - 1).mean()))
        mean = f"{100 * np.mean(errors):.1f}" if errors else ""
        median = f"{100 * np.median(errors):.2f}" if errors else ""
        rows.append((name, asked, said, _percent(family), _percent(volumes), mean, median))
    return rows


def _volume(parameters: np.ndarray) -> float:
    cosines = np.cos(np.radians(parameters[3:]))
    root = np.sqrt(1 - (cosines**2).sum() + 2 * cosines.prod())
    return float(np.prod(parameters[:3]) * root)


def phase_speed(classifier: PowderClassifier) -> dict[str, float]:
    """Milliseconds of the search of the whole library, and of a whole answer for a scan."""
    index = classifier.phases
    assert index is not None
    rng = np.random.default_rng(4)
    scans = [scan_of({name: 1.0}, (10.0, 80.0), 0.12, rng) for name in MATERIALS[:20]]
    grids = [scan.on_grid() for scan in scans]
    classifier.classify_scans(scans[:1])
    search, whole = [], []
    for scan, grid in zip(scans, grids, strict=True):
        start = time.perf_counter()
        index.search(grid, scan.covered)
        search.append(time.perf_counter() - start)
        start = time.perf_counter()
        classifier.classify_scans([scan])
        whole.append(time.perf_counter() - start)
    return {
        f"search of {len(index.library)} phases": 1e3 * float(np.median(search)),
        "one scan, library of phases and network": 1e3 * float(np.median(whole)),
    }


def measured(classifier: PowderClassifier, data: Any) -> list[tuple[Any, ...]]:
    """The measured minerals with and without phases: percent right, refused, prediction sets.

    The trust in phases was fitted on those with even id; those with odd id were only scored.
    """
    patterns, truth, even = measured_patterns(data / "xrd" / "measured_powder_patterns.npz")
    plain = classifier.classify(patterns)
    whole = classifier.classify_scans([Scan(TWO_THETA, row.astype(float)) for row in patterns])
    close = plain.matches.close
    every = np.ones(len(truth), bool)
    rows = []
    for name, part in (
        ("all", every), ("odd id", ~even), ("with a close match", close), ("without", ~close),
    ):  # fmt: skip
        for how, said in (("network and library", plain), ("with phases", whole)):
            p = said.probabilities[part]
            guess, certainty = p.argmax(axis=1) + 1, p.max(axis=1)
            right = guess == truth[part]
            system = said.system_probabilities[part].argmax(axis=1) == system_of(truth[part])
            half = np.argsort(-certainty)[: len(right) // 2]
            held, sizes, refused = "", "", ""
            if said.reports:
                reports = [r for r, use in zip(said.reports, part, strict=True) if use]
                sets = [r.prediction_set for r in reports]
                held = _percent([t in s for t, s in zip(truth[part], sets, strict=True)])
                sizes = f"{np.median([len(s) for s in sets]):.0f}"
                refused = _percent([bool(r.refusal) for r in reports])
            rows.append(
                (name, how, int(part.sum()), _percent(system),
                 _percent(right), _percent(right[half]),
                 f"{100 * calibration_error(p, truth[part] - 1, 10):.1f}", held, sizes, refused)
            )  # fmt: skip
    return rows
