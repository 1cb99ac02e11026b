"""Every way through the package that calls compiled loops: their types, and what is compiled.

    python benchmarks/loops.py [--write]

Frames of all models and modes, grains, powder patterns and atom probe, each on a small example. By
each stands how many loops had to be compiled; from an installed wheel there are none
(tests/_compute/test_shipped.py). ``--write`` writes the types of all calls into the table that
`ase_crystalnet._compute.ahead` compiles from: after a change of a loop's arguments.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HEAD = """\
# Types of the arguments of compiled loops that are called from Python: see signatures.py.
# Written by `python benchmarks/loops.py --write`.
"""


def frames() -> None:
    """Windows of frames: every model, places at atoms and on a grid, one species and two."""
    from ase.build import bulk

    from ase_crystalnet import CrystalNet

    copper = bulk("Cu", cubic=True).repeat(6)
    copper.rattle(0.1, seed=1)
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(4)
    salt.rattle(0.05, seed=2)
    magnesium = bulk("Mg").repeat((8, 8, 5))
    magnesium.rattle(0.1, seed=3)
    magnesium.pbc = False
    CrystalNet().analyze(bulk("Cu", cubic=True).repeat(2))
    for atoms in (copper, salt, magnesium):
        CrystalNet().analyze(atoms, centers="grid")
        CrystalNet("local", classes="symmetry").analyze(atoms, centers="grid")
        CrystalNet("local-fast", faults=False).analyze(atoms, centers="grid")


def whole() -> None:
    """Whole structures, as in the paper."""
    from ase.build import bulk

    from ase_crystalnet import CrystalNet

    net = CrystalNet("ziletti2018")
    net.analyze(bulk("Cu", cubic=True).repeat(2))
    hot = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(4)
    hot.rattle(0.05, seed=2)
    net.analyze(hot)


def grains() -> None:
    """Grains and their average crystals."""
    from ase.build import bulk

    from ase_crystalnet.grains import find_crystals

    for atoms in (bulk("Cu", cubic=True).repeat(8), bulk("NaCl", "rocksalt", 5.64, cubic=True)):
        atoms = atoms if len(atoms) > 8 else atoms.repeat(5)
        atoms.rattle(0.1, seed=3)
        find_crystals(atoms)


def references() -> None:
    """A known crystal as a class."""
    from ase.build import bulk

    from ase_crystalnet import CrystalNet

    salt = bulk("NaCl", "rocksalt", a=5.64)
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(5)
    atoms.rattle(0.1, seed=5)
    CrystalNet(references=[salt]).analyze(atoms, centers="grid")


def cells() -> None:
    """Lines of a monoclinic powder, indexed."""
    from ase_crystalnet.xrd.indexing import Budget, IndexLines, index_lines

    metric = np.linalg.inv(np.array([[7.1, 0, 0], [0, 9.3, 0], [-1.7, 0, 6.2]])).T
    hkl = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3), axis=-1).reshape(-1, 3)
    q = np.unique(np.round(np.square(hkl @ metric).sum(axis=1), 9))[1:26]
    angle = 2 * np.degrees(np.arcsin(1.5406 / 2 * np.sqrt(q)))
    index_lines(IndexLines.from_angles(angle), Budget(20_000, 20_000, 20_000))


def powder() -> None:
    """A pattern that is simulated, and named again by network and library."""
    from ase.build import bulk
    from ase.io import write

    from ase_crystalnet.cli.app import app

    with tempfile.TemporaryDirectory() as folder:
        cell, pattern = Path(folder, "halite.cif"), Path(folder, "halite.xy")
        write(cell, bulk("NaCl", "rocksalt", 5.64, cubic=True))
        for words in (("simulate", cell, "-o", pattern), ("classify", pattern)):
            app(["xrd", *map(str, words)], standalone_mode=False)


def atom_probe() -> None:
    """Windows of ions: planes and lattices."""
    from ase.build import bulk

    from ase_crystalnet.atom_probe.analysis import (
        AtomProbeOptions,
        analyze_windows,
        classify_windows,
    )
    from ase_crystalnet.atom_probe.classes.classifier import AtomProbeClassifier
    from ase_crystalnet.atom_probe.files.reconstruction import Reconstruction
    from ase_crystalnet.atom_probe.windows import IonWindower

    rng = np.random.default_rng(4)
    atoms = bulk("Al", cubic=True).repeat((10, 10, 10))
    points = atoms.positions[rng.random(len(atoms)) < 0.5]
    points = (points + rng.normal(size=points.shape) * [0.35, 0.35, 0.15]).astype(np.float32)
    count = len(points)
    ions = Reconstruction(points, np.full(count, 27, np.float32), np.full(count, -1, np.int16))
    windows = IonWindower(window_ions=800).prepare(ions)
    classify_windows(analyze_windows(windows, AtomProbeOptions()), windows, AtomProbeClassifier())


WAYS: tuple[Callable[[], None], ...] = (
    frames, whole, references, grains, powder, cells, atom_probe,
)  # fmt: skip


def recorded() -> set[tuple[str, str, str]]:
    """A set that fills with the calls from Python, as entries of the table."""
    from ase_crystalnet._compute import cache, signatures
    from ase_crystalnet._compute.compiling import compilation

    found = set()
    load = cache._Cache.load_overload

    def noted(self: Any, types: Any, context: Any) -> Any:
        if not compilation.under_way:
            function = self._py_func
            found.add(signatures.written(function.__module__, function.__qualname__, types))
        return load(self, types, context)

    cache._Cache.load_overload = noted  # type: ignore[method-assign]
    return found


def main() -> None:
    """Go every way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the table of types")
    given = parser.parse_args()
    from ase_crystalnet._compute.compiling import compilation

    calls = recorded()
    out = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)  # the answers themselves
    for way in WAYS:
        before = compilation.loops
        way()
        out.write(f"{way.__name__}: {compilation.loops - before} loops compiled\n")
        out.flush()
    if given.write:
        from ase_crystalnet._compute.signatures import TABLE

        lines = [f"{module}.{function}: {types}\n" for module, function, types in sorted(calls)]
        TABLE.write_text(HEAD + "".join(lines), encoding="utf-8")
        out.write(f"{len(calls)} functions are called from Python\n")


if __name__ == "__main__":
    sys.exit(main())
