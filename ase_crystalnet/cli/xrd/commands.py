"""What the commands `crystalnet xrd ...` do."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.whole_files import write_whole
from ase_crystalnet.xrd.answer.classifier import PowderClassifier
from ase_crystalnet.xrd.answer.library import PatternLibrary, build_library
from ase_crystalnet.xrd.answer.network import default_network
from ase_crystalnet.xrd.measured.readers import read_scan
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import TWO_THETA, WAVELENGTH, broaden
from ase_crystalnet.xrd.report import (
    _entry,
    _figure,
    _lines,
    _table,
)
from ase_crystalnet.xrd.simulated.reflections import G_MAX, peaks, reflections_of

if TYPE_CHECKING:
    pass

__all__ = ["classify", "make_library", "simulate"]

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


def simulate(
    structure: str,
    outputs: Sequence[Path],
    *,
    width: float,
    wavelength: str | None,
    overwrite: bool,
) -> None:
    """Lines, curve or figure of a structure's powder pattern."""
    from ase_crystalnet.io.trajectories.stream import iter_frames

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
