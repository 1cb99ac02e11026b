"""Files of an analysed reconstruction for OVITO and ParaView: extended XYZ and VTK.

* .extxyz: the ions, each with what the nearest window shows (OVITO, ASE);
* .vti: the grid of windows as a voxel image (ParaView, OVITO);
* .vtu: the windows as points, with plane normals as vectors to draw (ParaView).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet.atom_probe.files.reconstruction import Reconstruction
from ase_crystalnet.atom_probe.results import AtomProbeAnalysis, write_analysis
from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.whole_files import whole_file

__all__ = ["KINDS", "check_outputs", "window_fields", "write_outputs"]

#: Suffixes of outputs.
KINDS = (".h5", ".hdf5", ".extxyz", ".vti", ".vtu")


def check_outputs(paths: list[Path], overwrite: bool, figures: list[Path] | None = None) -> None:
    """Refuse outputs and figures that cannot be written, before anything is computed.

    Raises
    ------
    InputError
        If a suffix is unknown, a name is given twice, or a package is missing.
    OutputExistsError
        If a file exists and `overwrite` is not given.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError("outputs: one name is given twice")
    for path in [*paths, *(figures or [])]:
        if path in paths and path.suffix.lower() not in KINDS:
            raise InputError(f"{path}: expected a name that ends in {', '.join(KINDS)}")
        if path.is_dir():
            raise OutputExistsError(f"{path}: is a folder; give the name of a file")
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists already; --overwrite replaces it")
        if path.suffix.lower() in (".vti", ".vtu"):
            _pyevtk()


def write_outputs(
    paths: list[Path], analysis: AtomProbeAnalysis, ions: Reconstruction, molecular: str = "keep"
) -> None:
    """Write every file, each whole or not at all.

    Parameters
    ----------
    paths : list of Path
        Kinds by suffix.
    analysis : AtomProbeAnalysis
    ions : Reconstruction
        What was analysed, for .extxyz.
    molecular : {'keep', 'split'}
        Molecular ions in .extxyz; see `Reconstruction.to_atoms`.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    writers: dict[str, Callable[[Path], None]] = {
        ".h5": lambda part: write_analysis(part, analysis),
        ".hdf5": lambda part: write_analysis(part, analysis),
        ".extxyz": lambda part: _write_extxyz(part, analysis, ions, molecular),
        ".vti": lambda part: _write_vti(part, analysis),
        ".vtu": lambda part: _write_vtu(part, analysis),
    }
    for path in paths:
        with whole_file(path) as part:
            writers[path.suffix.lower()](part)


def window_fields(analysis: AtomProbeAnalysis) -> dict[str, NDArray[Any]]:
    """One number (or vector) a window, by the name it has in the files; lengths in Angstrom.

    Density is in ions/nm^3 and contents in percent of the ranged ions.
    """
    measures, findings = analysis.measures, analysis.findings
    ranged = np.maximum(measures.species_counts[:, :-1].sum(axis=1), 1)
    found: dict[str, NDArray[Any]] = {
        "rank": findings.rank,
        "p_value": findings.p_value,
        "strength": findings.strength,
        "plane_spacing": findings.spacing,
        "plane_normal": findings.normal,
        "contrast": findings.contrast,
        "detection_limit": findings.detection_limit,
        "count": measures.count,
        "density": 1000.0 * measures.density,
        "efficiency": measures.efficiency,
        "surface": measures.surface.astype(np.int8),
    }
    for i, name in enumerate(analysis.species):
        if analysis.species_counts[i]:
            found[f"percent_{name}"] = 100.0 * measures.species_counts[:, i] / ranged
    if analysis.order is not None:
        found["order"] = analysis.order.order
        found["order_p_value"] = analysis.order.order_p_value
    if analysis.classes is not None:
        found["class"] = analysis.classes.labels
        found["certainty"] = analysis.classes.certainty
    return {
        name: values.astype(
            np.int8 if values.dtype.kind in "iub" and name != "count" else np.float32
        )
        for name, values in found.items()
    }


def _write_extxyz(
    path: Path, analysis: AtomProbeAnalysis, ions: Reconstruction, molecular: str
) -> None:
    from ase.io import write

    atoms = ions.to_atoms(molecular)
    nearest = cKDTree(analysis.centers).query(atoms.positions, workers=-1)[1]
    for name, values in window_fields(analysis).items():
        if name in ("rank", "p_value", "density", "class", "order", "order_p_value"):
            kind = np.int32 if values.dtype.kind == "i" else np.float64
            atoms.set_array(f"crystalnet_{name}", values[nearest].astype(kind))
    if analysis.order_map is not None and molecular == "keep":
        atoms.set_array("crystalnet_phase", analysis.order_map.ion_region)
    atoms.info["crystalnet_classes"] = " ".join(analysis.class_names)
    with open(path, "w", encoding="utf-8") as file:
        write(file, atoms, format="extxyz")


def _pyevtk() -> Any:
    try:
        from pyevtk import hl
    except ImportError as error:
        raise InputError("VTK output needs a package: pip install ase-crystalnet[apt]") from error
    return hl


def _write_vti(path: Path, analysis: AtomProbeAnalysis) -> None:
    """Voxels of the grid's size; those without a window are nan, or -1 in whole numbers."""
    index, origin, step = analysis.grid()
    shape = tuple(index.max(axis=0) + 1)
    voxels: dict[str, Any] = {}
    for name, values in window_fields(analysis).items():
        columns = []
        for column in np.atleast_2d(values.T):
            image = np.full(shape, -1 if column.dtype.kind == "i" else np.nan, column.dtype)
            image[tuple(index.T)] = column
            columns.append(np.asfortranarray(image))
        voxels[name] = columns[0] if len(columns) == 1 else tuple(columns)
    written = _pyevtk().imageToVTK(
        _stem(path), tuple(map(float, origin - step / 2)), tuple(map(float, step)), voxels
    )
    Path(written).replace(path)  # of a name in capital letters


def _write_vtu(path: Path, analysis: AtomProbeAnalysis) -> None:
    points = [np.ascontiguousarray(column) for column in analysis.centers.T]
    data: dict[str, Any] = {}
    for name, values in window_fields(analysis).items():
        if values.ndim == 2:
            # Not nan: a glyph of no length is not drawn.
            data[name] = tuple(np.ascontiguousarray(np.nan_to_num(c)) for c in values.T)
        else:
            data[name] = np.ascontiguousarray(values)
    written = _pyevtk().pointsToVTK(_stem(path), *points, data=data)
    Path(written).replace(path)


def _stem(path: Path) -> str:
    """The library adds the suffix of the format, in small letters, to the name it is given."""
    return str(path.with_suffix(""))
