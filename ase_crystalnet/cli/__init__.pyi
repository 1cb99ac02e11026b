from .entry import app as app
from .entry import main as main

__all__ = [
    "app",
    "main",
]
