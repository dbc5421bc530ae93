"""Datasets: generated or a user's own, checked, and turned into what networks learn from."""
