"""Inner loops of indexing: boxes that are halved, trial cells, least squares."""
