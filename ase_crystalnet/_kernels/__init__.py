"""Compiled inner loops (numba) of `lattice` and `fingerprint`: arrays in, arrays out."""
