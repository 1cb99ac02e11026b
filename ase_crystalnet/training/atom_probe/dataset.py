"""Labelled fingerprints of atom-probe windows, made by the stages that the command uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
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
from ase_crystalnet.training.atom_probe.measurement import (
    Measurements,
    cut_measured,
    sample_measurement,
)
from ase_crystalnet.training.local.dataset import OtherCrystals, fingerprint_windows, other_crystal
from ase_crystalnet.training.shards import keep_recipe, write_shard

__all__ = ["AtomProbeRecipe", "AtomProbeSampler", "fingerprint_ions", "make_windows"]


@dataclass(frozen=True)
class AtomProbeRecipe:
    """Shares and ranges of the training windows; stored in the model's card.

    Attributes
    ----------
    class_weights : tuple of float
        Relative, in the order of `CLASSES`.
    other_share : float
        Share of crystals of no class (`other`).
    other : OtherCrystals
    ions : tuple of int
        Ions of a window after losses, evenly in the logarithm.
    measurements : Measurements
    gas_share : float
        Share of the disordered windows that are gases; the others are packings of which ions are
        lost.
    packings, packing_density, packing_sweeps
        Number of random packings, their densities (evenly spaced), and sweeps of relaxation (the
        second not reached).
    packing_ions : int
        Most ions of a window out of a packing: its ball must fit into the 3 x 3 x 3 copies.
    packing_efficiency : float
        Least share of the ions of a packing that are detected, for the same reason.
    """

    class_weights: tuple[float, ...] = (1.2, 1.1, 2.0, 0.9, 1.1, 1.1, 1.0, 1.0)
    other_share: float = 0.02
    other: OtherCrystals = field(default_factory=OtherCrystals)
    ions: tuple[int, int] = (120, 1300)
    measurements: Measurements = field(default_factory=Measurements)
    gas_share: float = 0.5
    packings: int = 6
    packing_density: tuple[float, float] = (0.8, 1.3)
    packing_sweeps: tuple[int, int] = (25, 120)
    packing_ions: int = 900
    packing_efficiency: float = 0.35


@dataclass(frozen=True)
class AtomProbeSampler:
    """Draws windows (n, 3) and their targets (8,)."""

    recipe: AtomProbeRecipe
    pools: tuple[Pool, ...]

    @classmethod
    def of(cls, recipe: AtomProbeRecipe, seed: int) -> AtomProbeSampler:
        """Sampler with the recipe's packings, from liquid-like to dense."""
        rng = np.random.default_rng([seed, 77])
        sweeps = recipe.packing_sweeps
        packings = [
            Pool.of("packing", *random_packing(d, rng, sweeps=int(rng.integers(*sweeps))))
            for d in np.linspace(*recipe.packing_density, recipe.packings)
        ]
        return cls(recipe, tuple(packings))

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """One window, and its target."""
        recipe = self.recipe
        low, high = recipe.ions
        ions = int(np.exp(rng.uniform(np.log(low), np.log(high))))
        measurement = sample_measurement(rng, recipe.measurements)
        if rng.random() < recipe.other_share:
            crystal = other_crystal(rng, recipe.other)
            return cut_measured(crystal, ions, measurement, rng), crystal.target
        weights = np.array(recipe.class_weights)
        name = CLASSES[rng.choice(len(CLASSES), p=weights / weights.sum())]
        if name != "disordered":
            crystal = sample_crystal(name, rng)
            return cut_measured(crystal, ions, measurement, rng), crystal.target
        if rng.random() < recipe.gas_share:
            window = cut_gas(ions, rng)
        else:
            pool = self.pools[rng.integers(len(self.pools))]
            ions = min(ions, recipe.packing_ions)
            lost = 1 - max(measurement.efficiency, recipe.packing_efficiency)
            window = pool.cut(ions, lost, rng, on_atom=False)
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
        Folder, made if needed.
    count, size : int
        Number of shards, and windows in each.
    recipe : AtomProbeRecipe
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
    keep_recipe(out, {"recipe": asdict(recipe), "seed": seed, "size": size})
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
