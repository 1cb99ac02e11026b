"""What the commands `crystalnet xrd ...` do."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.outputs import write_whole
from ase_crystalnet.xrd.answers import Combination, PowderAnswers
from ase_crystalnet.xrd.classifier import PowderClassifier, evidence
from ase_crystalnet.xrd.library import Matches, PatternLibrary, build_library
from ase_crystalnet.xrd.model import PowderNetwork, default_network, plan_of, write_combination
from ase_crystalnet.xrd.pattern import TWO_THETA, WAVELENGTH, broaden
from ase_crystalnet.xrd.readers import measured_patterns, read_scan
from ase_crystalnet.xrd.reflections import G_MAX, peaks, reflections_of
from ase_crystalnet.xrd.scan import Scan, subtract_background

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["calibrate", "classify", "make_library", "simulate"]

#: K-alpha 1 of common anodes, Angstrom (Hoelzer et al., Phys. Rev. A 56, 4554 (1997); Ag and Mo:
#: Deslattes et al., Rev. Mod. Phys. 75, 35 (2003)).
ANODES = {
    "Cu": WAVELENGTH,
    "Mo": 0.70932,
    "Co": 1.78900,
    "Cr": 2.28973,
    "Fe": 1.93604,
    "Ag": 0.55942,
}
_FIGURES = (".png", ".pdf", ".svg")
#: Simulated patterns in a calibration that has them, and their share in it: half of the samples are
#: taken to be minerals, as the library is.
SIMULATED = 400
SIMULATED_SHARE = 0.5
#: Columns of the table that are fields of the JSON file, too.
_COLUMNS = (
    "file",
    "crystal_system",
    "crystal_system_certainty",
    "space_group",
    "certainty",
    "refused",
    "close_match",
)


def wavelength_of(text: str | None) -> float | None:
    """Angstrom of a number or of an anode's symbol.

    Raises
    ------
    InputError
        It is neither.
    """
    if text is None:
        return None
    anode = ANODES.get(text.strip().capitalize())
    if anode is not None:
        return anode
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"--wavelength {text!r}: expected Angstrom, such as 1.5406, or one of "
            f"{', '.join(ANODES)}"
        ) from None


def _check_outputs(paths: Sequence[Path], suffixes: tuple[str, ...], overwrite: bool) -> None:
    for path in paths:
        if path.suffix.lower() not in suffixes:
            raise InputError(f"{path}: expected a name that ends in {', '.join(suffixes)}")
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists already; --overwrite replaces it")


def classify(
    files: Sequence[Path],
    *,
    model: str | None,
    wavelength: str | None,
    min_certainty: float | None,
    coverage: float | None,
    top: int,
    library: Path | None,
    outputs: Sequence[Path],
    overwrite: bool,
    remarks: Callable[[str], None] | None,
) -> list[str]:
    """Answer for files; print, write. Returns one line for each file that could not be read."""
    _check_outputs(outputs, (".json", ".csv"), overwrite)
    length = wavelength_of(wavelength)
    scans: list[Scan] = []
    grids: list[NDArray[np.float32]] = []
    failed: list[str] = []
    for path in files:
        try:
            scan = read_scan(path, length)
            grids.append(scan.on_grid())
            scans.append(scan)
        except InputError as error:
            failed.append(str(error))
        except OSError as error:
            failed.append(f"{path}: {(error.strerror or str(error)).lower()}")
    if not scans:
        return failed
    known = PatternLibrary.load(library)
    classifier = PowderClassifier(default_network(model), known)
    answers = classifier.classify(
        np.array(grids),
        min_certainty=min_certainty,
        coverage=coverage,
        covered=[scan.covered for scan in scans],
    )
    if remarks is not None and classifier.network is None:
        remarks("no network is installed or asked for: the library of known patterns answers alone")
    for i, scan in enumerate(scans):
        print("\n".join(_lines(scan, answers, i, known, top)))
        for remark in scan.remarks if remarks is not None else ():
            print(f"  note: {remark}")
    entries = [_entry(scan, answers, i, known, top) for i, scan in enumerate(scans)]
    for path in outputs:
        content: str
        if path.suffix.lower() == ".json":
            content = json.dumps({"answered_by": classifier.name, "files": entries}, indent=1)
        else:
            content = _table(entries)
        write_whole(path, content.rstrip("\n") + "\n")
    return failed


def symbol(space_group: int) -> str:
    """Hermann-Mauguin symbol of a space group's standard setting, such as "P 31 2 1"."""
    from ase.spacegroup import Spacegroup

    return str(Spacegroup(space_group).symbol)


