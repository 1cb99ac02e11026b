"""Inner loops of `geometry.neighbors`: points sorted into cubes, and what lies in a ball.

Only cubes that hold points are known, by a key whose last digits are those of z, so the cubes of a
column follow each other and so do their points: a ball is a few runs of consecutive points.
"""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import JIT, STRICT, njit

#: Bits of one coordinate in a key.
BITS = 21
#: Most values in a bucket that neighbours are sorted in one by one.
CROWDED = 24


@njit(**STRICT)
def keys_of(points, origin, edge, keys):
    """Key of the cube of each point."""
    for i in range(points.shape[0]):
        key = 0
        for c in range(3):
            key = (key << BITS) | int((points[i, c] - origin[c]) / edge)
        keys[i] = key


@njit(**STRICT)
def first_at_least(keys, key):
    """Index of the first of the sorted keys that is not smaller."""
    low = 0
    high = keys.size
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@njit(**STRICT)
def runs(center, radius, origin, edge, steps, keys, starts, table, begin, end):
    """Runs of sorted points that contain the ball; returns how many.

    `steps` (3,) is the number of cubes along each axis; `table` holds where the points of every
    cube begin, if there is one; `begin` and `end` take the runs.
    """
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    for c in range(3):
        low[c] = max(math.floor((center[c] - radius - origin[c]) / edge), 0)
        high[c] = min(math.floor((center[c] + radius - origin[c]) / edge), steps[c] - 1)
    count = 0
    tabled = table.size > 0
    if (high[0] - low[0] + 1) * (high[1] - low[1] + 1) > keys.size:
        # A ball that is mostly empty, as about a stray atom: the cubes that hold points are fewer.
        mask = (1 << BITS) - 1
        for k in range(keys.size):
            i, j, h = keys[k] >> (2 * BITS), (keys[k] >> BITS) & mask, keys[k] & mask
            inside = low[0] <= i <= high[0] and low[1] <= j <= high[1] and low[2] <= h <= high[2]
            dx = max(origin[0] + i * edge - center[0], center[0] - origin[0] - (i + 1) * edge, 0.0)
            dy = max(origin[1] + j * edge - center[1], center[1] - origin[1] - (j + 1) * edge, 0.0)
            if inside and dx * dx + dy * dy <= radius * radius * (1 + 1e-9):
                begin[count] = starts[k]
                end[count] = starts[k + 1]
                count += 1
        return count
    for i in range(low[0], high[0] + 1):
        dx = max(origin[0] + i * edge - center[0], center[0] - origin[0] - (i + 1) * edge, 0.0)
        for j in range(low[1], high[1] + 1):
            dy = max(origin[1] + j * edge - center[1], center[1] - origin[1] - (j + 1) * edge, 0.0)
            if dx * dx + dy * dy > radius * radius * (1 + 1e-9):
                continue
            if tabled:
                row = (i * steps[1] + j) * steps[2]
                if low[2] <= high[2] and table[row + high[2] + 1] > table[row + low[2]]:
                    begin[count] = table[row + low[2]]
                    end[count] = table[row + high[2] + 1]
                    count += 1
                continue
            column = ((i << BITS) | j) << BITS
            first = first_at_least(keys, column + low[2])
            last = first
            while last < keys.size and keys[last] <= column + high[2]:
                last += 1
            if last > first:
                begin[count] = starts[first]
                end[count] = starts[last]
                count += 1
    return count


@njit(**STRICT)
def most_runs(radius, edge, keys):
    """Bound on the number of runs of a ball: of its columns, and of the cubes that hold points."""
    across = min(int(2 * radius / edge) + 2, keys.size)
    return min(across * across, keys.size)


@njit(**JIT)
def ball(points, center, begin, end, count, squared, found, distance):
    """Sorted points within the ball and their squared distances; returns how many there are.

    `found` and `distance` take as many as they have room for, in the order of the points.
    """
    room = found.size - 1
    n = 0
    inside = 0
    for r in range(count):
        for k in range(begin[r], end[r]):
            d = (
                (points[k, 0] - center[0]) ** 2
                + (points[k, 1] - center[1]) ** 2
                + (points[k, 2] - center[2]) ** 2
            )
            # No branch: half of the points are inside. One place is kept free to write to.
            found[n] = k
            distance[n] = d
            here = 1 if d <= squared else 0
            inside += here
            n = min(n + here, room)
    return inside


