"""What the NMPC knows of the plant: an extended Kalman filter with disturbance states.

Offset-free by the nonlinear separation of Morari and Maeder (Automatica 48, 2012,
doi:10.1016/j.automatica.2012.06.038): as many integrating disturbances as measured outputs
(A, P, T; the controlled P and T are two of them), each of which moves a balance of its own.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from plant_sim.plant import NOISE_SD
from plant_sim.reactor import F64, NOMINAL
from plant_sim.yardstick.symbolic import casadi, derivative, settled_radicals

DISTURBANCES = ("inputs", "balances", "factors")
"""Where the three disturbances enter.

inputs: added to F_I [kg/h] and T_c [10 K], and to the monomer balance [10 kg/m3 h].
balances: added to the balances of P and T [10 kg/m3 h, 10 K/h] and of A [10 kg/m3 h].
factors: relative changes of the propagation rate, of UA, and of the monomer feed.
"""
OBSERVER_STEP_S = 100.0
MEASURED = (0, 2, 3)  # A, P, T of the model's four states
FRESH_POLYMER_KG_M3 = 5.0  # below it the reactor has not made product yet: no initiator in it
_SETTLE_S = 48.0 * 3600.0
_STATE_SD = (0.3, 0.02, 0.1, 0.02)  # per root hour: A, I, P [kg/m3], T [K]
_PRIOR_SD = 0.15


def disturbed(x: Any, u: Any, d: Any, kind: str) -> Any:
    """dx/dt (4,) per second of the nominal model under disturbances d (3,); see `DISTURBANCES`."""
    ca = casadi()
    p = ca.DM(NOMINAL.array())
    if kind == "factors":
        one = 1.0 + d
        return _settled(
            x, u, ca.vertcat(p[0], p[1] * one[0], p[2], p[3] * one[1], p[4] * one[2], p[5])
        )
    monomer = 10.0 * d[2] / 3600.0
    if kind == "inputs":
        dx = _settled(x, u + ca.vertcat(d[0], 10.0 * d[1]), p)
        return dx + ca.vertcat(monomer, 0.0, 0.0, 0.0)
    if kind == "balances":
        load = 10.0 / 3600.0 * d
        return _settled(x, u, p) + ca.vertcat(monomer, 0.0, load[0], load[1])
    raise ValueError(f"disturbance: {kind!r}; allowed: {', '.join(DISTURBANCES)}")


def _settled(x: Any, u: Any, p: Any) -> Any:
    """dx/dt (4,) per second of A, I, P, T with radicals at rest; they settle within minutes."""
    ca = casadi()
    radicals = settled_radicals(x[1], x[3], p)
    dx = derivative(ca.vertcat(x[0], x[1], radicals, x[2], x[3]), u, p)
    return ca.vertcat(dx[0], dx[1], dx[3], dx[4])


def runge_kutta(x: Any, u: Any, d: Any, kind: str, *, step_s: float, steps: int) -> Any:
    """State (4,) after `steps` Runge-Kutta steps of `step_s` seconds under constant u and d."""
    for _ in range(steps):
        k1 = disturbed(x, u, d, kind)
        k2 = disturbed(x + step_s / 2.0 * k1, u, d, kind)
        k3 = disturbed(x + step_s / 2.0 * k2, u, d, kind)
        k4 = disturbed(x + step_s * k3, u, d, kind)
        x = x + step_s / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return x


@cache
def _transition(kind: str, sample_time_s: float) -> Any:
    """(z (7,), u (2,)) -> z after one sample and its Jacobian (7, 7) over z."""
    ca = casadi()
    z, u = ca.SX.sym("z", 7), ca.SX.sym("u", 2)
    steps = max(1, round(sample_time_s / OBSERVER_STEP_S))
    x = runge_kutta(z[:4], u, z[4:], kind, step_s=sample_time_s / steps, steps=steps)
    after = ca.vertcat(x, z[4:])
    return ca.Function("transition", [z, u], [after, ca.jacobian(after, z)])


@dataclass(slots=True, kw_only=True)
class Observer:
    """Extended Kalman filter over z = (A, I, P [kg/m3], T [K], three disturbances).

    disturbance_sd: random walk of each disturbance per root hour, in its own unit.
    """

    kind: str
    sample_time_s: float
    disturbance_sd: tuple[float, float, float]
    z: F64 = field(init=False)
    covariance: F64 = field(init=False)

    def start(self, measured: F64, actual: F64) -> None:
        """Begin with a first reading (3,) A, P, T and the inputs in force (2,).

        A reactor with product in it has been watched for long: the filter is run on the first
        reading until it rests. A fresh one holds no initiator.
        """
        monomer, polymer, temperature = measured
        fresh = polymer < FRESH_POLYMER_KG_M3
        self.z = np.array([monomer, 0.0, polymer, temperature, 0.0, 0.0, 0.0])
        self.covariance = np.diag(
            np.square([NOISE_SD[0], 0.1 if fresh else 3.0, NOISE_SD[1], NOISE_SD[2]])
        )
        disturbance = np.square(_PRIOR_SD) * np.eye(3)
        self.covariance = np.block(
            [[self.covariance, np.zeros((4, 3))], [np.zeros((3, 4)), disturbance]]
        )
        self._limit()
        if not fresh:
            self.z[1] = 5.5 * actual[0]
            for _ in range(round(_SETTLE_S / self.sample_time_s)):
                self.follow(measured, actual)

    def follow(self, measured: F64, applied: F64) -> None:
        """One sample under `applied` (2,), then a reading (3,) A, P, T at its end.

        A reading that is not finite is left out: the model alone carries on.
        """
        after, slope = _transition(self.kind, self.sample_time_s)(self.z, applied)
        F = np.asarray(slope)
        hours = self.sample_time_s / 3600.0
        Q = np.diag(np.square([*_STATE_SD, *self.disturbance_sd])) * hours
        covariance = F @ self.covariance @ F.T + Q
        z = np.asarray(after).ravel()
        if not np.isfinite(measured).all():
            self.z, self.covariance = z, covariance
            return
        picked = covariance[:, MEASURED]
        innovation = covariance[np.ix_(MEASURED, MEASURED)] + np.diag(np.square(NOISE_SD))
        gain = np.linalg.solve(innovation, picked.T).T
        self.z = z + gain @ (measured - z[list(MEASURED)])
        covariance = covariance - gain @ picked.T
        self.covariance = 0.5 * (covariance + covariance.T)
        self._limit()

    def _limit(self) -> None:
        """Concentrations are not negative; no disturbance takes more than 80 % of a rate away."""
        self.z[:3] = np.maximum(self.z[:3], 0.0)
        self.z[4:] = np.clip(self.z[4:], -0.8, 2.0)
