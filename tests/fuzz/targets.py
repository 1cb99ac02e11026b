"""What is done with an input, by the kind of its seed: read it, and use what was read a little.

Runs in a supervised process. A target returns what it read or raises; what it writes goes into a
folder of its own, and must be whole or not there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

MOST_FRAMES = 8


def _trajectory(path: Path, out: Path) -> Any:
    from ase_crystalnet.geometry.periodic import PeriodicSpace, validated_positions
    from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
    from ase_crystalnet.io.trajectories.stream import count_frames, iter_frames
    from tests.support.fakes import fake_frame

    read: list[Any] = [count_frames(path)]
    with HDF5Writer(out / "x.h5") as writer:
        for frame in iter_frames(path, 0, MOST_FRAMES):
            validated_positions(frame.atoms)
            PeriodicSpace.of(frame.atoms)
            atoms = frame.atoms.copy()
            atoms.set_cell(np.eye(3) * 10)  # what is asked of the stand-in for an analyzer
            writer.append(fake_frame(atoms), frame.number, frame.source)
            found = frame.atoms
            read.append((found.numbers, found.positions, found.cell.array, found.pbc))
    return read


def _scan(path: Path, out: Path) -> Any:
    from ase_crystalnet.xrd.measured.lines import findings
    from ase_crystalnet.xrd.measured.readers import read_scan

    scan = read_scan(path)
    found = findings(scan)
    return scan.two_theta, scan.intensity, scan.wavelength, scan.on_grid(), found


def _atom_probe(path: Path, out: Path) -> Any:
    from ase_crystalnet.atom_probe.files.range_files import read_ranges
    from ase_crystalnet.atom_probe.files.reconstruction import (
        SUFFIXES,
        Reconstruction,
        is_reconstruction,
        read_reconstruction,
        write_pos,
    )

    is_reconstruction(path)
    if path.suffix.lower() not in SUFFIXES or path.name.lower().endswith("_range.csv"):
        rng = np.random.default_rng(0)
        positions = rng.normal(size=(1000, 3)).astype(np.float32)
        mass = np.linspace(0, 100, 1000, dtype=np.float32)
        ions = Reconstruction(positions, mass, np.full(1000, -1, np.int16))
        table = read_ranges(path)
        ions = ions.ranged(table)
        ions.composition()
        ions.to_atoms("split")
        return table.ions, table.low, table.high, table.ion, ions.species
    ions = read_reconstruction(path)
    ions.to_atoms()
    write_pos(out / "x.pos", ions.positions, ions.mass)
    return ions.positions, ions.mass, ions.remarks


def _result(path: Path, out: Path) -> Any:
    from ase_crystalnet.io.results.hdf5_reader import ResultFile

    read: list[Any] = []
    with ResultFile(path) as file:
        for number, frame in enumerate(file):
            if number == MOST_FRAMES:
                break
            read.append(frame)
        return read, file.trajectory()


def _card(path: Path, out: Path) -> Any:
    from ase_crystalnet.classifier.card import ModelCard
    from ase_crystalnet.errors import ModelError
    from ase_crystalnet.xrd.answer.network import PowderCard

    path.rename(path.with_name("card.json"))
    card = ModelCard.read(path.parent)
    with contextlib.suppress(ModelError):  # it lacks what the other kind needs
        PowderCard.read(path.parent)
    return card.classes, dict(card.fingerprint), card.window_atoms, card.mode


def _network(path: Path, out: Path) -> Any:
    from ase_crystalnet.classifier.network import load_network

    target = path.rename(path.with_name("model.keras"))
    network = load_network(target, shapes=((None, 64, 64, 3), (None, 8)))
    network(np.zeros((1, 64, 64, 3), np.float32), training=False)


def _library(path: Path, out: Path) -> Any:
    from ase_crystalnet.xrd.answer.library import PatternLibrary

    library = PatternLibrary.load(path)
    patterns = np.random.default_rng(0).random((1, 8500))
    matches = library.search(patterns)
    names = [library.name(entry) for entry in range(len(library))]
    library.subset(np.arange(len(library))).save(out / "x.npz")
    return names, matches


def _numbers(path: Path) -> np.ndarray:
    from ase_crystalnet.errors import InputError

    words = path.read_bytes().split()[:2000]
    try:
        return np.array([float(word) for word in words])
    except ValueError:
        raise InputError("no numbers") from None


def _atoms(path: Path):
    from ase import Atoms

    from ase_crystalnet.errors import InputError

    values = _numbers(path)
    count = (len(values) - 9) // 3
    if count < 1:
        raise InputError("no atoms")
    positions = values[9 : 9 + 3 * count].reshape(-1, 3)
    return Atoms("Cu" * count, positions, cell=values[:9].reshape(3, 3), pbc=True)


def _geometry(path: Path, out: Path) -> Any:
    from ase_crystalnet.windows.windower import Windower

    atoms = _atoms(path)
    read: list[Any] = []
    for periodic in (True, False):
        atoms.pbc = periodic
        system = Windower(window_atoms=64, on_sparse="refuse").prepare(atoms)
        centers, _ = system.centers("atoms")
        read += [centers, *system.batches(centers[:64], 64)]
    return read


def _reflections(path: Path, out: Path) -> Any:
    from ase_crystalnet.xrd.simulated.reflections import peaks, reflections_of

    return peaks(reflections_of(_atoms(path)))


def _phases(path: Path, out: Path) -> Any:
    from ase_crystalnet.xrd.pattern import broaden
    from ase_crystalnet.xrd.phases.library import PhaseLibrary
    from ase_crystalnet.xrd.phases.search import PhaseIndex

    library = PhaseLibrary.load(path)
    index = PhaseIndex(library)
    grid = broaden([20.0, 35.0, 50.0], [1.0, 0.5, 0.2], 0.2)
    entries, factors, likeness = index.search(grid, (5.0, 90.0), 8)
    close = index.closely(grid, (5.0, 90.0), entries, factors)
    return library.title(int(entries[0])), likeness, [each.entry for each in close]


TARGETS: dict[str, Callable[[Path, Path], Any]] = {
    "trajectory": _trajectory,
    "scan": _scan,
    "atom probe": _atom_probe,
    "result": _result,
    "card": _card,
    "network": _network,
    "library": _library,
    "phases": _phases,
    "geometry": _geometry,
    "reflections": _reflections,
}


def _add(digest: hashlib._Hash, value: Any) -> None:
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OSU":
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            # Where it was read from is no part of what was read.
            if field.name not in ("source", "sources", "path"):
                _add(digest, getattr(value, field.name))
    elif isinstance(value, Mapping):
        for name in sorted(value):
            digest.update(repr(name).encode())
            _add(digest, value[name])
    elif isinstance(value, (list, tuple, np.ndarray)):
        digest.update(f"{len(value)} of".encode())
        for part in value:
            _add(digest, part)
    elif value is None or isinstance(value, (str, int, float, np.generic)):
        digest.update(repr(value).encode())
    else:
        raise TypeError(f"an answer holds {type(value).__name__}: say how it is compared")


def digest_of(answer: Any) -> str:
    """The same for the same answer, to the last bit, and for no other."""
    digest = hashlib.sha256()
    _add(digest, answer)
    return digest.hexdigest()


def run(target: str, path: Path, out: Path) -> str:
    """Do to a file what its target does; warnings are no failures. A digest of what was read."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return digest_of(TARGETS[target](path, out))
