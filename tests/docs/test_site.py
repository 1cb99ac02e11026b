"""The documentation site: links hold, every page has a place, and it is built without a warning."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import ModuleType

import pytest

from tests.support import REPOSITORY


@pytest.fixture(scope="module")
def site() -> ModuleType:
    path = REPOSITORY / "docs" / "_site" / "build.py"
    spec = importlib.util.spec_from_file_location("build_site", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "page", "wanted"),
    [
        ("[a](docs/usage.md#x)", "index.md", "[a](usage.md#x)"),
        ("![a](docs/figures/b.png)", "index.md", "![a](figures/b.png)"),
        ("[a](../CONTRIBUTING.md)", "architecture.md", "[a](CONTRIBUTING.md)"),
        ("[a](../README.md#install)", "usage.md", "[a](index.md#install)"),
        ("[a](../glossary.md)", "theory/lattice.md", "[a](../glossary.md)"),
        ("[a](../../CHANGELOG.md)", "reproduce/x.md", "[a](../CHANGELOG.md)"),
        ("[a](https://example.org)", "usage.md", "[a](https://example.org)"),
        ("[a](#here)", "usage.md", "[a](#here)"),
        ("see [`run`](../examples/a.py) there", "usage.md", "see `run` there"),
        ("```python\nx[0](../a.py)\n```", "usage.md", "```python\nx[0](../a.py)\n```"),
        ("[![a](docs/b.png)](docs/usage.md)", "index.md", "[![a](b.png)](usage.md)"),
    ],
)
def test_links_hold_on_the_site(site, text, page, wanted, monkeypatch) -> None:
    monkeypatch.delenv("CRYSTALNET_REPOSITORY", raising=False)
    assert site.with_links(text, page) == wanted


def test_links_to_other_files_lead_to_the_code_host(site, monkeypatch) -> None:
    monkeypatch.setenv("CRYSTALNET_REPOSITORY", "https://example.org/tree/")
    found = site.with_links("[a](../examples/a.py#L3)", "usage.md")
    assert found == "[a](https://example.org/tree/examples/a.py#L3)"


def test_a_page_without_a_place_is_under_further_pages(site, capsys) -> None:
    pages = {"usage.md", "brand_new.md", "glossary.md", "accuracy.md", "theory/strain.md"}
    pages |= {"tutorial.ipynb", "architecture.md", "reference/python/ase_crystalnet.md"}
    text = site.contents(pages)
    last = text.rpartition(":caption: ")[2]
    assert last.startswith("Further pages") and "brand_new" in last and "usage" not in last
    assert "brand_new.md" in capsys.readouterr().out
    assert "reference/python/ase_crystalnet" not in text  # it is in the contents of its own page


def test_public_names_are_found_where_they_are_written(site) -> None:
    stub = REPOSITORY / "ase_crystalnet" / "__init__.pyi"
    names = site.public_names(stub, "ase_crystalnet")
    assert names["CrystalNet"] == ("ase_crystalnet.analyzer", "class")
    assert names["list_models"] == ("ase_crystalnet.classifier.card", "function")
    pages = site.api_pages()
    described = "\n".join(pages.values())
    # Each once, though several folders hand it out.
    assert described.count(".FrameAnalysis\n") == 1
    assert "reference/python/ase_crystalnet.cli.md" not in pages


def test_every_command_is_described(site) -> None:
    page = site.commands_page()
    for name in ("analyze", "report", "xrd classify", "train local"):
        assert f"## crystalnet {name}\n" in page
    assert "* `--output`, `-o` `FILE`: " in page


def test_every_picture_of_the_gallery_is_there(site) -> None:
    page = site.gallery_page()
    scripts = sorted((REPOSITORY / "examples" / "gallery").glob("*.py"))
    assert scripts
    for script in scripts:
        assert f"figures/gallery/{script.stem}.png" in page
        assert (REPOSITORY / "docs" / "figures" / "gallery" / f"{script.stem}.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fingerprint", "strain", "powder", "melting_front", "melting"])
def test_scripts_of_the_gallery_run(name, tmp_path) -> None:
    picture = tmp_path / "picture.png"
    script = REPOSITORY / "examples" / "gallery" / f"{name}.py"
    subprocess.run([sys.executable, script, picture], cwd=REPOSITORY, check=True)
    assert picture.stat().st_size > 10_000
