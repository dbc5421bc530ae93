"""The process of a foreign policy: loads it, and answers one question after the other.

Run by its path on whatever interpreter the policy needs (Python 3.9 or later), so it stands alone:
nothing but the standard library, and NumPy with onnxruntime where an ONNX file is to be run.

A message is one JSON object behind its length, 4 bytes, most significant first; it goes over what
were standard input and output, which are then moved away: what the policy prints lands on standard
error.  First comes {"factory": ..., "folder": ...} or {"onnx": ...}, answered {"ready": true} or
{"error": ...}; then {"number": n, "observation": {...}}, answered with the same number and "move"
or "error".  The end of the input ends the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import struct
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEAD = struct.Struct(">I")
LONGEST_MESSAGE = 1 << 20
"""Bytes of the longest message: a policy's answer is a few numbers."""

LONGEST_WORDS = 400
"""Characters of an error's own words."""

NICENESS = 5
"""The policy yields the processor to the controller."""

SIGNALS = ("cv", "sp", "mv", "dv")
_PR_SET_PDEATHSIG = 1
_ONNX_TYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}


def pack(message: Mapping[str, Any]) -> bytes:
    """One message as bytes; NaN and infinity are Python's own JSON words."""
    body = json.dumps(message).encode()
    return HEAD.pack(len(body)) + body


def main() -> None:
    """Serve the process that started this one until it closes the line."""
    inbox, outbox = _take_over_line()
    _follow_parent()
    request = _read(inbox)
    if request is None:
        return
    try:
        policy = _load(request)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises is its answer
        _reply(outbox, {"error": _words(error)})
        return
    _reply(outbox, {"ready": True})
    while (question := _read(inbox)) is not None:
        _reply(outbox, {"number": question["number"], **_answer(policy, question)})


def _take_over_line() -> tuple[BinaryIO, BinaryIO]:
    """The line to the controller, out of reach of prints: they go to standard error."""
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return inbox, outbox


def _follow_parent() -> None:
    """Die with the controller, however it dies; leave Ctrl-C to it; let it go first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):  # Linux only; elsewhere the line's end does
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):  # a hardened service may forbid it
        os.nice(NICENESS)


def _load(request: Mapping[str, str]) -> Callable[[dict[str, Any]], Any]:
    """The policy that the first message names."""
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [entry for entry in sys.path if str(Path(entry or ".").resolve()) != here]
    if "onnx" in request:
        return _onnx_policy(request["onnx"])
    sys.path.insert(0, request["folder"])
    module, _, name = request["factory"].partition(":")
    policy = getattr(importlib.import_module(module), name)()
    if not callable(policy):
        raise TypeError(f"{name}() returned {type(policy).__name__}, not a function")
    found: Callable[[dict[str, Any]], Any] = policy
    return found


def _answer(policy: Callable[[dict[str, Any]], Any], question: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"move": _numbers(policy(question["observation"]))}
    except Exception as error:  # noqa: BLE001 - the same: a fault of the policy is its answer
        return {"error": _words(error)}


def _numbers(answer: Any) -> list[float]:
    """A sequence, an array or a tensor of one dimension as floats."""
    values = answer.tolist() if hasattr(answer, "tolist") else answer
    if isinstance(values, (str, bytes, dict)) or not hasattr(values, "__iter__"):
        raise TypeError(f"a sequence of numbers is wanted, not {answer!r:.80}")
    numbers = []
    for value in values:
        if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
            raise TypeError(f"a number is wanted, not {value!r:.80}")
        numbers.append(float(value))
    return numbers


def _onnx_policy(path: str) -> Callable[[dict[str, Any]], Any]:
    """A graph with inputs among cv, sp, mv and dv, (1, n) each; its first output is the move."""
    import numpy as np  # noqa: PLC0415 - only an ONNX file needs it
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = {}
    for entry in session.get_inputs():
        if entry.name not in SIGNALS or entry.type not in _ONNX_TYPES:
            raise ValueError(
                f"{path}: input {entry.name!r} is {entry.type}; allowed are cv, sp, mv and dv, "
                "as tensor(float) or tensor(double) of shape (1, n)"
            )
        kinds[entry.name] = _ONNX_TYPES[entry.type]

    def policy(observation: dict[str, Any]) -> Any:
        feed = {
            name: np.array([list(observation[name].values())], dtype=kind)
            for name, kind in kinds.items()
        }
        return np.asarray(session.run(None, feed)[0], dtype=np.float64).ravel()

    return policy


def _words(error: BaseException) -> str:
    """The error and the place in the policy's own code that it comes from, where that is known."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<")
    ]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}"[:LONGEST_WORDS] + place


def _read(inbox: BinaryIO) -> dict[str, Any] | None:
    """The next message; None at the end of the line."""
    head = inbox.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    message: dict[str, Any] = json.loads(inbox.read(HEAD.unpack(head)[0]))
    return message


def _reply(outbox: BinaryIO, message: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        outbox.write(pack(message))
        outbox.flush()


if __name__ == "__main__":
    main()
