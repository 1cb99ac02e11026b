"""Networks on powder patterns."""
