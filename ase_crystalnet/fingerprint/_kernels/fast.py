"""Compiled inner loops of `ase_crystalnet.fingerprint`: phase tables, products, resampling.

With c, s the cosine and sine of q x and g = exp(-i q_z z), the amplitude at (+-q_i, +-q_j) is made
of four sums over atoms: of c_i c_j, c_i s_j, s_i c_j and s_i s_j, each times g_i g_j. So the tables
hold c g and s g on the positive half of the axis, and one product of (c g | s g) gives all four.

The loops are long and have one or two outputs: a compiler makes vectors only of loops whose
arrays it can prove, by a few comparisons of addresses, not to overlap. All arithmetic is float32.
Every function releases the GIL.
"""

from __future__ import annotations

import numpy as np

from ase_crystalnet._compute.options import JIT, f32, njit, sincos
from ase_crystalnet._compute.tiles import BLOCK, ROWS, product

#: Neighbours to either side that the resampling filter sees.
TAP_REACH = 5
#: Taps of the filter: 11, and an empty one, since they are taken four at a time.
TAPS = 12
#: Half of the axis is padded to a multiple of this, so that cosines and sines fill whole blocks.
PADDING = BLOCK // 2
#: Atoms whose tables are made at a time, so that they stay in the first-level cache.
CHUNK = 32


@njit(**JIT)
def order_by_species(positions, weights, species, groups, atoms, first):
    """Copy x, y, z, weight of one window, species by species; `first` gets where each begins."""
    n = 0
    for group in range(groups):
        first[group] = n
        for i in range(positions.shape[0]):
            if species[i] == group:
                for d in range(3):
                    atoms[d, n] = positions[i, d]
                atoms[3, n] = weights[i]
                n += 1
    first[groups] = n


@njit(**JIT)
def phases(axis, x, weight, out, cosine, sine):
    """Write cos(axis x) and sin(axis x), times weight, into `out` from `cosine` and `sine` on."""
    for j in range(axis.size):
        s, c = sincos(axis[j] * x)
        # Unsigned: nothing is done for indices counted from the end.
        out[np.uintp(cosine + j)] = weight * c
        out[np.uintp(sine + j)] = weight * s


@njit(**JIT)
def phases_twice(axis, x, half, out, cosine, sine):
    """The same without a weight for the first `half` of an axis, each written `half` later, too."""
    for j in range(half):
        s, c = sincos(axis[j] * x)
        out[np.uintp(cosine + j)] = c
        out[np.uintp(cosine + half + j)] = c
        out[np.uintp(sine + j)] = s
        out[np.uintp(sine + half + j)] = s


@njit(**JIT)
def times_conjugate(a, cosines, sines, real, imag):
    """a exp(-i phase)."""
    for j in range(a.size):
        real[j] = a[j] * cosines[j]
        imag[j] = -a[j] * sines[j]


@njit(**JIT)
def add(a, b, out):
    """out = a + b."""
    for j in range(a.size):
        out[j] = a[j] + b[j]


@njit(**JIT)
def sum_and_difference(a, b, plus, minus):
    """plus = a + b, minus = a - b."""
    for j in range(a.size):
        plus[j] = a[j] + b[j]
        minus[j] = a[j] - b[j]


@njit(**JIT)
def combine(a, a_at, b, b_at, sign, plus, minus):
    """plus = sign (a + b), minus = a - b, from these places of a and b on."""
    for j in range(plus.size):
        # Indices are unsigned, so that nothing is done for those counted from the end.
        u = a[np.uintp(a_at + j)]
        v = b[np.uintp(b_at + j)]
        plus[j] = sign * (u + v)
        minus[j] = u - v


@njit(**JIT)
def spread(a, b, out, forward, backward):
    """a + b from `forward` on, and a - b down from `backward`."""
    for j in range(a.size):
        out[np.uintp(forward + j)] = a[j] + b[j]
        out[np.uintp(backward - j)] = a[j] - b[j]


