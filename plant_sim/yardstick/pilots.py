"""The yardsticks as pilots: small picklable descriptions of who drives an episode.

A pilot has `name`, `digest`, `reset_options()`, `begin(env, seen, info)` and
`decide(seen, info)`, which returns targets (2,) [kg/h, K] for the next sample, or None to let
the DCS's own PI act; `regulatory` says that it always does. Whoever runs episodes asks for them
by name only.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from plant_sim.env import PolymerCSTREnv
from plant_sim.reactor import F64, Parameters, steady_point
from plant_sim.regulatory import PiTuning, sample_published
from plant_sim.yardstick.digest import digest_of
from plant_sim.yardstick.nmpc import NmpcPilot, options_for
from plant_sim.yardstick.optimum import OptimumPilot
from plant_sim.yardstick.symbolic import casadi

ROBUST_TUNING = PiTuning(kp=(0.05835, 0.2485), ki=(2.396e-6, 4.599e-5))
"""Found by `trimtab-plant tune-pi` with its default seed and budget.

Score on the tuning starts of startup, grade down, grade up: nominal 51, 65, 51, with mismatch and
noise 57, 66, 51. The DCS's `DEFAULT_TUNING` has 29, 83, 75 and 37, 84, 79: better in the grade
changes, but its worst cell is 29 against 51.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PiPilot:
    """The DCS's own PI with one tuning for the whole episode."""

    name: str
    tuning: PiTuning

    @property
    def regulatory(self) -> bool:
        """It leaves every sample to the DCS, so that many episodes can run side by side."""
        return True

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what the moves depend on."""
        return digest_of("pi", asdict(self.tuning))

    def reset_options(self) -> dict[str, Any]:
        """Options of `PolymerCSTREnv.reset`."""
        return {"tuning": self.tuning}

    def begin(self, env: PolymerCSTREnv, seen: F64, info: dict[str, Any]) -> None:
        """Nothing to prepare: the PI lives in the DCS."""

    def decide(self, seen: F64, info: dict[str, Any]) -> None:  # noqa: ARG002  (a pilot's signature)
        """Leave the sample to the DCS."""
        return


def published(count: int, seed: int) -> list[PiPilot]:
    """Draw PIs from the ranges of arXiv 2507.22640, named pi_published_000 and on.

    The first of a larger `count` are the same. Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count: {count}; allowed: 1 and above")
    rng = np.random.default_rng(seed)
    return [
        PiPilot(name=f"pi_published_{number:03d}", tuning=sample_published(rng))
        for number in range(count)
    ]


def robust() -> PiPilot:
    """One tuning for every scenario; see `plant_sim.yardstick.tuner`."""
    return PiPilot(name="pi_robust", tuning=ROBUST_TUNING)


def nmpc(sample_time_s: float) -> NmpcPilot:
    """Offset-free NMPC with the nominal model; ValueError for a sample time it was not made for.

    Raises CasadiMissingError when CasADi is not installed.
    """
    casadi()
    return NmpcPilot(options=options_for(sample_time_s))


def optimum() -> OptimumPilot:
    """The optimum of a perfect model; needs CasADi, as `nmpc`."""
    casadi()
    return OptimumPilot()


def reachable(env: PolymerCSTREnv, info: dict[str, Any]) -> bool:
    """Whether inputs inside their ranges hold the setpoint of the episode that `reset` began.

    With the true parameters of the end of the episode, after its disturbance where it has one.
    """
    plant = env.plant
    P, T = info["setpoint"].tolist()
    disturbed = plant.options.disturbance
    parameters: Parameters = plant.parameters.disturbed() if disturbed else plant.parameters
    try:
        steady_point(P, T, parameters)
    except ValueError:
        return False
    return True
