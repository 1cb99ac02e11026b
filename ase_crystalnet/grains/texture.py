"""Texture: grains on a plane as a scanning microscope sees them, for orix and MTEX.

A plane is cut through the frame; each point of a square grid on it has the phase and orientation of
the grain of the nearest atom. Orientations are Bunge's: passive rotations from the axes of the map
to those of the crystal, with a along x and c* along z. Lengths are in nanometres.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.geometry.cell import cellpar_to_cell
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.periodic import PeriodicSpace, validated_positions
from ase_crystalnet.grains.results import Crystal, Crystals
from ase_crystalnet.io.whole_files import whole_file, write_whole

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

__all__ = [
    "OrientationMap",
    "bunge",
    "laue_number",
    "orientation_map",
    "orix_phase",
    "phase_name",
    "phases_of",
    "quaternions_of",
    "require_orix",
    "write_map",
]

#: Points of a map by default, along its longer side, and at most in all.
POINTS, MOST_POINTS = 256, 4_000_000
#: An atom farther than so many times the mean distance of atoms speaks for no point.
FAR = 1.0
#: First space group of each Laue class after the first, in the order of the Channel text files.
_LAUE = (3, 16, 75, 89, 143, 149, 168, 177, 195, 207)


@dataclass(frozen=True, eq=False)
class OrientationMap:
    """Grains on a plane.

    Attributes
    ----------
    grains : (Y, X) int32 array
        Number of the grain at each point; 0 for none.
    step : float
        Distance of points, Angstrom.
    axis : int
        Of the frame, that the plane is normal to; x and y of the map are the next two.
    height : float
        Of the plane along that axis, Angstrom.
    origin : (2,) float64 array
        Of the first point, Angstrom.
    crystals : Crystals
        All grains of the frame.
    """

    grains: NDArray[np.int32]
    step: float
    axis: int
    height: float
    origin: Array
    crystals: Crystals

    @property
    def turn(self) -> Rotation:
        """From the axes of the frame to those of the map."""
        return Rotation.from_matrix(np.eye(3)[[(self.axis + k + 1) % 3 for k in range(3)]])

    def to_orix(self) -> CrystalMap:
        """The map as orix has it; points without a grain are not indexed.

        Raises
        ------
        InputError
            orix is not installed, or no point of the plane is in a grain.
        """
        require_orix("maps of orientations")
        from orix.crystal_map import CrystalMap, PhaseList
        from orix.quaternion import Rotation as Turns

        if not (self.grains > 0).any():
            raise InputError("map of orientations: no grain is on the plane; choose another height")
        phases, number = phases_of(self.crystals)
        turns = quaternions_of(self.crystals, self.turn)
        rows, columns = np.indices(self.grains.shape)
        flat = self.grains.reshape(-1)
        return CrystalMap(
            rotations=Turns(turns[flat]),
            phase_id=np.append(-1, number)[flat],
            x=columns.reshape(-1) * self.step / 10,
            y=rows.reshape(-1) * self.step / 10,
            phase_list=PhaseList([orix_phase(each) for each in phases]),
            prop={"grain": flat, "ci": (flat > 0).astype(float)},
            scan_unit="nm",
        )


def require_orix(what: str) -> None:
    """Say that something is made by orix, if that is not installed.

    Raises
    ------
    InputError
        It is not.
    """
    if find_spec("orix") is None:
        raise InputError(f"{what} need the package orix: pip install 'ase-crystalnet[texture]'")


def phases_of(crystals: Crystals) -> tuple[tuple[Crystal, ...], NDArray[np.int64]]:
    """One grain of each phase, the largest, and the number of each grain's phase (G,) from 0.

    Grains are of one phase if group, lattice type, prototype and reference are the same.
    """
    kinds = [(one.space_group, one.group.pearson, one.prototype, one.known_as) for one in crystals]
    known = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    first = [crystals[kinds.index(kind)] for kind in known]
    return tuple(first), np.array([known[kind] for kind in kinds], np.int64)


def phase_name(crystal: Crystal) -> str:
    """Its reference or prototype, else its space group and Pearson symbol."""
    return crystal.known_as or crystal.prototype or f"{crystal.symbol} {crystal.group.pearson}"


def orix_phase(crystal: Crystal) -> Phase:
    """A crystal as orix has phases: its standard cell with the sites, and its group."""
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    cell = crystal.conventional
    sites = [
        Atom(symbol, place)
        for symbol, place in zip(cell.symbols, cell.get_scaled_positions(), strict=True)
    ]
    structure = Structure(sites, Lattice(*crystal.cell_parameters), title=phase_name(crystal))
    return Phase(phase_name(crystal), space_group=crystal.space_group, structure=structure)


def bunge(crystals: Crystals, turn: Rotation | None = None) -> Array:
    """Euler angles (G, 3) of Bunge of the grains, degrees: 0 to 360, 0 to 180, 0 to 360.

    Parameters
    ----------
    crystals : Crystals
    turn : Rotation, optional
        From the axes of the frame to those of the sample; by default they are the same.
    """
    if not len(crystals):
        return np.zeros((0, 3))
    angles = _to_sample(crystals, turn).as_euler("ZXZ", degrees=True)
    return np.asarray(angles % [360.0, 360.0, 360.0])


def _to_sample(crystals: Crystals, turn: Rotation | None = None) -> Rotation:
    """Rotations (G,) from the axes of the crystals, a along x and c* along z, to the sample's."""
    matrices = []
    for one in crystals:
        aligned = cellpar_to_cell(one.cell_parameters)
        # Rows of the standard cell are those of the aligned one, turned.
        own = np.linalg.inv(aligned) @ one.group.cell
        matrices.append(one.group.orientation @ own.T)
    found = Rotation.from_matrix(np.array(matrices))
    return found if turn is None else turn * found


