"""The recipe is the whole recipe: it gives the windows of before, and each number of it counts."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from ase_crystalnet.training.local import dataset
from ase_crystalnet.training.local.dataset import OtherCrystals, Recipe, Sampler
from tests.support.windows import other_value, small_packing, window_hash

#: Every choice is met often, in windows that are drawn quickly.
OFTEN = Recipe(
    other_share=0.25,
    fault_share=0.5,
    mixed_share=0.5,
    surface_share=0.5,
    window_atoms=(64, 90),
    usual_atoms=(70, 80),
    least_atoms=55,
    packings=3,
)


@pytest.fixture
def packings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Densities and sweeps of the packings that were made, in small."""
    calls: list[tuple[float, int]] = []
    monkeypatch.setattr(dataset, "random_packing", small_packing(calls))
    return calls


def drawn(recipe: Recipe, count: int) -> str:
    sampler = Sampler.of(recipe, [], 1)
    rng = np.random.default_rng(2)
    return window_hash(sampler.draw(rng) for _ in range(count))


def test_windows_of_a_seed_are_those_of_before_the_numbers_stood_in_the_recipe(packings):
    assert drawn(Recipe(), 400) == "711f88fe9bf04ce1"
    assert [density for density, _ in packings] == np.linspace(0.7, 1.35, 24).tolist()
    assert {25 <= sweeps < 120 for _, sweeps in packings} == {True}


@pytest.fixture(scope="module")
def often() -> tuple[str, list[tuple[float, int]]]:
    with pytest.MonkeyPatch.context() as patch:
        calls: list[tuple[float, int]] = []
        patch.setattr(dataset, "random_packing", small_packing(calls))
        return drawn(OFTEN, 120), calls


@pytest.mark.parametrize("name", [f.name for f in fields(Recipe) if f.name != "other"])
def test_each_number_decides(name, packings, often):
    value = getattr(OFTEN, name)
    if name == "class_weights":
        changed = value[::-1]
    else:
        # The first has to fit the other ranges of sigma, the second seldom matters.
        changed = {"sigma": (0.01, 0.2), "on_atom_share": 0.9}.get(name, other_value(value))
    assert changed != value
    found = drawn(replace(OFTEN, **{name: changed}), 120)
    assert (found, packings) != often
    if not name.startswith("packing"):
        assert found != often[0]


@pytest.mark.parametrize("name", [f.name for f in fields(OtherCrystals)])
def test_each_number_of_crystals_of_no_class_decides(name, packings, often):
    # Lengths are relative: another scale is the same.
    changed = (1.0, 2.0) if name == "lengths" else other_value(getattr(OFTEN.other, name))
    other = replace(OFTEN.other, **{name: changed})
    assert drawn(replace(OFTEN, other=other), 120) != often[0]


def test_a_recipe_can_be_written_down_and_read_again():
    stated = json.loads(json.dumps(asdict(OFTEN)))
    assert set(stated) == {f.name for f in fields(Recipe)}
    assert stated["other"]["lengths"] == [1.0, 2.4]