@njit(**JIT)
def fill_tables(atoms, n, view, q, q_axial, chunk, left, right):
    """Fill the factors of the complex product of one view.

    With K1 = Br (Ar + Ai), K2 = Ar (Bi - Br), K3 = Ai (Br + Bi) the real part of AB is K1 - K3 and
    the imaginary part K1 + K2: three real products instead of four. Hence ``left`` (3, n, 2 half)
    holds Ai, Ar + Ai, Ar and ``right`` Br + Bi, Br, Bi - Br, cosines before sines. `chunk`
    (5, CHUNK, 2 half) is work space.
    """
    half = q.size
    width = 2 * half
    unit = f32(1)
    table = CHUNK * width
    out = chunk.reshape(-1)
    flat = chunk.reshape(5, -1)
    flat_left = left.reshape(3, -1)
    flat_right = right.reshape(3, -1)
    for start in range(0, n, CHUNK):
        stop = min(start + CHUNK, n)
        for k in range(start, stop):
            x = atoms[0, k]
            y = atoms[1, k]
            z = atoms[2, k]
            u = view[0, 0] * x + view[0, 1] * y + view[0, 2] * z
            v = view[1, 0] * x + view[1, 1] * y + view[1, 2] * z
            depth = view[2, 0] * x + view[2, 1] * y + view[2, 2] * z
            m = (k - start) * width
            phases(q, u, atoms[3, k], out, m, m + half)
            phases(q, v, unit, out, table + m, table + m + half)
            phases_twice(q_axial, depth, half, out, 2 * table + m, 3 * table + m)
        size = (stop - start) * width
        a, b, c, s, imag = (
            flat[0, :size], flat[1, :size], flat[2, :size], flat[3, :size], flat[4, :size],
        )  # fmt: skip
        rows = slice(start * width, stop * width)
        times_conjugate(a, c, s, flat_left[2, rows], flat_left[0, rows])
        add(flat_left[0, rows], flat_left[2, rows], flat_left[1, rows])
        times_conjugate(b, c, s, flat_right[1, rows], imag)
        sum_and_difference(imag, flat_right[1, rows], flat_right[0, rows], flat_right[2, rows])


@njit(**JIT)
def amplitude(products, padded, half, rows, real, imag, start, width):
    """Amplitude at the four signs of (q_i, q_j), from the three products.

    It goes to P rows of P pixels of the flat arrays `real` and `imag`, from `start` on and `width`
    apart. `rows` (4, half) is work space.
    """
    flat = products.reshape(3, -1)
    re, im, k2 = flat[0], flat[1], flat[2]
    for j in range(re.size):
        k1 = im[j]
        re[j] = k1 - re[j]
        im[j] = k1 + k2[j]
    plus, minus, odd, other = rows[0], rows[1], rows[2], rows[3]
    one = f32(1)
    for i in range(half):
        # (c -+ i s)(c' -+ i s'): the product of the sines changes sign with both signs, the mixed
        # ones, times -i, with one of them.
        cc = 2 * padded * i
        cs = cc + padded
        sc = 2 * padded * (padded + i)
        ss = sc + padded
        up = start + (half + i) * width
        down = start + (half - 1 - i) * width
        combine(re, cc, re, ss, one, plus, minus)
        combine(im, cs, im, sc, one, odd, other)
        spread(minus, odd, real, up + half, down + half - 1)
        spread(plus, other, real, down + half, up + half - 1)
        combine(im, cc, im, ss, one, plus, minus)
        combine(re, sc, re, cs, -one, odd, other)
        spread(minus, odd, imag, up + half, down + half - 1)
        spread(plus, other, imag, down + half, up + half - 1)


@njit(**JIT)
def add_scaled(form, source, width, margin, target):
    """Add form (P, P) times source, P P numbers, to P rows of `target` that lie `width` apart."""
    pixels = form.shape[0]
    for i in range(pixels):
        for j in range(pixels):
            target[margin + i * width + j] += form[i, j] * source[i * pixels + j]


@njit(**JIT)
def weighted4(a, b, c, d, p, q, r, s, out):
    """Add a p + b q + c r + d s to out."""
    for j in range(out.size):
        out[j] += a[j] * p[j] + b[j] * q[j] + c[j] * r[j] + d[j] * s[j]


@njit(**JIT)
def filtered(source, step, taps, out):
    """Set out[k] = sum over t of taps[t, k] source[k + t step]."""
    n = out.size
    out[:] = 0
    for t in range(0, TAPS, 4):
        weighted4(
            taps[t], taps[t + 1], taps[t + 2], taps[t + 3],
            source[t * step : t * step + n],
            source[(t + 1) * step : (t + 1) * step + n],
            source[(t + 2) * step : (t + 2) * step + n],
            source[(t + 3) * step : (t + 3) * step + n],
            out,
        )  # fmt: skip


@njit(**JIT)
def add_square(a, total):
    """Add a^2 to total."""
    for j in range(total.size):
        total[j] += a[j] * a[j]


