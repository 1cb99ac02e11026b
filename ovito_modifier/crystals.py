"""`CrystalNetCrystalsModifier`: grains of any crystal, their cells, space groups and order."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from ovito.data import DataCollection, DataTable, ElementType
from ovito.pipeline import ModifierInterface
from traits import api

from ase_crystalnet.grains import Crystal, Crystals, GrainFinder, find_crystals, load_references
from ase_crystalnet.grains.colors import NO_GRAIN, grain_color
from ovito_modifier.convert import selected, to_atoms
from ovito_modifier.steps import in_steps

__all__ = ["CrystalNetCrystalsModifier"]

traits: Any = api  # its annotations do not cover how it is used
Steps = Generator[str | float, None, Any]

PREFIX = "CrystalNet"
STRAIN = ("XX", "YY", "ZZ", "XY", "XZ", "YZ")
_VOIGT = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])
_XYZW = ("X", "Y", "Z", "W")


class _Latest:
    """The last analysis, kept while only what is written changes, not what is computed."""

    def __init__(self) -> None:
        self.key: str | None = None
        self.crystals: Crystals | None = None


class CrystalNetCrystalsModifier(ModifierInterface):
    """Grains of any crystal, without a network: cells, space groups, orientation, strain, order.

    Each parameter is a keyword of the constructor, too. What is written is described in
    ``docs/crystals.md``.

    Parameters
    ----------
    least_atoms : int
        Grains of fewer particles are none; at least 20.
    elastic_strain : float
        Root mean square of the components of a strain that is no change of symmetry; negative for
        as the lattice tells.
    references : str
        Files of known crystals (.cif, POSCAR, ...), one after the other with semicolons between;
        grains that are one of them carry the name of its file.
    only_selected : bool
        Treat particles that are not selected as absent.
    color_by_grain : bool
        Colour the particles by their grain.
    write_orientation : bool
        Write ``Orientation`` of each particle's grain, as other modifiers do.
    write_strain : bool
        Write the strain of each particle's grain, against its reference or the mean of such grains.

    Raises
    ------
    traits.TraitError
        A parameter is unknown or out of range.
    """

    least_atoms = traits.Range(20, None, 60, label="Particles in a grain, at least")
    elastic_strain = traits.Range(-1.0, 0.2, -1.0, label="Elastic strain (negative: by evidence)")
    references = traits.Str("", label="Reference files (; between)")
    only_selected = traits.Bool(False, label="Use only selected particles")
    color_by_grain = traits.Bool(True, label="Color particles by grain")
    write_orientation = traits.Bool(True, label="Output orientations")
    write_strain = traits.Bool(True, label="Output strain")

    _latest = traits.Instance(_Latest, args=(), transient=True, visible=False)
    # A misspelt parameter would be swallowed otherwise.
    _ = traits.Disallow

    def modify(self, data: DataCollection, *, frame: int, **kwargs: Any) -> Steps:
        """Find the crystals of `data` and write them into it; yields progress."""
        indices = selected(data, self.only_selected)
        found = None
        if len(indices):
            yield "CrystalNet: crystals"
            found = yield from self._crystals(to_atoms(data, indices))
        grains = np.zeros(data.particles.count, np.int32)
        if found is not None:
            grains[indices] = found.grains
        crystals = () if found is None else tuple(found)
        strains = () if found is None else found.relative_strains
        self._particles(data, grains, crystals, strains)
        _table(data, crystals, strains)
        _attributes(data, grains[indices], crystals)

    def _crystals(self, atoms: Atoms) -> Steps:
        files = [name.strip() for name in self.references.split(";") if name.strip()]
        given = (self.least_atoms, self.elastic_strain, files)
        digest = hashlib.blake2b(repr(given).encode())
        for array in (atoms.positions, atoms.cell.array, atoms.pbc, atoms.numbers):
            digest.update(np.ascontiguousarray(array).tobytes())
        key = digest.hexdigest()

        def work(progress: Any) -> Crystals:
            return find_crystals(
                atoms,
                finder=GrainFinder(least_atoms=self.least_atoms),
                elastic_strain=None if self.elastic_strain < 0 else self.elastic_strain,
                references=load_references(files),
            )

        if self._latest.key != key:
            self._latest.crystals = yield from in_steps(work)
            self._latest.key = key
        return self._latest.crystals

    def _particles(
        self,
        data: DataCollection,
        grains: NDArray[np.int32],
        crystals: Sequence[Crystal],
        strains: Sequence[NDArray[np.float64]],
    ) -> None:
        prop = _property(data, "Grain", grains)
        colors = [NO_GRAIN, *(grain_color(one.number) for one in crystals)]
        for number, color in enumerate(colors):
            name = "no grain" if number == 0 else f"{number}: {_name(crystals[number - 1])}"
            prop.types.append(ElementType(id=number, name=name, color=color))
        groups = np.array([0, *(one.space_group for one in crystals)], np.int32)
        _property(data, "Space Group", groups[grains])
        orders = [np.nan, *(np.nan if x.order is None else x.order.parameter for x in crystals)]
        _property(data, "Grain Order", np.array(orders, np.float32)[grains])
        if self.color_by_grain:
            data.particles_.create_property("Color", data=np.array(colors)[grains])
        if self.write_orientation:
            quaternions = np.array([[0.0] * 4, *(one.orientation for one in crystals)])
            data.particles_.create_property("Orientation", data=quaternions[grains])
        if self.write_strain:
            rows = [np.full(6, np.nan), *_strains(crystals, strains)]
            _property(data, "Grain Strain", np.array(rows, np.float32)[grains], STRAIN)


def _name(one: Crystal) -> str:
    return one.known_as or one.prototype or one.group.pearson


def _strains(
    crystals: Sequence[Crystal], strains: Sequence[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    result = []
    for one, relative in zip(crystals, strains, strict=True):
        against = one.reference_strain
        result.append((relative if against is None else against)[_VOIGT])
    return result


def _property(
    data: DataCollection, name: str, values: NDArray[Any], components: Sequence[str] = ()
) -> Any:
    full_name = f"{PREFIX} {name}"
    if full_name in data.particles:  # an older one may have another type
        del data.particles_[full_name]
    options: Any = {"components": list(components)} if components else {}
    return data.particles_.create_property(full_name, data=values, **options)


def _table(
    data: DataCollection,
    crystals: Sequence[Crystal],
    strains: Sequence[NDArray[np.float64]],
) -> None:
    """The table of grains, one row each."""
    # Not "grains": that is the table of OVITO's own Grain Segmentation.
    table = data.tables.create(
        identifier="crystalnet-grains", title="Grains", plot_mode=DataTable.PlotMode.NoPlot
    )

    def column(name: str, values: list[Any], kind: Any, components: Sequence[str] = ()) -> Any:
        shape = (len(values), len(components)) if components else (len(values),)
        options: Any = {"components": list(components)} if components else {}
        array = np.array(values, dtype=kind).reshape(shape)
        return table.create_property(name, data=array, **options)

    def named(name: str, ids: list[int], names: dict[int, str]) -> None:
        prop = column(name, ids, np.int32)
        prop.types.clear()
        for number, text in sorted(names.items()):
            prop.types.append(ElementType(id=number, name=text))

    column("Grain", [one.number for one in crystals], np.int32)
    column("Particles", [len(one.atoms) for one in crystals], np.int32)
    groups = [one.space_group for one in crystals]
    symbols = {one.space_group: f"{one.symbol} ({one.space_group})" for one in crystals}
    named("Space Group", groups, symbols)
    column("Probability", [one.probability for one in crystals], np.float64)
    names = sorted({_name(one) for one in crystals})
    kinds = [names.index(_name(one)) + 1 for one in crystals]
    named("Crystal", kinds, {number: name for number, name in enumerate(names, start=1)})
    column("Cell", [one.cell_parameters for one in crystals], np.float64,
           ("a", "b", "c", "alpha", "beta", "gamma"))  # fmt: skip
    column("Relative Error", [one.cell_error for one in crystals], np.float64)
    column("Displacement", [one.average.sigma for one in crystals], np.float64)
    orders = [(np.nan, np.nan) if x.order is None else (x.order.parameter, x.order.error)
              for x in crystals]  # fmt: skip
    column("Order", orders, np.float64, ("S", "Error"))
    column("Orientation", [one.orientation for one in crystals], np.float64, _XYZW)
    column("Strain", _strains(crystals, strains), np.float64, STRAIN)
    column("Color", [grain_color(one.number) for one in crystals], np.float64, ("R", "G", "B"))


def _attributes(
    data: DataCollection, grains: NDArray[np.int32], crystals: Sequence[Crystal]
) -> None:
    share = float((grains > 0).mean()) if len(grains) else 0.0
    data.attributes[f"{PREFIX}.grains.count"] = len(crystals)
    data.attributes[f"{PREFIX}.grains.fraction"] = share
    sizes = [len(one.atoms) for one in crystals]
    data.attributes[f"{PREFIX}.grains.largest"] = max(sizes, default=0)
