"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from ase_crystalnet import CrystalNet

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


@pytest.fixture(scope="session")
def local_model() -> Path:
    """Folder of the model "local": the shipped one, or $CRYSTALNET_MODEL (weights on trial)."""
    given = os.environ.get("CRYSTALNET_MODEL")
    folder = Path(given) if given else REPOSITORY / "models" / "local"
    if not (folder / "card.json").is_file():
        pytest.skip(f"no model in {folder}; train it with `crystalnet train local`")
    return folder


@pytest.fixture(scope="session")
def symmetries(local_model: Path) -> CrystalNet:
    """Analyzer that names symmetries, as the windows of the training are labelled."""
    from ase_crystalnet import CrystalNet

    return CrystalNet(local_model, classes="symmetry")


@pytest.fixture(scope="session")
def local_net(local_model: Path) -> CrystalNet:
    """Analyzer by the model "local", with strain taken out; its weights are read once."""
    from ase_crystalnet import CrystalNet

    return CrystalNet(local_model)


@pytest.fixture(scope="session")
def net() -> CrystalNet:
    """Analyzer with the defaults; its weights are read once."""
    from ase_crystalnet import CrystalNet

    return CrystalNet()
