"""CrystalNet as a function of plain values, for pyiron, AiiDA and whatever stores its arguments.

pyiron_workflow: ``as_function_node()(classify)``; AiiDA (aiida-workgraph): ``task()(classify)``.
"""

from ase import Atoms

from ase_crystalnet import CrystalNet


def classify(
    positions: list, cell: list, pbc: list, numbers: list, model: str = "", centers: str = "grid"
) -> dict:
    """Class of every atom, and shares, order and disorder of the whole; all of it JSON."""
    atoms = Atoms(numbers=numbers, positions=positions, cell=cell, pbc=pbc)
    frame = CrystalNet(model or None).analyze(atoms, centers=centers)
    return {
        "classes": frame.class_names().tolist(),
        "fractions": dict(zip(frame.classes, frame.class_fractions.tolist(), strict=True)),
        "certainty": frame.mean_certainty,
        "order": frame.mean_order,
        "lindemann": frame.mean_snapshot_lindemann,
        "model_sha256": frame.metadata["model_sha256"],
    }
