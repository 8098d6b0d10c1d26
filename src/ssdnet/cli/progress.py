"""The progress bar: on a terminal only, and never in the way of what is written to it."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from ssdnet.progress import silent
from ssdnet.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssdnet.progress import Progress

_ROUNDING = 1e-6
"""Of a share that is a whole number of items by the number of all."""


@contextlib.contextmanager
def progress_bar(total: int, *, shown: bool) -> Iterator[Progress]:
    """A callback that draws a bar on standard error, or does nothing when nobody would see it.

    Args:
        total: number of items, all of which together are the work.
        shown: whether the bar may be drawn, on a terminal.
    """
    if not (shown and sys.stderr.isatty()):
        yield silent
        return
    from rich import progress
    from rich.console import Console
    from rich.markup import escape

    bar = progress.Progress(
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[count]}"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[message]}"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # JSON that goes into a pipe must stay there
    )
    with bar:
        task = bar.add_task("", total=total, count="", message="")

        def update(fraction: float, message: str) -> None:
            done = fraction * total
            bar.update(
                task,
                completed=done,
                count=f"{min(int(done + _ROUNDING) + 1, total)} of {total}",
                message=escape(printable(message)),
            )

        yield update
