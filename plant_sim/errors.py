"""Faults that a user can mend; their text is shown as it is, without a traceback."""


class ConfigurationError(Exception):
    """A setting or file that cannot be used (exit code 2)."""


class PlantRefusedError(Exception):
    """The plant cannot be served, for example because its port is taken (exit code 4)."""
