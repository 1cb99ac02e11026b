"""Crystals into files: CIF of the average cells, CSV of the grains, labelled structures."""

from __future__ import annotations

import csv
import re
import warnings
from pathlib import Path

from ase import Atoms

from ase_crystalnet.errors import InputError
from ase_crystalnet.grains.results import Crystal, Crystals
from ase_crystalnet.grains.tracking import GrainHistory
from ase_crystalnet.io.whole_files import whole_file

__all__ = ["SUFFIXES", "write_cells", "write_crystals", "write_history"]

#: Suffixes of files: average cells, table of grains, structure with its grains.
SUFFIXES = (".cif", ".csv", ".extxyz")


def write_crystals(crystals: Crystals, atoms: Atoms, path: str | Path) -> None:
    """Write crystals in the format of the name's suffix; the file is whole or absent.

    Parameters
    ----------
    crystals : Crystals
    atoms : ase.Atoms
        The frame they were found in.
    path : str or Path
        ``.cif``: the average crystals with their symmetry, species shared by sites included.
        ``.csv``: one row a grain, as `Crystals.rows`. ``.extxyz``: the frame with the grain of each
        atom.

    Raises
    ------
    InputError
        The suffix is another one.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if suffix == ".cif":
        write_cells(crystals, path)
        return
    with whole_file(path) as part:
        if suffix == ".csv":
            _write_rows(crystals.rows(), part)
        else:
            from ase.io import write

            labelled = crystals.attach(atoms.copy())
            write(part, labelled, format="extxyz")


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
        _write_rows(history.rows(), part)


def _write_rows(rows: list[dict[str, object]], path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["grain"])
        writer.writeheader()
        writer.writerows(rows)


def _cif(crystal: Crystal) -> str:
    """One block: the asymmetric unit in the standard setting, with the operations."""
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
