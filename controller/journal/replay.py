"""Replay: every recorded scan is computed again and must give the same bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from controller.journal.document import ADDED_KEYS, answer_document, request_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.journal.document import Document
    from controller.journal.reader import Reader
    from models.runtime import Advice, AdviceRequest, Refusal

MemoryT = TypeVar("MemoryT")


class Replayable(Protocol[MemoryT]):
    """The part of `models.runtime.Runtime` that a replay needs."""

    def initial_memory(self) -> MemoryT: ...  # noqa: D102
    def advise(  # noqa: D102
        self, request: AdviceRequest, memory: MemoryT
    ) -> tuple[Advice | Refusal, MemoryT]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A recorded answer that a replay does not give again.

    key: what differs ("move", "gap", ...); "row" when rows are missing, after which the model's
    memory cannot be followed and the replay ends.
    """

    run: int
    scan_id: int
    key: str
    recorded: Any
    replayed: Any


def replay(
    reader: Reader, runtime: Replayable[MemoryT], run: int | None = None
) -> Iterator[Mismatch]:
    """Fold `advise` over a run (default: the last) from its start; yields what differs.

    The caller makes sure that `runtime` is the bundle named in the run's row.
    """
    memory = runtime.initial_memory()
    expected = 0
    for scan in reader.scans(run):
        if scan["scan_id"] != expected:
            yield _mismatch(scan, "row", scan["scan_id"], expected)
            return
        expected += 1
        request = request_of(scan)
        if request is None or not _answered(scan):
            continue
        answer, memory = runtime.advise(request, memory)
        yield from _compare(scan, answer_document(answer))


def _answered(scan: Document) -> bool:
    """True when the model answered, in time or not, and its memory went on with it."""
    return scan["policy_move"] is not None or scan["refusal"] is not None


def _compare(scan: Document, replayed: Document) -> Iterator[Mismatch]:
    """Repr tells two floats apart in every bit, also 0.0 from -0.0."""
    for key, value in replayed.items():
        if key in ADDED_KEYS and key not in scan:
            continue
        recorded = scan[key]
        if repr(recorded) != repr(value):
            yield _mismatch(scan, key, recorded, value)


def _mismatch(scan: Document, key: str, recorded: Any, replayed: Any) -> Mismatch:
    return Mismatch(
        run=scan["run"], scan_id=scan["scan_id"], key=key, recorded=recorded, replayed=replayed
    )
