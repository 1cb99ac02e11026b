"""A pattern that the tests of `crystalnet xrd ...` share."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from tests.support.commands import run

xrd = partial(run, "xrd")


@pytest.fixture(scope="module")
def halite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("halite")
    write(folder / "halite.cif", bulk("NaCl", "rocksalt", 5.64, cubic=True))
    result = xrd("simulate", folder / "halite.cif", "-o", folder / "halite.xy")
    assert result.exit_code == 0, result.output
    return folder / "halite.xy"
