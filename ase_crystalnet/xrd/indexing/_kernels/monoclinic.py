"""Inner loops of trial cells with one unique axis."""

from __future__ import annotations

import numpy as np

from ase_crystalnet._compute.options import STRICT, njit
from ase_crystalnet.xrd.indexing._kernels.trials import crossings, look


@njit(inline="always", **STRICT)
def _reduced_net(a, c, e):
    """Reduced form of a a h2 + e h l + c l2: a <= c, 0 <= e <= a."""
    for _ in range(20):
        if a > c:
            a, c = c, a
        n = round(e / (2 * a))
        if n == 0:
            break
        c = c - n * e + n * n * a
        e = e - 2 * n * a
    if a > c:
        a, c = c, a
    return a, c, abs(e)


@njit(inline="always", **STRICT)
def seen_net(a, c, e, glide):
    """The net of h0l, of which rows with these squares and (doubled) product are seen.

    `glide` 0: all of it; 1 to 3: one of the three nets that have it as every second row.
    """
    if glide == 1:
        a, e = a / 4, e / 2
    elif glide == 2:
        c, e = c / 4, e / 2
    elif glide == 3:  # rows u and (u + v) / 2
        a, c, e = a, (a + c - e) / 4, a - 0.5 * e
    return _reduced_net(a, c, e)


@njit(inline="always", **STRICT)
def primitive(g, a, b, c, e, s, t):
    """Metric of the primitive lattice whose second reciprocal axis is b* + s a* + t c*."""
    g[0], g[2], g[4] = a, c, 0.5 * e
    g[1] = b + a * s * s + c * t * t + e * s * t
    g[5] = a * s + 0.5 * e * t
    g[3] = c * t + 0.5 * e * s


@njit(**STRICT)
def unique_axes(q, tol, number, base, most, out):
    """Likely b* squared (most,): lines as (010) or (020), and differences that come again."""
    count = 0
    for p in range(base):
        for part in (1.0, 4.0):
            if count < most and q[p] / part > 0.0008:
                out[count] = q[p] / part
                count += 1
    pairs = number * (number - 1) // 2
    size = np.empty(pairs)
    error = np.empty(pairs)
    n = 0
    for i in range(number):
        for j in range(i):
            size[n] = q[i] - q[j]
            error[n] = tol[i]
            n += 1
    order = np.argsort(size)
    often = np.zeros(pairs)
    for x in range(pairs):
        i = order[x]
        y = x
        while y >= 0 and size[i] - size[order[y]] <= error[i]:
            y -= 1
        z = x
        while z < pairs and size[order[z]] - size[i] <= error[i]:
            z += 1
        often[x] = z - y - 1
    while count < most:
        x = np.argmax(often)
        if often[x] < 3:
            break
        value = size[order[x]]
        reach = 2 * error[order[x]]
        for y in range(pairs):
            if abs(size[order[y]] - value) < reach:
                often[y] = 0
        for part in (1.0, 4.0):
            if count < most and value / part > 0.0008:
                out[count] = value / part
                count += 1
    return count


@njit(**STRICT)
def monoclinic_trials(
    q, tol, first, number, base, rows, spurious, most, budget, best, scores, state
):
    """Trial cells with the unique axis b: b from a line or a difference, then the net of h0l.

    Less b* squared times 0, 1, 4 each line may be a point of that net: two rows and a third point
    give it. Where the lattice is centred the net of h1l is shifted by half a vector, and only 0 and
    4 count; glide planes leave every second row of h0l.
    """
    places = np.empty(most + 1)
    g = np.empty(6)
    axes = np.empty(40)
    points = np.empty(3 * number)
    errors = np.empty(3 * number)
    products = np.empty(60)
    tries = 0
    number_b = unique_axes(q, tol, number, base, 40, axes)
    for n in range(number_b):
        b = axes[n]
        for centred in range(2):
            count = 0
            for i in range(number):
                for k in (0, 1, 2):
                    if centred and k == 1:
                        continue
                    value = q[i] - b * k * k
                    if value > 0.0012:
                        points[count] = value
                        errors[count] = tol[i]
                        count += 1
            order = np.argsort(points[:count])
            points[:count] = points[:count][order]
            errors[:count] = errors[:count][order]
            least = min(rows, count)
            for total in range(1, 2 * least):
                for j in range(1, least):
                    i = total - j
                    if i < 0 or i >= j:
                        continue
                    a0, c0 = points[i], points[j]
                    found = crossings(
                        points, errors, min(count, 2 * rows), i, j, a0, c0, 1, products
                    )
                    for m in range(found):
                        e0 = products[m]
                        for glide in range(4 if centred else 1):
                            a, c, e = seen_net(a0, c0, e0, glide)
                            for shift in range(1 if centred else 0, 4 if centred else 1):
                                s = 0.5 if shift & 1 else 0.0
                                t = 0.5 if shift & 2 else 0.0
                                tries += 1
                                if tries > budget:
                                    return tries
                                primitive(g, a, b, c, e, s, t)
                                look(g, q, tol, first, spurious, most, best, scores, state, places)
    return tries


@njit(**STRICT)
def monoclinic_nets(q, tol, first, base, cross, spurious, most, budget, best, scores, state):
    """Trial cells with the unique axis b: the net of h0l from three lines, b from a fourth.

    Glide planes leave every second row of the net: the whole net is the one that is seen or one of
    three with half as large a cell. Centring shifts the net of h1l by half a vector of it.
    """
    places = np.empty(most + 1)
    g = np.empty(6)
    products = np.empty(60)
    tries = 0
    for total in range(1, 2 * base):
        for j in range(1, base):
            i = total - j
            if i < 0 or i >= j:
                continue
            found = crossings(q, tol, cross, i, j, q[i], q[j], 1, products)
            for m in range(found):
                for variant in range(16):
                    glide, shift = variant >> 2, variant & 3
                    a, c, e = seen_net(q[i], q[j], products[m], glide)
                    s = 0.5 if shift & 1 else 0.0
                    t = 0.5 if shift & 2 else 0.0
                    for p in range(base + 3):
                        if p in (i, j):
                            continue
                        for kind in range(6):
                            # e >= 0, so that (1 0 -1) is nearer than (1 0 1).
                            x = s - (1.0 if kind in (1, 3, 4) else 0.0)
                            z = t + (1.0 if kind == 3 else -1.0 if kind in (2, 4) else 0.0)
                            b = q[p] / 4
                            if kind != 5:
                                b = q[p] - (a * x * x + c * z * z + e * x * z)
                            if b < 0.0008:
                                continue
                            tries += 1
                            if tries > budget:
                                return tries
                            primitive(g, a, b, c, e, s, t)
                            look(g, q, tol, first, spurious, most, best, scores, state, places)
    return tries
