"""Rows of the sequence PICNN: a whole scan's advice and the correction alone, on recorded scans.

Beside them: eager PyTorch as the paper corrects and with the state collapsed first, PyTorch to the
same gap, ONNX Runtime, and the nonlinear MPCs that the correction stands in for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks import nmpc_rivals, onnx_graphs, ours
from benchmarks.agreement import agree
from benchmarks.measure import Contender, measure
from benchmarks.rows import compared, skipped
from benchmarks.sequence_parts import SequenceParts
from benchmarks.stream import recorded
from benchmarks.torch_sequence import IN_SCANS, TorchSequence, batch_of_one, published
from models.bundle import default_bundle, load_manifest, load_weights
from models.learning.reference import Reference
from models.runtime import Advice, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.rows import Row
    from benchmarks.stream import Scan

STEPS = 50
ADVISE, CORRECT = "sequence PICNN, Runtime.advise whole", "sequence PICNN, correction alone"
PUBLISHED = "eager torch float64, K = 50 through the networks"
COLLAPSED = "eager torch float64, state collapsed, K = 50"
TO_GAP = "eager torch float64, state collapsed, to the same gap"
ONNX = "ONNX Runtime float32, K = 50 in one graph"
DO_MPC = "do-mpc NMPC, 5 states, N = 20, IPOPT"
OWN_NMPC = "own NMPC, 12 blocks over 8 h, CasADi"
SAME_COST, CLOSE = 1e-6, 1e-3
"""Relative difference allowed between minima, and between ends of the descents [scaled moves]."""
CHECKED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything the contenders share; rate: step size with which a descent descends everywhere."""

    scans: tuple[Scan, ...]
    runtime: Runtime
    torchs: TorchSequence
    reference: Reference
    parts: SequenceParts
    rate: float

    @property
    def size(self) -> str:
        """In words."""
        p = self.parts
        return f"{p.n_mv} MVs x {p.n_blocks} blocks, {p.n_cv} CVs, ensemble of {p.members}"


def bench() -> Bench:
    """The shipped bundle on its recorded stream."""
    manifest, tensors = load_manifest(default_bundle()), load_weights(default_bundle())
    parts = SequenceParts.of(manifest, tensors)
    torchs = TorchSequence(parts)
    scans = recorded()
    steep = max(torchs.steepness(torchs.question(scan.correction)) for scan in scans)
    return Bench(
        scans=scans,
        runtime=Runtime(manifest, tensors),
        torchs=torchs,
        reference=Reference(manifest, tensors),
        parts=parts,
        rate=1.0 / steep,
    )


def rows(seconds: float, *, seed: int = 0) -> list[Row]:
    """All comparisons, interleaved in one run; raises DifferentError where answers differ."""
    found = bench()
    left = check(found)
    absent = {ONNX: onnx_graphs.missing(), DO_MPC: nmpc_rivals.missing()}
    contenders = contenders_of(found, absent, seed)
    timings = measure(contenders, seconds=seconds, seed=seed)
    limits = {"p50": 500.0, "cpu_p999": 1500.0}
    more: dict[str, dict[str, Any]] = {
        DO_MPC: {"goal": 30.0, "limits": limits},
        PUBLISHED: {"note": left},
        COLLAPSED: {"note": left},
        ONNX: {"note": left},
    }
    pairs = [(ADVISE, DO_MPC), (ADVISE, OWN_NMPC)]
    pairs += [
        (CORRECT, against) for against in (DO_MPC, OWN_NMPC, PUBLISHED, COLLAPSED, TO_GAP, ONNX)
    ]
    return [
        skipped(mode, absent[against], against=against, size=found.size)
        if absent.get(against)
        else compared(
            mode, timings[mode], timings[against], size=found.size, **more.get(against, {})
        )
        for mode, against in pairs
    ]


def contenders_of(found: Bench, absent: dict[str, str], seed: int) -> list[Contender]:
    """Ours and all of theirs that can run here, each in an order of its own."""
    rng = np.random.default_rng(seed)
    pick = _picker(found.scans, rng)
    own = nmpc_rivals.Walk(nmpc_rivals.OwnNmpc(), found.scans, seed=seed)
    contenders = [
        Contender(name=ADVISE, work=advise(found, pick), calls=20),
        Contender(name=CORRECT, work=correct(found, pick), calls=20),
        Contender(name=PUBLISHED, work=torch_published(found, pick), lead_in=False),
        Contender(name=COLLAPSED, work=torch_collapsed(found, pick), lead_in=False),
        Contender(name=TO_GAP, work=torch_to_gap(found, pick), lead_in=False),
        Contender(name=OWN_NMPC, work=own.decide, prepare=own.prepare, lead_in=False),
    ]
    if not absent[ONNX]:
        contenders.append(Contender(name=ONNX, work=onnx_descent(found, pick), calls=5))
    if not absent[DO_MPC]:
        walk = nmpc_rivals.Walk(nmpc_rivals.DoMpc(), found.scans, seed=seed)
        contenders.append(
            Contender(name=DO_MPC, work=walk.decide, prepare=walk.prepare, lead_in=False)
        )
    return contenders


