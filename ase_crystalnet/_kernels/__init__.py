"""Compiled inner loops (numba) of `lattice` and `fingerprint`: plain arrays in, plain arrays out."""
