"""The recipe of the windows from which the model "structure" learns.

Beside what `dataset` does to crystals, these are strained as far as strain is taken out again, have
the shape of films, wires and particles, and weak superlattices; and crystals of no type are a class
of their own. Images are taken as in use: parent lattice, strain out. Where a superlattice was set
aside, every second window is shown in its own lattice, as the analyzer looks at it again.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array
from ase_crystalnet.classes import STRUCTURES
from ase_crystalnet.crystals.sampling import Crystal, cut_crystal, random_direction
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.lattice.finder import Lattices
from ase_crystalnet.local.names import image_maker
from ase_crystalnet.training.local.dataset import (
    Range,
    Recipe,
    Sampler,
    make_shards_of,
    pools_of,
)
from ase_crystalnet.training.local.structure_types import (
    real_crystals,
    sample_other,
    sample_structure,
    target_of,
)
from ase_crystalnet.training.shards import pad_windows

__all__ = ["StructureRecipe", "StructureSampler", "load_real_crystals", "make_structure_shards"]

Cells = tuple[tuple[Array, Array], ...]

#: Types whose lattice may be strained as far as the cubic ones', without meeting another type.
_FREELY_STRAINED = ("fcc", "bcc", "sc", "diam", "hcp", "dhcp", "hexdiam", "graphite")


@dataclass(frozen=True)
class StructureRecipe(Recipe):
    """Shares and ranges of the windows of structure types; see `Recipe` for the others.

    Attributes
    ----------
    class_weights : tuple of float
        Relative, in the order of `STRUCTURES`.
    cubic_strain, free_strain
        Largest principal strain of types that can bear it, and of the others, which it would bring
        near another type.
    other_sigma : float
        Largest standard deviation of displacements in crystals of no type.
    other_vacancies : float
        Their largest share of vacancies.
    other_crystals : int
        Crystals of no type that are drawn before the first window.
    real_share : float
        Share of real crystals among them, if there are some.
    shaped_share : float
        Share of crystals that are films, wires or particles.
    shaped_vacancies : float
        Their largest share of vacancies.
    film, wire, particle
        Their thickness, radius, radius, in nearest-neighbour distances.
    superlattice_share, superlattice
        Share of crystals whose sites are shifted by a superlattice, and the largest standard
        deviation of a component of the shifts.
    """

    class_weights: tuple[float, ...] = (
        1.2, 1.1, 0.8, 1.0, 1.3, 0.9, 0.8, 0.6, 0.7, 1.1, 0.7, 2.6, 1.8,
    )  # fmt: skip
    other_share: float = 0.0
    cubic_strain: float = 0.088
    free_strain: float = 0.025
    vacancy_share: float = 0.45
    other_sigma: float = 0.11
    other_vacancies: float = 0.3
    other_crystals: int = 4000
    real_share: float = 0.5
    shaped_share: float = 0.16
    shaped_vacancies: float = 0.3
    film: Range = (1.2, 7.0)
    wire: Range = (2.2, 6.0)
    particle: Range = (2.6, 7.0)
    superlattice_share: float = 0.12
    superlattice: float = 0.045


@dataclass(frozen=True)
class StructureSampler(Sampler):
    """Draws windows (n, 3) and their targets (C,) of `STRUCTURES`.

    Attributes
    ----------
    recipe : StructureRecipe
    others : tuple of Crystal
        Crystals of no type.
    """

    recipe: StructureRecipe
    others: tuple[Crystal, ...] = ()

    @classmethod
    def of_structures(
        cls, recipe: StructureRecipe, md_files: Sequence[Path], seed: int, real: Cells
    ) -> StructureSampler:
        """Sampler with pools from molecular dynamics, random packings, and real crystals."""
        rng = np.random.default_rng([seed, 79])
        others = tuple(
            sample_other(rng, real, recipe.real_share) for _ in range(recipe.other_crystals)
        )
        return cls(recipe, pools_of(recipe, md_files, seed), others)

    def _draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        recipe = self.recipe
        weights = np.array(recipe.class_weights)
        name = STRUCTURES[rng.choice(len(STRUCTURES), p=weights / weights.sum())]
        if name == "disordered":
            return self.disordered(rng), target_of(name)
        if name == "other":
            crystal = self.others[rng.integers(len(self.others))]
        else:
            crystal = sample_structure(name, rng)
        strain = recipe.cubic_strain if name in _FREELY_STRAINED else recipe.free_strain
        disorder = self._disorder(rng, strain)
        if name == "other":
            disorder = replace(
                disorder,
                sigma=min(disorder.sigma, rng.uniform(0, recipe.other_sigma)),
                vacancy_fraction=min(
                    disorder.vacancy_fraction, rng.uniform(0, recipe.other_vacancies)
                ),
            )
        if name == "fcc" and rng.random() < recipe.fault_share:
            # A faulted stack is 13 layers high: a window grown by vacancies would leave it.
            disorder = replace(disorder, fault=True, vacancy_fraction=0.0)
        elif name not in ("other", "sc", "rh") and rng.random() < recipe.superlattice_share:
            crystal = self._ordered(crystal, rng)
        atoms = self._atoms(rng)
        if rng.random() < recipe.shaped_share:
            vacancies = min(disorder.vacancy_fraction, recipe.shaped_vacancies)
            disorder = replace(
                disorder, surface=None, interstitials=0.0, vacancy_fraction=vacancies
            )
            return self._shaped(crystal, atoms, disorder, rng), crystal.target
        window = cut_crystal(crystal, atoms, disorder, rng)
        if rng.random() < recipe.mixed_share:
            window = self._mix(window, rng)
        return window, crystal.target

    def _ordered(self, crystal: Crystal, rng: np.random.Generator) -> Crystal:
        """The crystal with small static shifts of its sites in a cell of up to four of its own."""
        repeats = np.array([1, 1, 1])
        for axis in rng.permutation(3)[: rng.integers(0, 3)]:
            repeats[axis] = 2
        shifts = np.stack(np.meshgrid(*[np.arange(r) for r in repeats], indexing="ij"), -1)
        sites = (crystal.sites + shifts.reshape(-1, 1, 3)).reshape(-1, 3) / repeats
        cell = crystal.cell * repeats[:, None]
        size = rng.uniform(0, self.recipe.superlattice)
        moved = sites + rng.normal(scale=size, size=sites.shape) @ np.linalg.inv(cell)
        return replace(crystal, cell=cell, sites=moved)

    def _shaped(self, crystal: Crystal, atoms: int, disorder: Any, rng: Any) -> Array:
        """The atoms nearest to a place in a film, a wire or a particle, some at low indices."""
        density = crystal.density * (1 - disorder.vacancy_fraction)
        shape = rng.choice(3, p=(0.6, 0.2, 0.2))
        recipe = self.recipe
        size = rng.uniform(*(recipe.film, recipe.wire, recipe.particle)[shape])
        ball = (3 * atoms / (4 * np.pi * density)) ** (1 / 3)
        if shape == 0:
            reach = max(ball, 1.1 * np.hypot(np.sqrt(atoms / (np.pi * density * size)), size))
        elif shape == 1:
            reach = max(ball, 1.1 * np.hypot(atoms / (2 * np.pi * density * size**2), 2 * size))
        else:
            reach = 2 * size
        reach = min(reach, 10.0)
        turn = Rotation.random(random_state=rng).as_matrix()
        around = 4 / 3 * np.pi * density * reach**3
        points = cut_crystal(crystal, int(around), disorder, rng, orientation=turn)
        if rng.random() < 0.8:
            indices = rng.permutation([(1, 0, 0), (1, 1, 0), (1, 1, 1), (0, 0, 1)][rng.integers(4)])
            indices = indices * rng.choice([-1, 1], 3)
            axis = turn @ (np.linalg.inv(crystal.cell) @ indices)
            axis /= np.linalg.norm(axis)
        else:
            axis = random_direction(rng)
        if shape == 0:
            height = points @ axis
            low = -size * rng.uniform(0.02, 0.98)
            points = points[(height > low) & (height < low + size)]
        else:
            centre = random_direction(rng) * size * 0.97 * rng.random() ** (1 / 3)
            apart = points - centre
            if shape == 1:
                apart = apart - np.outer(apart @ axis, axis)
            points = points[np.linalg.norm(apart, axis=1) < size]
        near = np.argsort(np.linalg.norm(points, axis=1), kind="stable")[:atoms]
        return points[np.sort(near)]


def load_real_crystals(folder: Path, most: int, most_sites: int = 24, seed: int = 0) -> Cells:
    """Real crystals of no type from ``materials_project_*.jsonl.gz``, a random choice.

    Parameters
    ----------
    folder : Path
        Of files with lines of JSON: ``lattice`` (3, 3), ``frac`` (n, 3).
    most : int
    most_sites : int
        Of the stored cell.
    seed : int
    """
    found = []
    for path in sorted(folder.glob("materials_project_*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            for line in lines:
                entry = json.loads(line)
                if len(entry["frac"]) <= most_sites:
                    found.append((np.array(entry["lattice"]), np.array(entry["frac"])))
    order = np.random.default_rng([seed, 78]).permutation(len(found))[:most]
    return real_crystals([found[i] for i in order])


def structure_windows(
    windows: Sequence[Array], *, threads: int | None = None
) -> tuple[NDArray[np.uint8], Lattices]:
    """Byte images (B, 64, 64, 3) of sqrt(D_F) as the analyzer takes them, and the lattices."""
    maker = image_maker(Fingerprint())
    seen = maker(*pad_windows(windows), threads=threads)
    images = seen.images
    images[seen.own_rows[::2]] = seen.own_images[::2]
    return np.rint(255 * np.sqrt(images)).astype(np.uint8), seen.lattices


def make_structure_shards(
    out: Path,
    count: int,
    *,
    recipe: StructureRecipe,
    md_files: Sequence[Path],
    seed: int,
    real: Cells = (),
    size: int = 4096,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write shards 0 .. count - 1 of fingerprints of structure types; those there are kept.

    Parameters are those of `ase_crystalnet.training.local.dataset.make_shards`, and `real` the
    crystals of no type to draw from.

    Raises
    ------
    InputError
        The folder holds shards of another recipe or seed.
    """
    record = {
        "recipe": asdict(recipe), "seed": seed, "size": size, "real_crystals": len(real),
        "molecular_dynamics": [f.name for f in md_files],
    }  # fmt: skip
    make_shards_of(
        lambda: StructureSampler.of_structures(recipe, md_files, seed, real),
        structure_windows,
        out,
        count,
        record=record,
        seed=seed,
        size=size,
        processes=processes,
        progress=progress,
    )
