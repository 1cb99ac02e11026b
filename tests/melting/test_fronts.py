"""Velocities of fronts and the temperature at which they vanish, by series that are known."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.melting import Interfaces, front_motion, melting_point
from ase_crystalnet.melting.figures import plot_fronts


def at(thickness: float) -> Interfaces:
    """Interfaces of a slab so thick; nan for none."""
    known = np.isfinite(thickness)
    return Interfaces(
        axis=2,
        length=100.0,
        low=90.0 if known else np.nan,
        high=(90.0 + thickness) % 100 if known else np.nan,
        error=0.5 if known else np.nan,
        width=4.0,
        area=400.0,
        solid_fraction=thickness / 100 if known else 1.0,
        reason="" if known else "one phase",
        profile=np.empty((2, 0)),
    )


def test_a_front_that_moves_steadily():
    time = np.arange(0, 20, 0.5)
    motion = front_motion(time, [at(40 + 0.4 * t) for t in time], temperature=900.0)
    # 0.4 Angstrom a picosecond are shared by two fronts: 20 m/s each.
    assert motion.velocity == pytest.approx(20.0)
    assert motion.velocity_error < 0.01
    assert motion.used.all()


def test_frames_after_the_end_of_a_phase_do_not_count():
    time = np.arange(10.0)
    motion = front_motion(time, [at(40 - 5 * t if t < 7 else np.nan) for t in time])
    assert motion.velocity == pytest.approx(-250.0) and motion.used.sum() == 7
    few = front_motion(time[:5], [at(40.0), at(41.0), *[at(np.nan)] * 3])
    assert np.isnan(few.velocity)


@pytest.mark.parametrize("memory", [0.0, 0.6])
def test_the_error_of_a_velocity_is_what_it_scatters_by(memory):
    """Also if neighbouring frames are alike, as those of a simulation are."""
    rng = np.random.default_rng(3)
    time = np.arange(60.0)
    velocities, errors = [], []
    for _ in range(200):
        noise = rng.normal(size=len(time))
        for k in range(1, len(noise)):
            noise[k] += memory * noise[k - 1]
        motion = front_motion(time, [at(x) for x in 45 + 0.02 * time + noise])
        velocities.append(motion.velocity)
        errors.append(motion.velocity_error)
    assert np.mean(velocities) == pytest.approx(1.0, abs=3 * np.std(velocities) / np.sqrt(200))
    assert 0.75 < np.mean(errors) / np.std(velocities) < 1.25


def test_a_line_through_exact_velocities():
    T = np.array([860.0, 900.0, 940.0, 980.0])
    point = melting_point(T, 0.5 * (926 - T), np.full(4, 2.0))
    assert point.temperature == pytest.approx(926.0)
    assert point.slope == pytest.approx(0.5)
    assert point.bracketed and "926.0" in repr(point)
    above = melting_point(T + 200, 0.5 * (926 - T - 200), np.full(4, 2.0))
    assert above.temperature == pytest.approx(926.0)
    assert above.error > point.error and "extrapolated" in repr(above)


def test_the_error_of_a_melting_point_is_what_it_scatters_by():
    rng = np.random.default_rng(5)
    T, errors = np.array([860.0, 900.0, 940.0, 980.0]), np.array([3.0, 1.0, 1.0, 4.0])
    points = [
        melting_point(T, 0.5 * (926 - T) + rng.normal(scale=errors), errors) for _ in range(500)
    ]
    away = np.array([point.temperature for point in points]) - 926.0
    assert np.std(away) < np.mean([point.error for point in points]) < 1.6 * np.std(away)
    # Of runs of equal temperature too; runs without a velocity are left out.
    both = melting_point([900, 900, 950, 930], [10, 12, -11, np.nan], [1, 1, 1, 1])
    assert 900 < both.temperature < 950


def test_what_tells_nothing_is_refused():
    with pytest.raises(InputError, match="two temperatures"):
        melting_point([900.0, 900.0], [1.0, 2.0], [1.0, 1.0])
    with pytest.raises(InputError, match="two temperatures"):
        melting_point([900.0, 950.0], [1.0, np.nan], [1.0, 1.0])
    with pytest.raises(InputError, match="expected 2 times"):
        front_motion([0.0], [at(40.0), at(41.0)])
    with pytest.raises(InputError, match="times that rise"):
        front_motion([0.0, 0.0], [at(40.0), at(41.0)])
    with pytest.raises(InputError, match="no runs"):
        plot_fronts([])


def test_the_figure_shows_every_run():
    time = np.arange(0, 20, 1.0)
    motions = [
        front_motion(time, [at(45 + 0.01 * (926 - T) * t) for t in time], temperature=T)
        for T in (890.0, 910.0, 940.0)
    ]
    point = melting_point(
        [m.temperature for m in motions],
        [m.velocity for m in motions],
        [max(m.velocity_error, 0.1) for m in motions],
    )
    left, right = plot_fronts(motions, point).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "890 K",
        "910 K",
        "940 K",
    ]
    assert "926" in right.get_title()
