"""`AtomProbeAnalysis`: the analysis of a reconstruction as arrays, and its HDF5 file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.windows import WindowMeasures
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.results.hdf5_reader import damage, member
from ase_crystalnet.io.results.heaps import check_heaps
from ase_crystalnet.io.results.held_file import refuse_other_than_file
from ase_crystalnet.io.whole_files import write_whole

if TYPE_CHECKING:
    from ase_crystalnet.atom_probe.classes.classifier import ClassFindings
    from ase_crystalnet.atom_probe.crystal.naming import NamedPoles
    from ase_crystalnet.atom_probe.order.finder import OrderFindings
    from ase_crystalnet.atom_probe.order.phases import OrderMap
    from ase_crystalnet.atom_probe.search.findings import WindowFindings
    from ase_crystalnet.atom_probe.search.poles import Pole

__all__ = ["RANKS", "AtomProbeAnalysis", "DepthSpectra", "read_analysis", "write_analysis"]

#: What each rank of a window means.
RANKS = ("nothing", "planes", "rods", "lattice")
_SCHEMA = "crystalnet-atom-probe-1"
#: Fields that are no arrays, and are kept elsewhere in the file.
_WORDS = ("crystal", "names", "phases")


@dataclass(frozen=True, eq=False)
class DepthSpectra:
    """Mean structure factor along one direction, layer by layer in depth.

    Attributes
    ----------
    direction : (3,) float array
        Unit vector along which the spectra are taken.
    depth : (D,) float array
        Middle of each layer along z, Angstrom.
    spacing : (M,) float array
        Interplanar spacing, Angstrom.
    spectrum, error : (D, M) float arrays
        Mean S over the windows of a layer (1 = no planes) and its standard error; nan where a layer
        has no window.
    """

    direction: NDArray[np.float64]
    depth: NDArray[np.float64]
    spacing: NDArray[np.float64]
    spectrum: NDArray[np.float64]
    error: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AtomProbeAnalysis:
    """An analysed reconstruction. Quantities: see docs/glossary.md.

    Attributes
    ----------
    source, ranges : str
        Files.
    species : tuple of str
        Names of the ions, in the order of `species_counts`.
    species_counts : (S + 1,) int array
        Ions of each species; unranged ones last.
    composition : mapping of str to float
        Share of each element among the atoms of ranged ions, largest first.
    radius, spacing : float
        Of the windows and of their grid, Angstrom.
    density : float
        Typical density, ions in a cubic Angstrom.
    centers : (W, 3) float array
        Windows that hold enough ions, Angstrom.
    refused : int
        Windows that do not.
    measures : WindowMeasures
        Count, density, efficiency and composition of the W windows.
    findings : WindowFindings
        Planes, rods and lattices of the W windows, with significance.
    classes : ClassFindings, optional
        Crystal classes of those with a lattice.
    class_names : tuple of str
        What the labels of `classes` mean.
    poles : tuple of Pole
        Plane normals that many windows share.
    depth : tuple of DepthSpectra
        Spectra layer by layer: along z, and along the strongest pole, or else the normal of the
        most significant window, if there is one.
    settings : mapping
        Options of the analysis.
    named : NamedPoles, optional
        The poles as planes of a known crystal, in the order of `poles`.
    order : OrderFindings, optional
        Order of the W windows.
    order_map : OrderMap, optional
        Where it is, and the ordered phases.
    """

    source: str
    ranges: str
    species: tuple[str, ...]
    species_counts: NDArray[np.int64]
    composition: Mapping[str, float]
    radius: float
    spacing: float
    density: float
    centers: NDArray[np.float64]
    refused: int
    measures: WindowMeasures
    findings: WindowFindings
    classes: ClassFindings | None = None
    class_names: tuple[str, ...] = ()
    poles: tuple[Pole, ...] = ()
    depth: tuple[DepthSpectra, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    named: NamedPoles | None = None
    order: OrderFindings | None = None
    order_map: OrderMap | None = None

    def __len__(self) -> int:
        return len(self.centers)

    @property
    def rank_shares(self) -> dict[str, float]:
        """Share of the windows that show nothing, planes, rods and a lattice."""
        counts = np.bincount(self.findings.rank, minlength=len(RANKS))
        return {name: float(n) / max(len(self), 1) for name, n in zip(RANKS, counts, strict=True)}

    @property
    def class_counts(self) -> dict[str, int]:
        """Windows of each class, and of those with a lattice whose class was refused."""
        if self.classes is None:
            return {}
        lattice = self.findings.rank == RANKS.index("lattice")
        labels = self.classes.labels[lattice]
        found = {n: int((labels == i).sum()) for i, n in enumerate(self.class_names)}
        found["refused"] = int((labels < 0).sum())
        return {name: count for name, count in found.items() if count}

    def grid(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Place of each window in the regular grid of centres.

        Returns
        -------
        index : (W, 3) int array
        origin, step : (3,) float arrays
            The centre of window w is ``origin + index[w] * step``, Angstrom.
        """
        origin = self.centers.min(axis=0)
        step = np.full(3, self.spacing)
        for axis in range(3):
            places = np.unique(self.centers[:, axis].round(6))
            if len(places) > 1:
                span = places[-1] - places[0]
                step[axis] = span / np.rint(span / np.diff(places).min())
        return np.rint((self.centers - origin) / step).astype(np.int64), origin, step

    def window_arrays(self) -> dict[str, NDArray[Any]]:
        """One array of W rows for each quantity, by name; lengths in Angstrom."""
        found: dict[str, NDArray[Any]] = {"center": self.centers}
        for part in (self.measures, self.findings, self.classes, self.order):
            if part is not None:
                found |= _arrays(part)
        return found


