from .classifier import AtomProbeClassifier as AtomProbeClassifier
from .classifier import ClassFindings as ClassFindings

__all__ = [
    "AtomProbeClassifier",
    "ClassFindings",
]
