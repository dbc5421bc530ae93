"""What drives an episode of the benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]


class EvaluationError(Exception):
    """An evaluation that cannot be run; the message says what to change."""


class Pilot(Protocol):
    """Drives one episode; small enough to be sent to another process.

    `digest`: sha256 hex over everything its moves depend on (figures, weights, its code).
    A pilot may have `noted`, figures of its last decision by name, such as `refused` (0 or 1)
    or `policy_distance`; the episode keeps them. It may have `about`, further columns of its rows,
    and `regulatory`: true if it leaves every sample to the DCS's PI. Neither `begin` nor `decide`
    of such a pilot need be called, and its episodes run side by side.
    """

    @property
    def name(self) -> str:
        """Name of the controller in the result."""
        ...

    @property
    def digest(self) -> str:
        """Sha256 hex, see above."""
        ...

    def reset_options(self) -> dict[str, Any]:
        """Options of the environment's `reset`, such as the tuning of the DCS's PI."""
        ...

    def begin(self, env: Any, seen: F64, info: dict[str, Any]) -> None:
        """Start an episode, after `reset`; only yardsticks may look into `env`."""
        ...

    def decide(self, seen: F64, info: dict[str, Any]) -> F64 | None:
        """Targets (n_mv,) [MV units] for the next sample; None lets the DCS's PI act."""
        ...


def is_regulatory(pilot: Pilot) -> bool:
    """Whether a pilot leaves every sample to the DCS's PI."""
    return bool(getattr(pilot, "regulatory", False))
