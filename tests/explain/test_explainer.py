"""Response maps of the shipped model and of a small one; figures; the numbers about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.crystals.structures import (
    hcp,
    rotated,
    supercell,
    unit_cell,
)
from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.explain.bragg_spots import energy_share, shuffled_share
from ase_crystalnet.explain.explainer import Explainer
from ase_crystalnet.explain.figures import plot_explanation, plot_filter_sums
from ase_crystalnet.explain.study import (
    Sample,
    bootstrap_mean,
    local_sample,
    occlusion_correlations,
    sample_of,
    share_rows,
)
from ase_crystalnet.explain.subjects import subject
from tests.support.tiny_models import CLASSES, write_card, write_convolutions

if TYPE_CHECKING:
    from ase_crystalnet import CrystalNet

CRYSTALS = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc")


@pytest.fixture(scope="module")
def explainer(local_net: CrystalNet) -> Explainer:
    return Explainer(local_net.classifier)


@pytest.fixture(scope="module")
def fcc_image(local_net: CrystalNet) -> Any:
    return subject(local_net, unit_cell("fcc")).image


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    folder = tmp_path_factory.mktemp("tiny")
    write_convolutions(folder / "model.keras")
    write_card(folder, input="linear")
    return Explainer(Classifier(folder))


def test_explanation_has_all_its_parts(explainer: Explainer, fcc_image: Any) -> None:
    found = explainer.explain(fcc_image)
    assert [layer.number for layer in found.layers] == [n + 1 for n in explainer.shown]
    assert explainer.shown[0] == 0 and explainer.shown[-1] == len(explainer.convolutions) - 1
    assert found.classes[int(found.probabilities.argmax())] == "fcc"
    assert found.label is None
    for layer in found.layers:
        assert layer.maps.shape == (4, 64, 64, 3) and layer.maps.dtype == np.float32
        assert np.isfinite(layer.maps).all() and layer.maps.min() >= 0
        assert np.all(layer.maps.max(axis=(1, 2, 3)) > 0)
        assert len(set(layer.filters.tolist())) == 4
        assert np.all(np.diff(layer.shares) <= 0) and 0 < layer.shares.sum() <= 1
        assert layer.name == explainer.convolutions[layer.number - 1]
    assert found.filter_sum.shape == (64, 64, 3)
    assert found.class_maps.shape == (len(found.classes), 64, 64, 3)
    assert np.isfinite(found.class_maps).all()
    arrays = found.arrays()
    assert set(arrays) >= {"image", "filter_sum", "class_maps", "convolution_1_maps"}


def test_maps_follow_the_brightness_of_the_fingerprint(
    explainer: Explainer, fcc_image: Any
) -> None:
    """Filters are ranked by the light in their feature maps."""
    features = explainer.features(explainer.inputs(fcc_image[None]), 0)[0]
    light = features.sum(axis=(0, 1))
    (layer,) = explainer.layer_responses(fcc_image[None], 0, top=5)
    np.testing.assert_array_equal(layer.filters, np.argsort(-light)[:5])
    np.testing.assert_allclose(layer.shares, np.sort(light)[::-1][:5] / light.sum(), rtol=1e-4)


def test_sum_is_over_all_filters(tiny: Explainer, fcc_image: Any) -> None:
    for number in (0, -1):
        (layer,) = tiny.layer_responses(fcc_image[None], number, top=1000)
        assert set(layer.filters.tolist()) == set(range(len(layer.filters)))
        assert layer.shares.sum() == pytest.approx(1)
        np.testing.assert_allclose(
            layer.maps.sum(axis=0), tiny.filter_sums(fcc_image[None], number)[0], rtol=1e-4
        )


def test_a_batch_is_its_images_one_by_one(
    tiny: Explainer, fcc_image: Any, rng: np.random.Generator
) -> None:
    images = np.stack([fcc_image, rng.random(fcc_image.shape, np.float32)])
    for measure in (tiny.filter_sums, tiny.class_maps, tiny.margins):
        whole = measure(images)
        for one, image in zip(whole, images, strict=True):
            alone = measure(image[None])[0]
            np.testing.assert_allclose(one, alone, rtol=1e-4, atol=1e-5 * np.abs(alone).max())


def test_margins_decide_the_class(explainer: Explainer, fcc_image: Any) -> None:
    margins = explainer.margins(fcc_image[None])[0]
    assert abs(margins.sum()) < 1e-3 * np.abs(margins).max()
    probabilities = explainer.classifier.predict(fcc_image[None])[0]
    assert np.array_equal(np.argsort(margins), np.argsort(probabilities))


def test_filters_for_a_class(explainer: Explainer, fcc_image: Any) -> None:
    """Ranked by evidence, the filters of fcc and of bcc differ, and so does the evidence."""
    fcc, bcc = (explainer.explain(fcc_image, name) for name in ("fcc", "bcc"))
    assert fcc.label == explainer.classes.index("fcc")
    assert fcc.layers[-1].filters.tolist() != bcc.layers[-1].filters.tolist()
    np.testing.assert_array_equal(fcc.filter_sum, bcc.filter_sum)
    balance = fcc.class_maps.sum(axis=(1, 2, 3))
    assert balance[explainer.index("fcc")] > 0 and balance.argmax() == explainer.index("fcc")
    assert balance[explainer.index("bcc")] < 0


def test_unpooling_makes_a_difference_only_with_poolings(tiny: Explainer, fcc_image: Any) -> None:
    repeated = Explainer(tiny.classifier, "repeat")
    first, last = (
        [e.filter_sums(fcc_image[None], number) for e in (tiny, repeated)] for number in (0, -1)
    )
    np.testing.assert_array_equal(first[0], first[1])
    assert not np.allclose(last[0], last[1])


def test_bad_input_is_named(explainer: Explainer, fcc_image: Any) -> None:
    with pytest.raises(InputError, match=r"shape \(1, 32, 64, 3\); expected"):
        explainer.explain(fcc_image[:32])
    with pytest.raises(InputError, match="'ice' is unknown to model 'local'; it has bct139"):
        explainer.explain(fcc_image, "ice")
    with pytest.raises(InputError, match="class 99 is none of 0 to 7"):
        explainer.explain(fcc_image, 99)
    with pytest.raises(InputError, match="top=0"):
        explainer.explain(fcc_image, top=0)
    with pytest.raises(InputError, match="2 labels"):
        Sample(fcc_image[None], np.zeros(2, int), [])


def test_a_model_without_convolutions_is_refused(tmp_path: Path, fcc_image: Any) -> None:
    from tests.support.tiny_models import write_network

    write_network(tmp_path / "model.keras")
    write_card(tmp_path)
    with pytest.raises(ModelError, match="model 'tiny' has no convolution"):
        Explainer(Classifier(tmp_path)).explain(fcc_image)


def test_maps_are_the_same_in_any_orientation(local_net: CrystalNet, explainer: Explainer) -> None:
    """The window is turned into the standard frame before; symmetry leaves hcp one choice of it."""
    cell = hcp(1.6)
    turned, _ = rotated(cell, 3)
    sums = explainer.filter_sums(np.stack([subject(local_net, a).image for a in (cell, turned)]))
    # Equivalent settings of the lattice give the same fingerprint up to a mirror.
    energies = np.sort(np.square(sums.astype(float)).sum(axis=(1, 2)), axis=1)
    np.testing.assert_allclose(energies[0], energies[1], rtol=0.1)


@pytest.mark.parametrize("name", CRYSTALS)
def test_maps_lie_on_bragg_spots(local_net: CrystalNet, explainer: Explainer, name: str) -> None:
    """Most of the energy of the last layer's sum, of a hot and incomplete crystal."""
    atoms = supercell(unit_cell(name), 1500, sigma=0.05, vacancies=0.1, rng=5)
    found = subject(local_net, atoms, len(atoms) // 2)
    assert found.spots is not None and len(found.spots) > 10
    near = found.spots.near()
    total = explainer.filter_sums(found.image[None])[0]
    share, shuffled = energy_share(total, near), shuffled_share(total, near)
    assert share > 0.6 and share > 3 * shuffled
    label = explainer.index(name)
    assert energy_share(explainer.class_maps(found.image[None])[0, label], near) > 0.6


def test_a_liquid_has_no_spots(local_net: CrystalNet) -> None:
    from ase_crystalnet.crystals.structures import random_packing

    found = subject(local_net, random_packing(1200, rng=1))
    assert found.spots is None


def test_subject_names_what_is_wrong(local_net: CrystalNet) -> None:
    lone = unit_cell("fcc")
    lone.pbc = False
    with pytest.raises(InputError, match="holds only 4 atoms"):
        subject(local_net, lone)
    with pytest.raises(InputError, match="atom index 7"):
        subject(local_net, unit_cell("fcc"), 7)


@pytest.mark.slow
def test_study_of_the_shipped_model(
    local_net: CrystalNet, explainer: Explainer, rng: np.random.Generator
) -> None:
    """The numbers of docs/explain.md, on fewer windows: trained far above every control."""
    sample = local_sample(local_net, 1, rng, sigma=0.08, vacancy_fraction=0.2)
    assert len(sample.labels) == len(CRYSTALS)
    rows = share_rows(explainer, sample, local_net.fingerprint, rng, untrained=1)
    kinds = ["input", *(f"convolution {n + 1}" for n in explainer.shown), "evidence"]
    assert [row.maps for row in rows] == kinds * len(CRYSTALS)
    for row in rows:
        assert 0 <= row.low <= row.share <= row.high <= 1
        assert row.count == 1 and 0.01 < row.area < 0.15
        if row.maps in kinds[-2:]:
            assert row.share > 0.6 and row.share > 3 * row.shuffled
            assert row.share > 1.5 * row.untrained
    told = occlusion_correlations(explainer, sample)
    assert told.shape == (len(sample.labels), len(explainer.classes))
    right = told[np.arange(len(told)), sample.labels]
    assert np.mean(right) > 0.6


def test_untrained_networks_differ_and_can_be_repeated(tiny: Explainer, fcc_image: Any) -> None:
    def total(seed: int) -> Any:
        return tiny.untrained(np.random.default_rng(seed)).filter_sums(fcc_image[None])

    np.testing.assert_array_equal(total(1), total(1))
    assert not np.allclose(total(1), total(2))
    assert not np.allclose(total(1), tiny.filter_sums(fcc_image[None]))


def test_bootstrap_interval_covers_the_mean() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        mean, low, high = bootstrap_mean(rng.normal(3.0, 1.0, 40), rng)
        assert low <= mean <= high
        inside += low < 3.0 < high
    assert 85 <= inside <= 100
    assert bootstrap_mean(np.array([0.5]), rng) == (0.5, 0.5, 0.5)


def test_figures(explainer: Explainer, fcc_image: Any, local_net: CrystalNet) -> None:
    spots = subject(local_net, unit_cell("fcc")).spots
    found = explainer.explain(fcc_image, top=2)
    figure = plot_explanation(found, "fcc", spots)
    # Columns of four maps, a panel for each class, the colour bar.
    columns = 2 + 2 * len(found.layers)
    assert len(figure.axes) == columns * 4 + len(CLASSES) + 1
    width, height = figure.get_size_inches()
    for axes in figure.axes:
        box = axes.get_position()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1 and box.y1 <= 1
    assert sum(len(axes.patches) for axes in figure.axes) == 2 * len(spots or ())
    sums = explainer.filter_sums(np.stack([fcc_image] * 3))
    figure = plot_filter_sums(["a", "b", "c"], [fcc_image] * 3, sums, "sums")
    assert len(figure.axes) == 6 and width > 0 and height > 0
    with pytest.raises(InputError, match="2 classes"):
        plot_filter_sums(["a", "b"], [fcc_image] * 3, sums)


def test_sample_of_structures_leaves_out_what_has_no_lattice(local_net: CrystalNet) -> None:
    from ase_crystalnet.crystals.structures import random_packing

    glass = random_packing(600, rng=4)
    sample = sample_of(local_net, [unit_cell("fcc"), glass, unit_cell("sc")], [4, 0, 3])
    assert sample.labels.tolist() == [4, 3]
    assert sample.near().shape == sample.images.shape == (2, 64, 64, 3)
    with pytest.raises(InputError, match="none of 1 structures has a lattice"):
        sample_of(local_net, [glass], [0])


@pytest.mark.parametrize("name", ["fcc", "hex/rh", "diam"])
def test_subject_of_a_whole_structure(tmp_path: Path, name: str, rng: np.random.Generator) -> None:
    """In global mode the spots are the average crystal's, whatever is missing in the structure."""
    from ase_crystalnet import CrystalNet
    from ase_crystalnet.crystals.defects import with_vacancies
    from ase_crystalnet.whole.analysis import global_fingerprints
    from ase_crystalnet.whole.cluster import perfect_supercell

    write_convolutions(tmp_path / "model.keras")
    write_card(tmp_path, input="linear", mode="global")
    local_net = CrystalNet(tmp_path)
    perfect = perfect_supercell(unit_cell(name))
    found = subject(local_net, perfect)
    np.testing.assert_array_equal(found.image, global_fingerprints([perfect])[0])
    assert found.spots is not None
    assert energy_share(found.image, found.spots.near()) > 0.95
    holes = subject(local_net, with_vacancies(perfect, 0.3, rng))
    assert holes.spots is not None and holes.atoms < found.atoms
    np.testing.assert_array_equal(holes.spots.near(), found.spots.near())
    assert energy_share(holes.image, holes.spots.near()) > 0.85
