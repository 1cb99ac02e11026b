"""How the inner loops are compiled, and the sine and cosine they share."""

from __future__ import annotations

import numpy as np

from ase_crystalnet._compute import compiling
from ase_crystalnet._compute.cache import cache_is_possible, njit

__all__ = ["CACHE", "FAST", "JIT", "STRICT", "f32", "njit", "sincos"]

compiling.listen()


#: Whether compiled code is kept from process to process; without, each compiles for 30 seconds.
CACHE = cache_is_possible()
#: Sums over atoms, float32. They may be reordered; division stays division, so that the brightest
#: pixel of a fingerprint becomes exactly 1.
FAST = {"nnan", "ninf", "nsz", "contract", "reassoc", "afn"}
JIT = dict(nogil=True, cache=CACHE, fastmath=FAST, error_model="numpy", boundscheck=False)
#: The 3x3 algebra decides by comparing nearly equal lengths: no reassociation there.
STRICT = dict(nogil=True, cache=CACHE, error_model="numpy", boundscheck=False)
f32 = np.float32


@njit(inline="always", **JIT)
def sincos(x):
    """Sine and cosine, float32, to 1e-7 for |x| < 1e4: reduce by pi/2, Cephes polynomials."""
    # np.floor stays a float; math.floor would go by way of int64, for which AVX2 has no vectors.
    k = np.floor(x * f32(0.6366197723675814) + f32(0.5))
    r = x - k * f32(1.5707963109016418)  # pi/2 in two pieces
    r = r - k * f32(1.5893254712295857e-8)
    z = r * r
    s = r + r * z * (f32(-1.6666654611e-1) + z * (f32(8.3321608736e-3) - z * f32(1.9515295891e-4)))
    c = z * z * (f32(4.1666645683e-2) + z * (f32(-1.3887316255e-3) + z * f32(2.4433157118e-5)))
    c = f32(1) - f32(0.5) * z + c
    quadrant = np.int32(k)
    swap = (quadrant & np.int32(1)) != 0
    sine = c if swap else s
    cosine = s if swap else c
    if (quadrant & np.int32(2)) != 0:
        sine = -sine
    if ((quadrant + np.int32(1)) & np.int32(2)) != 0:
        cosine = -cosine
    return sine, cosine
