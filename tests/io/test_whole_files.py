"""Files that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import ast
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet.io.whole_files import whole_file, write_whole
from tests.support import REPOSITORY


class Interruption(BaseException):
    """Stands for Ctrl-C."""


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "a.npz"
    with whole_file(target) as part:
        assert part.name == target.name  # writers choose the format by the suffix
        np.savez(part, x=np.arange(3))
        assert not target.exists()
    assert np.load(target)["x"].tolist() == [0, 1, 2]
    assert os.listdir(target.parent) == ["a.npz"]


@pytest.mark.parametrize("error", [ValueError, Interruption])
def test_after_an_error_the_old_file_is_untouched(tmp_path: Path, error: type) -> None:
    target = tmp_path / "a.txt"
    for before in (None, "old"):
        if before is not None:
            target.write_text(before)
        with pytest.raises(error), whole_file(target) as part:
            part.write_text("half a fi")
            (part.parent / "a.txt.lock").write_text("what a library leaves beside its file")
            raise error
        assert os.listdir(tmp_path) == ([] if before is None else ["a.txt"])
    assert target.read_text() == "old"


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a.txt"):
        pass
    assert os.listdir(tmp_path) == []


def test_content_as_text_and_as_bytes(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", "Ångström\n")
    assert (tmp_path / "a.txt").read_bytes() == "Ångström\n".encode()
    write_whole(str(tmp_path / "a.txt"), b"\x00\xff")
    assert (tmp_path / "a.txt").read_bytes() == b"\x00\xff"


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with whole_file(target) as first, whole_file(target) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first"  # its context ends last
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_name_that_nearly_fills_what_a_name_may_have(tmp_path: Path) -> None:
    write_whole(tmp_path / ("n" * 251 + ".txt"), "content")
    assert (tmp_path / ("n" * 251 + ".txt")).read_text() == "content"


@pytest.mark.skipif(os.name != "posix", reason="links and permissions of POSIX")
class TestPosix:
    def test_what_a_link_points_to_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        target, link = tmp_path / "elsewhere" / "data.txt", tmp_path / "link.txt"
        target.write_text("old")
        link.symlink_to(Path("elsewhere") / "data.txt")
        write_whole(link, "new")
        assert link.is_symlink() and target.read_text() == "new"
        dangling = tmp_path / "dangling.txt"
        dangling.symlink_to(tmp_path / "elsewhere" / "not yet.txt")
        write_whole(dangling, "made")
        assert dangling.is_symlink()
        assert (tmp_path / "elsewhere" / "not yet.txt").read_text() == "made"

    def test_links_in_the_way_are_not_followed(self, tmp_path: Path) -> None:
        """Names that somebody could guess, as links to a file that must not be touched."""
        victim = tmp_path / "victim"
        victim.write_text("mine")
        for end in (".part", ".new", ".tmp"):
            (tmp_path / f"a.txt{end}").symlink_to(victim)
        write_whole(tmp_path / "a.txt", "content")
        assert victim.read_text() == "mine"
        assert (tmp_path / "a.txt").read_text() == "content"

    def test_nobody_else_may_look_into_the_temporary_folder(self, tmp_path: Path) -> None:
        with whole_file(tmp_path / "a.txt") as part:
            assert stat.S_IMODE(part.parent.stat().st_mode) == 0o700
            part.write_text("content")

    def test_permissions(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            write_whole(tmp_path / "new.txt", "")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o640
        (tmp_path / "kept.txt").touch(mode=0o600)
        write_whole(tmp_path / "kept.txt", "secret")
        assert stat.S_IMODE((tmp_path / "kept.txt").stat().st_mode) == 0o600

    @pytest.mark.parametrize("name", ["", "pipe"])
    def test_folders_and_devices_are_refused(self, tmp_path: Path, name: str) -> None:
        if name:
            os.mkfifo(tmp_path / name)
        with pytest.raises(OSError, match="expected the name of a file, got a folder or a device"):
            write_whole(tmp_path / name, "content")
        assert os.listdir(tmp_path) == ([name] if name else [])

    def test_a_process_that_is_killed_leaves_the_old_file(self, tmp_path: Path) -> None:
        target = tmp_path / "a.txt"
        target.write_text("old")
        code = (
            "import os, signal, sys\n"
            "from ase_crystalnet.io.whole_files import whole_file\n"
            "with whole_file(sys.argv[1]) as part:\n"
            "    part.write_text('half a fi')\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        done = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert target.read_text() == "old"
        # What is left does not look like a file of its kind, and is in nobody's way.
        assert [path.name for path in tmp_path.glob("*.txt")] == ["a.txt"]
        write_whole(target, "new")
        assert target.read_text() == "new"


#: Who else renames, and why.
RENAMES = {
    "io/whole_files.py",
    # The name of a run in progress is what --resume looks for.
    "io/results/outputs.py",  # its own methods of that name
    "io/results/hdf5_writer.py",
    "io/results/held_file.py",
    # A run's other outputs: `rename` of a held file, called when the run is finished.
    "io/results/table_files.py",
    "io/results/structure_files.py",
    # Compiled loops, when a wheel is built: beside numba alone, and nobody waits for the file.
    "_compute/ahead.py",
    # In the temporary folder: the library has chosen the name.
    "atom_probe/output/files.py",
}


def renames(path: Path) -> list[int]:
    """Lines that rename a file: ``os.replace``, ``os.rename``, and the methods of a Path."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, node.func.value
        of_os = isinstance(owner, ast.Name) and owner.id in ("os", "shutil")
        # Texts replace two things.
        of_path = not of_os and name in ("rename", "replace") and len(node.args) == 1
        if of_path or (of_os and name in ("rename", "replace", "move")):
            found.append(node.lineno)
    return found


def test_nobody_else_renames() -> None:
    package = REPOSITORY / "ase_crystalnet"
    found = {
        path.relative_to(package).as_posix(): lines
        for path in sorted(package.rglob("*.py"))
        if (lines := renames(path))
    }
    assert "io/whole_files.py" in found, "the search finds nothing"
    assert set(found) <= RENAMES, found
