"""The one way of looking at several images: what is wrong with one of them takes no other down."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ssdnet.errors import Cancelled
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ssdnet.progress import Progress

    Read = TypeVar("Read")
    Found = TypeVar("Found")


def look(
    readers: Iterable[Callable[[], Read]],
    localize: Callable[[Sequence[Read], Progress], Sequence[Found]],
    progress: Progress = silent,
) -> list[Found | Exception]:
    """Read some images and look at all that could be read together; each gets a result or its error.

    Where looking at them together fails, each is looked at alone: one may be at fault, or all together may
    need too much memory. A fault in our own code is that image's failure too, so that the others can be done.

    Args:
        readers: one for each image; what it raises is that image's failure.
        localize: looks at what was read, in the way of `ssdnet.pipeline.localize_many`; one result each.
        progress: of all of them.

    Returns:
        One entry for each reader, in their order.

    Raises:
        Cancelled: raised by `progress`.

    Examples:
        >>> from ssdnet.batch.looking import look
        >>> def damaged() -> str:
        ...     raise ValueError("cut short")
        >>> look([lambda: "a", damaged, lambda: "c"], lambda read, progress: [one.upper() for one in read])
        ['A', ValueError('cut short'), 'C']
    """
    read = [_attempt(reader) for reader in readers]
    found = iter(_look([item for item in read if not isinstance(item, Exception)], localize, progress))
    return [item if isinstance(item, Exception) else next(found) for item in read]


def _attempt(reader: Callable[[], Read]) -> Read | Exception:
    try:
        return reader()
    except Exception as error:
        return error


def _look(
    read: Sequence[Read], localize: Callable[[Sequence[Read], Progress], Sequence[Found]], progress: Progress
) -> list[Found | Exception]:
    if not read:
        return []
    try:
        return list(localize(read, progress))
    except Cancelled:
        raise
    except Exception as error:
        if len(read) == 1:
            return [error]
    alone: list[Found | Exception] = []
    for number, item in enumerate(read):
        alone += _look([item], localize, part(progress, number / len(read), 1 / len(read)))
    return alone
