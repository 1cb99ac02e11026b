"""The package as a whole: what it exports, and what importing it does not pull in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import ase_crystalnet

HEAVY = (
    "tensorflow",
    "keras",
    "matplotlib",
    "numba",
    "h5py",
    "pymatgen",
    "scipy",
    "ovito",
    "typer",
)
PACKAGE = Path(ase_crystalnet.__file__).parent


def loaded_after(code: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after some code."""
    report = (
        f"{code}; import sys; sys.stdout.write(' '.join(m for m in {HEAVY} if m in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import ase_crystalnet") == set()


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("from ase_crystalnet import CrystalNet", {"scipy", "numba"}),
        ("from ase_crystalnet import list_models; list_models()", set()),
        ("from ase_crystalnet import FrameAnalysis", {"scipy"}),
        ("import ase_crystalnet.cli.entry", {"typer", "scipy"}),
    ],
)
def test_heavy_packages_wait_until_they_are_needed(code, allowed):
    assert loaded_after(code) <= allowed


@pytest.mark.parametrize("name", ase_crystalnet.__all__)
def test_every_public_name_is_there_and_documented(name):
    thing = getattr(ase_crystalnet, name)
    assert thing.__name__ == name
    assert thing.__doc__, f"{name} has no docstring"
    assert name in dir(ase_crystalnet)
    home = import_module(thing.__module__)
    assert name in getattr(home, "__all__", [name])


def test_all_is_sorted_and_complete():
    assert list(ase_crystalnet.__all__) == sorted(set(ase_crystalnet.__all__), key=str)


@pytest.mark.parametrize("stub", sorted(PACKAGE.rglob("*.pyi")), ids=lambda p: p.parent.name)
def test_a_stub_names_what_is_there(stub):
    """One list serves the interpreter, type checkers and readers: it must be true."""
    package = import_module(".".join(stub.parent.relative_to(PACKAGE.parent).parts))
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    stated = next(
        ast.literal_eval(n.value)
        for n in tree.body
        if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"
    )
    assert sorted(imported) == sorted(stated) == sorted(set(package.__all__))
    for name in stated:
        assert getattr(package, name) is not None


def test_star_import_brings_the_public_names():
    names: dict[str, object] = {}
    exec("from ase_crystalnet import *", names)
    assert set(ase_crystalnet.__all__) <= set(names)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="No ase_crystalnet attribute CrystalNett"):
        _ = ase_crystalnet.CrystalNett
    with pytest.raises(ImportError, match="nothing_of_this_name"):
        exec("from ase_crystalnet import nothing_of_this_name")


def test_version_is_that_of_the_project():
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version is not None
    assert ase_crystalnet.__version__ == version.group(1)


#: Between processes of one run pickles are the way; in a file of weights they are not.
PARALLEL = {PACKAGE / "frames" / name for name in ("worker.py", "processes.py", "dask.py")}
#: Compiled loops are kept by numba as pickles; those of a wheel are code of the package as its
#: sources are.
COMPILED = {PACKAGE / "_compute" / name for name in ("ahead.py", "shipped.py")}
#: The edge of the house: what may speak to a terminal.
EDGE = (PACKAGE / "cli", PACKAGE / "training" / "md")


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix()
)
def test_modules_state_what_they_export_and_keep_to_the_rules(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    if text:
        assert ast.get_docstring(tree), "no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            edge = any(path.is_relative_to(place) for place in EDGE)
            assert node.func.id != "print" or edge, "prints"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, "bare except"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            forbidden = {"joblib", "ovito"} | (
                {"pickle"} if path not in PARALLEL | COMPILED else set()
            )
            assert not forbidden & {n.split(".")[0] for n in names}
        if isinstance(node, ast.Attribute) and node.attr == "seed":
            assert not ast.unparse(node).endswith("random.seed"), "global random state"
