"""The commands `crystalnet xrd ...`."""
