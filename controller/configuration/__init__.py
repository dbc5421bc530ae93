"""Configuration files: settings, tags, units, and their binding to a bundle."""
