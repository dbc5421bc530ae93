"""What one scan needs, and no more: NumPy, no torch; `models.runtime` puts it together."""
