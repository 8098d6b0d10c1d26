"""Choosing the device that torch runs on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from ssdnet import host
from ssdnet.errors import DeviceUnavailableError
from ssdnet.maths.parallel import workers
from ssdnet.settings import check_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

PIXELS_A_THREAD = 1 << 18
"""Pixels that are worth a thread: where two begin to be faster than one on a quiet machine."""


@contextlib.contextmanager
def _exact() -> Iterator[None]:
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    precision = torch.get_float32_matmul_precision()
    with flags:
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(precision)


exact = host.Switches(_exact)
"""On a GPU too: full float32 where float32 is asked for, and the same bytes each time.

>>> with exact():
...     print(torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32)
True False
"""


def resolve(name: str = "auto") -> torch.device:
    """The device of that name; `auto` takes a GPU when there is one.

    Args:
        name: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        DeviceUnavailableError: it is not there. A device that was asked for is never silently replaced.

    Examples:
        >>> from ssdnet.device import resolve
        >>> resolve("cpu")
        device(type='cpu')
        >>> resolve("cuda:99")
        Traceback (most recent call last):
        ssdnet.errors.DeviceUnavailableError: device 'cuda:99' was asked for, but this machine has ...
    """
    if name == "auto":
        if torch.cuda.is_available():
            return _usable(torch.device("cuda:0"))
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
        device = torch.device("cuda:0")
    return _usable(device)


def _usable(device: torch.device) -> torch.device:
    """The device, unless it is a GPU that the process which this one was forked from uses already."""
    if device.type == "cuda" and torch.cuda._is_in_bad_fork():
        raise DeviceUnavailableError(
            "a process made by fork cannot use the GPU that its parent has used; start workers with "
            'multiprocessing.get_context("spawn"), or give device="cpu"'
        )
    return device


@contextlib.contextmanager
def threads(wanted: int | None, pixels: int, *, trains: bool = False) -> Iterator[int]:
    """Decide how many CPU threads are used, and leave torch as it was afterwards.

    Torch's own threads share small pieces of work, and wait for each other at the end of each by spinning: on
    a busy machine that takes many times the time. So torch gets one, and large pieces are shared by threads
    that sleep (`ssdnet.maths.parallel`). Training has no such pieces: there torch gets all, but in a process
    made by fork, where it would wait for threads that only its parent has.

    Args:
        wanted: how many; None takes one for each `PIXELS_A_THREAD` pixels, all for training, and not more
            than torch would.
        pixels: of the image.
        trains: whether a network is trained.

    Yields:
        How many are used.

    Raises:
        UsageError: not a positive whole number.

    Examples:
        >>> from ssdnet.device import threads
        >>> with threads(None, pixels=256 * 256) as used:
        ...     print(used)
        1
    """
    asked = check_threads(wanted)
    most = host.threads()
    worth = most if trains else pixels // PIXELS_A_THREAD
    count = asked or max(1, min(most, worth))
    with host.undisturbed():
        if not trains:
            with workers(count):
                yield count
            return
        if host.forked():
            count = 1
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            yield count
        finally:
            torch.set_num_threads(before)
