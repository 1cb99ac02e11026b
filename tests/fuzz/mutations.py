"""Ways to damage a file. A damage is a plan of plain numbers: hypothesis can shrink it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Numbers and words that stand where others stood.
TOKENS = (
    b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"1e300", b"999999999", b"99999999999999999999",
    b"9" * 5000, b"1e-300", b"0x10", b"", b"\xff\xfe", b"True", b"None", b"1,5", b"*", b"Xx",
)  # fmt: skip
#: Values of binary numbers: small, negative, huge, not a number.
WORDS = (
    b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x7f\xc0\0\0",
    b"\0\0\xc0\x7f", b"\x7f\x80\0\0", b"\0\0\x80\x7f", b"\0\0\0\x80", b"\x80\0\0\0",
)  # fmt: skip


@dataclass(frozen=True)
class Damage:
    """One damage: its kind, where (0 to 1 of the file), how much (0 to 1), and a choice."""

    kind: str
    where: float
    amount: float
    choice: int


def _span(data: bytes, damage: Damage, most: float = 0.3) -> tuple[int, int]:
    start = min(int(damage.where * len(data)), max(len(data) - 1, 0))
    return start, min(len(data), start + 1 + int(damage.amount * most * len(data)))


def _truncate(data: bytes, damage: Damage) -> bytes:
    return data[: int(damage.where * len(data))]


def _flip(data: bytes, damage: Damage) -> bytes:
    changed = bytearray(data)
    rng = np.random.default_rng(damage.choice)
    for place in rng.integers(0, max(len(data), 1), 1 + int(damage.amount * 8)):
        if data:
            changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _duplicate(data: bytes, damage: Damage) -> bytes:
    start, stop = _span(data, damage)
    return data[:stop] + data[start:stop] * (1 + damage.choice % 50) + data[stop:]


def _splice(data: bytes, damage: Damage) -> bytes:
    start, stop = _span(data, damage)
    place = damage.choice % (len(data) + 1)
    return data[:place] + data[start:stop] + data[place:]


def _delete(data: bytes, damage: Damage) -> bytes:
    start, stop = _span(data, damage)
    return data[:start] + data[stop:]


def _zero(data: bytes, damage: Damage) -> bytes:
    start, stop = _span(data, damage, 0.1)
    return data[:start] + bytes(stop - start) + data[stop:]


def _random(data: bytes, damage: Damage) -> bytes:
    start, stop = _span(data, damage, 0.05)
    noise = np.random.default_rng(damage.choice).bytes(stop - start)
    return data[:start] + noise + data[stop:]


def _word(data: bytes, damage: Damage) -> bytes:
    start = int(damage.where * max(len(data) - 4, 0)) // 4 * 4
    return data[:start] + WORDS[damage.choice % len(WORDS)] + data[start + 4 :]


def _token(data: bytes, damage: Damage) -> bytes:
    """Another number in the place of one."""
    parts = data.split(b" ")
    place = min(int(damage.where * len(parts)), len(parts) - 1)
    end = b"\n" if parts[place].endswith(b"\n") else b""
    parts[place] = TOKENS[damage.choice % len(TOKENS)] + end
    return b" ".join(parts)


def _line(data: bytes, damage: Damage) -> bytes:
    """A line lost, moved, or blank many times."""
    lines = data.split(b"\n")
    place = min(int(damage.where * len(lines)), len(lines) - 1)
    line = lines.pop(place)
    if damage.choice % 3 == 1:
        lines.insert(damage.choice % (len(lines) + 1), line)
    elif damage.choice % 3 == 2:
        lines[place:place] = [line] + [b""] * int(damage.amount * 5000)
    return b"\n".join(lines)


def _long_line(data: bytes, damage: Damage) -> bytes:
    start, _ = _span(data, damage)
    return data[:start] + b" 1" * (1 << (4 + damage.choice % 18)) + data[start:]


def _line_ends(data: bytes, damage: Damage) -> bytes:
    return data.replace(b"\n", (b"\r\n", b"\r", b"\n\n", b"\x0b", b"\n\r")[damage.choice % 5])


def _encoding(data: bytes, damage: Damage) -> bytes:
    text = data.decode("latin-1")
    kind = ("utf-16", "utf-8-sig", "utf-32", "utf-8")[damage.choice % 4]
    return text.encode(kind)


def _packed(data: bytes, damage: Damage) -> bytes:
    """Compressed where the name does not say so, and the other way round."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return (gzip.compress, bz2.compress, lzma.compress)[damage.choice % 3](data)


KINDS: dict[str, Callable[[bytes, Damage], bytes]] = {
    "truncate": _truncate,
    "flip": _flip,
    "duplicate": _duplicate,
    "splice": _splice,
    "delete": _delete,
    "zero": _zero,
    "random": _random,
    "word": _word,
    "token": _token,
    "line": _line,
    "long line": _long_line,
    "line ends": _line_ends,
    "encoding": _encoding,
    "packed": _packed,
}
#: What is most often of use, more often.
_FREQUENT = ("token", "token", "line", "flip", "flip", "word", "truncate", "delete", "duplicate")


def apply(data: bytes, plan: list[Damage]) -> bytes:
    """A file with all damages of a plan, one after the other; at most 20 MB."""
    for damage in plan:
        data = KINDS[damage.kind](data, damage)[:20_000_000]
    return data


def random_plan(rng: np.random.Generator) -> list[Damage]:
    """One to three damages."""
    kinds = [*KINDS, *_FREQUENT]
    return [
        Damage(
            kinds[int(rng.integers(len(kinds)))],
            float(rng.random()),
            float(rng.random() ** 3),
            int(rng.integers(1 << 30)),
        )
        for _ in range(int(rng.integers(1, 4)))
    ]
