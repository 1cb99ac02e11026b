"""Labelled fingerprints: the recipe of the windows, and shards of them on disk.

A window is drawn, sent through the same stages as in use (`LatticeFinder`, `Fingerprint`) and kept
as a byte image with its label. Shards have seeds of their own, so an interrupted run goes on where
it stopped and gives the same data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from ase.geometry import cellpar_to_cell
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.classes import CLASSES
from ase_crystalnet.crystals.disordered import cut_displaced_crystal, cut_gas, random_packing
from ase_crystalnet.crystals.pools import Pool, load_pools
from ase_crystalnet.crystals.sampling import (
    Crystal,
    Disorder,
    cut_crystal,
    random_direction,
    sample_crystal,
)
from ase_crystalnet.lattice.finder import Lattices
from ase_crystalnet.local.images import ImageMaker
from ase_crystalnet.training.shards import keep_recipe, pad_windows, write_shard

__all__ = [
    "OtherCrystals",
    "Recipe",
    "Sampler",
    "fingerprint_windows",
    "make_shards",
    "make_shards_of",
    "pools_of",
]


Range = tuple[float, float]
Imaging = Callable[..., tuple[NDArray[np.uint8], Lattices]]


@dataclass(frozen=True)
class OtherCrystals:
    """Random crystals of few sites and no symmetry, which belong to no class.

    Attributes
    ----------
    lengths : tuple of float
        Of the cell vectors, relative to one another.
    oblique_share : float
        Share with three random angles; the others have right ones.
    angles : tuple of float
        Degrees.
    most_sites : int
        1 to so many sites are put at random.
    least_density : float
        Atoms per cubed nearest-neighbour distance; a sparser crystal is drawn again.
    least_ratio : float
        Of one cell vector's length to the next shorter one's: cells that are nearly tetragonal or
        cubic are drawn again.
    """

    lengths: Range = (1.0, 2.4)
    oblique_share: float = 0.5
    angles: Range = (65, 115)
    most_sites: int = 4
    least_density: float = 0.45
    least_ratio: float = 1.08


@dataclass(frozen=True)
class Recipe:
    """Shares and ranges of the training windows; stored in the model's card.

    Lengths are in nearest-neighbour distances, unless said otherwise; shares are of the windows
    for which the choice arises; ranges are drawn from evenly. Parameters of the crystals are those
    of `ase_crystalnet.crystals.sample_crystal`.

    Attributes
    ----------
    class_weights : tuple of float
        Relative, in the order of `CLASSES`; hex/rh has the most prototypes.
    other_share : float
        Share of crystals of no class (`other`), all classes equally wrong.
    other : OtherCrystals
    other_strain : float
        Their largest strain.
    window_atoms : tuple of int
        Atoms of a window before it is cut by a surface, evenly in the logarithm.
    usual_share, usual_atoms
        Share of windows of about the size that is used most, and their atoms (the second not
        reached).
    least_atoms : int
        Windows of fewer atoms are drawn again.
    sigma : tuple of float
        Smallest and largest standard deviation of a displacement component.
    cold_share, cold_sigma
        Share of windows with at most this sigma.
    warm_share, warm_sigma
        Share of windows with sigma in this range.
    hot_sigma : float
        Smallest sigma of the other windows.
    vacancy_share, vacancy_fraction
        Share of crystals with vacancies, and the share of their atoms removed.
    strain_share, cubic_strain, free_strain
        Share of strained crystals, and the largest principal strain of those of cubic classes and
        of the others, which are free to be strained within their class.
    anisotropy_share, anisotropy
        Share of crystals with anisotropic displacements, and the largest `Disorder.anisotropy`.
    collective_share, collective
        Share of crystals with long waves, and the largest `Disorder.collective`.
    interstitials_share, interstitials
        Share of crystals with interstitials, and the largest `Disorder.interstitials`.
    surface_share, surface
        Share of windows cut by a plane, and its distance from the centre in radii of the window.
    fault_share : float
        Share of fcc with a twin plane or a stacking fault.
    mixed_share : float
        Share of crystals of which a part is replaced by a liquid.
    smallest_crystal_part, largest_crystal_part : float
        Share of the window's volume that stays crystal.
    mixed_gap : float
        Width of the empty layer between the two.
    pool_share : float
        Share of disordered windows out of molecular dynamics and packings.
    displaced_share, displaced_sigma
        Share of disordered windows that are crystals displaced beyond recognition, and their sigma
        (see `cut_displaced_crystal`); the others are gases.
    on_atom_share : float
        Share of windows out of pools whose centre is an atom.
    disordered_vacancy_share : float
        Share of disordered windows with vacancies.
    packings, packing_density, packing_sweeps
        Number of random packings among the pools, their densities (evenly spaced), and sweeps of
        relaxation (the second not reached).
    """

    class_weights: tuple[float, ...] = (1.1, 1.1, 2.2, 0.9, 1.1, 1.0, 1.0, 1.7)
    other_share: float = 0.02
    other: OtherCrystals = field(default_factory=OtherCrystals)
    other_strain: float = 0.01
    window_atoms: tuple[int, int] = (64, 320)
    usual_share: float = 0.45
    usual_atoms: tuple[int, int] = (210, 290)
    least_atoms: int = 40
    sigma: Range = (0.0, 0.19)
    cold_share: float = 0.12
    cold_sigma: float = 0.03
    warm_share: float = 0.58
    warm_sigma: Range = (0.02, 0.13)
    hot_sigma: float = 0.11
    vacancy_share: float = 0.55
    vacancy_fraction: Range = (0.0, 0.72)
    strain_share: float = 0.8
    cubic_strain: float = 0.045
    free_strain: float = 0.02
    anisotropy_share: float = 0.4
    anisotropy: float = 0.35
    collective_share: float = 0.6
    collective: float = 0.7
    interstitials_share: float = 0.15
    interstitials: float = 0.03
    surface_share: float = 0.15
    surface: Range = (0.0, 0.9)
    fault_share: float = 0.12
    mixed_share: float = 0.10
    smallest_crystal_part: float = 0.4
    largest_crystal_part: float = 0.95
    mixed_gap: float = 0.3
    pool_share: float = 0.75
    displaced_share: float = 0.17
    displaced_sigma: Range = (0.3, 0.6)
    on_atom_share: float = 0.5
    disordered_vacancy_share: float = 0.4
    packings: int = 24
    packing_density: Range = (0.7, 1.35)
    packing_sweeps: tuple[int, int] = (25, 120)


def pools_of(recipe: Recipe, md_files: Sequence[Path], seed: int) -> tuple[Pool, ...]:
    """Pools from molecular dynamics, and the recipe's random packings."""
    rng = np.random.default_rng([seed, 77])
    sweeps = recipe.packing_sweeps
    packings = [
        Pool.of("packing", *random_packing(d, rng, sweeps=int(rng.integers(*sweeps))))
        for d in np.linspace(*recipe.packing_density, recipe.packings)
    ]
    return (*load_pools(md_files), *packings)


