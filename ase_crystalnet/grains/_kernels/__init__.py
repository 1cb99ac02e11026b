"""Compiled loops of the search for grains."""
