"""A policy from outside the bundle, in a process of its own: its worker, and the client of that."""
