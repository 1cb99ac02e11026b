"""Changes that leave what a file says as it is: its answer must be that of the clean file.

A damaged file has no known answer; these have one, and whatever else is answered is silently wrong.
A refusal is not wrong, but which changes are refused is written down in the test.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from tests.fuzz.seeds import Seed
from tests.fuzz.supervisor import Case

#: Files of text, with the target that reads them.
TEXT = {
    "trajectory": ("x.extxyz", "x.xyz", "x.dump", "x.data", "POSCAR", "x.cif", "x.json", "x.pdb"),
    "scan": (
        "x.xy",
        "x.csv",
        "x.xrdml",
        "x.ras",
        "x.cif",
        "x.uxd",
        "steps.dat",
        "rigaku.dat",
        "x.udf",
        "x.cpi",
        "german.txt",
        "q.dat",
        "x.gsas",
    ),
    "atom probe": ("x.rrng", "x.rng", "x.env"),
    "card": ("card.json",),
    "geometry": ("x.txt",),
    "reflections": ("x.txt",),
}
#: Those whose columns are set apart by any white space, however wide.
SPACED = {
    "trajectory": ("x.extxyz", "x.xyz", "x.dump", "x.data", "POSCAR"),
    "scan": ("x.xy", "x.cif", "q.dat", "steps.dat"),
    "atom probe": ("x.rng", "x.env"),
    "geometry": ("x.txt",),
    "reflections": ("x.txt",),
}
_UNPACK = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
_PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def _is(seed: Seed, kinds: dict[str, tuple[str, ...]]) -> bool:
    return seed.name in kinds.get(seed.target, ())


@dataclass(frozen=True)
class Change:
    """A harmless change: the seeds it is one for, and what it does.

    Attributes
    ----------
    fits : callable
        Takes a seed.
    make : callable
        Takes a seed and random numbers, returns the changed seed.
    """

    fits: Callable[[Seed], bool]
    make: Callable[[Seed, np.random.Generator], Seed]


def _of_content(change: Callable[[bytes, np.random.Generator], bytes]) -> Callable[..., Seed]:
    def make(seed: Seed, rng: np.random.Generator) -> Seed:
        return replace(seed, content=change(seed.content, rng))

    return make


# ---------------------------------------------------------------------------------------- any text
def _windows_ends(data: bytes, _: np.random.Generator) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _trailing_blanks(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    for place in np.flatnonzero(rng.random(len(lines)) < rng.random()):
        end = b"\r" if lines[place].endswith(b"\r") else b""
        line = lines[place].removesuffix(b"\r")
        if line:  # a line of blanks is another thing than an empty one
            lines[place] = line + b" " * int(rng.integers(1, 9)) + end
    return b"\n".join(lines)


def _end_of_file(data: bytes, rng: np.random.Generator) -> bytes:
    return data.rstrip(b"\r\n") + (b"", b"\n", b"\n\n")[int(rng.integers(3))]


def _wider(data: bytes, rng: np.random.Generator) -> bytes:
    """Between two numbers, more white space."""
    gap = (b"\t", b"  ", b" \t ", b" " * 12)[int(rng.integers(4))]
    return re.sub(rb"(?<=[0-9]) +(?=[-.0-9])", gap, data)


# ----------------------------------------------------------------------------------------- packing
def _ending(seed: Seed) -> str:
    return next((end for end in _UNPACK if seed.name.endswith(end)), "")


def _packing(seed: Seed, rng: np.random.Generator) -> Seed:
    """Packed, unpacked, or packed in another way, with the name that says so."""
    end = _ending(seed)
    name, content = seed.name.removesuffix(end), seed.content
    if end:
        content = _UNPACK[end](content)
    other = ("", *_PACK)[int(rng.integers(4))]
    if other and other == end:
        # Streams one after the other are one file, for each of the three.
        half = int(rng.integers(1, max(2, len(content))))
        content = _PACK[other](content[:half]) + _PACK[other](content[half:])
    elif other:
        content = _PACK[other](content)
    return replace(seed, name=name + other, content=content)


def _zip_again(data: bytes, rng: np.random.Generator) -> bytes:
    """The same members, in another order and stored or packed."""
    packed = io.BytesIO()
    kind = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[int(rng.integers(2))]
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w", kind) as new:
        names = old.namelist()
        for place in rng.permutation(len(names)):
            new.writestr(names[place], old.read(names[place]))
    return packed.getvalue()


def _h5_again(data: bytes, rng: np.random.Generator) -> bytes:
    """The same groups and arrays, copied into another file one by one."""
    import h5py

    copied = io.BytesIO()
    versions = ("earliest", "latest")[int(rng.integers(2))]
    with (
        h5py.File(io.BytesIO(data)) as old,
        h5py.File(copied, "w", libver=(versions, "latest")) as new,
    ):
        for name, value in old.attrs.items():
            new.attrs[name] = value
        names = list(old)
        for place in rng.permutation(len(names)):
            old.copy(names[place], new)
    return copied.getvalue()


# ---------------------------------------------------------------------- order of what is named
def _keys(value: object, rng: np.random.Generator) -> object:
    if isinstance(value, dict):
        names = list(value)
        return {names[k]: _keys(value[names[k]], rng) for k in rng.permutation(len(names))}
    return [_keys(part, rng) for part in value] if isinstance(value, list) else value


def _json_again(data: bytes, rng: np.random.Generator) -> bytes:
    indent = (None, 0, 3)[int(rng.integers(3))]
    return json.dumps(_keys(json.loads(data), rng), indent=indent).encode()


def _dump_columns(data: bytes, rng: np.random.Generator) -> bytes:
    """Columns of a LAMMPS dump in another order, the same in each frame, and rows in another."""
    lines = data.decode().splitlines()
    order: np.ndarray | None = None
    place = 0
    while place < len(lines):
        if not lines[place].startswith("ITEM: ATOMS"):
            place += 1
            continue
        names = lines[place].split()[2:]
        order = rng.permutation(len(names)) if order is None else order
        lines[place] = "ITEM: ATOMS " + " ".join(names[k] for k in order)
        stop = place + 1
        while stop < len(lines) and not lines[stop].startswith("ITEM"):
            stop += 1
        rows = [line.split() for line in lines[place + 1 : stop]]
        mixed = rng.permutation(len(rows))
        lines[place + 1 : stop] = [" ".join(rows[row][k] for k in order) for row in mixed]
        place = stop
    return ("\n".join(lines) + "\n").encode()


def _extended_columns(data: bytes, rng: np.random.Generator) -> bytes:
    """Columns of extended XYZ in another order, named by ``Properties=``; a column more."""
    lines, changed = data.decode().splitlines(), []
    while lines:
        count = int(lines[0])
        fields = re.search(r"Properties=(\S+)", lines[1])
        assert fields is not None
        parts = fields.group(1).split(":")
        widths = [int(width) for width in parts[2::3]]
        names = [":".join(parts[3 * k : 3 * k + 3]) for k in range(len(widths))]
        ends = np.cumsum(widths)
        order = rng.permutation(len(widths))
        more = bool(rng.integers(2))
        head = ":".join([*(names[k] for k in order), *(["extra:I:1"] if more else [])])
        changed += [lines[0], lines[1].replace(fields.group(1), head)]
        for line in lines[2 : 2 + count]:
            words = line.split()
            cells = [" ".join(words[ends[k] - widths[k] : ends[k]]) for k in order]
            changed.append(" ".join([*cells, *(["7"] if more else [])]))
        lines = lines[2 + count :]
    return ("\n".join(changed) + "\n").encode()


def _table_columns(data: bytes, rng: np.random.Generator) -> bytes:
    """Columns of a CSV with a header in the other order."""
    rows = list(csv.reader(io.StringIO(data.decode())))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(row[::-1] for row in rows)
    return out.getvalue().encode()


def _loop_columns(data: bytes, _: np.random.Generator) -> bytes:
    """Columns of the loop of a powder CIF in the other order."""
    lines = data.decode().splitlines()
    first = lines.index("loop_") + 1
    last = next(k for k in range(first, len(lines)) if not lines[k].startswith("_"))
    rows = [" ".join(reversed(line.split())) for line in lines[last:]]
    return "\n".join([*lines[:first], *lines[first:last][::-1], *rows, ""]).encode()


def _range_fields(data: bytes, rng: np.random.Generator) -> bytes:
    """Fields of an RRNG range, each of which says what it is, in another order."""
    lines = data.decode().splitlines()
    for place, line in enumerate(lines):
        if re.match(r"Range\d+=", line):
            low, high, *fields = line.split()
            lines[place] = " ".join([low, high, *(fields[k] for k in rng.permutation(len(fields)))])
    return ("\n".join(lines) + "\n").encode()


def _named(target: str, *names: str) -> Callable[[Seed], bool]:
    return lambda seed: seed.target == target and seed.name in names


def _text(seed: Seed) -> bool:
    return _is(seed, TEXT)


# Those that take the content for text of a known layout come before those that change the layout.
CHANGES: dict[str, Change] = {
    "columns of a dump": Change(_named("trajectory", "x.dump"), _of_content(_dump_columns)),
    "columns of xyz": Change(_named("trajectory", "x.extxyz"), _of_content(_extended_columns)),
    "columns of csv": Change(_named("scan", "x.csv"), _of_content(_table_columns)),
    "columns of a loop": Change(_named("scan", "x.cif"), _of_content(_loop_columns)),
    "fields of ranges": Change(_named("atom probe", "x.rrng"), _of_content(_range_fields)),
    "order of keys": Change(
        lambda seed: seed.name == "card.json", _of_content(_json_again)
    ),
    "zipped again": Change(
        lambda seed: seed.name.endswith((".npz", ".rasx", ".brml", ".xlsx")),
        _of_content(_zip_again),
    ),
    "copied": Change(_named("result", "x.h5"), _of_content(_h5_again)),
    "wider": Change(lambda seed: _is(seed, SPACED), _of_content(_wider)),
    "trailing blanks": Change(_text, _of_content(_trailing_blanks)),
    "end of file": Change(_text, _of_content(_end_of_file)),
    "windows ends": Change(_text, _of_content(_windows_ends)),
    # Of the bare numbers of `geometry`, the reader is the fuzzer's own.
    "mark of utf-8": Change(
        lambda seed: _text(seed) and seed.name != "x.txt",
        _of_content(lambda data, _: b"\xef\xbb\xbf" + data),
    ),
    "capitals": Change(
        lambda seed: "." in seed.name and seed.target not in ("card", "library", "phases"),
        lambda seed, _: replace(seed, name=seed.name.upper()),
    ),
    "packing": Change(
        lambda seed: seed.target == "trajectory" and seed.name != "x.traj", _packing
    ),
}  # fmt: skip


def changed(
    seeds: list[Seed], answers: dict[tuple[str, str], str], count: int, start: int = 0
) -> Iterator[Case]:
    """So many harmlessly changed inputs, with the answer of the clean file.

    Parameters
    ----------
    seeds : list of Seed
    answers : dict
        What `tests.fuzz.targets.run` says of the clean seeds, by target and name; seeds without an
        answer are left out.
    count, start : int
        Number and seed alone decide what an input is: one change, or two, one after the other.
    """
    places = [
        (seed, kind)
        for seed in seeds
        if (seed.target, seed.name) in answers
        for kind, change in CHANGES.items()
        if change.fits(seed)
    ]
    for number in range(start, start + count):
        rng = np.random.default_rng([20260115, number])
        seed, kind = places[number % len(places)]
        kinds = {kind}
        if number >= len(places):  # each alone before there are two
            others = [name for other, name in places if other is seed]
            kinds.add(others[int(rng.integers(len(others)))])
        now = seed
        for name in CHANGES:
            if name in kinds:
                now = CHANGES[name].make(now, rng)
        origin = f"{number}: {seed.name}, {', '.join(name for name in CHANGES if name in kinds)}"
        wanted = answers[seed.target, seed.name]
        yield Case(seed.target, now.name, now.content, origin, wanted)
