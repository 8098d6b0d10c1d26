"""Where the units of a run are worked on: one after the other in this process (`local`), or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ssdnet.batch.work import Outcome, Unit
    from ssdnet.progress import Progress


class Engine(Protocol):
    """Works on units with `ssdnet.batch.work.do`.

    Units come lazily, as finding out what an earlier run has done takes time: an engine that works on several
    at once asks for as many as it can use. One that runs elsewhere calls a unit's progress here, with 1 when
    it is done.

    Examples:
        An engine that looks at the units from the last to the first, and gives their outcomes in order:

        >>> from ssdnet.batch.engines import Engine
        >>> from ssdnet.batch.work import do
        >>> def backwards(units):
        ...     done = [do(unit, progress) for unit, progress in reversed(list(units))]
        ...     yield from reversed(done)
        >>> engine: Engine = backwards
        >>> list(engine([]))
        []
    """

    def __call__(self, units: Iterable[tuple[Unit, Progress]], /) -> Iterator[list[Outcome]]:
        """Give what became of each unit, in their order; an empty unit gives an empty list.

        Args:
            units: each with whom to tell how far it is.

        Raises:
            Cancelled: raised by the progress of a unit.
        """
        ...