@njit(**JIT)
def cut(
    centers, radii, start, stop, origin, edge, steps, keys, starts, table, points,
    labels, relative, found, counts,
):  # fmt: skip
    """Points within a radius of each centre start .. stop - 1, relative to it.

    `relative` (B, W, 3) float32 and `found` (B, W), labels of the sorted points, take the first W,
    and 0 and -1 after the last; `counts` (B,) all.
    """
    room = found.shape[1]
    largest = 0.0
    for b in range(start, stop):
        largest = max(largest, radii[b])
    begin = np.empty(most_runs(largest, edge, keys), np.int64)
    end = np.empty(begin.size, np.int64)
    near = np.empty(room + 1, np.int64)
    distance = np.empty(room + 1, np.float64)
    for b in range(start, stop):
        count = runs(centers[b], radii[b], origin, edge, steps, keys, starts, table, begin, end)
        n = ball(points, centers[b], begin, end, count, radii[b] * radii[b], near, distance)
        counts[b] = n
        n = min(n, room)
        for k in range(n):
            found[b, k] = labels[near[k]]
            for c in range(3):
                relative[b, k, c] = points[near[k], c] - centers[b, c]
        for k in range(n, room):
            found[b, k] = -1
            for c in range(3):
                relative[b, k, c] = 0


@njit(**JIT)
def nearest(
    centers, radius, start, stop, origin, edge, steps, keys, starts, table, points, found, distances
):
    """The nearest points to each centre within a radius, in order; -1 and inf where fewer.

    `found` and `distances` are (B, K).
    """
    most = found.shape[1]
    begin = np.empty(most_runs(radius, edge, keys), np.int64)
    end = np.empty(begin.size, np.int64)
    best = np.empty(most, np.float64)
    which = np.empty(most, np.int64)
    for b in range(start, stop):
        count = runs(centers[b], radius, origin, edge, steps, keys, starts, table, begin, end)
        best[:] = np.inf
        which[:] = -1
        limit = radius * radius
        for r in range(count):
            for k in range(begin[r], end[r]):
                d = (
                    (points[k, 0] - centers[b, 0]) ** 2
                    + (points[k, 1] - centers[b, 1]) ** 2
                    + (points[k, 2] - centers[b, 2]) ** 2
                )
                if d > limit or d >= best[most - 1]:
                    continue
                place = most - 1
                while place > 0 and best[place - 1] > d:
                    best[place] = best[place - 1]
                    which[place] = which[place - 1]
                    place -= 1
                best[place] = d
                which[place] = k
        for k in range(most):
            found[b, k] = which[k]
            distances[b, k] = math.sqrt(best[k])


@njit(**JIT)
def shell_sort(values, n):
    """Sort the first n values (Ciura's gaps); NumPy's sort takes a second to compile."""
    for gap in (701, 301, 132, 57, 23, 10, 4, 1):
        for i in range(gap, n):
            v = values[i]
            j = i
            while j >= gap and values[j - gap] > v:
                values[j] = values[j - gap]
                j -= gap
            values[j] = v


@njit(**STRICT)
def spread_sort(values, n, limit, places, spread):
    """Sort the first n values, of 0 .. limit, that are spread like squared distances in a ball.

    As many buckets as values, by the volume within a distance, leave little to be sorted.
    `places` (n + 1,) and `spread` (n,) are work space.
    """
    for k in range(n + 1):
        places[k] = 0
    scale = n / limit**1.5
    for k in range(n):
        places[min(int(scale * values[k] * math.sqrt(values[k])), n - 1) + 1] += 1
    crowded = 0
    for k in range(n):
        crowded = max(crowded, places[k + 1])
        places[k + 1] += places[k]
    for k in range(n):
        bucket = min(int(scale * values[k] * math.sqrt(values[k])), n - 1)
        spread[places[bucket]] = values[k]
        places[bucket] += 1
    if crowded > CROWDED:
        shell_sort(spread, n)
    for i in range(n):  # sorted but for neighbours
        v = spread[i]
        j = i
        while j > 0 and values[j - 1] > v:
            values[j] = values[j - 1]
            j -= 1
        values[j] = v


@njit(**JIT)
def sorted_distances(
    centers, radius, start, stop, origin, edge, steps, keys, starts, table, points, room, out
):
    """Distances of the nearest points to each centre within a radius, in order; inf after them.

    `out` is (B, K). Up to `room` points of a ball are looked at; where there are more, -1 is
    written instead of the first distance.
    """
    begin = np.empty(most_runs(radius, edge, keys), np.int64)
    end = np.empty(begin.size, np.int64)
    near = np.empty(room + 1, np.int64)
    distance = np.empty(room + 1, np.float64)
    spread = np.empty(room + 1, np.float64)
    places = np.empty(room + 2, np.int64)
    for b in range(start, stop):
        count = runs(centers[b], radius, origin, edge, steps, keys, starts, table, begin, end)
        n = ball(points, centers[b], begin, end, count, radius * radius, near, distance)
        if n > room:
            out[b, 0] = -1.0
            continue
        spread_sort(distance, n, radius * radius, places, spread)
        for k in range(out.shape[1]):
            out[b, k] = math.sqrt(distance[k]) if k < n else np.inf
