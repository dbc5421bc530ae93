"""Softplus and sigmoid without calls, so that LLVM computes several at once.

The math library's exp and log are calls, one element at a time, and half of the time of a small
network. Here e^-|x| and log(1 + e^-|x|) are polynomials; both are right to 4e-16 of 1, which a
test holds against the math library.
"""

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

# log 2 in two parts, the first with its last 21 bits zero so that whole multiples are exact
# (Cody & Waite 1980, Software Manual for the Elementary Functions, chapter 6).
_LOG2_HIGH, _LOG2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_PER_LOG2 = 1.4426950408889634
_SHIFTER = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to a whole number, in its low bits
_LEAST = -708.0  # below, e^x is not a normal number
_LOG_1_5 = 0.4054651081081644


def _bitcast(source: Any, target: Any, into: Any) -> Any:
    """A function of compiled code that takes the bits of a `source` for a `target`."""

    def cast_bits(context: Any, value: Any) -> Any:  # noqa: ARG001
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
            return builder.bitcast(arguments[0], into)

        return target(source), code

    return intrinsic(cast_bits)


_bits = _bitcast(types.float64, types.int64, ir.IntType(64))
_number = _bitcast(types.int64, types.float64, ir.DoubleType())


@numba.njit(inline="always", error_model="numpy", fastmath={"contract"})
def decay(x: float) -> float:
    """e^-|x|; 3e-308 where it is less, NaN for NaN."""
    t = max(-abs(x), _LEAST)
    shifted = t * _PER_LOG2 + _SHIFTER
    whole = shifted - _SHIFTER
    r = (t - whole * _LOG2_HIGH) - whole * _LOG2_LOW
    # Taylor to r^13 / 13!; |r| <= log(2) / 2, so what is left out is below 5e-18.
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    power = (_bits(shifted) - _bits(_SHIFTER) + 1023) << 52
    return p * float(_number(power))


@numba.njit(inline="always", error_model="numpy", fastmath={"contract"})
def log_one_plus(e: float) -> float:
    """log(1 + e) for 0 <= e <= 1: log(c) + 2 artanh(s), s = (1 + e - c) / (1 + e + c)."""
    far = e > 0.25
    c = 1.5 if far else 1.0
    s = ((1.0 - c) + e) / ((1.0 + c) + e)
    q = s * s
    # |s| <= 1/7 (c = 1.5: at e = 1; c = 1: 1/9 at e = 1/4): what is left out is below 1e-17.
    p = 1.0 / 19.0
    p = p * q + 1.0 / 17.0
    p = p * q + 1.0 / 15.0
    p = p * q + 1.0 / 13.0
    p = p * q + 1.0 / 11.0
    p = p * q + 1.0 / 9.0
    p = p * q + 1.0 / 7.0
    p = p * q + 1.0 / 5.0
    p = p * q + 1.0 / 3.0
    p = p * q + 1.0
    return (_LOG_1_5 if far else 0.0) + 2.0 * s * p


@numba.njit(inline="always", error_model="numpy", fastmath={"contract"})
def softplus_of(x: float, e: float) -> float:
    """log(1 + e^x), given e = `decay(x)`."""
    return max(x, 0.0) + log_one_plus(e)


@numba.njit(inline="always", error_model="numpy", fastmath={"contract"})
def sigmoid_of(x: float, e: float) -> float:
    """1 / (1 + e^-x), given e = `decay(x)`."""
    return (1.0 if x >= 0.0 else e) / (1.0 + e)
