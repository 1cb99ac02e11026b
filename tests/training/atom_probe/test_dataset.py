"""The recipe of atom-probe windows: those of before, and each number of it counts."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.training.atom_probe import dataset
from ase_crystalnet.training.atom_probe.dataset import (
    AtomProbeRecipe,
    AtomProbeSampler,
    make_windows,
)
from ase_crystalnet.training.atom_probe.measurement import Measurements
from tests.support.windows import other_value, small_packing, window_hash

OFTEN = AtomProbeRecipe(
    class_weights=(1.0,) * 7 + (4.0,), other_share=0.2, ions=(60, 120), packing_ions=90
)


@pytest.fixture
def packings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Densities and sweeps of the packings that were made, in small."""
    calls: list[tuple[float, int]] = []
    monkeypatch.setattr(dataset, "random_packing", small_packing(calls))
    return calls


def drawn(recipe: AtomProbeRecipe, count: int) -> str:
    sampler = AtomProbeSampler.of(recipe, 1)
    rng = np.random.default_rng(2)
    return window_hash(sampler.draw(rng) for _ in range(count))


def test_windows_of_a_seed_are_those_of_before_the_numbers_stood_in_the_recipe(packings):
    assert drawn(AtomProbeRecipe(), 150) == "2bf9cd7fef06545b"
    assert [density for density, _ in packings] == np.linspace(0.8, 1.3, 6).tolist()


@pytest.fixture(scope="module")
def often() -> tuple[str, list[tuple[float, int]]]:
    with pytest.MonkeyPatch.context() as patch:
        calls: list[tuple[float, int]] = []
        patch.setattr(dataset, "random_packing", small_packing(calls))
        return drawn(OFTEN, 80), calls


NESTED = ("other", "measurements")


@pytest.mark.parametrize("name", [f.name for f in fields(AtomProbeRecipe) if f.name not in NESTED])
def test_each_number_decides(name, packings, often):
    value = getattr(OFTEN, name)
    changed = value[::-1] if name == "class_weights" else other_value(value)
    if name == "packing_efficiency":
        changed = 0.9  # the usual efficiency is seldom below the least
    found = drawn(replace(OFTEN, **{name: changed}), 80)
    assert (found, packings) != often
    if name in ("packing_ions", "packing_efficiency") or not name.startswith("packing"):
        assert found != often[0]


@pytest.mark.parametrize("name", [f.name for f in fields(Measurements)])
def test_each_number_of_the_measurements_decides(name, packings, often):
    value = getattr(OFTEN.measurements, name)
    # An efficiency cannot be above 1.
    changed = (0.3, 0.9) if name == "efficiency" else other_value(value)
    measurements = replace(OFTEN.measurements, **{name: changed})
    assert drawn(replace(OFTEN, measurements=measurements), 80) != often[0]


def test_windows_of_another_recipe_are_refused(packings, tmp_path: Path):
    recipe = AtomProbeRecipe(ions=(60, 90))
    make_windows(tmp_path, 0, recipe=recipe, seed=1, size=4)
    make_windows(tmp_path, 0, recipe=recipe, seed=1, size=4)
    for change in ({"seed": 2}, {"size": 5}, {"recipe": replace(recipe, gas_share=0.4)}):
        with pytest.raises(InputError, match="another recipe or seed: choose another folder"):
            make_windows(tmp_path, 0, **{"recipe": recipe, "seed": 1, "size": 4, **change})
