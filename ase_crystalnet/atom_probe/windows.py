"""Windows of a reconstruction, and their contents: density, efficiency, composition.

All windows of a file have one radius. A crystal's window follows the density of the material
(`ase_crystalnet.windows`), because there the density is the same everywhere and only surfaces
differ. In a reconstruction the density is a measurement of its own, which varies with the
evaporation field, and windows of one size have one resolution and can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet.atom_probe.files.reconstruction import Reconstruction
from ase_crystalnet.errors import InputError
from ase_crystalnet.windows.windower import PreparedSystem, WindowBatch, Windower

__all__ = ["IonWindower", "IonWindows", "WindowMeasures", "occupied_volumes", "typical_density"]

#: Neighbours over which the typical density is taken, and at how many ions.
NEIGHBORS, PLACES = 64, 4000
#: Offset of the ions' centre of mass, in radii, above which a window lies at the surface. The
#: centre of mass of half a ball is at 0.375; chance alone moves that of 250 ions by 0.03.
SURFACE = 0.12
#: Fewest ions of a window.
MIN_IONS = 64
#: Spread of the ions across a plane or line, over that along it, at which they lie in it: rounding
#: of the numbers in a file leaves 1e-7 of a reconstruction's extent.
FLAT = 1e-5


@dataclass(frozen=True)
class IonWindower:
    """Parameters of the windows.

    Parameters
    ----------
    window_ions : int
        Ions in a window of the typical density, at least 64; it sets the radius.
    radius : float, optional
        Angstrom; instead of `window_ions`.
    spacing : float, optional
        Of the grid of centres, Angstrom; default: the radius, so that windows overlap by half.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """

    window_ions: int = 1000
    radius: float | None = None
    spacing: float | None = None

    def __post_init__(self) -> None:
        if self.window_ions < MIN_IONS:
            raise InputError(
                f"window_ions={self.window_ions} is less than {MIN_IONS}, too few to show planes"
            )
        for name, length in (("radius", self.radius), ("spacing", self.spacing)):
            if length is not None and not 0.0 < length < np.inf:
                raise InputError(f"{name}={length!r} is not a positive length in Angstrom")

    def prepare(self, ions: Reconstruction) -> IonWindows:
        """Choose radius and centres for a reconstruction.

        Parameters
        ----------
        ions : Reconstruction
            All its ions are used; select species before.

        Raises
        ------
        InputError
            If there are fewer ions than a window needs, no window holds enough, or all ions lie
            in a plane, on a line or in one place.
        """
        if len(ions) < MIN_IONS:
            raise InputError(f"{ions.source or 'reconstruction'}: holds {len(ions)} ions, too few")
        _refuse_flat(ions)
        density = typical_density(ions.positions)
        radius = self.radius
        if radius is None:
            radius = float(np.cbrt(3.0 * self.window_ions / (4.0 * np.pi * density)))
        expected = max(round(density * 4.0 / 3.0 * np.pi * radius**3), 1)
        windower = Windower(window_atoms=expected, min_atoms=min(MIN_IONS, expected), radius=radius)
        system = windower.prepare(ions.to_atoms())
        spacing = radius if self.spacing is None else self.spacing
        centers, _ = system.centers("grid", spacing=spacing)
        return IonWindows(ions, system, centers, float(radius), float(spacing), density)


@dataclass(frozen=True, eq=False)
class IonWindows:
    """Windows of one reconstruction.

    Attributes
    ----------
    ions : Reconstruction
        What they are cut from.
    system : PreparedSystem
        Its neighbour tree.
    centers : (W, 3) float64 array
        On a grid, where there are ions, Angstrom.
    radius, spacing : float
        Angstrom.
    density : float
        Typical number of ions in a cubic Angstrom.
    """

    ions: Reconstruction
    system: PreparedSystem
    centers: NDArray[np.float64]
    radius: float
    spacing: float
    density: float

    def __len__(self) -> int:
        return len(self.centers)

    def batches(
        self, centers: NDArray[np.float64] | None = None, batch_size: int = 256
    ) -> Iterator[WindowBatch]:
        """Cut the windows at some centres (default: all), a batch at a time."""
        yield from self.system.batches(self.centers if centers is None else centers, batch_size)

    def measure(self, batch: WindowBatch, atomic_volume: float | None = None) -> WindowMeasures:
        """What a batch of windows holds.

        Parameters
        ----------
        batch : WindowBatch
            From :meth:`batches`.
        atomic_volume : float, optional
            Volume of an ion in the material, Angstrom^3; default: of its species
            (`occupied_volumes`).
        """
        count = batch.mask.sum(axis=1)
        volume = 4.0 / 3.0 * np.pi * batch.radius**3
        kinds = len(self.ions.ions) + 1
        species = np.where(batch.mask, self.ions.species[batch.indices], kinds - 1)
        species = np.where(species < 0, kinds - 1, species)
        rows = np.arange(len(batch))[:, None] * kinds
        counts = np.bincount((rows + species)[batch.mask], minlength=len(batch) * kinds).reshape(
            -1, kinds
        )
        offset = batch.positions.sum(axis=1) / np.maximum(count, 1)[:, None]
        surface = np.linalg.norm(offset, axis=1) > SURFACE * batch.radius
        if atomic_volume is None:
            occupied = counts @ occupied_volumes(self.ions)
        else:
            occupied = count * atomic_volume
        inside = ~(surface | batch.sparse)
        return WindowMeasures(
            count=count,
            species_counts=counts,
            density=np.where(inside, count / volume, np.nan),
            efficiency=np.where(inside, occupied / volume, np.nan),
            surface=surface,
            sparse=batch.sparse,
        )


@dataclass(frozen=True, eq=False)
class WindowMeasures:
    """Contents of B windows. Quantities: see docs/glossary.md.

    Attributes
    ----------
    count : (B,) int array
        Ions.
    species_counts : (B, S + 1) int array
        Ions of each species, and unranged ones last.
    density : (B,) float array
        Ions in a cubic Angstrom; nan at the surface, where part of the window is empty.
    efficiency : (B,) float array
        Detection efficiency as reconstructed; nan at the surface, or if no volume is known.
    surface : (B,) bool array
        The window reaches out of the specimen.
    sparse : (B,) bool array
        Too few ions for an analysis.
    """

    count: NDArray[np.int64]
    species_counts: NDArray[np.int64]
    density: NDArray[np.float64]
    efficiency: NDArray[np.float64]
    surface: NDArray[np.bool_]
    sparse: NDArray[np.bool_]


def _refuse_flat(ions: Reconstruction) -> None:
    """Ions in a plane or on a line have no density, and no windows."""
    centered = ions.positions - ions.positions.mean(axis=0, dtype=np.float64)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(centered.T @ centered / len(centered)), 0.0))
    axes = int((spread > FLAT * spread[-1]).sum())
    if axes < 3:
        where = ("in one place", "on a line", "in a plane")[axes]
        raise InputError(
            f"{ions.source or 'reconstruction'}: its {len(ions)} ions lie all {where} and fill no "
            "volume; expected a reconstruction in three dimensions"
        )


def typical_density(positions: NDArray[np.floating]) -> float:
    """Median density at the ions, from the nearest 64 neighbours, Angstrom^-3.

    Parameters
    ----------
    positions : (N, 3) array
        Angstrom.

    Raises
    ------
    InputError
        If all ions are in one place.
    """
    count = min(NEIGHBORS, len(positions) - 1)
    tree = cKDTree(positions, leafsize=32, balanced_tree=False, compact_nodes=False)
    some = positions[:: max(len(positions) // PLACES, 1)]
    distance = tree.query(some, k=list(range(2, count + 2)), workers=-1)[0]
    # Neighbour number k is where a ball holds k ions; over many k the shells of a crystal are lost.
    volume = 4.0 / 3.0 * np.pi * float(np.median((distance**3).mean(axis=1)))
    if not volume > 0.0:
        raise InputError("the ions are all in one place; is this a reconstruction?")
    return (count + 1) / 2 / volume


def occupied_volumes(ions: Reconstruction) -> NDArray[np.float64]:
    """Volume (S + 1,) of an ion of each species in the material, the unranged last, Angstrom^3.

    An ion of unknown volume (unranged, or a name that is no formula) is taken for an average one.
    All nan where no species has a volume.
    """
    volumes = np.array([*(ion.material_volume for ion in ions.ions), np.nan])
    known = np.isfinite(volumes[:-1])
    counts = ions.counts[known]
    if not counts.sum():
        return np.full(len(volumes), np.nan)
    mean = float(volumes[:-1][known] @ counts / counts.sum())
    return np.where(np.isfinite(volumes), volumes, mean)
