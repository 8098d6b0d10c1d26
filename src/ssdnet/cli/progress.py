"""The progress bar: on a terminal only, and never in the way of what is written to it."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Protocol

from ssdnet.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


class Named(Protocol):
    """What is in work."""

    @property
    def name(self) -> str:
        """What to call it in front of people."""
        ...


class Bar(Protocol):
    """Moves the bar."""

    def __call__(self, done: float, item: Named, message: str, /) -> None:
        """Show that `done` are done, what is in work, and what is done with it."""


@contextlib.contextmanager
def progress_bar(total: int, *, shown: bool) -> Iterator[Bar | None]:
    """A callback that draws a bar on standard error, or None when nobody would see it."""
    if not (shown and sys.stderr.isatty()):
        yield None
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
        progress.TextColumn("{task.fields[name]}"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # JSON that goes into a pipe must stay there
    )
    with bar:
        task = bar.add_task("", total=total, count="", message="", name="")

        def update(done: float, item: Named, message: str) -> None:
            bar.update(
                task,
                completed=done,
                count=f"{min(int(done) + 1, total)} of {total}",
                message=escape(printable(message)),
                name=escape(printable(item.name)),
            )

        yield update
