"""Orientations in which the reflections of a known crystal are those of a window."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import JIT, njit

__all__ = ["COARSE", "ORIENTATIONS", "orientations"]

#: Reflections of the window's lattice that are looked at: indices up to this.
_INDEX = 3
#: Atoms nearest to the centre by which orientations are told apart.
COARSE = 64
#: Orientations that are kept, and share of the best one's score below which another is none.
ORIENTATIONS, _SCORE = 24, 0.75
#: Largest difference of lengths of reflections, in all and of two, and of their angle, radians.
_LENGTH, _RATIO, _ANGLE = 0.075, 0.045, 0.08


@njit(**JIT)
def _two_peaks(atoms, basis, least, most, first, second):
    """The strongest reflection of a lattice and the strongest in another direction; their size."""
    count = atoms.shape[0]
    width = 2 * _INDEX + 1
    real = np.empty((3, width, count))
    imaginary = np.empty((3, width, count))
    for a in range(3):
        for j in range(count):
            phase = 0.0
            for i in range(3):
                phase += basis[a, i] * atoms[j, i]
            c = math.cos(phase)
            s = math.sin(phase)
            real[a, _INDEX, j] = 1.0
            imaginary[a, _INDEX, j] = 0.0
            for h in range(1, _INDEX + 1):
                x = real[a, _INDEX + h - 1, j]
                y = imaginary[a, _INDEX + h - 1, j]
                real[a, _INDEX + h, j] = x * c - y * s
                imaginary[a, _INDEX + h, j] = x * s + y * c
                real[a, _INDEX - h, j] = real[a, _INDEX + h, j]
                imaginary[a, _INDEX - h, j] = -imaginary[a, _INDEX + h, j]
    places = np.empty((width * width * width, 3))
    strength = np.zeros(width * width * width)
    number = 0
    q = np.empty(3)
    for h in range(_INDEX + 1):
        for k in range(-_INDEX, _INDEX + 1):
            for l in range(-_INDEX, _INDEX + 1):  # noqa: E741 (the field's name)
                if h == 0 and (k < 0 or (k == 0 and l <= 0)):
                    continue
                length = 0.0
                for i in range(3):
                    q[i] = h * basis[0, i] + k * basis[1, i] + l * basis[2, i]
                    length += q[i] * q[i]
                length = math.sqrt(length)
                if length < least or length > most:
                    continue
                x = 0.0
                y = 0.0
                for j in range(count):
                    a = real[0, _INDEX + h, j]
                    b = imaginary[0, _INDEX + h, j]
                    c = real[1, _INDEX + k, j]
                    d = imaginary[1, _INDEX + k, j]
                    e = a * c - b * d
                    f = a * d + b * c
                    c = real[2, _INDEX + l, j]
                    d = imaginary[2, _INDEX + l, j]
                    x += e * c - f * d
                    y += e * d + f * c
                places[number] = q
                strength[number] = (x * x + y * y) / (count * count)
                number += 1
    if number < 2:
        return 0.0
    one = strength[:number].argmax()
    first[:] = places[one]
    best = 0.0
    for m in range(number):
        dot = 0.0
        own = 0.0
        other = 0.0
        for i in range(3):
            dot += first[i] * places[m, i]
            own += first[i] * first[i]
            other += places[m, i] * places[m, i]
        if dot * dot < 0.88 * own * other and strength[m] > best:
            best = strength[m]
            second[:] = places[m]
    return best


@njit(**JIT)
def _axes(first, second, out):
    """Right-handed axes: the first vector, and the second in the plane."""
    a = math.sqrt(first[0] ** 2 + first[1] ** 2 + first[2] ** 2)
    for i in range(3):
        out[0, i] = first[i] / a
    out[2, 0] = out[0, 1] * second[2] - out[0, 2] * second[1]
    out[2, 1] = out[0, 2] * second[0] - out[0, 0] * second[2]
    out[2, 2] = out[0, 0] * second[1] - out[0, 1] * second[0]
    b = math.sqrt(out[2, 0] ** 2 + out[2, 1] ** 2 + out[2, 2] ** 2)
    for i in range(3):
        out[2, i] /= b
    out[1, 0] = out[2, 1] * out[0, 2] - out[2, 2] * out[0, 1]
    out[1, 1] = out[2, 2] * out[0, 0] - out[2, 0] * out[0, 2]
    out[1, 2] = out[2, 0] * out[0, 1] - out[2, 1] * out[0, 0]


@njit(**JIT)
def _strength(atoms, count, vectors, number, turn, scale):
    """Mean intensity of turned and scaled reflections in some atoms."""
    total = 0.0
    q = np.empty(3)
    for m in range(number):
        for i in range(3):
            q[i] = scale * (
                vectors[m, 0] * turn[0, i] + vectors[m, 1] * turn[1, i] + vectors[m, 2] * turn[2, i]
            )
        x = 0.0
        y = 0.0
        for j in range(count):
            phase = q[0] * atoms[j, 0] + q[1] * atoms[j, 1] + q[2] * atoms[j, 2]
            x += math.cos(phase)
            y += math.sin(phase)
        total += (x * x + y * y) / (count * count)
    return total / number


@njit(**JIT)
def orientations(atoms, basis, vectors, starts, spacing, turns, scales):
    """Orientations in which the reflections of the crystal are those of the window, best first.

    vectors (K, 3) the strongest reflections of the crystal, starts (K,) of each of its orbits under
    rotations one. turns take rows of the crystal to the sample; scales are of reflections.
    """
    first = np.empty(3)
    second = np.empty(3)
    lengths = np.sqrt((vectors * vectors).sum(axis=1))
    if _two_peaks(atoms, basis, 2.5 / spacing, 1.1 * lengths.max(), first, second) <= 0.0:
        return 0
    p = math.sqrt((first * first).sum())
    r = math.sqrt((second * second).sum())
    angle = math.acos(min(max((first * second).sum() / (p * r), -1.0), 1.0))
    here = np.empty((3, 3))
    there = np.empty((3, 3))
    turn = np.empty((3, 3))
    _axes(first, second, here)
    scores = np.zeros(ORIENTATIONS)
    number = 0
    some = min(12, len(vectors))
    near = min(COARSE, len(atoms))
    for a in range(len(vectors)):
        one = p / lengths[a]
        if not starts[a] or abs(one - 1.0) > _LENGTH:
            continue
        for b in range(len(vectors)):
            two = r / lengths[b]
            if abs(two / one - 1.0) > _RATIO:
                continue
            cosine = (vectors[a] * vectors[b]).sum() / (lengths[a] * lengths[b])
            if abs(cosine) > 0.999 or abs(math.acos(cosine) - angle) > _ANGLE:
                continue
            _axes(vectors[a], vectors[b], there)
            for i in range(3):
                for k in range(3):
                    turn[i, k] = 0.0
                    for m in range(3):
                        turn[i, k] += there[m, i] * here[m, k]
            scale = math.sqrt(one * two)
            score = _strength(atoms, near, vectors, some, turn, scale)
            if number < ORIENTATIONS:
                place = number
                number += 1
            elif score > scores[number - 1]:
                place = number - 1
            else:
                continue
            while place > 0 and scores[place - 1] < score:
                scores[place] = scores[place - 1]
                turns[place] = turns[place - 1]
                scales[place] = scales[place - 1]
                place -= 1
            scores[place] = score
            turns[place] = turn
            scales[place] = scale
    while number > 0 and scores[number - 1] < _SCORE * scores[0]:
        number -= 1
    return number
