"""Vecsei et al., Phys. Rev. B 99, 245120 (2019)."""
