"""Choosing the device that torch runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ssdnet.errors import DeviceUnavailableError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def exact() -> AbstractContextManager[None]:
    """On a GPU too: full float32 where float32 is asked for, and the same bytes each time."""
    context: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return context


def resolve(name: str = "auto") -> torch.device:
    """The device of that name; `auto` takes a GPU when there is one.

    Args:
        name: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        DeviceUnavailableError: it is not there. A device that was asked for is never silently replaced.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceUnavailableError(
            f"'{name}' is not a device; use auto, cpu, cuda, cuda:N or mps"
        ) from None
    count = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= count:
        raise DeviceUnavailableError(
            f"device '{name}' was asked for, but this machine has "
            f"{count or 'no'} {device.type} device{'' if count == 1 else 's'} that torch can use; "
            "use --device auto or cpu"
        )
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda:0")
    return device
