"""What docs/foreign_policy.md shows works; so does an ONNX file where onnxruntime is at hand."""

import asyncio
import os
import re
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from controller.configuration.settings import default_config_dir, load_settings
from controller.core.policy import PolicyMove
from controller.metrics import Metrics
from controller.policy.foreign import ForeignPolicy
from controller.startup import prepare
from models.runtime import ProcessSample

PAGE = (Path(__file__).parents[3] / "docs/foreign_policy.md").read_text(encoding="utf-8")
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
    settings = load_settings(default_config_dir() / "controller.toml", {"policy": policy})
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


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += struct.pack("B", value & 0x7F | 0x80)
        value >>= 7
    return out + struct.pack("B", value)


def graph(inputs: tuple[str, str, str]) -> bytes:
    """An ONNX model (opset 17): move = third + (second - first), each double (1, 2)."""
    first, second, third = inputs
    shape = b"".join(field(1, field(1, size)) for size in (1, 2))
    kind = field(1, field(1, 11) + field(2, shape))

    def info(name: str) -> bytes:
        return field(1, name) + field(2, kind)

    def node(kind: str, left: str, right: str, out: str) -> bytes:
        return field(1, left) + field(1, right) + field(2, out) + field(4, kind)

    body = field(1, node("Sub", second, first, "error")) + field(
        1, node("Add", third, "error", "move")
    )
    body += field(2, "policy") + b"".join(field(11, info(name)) for name in inputs)
    body += field(12, info("move"))
    return field(1, 8) + field(7, body) + field(8, field(2, 17))


@pytest.fixture
def onnx_python() -> Path:
    """An interpreter with onnxruntime: this one, or the one that ONNX_PYTHON names."""
    python = os.environ.get("ONNX_PYTHON", sys.executable)
    code = "import onnxruntime"
    if subprocess.run([python, "-c", code], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} has no onnxruntime: name an interpreter that has in ONNX_PYTHON")
    return Path(python)


async def test_an_onnx_file_is_a_policy(tmp_path, monkeypatch, onnx_python):
    (tmp_path / "policy.onnx").write_bytes(graph(("cv", "sp", "mv")))
    policy = {"onnx": tmp_path / "policy.onnx", "python": onnx_python}
    got = await answer(policy, monkeypatch)
    assert isinstance(got, PolicyMove)
    assert got.move == pytest.approx([1.79 - 1.0, 339.9 + 1.5], abs=1e-9)


async def test_an_onnx_file_with_another_input_is_refused_by_name(
    tmp_path, monkeypatch, onnx_python
):
    (tmp_path / "policy.onnx").write_bytes(graph(("cv", "sp", "action")))
    policy = {"onnx": tmp_path / "policy.onnx", "python": onnx_python}
    monkeypatch.setenv("TRIMTAB_PASSWORD", "not used")
    settings = load_settings(default_config_dir() / "controller.toml", {"policy": policy})
    prepared = prepare(settings)
    client = ForeignPolicy(prepared.policy_options, Metrics(prepared.labelling))
    reason = await client.start(lambda _: None)
    assert "input 'action' is tensor(double); allowed are cv, sp, mv and dv" in reason
