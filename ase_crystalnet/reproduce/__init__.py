"""The two papers, made again."""
