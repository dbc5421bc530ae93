"""The audit record: writing, reading, showing and replaying it."""