@dataclass(frozen=True)
class Sampler:
    """Draws windows (n, 3) and their targets (8,)."""

    recipe: Recipe
    pools: tuple[Pool, ...]

    @classmethod
    def of(cls, recipe: Recipe, md_files: Sequence[Path], seed: int) -> Sampler:
        """Sampler with pools from molecular dynamics and the recipe's random packings."""
        return cls(recipe, pools_of(recipe, md_files, seed))

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """One window, of the recipe's least number of atoms at least, and its target."""
        while True:
            window, target = self._draw(rng)
            if len(window) >= self.recipe.least_atoms:
                return window, target

    def _draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        recipe = self.recipe
        if rng.random() < recipe.other_share:
            crystal = other_crystal(rng, recipe.other)
            atoms = self._atoms(rng)
            disorder = self._disorder(rng, recipe.other_strain)
            return cut_crystal(crystal, atoms, disorder, rng), crystal.target
        weights = np.array(recipe.class_weights)
        name = CLASSES[rng.choice(len(CLASSES), p=weights / weights.sum())]
        if name == "disordered":
            return self.disordered(rng), np.eye(len(CLASSES))[CLASSES.index(name)]
        crystal = sample_crystal(name, rng)
        cubic = name in ("sc", "fcc", "diam", "bcc")
        disorder = self._disorder(rng, recipe.cubic_strain if cubic else recipe.free_strain)
        if name == "fcc" and rng.random() < recipe.fault_share:
            # A faulted stack is 13 layers high: a window grown by vacancies would leave it.
            disorder = replace(disorder, fault=True, vacancy_fraction=0.0)
        atoms = self._atoms(rng)
        window = cut_crystal(crystal, atoms, disorder, rng)
        if rng.random() < recipe.mixed_share:
            window = self._mix(window, rng)
        return window, crystal.target

    def _atoms(self, rng: np.random.Generator) -> int:
        low, high = self.recipe.window_atoms
        if rng.random() < self.recipe.usual_share:
            return int(rng.integers(*self.recipe.usual_atoms))
        return int(np.exp(rng.uniform(np.log(low), np.log(high))))

    def _disorder(self, rng: np.random.Generator, strain: float) -> Disorder:
        r = self.recipe
        kind = rng.random()
        low, high = r.sigma
        if kind < r.cold_share:
            sigma = rng.uniform(low, r.cold_sigma)
        elif kind < r.cold_share + r.warm_share:
            sigma = rng.uniform(*r.warm_sigma)
        else:
            sigma = rng.uniform(r.hot_sigma, high)

        def sometimes(share: float, low: float, high: float) -> float:
            return rng.uniform(low, high) if rng.random() < share else 0.0

        # The order decides which random number is whose.
        return Disorder(
            sigma=sigma,
            vacancy_fraction=sometimes(r.vacancy_share, *r.vacancy_fraction),
            strain=sometimes(r.strain_share, 0, strain),
            anisotropy=sometimes(r.anisotropy_share, 0, r.anisotropy),
            collective=sometimes(r.collective_share, 0, r.collective),
            interstitials=sometimes(r.interstitials_share, 0, r.interstitials),
            surface=rng.uniform(*r.surface) if rng.random() < r.surface_share else None,
        )

    def disordered(self, rng: np.random.Generator) -> Array:
        """A window without a lattice."""
        r = self.recipe
        atoms = self._atoms(rng)
        vacancies = (
            rng.uniform(*r.vacancy_fraction) if rng.random() < r.disordered_vacancy_share else 0.0
        )
        kind = rng.random()
        if kind < r.pool_share:
            pool = self.pools[rng.integers(len(self.pools))]
            window = pool.cut(atoms, vacancies, rng, on_atom=bool(rng.random() < r.on_atom_share))
        elif kind < r.pool_share + r.displaced_share:
            window = cut_displaced_crystal(atoms, vacancies, rng, sigma=r.displaced_sigma)
        else:
            window = cut_gas(atoms, rng)
        if rng.random() < r.surface_share:
            radius = np.linalg.norm(window, axis=1).max()
            window = window[window @ random_direction(rng) < rng.uniform(*r.surface) * radius]
        return window

    def _mix(self, window: Array, rng: np.random.Generator) -> Array:
        """Part of the window replaced by a liquid; its class is still that of the crystal."""
        radius = np.linalg.norm(window, axis=1).max()
        pool = self.pools[rng.integers(len(self.pools))]
        other = pool.cut(len(window), 0.0, rng, on_atom=True)
        other = other * (radius / np.linalg.norm(other, axis=1).max())
        normal = random_direction(rng)
        # Share of a ball below height t (radius 1): (2 + 3 t - t^3) / 4.
        t = np.linspace(-1, 1, 201)
        recipe = self.recipe
        part = rng.uniform(recipe.smallest_crystal_part, recipe.largest_crystal_part)
        height = radius * np.interp(part, (2 + 3 * t - t**3) / 4, t)
        crystal = window[window @ normal < height]
        return np.vstack([crystal, other[other @ normal > height + recipe.mixed_gap]])


