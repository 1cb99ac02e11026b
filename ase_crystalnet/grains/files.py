"""Crystals into files: CIF and POSCAR of average cells, CSV of grains, labelled structures."""

from __future__ import annotations

import csv
import re
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms

from ase_crystalnet.errors import InputError
from ase_crystalnet.grains.results import Crystal, Crystals, require_pymatgen
from ase_crystalnet.grains.tracking import GrainHistory
from ase_crystalnet.io.whole_files import whole_file

__all__ = [
    "SUFFIXES",
    "suffix_of",
    "write_cells",
    "write_crystals",
    "write_history",
    "write_poscar",
    "write_rows",
]

#: Share of a site from which on it counts as one species'.
_PURE = 0.9995

#: Suffixes of files: average cells, table of grains, structure with its grains.
SUFFIXES = (".cif", ".vasp", ".poscar", ".csv", ".extxyz")


def suffix_of(path: Path) -> str:
    """What kind of file a name is of, as a suffix; ``POSCAR`` and ``POSCAR-1`` are POSCARs."""
    return ".vasp" if path.name.startswith("POSCAR") else path.suffix.lower()


def write_crystals(crystals: Crystals, atoms: Atoms, path: str | Path) -> None:
    """Write crystals in the format of the name's suffix; the file is whole or absent.

    Parameters
    ----------
    crystals : Crystals
    atoms : ase.Atoms
        The frame they were found in.
    path : str or Path
        ``.cif``: the average crystals with their symmetry, species shared by sites included.
        ``.vasp``, ``.poscar`` and names that begin with ``POSCAR``: the cell of the largest grain
        in its standard setting; a site that species share has the commonest, with a warning.
        ``.csv``: one row a grain, as `Crystals.rows`. ``.extxyz``: the frame with the grain of each
        atom.

    Raises
    ------
    InputError
        The suffix is another one, or pymatgen, which writes ``.cif``, is not installed.
    """
    path = Path(path)
    suffix = suffix_of(path)
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if suffix == ".cif":
        write_cells(crystals, path)
        return
    if suffix in (".vasp", ".poscar"):
        write_poscar(crystals, path)
        return
    with whole_file(path) as part:
        if suffix == ".csv":
            write_rows(crystals.rows(), part)
        else:
            from ase.io import write

            labelled = crystals.attach(atoms.copy())
            write(part, labelled, format="extxyz")


def write_poscar(crystals: Crystals, path: str | Path) -> None:
    """Write the largest grain's cell; what the format cannot hold is warned of.

    Raises
    ------
    InputError
        There are no crystals.
    """
    import io

    from ase.io import write

    found = list(crystals)
    if not found:
        raise InputError(f"{path}: there are no crystals, and POSCAR cannot say so; write .csv")
    crystal = found[0]
    group, average = crystal.group, crystal.average
    orbits = [group.orbits == group.orbits[site] for site in group.parent_site]
    counts = np.array([average.counts[orbit].sum(axis=0) for orbit in orbits])
    shares = counts / counts.sum(axis=1, keepdims=True)
    lost = []
    if len(found) > 1:
        lost.append(f"the other {len(found) - 1} grains")
    if shared := int((shares.max(axis=1) < _PURE).sum()):
        lost.append(f"who else is on {shared} of {len(shares)} sites")
    if lost:
        warnings.warn(
            f"{path}: POSCAR holds one cell with one species a site; left out: "
            f"{' and '.join(lost)} (.cif has all)",
            stacklevel=2,
        )
    cell = Atoms(
        numbers=average.species[shares.argmax(axis=1)],
        scaled_positions=group.positions,
        cell=group.cell,
        pbc=True,
    )
    text = io.StringIO()
    label = (
        f"grain {crystal.number}: {len(crystal.atoms)} atoms, {crystal.symbol} "
        f"({crystal.space_group}), probability {crystal.probability:.3f}"
    )
    write(text, cell, format="vasp", direct=True, sort=True)
    # The first line is free; ASE puts the elements there, which line six has too.
    with whole_file(path) as part:
        part.write_text(label + "\n" + text.getvalue().partition("\n")[2], encoding="utf-8")


def write_cells(crystals: Crystals, path: str | Path) -> None:
    """Write the average crystals with their symmetry (CIF); the file is whole or absent."""
    with whole_file(path) as part:
        part.write_text("\n".join(_cif(one) for one in crystals) or "# no crystals\n")


def write_history(history: GrainHistory, path: str | Path) -> None:
    """Write one row a grain and frame (``.csv``); the file is whole or absent.

    Raises
    ------
    InputError
        The suffix is another one.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: expected a name that ends in .csv")
    with whole_file(path) as part:
        write_rows(history.rows(), part)


def write_rows(rows: list[dict[str, object]], path: Path) -> None:
    """Write rows as CSV, named by the keys of the first; without rows only a head."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["grain"])
        writer.writeheader()
        writer.writerows(rows)


def _cif(crystal: Crystal) -> str:
    """One block: the asymmetric unit in the standard setting, with the operations."""
    require_pymatgen("CIF files of crystals")
    from ase.data import chemical_symbols
    from pymatgen.core.structure import Structure
    from pymatgen.io.cif import CifWriter

    group, average = crystal.group, crystal.average
    # Sites of one orbit share the mean composition, so that the symmetry is exact.
    species = []
    for site in group.parent_site:
        counts = average.counts[group.orbits == group.orbits[site]].sum(axis=0)
        share = counts / counts.sum()
        species.append(
            {
                chemical_symbols[number]: round(float(x), 4)
                for number, x in zip(average.species, share, strict=True)
                if x > 5e-4
            }
        )
    structure = Structure(group.cell, species, group.positions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on rounded occupancies
        text = str(CifWriter(structure, symprec=1e-3))
    head = (
        f"# grain {crystal.number}: {len(crystal.atoms)} atoms, {crystal.symbol} "
        f"({crystal.space_group}), probability {crystal.probability:.3f}\n"
        f"# relative standard error of the lengths {crystal.cell_error:.5f}\n"
    )
    block = re.sub(r"^data_.*$", f"data_grain_{crystal.number}", text, count=1, flags=re.MULTILINE)
    # pymatgen says first who wrote it.
    return head + block
