"""Values as the types of the nodes that they are written to: nothing wraps, nothing is cut."""

from __future__ import annotations

import math

from asyncua import ua

from controller.opcua.targets import LARGEST_SINGLE


def encode(value: float | str, kind: ua.VariantType) -> ua.Variant:
    """Return the value as the type of its node; an integer node takes it rounded.

    Raises ValueError for a value that the type cannot hold: nothing wraps, nothing is cut.
    """
    if isinstance(value, str):
        return _encode_text(value, kind)
    match kind:
        case ua.VariantType.Boolean if value in (0, 1):
            return ua.Variant(bool(value), kind)
        case ua.VariantType.Double:
            return ua.Variant(float(value), kind)
        case ua.VariantType.Float if not LARGEST_SINGLE < abs(value) < math.inf:
            return ua.Variant(float(value), kind)
        case _ if kind in _INTEGERS and math.isfinite(value):
            low, high = _INTEGERS[kind]
            if low <= round(value) <= high:
                return ua.Variant(round(value), kind)
    raise ValueError(f"a node of type {kind.name} cannot hold {value!r}")


def _encode_text(value: str, kind: ua.VariantType) -> ua.Variant:
    if kind is ua.VariantType.String:
        return ua.Variant(value, kind)
    if kind is ua.VariantType.LocalizedText:
        return ua.Variant(ua.LocalizedText(value), kind)
    raise ValueError(f"a node of type {kind.name} cannot hold {value!r}")


def wrapped(count: int, kind: ua.VariantType) -> int:
    """A running count in the type of its node: it starts anew at 0 where the type ends."""
    return count % (1 << _COUNTER_BITS.get(kind, 63))


_INTEGERS = {
    ua.VariantType.SByte: (-(1 << 7), (1 << 7) - 1),
    ua.VariantType.Byte: (0, (1 << 8) - 1),
    ua.VariantType.Int16: (-(1 << 15), (1 << 15) - 1),
    ua.VariantType.UInt16: (0, (1 << 16) - 1),
    ua.VariantType.Int32: (-(1 << 31), (1 << 31) - 1),
    ua.VariantType.UInt32: (0, (1 << 32) - 1),
    ua.VariantType.Int64: (-(1 << 63), (1 << 63) - 1),
    ua.VariantType.UInt64: (0, (1 << 64) - 1),
}
_COUNTER_BITS = {kind: high.bit_length() for kind, (_, high) in _INTEGERS.items()} | {
    ua.VariantType.Boolean: 1,
    ua.VariantType.Float: 24,
    ua.VariantType.Double: 53,
}
"""Bits that a heartbeat counter may use; a float counts in ones as far as its mantissa goes."""