def other_crystal(rng: np.random.Generator, kind: OtherCrystals | None = None) -> Crystal:
    """A random low-symmetry crystal of no class: every class is equally wrong.

    It teaches the network to be uncertain about crystals it has no name for.
    """
    kind = kind or OtherCrystals()
    while True:
        lengths = rng.uniform(*kind.lengths, 3)
        oblique = rng.random() < kind.oblique_share
        angles = rng.uniform(*kind.angles, 3) if oblique else np.array([90, 90, 90])
        cell = cellpar_to_cell([*lengths, *angles])
        sites = rng.random((rng.integers(1, kind.most_sites + 1), 3))
        shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
        d = np.linalg.norm((sites[:, None, None] - sites[None, :, None] + shifts) @ cell, axis=-1)
        nearest = d[d > 1e-9].min()
        density = len(sites) / abs(np.linalg.det(cell)) * nearest**3
        ratio = np.sort(lengths)[1:] / np.sort(lengths)[:-1]
        if density > kind.least_density and ratio.min() > kind.least_ratio:
            target = np.full(len(CLASSES), 1 / len(CLASSES))
            return Crystal("other", target, cell / nearest, sites)


def fingerprint_windows(
    windows: Sequence[Array],
    *,
    images: ImageMaker | None = None,
    threads: int | None = None,
) -> tuple[NDArray[np.uint8], Lattices]:
    """Byte images (B, 64, 64, 3) of sqrt(D_F) in the standard frame, and the lattices."""
    seen = (images or ImageMaker.default())(*pad_windows(windows), threads=threads)
    return np.rint(255 * np.sqrt(seen.images)).astype(np.uint8), seen.lattices


