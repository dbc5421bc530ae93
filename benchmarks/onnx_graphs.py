"""ONNX graphs of the corrections: the state collapsed once, then K explicit gradient steps.

The gradients are written out by hand, and all steps are one graph: one call of the runtime a
correction is the fastest form that ONNX Runtime has been found to offer.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from models.online.sequence import FACTOR_SHIFT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.sequence_parts import SequenceParts

    F32 = NDArray[np.float32]
    F64 = NDArray[np.float64]

INSTALL = "pip install --constraint constraints.txt '.[bench]'"
OPSET = 18


def missing() -> str:
    """Why there are no rows of ONNX Runtime; "" where it can run."""
    for name in ("onnx", "onnxruntime"):
        try:
            importlib.import_module(name)
        except ImportError:
            return f"{name} is not installed: {INSTALL}"
    return ""


class Graph:
    """A graph of float32 operators under construction; names stand for tensors."""

    def __init__(self) -> None:
        self._onnx = importlib.import_module("onnx")
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []

    def input(self, name: str, shape: Sequence[int]) -> str:
        """An input of the graph."""
        kind = self._onnx.TensorProto.FLOAT
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def constant(self, value: F64 | float | Sequence[int]) -> str:
        """A constant: float32, or int64 for integers."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        name = f"c{len(self._constants)}"
        self._constants[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One operator; the name of its output."""
        name = f"t{len(self._nodes)}"
        node = self._onnx.helper.make_node(kind, list(inputs), [name], **attributes)
        self._nodes.append(node)
        return name

    def affine(self, weight: F64, bias: F64, x: str) -> str:
        """weight (m, n) times x (n, 1) plus bias (m,), as (m, 1)."""
        product = self.op("MatMul", self.constant(weight), x)
        return self.op("Add", product, self.constant(bias[:, None]))

    def silu(self, x: str) -> str:
        """x times its sigmoid."""
        return self.op("Mul", x, self.op("Sigmoid", x))

    def mlp(self, tensors: Mapping[str, F64], prefix: str, layers: int, x: str) -> str:
        """Hidden SiLU layers and a linear output, of x (n, 1)."""
        for i in range(layers + 1):
            x = self.affine(tensors[f"{prefix}.{i}.weight"], tensors[f"{prefix}.{i}.bias"], x)
            x = self.silu(x) if i < layers else x
        return x

    def session(self, output: str, shape: Sequence[int]) -> Any:
        """An inference session on one thread whose only output is `output`."""
        helper, runtime = self._onnx.helper, importlib.import_module("onnxruntime")
        kind = self._onnx.TensorProto.FLOAT
        out = helper.make_tensor_value_info(output, kind, list(shape))
        graph = helper.make_graph(
            self._nodes, "correction", self._inputs, [out], list(self._constants.values())
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
        self._onnx.checker.check_model(model)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
        return runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


def scalar_descent(tensors: Mapping[str, F64], *, layers: int, steps: int, rate: float) -> Any:
    """Session of the scalar PICNN's descent in [-1, 1].

    Inputs `features` (n, 1) and `action` (n_mv, 1), output (n_mv, 1).
    """
    g = Graph()
    part = {key.removeprefix("scalar."): value for key, value in tensors.items()}
    n_mv = part["a_path.0.weight"].shape[1]
    features = g.input("features", (part["state.0.weight"].shape[1], 1))
    a = g.input("action", (n_mv, 1))
    collapsed = _collapsed(g, part, layers, features)
    bounds = g.constant(-1.0), g.constant(1.0)
    size = g.constant(rate)
    for _ in range(steps):
        slope = _scalar_slope(g, collapsed, a)
        a = g.op("Clip", g.op("Sub", a, g.op("Mul", size, slope)), *bounds)
    return g.session(a, (n_mv, 1))


def _collapsed(
    g: Graph, part: Mapping[str, F64], layers: int, features: str
) -> list[tuple[str, ...]]:
    """For each layer: A (width, n_mv), A', b (width, 1), and from the second on M, M'."""
    u, found = features, []
    for i in range(layers + 1):
        gate = g.affine(part[f"a_gate.{i}.weight"], part[f"a_gate.{i}.bias"], u)
        row = g.op("Transpose", gate, perm=[1, 0])
        A = g.op("Mul", g.constant(part[f"a_path.{i}.weight"]), row)
        b = g.affine(part[f"u_path.{i}.weight"], part[f"u_path.{i}.bias"], u)
        names = [A, g.op("Transpose", A, perm=[1, 0]), b]
        if i > 0:
            raw = g.affine(part[f"z_gate.{i - 1}.weight"], part[f"z_gate.{i - 1}.bias"], u)
            open_ = g.op("Transpose", g.op("Relu", raw), perm=[1, 0])
            M = g.op("Mul", g.constant(part[f"z.{i}"]), open_)
            names += [M, g.op("Transpose", M, perm=[1, 0])]
        found.append(tuple(names))
        if i < layers:
            u = g.silu(g.affine(part[f"state.{i}.weight"], part[f"state.{i}.bias"], u))
    return found


def _scalar_slope(g: Graph, collapsed: list[tuple[str, ...]], a: str) -> str:
    """dc/da (n_mv, 1): softplus's slope is the sigmoid."""
    slopes, z = [], ""
    for A, _, b, *mixes in collapsed:
        x = g.op("Add", g.op("MatMul", A, a), b)
        if mixes:
            x = g.op("Add", x, g.op("MatMul", mixes[0], z))
        slopes.append(g.op("Sigmoid", x))
        z = g.op("Softplus", x)
    push, total = slopes[-1], ""
    for i in range(len(collapsed) - 1, -1, -1):
        term = g.op("MatMul", collapsed[i][1], push)
        total = g.op("Add", total, term) if total else term
        if i > 0:
            push = g.op("Mul", g.op("MatMul", collapsed[i][4], push), slopes[i - 1])
    return total


def sequence_descent(parts: SequenceParts, *, steps: int, rate: float) -> Any:
    """Session of the sequence correction's descent: networks, collapse, K steps.

    Inputs are columns named as the fields of `benchmarks.stream.Correction`; bias, low, high and
    start flat. Output (n, 1).
    """
    g = Graph()
    p, n = parts, parts.n_blocks * parts.n_mv
    asked = {
        "features": p.n_features,
        "disturbance": p.n_cv,
        "now": p.n_cv,
        "error": p.n_cv,
        "bias": p.n_blocks * p.n_cv,
        "policy": p.n_mv,
        "low": n,
        "high": n,
        "start": n,
    }
    for name, length in asked.items():
        g.input(name, (length, 1))
    H, q, M, m = _collapsed_sequence(g, parts)
    turned = g.op("Transpose", M, perm=[1, 0])
    size, steep = g.constant(rate), g.constant(2.0 * parts.penalty)
    z = "start"
    for _ in range(steps):
        over = g.op("Relu", g.op("Add", g.op("MatMul", M, z), m))
        push = g.op("Mul", steep, g.op("MatMul", turned, over))
        slope = g.op("Add", g.op("Add", g.op("MatMul", H, z), q), push)
        moved = g.op("Sub", z, g.op("Mul", size, slope))
        z = g.op("Min", g.op("Max", moved, "low"), "high")
    return g.session(z, (n, 1))


def _collapsed_sequence(g: Graph, p: SequenceParts) -> tuple[str, str, str, str]:
    """H (n, n), q (n, 1), M and m of the ceilings; as `benchmarks.torch_sequence` has them."""
    split, end, _ = p.cuts
    outs = [g.mlp(p.tensors, f"cost.{m}.net", p.layers, "features") for m in range(p.members)]
    mean = g.op("Mean", *outs)
    drawn = []
    for shared, out in zip(p.shared, outs, strict=True):
        raw = g.op("Slice", out, g.constant([split]), g.constant([end]), g.constant([0]))
        factor = g.op("Softplus", g.op("Add", raw, g.constant(FACTOR_SHIFT)))
        shape = g.constant([p.n_blocks, p.n_cv, 1, p.n_mv])
        drawn.append(g.op("Mul", g.constant(shared), g.op("Reshape", factor, shape)))
    rows = g.op("Reshape", g.op("Mean", *drawn), g.constant([split, p.n_blocks * p.n_mv]))
    free = g.op("Slice", mean, g.constant([0]), g.constant([split]), g.constant([0]))
    rates = g.op("Slice", mean, g.constant([end]), g.constant([p.cuts[2]]), g.constant([0]))
    rates = g.op("Reshape", rates, g.constant([split, p.n_cv]))
    rates = g.op("Mul", rates, g.constant(p.lasting.reshape(split, p.n_cv)))
    drift = g.op("Mul", free, g.constant(p.scale[:, None]))
    drift = g.op("Add", drift, g.op("MatMul", rates, "disturbance"))
    drift = g.op("Add", drift, "bias")
    tiles = g.constant([p.n_blocks, 1])
    miss = g.op("Sub", g.op("Tile", "error", tiles), drift)
    weight = g.constant(2.0 * p.weight[:, None])
    weighted = g.op("Transpose", g.op("Mul", rows, weight), perm=[1, 0])
    H = g.op("Add", g.op("MatMul", weighted, rows), g.constant(p.fixed))
    pull = np.zeros((p.n_blocks * p.n_mv, p.n_mv))
    pull[: p.n_mv] = p.proximal * np.eye(p.n_mv)
    tied = g.op("MatMul", g.constant(pull), "policy")
    q = g.op("Neg", g.op("Add", g.op("MatMul", weighted, miss), tied))
    index = g.constant(p.capped.tolist())
    excess = g.op("Add", g.op("Tile", "now", tiles), drift)
    m = g.op("Sub", g.op("Gather", excess, index, axis=0), g.constant(p.ceiling[:, None]))
    return H, q, g.op("Gather", rows, index, axis=0), m
