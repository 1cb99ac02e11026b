"""What goes into the distributions: types, licences, citations, and all that the tests need."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import ase_crystalnet
from tests.support import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CARDS = sorted((REPOSITORY / "models").rglob("card.json"))
DOI = re.compile(r"10\.\d{4,9}/[^\s,;\"]+")


def citation(path: Path) -> dict[str, Any]:
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert read["cff-version"] == "1.2.0"
    for reference in read["references"]:
        assert {"type", "title", "authors", "year"} <= set(reference)
    return read


def test_one_version() -> None:
    assert PROJECT["version"] == ase_crystalnet.__version__
    assert citation(REPOSITORY / "CITATION.cff")["version"] == ase_crystalnet.__version__


def test_the_pythons_named_are_those_allowed() -> None:
    least, below = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()  # type: ignore[union-attr]
    allowed = [f"3.{minor}" for minor in range(int(least), int(below))]
    named = [line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if ":: 3." in line]
    assert named == allowed
    words = f"{allowed[0]} to {allowed[-1]}"
    for name in ("README.md", "CONTRIBUTING.md", "Makefile", ".ci/setup"):
        assert words in (REPOSITORY / name).read_text(encoding="utf-8"), name
    bounds = f"(3, {least}) <= sys.version_info[:2] <= (3, {int(below) - 1})"
    assert bounds in (REPOSITORY / ".ci" / "setup").read_text(encoding="utf-8")


@pytest.mark.parametrize("card", CARDS, ids=lambda path: path.parent.name)
def test_a_model_says_how_to_cite_it(card: Path) -> None:
    told = json.loads(card.read_text(encoding="utf-8"))
    cited = citation(card.with_name("CITATION.cff"))
    assert f"model {told['name']}:" in cited["title"] and cited["license"] == told["licence"]
    wanted = set(DOI.findall(" ".join(told["references"].values())))
    assert wanted and wanted <= {reference.get("doi") for reference in cited["references"]}


@pytest.mark.parametrize("folder", ["xrd", "grains"])
def test_shipped_data_have_sources(folder: str) -> None:
    data = REPOSITORY / "ase_crystalnet" / folder / "data"
    text = (data / "SOURCES.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w.]+)`", text))
    assert {path.name for path in data.iterdir() if path.is_file()} <= {*named, "SOURCES.md"}
    assert "Permission is hereby granted, free of charge" in text


def test_all_data_of_the_package_are_in_such_folders() -> None:
    package = REPOSITORY / "ase_crystalnet"
    for path in package.rglob("*"):
        if not path.is_file() or "__pycache__" in path.parts or path.suffix in (".py", ".pyi"):
            continue
        place = path.relative_to(package)
        known = (Path("py.typed"), Path("_compute", "signatures.txt"))
        assert place in known or place.parts[1:2] == ("data",), place


def test_the_conda_recipe_is_of_this_package() -> None:
    recipe = yaml.safe_load((REPOSITORY / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["context"]["version"] == PROJECT["version"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert set(recipe["about"]["license_file"]) == {
        "LICENSE", *(f"ase_crystalnet/{room}/data/SOURCES.md" for room in ("xrd", "grains"))
    }  # fmt: skip
    least = recipe["context"]["python_min"]
    python, *others = recipe["requirements"]["run"]
    python = python.removeprefix("python ").replace("${{ python_min }}", least)
    assert python == PROJECT["requires-python"]
    # matplotlib without its windows has a name of its own there.
    wanted = [need.replace("matplotlib", "matplotlib-base") for need in PROJECT["dependencies"]]
    assert [need.replace(" ", "") for need in others] == wanted


def test_the_extras_of_users_hold_nothing_of_developers() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    named = everything.removeprefix("ase-crystalnet[").removesuffix("]").split(",")
    # Training and TensorFlow are large, and answers do without.
    others = {"all", "dev", "docs", "rivals", "tensorflow", "train"}
    assert set(named) == set(extras) - others


@pytest.mark.slow
def test_a_user_gets_our_types(tmp_path: Path) -> None:
    """mypy reads them from where the package is installed, not from this checkout."""
    place = tmp_path / "installed"
    place.mkdir()
    for name in ("ase_crystalnet", "ovito_modifier"):
        assert (REPOSITORY / name / "py.typed").is_file()
    (place / "ase_crystalnet").symlink_to(REPOSITORY / "ase_crystalnet")
    (tmp_path / "user.py").write_text(
        "from ase_crystalnet.lattice import LatticeFinder\nreveal_type(LatticeFinder)\n"
    )
    options = ["--follow-imports=silent", "--ignore-missing-imports", "--config-file="]
    options.append(f"--cache-dir={tmp_path / 'cache'}")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "user.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(place), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "LatticeFinder" in done.stdout.split("Revealed type is")[1], done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions, by the back end alone: nothing is fetched."""
    hatchling = pytest.importorskip("hatchling", reason="hatchling builds the distributions")
    assert hatchling
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "CRYSTALNET_BUILD_LEVELS": "none"},  # tests/_compute/test_shipped.py
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.slow
def test_the_source_distribution_holds_the_repository(built: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a checkout")
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()}
    assert tracked - held == set()


@pytest.mark.slow
def test_the_wheel_holds_types_models_and_licences(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        held = set(archive.namelist())
        metadata = archive.read(next(name for name in held if name.endswith("/METADATA"))).decode()
    assert {"ase_crystalnet/py.typed", "ovito_modifier/py.typed"} <= held
    for card in CARDS:
        folder = card.parent.relative_to(REPOSITORY / "models").as_posix()
        for name in ("card.json", "model.onnx", "model.keras", "CITATION.cff"):
            assert f"ase_crystalnet/_models/{folder}/{name}" in held
    sources = [f"ase_crystalnet/{room}/data/SOURCES.md" for room in ("xrd", "grains")]
    for name in ("LICENSE", *sources):
        assert f"License-File: {name}\n" in metadata
        assert any(path.endswith(f"licenses/{name}") for path in held)
    assert not [name for name in held if "__pycache__" in name]
