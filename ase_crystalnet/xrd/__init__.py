"""Powder patterns: crystal system and space group with the right to refuse (Vecsei et al. 2019)."""
