"""The advisor: deadline, refusals, broken models, and a memory that is a fold."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from controller.advisor import Advisor
from controller.core.types import Advised, Faulted, Late, Refused
from controller.testing import FakeClock, plain_advice
from models.runtime import AdviceRequest, ProcessSample, Refusal, RefusalReason


def request() -> AdviceRequest:
    two = np.array([1.0, 2.0])
    return AdviceRequest(
        sample=ProcessSample(plant_time_s=0.0, cv=two, sp=two, mv=two, dv=two),
        low=two,
        high=two,
        range_low=two,
        range_high=two,
        windup_low=np.zeros(2, dtype=bool),
        windup_high=np.zeros(2, dtype=bool),
        freeze=False,
    )


@dataclass
class Model:
    """Counts in its memory; takes `seconds` of the clock; does what `act` says."""

    clock: FakeClock
    seconds: float = 0.0
    act: object = None
    seen: list = field(default_factory=list)
    manifest: object = None

    def initial_memory(self):
        return 0

    def advise(self, _request, memory):
        self.seen.append(memory)
        self.clock.advance(self.seconds)
        if isinstance(self.act, Exception):
            raise self.act
        return (self.act or plain_advice(np.array([1.0, 2.0]))), memory + 1


def test_an_answer_in_time_is_advice_with_its_duration():
    clock = FakeClock()
    advisor = Advisor(Model(clock, seconds=0.25), clock)
    proposal = advisor.propose(request(), clock() + 1.0)
    assert isinstance(proposal, Advised)
    assert proposal.elapsed_s == pytest.approx(0.25)


def test_an_answer_after_the_deadline_is_late_and_its_memory_has_advanced():
    clock = FakeClock()
    model = Model(clock, seconds=0.25)
    advisor = Advisor(model, clock)
    proposal = advisor.propose(request(), clock() + 0.1)
    assert isinstance(proposal, Late)
    assert proposal.answer is not None
    advisor.propose(request(), clock() + 1.0)
    assert model.seen == [0, 1]


def test_a_refusal_is_a_value():
    clock = FakeClock()
    refusal = Refusal(reason=RefusalReason.OUTSIDE_ENVELOPE, detail="P = 120 at 350 K")
    proposal = Advisor(Model(clock, act=refusal), clock).propose(request(), clock() + 1.0)
    assert isinstance(proposal, Refused)
    assert proposal.refusal is refusal


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad shape"),
        ZeroDivisionError(),
        IndexError("3"),
        FloatingPointError("overflow"),
        np.linalg.LinAlgError("singular"),
        AssertionError(),
    ],
)
def test_a_model_that_raises_is_faulted_and_keeps_its_memory(error):
    clock = FakeClock()
    model = Model(clock, act=error)
    advisor = Advisor(model, clock)
    proposal = advisor.propose(request(), clock() + 1.0)
    assert isinstance(proposal, Faulted)
    assert type(error).__name__ in proposal.detail
    advisor.propose(request(), clock() + 1.0)
    assert model.seen == [0, 0]
