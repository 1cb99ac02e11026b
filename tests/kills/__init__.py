"""Kill -9 of the analysis of a running simulation, and of the simulation; see `__main__`."""
