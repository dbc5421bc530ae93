"""Functions of `plant_sim.lanes` values: exponential, square root, size, inverse fifth root."""

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types

from plant_sim.lane_types import DOUBLE, LanesType, lane_function, rows_of, vector_of, whole_of

_LONG = ir.IntType(64)


def _lane_by_lane(builder: Any, value: Any, width: int, scalar: Callable[[Any], Any]) -> Any:
    if width == 1:
        return scalar(value)
    result = ir.Constant(value.type, ir.Undefined)
    for lane in range(width):
        place = ir.IntType(32)(lane)
        one = scalar(builder.extract_element(value, place))
        result = builder.insert_element(result, one, place)
    return result


def _call(builder: Any, name: str, *values: Any) -> Any:
    """Call LLVM's intrinsic `name`, of all lanes at once."""
    kind = values[0].type
    suffix = "f64" if kind == DOUBLE else f"v{kind.count}f64"
    function_type = ir.FunctionType(kind, [kind] * len(values))
    full = f"llvm.{name}.{suffix}"
    function = builder.module.globals.get(full) or ir.Function(builder.module, function_type, full)
    return builder.call(function, values)


def _constant(value: float, width: int, element: ir.Type = DOUBLE) -> Any:
    one = ir.Constant(element, value)
    return one if width == 1 else ir.Constant(ir.VectorType(element, width), [one] * width)


def _of_each_row(emit: Callable[[Any, LanesType, Any], Any]) -> Any:
    def function(typingctx: Any, value: Any) -> Any:
        def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            rows = [emit(builder, value, row) for row in rows_of(builder, value, values[0], value)]
            return whole_of(context, builder, value, rows)

        return value(value), lowered

    return lane_function(function)


def _exp(builder: Any, kind: LanesType, x: Any) -> Any:
    if not kind.fast:
        return _lane_by_lane(builder, x, kind.width, lambda one: _call(builder, "exp", one))
    return _short_exp(builder, kind, x)


def _inverse_fifth_root(builder: Any, kind: LanesType, x: Any) -> Any:
    if not kind.fast:
        return _lane_by_lane(
            builder, x, kind.width, lambda one: _call(builder, "pow", one, DOUBLE(-0.2))
        )
    return _rough_inverse_fifth_root(builder, kind, x)


_ROUNDING = 6755399441055744.0  # 1.5 * 2^52: a sum with it is rounded to a whole number
_LOG2_E = 1.4426950408889634
_LN_2_HIGH, _LN_2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # their sum is ln 2
_TAYLOR = tuple(1.0 / math.factorial(n) for n in range(10))


def _short_exp(builder: Any, kind: LanesType, x: Any) -> Any:
    """2^k times Taylor's series of the rest: relative error below 1e-11 for |x| < 700."""

    def constant(value: float) -> Any:
        return _constant(value, kind.width)

    def fused(a: Any, b: Any, c: Any) -> Any:
        return builder.fadd(builder.fmul(a, b, flags=kind.flags), c, flags=kind.flags)

    whole = builder.fadd(builder.fmul(x, constant(_LOG2_E)), constant(_ROUNDING))
    k = builder.fsub(whole, constant(_ROUNDING))
    rest = fused(k, constant(-_LN_2_LOW), fused(k, constant(-_LN_2_HIGH), x))
    # Estrin's scheme: the longest chain of operations is what a single plant waits for
    terms = [constant(value) for value in _TAYLOR]
    power = rest
    while len(terms) > 1:
        pairs = zip(terms[0::2], [*terms[1::2], None], strict=False)
        terms = [low if high is None else fused(high, power, low) for low, high in pairs]
        power = builder.fmul(power, power)
    series = terms[0]
    long = vector_of(_LONG, kind.width)
    exponent = builder.shl(
        builder.add(builder.bitcast(whole, long), _constant(1023, kind.width, _LONG)),
        _constant(52, kind.width, _LONG),
    )
    return builder.fmul(series, builder.bitcast(exponent, series.type))


def _rough_inverse_fifth_root(builder: Any, kind: LanesType, x: Any) -> Any:
    """x**-0.2 within 4 % by the bits of x, which are about linear in its logarithm.

    Infinity and nan give next to nothing, as infinity should.
    """
    # a nan may come with either sign
    bits = builder.bitcast(_call(builder, "fabs", x), vector_of(_LONG, kind.width))
    wide = builder.sitofp(bits, x.type)
    # bits of 1.0 times 1.2, less what balances the errors of that linearity
    offset = (1023.0 - 0.0430) * 1.2 * 2.0**52
    scaled = builder.fadd(
        builder.fmul(wide, _constant(-0.2, kind.width)), _constant(offset, kind.width)
    )
    return builder.bitcast(builder.fptosi(scaled, bits.type), x.type)


exp = _of_each_row(_exp)
"""Exponential."""
sqrt = _of_each_row(lambda builder, _, x: _call(builder, "sqrt", x))
"""Square root."""
absolute = _of_each_row(lambda builder, _, x: _call(builder, "fabs", x))
"""Size without sign."""
inverse_fifth_root = _of_each_row(_inverse_fifth_root)
"""x to the power -0.2, for x that has no sign."""


@lane_function
def by_arithmetic(typingctx: Any, like: Any, exact: Any, fast: Any) -> Any:
    """Choose a constant by the kind of lanes `like` is: `exact` or `fast`."""

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return values[2 if like.fast else 1]

    return types.float64(like, exact, fast), lowered
