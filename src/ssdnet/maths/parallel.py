"""Large pieces of work done side by side by a few threads that sleep while they wait."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Item = TypeVar("Item")

_WORKERS: ContextVar[int] = ContextVar("workers", default=1)


@contextlib.contextmanager
def workers(count: int) -> Iterator[None]:
    """Let `each` use so many threads inside.

    >>> with workers(2):
    ...     each(lambda number: None, [1, 2, 3])
    """
    token = _WORKERS.set(count)
    try:
        yield
    finally:
        _WORKERS.reset(token)


def each(work: Callable[[Item], None], items: Sequence[Item]) -> None:
    """Do the work on every item, in any order; what an item raises is raised.

    A library's own threads share each small operation, and spin until the last of them is done: on a machine
    with other work that takes many times the time. These share whole pieces, and sleep.

    >>> done = []
    >>> each(done.append, [1, 2])
    >>> done
    [1, 2]
    """
    count = min(_WORKERS.get(), len(items))
    if count <= 1:
        for item in items:
            work(item)
        return
    # What the caller has set for itself, such as what NumPy does about a division by zero, holds there too.
    contexts = [copy_context() for _ in items]
    with ThreadPoolExecutor(count, initializer=_alone) as pool:
        for _ in pool.map(lambda context, item: context.run(work, item), contexts, items):
            pass


def _alone() -> None:
    """Torch with one thread in this one too, whatever another call has set last."""
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
