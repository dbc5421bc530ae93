"""The three scenarios: where an episode starts and the product it is to make."""

from dataclasses import dataclass

import numpy as np

from plant_sim.reactor import F64, NOMINAL, Parameters, steady_point
from plant_sim.regulatory import PUBLISHED_BIAS

STARTUP_MONOMER_KG_M3 = 440.0  # the solvent-and-monomer filling, times U(0.75, 1.25)
STARTUP_TEMPERATURE_K = 350.0  # plus U(-5, 5)
GRADE_START = (100.0, 350.0)  # plus U(-8, 8) kg/m3 and U(-2, 2) K
_DRAWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where an episode starts.

    state: (5,).  actual: (2,) inputs in force.  setpoint: (2,) P [kg/m3], T [K] before any change.
    cold: the PI starts from its bias; otherwise it has been in control and starts from `actual`.
    """

    state: F64
    actual: F64
    setpoint: F64
    cold: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A start and a target: `setpoint` is (P [kg/m3], T [K])."""

    name: str
    setpoint: tuple[float, float]
    from_empty: bool

    def draw_start(self, rng: np.random.Generator, parameters: Parameters = NOMINAL) -> Start:
        """Draw the start of one episode of a plant with `parameters`."""
        if self.from_empty:
            A = STARTUP_MONOMER_KG_M3 * rng.uniform(0.75, 1.25)
            T = STARTUP_TEMPERATURE_K + rng.uniform(-5.0, 5.0)
            return Start(
                state=np.array([A, 0.0, 0.0, 0.0, T]),
                actual=np.array(PUBLISHED_BIAS),
                setpoint=np.array(self.setpoint),
                cold=True,
            )
        state, actual = _draw_steady(rng, parameters)
        return Start(state=state, actual=actual, setpoint=state[3:].copy(), cold=False)


def _draw_steady(rng: np.random.Generator, parameters: Parameters) -> tuple[F64, F64]:
    """Draw a steady point around `GRADE_START` that the inputs can hold.

    A mismatched plant may not reach the region at all: then the last draw's P comes down until
    the plant does.
    """
    P, T = GRADE_START
    for _ in range(_DRAWS):
        P = GRADE_START[0] + rng.uniform(-8.0, 8.0)
        T = GRADE_START[1] + rng.uniform(-2.0, 2.0)
        try:
            return steady_point(P, T, parameters)
        except ValueError:
            continue
    while True:
        P -= 1.0
        try:
            return steady_point(P, T, parameters)
        except ValueError:
            continue


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="startup", setpoint=(100.0, 350.0), from_empty=True),
        Scenario(name="grade_down", setpoint=(70.0, 345.0), from_empty=False),
        Scenario(name="grade_up", setpoint=(140.0, 355.0), from_empty=False),
    )
}


def scenario_named(name: str) -> Scenario:
    """Look a scenario up; raises ValueError naming the ones there are."""
    try:
        return SCENARIOS[name]
    except KeyError:
        raise ValueError(f"scenario: {name!r}; allowed: {', '.join(SCENARIOS)}") from None
