"""Mean structure factor along a direction."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet.atom_probe.search.spectra import mean_spectrum
from ase_crystalnet.errors import InputError

SPACINGS = np.linspace(1.5, 4.0, 101)


def gas(rng, windows=40, ions=500):
    points = rng.normal(0, 10, (windows, ions, 3)).astype(np.float32)  # no edges to scatter
    mask = np.arange(ions) < rng.integers(200, ions, windows)[:, None]
    return np.where(mask[..., None], points, 0), mask


def test_random_ions_give_one(rng):
    mean, error = mean_spectrum(*gas(rng, 300), spacings=SPACINGS)
    assert mean.mean() == pytest.approx(1.0, abs=0.05)
    # S of one window of a gas is exponential: its deviation is its mean.
    np.testing.assert_allclose(error * np.sqrt(300), 1.0, atol=0.35)


def test_it_is_the_definition(rng):
    points, mask = gas(rng, 3)
    axis = np.array([1.0, 2.0, -1.0])
    mean, _ = mean_spectrum(points, mask, axis=axis, spacings=SPACINGS)
    unit = axis / np.linalg.norm(axis)
    for spacing, found in zip(SPACINGS[::20], mean[::20], strict=True):
        q = 2 * np.pi / spacing * unit
        wanted = [
            abs(np.exp(-1j * p[m].astype(float) @ q).sum()) ** 2 / m.sum()
            for p, m in zip(points, mask, strict=True)
        ]
        assert found == pytest.approx(np.mean(wanted), rel=1e-3)


def test_planes_stand_out_at_their_spacing_only_along_their_normal(rng):
    points, mask = gas(rng)
    points[..., 2] = 2.5 * np.rint(points[..., 2] / 2.5) + rng.normal(0, 0.2, mask.shape)
    along, _ = mean_spectrum(points, mask, axis=[0, 0, 3], spacings=SPACINGS)
    across, _ = mean_spectrum(points, mask, axis=[1, 0, 0], spacings=SPACINGS)
    assert SPACINGS[np.argmax(along)] == pytest.approx(2.5, abs=0.03)
    expected = mask.sum(axis=1).mean() * np.exp(-((2 * np.pi / 2.5 * 0.2) ** 2))
    assert along.max() == pytest.approx(expected, rel=0.1)
    assert across.max() < 3


def test_one_window_has_no_error(rng):
    points, mask = gas(rng, 1)
    assert np.isnan(mean_spectrum(points, mask, spacings=SPACINGS)[1]).all()


def test_what_is_no_direction_or_no_spacing(rng):
    points, mask = gas(rng, 2)
    with pytest.raises(InputError, match="is not a direction"):
        mean_spectrum(points, mask, axis=[0, 0, 0], spacings=SPACINGS)
    with pytest.raises(InputError, match="positive lengths"):
        mean_spectrum(points, mask, spacings=-SPACINGS)
