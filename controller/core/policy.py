"""What a policy outside the bundle answered, and what becomes of a scan without its move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, assert_never

from controller.core.types import Advised, Faulted, Late, NotAsked, Refused

if TYPE_CHECKING:
    from controller.core.types import F64, Proposal
    from models.runtime import Advice, ProcessSample, Refusal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolicyMove:
    """A move (n_mv,) [MV units] in time, not yet judged: it may be outside the range, or NaN."""

    asked: ProcessSample
    move: F64
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolicyLate:
    """No answer in time; one that comes later is dropped."""

    asked: ProcessSample
    detail: str
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolicyFailed:
    """An answer that is no move, or nobody there to answer.  asked: None when it was not asked."""

    asked: ProcessSample | None
    detail: str
    elapsed_s: float = 0.0


PolicyAnswer: TypeAlias = PolicyMove | PolicyLate | PolicyFailed


def move_of(answer: PolicyAnswer | None) -> F64 | None:
    """The move (n_mv,) that the correction starts from; None asks the bundle's own policy."""
    return answer.move if isinstance(answer, PolicyMove) else None


def judged(proposal: Proposal, answer: PolicyAnswer | None) -> Proposal:
    """The scan's proposal, which must not be written when the foreign policy gave no move.

    proposal: of a request without a foreign move, which keeps the model's memory current.
    """
    if isinstance(proposal, Faulted | NotAsked):
        return proposal
    match answer:
        case None | PolicyMove():
            return proposal
        case PolicyLate():
            return Late(
                request=proposal.request,
                elapsed_s=answer.elapsed_s,
                answer=_kept(proposal),
                detail=answer.detail,
            )
        case PolicyFailed():
            return Faulted(
                request=proposal.request,
                elapsed_s=answer.elapsed_s,
                answer=_kept(proposal),
                detail=answer.detail,
            )
        case _:
            assert_never(answer)


def _kept(proposal: Advised | Late | Refused) -> Advice | Refusal | None:
    match proposal:
        case Advised(advice=answer):
            return answer
        case Refused(refusal=answer):
            return answer
        case Late(answer=answer):
            return answer
        case _:
            assert_never(proposal)
