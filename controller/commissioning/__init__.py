"""Connecting to a server for the first time: `trimtab tags browse` and `trimtab check`."""
