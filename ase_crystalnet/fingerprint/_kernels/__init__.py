"""Compiled on first use."""
