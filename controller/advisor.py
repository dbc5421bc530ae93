"""Asks the model for a move, under the scan's deadline.

The built-in kernel is bounded in its iterations and takes a fraction of a millisecond, so it runs
inline; its time is measured, and an answer that comes after the deadline is a `Late`: recorded,
never written.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Protocol, assert_never

from controller.core.types import Advised, Faulted, Late, Refused
from models.runtime import Advice, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.core.types import Proposal
    from models.bundle import Manifest
    from models.runtime import AdviceRequest, Memory

MODEL_FAULTS = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
"""What broken numerical code raises.  Anything else is a bug of the controller itself."""


class Model(Protocol):
    """What the controller needs of `models.runtime.Runtime`."""

    @property
    def manifest(self) -> Manifest:
        """Names, units and bounds of what the model reads and moves."""
        ...

    def initial_memory(self) -> Memory:
        """Return the memory before the first scan."""
        ...

    def advise(self, request: AdviceRequest, memory: Memory) -> tuple[Advice | Refusal, Memory]:
        """Answer one request: pure, deterministic and bounded."""
        ...


class Advisor:
    """The model and its memory, which is a fold over the requests since the start of the run."""

    def __init__(self, model: Model, clock: Callable[[], float] = monotonic) -> None:
        self._model = model
        self._clock = clock
        self._memory = model.initial_memory()

    def propose(self, request: AdviceRequest, deadline_s: float) -> Proposal:
        """Ask once; deadline_s is on the clock given at construction (monotonic) [s]."""
        started = self._clock()
        try:
            answer, memory = self._model.advise(request, self._memory)
        except MODEL_FAULTS as error:
            elapsed = self._clock() - started
            detail = f"{type(error).__name__}: {error}"
            return Faulted(detail=detail, request=request, elapsed_s=elapsed)
        self._memory = memory
        ended = self._clock()
        elapsed = ended - started
        if ended > deadline_s:
            return Late(request=request, elapsed_s=elapsed, answer=answer)
        match answer:
            case Advice():
                return Advised(advice=answer, request=request, elapsed_s=elapsed)
            case Refusal():
                return Refused(refusal=answer, request=request, elapsed_s=elapsed)
            case _:
                assert_never(answer)
