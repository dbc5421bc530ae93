"""Bounds that asyncua's decoder lacks, whoever sent the bytes.

An array of Null takes no bytes an element, so its announced length of up to two thousand million
would be made of one short message; array dimensions may announce a million elements a value. Both
stand in places where no session is needed (the request's additional header), and the plant takes no
array anywhere.
"""

from typing import Any

from asyncua import ua
from asyncua.ua import ua_binary

MAX_RESHAPED = 500
"""Elements that a value's dimensions may announce, as many as a request may have operations."""

_unbounded = ua_binary.unpack_uatype_array


def bound_decoder() -> None:
    """Put the bounds into asyncua's decoder, for the whole process; done twice it is done once."""
    ua_binary.MAX_RESHAPE_ELEMENTS = MAX_RESHAPED
    ua_binary.unpack_uatype_array = _unpack_array


def _unpack_array(vtype: ua.VariantType, data: Any) -> Any:
    if vtype is ua.VariantType.Null:
        raise ua.UaError("an array of nothing")
    return _unbounded(vtype, data)
