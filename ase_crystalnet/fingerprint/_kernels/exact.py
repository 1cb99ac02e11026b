"""Inner loops of global mode: exact fingerprints, and S(q) on the reciprocal lattice of a cell."""

from __future__ import annotations

import numpy as np

from ase_crystalnet._compute.options import JIT, f32, njit, sincos


@njit(**JIT)
def _pattern(x, y, z, weights, ends, q, forms, out):
    """Intensity at every lit pixel of atoms sorted by species; `ends` closes each species."""
    species = len(ends)
    for p in range(q.shape[0]):
        qx = q[p, 0]
        qy = q[p, 1]
        qz = q[p, 2]
        real = f32(0)
        imaginary = f32(0)
        start = 0
        for s in range(species):
            c_sum = f32(0)
            s_sum = f32(0)
            for j in range(start, ends[s]):
                sine, cosine = sincos(qx * x[j] + qy * y[j] + qz * z[j])
                c_sum += weights[j] * cosine
                s_sum += weights[j] * sine
            start = ends[s]
            real += forms[s, p] * c_sum
            imaginary += forms[s, p] * s_sum
        out[p] = real * real + imaginary * imaginary


@njit(**JIT)
def diffract_exact(
    positions, weights, species, rotations, channels, quarter_turn, q, forms, window, pixels, out
):
    """Images of windows; arguments as in `_kernels.fast.diffract`, pixels as index pairs.

    `species` is -1 where there is no atom. `out` is normalised to the brightest pixel.
    """
    windows, atoms = species.shape
    size = out.shape[1]
    kinds = forms.shape[0]
    x = np.empty(atoms, np.float32)
    y = np.empty(atoms, np.float32)
    z = np.empty(atoms, np.float32)
    w = np.empty(atoms, np.float32)
    order = np.empty(atoms, np.int64)
    ends = np.empty(kinds, np.int64)
    pattern = np.empty(q.shape[0], np.float32)
    for b in range(windows):
        image = out[b]
        image[:] = 0
        count = 0
        for s in range(kinds):
            for j in range(atoms):
                if species[b, j] == s:
                    order[count] = j
                    w[count] = weights[b, j]
                    count += 1
            ends[s] = count
        for v in range(rotations.shape[0]):
            r = rotations[v]
            for i in range(count):
                a = positions[b, order[i]]
                x[i] = r[0, 0] * a[0] + r[0, 1] * a[1] + r[0, 2] * a[2]
                y[i] = r[1, 0] * a[0] + r[1, 1] * a[1] + r[1, 2] * a[2]
                z[i] = r[2, 0] * a[0] + r[2, 1] * a[1] + r[2, 2] * a[2]
            _pattern(x, y, z, w, ends, q, forms, pattern)
            channel = channels[v]
            turned = quarter_turn and channel == 2
            for p in range(q.shape[0]):
                i = pixels[p, 0]
                j = pixels[p, 1]
                value = window[p] * pattern[p]
                image[i, j, channel] += value
                if turned:  # the other of the two patterns about the beam is a quarter turn away
                    image[j, size - 1 - i, channel] += value
        largest = f32(0)
        for p in range(q.shape[0]):
            for channel in range(3):
                value = image[pixels[p, 0], pixels[p, 1], channel]
                if value > largest:
                    largest = value
        if largest > 0:
            for p in range(q.shape[0]):
                for channel in range(3):
                    image[pixels[p, 0], pixels[p, 1], channel] /= largest
