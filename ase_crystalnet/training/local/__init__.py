"""The models "local" and "local-fast"."""
