"""Grains that keep their numbers over a trajectory."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains import GrainTracker, find_crystals, plot_grain_sizes, track_grains
from ase_crystalnet.grains.colors import grain_color
from ase_crystalnet.grains.results import Crystals


class OneGrain:
    """What of a crystal is followed."""

    def __init__(self, number, atoms):
        self.number, self.atoms = number, np.asarray(atoms)


def frame(total: int, *grains):
    """Crystals of a frame with these atoms each."""

    class Frame(Crystals):
        def rows(self):
            return [{"grain": one.number, "atoms": len(one.atoms)} for one in self.crystals]

    labels = np.zeros(total, np.int32)
    for number, atoms in enumerate(grains, start=1):
        labels[list(atoms)] = number
    ones = tuple(OneGrain(number, list(atoms)) for number, atoms in enumerate(grains, start=1))
    return Frame(labels, ones, ())


def test_numbers_follow_the_atoms_whatever_the_order_of_sizes():
    history = track_grains(
        [
            frame(100, range(50), range(50, 80)),
            frame(100, range(45, 85), range(30)),  # the second is now the larger
            frame(100, range(25), range(40, 90)),
        ]
    )
    assert [list(each.numbers) for each in history] == [[1, 2], [2, 1], [1, 2]]
    assert history.sizes.tolist() == [[50, 30], [30, 40], [25, 50]]
    assert history[2].grains[0] == 1 and history[2].grains[60] == 2
    assert [row["grain"] for row in history.rows()] == [1, 2, 2, 1, 1, 2]
    assert [row["frame"] for row in history.rows()] == [0, 0, 1, 1, 2, 2]


def test_parts_and_unions():
    history = track_grains(
        [
            frame(100, range(60), range(60, 100)),
            frame(100, range(40), range(40, 60), range(60, 100)),  # the first splits
            frame(100, range(100)),  # all become one
        ]
    )
    assert list(history[1].numbers) == [1, 3, 2]
    assert history[2].numbers[0] in (1, 2)
    assert len(history.numbers) == 3


def test_a_grain_is_remembered_for_some_frames():
    seen, nothing = frame(50, range(30)), frame(50)
    assert list(track_grains([seen, nothing, nothing, seen]).numbers) == [1]
    forgetful = track_grains([seen, nothing, seen], tracker=GrainTracker(memory=0))
    assert list(forgetful.numbers) == [1, 2]


def test_other_atoms_are_another_grain():
    assert list(track_grains([frame(99, range(40)), frame(99, range(50, 90))]).numbers) == [1, 2]


@pytest.mark.parametrize("options", [{"overlap": 0.0}, {"overlap": 1.5}, {"memory": -1}])
def test_parameters_are_checked(options):
    with pytest.raises(InputError, match="expected"):
        GrainTracker(**options)


def test_a_frame_of_other_atoms_is_refused():
    tracker = GrainTracker()
    tracker(frame(30, range(20)))
    with pytest.raises(InputError, match="40 atoms, 30 before"):
        tracker(frame(40, range(20)))


def test_grains_of_a_hot_polycrystal_keep_their_numbers():
    """The atoms of a frame move by their thermal motion, and the largest grain loses atoms."""
    atoms, true, _ = crystals.polycrystal(crystals.fcc(), 5000, 3, sigma=0.0, rng=5)
    rng = np.random.default_rng(1)
    distance = 4.05 / np.sqrt(2)
    frames = []
    for step in range(3):
        moved = atoms.copy()
        moved.positions += rng.normal(scale=0.06 * distance, size=moved.positions.shape)
        # From frame to frame more of grain 0 is destroyed.
        x = atoms.positions[:, 0]
        gone = (true == 0) & (x < np.quantile(x[true == 0], 0.1 * step))
        moved.positions[gone] += rng.normal(scale=0.8, size=(gone.sum(), 3))
        frames.append(find_crystals(moved))
    history = track_grains(frames)
    of_true = [np.bincount(each.grains[true == k]).argmax() for each in history for k in range(3)]
    assert of_true[:3] == of_true[3:6] == of_true[6:9]
    sizes = history.sizes[:, list(history.numbers).index(of_true[0])]
    assert sizes[0] > sizes[1] > sizes[2] > 0


def test_a_figure_of_sizes(tmp_path):
    history = track_grains([frame(100, range(50 - k), range(50, 80 + k)) for k in range(8)])
    figure = plot_grain_sizes(history)
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["grain 1", "grain 2"]
    assert lines[0].get_ydata().tolist() == [50 - k for k in range(8)]
    figure.savefig(tmp_path / "sizes.png")
    with pytest.raises(InputError, match="no frames"):
        plot_grain_sizes(track_grains([]))


def test_colours_of_successive_grains_differ():
    colours = np.array([grain_color(k) for k in range(9)])
    apart = np.linalg.norm(colours[:, None] - colours, axis=2) + np.eye(9)
    assert apart.min() > 0.15
    assert grain_color(0) == (0.75, 0.75, 0.75)
