"""The polymerisation CSTR: equations, constants, and steady states.

Free-radical polymerisation in a jacketed continuous stirred tank. Equations and constants:
arXiv 2507.22640 and the environment its authors published with it.

    dA/dt = F_A/V - (q/V) A - r                              r = k_p R A
    dI/dt = F_I/V - (q/V) I - k_d I                          q = (F_I + F_A + F_S) / rho
    dR/dt = 2 k_d I / MW_I - 2 k_t R^2                       (radicals are not washed out)
    dP/dt = r - (q/V) P
    dT/dt = ((-dH) r/MW_A V - UA (T - T_c) + q rho c_p (T_feed - T)) / (rho c_p V)

State x = (A, I [kg/m3], R [mol/m3], P [kg/m3], T [K]); input u = (F_I [kg/h], T_c [K]).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plant_sim.compiled import compiled
from plant_sim.lane_functions import exp
from plant_sim.lane_types import ONE
from plant_sim.lanes import Lanes, join, kernel_part, load, split, store

F64 = NDArray[np.float64]

# Constants of arXiv 2507.22640.
GAS_CONSTANT_J_MOL_K = 8.314
K_D0_PER_S = 1.0e9  # initiator decomposition, pre-exponential
K_P0_M3_MOL_S = 4.0e4  # propagation
K_T0_M3_MOL_S = 1.0e6  # termination
E_D_J_MOL = 125.0e3
E_P_J_MOL = 25.0e3
E_T_J_MOL = 15.0e3
MONOMER_FEED_KG_H = 100.0  # F_A
SOLVENT_FEED_KG_H = 80.0  # F_S
FEED_TEMPERATURE_K = 350.0
DENSITY_KG_M3 = 1000.0
HEAT_CAPACITY_J_KG_K = 2000.0
VOLUME_M3 = 1.0
MW_MONOMER_KG_MOL = 0.100
MW_INITIATOR_KG_MOL = 0.165
REACTION_HEAT_J_MOL = 1.0e5  # released, -dH
UA_W_K = 500.0
INPUT_LOW = (0.0, 300.0)  # F_I [kg/h], T_c [K]
INPUT_HIGH = (2.5, 350.0)

_HOUR_S = 3600.0
_E_UNIT_J_MOL = 5.0e3  # 15, 25 and 125 kJ/mol are 3, 5 and 25 times this: one exponential for all
_E_UNIT_OVER_GAS_K = _E_UNIT_J_MOL / GAS_CONSTANT_J_MOL_K
_THERMAL_MASS_J_K = DENSITY_KG_M3 * HEAT_CAPACITY_J_KG_K * VOLUME_M3
_HEAT_J_KG = REACTION_HEAT_J_MOL / MW_MONOMER_KG_MOL
_FEED_PER_VOLUME = 1.0 / _HOUR_S / VOLUME_M3  # kg/h -> kg/(m3 s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What may differ between the plant and its nominal model.

    All but the last are factors on the nominal constant; `feed_temperature_offset_K` is added.
    """

    k_d: float = 1.0
    k_p: float = 1.0
    k_t: float = 1.0
    UA: float = 1.0
    F_A: float = 1.0
    feed_temperature_offset_K: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a plant that cannot exist."""
        for name in ("k_d", "k_p", "k_t", "UA", "F_A"):
            value = getattr(self, name)
            if not 0.0 < value < np.inf:
                raise ValueError(f"Parameters.{name}: {value}; allowed: finite and above 0")
        if not abs(self.feed_temperature_offset_K) <= 50.0:
            raise ValueError(
                f"Parameters.feed_temperature_offset_K: {self.feed_temperature_offset_K}; "
                "allowed: -50 to 50"
            )

    @classmethod
    def sample_mismatch(cls, rng: np.random.Generator) -> "Parameters":
        """One random plant: rates and UA U(0.8, 1.2), F_A U(0.9, 1.1), feed +-3 K."""
        k_d, k_p, k_t, ua = rng.uniform(0.8, 1.2, 4).tolist()
        feed = float(rng.uniform(0.9, 1.1))
        offset = float(rng.uniform(-3.0, 3.0))
        return cls(k_d=k_d, k_p=k_p, k_t=k_t, UA=ua, F_A=feed, feed_temperature_offset_K=offset)

    def disturbed(self) -> "Parameters":
        """The plant after the mid-episode disturbance: F_A -10 %, UA -15 %."""
        return replace(self, F_A=0.90 * self.F_A, UA=0.85 * self.UA)

    def array(self) -> F64:
        """Absolute values for the kernels: k_d0, k_p0, k_t0, UA, F_A, T_feed."""
        return np.array(
            [
                self.k_d * K_D0_PER_S,
                self.k_p * K_P0_M3_MOL_S,
                self.k_t * K_T0_M3_MOL_S,
                self.UA * UA_W_K,
                self.F_A * MONOMER_FEED_KG_H,
                FEED_TEMPERATURE_K + self.feed_temperature_offset_K,
            ]
        )


NOMINAL = Parameters()


@kernel_part
def rates(x: Lanes, feed: Lanes, coolant: Lanes, flow_feed: Lanes, p: Lanes) -> Lanes:
    """dx/dt of the states `x` (5 rows); `p`: 6 rows, as `Parameters.array`.

    `feed` [kg/h] is the initiator that enters, `flow_feed` [kg/h] the one counted in the total
    flow: the same, except that the public environment lags the flow by one sample.
    """
    A, I, R, P, T = split(x)  # noqa: E741
    k_d0, k_p0, k_t0, UA, F_A, T_feed = split(p)
    e = exp(-_E_UNIT_OVER_GAS_K / T)
    e3 = e * e * e
    e5 = e3 * e * e
    e10 = e5 * e5
    k_d = k_d0 * e10 * e10 * e5
    k_p = k_p0 * e5
    k_t = k_t0 * e3
    dilution = (flow_feed + F_A + SOLVENT_FEED_KG_H) / DENSITY_KG_M3 * _FEED_PER_VOLUME
    rate = k_p * R * A
    heat = _HEAT_J_KG * rate * VOLUME_M3 - UA * (T - coolant)
    return join(
        (
            F_A * _FEED_PER_VOLUME - dilution * A - rate,
            feed * _FEED_PER_VOLUME - dilution * I - k_d * I,
            2.0 * k_d * I / MW_INITIATOR_KG_MOL - 2.0 * k_t * R * R,
            rate - dilution * P,
            heat / _THERMAL_MASS_J_K + dilution * (T_feed - T),
        )
    )


@compiled("void(float64[::1], float64[::1], float64[::1], float64[::1])")
def derivative(x: F64, inputs: F64, p: F64, dx: F64) -> None:
    """Write dx/dt of one plant into `dx`; inputs (3,): feed, coolant, feed in the flow."""
    feed, coolant, flow_feed = split(load(inputs, 0, 3, ONE))
    store(dx, 0, rates(load(x, 0, 5, ONE), feed, coolant, flow_feed, load(p, 0, 6, ONE)))


def rhs(x: ArrayLike, u: ArrayLike, parameters: Parameters = NOMINAL) -> F64:
    """Time derivative of the reactor state, per second.

    x: (5,) A, I [kg/m3], R [mol/m3], P [kg/m3], T [K].  u: (2,) F_I [kg/h], T_c [K].
    Returns (5,).  Source: arXiv 2507.22640; constants of this module.
    """
    state = np.ascontiguousarray(x, dtype=np.float64)
    feed, coolant = np.asarray(u, dtype=np.float64).tolist()
    dx = np.empty(5)
    derivative(state, np.array([feed, coolant, feed]), parameters.array(), dx)
    return dx


def steady_point(P: float, T: float, parameters: Parameters = NOMINAL) -> tuple[F64, F64]:
    """State (5,) and inputs (2,) that hold polymer `P` [kg/m3] at temperature `T` [K].

    Raises ValueError when no inputs inside their ranges do. The balances are solved backwards:
    given F_I they yield A, R, I in turn and with I the F_I needed, which is found by bisection.
    """
    k_d, k_p, k_t = _rates(T, parameters)
    p = parameters.array()

    def needed(feed: float) -> tuple[float, F64]:
        dilution = (feed + p[4] + SOLVENT_FEED_KG_H) / DENSITY_KG_M3 * _FEED_PER_VOLUME
        A = p[4] * _FEED_PER_VOLUME / dilution - P
        if A <= 0.0:
            return np.inf, np.zeros(5)
        R = dilution * P / (k_p * A)
        I = k_t * R * R * MW_INITIATOR_KG_MOL / k_d  # noqa: E741
        return (dilution + k_d) * I / _FEED_PER_VOLUME, np.array([A, I, R, P, T])

    low, high = INPUT_LOW[0], INPUT_HIGH[0]
    reachable = P >= 0.0 and needed(high)[0] <= high
    if reachable:
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if needed(middle)[0] > middle else (low, middle)
        state = needed(high)[1]
        # dT/dt is linear in T_c: read the coolant temperature off its value at T_c = T
        surplus = float(rhs(state, (high, T), parameters)[4]) * _THERMAL_MASS_J_K
        coolant = T - surplus / p[3]
        reachable = INPUT_LOW[1] <= coolant <= INPUT_HIGH[1]
    if not reachable:
        raise ValueError(
            f"no steady state with P = {P} kg/m3 and T = {T} K for inputs inside "
            f"{INPUT_LOW}..{INPUT_HIGH} (kg/h, K)"
        )
    return state, np.array([high, coolant])


def steady_inputs(P: float, T: float, parameters: Parameters = NOMINAL) -> F64:
    """Inputs (2,) F_I [kg/h], T_c [K] that hold `P` [kg/m3] and `T` [K]; see `steady_point`."""
    return steady_point(P, T, parameters)[1]


def steady_state(u: ArrayLike, parameters: Parameters = NOMINAL) -> F64:
    """Steady state (5,) under constant inputs (2,) F_I [kg/h], T_c [K].

    Of the up to three steady states of an exothermic reactor this is the coolest one.
    """
    feed, coolant = np.asarray(u, dtype=np.float64).tolist()
    p = parameters.array()
    dilution = (feed + p[4] + SOLVENT_FEED_KG_H) / DENSITY_KG_M3 * _FEED_PER_VOLUME

    def state_at(T: float) -> F64:
        k_d, k_p, k_t = _rates(T, parameters)
        I = feed * _FEED_PER_VOLUME / (dilution + k_d)  # noqa: E741
        R = np.sqrt(k_d * I / (MW_INITIATOR_KG_MOL * k_t))
        A = p[4] * _FEED_PER_VOLUME / (dilution + k_p * R)
        return np.array([A, I, R, k_p * R * A / dilution, T])

    def heating(T: float) -> float:
        return float(rhs(state_at(T), (feed, coolant), parameters)[4])

    low = min(coolant, float(p[5]))  # nothing cools the reactor below both of its surroundings
    high = low + 1.0
    while heating(high) > 0.0:
        low, high = high, high + 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if heating(middle) > 0.0 else (low, middle)
    return state_at(high)


def _rates(T: float, parameters: Parameters) -> tuple[float, float, float]:
    """k_d [1/s], k_p, k_t [m3/(mol s)] at temperature `T` [K]."""
    p = parameters.array()
    energies = np.array([E_D_J_MOL, E_P_J_MOL, E_T_J_MOL])
    k_d, k_p, k_t = (p[:3] * np.exp(-energies / (GAS_CONSTANT_J_MOL_K * T))).tolist()
    return k_d, k_p, k_t
