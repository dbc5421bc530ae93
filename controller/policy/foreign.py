"""A policy in a process of its own, asked once a scan: a move in time, or why there is none.

One question is on its way at a time, under a number.  An answer that comes after its scan has gone
on is known by that number and dropped.  A worker that ends, breaks the protocol or stays silent for
too long is replaced after a pause that doubles; until the new one has answered a warm-up question
there is no policy.  Nothing here blocks the event loop, and nothing raises into a scan.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from controller.core.policy import PolicyFailed, PolicyLate, PolicyMove
from controller.logs import logger
from controller.policy.process import Ended, WorkerProcess
from controller.policy.start import WARM_UP, move_in, observation, raised

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.core.policy import PolicyAnswer
    from controller.metrics import Metrics
    from controller.policy.process import Message
    from controller.policy.start import PolicyOptions
    from models.runtime import ProcessSample

FIRST_PAUSE_S = 1.0
"""Pause before a worker is replaced; it doubles up to LONGEST_PAUSE_S."""

LONGEST_PAUSE_S = 60.0
"""Also how long a worker must live for the pauses to begin anew."""

ENDING = "the controller is ending"


class ForeignPolicy:
    """The client of one policy for the life of the service; `start` comes first."""

    def __init__(self, options: PolicyOptions, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self._log = logger("policy")
        self._worker: WorkerProcess | None = None
        self._reason = "the worker has not been started"
        self._keeper: asyncio.Task[None] | None = None
        self._number = WARM_UP
        self._asked_s = 0.0
        self._waiting: asyncio.Future[Message | Ended] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._stuck: asyncio.TimerHandle | None = None
        self._abandoned = False

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker; None while there is none."""
        return None if self._worker is None else self._worker.pid

    async def start(self, on_fault: Callable[[BaseException], None]) -> str | None:
        """Start and warm up the worker, and keep one from then on; or return why it failed.

        on_fault is called when the keeping itself fails, which is a bug.
        """
        found = await raised(self._options)
        if isinstance(found, Ended):
            return found.reason
        self._metrics.policy_up.set(0.0)
        self._keeper = asyncio.create_task(self._keep(found), name="policy-keeper")
        self._keeper.add_done_callback(lambda task: _report(task, on_fault))
        self._adopt(found)
        return None

    async def ask(self, sample: ProcessSample, due_s: float) -> PolicyAnswer:
        """The policy's move for one instant, by due_s + timeout_s on the monotonic clock."""
        loop = asyncio.get_running_loop()
        began, before = loop.time(), self._number
        deadline_s = due_s + self._options.timeout_s
        found: Message | Ended | None = None
        if began < deadline_s:
            try:
                async with asyncio.timeout_at(deadline_s):
                    found = await self._question(sample)
            except TimeoutError:
                found = None
        elapsed_s = loop.time() - began
        if found is None:
            detail = self._why_late(asked=self._number > before)
            answer: PolicyAnswer = PolicyLate(asked=sample, detail=detail, elapsed_s=elapsed_s)
        else:
            answer = self._judged(found, sample, elapsed_s)
        self._count(answer)
        return answer

    def abandon(self) -> None:
        """Answer the question in progress now, and every later one at once, as failed."""
        self._abandoned = True
        self._part(ENDING)

    async def close(self) -> None:
        """End the worker and stop replacing it."""
        self.abandon()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    # ------------------------------------------------------------------ one question

    async def _question(self, sample: ProcessSample) -> Message | Ended:
        """Send as soon as the worker is free, and wait; the caller has the clock."""
        await self._idle.wait()
        worker = self._worker
        if worker is None:
            return Ended(reason=self._reason)
        loop = asyncio.get_running_loop()
        self._number += 1
        self._asked_s = loop.time()
        self._idle.clear()
        self._waiting = loop.create_future()
        self._stuck = loop.call_later(self._options.stuck_s, self._end_stuck, worker)
        worker.send({"number": self._number, "observation": observation(self._options, sample)})
        return await self._waiting

    def _why_late(self, *, asked: bool) -> str:
        if asked:
            return f"no answer of the policy within {1e3 * self._options.timeout_s:.0f} ms"
        if self._idle.is_set():
            return "no time was left to ask the policy"
        age_s = asyncio.get_running_loop().time() - self._asked_s
        return f"the policy has been at an earlier question for {1e3 * age_s:.0f} ms"

    def _judged(
        self, found: Message | Ended, sample: ProcessSample, elapsed_s: float
    ) -> PolicyMove | PolicyFailed:
        if isinstance(found, Ended):
            return PolicyFailed(asked=sample, detail=found.reason, elapsed_s=elapsed_s)
        move = move_in(found, len(self._options.mvs))
        if isinstance(move, str):
            return PolicyFailed(asked=sample, detail=move, elapsed_s=elapsed_s)
        return PolicyMove(asked=sample, move=move, elapsed_s=elapsed_s)

    def _count(self, answer: PolicyAnswer) -> None:
        match answer:
            case PolicyMove():
                self._metrics.policy_duration.observe(answer.elapsed_s)
                self._metrics.policy_answers.labels("move").inc()
            case PolicyLate():
                self._metrics.policy_answers.labels("late").inc()
            case _:
                self._metrics.policy_answers.labels("failed").inc()

    # ------------------------------------------------------------------ the worker

    async def _keep(self, worker: WorkerProcess) -> None:
        """Listen to the worker; when it ends, replace it; for the life of the service."""
        pause = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                reason = await self._listen(worker)
                self._part(reason)
                worker.kill()
                await worker.close()
                if loop.time() - began > LONGEST_PAUSE_S:
                    pause = FIRST_PAUSE_S
                worker, pause = await self._replacement(pause)
                self._adopt(worker)
        finally:
            self._part(ENDING)
            await worker.close()

    async def _listen(self, worker: WorkerProcess) -> str:
        """Take in answers until there will be none; why there will be none."""
        exit_ = asyncio.create_task(worker.ended())
        try:
            while True:
                message = asyncio.create_task(worker.receive())
                await asyncio.wait({message, exit_}, return_when=asyncio.FIRST_COMPLETED)
                if not message.done():
                    message.cancel()
                    return exit_.result().reason
                found = message.result()
                if isinstance(found, Ended):
                    return found.reason
                if self._idle.is_set() or found.get("number") != self._number:
                    return "the worker answered a question that it was not asked"
                self._take(found)
        finally:
            exit_.cancel()

    async def _replacement(self, pause: float) -> tuple[WorkerProcess, float]:
        """A worker that answers, after as many attempts as it takes; and the next pause."""
        while True:
            await asyncio.sleep(pause)
            pause = min(2.0 * pause, LONGEST_PAUSE_S)
            found = await raised(self._options)
            if isinstance(found, WorkerProcess):
                self._metrics.policy_restarts.inc()
                return found, pause
            self._reason = found.reason
            self._log.warning("policy_not_started", reason=found.reason, pause_s=pause)

    # ------------------------------------------------------------------ state

    def _adopt(self, worker: WorkerProcess) -> None:
        if not self._abandoned:
            self._worker = worker
            self._metrics.policy_up.set(1.0)
            self._log.info("policy_up", pid=worker.pid, **self._options.load)

    def _part(self, reason: str) -> None:
        """Without a worker from now on; whoever waits for it is told."""
        if self._worker is not None:
            say = self._log.info if self._abandoned else self._log.warning
            say("policy_down", reason=reason)
            self._metrics.policy_up.set(0.0)
        self._worker, self._reason = None, reason
        self._release(Ended(reason=reason))

    def _take(self, message: Message) -> None:
        """Give an answer to the scan that asked, if it still waits."""
        if not self._release(message):
            self._metrics.policy_dropped.inc()
            self._log.debug("policy_late_answer_dropped", number=self._number)

    def _release(self, found: Message | Ended) -> bool:
        """Free the line for the next question; True when the last one is still waited for."""
        self._idle.set()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return False
        waiting.set_result(found)
        return True

    def _end_stuck(self, worker: WorkerProcess) -> None:
        self._log.warning("policy_stuck", seconds=self._options.stuck_s)
        worker.kill()


def _report(task: asyncio.Task[None], on_fault: Callable[[BaseException], None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        on_fault(error)
