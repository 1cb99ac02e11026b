"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of external test data: $CRYSTALNET_DATA, or beside the repository."""
    given = os.environ.get("CRYSTALNET_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no external data folder; set CRYSTALNET_DATA to run this test")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded source of randomness."""
    return np.random.default_rng(20260114)
