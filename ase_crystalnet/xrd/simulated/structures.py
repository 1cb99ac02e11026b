"""Crystal structures to simulate powder patterns from: a folder of data or CIFs, as reflections.

Two kinds of folder are read: lists of structures as JSON lines (``*.jsonl.gz``; Materials Project,
AFLOW and WBM as lattice, atomic numbers and fractional coordinates, the American Mineralogist
Crystal Structure Database as asymmetric units with a table of space-group settings beside it), or
files that ASE reads (``*.cif``). The result is a `StructureSet`: reflections of all structures in
two flat arrays, with label, symmetry of the strain, and what is needed for honest splits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import read_arrays
from ase_crystalnet.io.whole_files import whole_file
from ase_crystalnet.xrd.simulated.reflections import Reflections, reflections, reflections_of
from ase_crystalnet.xrd.simulated.sources import (
    ODDITIES,
    Crystal,
    from_amcsd,
    from_arrays,
    from_atoms,
    read_cif,
    read_lines,
    record_of,
    strain_projector,
    translations,
)

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["StructureSet", "build_structure_set", "structure_set_of"]

#: Lines below this share of the strongest are not kept: noise is never below 0.1 %.
WEAKEST = 5e-4
#: Larger cells are left out: tens of thousands of reflections each.
LARGEST = (8000.0, 1200)
#: Bytes that an array of a stored set may take.
LARGEST_ARRAY = 16_000_000_000


@dataclass(frozen=True)
class StructureSet:
    """S structures as R reflections in flat arrays.

    Attributes
    ----------
    vectors : (R, 3) float32
        Reciprocal lattice vectors, 1/Angstrom, strongest first within a structure.
    strengths : (R,) float32
        |F|^2 over the largest of the structure.
    offsets : (S + 1,) int64
        Structure i has the reflections ``offsets[i]:offsets[i + 1]``.
    strain : (S, 6, 6) float32
        Projects a symmetric strain (Mandel's notation) on those that keep the symmetry.
    space_group : (S,) int16
        1 to 230.
    source, identifier, mineral, formula, elements, structure_type : (S,) str
        File, entry, mineral name or "", reduced formula, elements joined by "-", and space group
        with the sizes of the orbits of occupied positions in the primitive cell.
    volume : (S,) float32
        Of the primitive cell over its number of positions, Angstrom^3.
    """

    vectors: NDArray[np.float32]
    strengths: NDArray[np.float32]
    offsets: NDArray[np.int64]
    strain: NDArray[np.float32]
    space_group: NDArray[np.int16]
    source: NDArray[np.str_]
    identifier: NDArray[np.str_]
    mineral: NDArray[np.str_]
    formula: NDArray[np.str_]
    elements: NDArray[np.str_]
    structure_type: NDArray[np.str_]
    volume: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.space_group)

    def reflections(self, index: int) -> Reflections:
        """Reflections of one structure."""
        rows = slice(self.offsets[index], self.offsets[index + 1])
        return Reflections(self.vectors[rows], self.strengths[rows])

    def subset(self, index: NDArray[Any]) -> StructureSet:
        """The structures of an index array or mask, in its order."""
        chosen = np.arange(len(self))[index]
        counts = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], counts)
        per_structure = {
            f.name: getattr(self, f.name)[chosen]
            for f in fields(self)
            if f.name not in ("vectors", "strengths", "offsets")
        }
        return StructureSet(
            vectors=self.vectors[rows],
            strengths=self.strengths[rows],
            offsets=offsets,
            **per_structure,
        )

    def without_duplicates(self) -> StructureSet:
        """One of the structures with the same formula, space group, type and volume to 0.5 %.

        Entries of minerals are kept before others.
        """
        order = np.lexsort((np.arange(len(self)), self.mineral == ""))
        seen: set[tuple[str, str, int]] = set()
        keep = []
        bins = np.round(np.log(self.volume) / 0.005).astype(int)
        for i in order:
            key = (str(self.formula[i]), str(self.structure_type[i]))
            if all((*key, int(bins[i]) + shift) not in seen for shift in (-1, 0, 1)):
                keep.append(i)
                seen.add((*key, int(bins[i])))
        return self.subset(np.sort(keep))

    def save(self, path: Path) -> None:
        """Write as an uncompressed .npz file, whole or not at all."""
        with whole_file(path) as part, part.open("wb") as file:
            np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> StructureSet:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            There is no such file, or it holds something else.
        """
        try:
            names = [f.name for f in fields(cls)]
            return cls(**read_arrays(path, names, LARGEST_ARRAY))
        except FileNotFoundError:
            raise InputError(
                f"{path} does not exist: `crystalnet xrd train` makes it of a folder of structures"
            ) from None
        except InputError as error:
            raise InputError(
                f"{path} holds no set of structures ({error}): delete it and make it again"
            ) from None

    @classmethod
    def concatenate(cls, parts: list[StructureSet]) -> StructureSet:
        """All structures of several sets."""
        joined = {
            f.name: np.concatenate([getattr(p, f.name) for p in parts])
            for f in fields(cls)
            if f.name != "offsets"
        }
        counts = np.concatenate([np.diff(p.offsets) for p in parts])
        return cls(offsets=np.concatenate([[0], np.cumsum(counts)]), **joined)


def _as_set(crystal: Crystal, found: Reflections, source: str) -> StructureSet:
    from ase.data import chemical_symbols

    kept = found.stronger_than(WEAKEST)
    order = np.argsort(-kept.strengths, kind="stable")
    kinds = np.unique(crystal.numbers)
    amounts = np.array([crystal.occupancies[crystal.numbers == z].sum() for z in kinds])
    whole = np.allclose(crystal.occupancies, 1)
    divisor = np.gcd.reduce(amounts.astype(int)) if whole else amounts.min()
    symbols = [chemical_symbols[z] for z in kinds]
    formula = " ".join(f"{s}{a / divisor:.3g}" for s, a in zip(symbols, amounts, strict=True))
    volume = abs(np.linalg.det(crystal.lattice)) / translations(crystal.rotations)
    volume /= sum(crystal.orbits)
    orbits = ".".join(map(str, crystal.orbits))
    return StructureSet(
        vectors=kept.vectors[order].astype(np.float32),
        strengths=(kept.strengths[order] / kept.strengths.max()).astype(np.float32),
        offsets=np.array([0, len(order)]),
        strain=strain_projector(crystal.lattice, crystal.rotations)[None].astype(np.float32),
        space_group=np.array([crystal.space_group], np.int16),
        source=np.array([source]),
        identifier=np.array([crystal.identifier]),
        mineral=np.array([crystal.mineral]),
        formula=np.array([formula]),
        elements=np.array(["-".join(sorted(symbols))]),
        structure_type=np.array([f"{crystal.space_group}:{orbits}"]),
        volume=np.array([volume], np.float32),
    )


def _crystal_of(path: Path, row: str) -> Crystal:
    if path.suffix == ".cif":
        return from_atoms(read_cif(path), path.stem)
    record = record_of(row)
    if not record:
        raise InputError("a line that is no record")
    return from_amcsd(record, path.parent) if "amcsd_id" in record else from_arrays(record)


def _work(job: tuple[Path, list[str]]) -> tuple[StructureSet | None, dict[str, int]]:
    """Reflections of one part of one file, and how many structures were left out, by reason."""
    path, rows = job
    parts: list[StructureSet] = []
    refused: dict[str, int] = {}
    for row in rows:
        try:
            try:
                crystal = _crystal_of(path, row)
            except ODDITIES as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(f"a damaged record ({type(error).__name__})") from None
            volume = abs(np.linalg.det(crystal.lattice))
            if volume > LARGEST[0] or len(crystal.numbers) > LARGEST[1]:
                raise InputError(f"cell above {LARGEST[0]:g} Angstrom^3 or {LARGEST[1]} atoms")
            found = reflections(
                crystal.lattice, crystal.numbers, crystal.fractional, crystal.occupancies
            )
        except InputError as error:
            refused[str(error)] = refused.get(str(error), 0) + 1
        else:
            parts.append(_as_set(crystal, found, path.name.split(".")[0]))
    return (StructureSet.concatenate(parts) if parts else None), refused


def structure_set_of(structures: Mapping[str, Atoms]) -> StructureSet:
    """Set of a few structures, by name; their space groups are found by spglib.

    Raises
    ------
    InputError
        One of them is no crystal.
    """
    parts = []
    for name, atoms in structures.items():
        found = reflections_of(atoms)
        parts.append(_as_set(from_atoms(atoms, name), found, "atoms"))
    return StructureSet.concatenate(parts)


def build_structure_set(
    folder: Path,
    *,
    processes: int = 1,
    log: Callable[[str], None] = lambda text: None,
) -> StructureSet:
    """Reflections of every structure of a folder, duplicates left out.

    Parameters
    ----------
    folder : Path
        Holds ``*.jsonl.gz`` files as described at the top of this module, or ``*.cif`` files
        (also in sub-folders), or both.
    processes : int
        Worker processes.
    log : callable
        Takes one line of progress.

    Raises
    ------
    InputError
        The folder holds no structure that can be used.
    """
    jobs: list[tuple[Path, list[str]]] = []
    for path in sorted(folder.glob("*.jsonl.gz")):
        rows = list(read_lines(path))
        jobs += [(path, rows[i : i + 500]) for i in range(0, len(rows), 500)]
    jobs += [(path, [""]) for path in sorted(folder.rglob("*.cif"))]
    if not jobs:
        raise InputError(f"{folder} holds no structures: expected .jsonl.gz lists or .cif files")
    parts: list[StructureSet] = []
    refused: dict[str, int] = {}
    if processes > 1:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            done = list(_report(pool.map(_work, jobs), len(jobs), log))
    else:
        done = list(_report(map(_work, jobs), len(jobs), log))
    for part, left_out in done:
        parts += [part] if part is not None else []
        for reason, number in left_out.items():
            refused[reason] = refused.get(reason, 0) + number
    if not parts:
        raise InputError(f"{folder} holds no usable structure: {refused}")
    for reason, number in sorted(refused.items(), key=lambda item: -item[1]):
        log(f"left out {number}: {reason}")
    everything = StructureSet.concatenate(parts)
    unique = everything.without_duplicates()
    log(f"{len(everything)} structures, {len(unique)} without duplicates")
    return unique


def _report(results: Iterator[Any], total: int, log: Callable[[str], None]) -> Iterator[Any]:
    for done, result in enumerate(results, start=1):
        if done % 10 == 0 or done == total:
            log(f"structures: {done} of {total} parts")
        yield result