def _make_shard(
    index: int, *, out: Path, sampler: Sampler, images: Imaging, seed: int, size: int
) -> int:
    return write_shard(index, out, sampler.draw, images, seed, size, 512)


def make_shards_of(
    sampler: Callable[[], Sampler],
    images: Imaging,
    out: Path,
    count: int,
    *,
    record: Mapping[str, Any],
    seed: int,
    size: int,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write shards of what a sampler draws; those that are there are kept.

    Parameters
    ----------
    sampler : callable
        Makes it, if any shard is missing.
    images : callable
        From windows to byte images and lattices; can be pickled.
    record : mapping
        What decides the windows: kept beside them, and compared.
    out, count, seed, size, processes, progress
        As of `make_shards`.

    Raises
    ------
    InputError
        The folder holds shards of another record.
    """
    out.mkdir(parents=True, exist_ok=True)
    keep_recipe(out, record)
    todo = [i for i in range(count) if not (out / f"shard{i:04d}.npz").exists()]
    if not todo:
        return
    make = partial(_make_shard, out=out, sampler=sampler(), images=images, seed=seed, size=size)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(make, todo), start=count - len(todo) + 1):
            if progress:
                progress(done, count)


def make_shards(
    out: Path,
    count: int,
    *,
    recipe: Recipe,
    md_files: Sequence[Path],
    seed: int,
    size: int = 4096,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write shards 0 .. count - 1 of labelled fingerprints; those that are there are kept.

    Parameters
    ----------
    out : Path
        Folder, made if needed.
    count : int
        Number of shards of `size` windows.
    recipe : Recipe
    md_files : sequence of Path
        Liquids and glasses.
    seed : int
        Windows of shard i come from ``numpy.random.default_rng([seed, i])``.
    processes : int
        Worker processes.
    progress : callable, optional
        Called with the number of shards done and in all.

    Raises
    ------
    InputError
        The folder holds shards of another recipe or seed.
    """
    files = [f.name for f in md_files]
    make_shards_of(
        lambda: Sampler.of(recipe, md_files, seed),
        fingerprint_windows,
        out,
        count,
        record={"recipe": asdict(recipe), "seed": seed, "size": size, "md": files},
        seed=seed,
        size=size,
        processes=processes,
        progress=progress,
    )
