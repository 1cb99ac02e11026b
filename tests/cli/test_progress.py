"""What commands say while they work."""

from __future__ import annotations

import pytest

from ase_crystalnet.cli.progress import progress_bar, say_unless


def test_remarks_go_to_stderr_or_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    say_unless(True)("nothing")
    say_unless(False)("something")
    assert capsys.readouterr() == ("", "something\n")


@pytest.mark.parametrize("quiet", [False, True])
def test_the_bar_shows_step_count_and_detail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "100")
    with progress_bar(quiet, "reading") as bar:
        bar("frames", 3, 8, "7/32 windows")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert all((word in shown.err) is not quiet for word in ("frames", "3/8", "7/32 windows"))


def test_there_is_no_bar_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with progress_bar(False, "frames", 8, 3, remaining=True) as bar:
        bar("frames", 4, 8)
    assert capsys.readouterr().err == ""
