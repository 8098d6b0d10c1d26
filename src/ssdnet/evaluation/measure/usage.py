"""What a piece of work takes: memory at its peak, on top of what was held before, and its share of the CPU.

| where | what | how |
| --- | --- | --- |
| CUDA | device memory that torch has given out | `torch.cuda.max_memory_allocated`, reset before |
| CPU, Linux | resident memory of the process | its high-water mark (`VmHWM`), reset before |
| else | not measured | |

On the CPU, free heap is given back to the system first, or the work would use it and seem to take nothing.
The time that the process was given is measured beside the time that passed: where it is far less, other
programs were in the way, and the measured times are too long.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass
class Usage:
    """Filled in when the work is done."""

    mib: float | None = None
    """Peak minus what was there before, MiB; None where it cannot be measured."""
    cpu_share: float | None = None
    """CPU time by the time that passed, about the number of threads at work; None on other devices."""


def method(device: torch.device) -> str:
    """How memory is measured on a device, in words."""
    if device.type == "cuda":
        return "device memory torch has given out at its peak, above what it had given out before"
    if device.type == "cpu" and _reset_peak():
        return "largest resident memory of the process, above what was resident before"
    return "not measured on this system"


@contextlib.contextmanager
def measured(device: torch.device) -> Iterator[Usage]:
    """Measure the work inside the block."""
    usage = Usage()
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield usage
        torch.cuda.synchronize(device)
        usage.mib = (torch.cuda.max_memory_allocated(device) - before) / 2**20
    elif device.type == "cpu":
        gc.collect(1)  # all of it would take longer than some detectors do
        _give_back()
        resident = _status("VmRSS") if _reset_peak() else None
        wall, cpu = time.perf_counter(), time.process_time()
        yield usage
        usage.cpu_share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        if resident is not None:
            usage.mib = max(0.0, _status("VmHWM") - resident)
    else:
        yield usage


def _reset_peak() -> bool:
    """Whether the high-water mark could be set to what is resident now."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _status(field: str) -> float:
    """A field of the process's status, MiB."""
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return float(value.split()[0]) / 1024
    raise OSError(f"{_STATUS} has no {field}")


def _give_back() -> None:
    """Return what the heap keeps free, which the work would use before it takes more."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
