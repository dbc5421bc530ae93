"""Types of `plant_sim.lanes` for numba, and the parts that its operations are put together from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.imputils import lower_constant
from numba.extending import intrinsic, models, register_model, typeof_impl

DOUBLE = ir.DoubleType()
_FAST_FLAGS = ("contract", "arcp")


@dataclass(frozen=True)
class Kind:
    """Which lanes a kernel computes in: how many, and whether in the fast arithmetic."""

    width: int
    fast: bool = False


ONE, ONE_FAST = Kind(1), Kind(1, fast=True)
WIDE, WIDE_FAST = Kind(16), Kind(16, fast=True)
"""Two of the widest registers there are: while one waits for a result, the other computes."""


class KindType(types.Type):
    """Type of a `Kind`, which has no value of its own at run time."""

    def __init__(self, kind: Kind) -> None:
        self.width, self.fast = kind.width, kind.fast
        super().__init__(name=f"Kind({kind.width}, {kind.fast})")


register_model(KindType)(models.OpaqueModel)


@typeof_impl.register(Kind)
def _typed_kind(kind: Kind, context: Any) -> KindType:
    return KindType(kind)


@lower_constant(KindType)
def _constant_kind(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.get_dummy_value()


class LanesType(types.Type):
    """`rows` numbers of `width` plants."""

    def __init__(self, rows: int, width: int, fast: bool) -> None:
        self.rows, self.width, self.fast = rows, width, fast
        super().__init__(name=f"Lanes({rows}, {width}, {fast})")

    def of(self, rows: int) -> "LanesType":
        """Return the type with another number of rows."""
        return LanesType(rows, self.width, self.fast)

    @property
    def flags(self) -> tuple[str, ...]:
        """LLVM's flags of the arithmetic."""
        return _FAST_FLAGS if self.fast else ()


class MaskType(types.Type):
    """A truth value of each of `width` plants."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Mask({width})")


def vector_of(element: ir.Type, width: int) -> ir.Type:
    """Return LLVM's type of one row."""
    return element if width == 1 else ir.VectorType(element, width)


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: LanesType) -> None:
        row = vector_of(DOUBLE, kind.width)
        model = row if kind.rows == 1 else ir.ArrayType(row, kind.rows)
        super().__init__(manager, kind, model)  # type: ignore[no-untyped-call]


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: MaskType) -> None:
        model = vector_of(ir.IntType(1), kind.width)
        super().__init__(manager, kind, model)  # type: ignore[no-untyped-call]


def splat(builder: Any, value: Any, width: int) -> Any:
    """Return one number in every lane."""
    if width == 1:
        return value
    wide = ir.VectorType(value.type, width)
    first = builder.insert_element(ir.Constant(wide, ir.Undefined), value, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(first, ir.Constant(wide, ir.Undefined), zeros)


def rows_of(builder: Any, kind: Any, value: Any, like: LanesType) -> list[Any]:
    """Rows of an operand as many as `like` has; a number and a single row stand for all of them."""
    if isinstance(kind, types.Float):
        return [splat(builder, value, like.width)] * like.rows
    if kind.rows == 1:
        return [value] * like.rows
    return [builder.extract_value(value, row) for row in range(kind.rows)]


def whole_of(context: Any, builder: Any, kind: LanesType, rows: Sequence[Any]) -> Any:
    """Put rows together; the reverse of `rows_of`."""
    if kind.rows == 1:
        return rows[0]
    whole = ir.Constant(context.get_value_type(kind), ir.Undefined)
    for row, value in enumerate(rows):
        whole = builder.insert_value(whole, value, row)
    return whole


def common_type(*kinds: Any) -> Any:
    """`LanesType` of the result of arithmetic between `kinds`; None if there is none."""
    lanes = [kind for kind in kinds if isinstance(kind, LanesType)]
    if not lanes or not all(isinstance(kind, LanesType | types.Float) for kind in kinds):
        return None
    rows = max(kind.rows for kind in lanes)
    fits = all(k.rows in {1, rows} and k.of(1) == lanes[0].of(1) for k in lanes)
    return lanes[0].of(rows) if fits else None


def lane_function(function: Callable[..., Any], *, literal: bool = False) -> Callable[..., Any]:
    """Make a function for kernels of one that gives its type and its code (numba's `intrinsic`).

    literal: the types of arguments that are constants carry their values.
    """
    made: Callable[..., Any] = intrinsic(prefer_literal=literal)(function)
    return made
