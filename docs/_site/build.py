"""Build the documentation site:  python docs/_site/build.py [--links]

* The pages are the Markdown files of docs/, and README, CHANGELOG and others of the root, as they
  are read on a code host: links between them hold on both. Links to other files of the repository
  lead to $CRYSTALNET_REPOSITORY (an address that ends in a slash), or become plain words.
* The Python reference comes from the public names of the package (`__init__.pyi`) and their
  docstrings, the reference of commands from the command line, the gallery from examples/gallery.
* navigation.toml orders them; a page that it does not name goes under "Further pages".

Every warning is an error: a link that leads nowhere, a page that cannot be read, a public name
without a docstring. With --links addresses elsewhere are asked, too.
"""

from __future__ import annotations

import ast
import os
import posixpath
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

__all__ = ["assemble", "main"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DOCS = ROOT / "docs"
#: Pages of the root, by the name they have on the site.
FROM_ROOT = {
    "index.md": "README.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
}
GALLERY = ROOT / "examples" / "gallery"
_LINK = re.compile(r"(!?)\[((?:!\[[^\]]*\]\([^)]*\)|[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_CODE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def main(arguments: list[str]) -> int:
    """Lay out the pages and have Sphinx build them; the exit code."""
    from sphinx.cmd.build import main as sphinx

    source, site = ROOT / "build" / "site-source", ROOT / "build" / "site"
    assemble(source)
    builder, place = ("linkcheck", "links") if "--links" in arguments else ("html", "site")
    # All warnings before the end, each an error. All from new: whether a link leads somewhere, and
    # the contents beside a page, depend on the other pages.
    options = ["-W", "--keep-going", "-q", "-a", "-E", "-c", str(source), "-b", builder]
    doctrees = str(ROOT / "build" / "doctrees")
    code = sphinx([*options, "-d", doctrees, str(source), str(site.with_name(place))])
    if code == 0 and builder == "html":
        print(f"{site.relative_to(ROOT)}/index.html")
    return int(code)


def assemble(source: Path) -> None:
    """Write all pages into a folder, as Sphinx wants them."""
    shutil.rmtree(source, ignore_errors=True)
    ignored = shutil.ignore_patterns("_site", "__pycache__", ".ipynb_checkpoints")
    shutil.copytree(DOCS, source, ignore=ignored)
    for name, origin in FROM_ROOT.items():
        shutil.copy(ROOT / origin, source / name)
    for page in sorted(source.rglob("*.md")):
        name = page.relative_to(source).as_posix()
        page.write_text(with_links(page.read_text("utf-8"), name), "utf-8")
    made = {"reference/commands.md": commands_page(), **api_pages()}
    if GALLERY.is_dir():
        made["gallery.md"] = gallery_page()
    for name, text in made.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text, "utf-8")
    pages = {path.relative_to(source).as_posix() for path in source.rglob("*")}
    pages = {page for page in pages if page.endswith((".md", ".ipynb")) and page != "index.md"}
    with open(source / "index.md", "a", encoding="utf-8") as index:
        index.write(contents(pages))
    shutil.copy(HERE / "conf.py", source)
    (source / "_static").mkdir()
    shutil.copy(HERE / "site.css", source / "_static")


def contents(pages: set[str]) -> str:
    """The tables of contents, for the end of the first page; every page is in one.

    Raises
    ------
    SystemExit
        A section names no page that there is.
    """
    with open(HERE / "navigation.toml", "rb") as file:
        sections = tomllib.load(file)["section"]
    found, named = [], set()
    for section in sections:
        there = [page for page in section["pages"] if page in pages]
        if not there:
            raise SystemExit(f"navigation.toml: no page of section {section['title']!r} exists")
        named |= set(there)
        found.append(_contents(section["title"], there))
    others = sorted(page for page in pages - named if not page.startswith("reference/python/"))
    if others:
        print(f"not in docs/_site/navigation.toml, so under 'Further pages': {', '.join(others)}")
        found.append(_contents("Further pages", others))
    return "\n" + "\n".join(found)


def _contents(title: str, pages: list[str]) -> str:
    names = "\n".join(page.rpartition(".")[0] for page in pages)
    return f"```{{toctree}}\n:caption: {title}\n:hidden:\n\n{names}\n```\n"


# ---------------------------------------------------------------------- links


def with_links(text: str, page: str) -> str:
    """A page whose links lead to pages of the site, to the code host, or are plain words.

    Parameters
    ----------
    text : str
        Markdown, as it is in the repository.
    page : str
        Its name on the site.
    """
    origin = FROM_ROOT.get(page, f"docs/{page}")
    parts = _CODE.split(text)  # every second one is a block of code
    parts[::2] = [_LINK.sub(lambda m: _link(m, origin, page), part) for part in parts[::2]]
    return "".join(parts)


def _link(found: re.Match[str], origin: str, page: str) -> str:
    picture, label, target = found.groups()
    label = _LINK.sub(lambda m: _link(m, origin, page), label)
    if re.match(r"[a-z]+:|#", target):
        return f"{picture}[{label}]({target})"
    path, hash_, anchor = target.partition("#")
    place = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
    names = {source: name for name, source in FROM_ROOT.items()}
    repository = os.environ.get("CRYSTALNET_REPOSITORY", "")
    if place in names:
        wanted = names[place]
    elif place.startswith("docs/"):
        wanted = place.removeprefix("docs/")
    elif repository:
        return f"{picture}[{label}]({repository}{place}{hash_}{anchor})"
    else:
        return "" if picture else label
    relative = posixpath.relpath(wanted, posixpath.dirname(page) or ".")
    return f"{picture}[{label}]({relative}{hash_}{anchor})"


# ---------------------------------------------------------------------- pages from the code


def api_pages() -> dict[str, str]:
    """One page for each folder of the package, and one that lists them.

    A name that several folders hand out is described once, where it is imported from with the
    fewest dots.
    """
    stubs = [path for path in (ROOT / "ase_crystalnet").rglob("__init__.pyi")]
    stubs = sorted(stubs, key=lambda path: (len(path.parts), path))
    pages, rows = {}, []
    described: dict[tuple[str, str], str] = {}
    for stub in stubs:
        folder = ".".join(stub.parent.relative_to(ROOT).parts)
        if folder == "ase_crystalnet.cli":
            continue  # commands have a page of their own
        about = ast.get_docstring(ast.parse(stub.with_suffix(".py").read_text("utf-8"))) or ""
        parts, elsewhere = [f"# {folder}\n\n{about}\n"], []
        for name, (home, kind) in public_names(stub, folder).items():
            if (home, name) in described:
                elsewhere.append(f"[`{name}`]({described[home, name]}.md)")
                continue
            described[home, name] = folder
            members = "\n   :members:\n   :inherited-members:" if kind == "class" else ""
            parts.append(f"```{{eval-rst}}\n.. auto{kind}:: {folder}.{name}{members}\n```\n")
        if elsewhere:
            parts.insert(1, f"Also here: {', '.join(elsewhere)}.\n")
        pages[f"reference/python/{folder}.md"] = "\n".join(parts)
        first = about.splitlines()[0] if about else ""
        rows.append(f"| [`{folder}`](python/{folder}.md) | {first} |")
    names = sorted(name.removeprefix("reference/").removesuffix(".md") for name in pages)
    pages["reference/python.md"] = (
        "# Python\n\nThe public names, by the folder they are imported from. `from ase_crystalnet "
        "import CrystalNet` is where to begin.\n\n| folder | what it is about |\n|---|---|\n"
        + "\n".join(sorted(rows))
        + "\n\n```{toctree}\n:hidden:\n\n"
        + "\n".join(names)
        + "\n```\n"
    )
    return pages


def public_names(stub: Path, folder: str) -> dict[str, tuple[str, str]]:
    """The classes and functions that a folder hands out: module of each, and which it is."""
    found = {}
    for node in ast.parse(stub.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            module = f"{folder}.{node.module}" if node.level else str(node.module)
            for alias in node.names:
                written = written_in(module, alias.name)
                if written:
                    found[alias.asname or alias.name] = written
    return found


def written_in(module: str, name: str) -> tuple[str, str] | None:
    """Where a name of a module is written, and whether it is a class or a function.

    None for constants, which have no docstring.
    """
    base = ROOT.joinpath(*module.split("."))
    if base.is_dir():
        return public_names(base / "__init__.pyi", module).get(name)
    for node in ast.parse(base.with_suffix(".py").read_text("utf-8")).body:
        if getattr(node, "name", None) == name:
            return module, "class" if isinstance(node, ast.ClassDef) else "function"
    return None


def commands_page() -> str:
    """Every command with its arguments and options, as its help has them."""
    sys.path.insert(0, str(ROOT))
    import typer

    from ase_crystalnet.cli.app import app

    lines = ["# Command line", "", "Every command explains itself with `--help`."]
    _command(typer.main.get_command(app), "crystalnet", lines)
    return "\n".join(lines) + "\n"


def _command(command: Any, name: str, lines: list[str]) -> None:
    children = getattr(command, "commands", None)
    if children:
        for child in children.values():
            _command(child, f"{name} {child.name}", lines)
        return
    # Headings inside help are words in bold there; one level of headings is enough here.
    lines += ["", f"## {name}", "", (command.help or "").strip(), ""]
    for parameter in command.params:
        names = ", ".join(f"`{each}`" for each in (*parameter.opts, *parameter.secondary_opts))
        value = parameter.metavar or ""
        if parameter.param_type_name == "argument":
            names, value = f"`{value or parameter.name.upper()}`", ""
        shown = f"{names} `{value}`" if value else names
        lines.append(f"* {shown}: {' '.join((getattr(parameter, 'help', '') or '').split())}")


def gallery_page() -> str:
    """Pictures with the scripts that made them: examples/gallery/*.py, one picture each."""
    parts = [
        "# Gallery",
        "Each picture is made by the script below it, which runs from a checkout:",
        "```shell\npython examples/gallery/NAME.py docs/figures/gallery/NAME.png\n```",
    ]
    for script in sorted(GALLERY.glob("*.py")):
        text = script.read_text("utf-8")
        about = ast.get_docstring(ast.parse(text)) or script.stem
        title, _, more = about.partition("\n")
        code = text.partition('"""')[2].partition('"""')[2].strip()
        picture = f"![{title}](figures/gallery/{script.stem}.png)"
        parts += [
            f"## {title.rstrip('.')}", picture, " ".join(more.split()),
            f"`examples/gallery/{script.name}`:", f"```python\n{code}\n```",
        ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
