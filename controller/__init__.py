"""The supervisory controller."""
