"""Progress of any work, told to whoever waits: one protocol for detectors, folders and benchmarks."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called while work goes on; may raise `ssdnet.errors.Cancelled` to stop it.

    Examples:
        >>> from ssdnet.errors import Cancelled
        >>> from ssdnet.progress import Progress
        >>> def until_half(fraction: float, message: str) -> None:
        ...     if fraction >= 0.5:
        ...         raise Cancelled(f"stopped at {fraction:.0%}: {message}")
        >>> progress: Progress = until_half
        >>> progress(0.2, "pyramid")
        >>> try:
        ...     progress(0.6, "scores")
        ... except Cancelled as error:
        ...     print(error)
        stopped at 60%: scores
    """

    def __call__(self, fraction: float, message: str, /) -> None:
        """Report that `fraction` (0 to 1) of the work is done; `message` is a short line for people."""


def silent(fraction: float, message: str) -> None:
    """Tell nobody.

    Examples:
        >>> from ssdnet.progress import part, silent
        >>> part(silent, 0.5, 0.25)(1.0, "lines")  # for work that nobody waits for
    """


def part(progress: Progress, start: float, size: float, name: str = "") -> Progress:
    """The progress of a part of the work, which begins at `start` and is a share `size` of all of it.

    What lies outside 0 to 1 is cut off, so that no part goes back into one that is done.

    Args:
        progress: of all the work.
        start: share of the work that comes before this part, 0 to 1.
        size: share of the work that this part is.
        name: of what is in work; every message begins with it.

    >>> part(lambda fraction, message: print(fraction, message), 0.5, 0.25)(1.0, "lines")
    0.75 lines
    >>> part(lambda fraction, message: print(fraction, message), 0.0, 0.5, "a.png")(0.5, "lines")
    0.25 a.png: lines
    """

    def report(fraction: float, message: str) -> None:
        words = ": ".join(word for word in (name, message) if word)
        progress(start + size * min(max(fraction, 0.0), 1.0), words)

    return report