@njit(**JIT)
def finish(total, width, window, quarter_turn, turned, out):
    """Window the three channels, scale the brightest pixel to 1 and write them as out (P, P, 3).

    `total` (3, P W) has them in the columns TAP_REACH .. TAP_REACH + P of W; `turned` (P P) is work
    space.
    """
    pixels = window.shape[0]
    if quarter_turn:
        for i in range(pixels):
            for j in range(pixels):
                turned[i * pixels + j] = total[2, (pixels - 1 - j) * width + TAP_REACH + i]
        for i in range(pixels):
            for j in range(pixels):
                total[2, i * width + TAP_REACH + j] += turned[i * pixels + j]
    brightest = f32(0)
    for c in range(3):
        for i in range(pixels):
            for j in range(pixels):
                k = i * width + TAP_REACH + j
                value = total[c, k] * window[i, j]
                brightest = max(brightest, value)
                total[c, k] = value
    if brightest <= 0:
        out[:] = 0
        return
    red, green, blue = total[0], total[1], total[2]
    for i in range(pixels):
        for j in range(pixels):
            k = i * width + TAP_REACH + j
            # Divided, not multiplied by the inverse: the brightest pixel is exactly 1.
            out[i, j, 0] = red[k] / brightest
            out[i, j, 1] = green[k] / brightest
            out[i, j, 2] = blue[k] / brightest


@njit(**JIT)
def diffract(
    positions, weights, species, views, channels, quarter_turn, q, q_axial, forms, taps, window,
    out,
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
        Positive half of the separable grid: q_x = q_i, q_z = axial_i + axial_j; float32, `q`
        padded with zeros to a multiple of `PADDING`, and `q_axial` too and then twice over.
    forms
        (S, P, P) float32 form factors, or (0, P, P) for one species that scatters as points.
    taps
        (2, TAPS, P W) float32 resampling onto the flat detector along x and y, each on P rows of
        W = P + 2 TAP_REACH pixels, zero in the columns on either side; (2, 0, P W) for none.
    window
        (P, P) float32 factor on the intensity: solid angle, 0 outside the ring.
    """
    pixels = window.shape[0]
    half = pixels // 2
    padded = q.size
    width = pixels + 2 * TAP_REACH
    size = pixels * width
    groups = max(1, forms.shape[0])
    atoms = np.empty((4, positions.shape[1]), np.float32)
    first = np.empty(groups + 1, np.int64)
    chunk = np.empty((5, CHUNK, 2 * padded), np.float32)
    left = np.empty((3, positions.shape[1], 2 * padded), np.float32)
    right = np.empty((3, positions.shape[1], 2 * padded), np.float32)
    products = np.empty((3, 2 * padded, 2 * padded), np.float32)
    extents = np.full(2 * padded // ROWS, 2 * padded // BLOCK)
    rows = np.empty((4, half), np.float32)
    one = np.empty((2, pixels * pixels), np.float32)  # amplitude of one species
    # Amplitudes lie in P rows of W pixels, with a margin of zeros for the filters to reach into.
    sums = np.zeros((2, pixels + 2 * TAP_REACH + 1, width), np.float32)
    flat = sums.reshape(2, -1)
    margin = TAP_REACH * width + TAP_REACH
    middle = np.zeros(size + TAPS, np.float32)
    moved = np.empty(size, np.float32)
    total = np.empty((3, size), np.float32)
    for b in range(positions.shape[0]):
        total[:] = 0
        order_by_species(positions[b], weights[b], species[b], groups, atoms, first)
        n = first[groups]
        for v in range(views.shape[0]):
            fill_tables(atoms, n, views[v], q, q_axial, chunk, left, right)
            if forms.shape[0]:
                sums[:] = 0
            for group in range(groups):
                for k in range(3):
                    product(left[k], right[k], first[group], first[group + 1], extents, products[k])
                if forms.shape[0]:
                    amplitude(products, padded, half, rows, one[0], one[1], 0, pixels)
                    add_scaled(forms[group], one[0], width, margin, flat[0])
                    add_scaled(forms[group], one[1], width, margin, flat[1])
                else:
                    amplitude(products, padded, half, rows, flat[0], flat[1], margin, width)
            channel = total[channels[v]]
            for part in range(2):
                if taps.shape[1]:
                    filtered(flat[part], width, taps[0], middle[TAP_REACH : TAP_REACH + size])
                    filtered(middle, 1, taps[1], moved)
                    add_square(moved, channel)
                else:
                    add_square(flat[part, TAP_REACH * width : TAP_REACH * width + size], channel)
        finish(total, width, window, quarter_turn, one[0], out[b])
