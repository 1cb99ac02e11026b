"""Five files of other people's making: what CrystalNet says of every atom, and a map of each.

    python benchmarks/files.py DATA [--figures DIR] [--json FILE]

DATA holds pyscal's nucleus in its melt, LAMMPS' sodium interface and sigma-5 boundary, atomman's
dislocated aluminium, and the PdPt nanoparticle measured by atomic electron tomography.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read
from common import markdown, show, write_json
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ase_crystalnet import CrystalNet, FrameAnalysis
from ase_crystalnet.lattice import misorientation

#: Name, file, options of ase.io.read, normal of the map's slice.
CASES: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("nucleus in its melt", "md/pyscal/cluster.dump", {"format": "lammps-dump-text"}, "z"),
    (
        "sodium, half crystal half liquid",
        "md/lammps_examples/data.interface",
        {"format": "lammps-data", "atom_style": "full"},
        "z",
    ),
    (
        "sigma-5 boundary in an fcc metal",
        "md/lammps_examples/data.sigma5.gz",
        {"format": "lammps-data", "atom_style": "atomic"},
        "z",
    ),
    (
        "aluminium with a dislocation",
        "md/atomman/fcc_Al_disl.dump",
        {"format": "lammps-dump-text"},
        "x",
    ),
    ("PdPt nanoparticle, tomography", "aet/PdPt_TO.xyz", {}, "z"),
)


def load(path: Path, options: dict[str, Any]) -> Atoms:
    """Last frame of a file; LAMMPS atom types stand for elements nobody needs."""
    if options.get("format") == "lammps-data":
        import gzip
        import io

        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        atoms = read(io.StringIO(text), **options)
        atoms.wrap()
        return atoms
    return read(path, index=-1, **options)


def describe(frame: FrameAnalysis, seconds: float) -> list[str]:
    """A row of the table: shares of the classes above 0.1 %, certainty, order."""
    shares = [
        f"{name} {100 * share:.1f}"
        for name, share in zip(frame.classes, frame.class_fractions, strict=True)
        if share > 0.001
    ]
    if frame.refused_fraction > 0.001:
        shares.append(f"refused {100 * frame.refused_fraction:.1f}")
    sure = float(np.mean(frame.certainty[~frame.sparse] > 0.9)) if len(frame.certainty) else 0.0
    return [
        str(frame.number_of_atoms),
        ", ".join(shares),
        f"{frame.mean_certainty:.3f}",
        f"{100 * sure:.1f}",
        f"{frame.mean_order:.2f}",
        f"{frame.number_of_windows / seconds:.0f}",
    ]


def details(net: CrystalNet, atoms: Atoms, frame: FrameAnalysis) -> str:
    """What docs/files.md says beyond the table: clusters, Lindemann parameter, least certainty."""
    crystal = frame.labels != net.classes.index("disordered")
    inside = np.flatnonzero(crystal)
    reach = 1.43 * float(np.median(frame.nearest_neighbor_distance))
    periodic = atoms.pbc.all() and atoms.cell.orthorhombic
    box = atoms.cell.lengths() if periodic else None
    points = atoms.get_positions(wrap=True)[inside]
    if periodic:
        points %= box
        points = np.where(points >= box, 0.0, points)  # -1e-17 % box is box
    pairs = cKDTree(points, boxsize=box).query_pairs(reach, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(inside), len(inside)))
    _, cluster = connected_components(graph, directed=False)
    largest = cluster == np.bincount(cluster).argmax()
    names, counts = np.unique(frame.class_names()[inside[largest]], return_counts=True)
    alone = ", ".join(f"{c:.2f}" for c in frame.certainty[inside[~largest]][:5]) or "none"
    sure = crystal & (frame.certainty > 0.95)
    lindemann = np.median(frame.snapshot_lindemann[sure])
    return (
        f"{len(inside)} crystalline, {largest.sum()} of them in one cluster "
        f"({', '.join(f'{n} {c}' for n, c in zip(names, counts, strict=True))}), certainty of the "
        f"others {alone}; median Lindemann parameter {lindemann:.3f}"
        f"; 99.9 % have a certainty above {np.percentile(frame.certainty, 0.1):.2f}"
    )


def boundary(atoms: Atoms, frame: FrameAnalysis) -> str:
    """Misorientation of the two grains of the sigma-5 file and certainty about their boundary."""
    length = atoms.cell.lengths()[0]
    x = atoms.positions[:, 0]
    grains = [int(np.abs(x - share * length).argmin()) for share in (0.25, 0.75)]
    angle = misorientation(
        frame.orientation[grains[:1]], frame.orientation[grains[1:]], "cubic"
    ).item()
    near = np.abs(x - length / 2)
    parts = [
        f"{low}-{high} A: {frame.certainty[(near >= low) & (near < high)].min():.2f} to "
        f"{frame.certainty[(near >= low) & (near < high)].max():.2f}"
        for low, high in ((0, 3), (3, 6))
    ]
    return f"grains {angle:.1f} degrees apart; certainty at the boundary, {'; '.join(parts)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder with md/ and aet/")
    parser.add_argument("--model", default="local", help="name or folder of a model")
    parser.add_argument("--figures", type=Path, help="write a map of each file into this folder")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    given = parser.parse_args()
    net = CrystalNet(Path(given.model) if Path(given.model).is_dir() else given.model)
    rows = []
    for name, file, options, axis in CASES:
        path = given.data / file
        if not path.is_file():
            show(f"{path} is not there: left out")
            continue
        atoms = load(path, options)
        start = time.perf_counter()
        frame = net.analyze(atoms)
        rows.append([name, *describe(frame, time.perf_counter() - start)])
        show(" | ".join(rows[-1]))
        show("    " + details(net, atoms, frame))
        if "sigma" in name:
            show("    " + boundary(atoms, frame))
        if given.figures:
            from ase_crystalnet.plotting import plot_slice

            given.figures.mkdir(parents=True, exist_ok=True)
            figure = plot_slice(frame, axis=axis)
            stem = Path(file).name.replace(".gz", "").replace(".", "_")
            figure.savefig(given.figures / f"{stem}.png", dpi=80)
    header = ("file", "atoms", "classes, %", "certainty", "above 0.9, %", "order", "windows/s")
    show("\n" + markdown(header, rows))
    write_json(given.json, {"files": [dict(zip(header, row, strict=True)) for row in rows]})


if __name__ == "__main__":
    main()
