"""Pure functions and frozen types of the controller: no IO, no clock, no asyncio."""
