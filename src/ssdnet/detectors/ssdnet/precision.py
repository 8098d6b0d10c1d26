"""In which arithmetic the network runs."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def arithmetic(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context that a network runs in.

    Args:
        precision: `float32`, `bfloat16`, or `auto`: bfloat16 where it is fast.
        device: where it runs.

    >>> with arithmetic("bfloat16", torch.device("cpu")):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    if precision == "bfloat16" or (precision == "auto" and _fast_in_bfloat16(device)):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


@functools.cache
def _fast_in_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulation is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        flags = torch.backends.cpu.get_cpu_capability()
        known = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        return flags != "DEFAULT" and bool(known())
    return False
