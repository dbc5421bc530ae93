"""Values of several plants at once, for the compiled kernels.

A `Lanes` value holds `rows` quantities (1, or a whole state) of `width` plants. Kernels are
written once, in plain arithmetic; width 1 compiles to scalar code, a wider one to SIMD instructions
in which each lane has the bits that width 1 gives: every operation is IEEE arithmetic in the order
written, exponentials and powers are libm's, lane by lane.

That holds for exact lanes. Fast lanes may fuse products and sums and multiply by reciprocals of
constants, and take `exp` and `inverse_fifth_root` from short formulas; see there for their errors.
"""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from llvmlite import ir
from numba.core import types
from numba.extending import lower_builtin, overload, register_jitable, type_callable

from plant_sim.lane_types import (
    DOUBLE,
    LanesType,
    MaskType,
    common_type,
    lane_function,
    rows_of,
    vector_of,
    whole_of,
)

Lanes: TypeAlias = Any
"""A value of `LanesType`; it exists in compiled code only."""
Mask: TypeAlias = Any
"""A truth value for each lane; combined by &, | and not."""

_INLINE: Any = {"forceinline": True}
kernel_part = register_jitable(**_INLINE)
"""Marks a function that is compiled as a part of the kernels that call it."""


# -- operators


def _operator(key: Any, emit: Callable[[Any, Any, Any, tuple[str, ...]], Any]) -> None:
    """Define an arithmetic operator between lanes, or between lanes and a number."""

    @type_callable(key)
    def _typed(context: Any) -> Any:
        return common_type

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = signature.return_type
        a, b = (
            rows_of(builder, of, value, kind)
            for of, value in zip(signature.args, values, strict=True)
        )
        rows = [emit(builder, x, y, kind.flags) for x, y in zip(a, b, strict=True)]
        return whole_of(context, builder, kind, rows)

    for a, b in ((LanesType, LanesType), (LanesType, types.Float), (types.Float, LanesType)):
        lower_builtin(key, a, b)(lowered)


_operator(operator.add, lambda builder, a, b, flags: builder.fadd(a, b, flags=flags))
_operator(operator.sub, lambda builder, a, b, flags: builder.fsub(a, b, flags=flags))
_operator(operator.mul, lambda builder, a, b, flags: builder.fmul(a, b, flags=flags))
_operator(operator.truediv, lambda builder, a, b, flags: builder.fdiv(a, b, flags=flags))


def _comparison(key: Any, sign: str) -> None:
    """Define a comparison of single rows; false where one of both is no number."""

    @type_callable(key)
    def _typed(context: Any) -> Any:
        def kind(a: Any, b: Any) -> Any:
            common = common_type(a, b)
            return MaskType(common.width) if common is not None and common.rows == 1 else None

        return kind

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = common_type(*signature.args)
        a, b = (
            rows_of(builder, of, value, kind)
            for of, value in zip(signature.args, values, strict=True)
        )
        return builder.fcmp_ordered(sign, a[0], b[0])

    for a, b in ((LanesType, LanesType), (LanesType, types.Float), (types.Float, LanesType)):
        lower_builtin(key, a, b)(lowered)


_comparison(operator.lt, "<")
_comparison(operator.le, "<=")
_comparison(operator.gt, ">")
_comparison(operator.ge, ">=")


def _logic(key: Any, arguments: int, emit: Callable[..., Any]) -> None:
    """Define an operator between masks. `not` is one of them: & and | suit truth values as well."""

    @type_callable(key)
    def _typed(context: Any) -> Any:
        def kind(a: Any, b: Any = None) -> Any:
            fits = isinstance(a, MaskType) and (b == a if arguments == 2 else b is None)
            return a if fits else None

        return kind

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return emit(builder, *values)

    lower_builtin(key, *[MaskType] * arguments)(lowered)


_logic(operator.and_, 2, lambda builder, a, b: builder.and_(a, b))
_logic(operator.or_, 2, lambda builder, a, b: builder.or_(a, b))
_logic(operator.not_, 1, lambda builder, a: builder.not_(a))


# -- functions


@partial(lane_function, literal=True)
def load(
    typingctx: Any,
    array: Any,
    first: Any,
    rows: Any,
    kind: Any,
) -> Any:
    """`rows` rows of as many neighbours as `kind` is wide, from the place `first` of an array."""
    result = LanesType(rows.literal_value, kind.width, kind.fast)

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        found = []
        for row in range(result.rows):
            place = _place(context, builder, signature.args[0], values, row * kind.width)
            value = builder.load(builder.bitcast(place, vector_of(DOUBLE, kind.width).as_pointer()))
            value.align = 8
            found.append(value)
        return whole_of(context, builder, result, found)

    return result(array, types.intp, rows, kind), lowered