def _picker(scans: tuple[Scan, ...], rng: np.random.Generator) -> Callable[[], Callable[[], int]]:
    """Makes endless walks over all scans, each in a random order of its own."""

    def walk() -> Callable[[], int]:
        order = rng.permutation(len(scans)).tolist()
        place = [0]

        def following() -> int:
            place[0] = (place[0] + 1) % len(order)
            return int(order[place[0]])

        return following

    return walk


def advise(found: Bench, pick: Callable[[], Callable[[], int]]) -> Callable[[], Any]:
    """Ours: everything between the values of a scan and its certified move."""
    following, scans, runtime = pick(), found.scans, found.runtime

    def work() -> None:
        scan = scans[following()]
        answer, _ = runtime.advise(scan.request, scan.memory)
        if not (isinstance(answer, Advice) and answer.certified):
            raise RuntimeError(f"not certified: {answer}")

    return work


def correct(found: Bench, pick: Callable[[], Callable[[], int]]) -> Callable[[], Any]:
    """Ours: networks, collapse, certified minimiser."""
    following, scans, model = pick(), found.scans, found.runtime.model
    return lambda: ours.sequence_correct(model, scans[following()].correction)


def torch_published(found: Bench, pick: Callable[[], Callable[[], int]]) -> Callable[[], Any]:
    """Theirs, by the formulas of `models.learning.reference`."""
    following, asked = pick(), [found.torchs.question(scan.correction) for scan in found.scans]
    scans = [batch_of_one(one) for one in asked]

    def work() -> Any:
        i = following()
        start = asked[i]["start"]
        return published(found.reference, scans[i], start, steps=STEPS, rate=found.rate)

    return work


def torch_collapsed(found: Bench, pick: Callable[[], Callable[[], int]]) -> Callable[[], Any]:
    """Theirs, with the networks evaluated once."""
    following, asked = pick(), [found.torchs.question(scan.correction) for scan in found.scans]
    return lambda: found.torchs.descend(asked[following()], steps=STEPS, rate=found.rate)


def torch_to_gap(found: Bench, pick: Callable[[], Callable[[], int]]) -> Callable[[], Any]:
    """Theirs, to the certificate."""
    following, asked = pick(), [found.torchs.question(scan.correction) for scan in found.scans]
    cost = found.runtime.manifest.cost

    def work() -> None:
        solved = found.torchs.minimise(
            asked[following()], absolute=cost.gap_absolute, relative=cost.gap_relative
        )
        tolerance = cost.gap_absolute + cost.gap_relative * abs(solved.cost)
        agree(f"{TO_GAP}: the gap where it stopped", solved.gap, tolerance)

    return work


def onnx_descent(found: Bench, pick: Callable[[], Callable[[], int]]) -> Callable[[], Any]:
    """K steps in one graph."""
    session = onnx_graphs.sequence_descent(found.parts, steps=STEPS, rate=found.rate)
    following, feeds = pick(), [feed(scan) for scan in found.scans]
    return lambda: session.run(None, feeds[following()])


def feed(scan: Scan) -> dict[str, Any]:
    """A scan's arrays as columns of float32."""
    names = (*IN_SCANS, "start")
    columns = {name: np.asarray(getattr(scan.correction, name), np.float32) for name in names}
    return {name: value.reshape(-1, 1) for name, value in columns.items()}


def check(found: Bench) -> str:
    """Compare all answers on some scans; how far K steps stay above the minimum, in words.

    Raises DifferentError.
    """
    excess = []
    session = None
    if not onnx_graphs.missing():
        session = onnx_graphs.sequence_descent(found.parts, steps=STEPS, rate=found.rate)
    for scan in found.scans[:: len(found.scans) // CHECKED]:
        asked = found.torchs.question(scan.correction)
        batch, z = batch_of_one(asked), ours.sequence_correct(found.runtime.model, scan.correction)
        reference = found.reference.cost(batch, torch.as_tensor(z.z).reshape(batch.low.shape))
        agree(f"{CORRECT}: cost", abs(reference.item() / z.cost - 1.0), SAME_COST)
        ends = found.torchs.descend(asked, steps=STEPS, rate=found.rate)
        whole = published(
            found.reference, batch, asked["start"], steps=STEPS, rate=found.rate
        ).ravel()
        agree(f"{COLLAPSED}, from {PUBLISHED}", (ends - whole).abs().max().item(), CLOSE)
        if session is not None:
            graph = session.run(None, feed(scan))[0][:, 0]
            agree(f"{ONNX}, from {COLLAPSED}", float(np.abs(graph - ends.numpy()).max()), CLOSE)
        excess.append(found.torchs.collapse(asked).cost(ends).item() / z.cost - 1.0)
    return f"K = {STEPS} ends {np.median(excess):.1%} above the minimum (median)"
