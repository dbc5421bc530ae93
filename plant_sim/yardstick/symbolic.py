"""The reactor's equations in CasADi, for optimisation; constants of `plant_sim.reactor`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from plant_sim import reactor

if TYPE_CHECKING:
    from types import ModuleType

RADICAL_UNIT = 1.0e-6  # mol/m3; radicals are of this size


class CasadiMissingError(ImportError):
    """CasADi is not installed; the message says how to get it."""


def casadi() -> ModuleType:
    """The CasADi module, imported when first needed; raises CasadiMissingError."""
    try:
        return importlib.import_module("casadi")
    except ImportError as error:
        raise CasadiMissingError(
            "the controllers `optimum` and `nmpc` need CasADi; in the checkout: "
            "pip install --constraint constraints.txt '.[dev]'"
        ) from error


def derivative(x: Any, u: Any, p: Any) -> Any:
    """dx/dt (5,) per second.

    x: (5,) A, I [kg/m3], R [1e-6 mol/m3], P [kg/m3], T [K]. u: (2,) F_I [kg/h], T_c [K].
    p: (6,) as `Parameters.array`.
    """
    ca = casadi()
    monomer, initiator, radicals, polymer, temperature = ca.vertsplit(x)
    feed, coolant = ca.vertsplit(u)
    k_d, k_p, k_t = rates(temperature, p)
    per_second = 1.0 / 3600.0 / reactor.VOLUME_M3
    flow = (feed + p[4] + reactor.SOLVENT_FEED_KG_H) / reactor.DENSITY_KG_M3 * per_second
    rate = k_p * radicals * RADICAL_UNIT * monomer
    mass = reactor.DENSITY_KG_M3 * reactor.HEAT_CAPACITY_J_KG_K * reactor.VOLUME_M3
    heat = reactor.REACTION_HEAT_J_MOL / reactor.MW_MONOMER_KG_MOL * rate * reactor.VOLUME_M3
    born = 2.0 * k_d * initiator / reactor.MW_INITIATOR_KG_MOL / RADICAL_UNIT
    return ca.vertcat(
        p[4] * per_second - flow * monomer - rate,
        feed * per_second - flow * initiator - k_d * initiator,
        born - 2.0 * k_t * RADICAL_UNIT * radicals**2,
        rate - flow * polymer,
        (heat - p[3] * (temperature - coolant)) / mass + flow * (p[5] - temperature),
    )


def rates(temperature: Any, p: Any) -> tuple[Any, Any, Any]:
    """k_d [1/s], k_p, k_t [m3/(mol s)] at a temperature [K]."""
    ca = casadi()
    heat_unit = reactor.GAS_CONSTANT_J_MOL_K * temperature
    k_d = p[0] * ca.exp(-reactor.E_D_J_MOL / heat_unit)
    k_p = p[1] * ca.exp(-reactor.E_P_J_MOL / heat_unit)
    k_t = p[2] * ca.exp(-reactor.E_T_J_MOL / heat_unit)
    return k_d, k_p, k_t


def settled_radicals(initiator: Any, temperature: Any, p: Any) -> Any:
    """Radicals R [1e-6 mol/m3] at which 2 k_d I / MW_I = 2 k_t R^2; they settle within minutes."""
    ca = casadi()
    k_d, _, k_t = rates(temperature, p)
    # the square root has no slope at 0, where a startup begins
    safe = ca.fmax(initiator, 1e-9)
    return ca.sqrt(k_d * safe / (reactor.MW_INITIATOR_KG_MOL * k_t)) / RADICAL_UNIT
