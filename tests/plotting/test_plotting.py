"""Figures: made without a display, of the right data, and clear about what cannot be drawn."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from ase_crystalnet.classes import CLASS_COLORS, class_colors
from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting.slice import plot_slice
from ase_crystalnet.plotting.trajectory import plot_fingerprint, plot_trajectory
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.trajectory import TrajectoryAnalysis, TrajectoryBuilder
from tests.support.fakes import CLASSES, fake_frame, frames


def trajectory(count: int, lindemann: bool = True) -> TrajectoryAnalysis:
    builder = TrajectoryBuilder(CLASSES)
    for number, atoms in enumerate(frames(count)):
        frame = fake_frame(atoms, min_certainty=0.7)
        if lindemann and number:
            frame = frame.with_lindemann(np.full(len(atoms), 0.02 * number))
        builder.append(frame, number * 10)
    return builder.build()


def crystal() -> FrameAnalysis:
    return fake_frame(bulk("Cu", "fcc", a=3.6, cubic=True) * (5, 5, 5), min_certainty=0.65)


def texts(axes: object) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_every_class_of_the_local_model_has_its_own_colour() -> None:
    colors = class_colors(CLASSES)
    assert set(colors) == {*CLASSES, "refused"}
    assert len(set(colors.values())) == len(colors)
    assert colors["fcc"] == CLASS_COLORS["fcc"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=20))
def test_classes_of_other_models_have_colours_too(names: list[str]) -> None:
    colors = class_colors(names)
    assert set(names) <= set(colors)
    assert all(color.startswith("#") and len(color) == 7 for color in colors.values())


def test_trajectory_figure_holds_the_data() -> None:
    data = trajectory(12)
    figure = plot_trajectory(data)
    shares, means, lindemann = figure.axes
    assert shares.get_ylim() == (0, 100)
    assert {"fcc", "disordered"} <= set(texts(shares))
    np.testing.assert_allclose(means.lines[0].get_ydata(), data.mean_certainty)
    np.testing.assert_allclose(means.lines[0].get_xdata(), data.frames)
    np.testing.assert_allclose(lindemann.lines[0].get_ydata(), data.lindemann_index)
    assert lindemann.get_xlabel() == "frame"
    assert lindemann.get_ylabel() == "Lindemann index"


def test_trajectory_against_temperature() -> None:
    figure = plot_trajectory(trajectory(4), x=[300, 600, 900, 1200], x_label="temperature (K)")
    assert figure.axes[-1].get_xlabel() == "temperature (K)"
    with pytest.raises(InputError, match=r"expected shape \(4,\), got \(2,\)"):
        plot_trajectory(trajectory(4), x=[1, 2])


def test_frames_of_several_files_are_counted_on() -> None:
    data = trajectory(4)
    data = replace(data, frames=np.array([0, 1, 0, 1]))
    figure = plot_trajectory(data)
    assert figure.axes[-1].get_xlabel() == "analysed frame, all files"
    np.testing.assert_allclose(figure.axes[1].lines[0].get_xdata(), np.arange(4))


def test_a_single_frame_is_drawn(tmp_path: Path) -> None:
    plot_trajectory(trajectory(1)).savefig(tmp_path / "one.png", dpi=50)
    assert (tmp_path / "one.png").stat().st_size > 1000


def test_no_frames_is_an_error() -> None:
    with pytest.raises(InputError, match="no frames"):
        plot_trajectory(TrajectoryBuilder(CLASSES).build())


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_slice_shows_the_windows_of_one_plane(axis: str, tmp_path: Path) -> None:
    frame = crystal()
    figure = plot_slice(frame, axis, position=3.6, thickness=1.0)
    shown = figure.axes[0].collections[0].get_offsets()
    normal = "xyz".index(axis)
    inside = np.abs(frame.centers[:, normal] - 3.6) < 0.5
    expected = np.delete(frame.centers[inside], normal, axis=1)
    assert len(shown) == len(expected) == 50
    np.testing.assert_allclose(
        np.sort(np.asarray(shown), axis=0), np.sort(expected, axis=0), atol=1e-6
    )
    np.testing.assert_allclose(
        np.sort(figure.axes[1].collections[0].get_array()), np.sort(frame.certainty[inside])
    )
    assert figure.axes[0].get_xlabel().endswith("(Å)")
    figure.savefig(tmp_path / "slice.png", dpi=50)


def test_slice_of_a_grid_takes_one_layer() -> None:
    frame = crystal()
    grid = np.stack(np.meshgrid(*[np.arange(4) * 6.0] * 3, indexing="ij"), -1).reshape(-1, 3)
    pick = np.arange(64)
    names = [n for n, q in FrameAnalysis.quantities().items() if q.rows == "windows"]
    frame = replace(frame, **{name: getattr(frame, name)[pick] for name in names})
    frame = replace(frame, centers=grid, center_indices=np.full(64, -1))
    figure = plot_slice(frame)
    assert "16 windows" in figure._suptitle.get_text()


def grid_of(labels: np.ndarray, spacing: float = 6.0) -> FrameAnalysis:
    """Windows on a grid (n, m, 1), certain of their class; -1 is sparse."""
    index = np.stack(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"), -1).reshape(-1, 3)
    flat = labels.ravel()
    probabilities = np.eye(len(CLASSES), dtype=np.float32)[flat]
    probabilities[flat < 0] = np.nan
    frame = crystal()
    names = [n for n, q in FrameAnalysis.quantities().items() if q.rows == "windows"]
    values = {name: getattr(frame, name)[: len(flat)] for name in names}
    values |= {
        "centers": spacing * index,
        "center_indices": np.full(len(flat), -1),
        "probabilities": probabilities,
        "labels": flat,
        "certainty": np.where(flat < 0, np.nan, 1.0),
        "sparse": flat < 0,
        "radius": np.full(len(flat), 9.0),
        "min_certainty": None,
    }
    return replace(frame, **values)


def test_a_slice_of_a_grid_is_as_fine_as_its_windows_overlap() -> None:
    fcc, disordered = CLASSES.index("fcc"), CLASSES.index("disordered")
    labels = np.full((8, 6, 1), fcc)
    labels[4:] = disordered
    figure = plot_slice(grid_of(labels), "z")
    (classes,), (certainty,) = (figure.axes[i].images for i in (0, 1))
    shown, sure = np.asarray(classes.get_array()), np.asarray(certainty.get_array())
    assert shown.shape == (48, 64, 3)  # eight pixels from window to window
    left, right, *_ = classes.get_extent()
    across = left + (np.arange(64) + 0.5) * (right - left) / 64
    is_fcc = np.abs(shown - to_rgb(class_colors(CLASSES)["fcc"])).max(axis=2) < 0.01
    # The border lies between the columns at 18 and 24, to a pixel, and is where doubt is greatest.
    border = 21.0
    assert np.count_nonzero(is_fcc[20] != (across < border)) <= 1
    row = sure[20]
    assert row.min() < 0.6 and abs(across[np.argmin(row)] - border) < 0.75
    assert (row[np.abs(across - border) > 9] > 0.99).all()


def test_where_no_window_speaks_a_slice_is_empty() -> None:
    labels = np.full((8, 6, 1), CLASSES.index("fcc"))
    labels[4:] = -1
    figure = plot_slice(grid_of(labels), "z")
    sure = np.asarray(figure.axes[1].images[0].get_array())
    assert np.isfinite(sure[:, :30]).all() and np.isnan(sure[:, 50:]).all()
    assert (np.asarray(figure.axes[0].images[0].get_array())[:, 50:] == 1).all()
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["fcc 100 %"]


def test_a_grid_with_one_window_is_drawn() -> None:
    figure = plot_slice(grid_of(np.full((1, 1, 1), CLASSES.index("bcc"))), "z")
    assert np.isfinite(np.asarray(figure.axes[1].images[0].get_array(), float)).any()


def test_axes_say_what_they_are_and_in_which_unit() -> None:
    figures = [
        plot_trajectory(trajectory(5)),
        plot_slice(crystal()),
        plot_slice(grid_of(np.full((4, 4, 1), 4))),
        plot_fingerprint(np.zeros((64, 64, 3))),
    ]
    for figure in figures:
        for panel in figure.axes:
            place = panel.get_subplotspec()
            if place is None or place.is_last_row():
                assert panel.get_xlabel() or panel.get_ylabel()
    assert figures[1].axes[2].get_ylabel() == "largest probability"


def test_the_slice_is_cut_across_the_thinnest_direction() -> None:
    for repeat, normal in (((2, 4, 4), "x"), ((4, 2, 4), "y"), ((4, 4, 2), "z"), ((3, 3, 3), "z")):
        frame = fake_frame(bulk("Cu", "fcc", a=3.6, cubic=True) * repeat)
        assert f"slice at {normal} = " in plot_slice(frame)._suptitle.get_text()


def test_an_empty_slice_says_where_the_atoms_are() -> None:
    with pytest.raises(InputError, match=r"no window centre.*z = 99.*0.00 to 16.20"):
        plot_slice(crystal(), "z", position=99.0)
    with pytest.raises(InputError, match="axis x, y or z, got 'w'"):
        plot_slice(crystal(), "w")


def test_fingerprint_figure(rng: np.random.Generator, tmp_path: Path) -> None:
    image = rng.random((64, 64, 3))
    figure = plot_fingerprint(image, "fcc")
    assert len(figure.axes) == 4
    # The first axis of the image is the detector's x: across, not up.
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), np.sqrt(image[:, :, 0]).T)
    figure.savefig(tmp_path / "fingerprint.png", dpi=50)
    with pytest.raises(InputError, match=r"\(P, P, 3\), got \(64, 64\)"):
        plot_fingerprint(image[:, :, 0])


def test_pyplot_is_left_alone() -> None:
    sys.modules.pop("matplotlib.pyplot", None)
    plot_trajectory(trajectory(2))
    assert "matplotlib.pyplot" not in sys.modules
