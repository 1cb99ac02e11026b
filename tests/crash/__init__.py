"""Crash test of what commands write: ``python -m tests.crash --seconds 60``."""
