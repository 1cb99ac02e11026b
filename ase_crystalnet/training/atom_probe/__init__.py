"""The model "atomprobe"."""
