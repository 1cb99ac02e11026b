"""Curves over the frames of a trajectory and patterns, as drawings (SVG) in the page's own inks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

__all__ = ["Axis", "curves", "fractions", "pattern"]

#: From values to heights in the drawing.
Place = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 980.0, 52.0, 96.0, 10.0, 40.0


class Axis:
    """The horizontal axis: where a value stands, and round numbers to write under it.

    Parameters
    ----------
    low, high : float
        Ends; a single value gets some room.
    label : str
    """

    def __init__(self, low: float, high: float, label: str) -> None:
        if high <= low:
            low, high = low - 0.5, low + 0.5
        self.low, self.high, self.label = float(low), float(high), label

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        share = (np.asarray(values, float) - self.low) / (self.high - self.low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> NDArray[np.float64]:
        """Round numbers between the ends."""
        return round_numbers(self.low, self.high)


def round_numbers(low: float, high: float, about: int = 7) -> NDArray[np.float64]:
    """About so many multiples of 1, 2 or 5 times a power of ten between two numbers."""
    rough = (high - low) / about
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda s: abs(s * power - rough))
    first = np.ceil(low / step - 1e-9)
    last = np.floor(high / step + 1e-9)
    return np.asarray(np.arange(first, last + 1) * step + 0.0)  # no -0


def fractions(
    axis: Axis, x: NDArray[np.float64], shares: Mapping[str, NDArray[np.float64]],
    colors: Mapping[str, str],
) -> str:  # fmt: skip
    """Bands of shares, 0 to 1, stacked; each named at its right end, else where it is widest.

    Parameters
    ----------
    axis : Axis
    x : (F,) array
    shares : mapping of str to (F,) array
        In the order of the stack, from below.
    colors : mapping of str to str
    """
    height = 230.0
    place = _vertical(height, 0, 1)
    if len(x) == 1:  # one frame has no width to fill
        x = np.array([axis.low, axis.high])
        shares = {name: np.repeat(share, 2) for name, share in shares.items()}
    left, base = axis(x), np.zeros(len(x))
    parts, inside, names = [], [], []
    for name, share in shares.items():
        top = base + share
        path = _line(np.r_[left, left[::-1]], place(np.r_[top, base[::-1]]))
        parts.append(
            f'<path d="{path}Z" fill="{colors[name]}"><title>{escape(name)}</title></path>'
        )
        if share[-1] > 0.05:
            names.append((float(place(base[-1:] + share[-1:] / 2)[0]), name, ""))
        elif share.max() > 0.1:
            widest = np.flatnonzero(share > 0.95 * share.max())
            at = widest[len(widest) // 2]
            inside.append(
                _words(left[at], place((base + share / 2)[[at]])[0] + 4, name, "middle", "inside")
            )
        base = top
    ticks = [(v, f"{100 * v:.0f} %") for v in (0, 0.25, 0.5, 0.75, 1)]
    return _chart(axis, height, place, ticks, "".join(parts + inside), names, "over-frames")


def curves(
    axis: Axis, x: NDArray[np.float64], lines: Mapping[str, NDArray[np.float64]],
    most: float | None = None,
) -> str:  # fmt: skip
    """Two curves at most, from zero on, each named at its end; nan is left out."""
    height = 170.0
    finite = np.concatenate([v[np.isfinite(v)] for v in lines.values()])
    high = most or 1.1 * float(finite.max(initial=0)) or 1.0
    place = _vertical(height, 0, high)
    parts, names = [], []
    for number, (name, values) in enumerate(lines.items()):
        good = np.isfinite(values)
        if not good.any():
            continue
        kind = ("curve", "curve second")[number]
        ink = ("fill-ink", "fill-accent")[number]
        places = axis(x[good]), place(values[good])
        parts.append(f'<path class="{kind}" d="{_line(*places)}"/>')
        if good.sum() == 1:
            parts.append(
                f'<circle class="{ink}" cx="{places[0][0]:.1f}" cy="{places[1][0]:.1f}" r="3"/>'
            )
        names.append((float(places[1][-1]), name, ink))
    ticks = [(float(v), f"{v:g}") for v in round_numbers(0, high, 4)]
    return _chart(axis, height, place, ticks, "".join(parts), names, "over-frames")


def pattern(
    angle: NDArray[np.float64],
    intensity: NDArray[np.float64],
    found: Sequence[float],
    open_lines: Sequence[float],
    label: str,
) -> str:
    """A powder pattern: square root of the intensity, marks under its lines.

    Parameters
    ----------
    angle, intensity : (M,) arrays
    found, open_lines : sequences of float
        Degrees of the lines that stand out, and of those that no phase explains.
    label : str
        Of the axis.
    """
    height = 230.0
    axis = Axis(float(angle[0]), float(angle[-1]), label)
    y = np.sqrt(np.maximum(intensity, 0))
    y = y / (y.max() or 1)
    place = _vertical(height, -0.1, 1.05)
    parts = [f'<path class="curve" d="{_line(axis(angle), place(y))}"/>']
    for line in found:
        if axis.low <= line <= axis.high:
            at, low, high = axis(np.array([line]))[0], *place(np.array([-0.08, -0.03]))
            parts.append(f'<path class="mark" d="M{at:.1f},{low:.1f}V{high:.1f}"/>')
    for line in open_lines:
        if axis.low <= line <= axis.high:
            at = axis(np.array([line]))[0]
            top = place(np.interp([line], angle, y) + 0.04)[0]
            parts.append(
                f'<path class="fill-accent" d="M{at - 4:.1f},{top - 7:.1f}h8l-4,7Z">'
                f"<title>not identified, {line:.2f} degrees</title></path>"
            )
    return _chart(axis, height, place, [], "".join(parts), [], "")


def _vertical(height: float, low: float, high: float) -> Place:
    def place(values: NDArray[np.float64]) -> NDArray[np.float64]:
        share = (np.asarray(values, float) - low) / (high - low)
        return height - _BOTTOM - share * (height - _TOP - _BOTTOM)

    return place


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _chart(
    axis: Axis,
    height: float,
    place: Place,
    ticks: Sequence[tuple[float, str]],
    inside: str,
    names: Sequence[tuple[float, str, str]],
    kind: str,
) -> str:
    """The axes about what is inside; `names` are written at the right: height, text, class."""
    right, bottom = _WIDTH - _RIGHT, height - _BOTTOM
    parts = []
    for value, text in ticks:
        y = place(np.array([value]))[0]
        parts.append(f'<path class="grid" d="M{_LEFT},{y:.1f}H{right}"/>')
        parts.append(_words(_LEFT - 6, y + 4, text, "end", "soft"))
    parts.append(inside)
    for value in axis.ticks():
        x = axis(np.array([value]))[0]
        parts.append(f'<path class="axis" d="M{x:.1f},{bottom}v4"/>')
        parts.append(_words(x, bottom + 17, f"{value:g}", "middle", "soft"))
    parts.append(f'<path class="axis" d="M{_LEFT},{bottom}H{right}"/>')
    parts.append(_words((_LEFT + right) / 2, bottom + 34, axis.label, "middle"))
    if kind:
        parts.append(f'<line class="cursor" x1="-9" x2="-9" y1="{_TOP}" y2="{bottom}"/>')
    taken: list[float] = []
    for y, name, ink in sorted(names):
        y = max(y, taken[-1] + 13 if taken else y)
        taken.append(y)
        parts.append(_words(right + 7, y + 4, name, "start", ink))
    return (
        f'<div class="wide"><svg class="chart {kind}" viewBox="0 0 {_WIDTH:g} {height:g}" '
        f'role="img">{"".join(parts)}</svg></div>'
    )


def _words(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'
