"""Where networks learn and batches are evaluated: the processor, or a GPU if there is one.

Random numbers are drawn on the CPU whatever the device, so a GPU sees the same batches and begins
with the same weights; only sums differ in their last bits, and with them what is learned.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Columns = TypeVar("Columns", bound=DataclassInstance)

CPU = torch.device("cpu")


class DeviceError(Exception):
    """A device that there is not; the message says what is allowed."""


def device_named(name: str) -> torch.device:
    """The device of an option `--device`: cpu, cuda or cuda:N. Raises DeviceError."""
    kind, _, number = name.partition(":")
    if kind not in {"cpu", "cuda"} or (":" in name and (kind == "cpu" or not number.isdecimal())):
        raise DeviceError(f"--device {name}: unknown; give cpu, cuda or cuda:N, N from 0")
    if kind == "cpu":
        return CPU
    if not torch.cuda.is_available():
        why = "is built without CUDA" if torch.version.cuda is None else "finds no usable GPU"
        raise DeviceError(
            f"--device {name}: torch {torch.__version__} {why}; give --device cpu, or install a "
            "build of torch with CUDA on a machine with an NVIDIA GPU"
        )
    index, count = int(number or 0), torch.cuda.device_count()
    if index >= count:
        allowed = ", ".join(["cpu", *(f"cuda:{i}" for i in range(count))])
        raise DeviceError(f"--device {name}: there is no such GPU; give one of {allowed}")
    return torch.device("cuda", index)


def device_words(device: torch.device) -> str:
    """The device as a manifest records it."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def moved(columns: Columns, device: torch.device) -> Columns:
    """A dataclass with all its tensors, also those of dataclasses in it, on a device."""
    return replace(
        columns, **{f.name: _moved(getattr(columns, f.name), device) for f in fields(columns)}
    )


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    return moved(value, device) if is_dataclass(value) and not isinstance(value, type) else value
