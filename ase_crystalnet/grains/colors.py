"""One colour for each number of a grain: neighbours in number differ most."""

from __future__ import annotations

import colorsys

__all__ = ["NO_GRAIN", "grain_color"]

#: Of atoms in no grain.
NO_GRAIN = (0.75, 0.75, 0.75)
_GOLDEN = 0.6180339887498949


def grain_color(number: int) -> tuple[float, float, float]:
    """Colour of a grain, red, green and blue from 0 to 1; grey for number 0.

    Hues follow the golden ratio, so that any few successive numbers are far apart.
    """
    if number <= 0:
        return NO_GRAIN
    hue = (0.58 + _GOLDEN * (number - 1)) % 1.0
    saturation = (0.75, 0.55, 0.9)[(number - 1) % 3]
    value = (0.85, 0.7, 0.6)[(number - 1) // 3 % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return (red, green, blue)
