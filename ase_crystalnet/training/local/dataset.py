"""Labelled fingerprints: the recipe of the windows, and shards of them on disk.

A window is drawn, sent through the same stages as in use (`LatticeFinder`, `Fingerprint`) and kept
as a byte image with its label. Shards have seeds of their own, so an interrupted run goes on where
it stopped and gives the same data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

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
from ase_crystalnet.errors import InputError
from ase_crystalnet.lattice.finder import Lattices
from ase_crystalnet.local.images import ImageMaker
from ase_crystalnet.training.shards import pad_windows, write_shard

__all__ = ["Recipe", "Sampler", "fingerprint_windows", "make_shards"]


@dataclass(frozen=True)
class Recipe:
    """Shares and ranges of the training windows; stored in the model's card.

    Lengths are in nearest-neighbour distances. Class weights are relative; hex/rh has the most
    prototypes.
    """

    class_weights: tuple[float, ...] = (1.1, 1.1, 2.2, 0.9, 1.1, 1.0, 1.0, 1.7)
    other_share: float = 0.02
    window_atoms: tuple[int, int] = (64, 320)
    sigma: tuple[float, float] = (0.0, 0.19)
    vacancy_fraction: tuple[float, float] = (0.0, 0.72)
    cubic_strain: float = 0.045
    free_strain: float = 0.02
    anisotropy: float = 0.35
    collective: float = 0.7
    interstitials: float = 0.03
    surface_share: float = 0.15
    fault_share: float = 0.12
    mixed_share: float = 0.10
    smallest_crystal_part: float = 0.4


@dataclass(frozen=True)
class Sampler:
    """Draws windows (n, 3) and their targets (8,)."""

    recipe: Recipe
    pools: tuple[Pool, ...]

    @classmethod
    def of(cls, recipe: Recipe, md_files: Sequence[Path], seed: int) -> Sampler:
        """Sampler with pools from molecular dynamics and 24 random packings."""
        rng = np.random.default_rng([seed, 77])
        packings = [
            Pool.of("packing", *random_packing(d, rng, sweeps=int(rng.integers(25, 120))))
            for d in np.linspace(0.7, 1.35, 24)
        ]
        return cls(recipe, (*load_pools(md_files), *packings))

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """One window and its target; windows of fewer than 40 atoms are drawn again."""
        while True:
            window, target = self._draw(rng)
            if len(window) >= 40:
                return window, target

    def _draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        recipe = self.recipe
        if rng.random() < recipe.other_share:
            crystal = other_crystal(rng)
            return cut_crystal(crystal, self._atoms(rng), self._disorder(rng, 0.01), rng), (
                crystal.target
            )
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
        if rng.random() < 0.45:
            return int(rng.integers(210, 290))
        return int(np.exp(rng.uniform(np.log(low), np.log(high))))

    def _disorder(self, rng: np.random.Generator, strain: float) -> Disorder:
        r = self.recipe
        kind = rng.random()
        low, high = r.sigma
        if kind < 0.12:
            sigma = rng.uniform(low, 0.03)
        elif kind < 0.7:
            sigma = rng.uniform(0.02, 0.13)
        else:
            sigma = rng.uniform(0.11, high)
        vacancies = rng.uniform(*r.vacancy_fraction) if rng.random() < 0.55 else 0.0
        return Disorder(
            sigma=sigma,
            vacancy_fraction=vacancies,
            strain=rng.uniform(0, strain) if rng.random() < 0.8 else 0.0,
            anisotropy=rng.uniform(0, r.anisotropy) if rng.random() < 0.4 else 0.0,
            collective=rng.uniform(0, r.collective) if rng.random() < 0.6 else 0.0,
            interstitials=rng.uniform(0, r.interstitials) if rng.random() < 0.15 else 0.0,
            surface=rng.uniform(0.0, 0.9) if rng.random() < r.surface_share else None,
        )

    def disordered(self, rng: np.random.Generator) -> Array:
        """A window without a lattice."""
        atoms = self._atoms(rng)
        vacancies = rng.uniform(*self.recipe.vacancy_fraction) if rng.random() < 0.4 else 0.0
        kind = rng.random()
        if kind < 0.75:
            pool = self.pools[rng.integers(len(self.pools))]
            window = pool.cut(atoms, vacancies, rng, on_atom=bool(rng.random() < 0.5))
        elif kind < 0.92:
            window = cut_displaced_crystal(atoms, vacancies, rng)
        else:
            window = cut_gas(atoms, rng)
        if rng.random() < self.recipe.surface_share:
            radius = np.linalg.norm(window, axis=1).max()
            window = window[window @ random_direction(rng) < rng.uniform(0.0, 0.9) * radius]
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
        part = rng.uniform(self.recipe.smallest_crystal_part, 0.95)
        height = radius * np.interp(part, (2 + 3 * t - t**3) / 4, t)
        return np.vstack([window[window @ normal < height], other[other @ normal > height + 0.3]])


def other_crystal(rng: np.random.Generator) -> Crystal:
    """A random low-symmetry crystal of no class: every class is equally wrong.

    It teaches the network to be uncertain about crystals it has no name for.
    """
    while True:
        lengths = rng.uniform(1.0, 2.4, 3)
        angles = rng.uniform(65, 115, 3) if rng.random() < 0.5 else np.array([90, 90, 90])
        cell = cellpar_to_cell([*lengths, *angles])
        sites = rng.random((rng.integers(1, 5), 3))
        shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
        d = np.linalg.norm((sites[:, None, None] - sites[None, :, None] + shifts) @ cell, axis=-1)
        nearest = d[d > 1e-9].min()
        density = len(sites) / abs(np.linalg.det(cell)) * nearest**3
        ratio = np.sort(lengths)[1:] / np.sort(lengths)[:-1]
        if density > 0.45 and ratio.min() > 1.08:
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


def _make_shard(index: int, *, out: Path, sampler: Sampler, seed: int, size: int) -> int:
    return write_shard(index, out, sampler.draw, fingerprint_windows, seed, size, 512)


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
    out.mkdir(parents=True, exist_ok=True)
    files = [f.name for f in md_files]
    record = {"recipe": asdict(recipe), "seed": seed, "size": size, "md": files}
    text = json.dumps(record, indent=1)
    stamp = out / "recipe.json"
    if stamp.exists() and stamp.read_text() != text:
        raise InputError(f"{out} holds windows of another recipe or seed: choose another folder")
    stamp.write_text(text)
    todo = [i for i in range(count) if not (out / f"shard{i:04d}.npz").exists()]
    if not todo:
        return
    sampler = Sampler.of(recipe, md_files, seed)
    make = partial(_make_shard, out=out, sampler=sampler, seed=seed, size=size)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(make, todo), start=count - len(todo) + 1):
            if progress:
                progress(done, count)
