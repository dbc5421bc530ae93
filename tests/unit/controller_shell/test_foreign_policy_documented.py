"""What docs/foreign_policy.md shows works; so does an ONNX file."""

import asyncio
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from controller.configuration.settings import default_config_dir, load_settings
from controller.core.policy import PolicyMove
from controller.metrics import Metrics
from controller.policy.foreign import ForeignPolicy
from controller.startup import prepare
from models.runtime import ProcessSample

PAGE = (Path(__file__).parents[3] / "docs/foreign_policy.md").read_text(encoding="utf-8")
IN_CLEAR = {"policy": "None", "insecure": True}
SAMPLE = ProcessSample(
    plant_time_s=0.0,
    cv=np.array([101.0, 349.0]),
    sp=np.array([100.0, 350.5]),
    mv=np.array([1.79, 339.9]),
    dv=np.array([440.0]),
)


async def answer(policy: dict, monkeypatch):
    """The first answer of a policy that [policy] names, as `trimtab run` would start it."""
    monkeypatch.setenv("TRIMTAB_PASSWORD", "not used")
    settings = load_settings(
        default_config_dir() / "controller.toml", {"policy": policy, "security": IN_CLEAR}
    )
    prepared = prepare(settings)
    client = ForeignPolicy(prepared.policy_options, Metrics(prepared.labelling))
    bugs = []
    assert await client.start(bugs.append) is None
    try:
        return await client.ask(SAMPLE, asyncio.get_running_loop().time())
    finally:
        await client.close()
        assert bugs == []


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return found


async def test_the_example_answers(tmp_path, monkeypatch):
    (tmp_path / "steady.py").write_text(block("python"), encoding="utf-8")
    policy = tomllib.loads(block("toml"))["policy"]
    got = await answer({**policy, "folder": tmp_path}, monkeypatch)
    assert isinstance(got, PolicyMove)
    assert got.move.tolist() == [1.79, 339.9 + 0.5 * 1.5]


# ---------------------------------------------------------------------- ONNX


def graph(inputs: tuple[str, str, str]) -> bytes:
    """An ONNX model: move = third + (second - first), each double (1, 2)."""
    first, second, third = inputs

    def info(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, (1, 2))

    body = helper.make_graph(
        [
            helper.make_node("Sub", [second, first], ["error"]),
            helper.make_node("Add", [third, "error"], ["move"]),
        ],
        "policy",
        [info(name) for name in inputs],
        [info("move")],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(body, opset_imports=[opset], ir_version=8).SerializeToString()


async def test_an_onnx_file_is_a_policy(tmp_path, monkeypatch):
    (tmp_path / "policy.onnx").write_bytes(graph(("cv", "sp", "mv")))
    policy = {"onnx": tmp_path / "policy.onnx", "python": Path(sys.executable)}
    got = await answer(policy, monkeypatch)
    assert isinstance(got, PolicyMove)
    assert got.move == pytest.approx([1.79 - 1.0, 339.9 + 1.5], abs=1e-9)


async def test_an_onnx_file_with_another_input_is_refused_by_name(tmp_path, monkeypatch):
    (tmp_path / "policy.onnx").write_bytes(graph(("cv", "sp", "action")))
    policy = {"onnx": tmp_path / "policy.onnx", "python": Path(sys.executable)}
    monkeypatch.setenv("TRIMTAB_PASSWORD", "not used")
    settings = load_settings(
        default_config_dir() / "controller.toml", {"policy": policy, "security": IN_CLEAR}
    )
    prepared = prepare(settings)
    client = ForeignPolicy(prepared.policy_options, Metrics(prepared.labelling))
    reason = await client.start(lambda _: None)
    assert "input 'action' is tensor(double); allowed are cv, sp, mv and dv" in reason
