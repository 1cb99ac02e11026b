"""What is done with an input, by the kind of its seed: read it, and use what was read a little.

Runs in a supervised process. A target returns or raises; what it writes goes into a folder of its
own, and must be whole or not there.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

MOST_FRAMES = 8


def _trajectory(path: Path, out: Path) -> None:
    from ase_crystalnet.geometry.periodic import PeriodicSpace, validated_positions
    from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
    from ase_crystalnet.io.trajectories.stream import count_frames, iter_frames
    from tests.support.fakes import fake_frame

    count_frames(path)
    with HDF5Writer(out / "x.h5") as writer:
        for frame in iter_frames(path, 0, MOST_FRAMES):
            validated_positions(frame.atoms)
            PeriodicSpace.of(frame.atoms)
            atoms = frame.atoms.copy()
            atoms.set_cell(np.eye(3) * 10)  # what is asked of the stand-in for an analyzer
            writer.append(fake_frame(atoms), frame.number, frame.source)


def _scan(path: Path, out: Path) -> None:
    from ase_crystalnet.xrd.measured.readers import read_scan

    _ = read_scan(path).on_grid()


def _atom_probe(path: Path, out: Path) -> None:
    from ase_crystalnet.atom_probe.files.range_files import read_ranges
    from ase_crystalnet.atom_probe.files.reconstruction import (
        Reconstruction,
        read_reconstruction,
        write_pos,
    )

    if path.suffix.lower() not in (".pos", ".epos", ".apt"):
        rng = np.random.default_rng(0)
        positions = rng.normal(size=(1000, 3)).astype(np.float32)
        mass = np.linspace(0, 100, 1000, dtype=np.float32)
        ions = Reconstruction(positions, mass, np.full(1000, -1, np.int16))
        ions = ions.ranged(read_ranges(path))
        ions.composition()
        ions.to_atoms("split")
        return
    ions = read_reconstruction(path)
    ions.to_atoms()
    write_pos(out / "x.pos", ions.positions, ions.mass)


def _result(path: Path, out: Path) -> None:
    from ase_crystalnet.io.results.hdf5_reader import ResultFile

    with ResultFile(path) as file:
        for number, _ in enumerate(file):
            if number == MOST_FRAMES:
                break
        file.trajectory()


def _card(path: Path, out: Path) -> None:
    from ase_crystalnet.classifier.card import ModelCard
    from ase_crystalnet.errors import ModelError
    from ase_crystalnet.xrd.answer.network import PowderCard

    path.rename(path.with_name("card.json"))
    ModelCard.read(path.parent)
    with contextlib.suppress(ModelError):  # it lacks what the other kind needs
        PowderCard.read(path.parent)


def _network(path: Path, out: Path) -> None:
    from ase_crystalnet.classifier.network import load_network

    target = path.rename(path.with_name("model.keras"))
    network = load_network(target, shapes=((None, 64, 64, 3), (None, 8)))
    network(np.zeros((1, 64, 64, 3), np.float32), training=False)


def _library(path: Path, out: Path) -> None:
    from ase_crystalnet.xrd.answer.library import PatternLibrary

    library = PatternLibrary.load(path)
    patterns = np.random.default_rng(0).random((1, 8500))
    library.search(patterns)
    library.name(len(library) - 1)
    library.subset(np.arange(len(library))).save(out / "x.npz")


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


def _geometry(path: Path, out: Path) -> None:
    from ase_crystalnet.windows.windower import Windower

    atoms = _atoms(path)
    for periodic in (True, False):
        atoms.pbc = periodic
        system = Windower(window_atoms=64, on_sparse="refuse").prepare(atoms)
        centers, _ = system.centers("atoms")
        for _ in system.batches(centers[:64], 64):
            pass


def _reflections(path: Path, out: Path) -> None:
    from ase_crystalnet.xrd.simulated.reflections import peaks, reflections_of

    peaks(reflections_of(_atoms(path)))


TARGETS: dict[str, Callable[[Path, Path], None]] = {
    "trajectory": _trajectory,
    "scan": _scan,
    "atom probe": _atom_probe,
    "result": _result,
    "card": _card,
    "network": _network,
    "library": _library,
    "geometry": _geometry,
    "reflections": _reflections,
}


def run(target: str, path: Path, out: Path) -> None:
    """Do to a file what its target does; warnings are no failures."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        TARGETS[target](path, out)
