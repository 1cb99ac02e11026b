"""Outputs of commands: refused before the work, whole or absent after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ase_crystalnet.cli.files import check_outputs, save_figure
from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.whole_files import whole_file, write_whole
from ase_crystalnet.plotting.style import new_figure


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    there, folder = tmp_path / "a.csv", tmp_path / "b.csv"
    there.touch()
    folder.mkdir()
    check_outputs([tmp_path / "c.CSV"], False, (".csv",))
    check_outputs([there], True)
    with pytest.raises(InputError, match=r"c\.txt: expected a name that ends in \.csv, \.json"):
        check_outputs([tmp_path / "c.txt"], True, (".csv", ".json"))
    with pytest.raises(OutputExistsError, match="exists already; --overwrite replaces it"):
        check_outputs([there], False)
    with pytest.raises(OutputExistsError, match="is a folder; give the name of a file"):
        check_outputs([folder], True)


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "er" / "a.txt"
    write_whole(place, "one\nÅ\n")
    assert place.read_bytes() == b"one\n\xc3\x85\n"
    with pytest.raises(KeyboardInterrupt), whole_file(place) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert place.read_text("utf-8") == "one\nÅ\n"
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize(("name", "start"), [("a.PNG", b"\x89PNG"), ("a.pdf", b"%PDF")])
def test_the_suffix_is_the_format_of_a_figure(tmp_path: Path, name: str, start: bytes) -> None:
    figure = new_figure(2, 2)
    save_figure(figure, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)
