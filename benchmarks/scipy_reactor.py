"""The reactor stepped as the published environment does: SciPy's BDF over each sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import solve_ivp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

GAS_CONSTANT = 8.314
RTOL, ATOL = 1e-6, 1e-8
"""As the published environment has them."""
LOW, HIGH = np.array([0.0, 300.0]), np.array([2.5, 350.0])


class ScipyReactor:
    """Nominal reactor; inputs are constant over a sample, the right-hand side is plain Python."""

    feed_A, solvent, density, heat_capacity, volume = 100.0, 80.0, 1000.0, 2000.0, 1.0
    UA, feed_T, heat, MW_A, MW_I = 500.0, 350.0, 1e5, 0.100, 0.165

    def step(self, x: F64, u: F64, dt: float, rtol: float = RTOL, atol: float = ATOL) -> F64:
        """State (5,) after `dt` seconds."""
        feed, coolant = np.clip(u, LOW, HIGH)
        solution = solve_ivp(
            lambda _, y: self.slope(y, feed, coolant),
            (0.0, dt),
            x,
            method="BDF",
            rtol=rtol,
            atol=atol,
        )
        return solution.y[:, -1]

    def rate(self, factor: float, energy: float, T: float) -> float:
        """Arrhenius."""
        return factor * np.exp(-energy / (GAS_CONSTANT * T))

    def slope(self, x: F64, feed: float, coolant: float) -> list[float]:
        """dx/dt, per second."""
        A, I, R, P, T = x  # noqa: E741
        k_d, k_p, k_t = self.rate(1e9, 125e3, T), self.rate(4e4, 25e3, T), self.rate(1e6, 15e3, T)
        flow = (feed + self.feed_A + self.solvent) / self.density / 3600.0
        dilution, r = flow / self.volume, k_p * R * A
        warming = self.heat * r / self.MW_A * self.volume - self.UA * (T - coolant)
        warming += flow * self.density * self.heat_capacity * (self.feed_T - T)
        return [
            self.feed_A / 3600.0 / self.volume - dilution * A - r,
            feed / 3600.0 / self.volume - dilution * I - k_d * I,
            2.0 * k_d * I / self.MW_I - 2.0 * k_t * R * R,
            r - dilution * P,
            warming / (self.density * self.heat_capacity * self.volume),
        ]
