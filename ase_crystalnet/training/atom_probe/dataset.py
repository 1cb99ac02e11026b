"""Labelled fingerprints of atom-probe windows, made by the stages that the command uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.atom_probe.classes.classifier import ion_images
from ase_crystalnet.classes import CLASSES
from ase_crystalnet.crystals.disordered import cut_gas, random_packing
from ase_crystalnet.crystals.pools import Pool
from ase_crystalnet.crystals.sampling import sample_crystal
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.lattice.finder import Lattices
from ase_crystalnet.training.atom_probe.measurement import cut_measured, sample_measurement
from ase_crystalnet.training.local.dataset import fingerprint_windows, other_crystal
from ase_crystalnet.training.shards import write_shard

__all__ = ["AtomProbeRecipe", "AtomProbeSampler", "fingerprint_ions", "make_windows"]


@dataclass(frozen=True)
class AtomProbeRecipe:
    """Shares and ranges of the training windows; stored in the model's card.

    Class weights are relative, in the order of `CLASSES`. Half of the disordered windows are gases,
    half packings of which ions are lost.
    """

    class_weights: tuple[float, ...] = (1.2, 1.1, 2.0, 0.9, 1.1, 1.1, 1.0, 1.0)
    other_share: float = 0.02
    ions: tuple[int, int] = (120, 1300)


@dataclass(frozen=True)
class AtomProbeSampler:
    """Draws windows (n, 3) and their targets (8,)."""

    recipe: AtomProbeRecipe
    pools: tuple[Pool, ...]

    @classmethod
    def of(cls, recipe: AtomProbeRecipe, seed: int) -> AtomProbeSampler:
        """Sampler with six packings from liquid-like to dense."""
        rng = np.random.default_rng([seed, 77])
        packings = [
            Pool.of("packing", *random_packing(d, rng, sweeps=int(rng.integers(25, 120))))
            for d in np.linspace(0.8, 1.3, 6)
        ]
        return cls(recipe, tuple(packings))

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """One window, and its target."""
        recipe = self.recipe
        low, high = recipe.ions
        ions = int(np.exp(rng.uniform(np.log(low), np.log(high))))
        measurement = sample_measurement(rng)
        if rng.random() < recipe.other_share:
            crystal = other_crystal(rng)
            return cut_measured(crystal, ions, measurement, rng), crystal.target
        weights = np.array(recipe.class_weights)
        name = CLASSES[rng.choice(len(CLASSES), p=weights / weights.sum())]
        if name != "disordered":
            crystal = sample_crystal(name, rng)
            return cut_measured(crystal, ions, measurement, rng), crystal.target
        if rng.random() < 0.5:
            window = cut_gas(ions, rng)
        else:
            pool = self.pools[rng.integers(len(self.pools))]
            # The ball must fit into the pool's 3 x 3 x 3 copies.
            ions = min(ions, 900)
            window = pool.cut(ions, 1 - max(measurement.efficiency, 0.35), rng, on_atom=False)
        return window, np.eye(len(CLASSES))[CLASSES.index("disordered")]


def fingerprint_ions(
    windows: Sequence[Array], *, threads: int | None = None
) -> tuple[NDArray[np.uint8], Lattices]:
    """Byte images (B, 64, 64, 3) of sqrt(D_F), made as in use, and the lattices."""
    return fingerprint_windows(windows, images=ion_images(Fingerprint()), threads=threads)


def _make_part(index: int, *, out: Path, sampler: AtomProbeSampler, seed: int, size: int) -> int:
    return write_shard(index, out, sampler.draw, fingerprint_ions, seed, size, 128)


def make_windows(
    out: Path,
    count: int,
    *,
    recipe: AtomProbeRecipe,
    seed: int,
    size: int = 2048,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write shards 0 .. count - 1 of labelled fingerprints; those that are there are kept.

    Parameters
    ----------
    out : Path
        Folder, made if needed; one folder for one recipe and seed.
    count, size : int
        Number of shards, and windows in each.
    recipe : AtomProbeRecipe
    seed : int
        Windows of shard i come from ``numpy.random.default_rng([seed, i])``.
    processes : int
        Worker processes.
    progress : callable, optional
        Called with the number of shards done and in all.
    """
    out.mkdir(parents=True, exist_ok=True)
    todo = [i for i in range(count) if not (out / f"shard{i:04d}.npz").exists()]
    if not todo:
        return
    make = partial(
        _make_part, out=out, sampler=AtomProbeSampler.of(recipe, seed), seed=seed, size=size
    )
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(make, todo), start=count - len(todo) + 1):
            if progress:
                progress(done, count)
