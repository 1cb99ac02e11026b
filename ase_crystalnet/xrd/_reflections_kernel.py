"""Inner loops of `xrd/reflections.py`: structure factors of half of reciprocal space, lines."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import STRICT, njit


@njit(**STRICT)
def structure_factors(
    reciprocal, limits, g_max, species, fractional, occupancy, factors, s2_step, size
):
    """g vectors (n, 3) and |F|^2 (n,) of one of each Friedel pair with 0 < |g| <= g_max.

    `reciprocal` has the reciprocal vectors in rows (no factor 2 pi), `limits` the largest index
    along each, `species` the row of `factors` of each atom, `factors` (species, samples) the form
    factors at s^2 = (|g| / 2)^2 in steps of `s2_step`. `size` is an upper bound of n.
    """
    atoms = species.shape[0]
    kinds = factors.shape[0]
    h_max, k_max, l_max = limits[0], limits[1], limits[2]
    phase_k = np.empty((2 * k_max + 1, atoms), np.complex128)
    phase_l = np.empty((2 * l_max + 1, atoms), np.complex128)
    for k in range(-k_max, k_max + 1):
        for j in range(atoms):
            phase_k[k + k_max, j] = np.exp(2j * np.pi * k * fractional[j, 1])
    for l in range(-l_max, l_max + 1):  # noqa: E741
        for j in range(atoms):
            phase_l[l + l_max, j] = np.exp(2j * np.pi * l * fractional[j, 2])
    vectors = np.empty((size, 3), np.float64)
    strengths = np.empty(size, np.float64)
    phase_hk = np.empty(atoms, np.complex128)
    sums = np.empty(kinds, np.complex128)
    n = 0
    for h in range(h_max + 1):
        for k in range(-k_max if h > 0 else 0, k_max + 1):
            ready = False
            for l in range(-l_max if (h > 0 or k > 0) else 1, l_max + 1):  # noqa: E741
                x = h * reciprocal[0, 0] + k * reciprocal[1, 0] + l * reciprocal[2, 0]
                y = h * reciprocal[0, 1] + k * reciprocal[1, 1] + l * reciprocal[2, 1]
                z = h * reciprocal[0, 2] + k * reciprocal[1, 2] + l * reciprocal[2, 2]
                g2 = x * x + y * y + z * z
                if g2 > g_max * g_max:
                    continue
                if not ready:
                    for j in range(atoms):
                        phase_hk[j] = (
                            occupancy[j]
                            * np.exp(2j * np.pi * h * fractional[j, 0])
                            * phase_k[k + k_max, j]
                        )
                    ready = True
                sums[:] = 0
                for j in range(atoms):
                    sums[species[j]] += phase_hk[j] * phase_l[l + l_max, j]
                at = 0.25 * g2 / s2_step
                i = int(at)
                at -= i
                total = 0j
                for q in range(kinds):
                    total += sums[q] * (factors[q, i] * (1 - at) + factors[q, i + 1] * at)
                vectors[n, 0] = x
                vectors[n, 1] = y
                vectors[n, 2] = z
                strengths[n] = total.real * total.real + total.imag * total.imag
                n += 1
    return vectors[:n], strengths[:n]


@njit(**STRICT)
def lines(lengths, strengths, wavelength, tolerance):
    """Lines of a powder pattern: two-theta (m,) in degrees, ascending, and intensity (m,).

    Reflections closer than `tolerance` (degrees) to the first of a line are one line. `lengths`
    (n,) must all be below 2 / wavelength.
    """
    order = np.argsort(lengths)
    two_theta = np.empty(lengths.shape[0])
    intensity = np.empty(lengths.shape[0])
    m = 0
    for i in order:
        sine = 0.5 * wavelength * lengths[i]
        theta = math.asin(sine)
        angle = 2 * theta * 180 / math.pi
        cosine2 = 1 - 2 * sine * sine
        weight = strengths[i] * (1 + cosine2 * cosine2) / (sine * sine * math.cos(theta))
        if m == 0 or angle - two_theta[m - 1] > tolerance:
            two_theta[m] = angle
            intensity[m] = weight
            m += 1
        else:
            intensity[m - 1] += weight
    return two_theta[:m], intensity[:m]


@njit(**STRICT)
def strong(lengths, strengths, wavelength, relative):
    """Mask (n,) of the reflections of lines stronger than `relative` times the strongest."""
    order = np.argsort(lengths)
    n = lengths.shape[0]
    line = np.empty(n, np.int64)
    weight = np.empty(n)
    sums = np.zeros(n)
    m = -1
    last = -1.0
    for i in order:
        sine = min(0.5 * wavelength * lengths[i], 0.9999)
        cosine2 = 1 - 2 * sine * sine
        weight[i] = (
            strengths[i] * (1 + cosine2 * cosine2) / (sine * sine * math.sqrt(1 - sine * sine))
        )
        if m < 0 or lengths[i] - last > 5e-5 * lengths[i]:
            m += 1
        last = lengths[i]
        line[i] = m
        sums[m] += weight[i]
    largest = sums[: m + 1].max() if n else 0.0
    keep = np.zeros(n, np.bool_)
    for i in range(n):
        keep[i] = sums[line[i]] > relative * largest and weight[i] > 1e-7 * largest
    return keep