def _lines(
    scan: Scan, answers: PowderAnswers, i: int, library: PatternLibrary, top: int
) -> list[str]:
    """The answer for one file, in words."""
    groups, shares = (row[i] for row in answers.top(top))
    named = [f"{group} ({symbol(int(group))})" for group in groups]
    first = f"{named[0]}, {_percent(shares[0])} sure"
    others = ", ".join(f"{n} {_percent(p)}" for n, p in zip(named[1:], shares[1:], strict=True))
    beside = ", ".join(
        f"{number} {_percent(share)}"
        for number, _, share in answers.alternatives(i)[:4]
        if share > 0.005
    )
    entry = int(answers.matches.entry[i, 0])
    kind = "close match:" if answers.matches.close[i] else "no close match; nearest:"
    lines = [
        scan.name,
        f"  crystal system  {answers.system[i]}, {_percent(answers.system_certainty[i])} sure",
        f"  space group     {'' if answers.answered[i] else 'refused; most probable '}{first}",
    ]
    if others:
        lines.append(f"  else            {others}")
    if beside:
        lines.append(f"  one step away   {beside} (sub- and supergroups)")
    return [
        *lines,
        f"  {kind} {library.name(entry)}, space group {library.space_group[entry]}, "
        f"{library.identifier[entry]}; correlation {answers.matches.correlation[i, 0]:.2f}, "
        f"it weighs {_percent(answers.trust[i])}",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _entry(
    scan: Scan, answers: PowderAnswers, i: int, library: PatternLibrary, top: int
) -> dict[str, Any]:
    """The answer for one file, for JSON."""
    groups, shares = (row[i] for row in answers.top(max(top, 5)))
    return {
        "file": scan.name,
        "wavelength": scan.wavelength,
        "covered": [round(angle, 2) for angle in scan.covered],
        "remarks": list(scan.remarks),
        "crystal_system": answers.system[i],
        "crystal_system_certainty": round(float(answers.system_certainty[i]), 4),
        "space_group": int(answers.space_group[i]),
        "refused": not bool(answers.answered[i]),
        "certainty": round(float(answers.certainty[i]), 4),
        "top": [
            {"space_group": int(g), "probability": round(float(p), 4)}
            for g, p in zip(groups, shares, strict=True)
        ],
        "neighbors": [
            {"space_group": number, "relation": relation, "probability": round(share, 4)}
            for number, relation, share in answers.alternatives(i)[:10]
        ],
        "close_match": bool(answers.matches.close[i]),
        "matches": [
            {
                "name": library.name(int(entry)),
                "identifier": str(library.identifier[entry]),
                "space_group": int(library.space_group[entry]),
                "correlation": round(float(correlation), 4),
                "shift_degrees": round(float(shift), 3),
            }
            for entry, correlation, shift in zip(
                answers.matches.entry[i],
                answers.matches.correlation[i],
                answers.matches.shift[i],
                strict=True,
            )
        ],
        "match_weight": round(float(answers.trust[i]), 4),
    }


def _table(entries: list[dict[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*_COLUMNS, "match", "match_identifier", "correlation"])
    for entry in entries:
        best = entry["matches"][0]
        writer.writerow(
            [*(entry[c] for c in _COLUMNS), best["name"], best["identifier"], best["correlation"]]
        )
    return buffer.getvalue()


def simulate(
    structure: str,
    outputs: Sequence[Path],
    *,
    width: float,
    wavelength: str | None,
    overwrite: bool,
) -> None:
    """Lines, curve or figure of a structure's powder pattern."""
    from ase_crystalnet.io.stream import iter_frames

    _check_outputs(outputs, (".xy", ".csv", *_FIGURES), overwrite)
    length = wavelength_of(wavelength) or WAVELENGTH
    frame = next(iter_frames(structure, 0, 1), None)
    if frame is None:
        raise InputError(f"{structure}: holds no structure")
    atoms = frame.atoms
    last = 2 * np.degrees(np.arcsin(min(length * G_MAX / 2, 1.0)))
    angle, intensity = peaks(
        reflections_of(atoms), wavelength=length, two_theta=(5.0, min(90.0, np.floor(last)))
    )
    if not outputs:
        print(f"{'two-theta':>10}{'d':>10}{'intensity':>11}")
        for x, y in zip(angle, intensity, strict=True):
            if y >= 0.1:
                d = length / (2 * np.sin(np.radians(x / 2)))
                print(f"{x:>10.3f}{d:>10.4f}{y:>11.1f}")
        return
    curve = broaden(angle, intensity, width)
    for path in outputs:
        if path.suffix.lower() in _FIGURES:
            buffer = io.BytesIO()
            figure = _figure(curve, angle, f"{atoms.get_chemical_formula()}, {length:g} Å")
            figure.savefig(buffer, format=path.suffix.lower()[1:])
            write_whole(path, buffer.getvalue())
            continue
        # The wavelength is written so that `read_scan` finds it.
        head = [f"# {structure}, wavelength = {length:g} Angstrom, width {width:g} degrees"]
        mark = " "
        if path.suffix.lower() == ".csv":
            mark, head = ",", [*head, "two_theta,intensity"]
        rows = (f"{x:.2f}{mark}{1000 * y:.3f}" for x, y in zip(TWO_THETA, curve, strict=True))
        write_whole(path, "\n".join([*head, *rows]) + "\n")


def _figure(curve: NDArray[Any], lines: NDArray[Any], title: str) -> Figure:
    from ase_crystalnet.plotting_style import CLASS_COLORS, INK, new_figure

    figure = new_figure(7.0, 2.8)
    axes = figure.add_subplot()
    axes.plot(TWO_THETA, curve, color=CLASS_COLORS["bcc"], linewidth=0.8)
    axes.vlines(lines, -0.06, -0.02, color=INK, linewidth=0.5)
    axes.set(
        xlim=(TWO_THETA[0], TWO_THETA[-1]),
        ylim=(-0.08, 1.05),
        xlabel="2θ (degrees)",
        ylabel="intensity",
        title=title,
    )
    return figure


def make_library(
    sources: Sequence[Path],
    output: Path,
    *,
    processes: int,
    overwrite: bool,
    say: Callable[[str], None],
) -> None:
    """Write a library of the structures of folders and lists."""
    _check_outputs([output], (".npz",), overwrite)
    library = build_library(sources, processes=processes, log=say)
    library.save(output)
    print(f"wrote {output}: {len(library)} patterns")


def calibrate(path: Path, *, model: str | None, structures: Path | None = None) -> str:
    """Fit and store the combination; returns what was done, in words."""
    patterns, groups, even = measured_patterns(path)
    network = default_network(model)
    library = PatternLibrary.load()
    said, matches = evidence(network, library, patterns[even])
    truth = groups[even]
    weights = np.ones(len(truth))
    note = f"{len(truth)} measured patterns with even id of {path.name}"
    if structures is not None:
        more, likeness, label = _held_out(network, library, structures)
        said = np.concatenate([said, more])
        matches = matches.joined(likeness)
        truth = np.concatenate([truth, label])
        share = SIMULATED_SHARE / (1 - SIMULATED_SHARE) * len(weights) / len(label)
        weights = np.concatenate([weights, np.full(len(label), share)])
        note += f", and {len(label)} simulated patterns of held-out compositions"
    found = Combination.fit(said, matches, truth, weights)
    place = write_combination(network, found, note)
    return f"wrote {place}: {found} from {note}"


def _held_out(
    network: PowderNetwork | None, library: PatternLibrary, path: Path
) -> tuple[NDArray[np.float32], Matches, NDArray[np.int64]]:
    """Evidence on patterns of compositions that were not trained on and are not in the library."""
    from ase_crystalnet.xrd.augment import MEASURED
    from ase_crystalnet.xrd.fit import held_out_patterns, split_of
    from ase_crystalnet.xrd.structures import StructureSet

    plan = plan_of(network)
    structures = StructureSet.load(path)
    structures = structures.subset(~np.isin(structures.source, plan.leave_out))
    split = split_of(structures, plan)
    x, groups = held_out_patterns(structures, split, "composition", MEASURED, "dense", SIMULATED)
    known = library.subset(
        ~np.isin(library.identifier, structures.identifier[split == "composition"])
    )
    return *evidence(network, known, subtract_background(x).astype(np.float32)), groups