@lane_function
def store(typingctx: Any, array: Any, first: Any, value: Any) -> Any:
    """Write what `load` reads."""

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        for row, vector in enumerate(rows_of(builder, value, values[2], value)):
            place = _place(context, builder, signature.args[0], values, row * value.width)
            builder.store(vector, builder.bitcast(place, vector.type.as_pointer())).align = 8
        return context.get_dummy_value()

    return types.none(array, types.intp, value), lowered


def _place(context: Any, builder: Any, kind: Any, values: Any, further: int) -> Any:
    data = context.make_array(kind)(context, builder, values[0]).data
    return builder.gep(data, [builder.add(values[1], values[1].type(further))])


@lane_function
def split(typingctx: Any, value: Any) -> Any:
    """Rows of a value, as a tuple."""

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rows = rows_of(builder, value, values[0], value)
        return context.make_tuple(builder, signature.return_type, rows)

    return types.UniTuple(value.of(1), value.rows)(value), lowered


@lane_function
def join(typingctx: Any, rows: Any) -> Any:
    """Make one value of a tuple of rows."""
    kind = rows.dtype.of(len(rows))

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        found = [builder.extract_value(values[0], row) for row in range(kind.rows)]
        return whole_of(context, builder, kind, found)

    return kind(rows), lowered


def where(mask: Mask, a: Lanes, b: Lanes) -> Lanes:
    """`a` in the lanes of `mask`, `b` in the others."""
    return a if mask else b


def maximum(a: Lanes, b: Lanes) -> Lanes:
    """The larger of a and b; a where they do not compare, as `max`."""
    return max(a, b)


def minimum(a: Lanes, b: Lanes) -> Lanes:
    """The smaller of a and b; a where they do not compare, as `min`."""
    return min(a, b)


def any_of(mask: Mask) -> bool:
    """Whether a lane of `mask` is true."""
    return bool(mask)


@lane_function
def _where(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    kind = common_type(a, b)

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        yes, no = rows_of(builder, a, values[1], kind), rows_of(builder, b, values[2], kind)
        rows = [builder.select(values[0], x, y) for x, y in zip(yes, no, strict=True)]
        return whole_of(context, builder, kind, rows)

    return kind(mask, a, b), lowered


def _smaller_or_larger(sign: str) -> Any:
    def function(typingctx: Any, a: Any, b: Any) -> Any:
        kind = common_type(a, b)

        def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            first, second = (
                rows_of(builder, a, values[0], kind),
                rows_of(builder, b, values[1], kind),
            )
            rows = [
                builder.select(builder.fcmp_ordered(sign, y, x), y, x)
                for x, y in zip(first, second, strict=True)
            ]
            return whole_of(context, builder, kind, rows)

        return kind(a, b), lowered

    return lane_function(function)


_maximum, _minimum = _smaller_or_larger(">"), _smaller_or_larger("<")


@lane_function
def _any_of(typingctx: Any, mask: Any) -> Any:
    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if mask.width == 1:
            return values[0]
        bits = ir.IntType(mask.width)
        return builder.icmp_unsigned("!=", builder.bitcast(values[0], bits), bits(0))

    return types.boolean(mask), lowered


def _compiled_as(function: Callable[..., Any], kernel: Callable[..., Any], kind: type) -> None:
    """Let kernels call `kernel` for `function` where one of its arguments is a `kind`."""

    @overload(function, jit_options=_INLINE, strict=False)
    def _overloaded(*arguments: Any) -> Any:
        if not any(isinstance(argument, kind) for argument in arguments):
            return None
        if len(arguments) == 1:
            return lambda a: kernel(a)  # noqa: PLW0108  (numba compiles it)
        if len(arguments) == 2:
            return lambda a, b: kernel(a, b)  # noqa: PLW0108
        return lambda a, b, c: kernel(a, b, c)  # noqa: PLW0108


_compiled_as(where, _where, MaskType)
_compiled_as(maximum, _maximum, LanesType)
_compiled_as(minimum, _minimum, LanesType)
_compiled_as(any_of, _any_of, MaskType)


@lane_function
def number(typingctx: Any, value: Any) -> Any:
    """The number in a value of one lane."""
    if value.width != 1 or value.rows != 1:
        raise TypeError(f"number({value}): allowed: one row of one lane")

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return values[0]

    return types.float64(value), lowered
