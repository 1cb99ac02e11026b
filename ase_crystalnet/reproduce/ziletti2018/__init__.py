"""Ziletti et al., Nat. Commun. 9, 2775 (2018)."""