def quaternions_of(crystals: Crystals, turn: Rotation | None) -> Array:
    """Quaternions (G + 1, 4), scalar first, from sample to crystal; the first is of no grain."""
    quaternions = _to_sample(crystals, turn).inv().as_quat()[:, [3, 0, 1, 2]]
    return np.vstack([[1.0, 0, 0, 0], quaternions])


def orientation_map(
    crystals: Crystals,
    atoms: Atoms,
    *,
    axis: int = 2,
    height: float | None = None,
    step: float | None = None,
) -> OrientationMap:
    """Cut a plane through the grains of a frame.

    Parameters
    ----------
    crystals : Crystals
        Of this frame.
    atoms : ase.Atoms
    axis : {0, 1, 2}
        The plane is normal to it.
    height : float, optional
        Along that axis, Angstrom; by default the middle of the atoms.
    step : float, optional
        Distance of points, Angstrom; by default 256 on the longer side, and no finer than half the
        distance of atoms.

    Raises
    ------
    InputError
        A parameter is out of range, or the crystals are of another frame.
    """
    if axis not in (0, 1, 2):
        raise InputError(f"axis is {axis!r}; expected 0, 1 or 2, normal to the plane")
    if len(atoms) != len(crystals.grains):
        raise InputError(
            f"map of orientations: the crystals are of {len(crystals.grains)} atoms, given "
            f"{len(atoms)}; pass the frame that was analysed"
        )
    positions = validated_positions(atoms)
    space = PeriodicSpace.of(atoms)
    positions = space.wrap(positions)
    low, high = positions.min(axis=0), positions.max(axis=0)
    spacing = _distance(positions)
    across = [(axis + 1) % 3, (axis + 2) % 3]
    size = (high - low)[across]
    if step is None:
        step = max(float(size.max()) / POINTS, spacing / 2)
    if not step > 0 or np.prod(size / step + 1) > MOST_POINTS:
        raise InputError(f"step is {step}; expected a distance that makes at most {MOST_POINTS:,} "
                         "points, Angstrom")  # fmt: skip
    middle = float((low + high)[axis] / 2) if height is None else float(height)
    if not low[axis] - spacing <= middle <= high[axis] + spacing:
        raise InputError(
            f"height is {middle:g}; expected {low[axis]:g} to {high[axis]:g}, where atoms are"
        )
    count = np.floor(size / step).astype(int) + 1
    points = np.empty((count[1], count[0], 3))
    points[..., axis] = middle
    points[..., across[0]] = low[across[0]] + step * np.arange(count[0])
    points[..., across[1]] = (low[across[1]] + step * np.arange(count[1]))[:, None]
    slab = np.abs(positions[:, axis] - middle) < 3 * spacing + step
    tree = cKDTree(positions[slab])
    far, nearest = tree.query(points.reshape(-1, 3))
    grains = np.where(far < FAR * spacing, crystals.grains[slab][nearest], 0)
    return OrientationMap(
        grains.reshape(points.shape[:2]).astype(np.int32),
        float(step),
        axis,
        middle,
        low[across],
        crystals,
    )


