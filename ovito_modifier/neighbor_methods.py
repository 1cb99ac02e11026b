"""Labels of the methods that look at an atom's neighbours, by OVITO, in our class names.

Polyhedral template matching (PTM): Larsen, Schmidt and Schiotz, Modelling Simul. Mater. Sci. Eng.
24, 055007 (2016); adaptive common neighbour analysis (a-CNA): Stukowski, ibid. 20, 045021 (2012).
OVITO is imported when one of them is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.classes import CLASSES, DISORDERED

__all__ = ["Labels", "acna_labels", "ptm_labels"]

Labels = NDArray[np.int16]


def ptm_labels(
    atoms: Atoms,
    rmsd_cutoff: float | None = 0.1,
    structures: Sequence[str] = ("fcc", "hcp", "bcc", "sc", "diam"),
    classes: Sequence[str] = CLASSES,
) -> Labels:
    """Labels (N,) by polyhedral template matching.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic or finite.
    rmsd_cutoff : float or None
        Largest deviation from a template, in its nearest-neighbour distance; None for no limit.
    structures : sequence of str
        Templates that are on; hexagonal diamond goes with diam. OVITO itself starts with fcc, hcp
        and bcc.
    classes : sequence of str
        Whose numbers the labels are: symmetries (hcp and hexagonal diamond are hex/rh) or
        structures. One of them is "disordered": what has no template.

    Notes
    -----
    Icosahedron and graphene are off. PTM has no template for the tetragonal classes: they can only
    be called something else.
    """
    from ovito import modifiers

    method = modifiers.PolyhedralTemplateMatchingModifier
    modifier = method(rmsd_cutoff=0.0 if rmsd_cutoff is None else rmsd_cutoff)
    types = method.Type
    templates = {
        "fcc": {int(types.FCC): "fcc"},
        "hcp": {int(types.HCP): "hcp"},
        "bcc": {int(types.BCC): "bcc"},
        "sc": {int(types.SC): "sc"},
        "diam": {int(types.CUBIC_DIAMOND): "diam", int(types.HEX_DIAMOND): "hexdiam"},
    }
    names = {number: name for key in structures for number, name in templates[key].items()}
    for entry in modifier.structures:
        entry.enabled = entry.id in names
    return _labels(atoms, modifier, names, classes)


def acna_labels(atoms: Atoms, diamond: bool = False, classes: Sequence[str] = CLASSES) -> Labels:
    """Labels (N,) by adaptive common neighbour analysis.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic or finite.
    diamond : bool
        Use its extension to diamond structures instead (which then finds nothing else); the outer
        two shells about a diamond atom count as diamond, as OVITO displays them.
    classes : sequence of str
        As for `ptm_labels`.
    """
    from ovito import modifiers

    if diamond:
        names = dict.fromkeys((1, 2, 3), "diam") | dict.fromkeys((4, 5, 6), "hexdiam")
        return _labels(atoms, modifiers.IdentifyDiamondModifier(), names, classes)
    method = modifiers.CommonNeighborAnalysisModifier
    types = method.Type
    names = {int(types.FCC): "fcc", int(types.HCP): "hcp", int(types.BCC): "bcc"}
    modifier = method(mode=method.Mode.AdaptiveCutoff)
    return _labels(atoms, modifier, names, classes)


def _labels(atoms: Atoms, modifier: Any, names: dict[int, str], classes: Sequence[str]) -> Labels:
    """Run a structure-identification modifier; whatever has no name is disordered."""
    from ovito.io.ase import ase_to_ovito

    bare = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    free = [axis for axis in range(3) if not bare.pbc[axis]]
    if free:  # OVITO wants a box of some volume also where nothing repeats
        box = bare.cell.complete()
        box[free] *= np.maximum(1.0, 10.0 / np.linalg.norm(box[free], axis=1))[:, None]
        bare.set_cell(box)
    data = ase_to_ovito(bare)
    data.apply(modifier)
    found = np.asarray(data.particles["Structure Type"])
    disordered = classes.index(DISORDERED)
    table = np.full(max(int(found.max(initial=0)), *names) + 1, disordered, dtype=np.int16)
    for number, name in names.items():
        known = next((each for each in (name, "hex/rh", "other") if each in classes), DISORDERED)
        table[number] = classes.index(known)
    labels: Labels = table[found]
    return labels