def _arrays(part: object) -> dict[str, NDArray[Any]]:
    values = {f.name: getattr(part, f.name) for f in fields(part)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def write_analysis(path: Path, analysis: AtomProbeAnalysis) -> None:
    """Write an analysis as HDF5; `read_analysis` gives it back.

    One group for the windows (``/windows/<quantity>``, W rows), one for each pole and each set of
    spectra; what is no array is JSON in the attributes of the file. It is made in memory, which
    holds the analysis already: HDF5 cannot recover from a failed write to disk, it takes the
    process with it.

    Raises
    ------
    OSError
        If it cannot be written, for example on a full disk; a file that was there is untouched.
    """
    import h5py

    head = {
        "source": analysis.source,
        "ranges": analysis.ranges,
        "species": analysis.species,
        "composition": dict(analysis.composition),
        "radius": analysis.radius,
        "spacing": analysis.spacing,
        "density": analysis.density,
        "refused": analysis.refused,
        "class_names": analysis.class_names,
        "settings": dict(analysis.settings),
        "named": None
        if analysis.named is None
        else {"crystal": analysis.named.crystal, "names": analysis.named.names},
        "units": {"length": "Angstrom", "density": "ions/Angstrom^3"},
    }
    # v110 has checksums of all that HDF5 itself relies upon: damage is noticed.
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("v110", "v110")) as file:
        file.attrs["format"] = _SCHEMA
        file.attrs["head"] = json.dumps(head)
        file["species_counts"] = analysis.species_counts
        groups: dict[str, object] = {
            "windows/measures": analysis.measures,
            "windows/findings": analysis.findings,
        }
        if analysis.classes is not None:
            groups["windows/classes"] = analysis.classes
        for place, more in (("windows/order", analysis.order), ("named", analysis.named)):
            if more is not None:
                groups[place] = more
        if analysis.order_map is not None:
            groups["order/map"] = analysis.order_map
            for i, phase in enumerate(analysis.order_map.phases):
                groups[f"order/phases/{i:05d}"] = phase
        groups |= {f"poles/{i:03d}": pole for i, pole in enumerate(analysis.poles)}
        groups |= {f"depth/{i:03d}": part for i, part in enumerate(analysis.depth)}
        file.create_dataset("windows/center", data=analysis.centers, compression="gzip")
        for place, part in groups.items():
            group = file.create_group(place)
            for item in fields(part):  # type: ignore[arg-type]
                value = getattr(part, item.name)
                if item.name in _WORDS:
                    continue
                if isinstance(value, np.ndarray) and value.size > 1000:
                    group.create_dataset(item.name, data=value, compression="gzip", shuffle=True)
                else:
                    group[item.name] = np.asarray(value)
    write_whole(path, image.getvalue())


def read_analysis(path: Path) -> AtomProbeAnalysis:
    """Read what `write_analysis` has written.

    Raises
    ------
    InputError
        If it is another file, or a damaged one.
    FileNotFoundError
        If it does not exist.
    """
    import h5py

    from ase_crystalnet.atom_probe.classes.classifier import ClassFindings
    from ase_crystalnet.atom_probe.crystal.naming import NamedPoles
    from ase_crystalnet.atom_probe.order.finder import OrderFindings
    from ase_crystalnet.atom_probe.order.phases import OrderedPhase, OrderMap
    from ase_crystalnet.atom_probe.search.findings import WindowFindings
    from ase_crystalnet.atom_probe.search.poles import Pole

    refuse_other_than_file(path)
    check_heaps(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: is no HDF5 file, or a damaged one") from error
    with file, damage(path):
        if file.attrs.get("format") != _SCHEMA:
            raise InputError("no result of `crystalnet apt`")
        head = json.loads(file.attrs["head"])

        def part(kind: Any, place: str, **known: Any) -> Any:
            names = [item.name for item in fields(kind) if item.name not in known]
            return kind(**{n: _value(member(file, f"{place}/{n}")) for n in names}, **known)

        def parts(kind: Any, place: str, digits: int = 3) -> tuple[Any, ...]:
            found: list[Any] = []
            while member(file, name := f"{place}/{len(found):0{digits}d}") is not None:
                found.append(part(kind, name))
            return tuple(found)

        def optional(kind: Any, place: str, **known: Any) -> Any:
            return None if member(file, place) is None else part(kind, place, **known)

        words = head.get("named") or {}
        words = {"crystal": words.get("crystal", ""), "names": tuple(words.get("names", ()))}
        return AtomProbeAnalysis(
            source=head["source"],
            ranges=head["ranges"],
            species=tuple(head["species"]),
            species_counts=_value(member(file, "species_counts")),
            composition=head["composition"],
            radius=head["radius"],
            spacing=head["spacing"],
            density=head["density"],
            centers=_value(member(file, "windows/center")),
            refused=head["refused"],
            measures=part(WindowMeasures, "windows/measures"),
            findings=part(WindowFindings, "windows/findings"),
            classes=optional(ClassFindings, "windows/classes"),
            named=optional(NamedPoles, "named", **words),
            order=optional(OrderFindings, "windows/order"),
            order_map=optional(
                OrderMap, "order/map", phases=parts(OrderedPhase, "order/phases", 5)
            ),
            class_names=tuple(head["class_names"]),
            poles=parts(Pole, "poles"),
            depth=parts(DepthSpectra, "depth"),
            settings=head["settings"],
        )


def _value(dataset: Any) -> Any:
    if dataset is None:
        raise InputError("a quantity is missing")
    value = dataset[()]
    return value if isinstance(value, np.ndarray) else value.item()