def _distance(positions: Array) -> float:
    """Typical distance of nearest neighbours, Angstrom."""
    some = positions[:: max(len(positions) // 512, 1)]
    return float(np.median(cKDTree(positions).query(some, k=[2])[0])) if len(positions) > 1 else 1.0


def laue_number(space_group: int) -> int:
    """Number of the Laue class, 1 (-1) to 11 (m-3m), as Channel text files count them."""
    return 1 + int(np.searchsorted(_LAUE, space_group, side="right"))


def write_map(given: OrientationMap, path: str | Path) -> None:
    """Write a map as ``.ctf`` (Channel text file) or ``.ang`` (by orix), which MTEX reads.

    Lengths are in nanometres; points without a grain are not indexed.

    Raises
    ------
    InputError
        The suffix is another one, no grain is on the plane, or orix, which writes ``.ang``, is not
        installed.
    """
    path = Path(path)
    if path.suffix.lower() == ".ctf":
        write_whole(path, _ctf(given))
    elif path.suffix.lower() == ".ang":
        found = given.to_orix()
        from orix.io import save

        with whole_file(path) as part:
            save(str(part), found, overwrite=True, confidence_index_prop="ci")
    else:
        raise InputError(f"{path}: expected a name that ends in .ctf or .ang")


def _ctf(given: OrientationMap) -> str:
    phases, number = phases_of(given.crystals)
    rows, columns = given.grains.shape
    step = given.step / 10
    lines = [
        "Channel Text File",
        f"Prj\tCrystalNet, plane {'xyz'[given.axis]} = {given.height / 10:.4f} nm, lengths in nm",
        "Author\tCrystalNet",
        "JobMode\tGrid",
        f"XCells\t{columns}",
        f"YCells\t{rows}",
        f"XStep\t{step:.6f}",
        f"YStep\t{step:.6f}",
        "AcqE1\t0",
        "AcqE2\t0",
        "AcqE3\t0",
        "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t1\tCoverage\t100\tDevice\t0"
        "\tKV\t0\tTiltAngle\t0\tTiltAxis\t0",
        f"Phases\t{len(phases)}",
    ]
    for one in phases:
        a, b, c, alpha, beta, gamma = one.cell_parameters
        lines.append(
            f"{a:.4f};{b:.4f};{c:.4f}\t{alpha:.3f};{beta:.3f};{gamma:.3f}\t{phase_name(one)}"
            f"\t{laue_number(one.space_group)}\t{one.space_group}"
        )
    lines.append("Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS")
    phase = np.append(0, number + 1)
    angles = np.vstack([np.zeros(3), bunge(given.crystals, given.turn)])
    errors = np.append(0.0, [one.spread for one in given.crystals])
    points: NDArray[Any] = given.grains
    for y in range(rows):
        for x in range(columns):
            grain = points[y, x]
            first, second, third = angles[grain]
            seen = 1 if grain else 0
            lines.append(
                f"{phase[grain]}\t{x * step:.6f}\t{y * step:.6f}\t{8 * seen}\t{0 if seen else 3}"
                f"\t{first:.4f}\t{second:.4f}\t{third:.4f}\t{errors[grain]:.4f}\t{255 * seen}"
                f"\t{255 * seen}"
            )
    return "\n".join(lines) + "\n"
