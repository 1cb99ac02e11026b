"""Molecular dynamics of crystals and melts, for training and tests (needs LAMMPS)."""
