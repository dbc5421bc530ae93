"""One scan, in a straight line; and the supervision tick, which may hold or shed but never moves.

    read -> validate -> advise -> decide the mode -> guard -> write -> close the books

Scan and tick take turns: neither sees the other half done.  While a foreign policy is asked the
turn is free, so that ticks go on; the scan proper then reads the plant anew.  Both decide with the
same pure functions of `controller.core`; what is here is their order, the clock and the line.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from controller.core.box import (
    EmptyBox,
    accepted_targets,
    box_origin,
    move_box,
    no_targets,
    targets_in_force,
)
from controller.core.conditions import Circumstances, Condition, Finding, derive, effects
from controller.core.guard import guard, release
from controller.core.modes import next_mode, supervise
from controller.core.observe import advice_request, observe
from controller.core.policy import PolicyFailed, judged, move_of
from controller.core.report import CycleReport, Supervision
from controller.core.state import Mode, ModeState
from controller.core.types import (
    NOTHING_WRITTEN,
    GuardRefusal,
    NotAsked,
    NotWritten,
    NotWrittenReason,
    Partial,
    Written,
)
from controller.core.validate import ValidationMemory, validate
from controller.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.configuration.binding import Binding
    from controller.core.conditions import Effects
    from controller.core.policy import PolicyAnswer
    from controller.core.types import (
        F64,
        Move,
        Proposal,
        Readings,
        Snapshot,
        Tick,
        WriteOutcome,
    )
    from controller.core.validate import ValidationRules
    from controller.opcua.requests import Failed
    from controller.ports import Adviser, Line, Policy


class Cycle:
    """The state of one controller between its scans, and the two things that change it."""

    def __init__(
        self,
        *,
        line: Line,
        adviser: Adviser,
        binding: Binding,
        rules: ValidationRules,
        surroundings: Callable[[], Circumstances],
        policy: Policy | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """surroundings: what is known outside the scan (read-only, stopping, journal).

        policy: a foreign one, asked in the place of the bundle's own.
        """
        self._line = line
        self._adviser = adviser
        self._policy = policy
        self._binding = binding
        self._rules = rules
        self._surroundings = surroundings
        self._clock = clock
        self._turn = asyncio.Lock()
        self._whole_scan = asyncio.Lock()
        self._memory = ValidationMemory()
        self._outcome: WriteOutcome = NOTHING_WRITTEN
        self._last: F64 = no_targets(len(binding.mvs))
        self._release_due = False
        self._release_refusal = ""
        self._followed = False
        self.state = ModeState()

    @property
    def release_due(self) -> bool:
        """True while the DCS has not confirmed yet that it took the MVs back."""
        return self._release_due

    @property
    def unconfirmed(self) -> str:
        """Words for a release that the DCS has not confirmed, an earlier session's too, or ""."""
        if not (self._release_due or self._line.release_due):
            return ""
        return Finding(condition=Condition.RELEASE_DUE, detail=self._refusal).words

    @property
    def _refusal(self) -> str:
        return self._release_refusal if self._release_due else self._line.release_refusal

    @property
    def may_beat(self) -> bool:
        """False when the DCS must shed by itself, which it does when the heartbeat stands still.

        That is while a release is due, and, whatever the cause, while the DCS says Active although
        this controller is not in command: a heartbeat would keep targets alive that nobody renews.
        """
        return not self._release_due and (self.state.in_control or not self._followed)

    # ------------------------------------------------------------------ scan

    async def scan(self, tick: Tick) -> CycleReport:
        """Run one scan; tick.budget_s counts from tick.started_s."""
        async with self._whole_scan:
            watch = Stopwatch(self._clock)
            answer = await self._consult(tick)
            if answer is not None:
                watch.lap("policy")
            async with self._turn:
                return await self._scan(tick, watch, answer)

    async def _consult(self, tick: Tick) -> PolicyAnswer | None:
        """Ask a foreign policy about this instant; None without one.

        The turn is held for the look only, and the look counts nothing: the scan proper, which
        reads anew, does.
        """
        if self._policy is None:
            return None
        async with self._turn:
            snapshot = await self._read(tick)
            readings, _ = validate(
                snapshot, self._binding, self._rules, self._memory, is_scan=False
            )
        if not readings.usable:
            return PolicyFailed(asked=None, detail="the policy was not asked: a value was missing")
        return await self._policy.ask(observe(readings), tick.due_s)

    async def _scan(self, tick: Tick, watch: Stopwatch, answer: PolicyAnswer | None) -> CycleReport:
        snapshot = await self._read(tick)
        watch.lap("read")
        readings, self._memory = validate(snapshot, self._binding, self._rules, self._memory)
        self._followed = readings.handshake.active is True
        watch.lap("validate")
        around = self._around()
        origin = box_origin(self.state, readings, self._last, read_only=around.read_only)
        proposal = self._propose(readings, origin, tick.started_s + tick.budget_s, answer)
        watch.lap("advise")
        before = self.state
        found = self._found(readings, proposal, around)
        self.state = next_mode(before, found, readings.handshake.operator)
        move = self._move(before, proposal, readings, origin, around)
        watch.lap("guard")
        outcome = await self._write(move, readings)
        watch.lap("write")
        self._close(move, outcome, readings)
        return CycleReport(
            tick=tick,
            utc=snapshot.utc,
            before=before,
            after=self.state,
            readings=readings,
            proposal=proposal,
            move=move,
            outcome=outcome,
            conditions=tuple(finding.condition for finding in found.findings),
            duration_s=watch.elapsed_s,
            deadline_s=tick.budget_s,
            stage_s=watch.laps,
            policy=answer,
        )

    async def _read(self, tick: Tick) -> Snapshot:
        """The image of this instant; when it could not be polled it is not of this instant."""
        failure = await self._line.poll()
        snapshot = self._line.freeze(tick)
        return snapshot if failure is None else replace(snapshot, current=False)

    def _propose(
        self, readings: Readings, origin: F64, deadline_s: float, answer: PolicyAnswer | None
    ) -> Proposal:
        """Ask in every mode: the model's memory must be current when AUTO is entered."""
        if not readings.usable:
            return NotAsked(reason="a value that the model needs must not be used")
        box = move_box(readings, origin)
        if isinstance(box, EmptyBox):
            return NotAsked(reason=f"{self._binding.mvs[box.mv].name}: {box.detail}")
        waits = readings.handshake.active is False
        request = advice_request(
            readings,
            box,
            freeze=waits or self.state.mode is not Mode.AUTO,
            policy_move=move_of(answer),
        )
        return judged(self._adviser.propose(request, deadline_s), answer)

    def _move(
        self,
        before: ModeState,
        proposal: Proposal,
        readings: Readings,
        origin: F64,
        around: Circumstances,
    ) -> Move | GuardRefusal | None:
        """What to write: the certified move in AUTO, a release on leaving, else nothing."""
        if self.state.mode is Mode.AUTO:
            return guard(proposal, readings, origin, state=self.state, read_only=around.read_only)
        if before.in_control and not self.state.in_control:
            return release(len(self._binding.mvs))
        return None

    async def _write(self, move: Move | GuardRefusal | None, readings: Readings) -> WriteOutcome:
        if move is None:
            return NOTHING_WRITTEN
        if isinstance(move, GuardRefusal):
            return NotWritten(reason=NotWrittenReason.GUARD, detail=f"{move.reason}: {move.detail}")
        if not move.request:
            return await self._release(move, readings)
        return await self._line.write(move)

    def _close(
        self, move: Move | GuardRefusal | None, outcome: WriteOutcome, readings: Readings
    ) -> None:
        self._outcome = outcome
        self._last = accepted_targets(
            self._last,
            None if isinstance(move, GuardRefusal) else move,
            outcome,
            state=self.state,
            readings=readings,
            target_keys=[mv.target_key for mv in self._binding.mvs],
        )

    # ------------------------------------------------------------------ supervision

    async def supervise(self, tick: Tick, *, poll: bool) -> Supervision:
        """Look between scans; hold, shed or release at once.

        poll: read the image first, because the last scan is too long ago.
        """
        async with self._turn:
            if poll:
                await self._line.poll()
            snapshot = self._line.freeze(tick)
            readings, self._memory = validate(
                snapshot, self._binding, self._rules, self._memory, is_scan=False
            )
            self._followed = readings.handshake.active is True
            found = self._found(readings, None, self._around())
            before = self.state
            self.state = supervise(before, found, readings.handshake.operator)
            self._last = targets_in_force(self._last, readings)
            if self._release_due or (before.in_control and not self.state.in_control):
                await self._release(release(len(self._binding.mvs)), readings)
                self._last = no_targets(len(self._binding.mvs))
            return Supervision(
                utc=snapshot.utc,
                readings=readings,
                before=before,
                after=self.state,
                conditions=tuple(finding.condition for finding in found.findings),
            )

    async def stop(self, reason: str) -> Failed | None:
        """End in order: hand the MVs back if this controller has them, and stay out of AUTO."""
        if self._policy is not None:
            self._policy.abandon()
        async with self._whole_scan, self._turn:
            in_control, self.state = self.state.in_control, ModeState(mode=Mode.SHED, reason=reason)
            self._last = no_targets(len(self._binding.mvs))
            return await self._line.shed(reason) if in_control or self._release_due else None

    # ------------------------------------------------------------------ shared

    def _around(self) -> Circumstances:
        around = self._surroundings()
        lost = self._line.connected and not self._line.lease_held and not around.read_only
        return replace(
            around,
            lease_lost=around.lease_lost or lost,
            release_due=self._release_due or self._line.release_due,
            release_refusal=self._refusal,
            selector_written=self._binding.mode_on_shed is not None,
        )

    def _found(
        self, readings: Readings, proposal: Proposal | None, around: Circumstances
    ) -> Effects:
        return effects(
            derive(
                readings,
                state=self.state,
                proposal=proposal,
                last=self._outcome,
                last_target=self._last,
                around=around,
            )
        )

    async def _release(self, move: Move, readings: Readings) -> WriteOutcome:
        """Let go: by APC.Shed with the reason on a shed, else by withdrawing Request."""
        if self.state.mode is Mode.SHED and readings.handshake.active is not False:
            failure = await self._line.shed(self.state.reason)
            outcome: WriteOutcome = (
                Written()
                if failure is None
                else NotWritten(reason=NotWrittenReason.REJECTED, detail=failure.words)
            )
        else:
            outcome = await self._line.write(move)
        nothing = NotWrittenReason.NOTHING_TO_WRITE
        done = isinstance(outcome, Written) or (
            isinstance(outcome, NotWritten) and outcome.reason is nothing
        )
        self._release_due = not done
        self._release_refusal = "" if done else _refused(outcome)
        return outcome


def _refused(outcome: WriteOutcome) -> str:
    """What the DCS did not take of a release, and how."""
    match outcome:
        case Partial(failures=failures):
            return ", ".join(f"{failure.tag}: {failure.status}" for failure in failures)
        case NotWritten(reason=reason, detail=detail):
            return detail or str(reason)
        case _:
            return ""
