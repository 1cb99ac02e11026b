"""Damaged inputs over every reader: seeds, mutations, targets, and a supervisor with limits."""
