"""Inner loops of successive dichotomy: boxes of cells that can explain the lines are halved."""

from __future__ import annotations

import numpy as np

from ase_crystalnet._compute.options import STRICT, njit


@njit(inline="always", **STRICT)
def _mark(low, high, q, tol, number, mask):
    """Adds to `mask` the lines of `q` that lie in [low, high], to their tolerances."""
    a, b = 0, number
    while a < b:  # the first line whose upper end is not below
        m = (a + b) >> 1
        if q[m] + tol[m] < low:
            a = m + 1
        else:
            b = m
    while a < number and q[a] - tol[a] <= high:
        mask |= np.int64(1) << a
        a += 1
    return mask


@njit(**STRICT)
def _covered(kind, p_low, p_high, q, tol, number, need):
    """How many lines a box of reciprocal parameters can explain; stops at `need`."""
    limit = q[number - 1] + tol[number - 1]
    mask = np.int64(0)
    full = (np.int64(1) << number) - 1
    h = 0
    while p_low[0] * h * h <= limit:
        k = 0
        while True:
            if kind != 3 and k > h:
                break
            if kind == 2:
                n = h * h + h * k + k * k
                low2, high2 = p_low[0] * n, p_high[0] * n
            elif kind == 3:
                low2 = p_low[0] * h * h + p_low[1] * k * k
                high2 = p_high[0] * h * h + p_high[1] * k * k
            else:
                n = h * h + k * k
                low2, high2 = p_low[0] * n, p_high[0] * n
            if low2 > limit:
                break
            l = 0  # noqa: E741
            while True:
                if kind == 0:
                    if l > k:
                        break
                    low = low2 + p_low[0] * l * l
                    high = high2 + p_high[0] * l * l
                elif kind == 3:
                    low = low2 + p_low[2] * l * l
                    high = high2 + p_high[2] * l * l
                else:
                    low = low2 + p_low[1] * l * l
                    high = high2 + p_high[1] * l * l
                if low > limit:
                    break
                if h + k + l > 0:
                    mask = _mark(low, high, q, tol, number, mask)
                    if mask == full:
                        return number
                l += 1  # noqa: E741
            k += 1
        h += 1
    count = 0
    for i in range(number):
        count += (mask >> i) & 1
    return count


@njit(**STRICT)
def dichotomy(
    kind, dims, shortest, longest, step, depth, largest, q, tol, number, spurious, budget, out
):
    """Cells `out` (M, 3) whose boxes explain all but `spurious` lines after `depth` halvings.

    `kind` 0 to 3: cubic, tetragonal, hexagonal, orthorhombic, with `dims` lengths from `shortest`
    to `longest` in boxes of `step`, and a volume of `largest` at most. Returns (number of cells,
    boxes looked at, whether all were).
    """
    cells = int((longest - shortest) / step) + 1
    found = 0
    tries = 0
    need = number - spurious
    stack_low = np.empty((8 * 40, 3))
    stack_level = np.empty(8 * 40, np.int64)
    p_low = np.empty(3)
    p_high = np.empty(3)
    low = np.empty(3)
    total = cells**dims
    for start in range(total):
        rest = start
        for d in range(dims):
            low[d] = shortest + step * (rest % cells)
            rest //= cells
        if kind == 3 and (low[0] > low[1] or low[1] > low[2]):
            continue
        stack_low[0, :dims] = low[:dims]
        stack_level[0] = 0
        top = 1
        while top > 0:
            top -= 1
            level = stack_level[top]
            size = step / (1 << level)
            low[:dims] = stack_low[top, :dims]
            if kind == 3 and (low[0] >= low[1] + size or low[1] >= low[2] + size):
                continue
            if kind == 0:
                small = low[0] ** 3
            elif kind == 1:
                small = low[0] ** 2 * low[1]
            elif kind == 2:
                small = 0.8660254 * low[0] ** 2 * low[1]
            else:
                small = low[0] * low[1] * low[2]
            if small > largest:
                continue
            tries += 1
            if tries > budget:
                return found, tries, False
            for d in range(dims):
                p_low[d] = 1 / (low[d] + size) ** 2
                p_high[d] = 1 / low[d] ** 2
            if kind == 2:
                p_low[0] *= 4.0 / 3.0
                p_high[0] *= 4.0 / 3.0
            # The first lines first: they tell most and cost least.
            first = min(number, 6)
            few = _covered(kind, p_low, p_high, q, tol, first, first)
            if few < first - spurious:
                continue
            if _covered(kind, p_low, p_high, q, tol, number, need) < need:
                continue
            if level == depth:
                if found >= out.shape[0]:
                    return found, tries, False
                for d in range(dims):
                    out[found, d] = low[d] + 0.5 * size
                found += 1
                continue
            for part in range(1 << dims):
                for d in range(dims):
                    stack_low[top, d] = low[d] + 0.5 * size * ((part >> d) & 1)
                stack_level[top] = level + 1
                top += 1
    return found, tries, True
