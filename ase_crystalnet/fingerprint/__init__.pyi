from .exact import exact_fingerprints as exact_fingerprints
from .fingerprint import Fingerprint as Fingerprint

__all__ = [
    "Fingerprint",
    "exact_fingerprints",
]
