"""What a test of the controller's line to a plant hands it: a tick, a move, a fault that fails."""

from time import monotonic

import numpy as np
import pytest

from controller.core.types import Move, MoveOrigin, Tick


def tick() -> Tick:
    """A scan that starts now."""
    now = monotonic()
    return Tick(scan_id=0, due_s=now, started_s=now, budget_s=0.05)


def move(*targets: float, entering: bool = False, request: bool = True) -> Move:
    """To these targets; one that is no number is not written."""
    wanted = np.array(targets)
    return Move(
        targets=wanted,
        write=np.isfinite(wanted),
        request=request,
        origin=MoveOrigin.CORRECTION if request else MoveOrigin.RELEASE,
        entering=entering,
    )


def no_fault(error: BaseException) -> None:
    """Fail: the link's keeper may not."""
    pytest.fail(f"the link's keeper failed: {error!r}")
