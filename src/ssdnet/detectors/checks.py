"""Checks of a detector's settings, with the words a person gets for a senseless one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdnet.errors import UsageError

if TYPE_CHECKING:
    from ssdnet.detectors.protocol import Detector


def check_whole(detector: Detector, *, optional: tuple[str, ...] = (), **least: int) -> None:
    """Refuse fields that are no whole numbers of at least so much; the optional ones may be None.

    Raises:
        UsageError: which field, and what it may be.
    """
    for name, smallest in least.items():
        value = getattr(detector, name)
        if value is None and name in optional:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise UsageError(
                f"{detector.name}: {name} must be a whole number of at least {smallest}, not {value!r}"
            )


def check_numbers(detector: Detector, **ranges: tuple[float, float]) -> None:
    """Refuse fields that are no numbers in `[low, high)`.

    Raises:
        UsageError: which field, and what it may be.
    """
    for name, (low, high) in ranges.items():
        value = getattr(detector, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value < high:
            raise UsageError(
                f"{detector.name}: {name} must be a number in [{low:g}, {high:g}), not {value!r}"
            )
