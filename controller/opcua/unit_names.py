"""How servers name engineering units, and what tags.toml calls them."""

from __future__ import annotations


def unece(code: str) -> int:
    """UnitId of a UNECE common code: its letters as bytes (OPC 10000-8, 5.6.3)."""
    return int.from_bytes(code.encode("ascii"), "big")


_CODES = {
    "KEL": "K",
    "CEL": "degC",
    "FAH": "degF",
    "E93": "kg/h",
    "F31": "kg/min",
    "KGS": "kg/s",
    "F27": "g/h",
    "F29": "g/s",
    "E18": "t/h",
    "4U": "lb/h",
    "KMQ": "kg/m3",
    "GL": "g/L",
    "A93": "g/m3",
    "23": "g/cm3",
    "MQH": "m3/h",
    "MQS": "m3/s",
    "E32": "L/h",
    "L2": "L/min",
    "PAL": "Pa",
    "KPA": "kPa",
    "MBR": "mbar",
    "BAR": "bar",
    "PS": "psi",
    "MTR": "m",
    "MMT": "mm",
    "P1": "percent",
}
"""UNECE Recommendation 20 common code -> the name in tags.toml."""

UNIT_IDS = {unece(code): name for code, name in _CODES.items()}

_TEXTS = {
    "K": ("k", "kelvin", "degk", "°k"),
    "degC": ("°c", "℃", "degc", "deg c", "c", "celsius"),
    "degF": ("°f", "℉", "degf", "deg f", "f", "fahrenheit"),
    "kg/h": ("kg/h", "kg/hr", "kg/hour", "kgph"),
    "kg/min": ("kg/min",),
    "kg/s": ("kg/s", "kg/sec"),
    "g/h": ("g/h", "g/hr"),
    "g/s": ("g/s", "g/sec"),
    "t/h": ("t/h", "t/hr"),
    "lb/h": ("lb/h", "lb/hr", "lbs/h", "lbs/hr", "pph"),
    "kg/m3": ("kg/m³", "kg/m3", "kg/m^3"),
    "g/L": ("g/l",),
    "g/m3": ("g/m³", "g/m3", "g/m^3"),
    "g/cm3": ("g/cm³", "g/cm3", "g/cm^3"),
    "m3/h": ("m³/h", "m3/h", "m^3/h", "m3/hr"),
    "m3/s": ("m³/s", "m3/s", "m^3/s"),
    "L/h": ("l/h", "l/hr"),
    "L/min": ("l/min", "lpm"),
    "Pa": ("pa",),
    "kPa": ("kpa",),
    "mbar": ("mbar",),
    "bar": ("bar", "bara"),
    "psi": ("psi", "psia"),
    "m": ("m",),
    "mm": ("mm",),
    "percent": ("%", "percent", "pct", "% of span"),
    "raw": ("raw", "counts", "count", "cnt", "cts"),
}
UNIT_TEXTS = {text: name for name, texts in _TEXTS.items() for text in texts}
"""What servers show, in lower case -> the name in tags.toml."""


def unit_name(unit_id: int, text: str) -> str | None:
    """Return the unit as tags.toml calls it, None where it is not known."""
    return UNIT_IDS.get(unit_id) or UNIT_TEXTS.get(text.strip().lower())
