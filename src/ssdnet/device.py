"""Choosing the device that torch runs on."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import torch

from ssdnet.errors import DeviceUnavailableError
from ssdnet.maths.parallel import workers
from ssdnet.settings import check_threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

PIXELS_A_THREAD = 1 << 18
"""Pixels that are worth a thread: where two begin to be faster than one on a quiet machine."""


def exact() -> AbstractContextManager[None]:
    """On a GPU too: full float32 where float32 is asked for, and the same bytes each time.

    Examples:
        >>> import torch
        >>> from ssdnet.device import exact
        >>> with exact():
        ...     print(torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32)
        True False
    """
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


class _Threads:
    """How many threads torch had before the calls that are under way."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0
        self.before = 1


_THREADS = _Threads()


@contextlib.contextmanager
def threads(wanted: int | None, pixels: int, *, trains: bool = False) -> Iterator[int]:
    """Decide how many CPU threads are used, and leave torch as it was afterwards.

    Torch's own threads share small pieces of work, and wait for each other at the end of each by spinning: on
    a busy machine that takes many times the time. So torch gets one, and large pieces are shared by threads
    that sleep (`ssdnet.maths.parallel`). Training has no such pieces: there torch gets all.

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
    with _THREADS.lock:
        if _THREADS.calls == 0:
            _THREADS.before = torch.get_num_threads()
        _THREADS.calls += 1
        worth = _THREADS.before if trains else pixels // PIXELS_A_THREAD
        count = asked or max(1, min(_THREADS.before, worth))
        own = count if trains else 1
        if own != torch.get_num_threads():
            torch.set_num_threads(own)
    try:
        with workers(count):
            yield count
    finally:
        with _THREADS.lock:
            _THREADS.calls -= 1
            # Calls of several threads of the host end in any order: the last one puts back what was.
            if _THREADS.calls == 0 and torch.get_num_threads() != _THREADS.before:
                torch.set_num_threads(_THREADS.before)
