"""The engine of one process: unit after unit, none before the outcomes of the last were taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdnet.batch.work import do

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ssdnet.batch.work import Outcome, Unit
    from ssdnet.progress import Progress


def one_by_one(units: Iterable[tuple[Unit, Progress]]) -> Iterator[list[Outcome]]:
    """See `ssdnet.batch.engines.Engine`.

    Examples:
        >>> from ssdnet.batch.engines.local import one_by_one
        >>> from ssdnet.batch.work import Settings, Unit, prepare
        >>> from ssdnet.progress import silent
        >>> work = prepare(Settings(detector="rx"))
        >>> list(one_by_one([(Unit((), work), silent)]))  # one unit, without a job
        [[]]
    """
    for unit, progress in units:
        yield do(unit, progress)
