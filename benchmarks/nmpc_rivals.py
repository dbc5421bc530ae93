"""Nonlinear MPC of the same plant: do-mpc as its users run it, and the project's own yardstick."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from plant_sim.reactor import Parameters
from plant_sim.yardstick.nmpc import Nmpc, options_for
from plant_sim.yardstick.symbolic import RADICAL_UNIT, derivative

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.stream import Scan

    F64 = NDArray[np.float64]

HORIZON, SAMPLE_S = 20, 300.0
SEGMENT = 12
INSTALL = "pip install --constraint constraints.txt '.[bench]'"
STATES = ("A", "I", "R", "P", "T")
SCALES = (400.0, 10.0, 1.0, 100.0, 350.0)
"""Sizes of the states, in their order; R in 1e-6 mol/m3."""
UNITS = np.array([1.0, 1.0, RADICAL_UNIT, 1.0, 1.0])
WEIGHT_T = 1.4
MOVES = {"F_I": 30.0 / 2.5**2, "T_c": 30.0 / 50.0**2}
"""Weight of squared moves: 30 per squared span, as the project's own NMPC has it."""
CEILING_K, CEILING_WEIGHT = 362.2, 1000.0


def missing() -> str:
    """Why there is no row of do-mpc; "" where it can run."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module("do_mpc")
    except ImportError as error:
        return f"{error.name} is not installed: {INSTALL}"
    return ""


class DoMpc:
    """NMPC with 5 states, N = 20 samples of 300 s, orthogonal collocation and IPOPT's defaults.

    It is told the true state, so that no observer's time counts, and starts from its last solution,
    as do-mpc does by itself. solved, asked: how many of its problems IPOPT solved.
    """

    def __init__(self) -> None:
        self._setpoint = np.zeros(2)
        self._mpc = self._controller(_model())
        self.solved = self.asked = 0

    def start(self, scan: Scan) -> None:
        """Forget the last solution, and solve from a guess that holds this scan's state."""
        self._mpc.reset_history()
        self._mpc.x0 = scan.state / UNITS
        self._mpc.u0 = scan.request.sample.mv
        self._mpc.set_initial_guess()
        self.decide(scan)

    def decide(self, scan: Scan) -> F64:
        """The move (2,) at one scan of the stream."""
        self._setpoint = scan.request.sample.sp
        state = scan.state / UNITS
        move: F64 = np.asarray(self._mpc.make_step(state)).ravel()
        self.asked += 1
        self.solved += bool(self._mpc.solver_stats["success"])
        return move

    def _controller(self, model: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # CasADi's, about how do-mpc uses NumPy
            return self._built(model)

    def _built(self, model: Any) -> Any:
        do_mpc = importlib.import_module("do_mpc")
        mpc = do_mpc.controller.MPC(model)
        mpc.settings.n_horizon = HORIZON
        mpc.settings.t_step = SAMPLE_S
        mpc.settings.store_full_solution = False
        mpc.settings.supress_ipopt_output()
        P, T = model.x["P"], model.x["T"]
        miss = (P - model.tvp["sp_P"]) ** 2 + WEIGHT_T * (T - model.tvp["sp_T"]) ** 2
        mpc.set_objective(lterm=miss, mterm=miss)
        mpc.set_rterm(**MOVES)
        for name, scale in zip(STATES, SCALES, strict=True):
            mpc.scaling["_x", name] = scale
            mpc.bounds["lower", "_x", name] = 0.0
        for name, low, high in (("F_I", 0.0, 2.5), ("T_c", 300.0, 350.0)):
            mpc.bounds["lower", "_u", name] = low
            mpc.bounds["upper", "_u", name] = high
            mpc.scaling["_u", name] = high
        mpc.set_nl_cons(
            "ceiling", T, ub=CEILING_K, soft_constraint=True, penalty_term_cons=CEILING_WEIGHT
        )
        template = mpc.get_tvp_template()

        def setpoints(_: float) -> Any:
            template["_tvp", :, "sp_P"], template["_tvp", :, "sp_T"] = self._setpoint
            return template

        mpc.set_tvp_fun(setpoints)
        mpc.setup()
        return mpc


def _model() -> Any:
    do_mpc, ca = importlib.import_module("do_mpc"), importlib.import_module("casadi")
    model = do_mpc.model.Model("continuous")
    x = [model.set_variable("_x", name) for name in STATES]
    u = [model.set_variable("_u", name) for name in MOVES]
    for name in ("sp_P", "sp_T"):
        model.set_variable("_tvp", name)
    slopes = derivative(ca.vertcat(*x), ca.vertcat(*u), Parameters().array())
    for name, slope in zip(STATES, ca.vertsplit(slopes), strict=True):
        model.set_rhs(name, slope)
    model.setup()
    return model


class OwnNmpc:
    """The yardstick's NMPC with its observer: CasADi, 12 blocks of moves over 8 h, Gauss-Newton."""

    def __init__(self) -> None:
        self._options = options_for(SAMPLE_S)
        self._flight = Nmpc(self._options, rate_limited=False)

    def start(self, scan: Scan) -> None:
        """Begin anew at a scan, and solve there."""
        self._flight = Nmpc(self._options, rate_limited=False)
        self._flight.start(scan.seen)
        self.decide(scan)

    def decide(self, scan: Scan) -> F64:
        """The move (2,) at one scan of the stream."""
        return self._flight.decide(scan.seen)


class Walk:
    """Leads a controller that remembers through a stream, hour by hour in random order.

    Within an hour scans follow each other, so that the last solution is where the next one starts;
    the scan before each hour is solved by `prepare`, which is not timed.
    """

    def __init__(self, controller: DoMpc | OwnNmpc, scans: Sequence[Scan], *, seed: int) -> None:
        self._controller, self._scans = controller, scans
        self._rng = np.random.default_rng(seed)
        self._left: list[Scan] = []

    def prepare(self) -> None:
        """Make sure that there is a next scan, and that the controller stands before it."""
        if self._left:
            return
        start = int(self._rng.integers(len(self._scans) - SEGMENT))
        found = self._scans[start : start + SEGMENT + 1]
        later = [number for number, scan in enumerate(found) if scan.first and number > 0]
        self._left = list(found[: later[0]] if later else found)[::-1]
        self._controller.start(self._left.pop())
        if not self._left:
            self.prepare()

    def decide(self) -> F64:
        """The move at the next scan."""
        return self._controller.decide(self._left.pop())
