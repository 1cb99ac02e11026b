"""`Crystals`: the grains of a frame, each a `Crystal` with its cell, group, order, orientation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, overload

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains.average_crystal import AverageCrystal
from ase_crystalnet.grains.boundaries import Boundary
from ase_crystalnet.grains.order import ChemicalOrder
from ase_crystalnet.grains.references import ReferenceMatch, described
from ase_crystalnet.grains.short_range import ShortRangeOrder
from ase_crystalnet.grains.space_group import SpaceGroup
from ase_crystalnet.grains.strains import deformation, relative_strains, stretch

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Crystal", "Crystals", "require_pymatgen"]


#: Pairs of more species are not listed when a crystal is shown.
SHOWN_SPECIES = 3


@dataclass(frozen=True, eq=False, repr=False)
class Crystal:
    """One grain: its atoms and its average crystal.

    Attributes
    ----------
    number : int
        From 1, the largest grain first; what `Crystals.grains` holds.
    atoms : (n,) integer array
        Indices of its atoms.
    average : AverageCrystal
        Lattice, sites, species and displacements as fitted, in the axes of the sample.
    group : SpaceGroup
        Space group, with the probabilities of others and the standard setting.
    prototype : str or None
        Name of the structure type, such as ``'L1_2 (Cu3Au)'``, or of the prototype of the library;
        None if it is none of them.
    structure : str or None
        Class that the network gave to most of its windows; None without a network.
    order : ChemicalOrder or None
        Long-range order; None of one species.
    spread : float
        Root mean square angle of the orientations in the grain about their mean, degrees.
    short_range : ShortRangeOrder or None
        Warren-Cowley parameters of its shells of neighbours; None of one species.
    library : ReferenceMatch or None
        The prototype of the library that it is nearest to, with its AFLOW label, source, distance.
    reference : ReferenceMatch or None
        Which of the given references it is.
    cell_probability : float
        Probability that the cell is the whole cell and no part of it.
    """

    number: int
    atoms: NDArray[np.int64]
    average: AverageCrystal
    group: SpaceGroup
    prototype: str | None
    structure: str | None
    order: ChemicalOrder | None
    spread: float
    short_range: ShortRangeOrder | None = None
    library: ReferenceMatch | None = None
    reference: ReferenceMatch | None = None
    cell_probability: float = 1.0

    @property
    def known_as(self) -> str:
        """Name of the reference that it is; '' for none."""
        return "" if self.reference is None else self.reference.reference.name

    @property
    def space_group(self) -> int:
        """Number of the space group, 1 to 230."""
        return self.group.number

    @property
    def symbol(self) -> str:
        """International symbol of the space group."""
        return self.group.symbol

    @property
    def probability(self) -> float:
        """Probability of the space group: that of the cell times that of the group in it."""
        return self.group.probability * self.cell_probability

    @property
    def lattice_error(self) -> Array:
        """Standard error of the components of ``average.lattice``, (3, 3), Angstrom."""
        return self.average.lattice_error

    @property
    def displacement(self) -> Array:
        """Mean square displacement tensor U of each site, (K, 3, 3), Angstrom^2, sample axes."""
        return self.average.displacement

    @property
    def orientation(self) -> Array:
        """Quaternion (x, y, z, w) from the axes of the standard cell to those of the sample."""
        turn = Rotation.from_matrix(self.group.orientation)
        equal = (turn * Rotation.from_matrix(self.group.rotations)).as_quat()
        best = equal[np.abs(equal[:, 3]).argmax()]
        return np.asarray(best * (-1.0 if best[3] < 0 else 1.0))

    @property
    def orientation_error(self) -> float:
        """Standard error of the orientation, degrees."""
        # Three components of rotation, each with half the variance of a shear.
        return float(np.degrees(np.sqrt(1.5 * self.average.strain_variance)))

    @property
    def strain(self) -> Array:
        """Biot strain (3, 3) against the lattice of the space group, in its standard axes."""
        return self.group.strain

    @cached_property
    def reference_strain(self) -> Array | None:
        """Biot strain (3, 3) against the reference that it is, in the axes of the sample.

        Uniform expansion is part of it; `cell_error` is the error of a component. None without a
        reference.
        """
        if self.reference is None:
            return None
        found = deformation(self.average.lattice, self.reference.reference.cell)
        return None if found is None else stretch(found)

    @property
    def cell_parameters(self) -> tuple[float, float, float, float, float, float]:
        """a, b, c (Angstrom) and alpha, beta, gamma (degrees) of the standard cell."""
        return tuple(float(x) for x in Atoms(cell=self.group.cell).cell.cellpar())  # type: ignore[return-value]

    @property
    def cell_error(self) -> float:
        """Relative standard error of the lengths of the cell."""
        return float(np.sqrt(self.average.strain_variance))

    @cached_property
    def cell(self) -> Atoms:
        """Average primitive cell, in the axes of the standard cell, the commonest species by site.

        ``info`` holds the space group as ASE has it; ``arrays`` the number of the site in
        `average` (``site``).
        """
        group = self.group
        return self._atoms(group.primitive, group.primitive_positions, group.primitive_site)

    @cached_property
    def conventional(self) -> Atoms:
        """The same as the standardised conventional cell."""
        return self._atoms(self.group.cell, self.group.positions, self.group.parent_site)

    def _atoms(self, cell: Array, places: Array, site: NDArray[np.int64]) -> Atoms:
        from ase.spacegroup import Spacegroup

        result = Atoms(
            numbers=self.average.numbers[site], scaled_positions=places, cell=cell, pbc=True
        )
        result.arrays["site"] = site.astype(np.int64)
        result.info["spacegroup"] = Spacegroup(self.space_group)
        return result

    @cached_property
    def label(self) -> str:
        """AFLOW-style label of the prototype, with species (pymatgen), or '' if it has none.

        Raises
        ------
        InputError
            pymatgen is not installed.
        """
        require_pymatgen("labels of prototypes")
        from pymatgen.analysis.prototypes import get_protostructure_label_from_spglib
        from pymatgen.core.structure import Structure

        cell = self.conventional
        structure = Structure(cell.cell.array, cell.numbers.tolist(), cell.get_scaled_positions())
        try:
            return str(get_protostructure_label_from_spglib(structure) or "")
        except Exception:  # sites that are mixed have no label
            return ""

    def __repr__(self) -> str:
        a, b, c, *angles = self.cell_parameters
        lines = [
            f"Crystal {self.number}: {len(self.atoms)} atoms, {self.symbol} ({self.space_group}), "
            f"probability {self.probability:.3f}",
            f"  {self.group.pearson}, {self.prototype or 'no known prototype'}"
            + (f"; library: {described(self.library)}" if self.library else "")
            + (f", class {self.structure}" if self.structure else ""),
            f"  a, b, c = {a:.4f}, {b:.4f}, {c:.4f} A (+- {100 * self.cell_error:.3f} %), angles "
            + ", ".join(f"{angle:.2f}" for angle in angles),
            f"  sigma {self.average.sigma:.3f} A, orientation +- {self.orientation_error:.2f} "
            f"degrees, spread {self.spread:.2f}",
        ]
        if self.reference is not None:
            lines.append(
                f"  reference {self.known_as}: distance {self.reference.distance:.4f}, lengths "
                f"{self.reference.scaling:.4f} of it"
            )
        if self.order is not None:
            lines.append(f"  order {self.order!r}")
        if self.short_range is not None and len(self.short_range.species) <= SHOWN_SPECIES:
            lines += [f"  {line}" for line in repr(self.short_range).splitlines()]
        return "\n".join(lines)


def require_pymatgen(what: str) -> None:
    """Say that something is made by pymatgen, if that is not installed.

    Raises
    ------
    InputError
        It is not.
    """
    if find_spec("pymatgen") is None:
        raise InputError(
            f"{what} need the package pymatgen: pip install 'ase-crystalnet[crystals]'"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Crystals(Sequence[Crystal]):
    """Crystals of a frame of N atoms; ``result[0]`` is the largest.

    Attributes
    ----------
    grains : (N,) int32 array
        Number of the crystal of each atom, from 1; 0 for none.
    crystals : tuple of Crystal
        Crystal number k is ``crystals[k - 1]``.
    boundaries : tuple of Boundary
        Pairs of grains that meet, the largest contact first.
    """

    grains: NDArray[np.int32]
    crystals: tuple[Crystal, ...]
    boundaries: tuple[Boundary, ...]

    @overload
    def __getitem__(self, index: int) -> Crystal: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Crystal, ...]: ...

    def __getitem__(self, index: int | slice) -> Crystal | tuple[Crystal, ...]:
        return self.crystals[index]

    def __len__(self) -> int:
        return len(self.crystals)

    def __iter__(self) -> Iterator[Crystal]:
        return iter(self.crystals)

    def with_structures(self, names: Mapping[int, str]) -> Crystals:
        """The same with the class of each crystal, by its number."""
        named = tuple(replace(one, structure=names.get(one.number)) for one in self.crystals)
        return replace(self, crystals=named)

    @cached_property
    def relative_strains(self) -> tuple[Array, ...]:
        """Biot strain (3, 3) of each grain against the mean of the grains of the same crystal.

        In the axes of the sample.
        """
        if not self.crystals:
            return ()
        return tuple(
            relative_strains(
                [(one.space_group, one.group.pearson, one.prototype) for one in self],
                np.array([one.group.cell for one in self]),
                np.array([one.group.strain for one in self]),
                np.array([one.group.orientation for one in self]),
                np.array([len(one.atoms) for one in self], float),
            )
        )

    def rows(self) -> list[dict[str, object]]:
        """One row a crystal, of numbers and words: what a table of grains holds."""
        result: list[dict[str, object]] = []
        for one, mean_strain in zip(self.crystals, self.relative_strains, strict=True):
            a, b, c, alpha, beta, gamma = one.cell_parameters
            x, y, z, w = (float(value) for value in one.orientation)
            nearest = one.group.higher
            result.append(
                {
                    "grain": one.number,
                    "atoms": len(one.atoms),
                    "space_group": one.space_group,
                    "symbol": one.symbol,
                    "probability": one.probability,
                    "higher_group": "" if nearest is None else nearest[0],
                    "higher_cost": "" if nearest is None else nearest[1],
                    "pearson": one.group.pearson,
                    "prototype": one.prototype or "",
                    "label": "" if one.library is None else one.library.reference.label,
                    "reference": one.known_as,
                    "structure": one.structure or "",
                    "a": a,
                    "b": b,
                    "c": c,
                    "alpha": alpha,
                    "beta": beta,
                    "gamma": gamma,
                    "relative_error": one.cell_error,
                    "sigma": one.average.sigma,
                    "order": "" if one.order is None else one.order.parameter,
                    "order_error": "" if one.order is None else one.order.error,
                    "order_p": "" if one.order is None else one.order.p_value,
                    **_short_range(one),
                    **_strain(one, mean_strain),
                    "x": x,
                    "y": y,
                    "z": z,
                    "w": w,
                    "orientation_error": one.orientation_error,
                    "spread": one.spread,
                }
            )
        return result

    def table(self) -> str:
        """The crystals as text."""
        lines = [
            f"{'grain':>5}{'atoms':>9}  {'space group':<17}{'prob.':>6}  {'prototype':<20}"
            f"{'a':>9}{'b':>9}{'c':>9}{'sigma':>8}{'order':>7}"
        ]
        for one in self.crystals:
            a, b, c, *_ = one.cell_parameters
            order = "-" if one.order is None else f"{one.order.parameter:.2f}"
            lines.append(
                f"{one.number:>5}{len(one.atoms):>9}  {f'{one.symbol} ({one.space_group})':<17}"
                f"{one.probability:>6.2f}  {one.known_as or one.prototype or one.group.pearson:<20}"
                f"{a:>9.4f}{b:>9.4f}{c:>9.4f}{one.average.sigma:>8.3f}{order:>7}"
            )
        return "\n".join(lines)

    def attach(self, atoms: Atoms) -> Atoms:
        """Write the grain of every atom into ``atoms.arrays['crystalnet_grain']``.

        Beside it ``crystalnet_space_group`` (0: none) and, with references, the name of the one
        that its grain is, ``crystalnet_reference`` ('-': none).

        Raises
        ------
        InputError
            The number of atoms differs.
        """
        if len(atoms) != len(self.grains):
            raise InputError(
                f"attach: the crystals are of {len(self.grains)} atoms, given {len(atoms)}; pass "
                "the frame that was analysed"
            )
        atoms.arrays["crystalnet_grain"] = self.grains.copy()
        groups = np.array([0, *(one.space_group for one in self.crystals)], np.int32)
        atoms.arrays["crystalnet_space_group"] = groups[self.grains]
        if any(one.known_as for one in self.crystals):
            names = np.array(["", *(one.known_as for one in self.crystals)])
            atoms.arrays["crystalnet_reference"] = np.where(names == "", "-", names)[self.grains]
        return atoms

    def __repr__(self) -> str:
        share = float(np.mean(self.grains > 0)) if len(self.grains) else 0.0
        head = (
            f"Crystals: {len(self.crystals)} in {len(self.grains)} atoms, {100 * share:.1f} % of "
            "them in crystals"
        )
        return f"{head}\n{self.table()}" if self.crystals else head


def _short_range(one: Crystal) -> dict[str, object]:
    """Parameter of the first shell between the two commonest species."""
    found = one.short_range
    if found is None or not len(found.distance):
        return {"short_range": "", "short_range_error": ""}
    first, second = np.sort(np.argsort(-found.concentration, kind="stable")[:2])
    value = float(found.parameter[0, first, second])
    return {"short_range": value, "short_range_error": float(found.error[0, first, second])}


def _strain(one: Crystal, mean_strain: Array) -> dict[str, object]:
    """Components of the strain against the reference, else against the mean of such grains."""
    against = one.reference_strain
    strain = mean_strain if against is None else against
    names = ("xx", "yy", "zz", "yz", "xz", "xy")
    values = strain[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    result: dict[str, object] = {
        "strain_against": "mean of such grains" if against is None else one.known_as
    }
    return result | {
        f"strain_{name}": float(value) for name, value in zip(names, values, strict=True)
    }
