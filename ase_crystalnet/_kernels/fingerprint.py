"""Compiled inner loops of `ase_crystalnet.fingerprint`: phase tables, products, resampling.

Plain loops written so that LLVM turns them into vector code on any processor. BLAS is no faster
on products this small, and its threads would compete with the ones that share out the windows.
All arithmetic is float32. Every function releases the GIL.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ase_crystalnet._kernels.options import JIT, f32, sincos

UNROLL = 4  # atoms taken at once in `product`; tables are padded to a multiple with zero rows


@njit(**JIT)
def gather(positions, weights, species, wanted, view, turned):
    """Collect the atoms of one species of one window, turned: rows x', y', z', weight.

    Returns their number, rounded up to a multiple of `UNROLL` with atoms of weight zero.
    """
    n = 0
    for i in range(positions.shape[0]):
        if species[i] == wanted:
            x = positions[i, 0]
            y = positions[i, 1]
            z = positions[i, 2]
            for d in range(3):
                turned[d, n] = view[d, 0] * x + view[d, 1] * y + view[d, 2] * z
            turned[3, n] = weights[i]
            n += 1
    while n % UNROLL != 0:
        turned[:, n] = 0
        n += 1
    return n


@njit(**JIT)
def fill_table(lateral, axial, weight, n, q, q_axial, real, imag):
    """Write w exp(-i(q x + q_z z)) for the n atoms and the whole axis into real, imag (n, pixels).

    The axis is symmetric, so sine and cosine are taken on its positive half only.
    """
    half = q.size
    cosine = np.empty(half, np.float32)
    sine = np.empty(half, np.float32)
    for k in range(n):
        x = lateral[k]
        z = axial[k]
        w = weight[k]
        for j in range(half):
            s, c = sincos(q[j] * x)
            sz, cz = sincos(q_axial[j] * z)
            # exp(-i(+-a + b)) = (cos a cos b -+ sin a sin b) - i(cos a sin b +- sin a cos b)
            cosine[j] = c * cz * w
            sine[j] = s * sz * w
            real[k, half + j] = c * sz * w
            imag[k, half + j] = s * cz * w
        for j in range(half):
            mirror = half - 1 - j
            even = real[k, half + j]
            odd = imag[k, half + j]
            real[k, half + j] = cosine[j] - sine[j]
            imag[k, half + j] = -even - odd
            real[k, mirror] = cosine[j] + sine[j]
            imag[k, mirror] = odd - even


@njit(**JIT)
def product(left, right, n, out):
    """Set out[i, j] = sum over k < n of left[k, i] right[k, j], n a multiple of `UNROLL`."""
    out[:] = 0
    for k in range(0, n, UNROLL):
        for i in range(out.shape[0]):
            a = left[k, i]
            b = left[k + 1, i]
            c = left[k + 2, i]
            d = left[k + 3, i]
            for j in range(out.shape[1]):
                out[i, j] += (
                    a * right[k, j]
                    + b * right[k + 1, j]
                    + c * right[k + 2, j]
                    + d * right[k + 3, j]
                )


@njit(**JIT)
def combine(left, right, n):
    """Turn (real, imag, -) in place into the factors of the three-product complex product.

    With K1 = Br(Ar + Ai), K2 = Ar(Bi - Br), K3 = Ai(Br + Bi) the real part of AB is K1 - K3 and
    the imaginary part K1 + K2: three real products instead of four.
    """
    for k in range(n):
        for j in range(left.shape[2]):
            ar = left[0, k, j]
            ai = left[1, k, j]
            br = right[0, k, j]
            bi = right[1, k, j]
            left[0, k, j] = ar + ai
            left[1, k, j] = ar
            left[2, k, j] = ai
            right[0, k, j] = br
            right[1, k, j] = bi - br
            right[2, k, j] = br + bi


@njit(**JIT)
def resample_x(amplitude, taps, out):
    """Set out[i, j] = sum_t taps[t, i, j] amplitude[i + t - reach, j], 0 beyond the edge."""
    reach = taps.shape[0] // 2
    rows = amplitude.shape[0]
    out[:] = 0
    for i in range(rows):
        for t in range(max(0, reach - i), min(2 * reach + 1, rows + reach - i)):
            source = amplitude[i + t - reach]
            tap = taps[t, i]
            target = out[i]
            for j in range(target.size):
                target[j] += tap[j] * source[j]


@njit(**JIT)
def resample_y(amplitude, taps, out):
    """Set out[i, j] = sum_t taps[t, i, j] amplitude[i, j + t - reach], 0 beyond the edge."""
    reach = taps.shape[0] // 2
    columns = amplitude.shape[1]
    out[:] = 0
    for i in range(amplitude.shape[0]):
        for t in range(taps.shape[0]):
            first = max(0, reach - t)
            last = min(columns, columns + reach - t)
            source = amplitude[i, first + t - reach : last + t - reach]
            tap = taps[t, i, first:last]
            target = out[i, first:last]
            for j in range(target.size):
                target[j] += tap[j] * source[j]


@njit(**JIT)
def add_intensity(real, imag, total):
    """Add |amplitude|^2 to total."""
    for i in range(total.shape[0]):
        for j in range(total.shape[1]):
            total[i, j] += real[i, j] * real[i, j] + imag[i, j] * imag[i, j]


@njit(**JIT)
def diffract(
    positions, weights, species, views, channels, quarter_turn, q, q_axial, forms, taps, window,
    normalize, out,
):  # fmt: skip
    """Fill out (B, P, P, 3) with the fingerprints of B windows.

    Parameters
    ----------
    positions, weights, species
        (B, N, 3) float32, (B, N) float32 and (B, N) int32; species -1 is no atom.
    views, channels
        (V, 3, 3) float32 rotations and the (V,) channel each adds to.
    quarter_turn
        Whether channel 2 holds one view of a pair that differs by a turn of 90 degrees.
    q, q_axial
        (P/2,) float32, positive half of the separable grid: q_x = q_i, q_z = axial_i + axial_j.
    forms
        (S, P, P) float32 form factors, or (0, P, P) for one species that scatters as points.
    taps
        (2, T, P, P) float32 resampling onto the flat detector along x and y, or
        (2, 0, P, P) for none.
    window
        (P, P) float32 factor on the intensity: solid angle, 0 outside the ring.
    normalize
        Divide by the brightest pixel; otherwise by the squared sum of weights.
    """
    pixels = window.shape[0]
    atoms = positions.shape[1] + UNROLL
    turned = np.empty((4, atoms), np.float32)
    left = np.empty((3, atoms, pixels), np.float32)
    right = np.empty((3, atoms, pixels), np.float32)
    k1 = np.empty((pixels, pixels), np.float32)
    k2 = np.empty((pixels, pixels), np.float32)
    k3 = np.empty((pixels, pixels), np.float32)
    real = np.empty((pixels, pixels), np.float32)
    imag = np.empty((pixels, pixels), np.float32)
    image = np.empty((3, pixels, pixels), np.float32)
    unit = np.ones(atoms, np.float32)
    groups = max(1, forms.shape[0])
    for w in range(positions.shape[0]):
        image[:] = 0
        for v in range(views.shape[0]):
            real[:] = 0
            imag[:] = 0
            for group in range(groups):
                n = gather(positions[w], weights[w], species[w], group, views[v], turned)
                fill_table(turned[0], turned[2], turned[3], n, q, q_axial, left[0], left[1])
                fill_table(turned[1], turned[2], unit, n, q, q_axial, right[0], right[1])
                combine(left, right, n)
                product(left[0], right[0], n, k1)
                product(left[1], right[1], n, k2)
                product(left[2], right[2], n, k3)
                for i in range(pixels):
                    for j in range(pixels):
                        form = forms[group, i, j] if forms.shape[0] else f32(1)
                        real[i, j] += form * (k1[i, j] - k3[i, j])
                        imag[i, j] += form * (k1[i, j] + k2[i, j])
            if taps.shape[1]:
                resample_x(real, taps[0], k1)
                resample_x(imag, taps[0], k2)
                resample_y(k1, taps[1], real)
                resample_y(k2, taps[1], imag)
            add_intensity(real, imag, image[channels[v]])
        total = f32(0)
        for i in range(positions.shape[1]):
            if species[w, i] >= 0:
                total += weights[w, i]
        scale = total * total
        if quarter_turn:
            for i in range(pixels):
                for j in range(pixels):
                    k1[i, j] = image[2, i, j] + image[2, pixels - 1 - j, i]
            image[2] = k1
        brightest = f32(0)
        for c in range(3):
            for i in range(pixels):
                for j in range(pixels):
                    value = image[c, i, j] * window[i, j]
                    brightest = max(brightest, value)
                    out[w, i, j, c] = value
        if normalize:
            scale = brightest
        for i in range(pixels):
            for j in range(pixels):
                for c in range(3):
                    out[w, i, j, c] = out[w, i, j, c] / scale if scale > 0 else f32(0)
