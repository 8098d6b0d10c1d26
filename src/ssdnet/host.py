"""What the process around us may have set: our calls neither depend on it nor change it.

Torch keeps most of it for each thread (gradients, the default device, how many threads share an operation):
that is set aside while a call of ours runs in it. Switches of the whole process (`Switches`) are set by the
first of the calls that are under way, and put back by the last.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class Switches:
    """Switches of the whole process: the first of several calls sets them, the last puts back what was.

    Calls of several threads end in any order, so that none of them alone knows what was before.

    Examples:
        >>> from ssdnet.host import Switches
        >>> @contextlib.contextmanager
        ... def loud():
        ...     print("set")
        ...     yield
        ...     print("put back")
        >>> switches = Switches(loud)
        >>> with switches(), switches():
        ...     print("work")
        set
        work
        put back
    """

    def __init__(self, setting: Callable[[], AbstractContextManager[object]]) -> None:
        self._setting = setting
        self._lock = threading.Lock()
        self._calls = 0
        self._before = contextlib.ExitStack()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Have them set."""
        with self._lock:
            self._calls += 1
            if self._calls == 1:
                self._before.enter_context(self._setting())
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if self._calls == 0:
                    self._before.close()

    def _after_fork(self) -> None:
        """Another thread, which is not in the copy, may have held the lock."""
        self._lock = threading.Lock()


@contextlib.contextmanager
def _single_precision() -> Iterator[None]:
    before = torch.get_default_dtype()
    if before == torch.float32:
        yield
        return
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


_PRECISION = Switches(_single_precision)


class _Threads(threading.local):
    """How many threads torch has in this thread of the host, while a call of ours runs in it."""

    before: int | None = None


class _Process:
    """What is known of the whole process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0
        """Of ours that are under way."""
        self.threads = 1
        """That torch had before the first of them."""
        self.forked = False
        """Whether torch was imported by the process that this one is a copy of."""


_THREADS = _Threads()
_PROCESS = _Process()


def _after_fork() -> None:
    """Begin anew in a process made by fork: none of the other threads is here, and a lock may be held."""
    _PROCESS.lock = threading.Lock()
    _PROCESS.calls = 0 if _THREADS.before is None else 1
    _PROCESS.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Work as in a fresh process, in this thread, and leave all as it was; also a decorator.

    Gradients are on, tensors are float32 and on the CPU where nothing else is said, nothing is computed in
    lower precision than asked for, and NumPy says nothing of divisions by zero. Torch works with one thread,
    see `ssdnet.device.threads`.

    Examples:
        >>> import torch
        >>> from ssdnet.host import undisturbed
        >>> @undisturbed()
        ... def train() -> bool:
        ...     return (torch.ones(1, requires_grad=True) * 2).requires_grad
        >>> with torch.inference_mode():
        ...     train(), torch.is_grad_enabled()
        (True, False)
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_PRECISION())
        stack.enter_context(_one_thread())
        yield


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Torch with one thread in this thread of the host, and as it was afterwards."""
    if _THREADS.before is not None:  # a call of ours inside of another, as by its progress
        yield
        return
    with _PROCESS.lock:
        before = torch.get_num_threads()
        if _PROCESS.calls == 0:
            _PROCESS.threads = before
        elif before == 1:
            # A thread that uses torch for the first time takes over what another one has set last: we.
            before = _PROCESS.threads
        _PROCESS.calls += 1
    _THREADS.before = before
    try:
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)
        yield
    finally:
        _THREADS.before = None
        with _PROCESS.lock:
            _PROCESS.calls -= 1
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def forked() -> bool:
    """Whether this process was made by fork from one that had imported torch.

    Its threads are not here, and OpenMP would wait for them for ever: torch must work with one thread.

    Examples:
        >>> from ssdnet.host import forked
        >>> forked()
        False
    """
    return _PROCESS.forked


def threads() -> int:
    """How many threads the host lets torch use.

    Examples:
        >>> import torch
        >>> from ssdnet.host import threads
        >>> threads() == torch.get_num_threads()
        True
    """
    return torch.get_num_threads() if _THREADS.before is None else _THREADS.before
