"""Register tiles: products of tables, whatever their size, on every width of vector."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet._compute.tiles import (
    BLOCK,
    LANES,
    ROWS,
    product,
)

CHECK = """
import numpy as np
from ase_crystalnet._compute.tiles import LANES, product
rng = np.random.default_rng(1)
left, right = rng.normal(size=(2, 37, 64)).astype(np.float32)
out = np.zeros((64, 64), np.float32)
product(left, right, 0, 37, np.full(16, 4), out)
assert np.abs(out - left.T @ right).max() < 1e-4
print(LANES)
"""


@settings(max_examples=30, deadline=None)
@given(
    atoms=st.integers(1, 70),
    quads=st.integers(1, 6),
    blocks=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_product_is_that_of_the_chosen_atoms_and_blocks(atoms, quads, blocks, seed):
    rng = np.random.default_rng(seed)
    left = rng.normal(size=(atoms, ROWS * quads)).astype(np.float32)
    right = rng.normal(size=(atoms, BLOCK * blocks)).astype(np.float32)
    first = int(rng.integers(atoms))
    last = int(rng.integers(first + 1, atoms + 1))
    extents = rng.integers(0, blocks + 1, quads)
    out = np.full((ROWS * quads, BLOCK * blocks), np.nan, np.float32)
    product(left, right, first, last, extents, out)
    wanted = left[first:last].T @ right[first:last]
    made = np.arange(BLOCK * blocks) < BLOCK * np.repeat(extents, ROWS)[:, None]
    np.testing.assert_allclose(out[made], wanted[made], atol=1e-4)
    assert np.isnan(out[~made]).all()


def test_product_of_no_atoms_is_zero():
    out = np.ones((4, 16), np.float32)
    product(np.ones((3, 4), np.float32), np.ones((3, 16), np.float32), 2, 2, np.array([1]), out)
    assert not out.any()


def test_width_follows_the_processor(tmp_path):
    assert LANES in (8, 16)
    if not sys.platform.startswith("linux") or os.uname().machine != "x86_64":
        pytest.skip("names the features of x86-64 processors")
    environment = dict(
        os.environ,
        NUMBA_CPU_NAME="haswell",
        NUMBA_CPU_FEATURES="+avx,+avx2,+fma",
        NUMBA_CACHE_DIR=str(tmp_path),
    )
    done = subprocess.run(
        [sys.executable, "-c", CHECK], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "8"
