"""Whether a value may be written to a tag or given to a method: role, type, finiteness, range."""

from math import inf, isfinite

from asyncua import ua

from plant_sim.opcua.methods import MAX_TEXT
from plant_sim.opcua.node_items import VARIANT_TYPES
from plant_sim.unit.reactor_unit import Refusal
from plant_sim.unit.tags import Argument, Kind, Role, Tag
from plant_sim.unit.writes import Value


def check_write(tag: Tag, role: Role, item: ua.WriteValue) -> Value | Refusal:
    """The value that `role` may write to `tag`, or why not."""
    if item.AttributeId != ua.AttributeIds.Value or tag.writer is None:
        return Refusal.NOT_WRITABLE
    if role is not tag.writer:
        return Refusal.ACCESS_DENIED
    if item.IndexRange:
        return Refusal.INDEX_RANGE
    status = item.Value.StatusCode
    if status is not None and status.value != ua.StatusCodes.Good:
        return Refusal.STATUS_NOT_WRITABLE
    value = check_variant(tag, item.Value.Value)
    if tag.enum is not None and value not in {int(member) for member in tag.enum}:
        return value if isinstance(value, Refusal) else Refusal.OUT_OF_RANGE
    return value


def check_variant(spec: Tag | Argument, variant: ua.Variant | None) -> Value | Refusal:
    """The scalar in `variant`, if it has the type of `spec`, is finite and inside its range."""
    if variant is None or variant.is_array or variant.Value is None:
        return Refusal.TYPE_MISMATCH
    if variant.VariantType is not VARIANT_TYPES[spec.kind]:
        return Refusal.TYPE_MISMATCH
    value: Value = variant.Value
    if spec.kind is Kind.DOUBLE:
        low, high = spec.range or (-inf, inf)
        if not isfinite(value) or not low <= value <= high:  # type: ignore[arg-type, operator]
            return Refusal.OUT_OF_RANGE
    if isinstance(value, str) and (len(value) > MAX_TEXT or not value.isprintable()):
        return Refusal.OUT_OF_RANGE
    return value
