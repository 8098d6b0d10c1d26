"""Progress of any work, told to whoever waits: one protocol for detectors, folders and benchmarks."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called while work goes on; may raise `ssdnet.errors.Cancelled` to stop it."""

    def __call__(self, fraction: float, message: str, /) -> None:
        """Report that `fraction` (0 to 1) of the work is done; `message` is a short line for people."""


def silent(fraction: float, message: str) -> None:
    """Tell nobody."""


def part(progress: Progress, start: float, size: float) -> Progress:
    """The progress of a part of the work, which begins at `start` and is a share `size` of all of it.

    >>> part(lambda fraction, message: print(fraction, message), 0.5, 0.25)(1.0, "lines")
    0.75 lines
    """

    def report(fraction: float, message: str) -> None:
        progress(start + size * fraction, message)

    return report
