"""Everything that makes a model folder; nothing that analyses imports it."""
