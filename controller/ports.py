"""What a cycle needs around it: the line to the plant, the advisor, a foreign policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from controller.core.policy import PolicyAnswer
    from controller.core.types import Move, Proposal, Snapshot, Tick, WriteOutcome
    from controller.opcua.requests import Failed
    from models.runtime import AdviceRequest, ProcessSample


class Line(Protocol):
    """What a cycle needs of the link."""

    @property
    def connected(self) -> bool:
        """True while a session is open."""
        ...

    @property
    def lease_held(self) -> bool:
        """True where no lease is needed, or this session holds it."""
        ...

    @property
    def release_due(self) -> bool:
        """True while what an earlier session may have left in AUTO has not been let go."""
        ...

    @property
    def release_refusal(self) -> str:
        """What the DCS refused of that, and how, when it was last tried; "" where it did not."""
        ...

    async def poll(self) -> Failed | None:
        """Read the process image."""
        ...

    def freeze(self, tick: Tick) -> Snapshot:
        """Return the process image of this instant."""
        ...

    async def write(self, move: Move) -> WriteOutcome:
        """Write one move."""
        ...

    async def shed(self, reason: str) -> Failed | None:
        """Hand the MVs back to the DCS."""
        ...


class Adviser(Protocol):
    """What a cycle needs of the advisor."""

    def propose(self, request: AdviceRequest, deadline_s: float) -> Proposal:
        """Answer, or say why not."""
        ...


class Policy(Protocol):
    """What a cycle needs of a policy outside the bundle."""

    async def ask(self, sample: ProcessSample, due_s: float) -> PolicyAnswer:
        """Answer within the policy's own time-out after due_s (monotonic), or say why not."""
        ...

    def abandon(self) -> None:
        """Answer the question in progress now, and every later one at once, as failed."""
        ...
