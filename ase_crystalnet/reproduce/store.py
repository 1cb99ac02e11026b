"""Tables and figures of a paper as steps that are stored, resumed and put on one page.

A step's outcome is kept as ``<folder>/<step>.json`` and its figures as ``<folder>/<step>-*.png``;
what is stored is not made again. Within a step, `Memo` keeps finished parts, so that an
interrupted run goes on in the middle of a table.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.whole_files import part_of, write_whole
from ase_crystalnet.reproduce.report import Picture, Report

__all__ = ["Memo", "Say", "Step", "Store", "check_names", "choose", "run_steps", "write_page"]

Say = Callable[[str], None]


class Memo:
    """Finished parts of a step, kept in a file beside its result.

    Call it with a name and a function: the function runs if the part is not there yet.

    Parameters
    ----------
    path : Path
        File of the parts; removed by `clear` when the step is whole.
    settings : mapping
        Parts made under other settings are not used.
    say : callable, optional
        Told what is being made.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], say: Say | None = None) -> None:
        self.path, self.settings = path, _plain(settings)
        self.say: Say = say or (lambda text: None)
        self.parts: dict[str, Any] = {}
        if path.is_file():
            try:
                stored = json.loads(path.read_text(encoding="utf-8"))
            except json.JSONDecodeError:
                stored = {}  # it was being written when the power went
            if stored.get("settings") == self.settings:
                self.parts = stored["parts"]

    def __call__(self, name: str, make: Callable[[], Any]) -> Any:
        """The part of this name: the stored one, or what `make` returns (as JSON takes it)."""
        if name not in self.parts:
            self.say(name)
            self.parts[name] = _plain(make())
            content = {"settings": self.settings, "parts": self.parts}
            write_whole(self.path, json.dumps(content))
        return self.parts[name]

    def clear(self) -> None:
        """Forget the parts."""
        self.parts = {}
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Step:
    """One table or figure.

    Attributes
    ----------
    name : str
        As `--only` takes it; name of its files.
    title : str
        Heading on the page.
    text : str
        What was done, in a sentence or two.
    run : callable
        Takes the `Memo` for its parts, returns a `Report`.
    """

    name: str
    title: str
    text: str
    run: Callable[[Memo], Report]


class Store:
    """Folder of stored steps.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    settings : mapping
        What decides the results (sizes, seed, hash of the model): stored with every step.
    overwrite : bool
        Make steps again that are stored under other settings.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], *, overwrite: bool = False
    ) -> None:
        self.folder, self.settings, self.overwrite = folder, _plain(settings), overwrite
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """File of a step."""
        return self.folder / f"{name}.json"

    def picture(self, step: str, name: str) -> Path:
        """File of one of a step's figures."""
        return self.folder / f"{step}-{name}.png"

    def load(self, name: str) -> Report | None:
        """A stored step, or None, whatever its settings."""
        stored = self._read(name)
        return None if stored is None else Report.from_json(stored)

    def is_current(self, name: str) -> bool:
        """Whether a step is stored, under these settings.

        Raises
        ------
        OutputExistsError
            It is stored under other settings, and is not to be overwritten.
        """
        stored = self._read(name)
        if stored is None:
            return False
        if stored["settings"] == self.settings:
            return True
        if self.overwrite:
            return False
        theirs = stored["settings"]
        other = [k for k in {**theirs, **self.settings} if theirs.get(k) != self.settings.get(k)]
        raise OutputExistsError(
            f"{self.path(name)}: made with another {', '.join(sorted(other))}; --overwrite makes "
            "it again, --output takes another folder"
        )

    def save(self, name: str, report: Report, seconds: float) -> None:
        """Write figures and then the step's file."""
        for picture in report.pictures:
            if picture.figure is not None:
                buffer = io.BytesIO()
                picture.figure.savefig(buffer, format="png")
                write_whole(self.picture(name, picture.name), buffer.getvalue())
        content = {"settings": self.settings, "seconds": round(seconds, 1), **report.to_json()}
        write_whole(self.path(name), json.dumps(_plain(content), indent=1) + "\n")

    def memo(self, name: str, say: Say) -> Memo:
        """Parts of a step."""
        return Memo(part_of(self.path(name)), self.settings, lambda part: say(f"{name}: {part}"))

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.path(name)
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            missing = {"settings", "seconds", "tables", "checks", "pictures", "data"} - set(stored)
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error}); remove it") from None
        if missing:
            raise InputError(f"{path} is no stored step (no {', '.join(sorted(missing))})")
        return stored


def check_names(only: Iterable[str], known: Sequence[str]) -> None:
    """Refuse names of steps that there are not.

    Raises
    ------
    InputError
        A name is unknown.
    """
    for name in only:
        if name not in known:
            raise InputError(f"--only {name}: there is no such step; use {', '.join(known)}")


def choose(steps: Sequence[Step], only: Iterable[str]) -> list[Step]:
    """The steps of these names, in their own order; all of them without names.

    Raises
    ------
    InputError
        A name is unknown.
    """
    wanted = list(only)
    check_names(wanted, [step.name for step in steps])
    return [step for step in steps if not wanted or step.name in wanted]


def run_steps(steps: Sequence[Step], store: Store, say: Say) -> list[tuple[Step, Report]]:
    """Run the steps that are not stored yet; returns all of them with their reports.

    Raises
    ------
    OutputExistsError
        A step is stored under other settings (see `Store.is_current`); found before any runs.
    """
    current = {step.name: store.is_current(step.name) for step in steps}
    done = []
    for number, step in enumerate(steps, 1):
        place = f"[{number}/{len(steps)}] {step.name}"
        if current[step.name]:
            say(f"{place}: kept")
        else:
            say(place)
            start = time.monotonic()
            memo = store.memo(step.name, say)
            report = step.run(memo)
            store.save(step.name, report, time.monotonic() - start)
            memo.clear()
        stored = store.load(step.name)
        assert stored is not None  # written or found above
        done.append((step, stored))
    return done


def write_page(
    path: Path, opening: str, steps: Sequence[Step], store: Store, closing: str = ""
) -> None:
    """Write the page of all stored steps: headings, checks, tables, figures, in markdown.

    Every number comes from the stored steps, so the page cannot disagree with them.
    """
    blocks = [opening]
    for step in steps:
        report = store.load(step.name)
        if report is None:
            continue
        blocks += [f"## {step.title}", step.text]
        blocks += [table.markdown() for table in report.tables]
        blocks += [_figure(path, store.picture(step.name, p.name), p) for p in report.pictures]
    blocks.append(closing)
    write_whole(path, "\n\n".join(block.strip() for block in blocks if block.strip()) + "\n")


def _figure(page: Path, file: Path, picture: Picture) -> str:
    place = file.resolve().relative_to(page.resolve().parent).as_posix()
    return f"![{picture.caption}]({place})\n\n*{picture.caption}*"


def _plain(value: Any) -> Any:
    """The value as it comes back from JSON, NumPy's numbers and arrays included."""
    return json.loads(json.dumps(value, default=_number))


def _number(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")
