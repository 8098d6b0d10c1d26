"""Checks of a detector's settings, with the words a person gets for a senseless one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ssdnet.errors import UsageError

if TYPE_CHECKING:
    from typing import ClassVar


class Configuration(Protocol):
    """A detector, or a part of its settings.

    >>> class Lamp:
    ...     name = "lamp"
    ...     watts = 0
    >>> check_whole(Lamp(), watts=1)
    Traceback (most recent call last):
        ...
    ssdnet.errors.UsageError: lamp: watts must be a whole number of at least 1, not 0
    """

    name: ClassVar[str]
    """What to call it in front of people."""


def check_whole(detector: Configuration, *, optional: tuple[str, ...] = (), **least: int) -> None:
    """Refuse fields that are no whole numbers of at least so much; the optional ones may be None.

    Raises:
        UsageError: which field, and what it may be.

    >>> from ssdnet.detectors.rx import RX
    >>> check_whole(RX(), optional=("levels",), levels=1, orbits=4)
    Traceback (most recent call last):
        ...
    ssdnet.errors.UsageError: rx: orbits must be a whole number of at least 4, not 3
    """
    for name, smallest in least.items():
        value = getattr(detector, name)
        if value is None and name in optional:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise UsageError(
                f"{detector.name}: {name} must be a whole number of at least {smallest}, not {value!r}"
            )


def check_numbers(detector: Configuration, **ranges: tuple[float, float]) -> None:
    """Refuse fields that are no numbers in `[low, high)`.

    Raises:
        UsageError: which field, and what it may be.

    >>> from ssdnet.detectors.rx import RX
    >>> check_numbers(RX(), smoothing=(0, 10), trim=(0, 0.25))
    Traceback (most recent call last):
        ...
    ssdnet.errors.UsageError: rx: trim must be a number in [0, 0.25), not 0.25
    """
    for name, (low, high) in ranges.items():
        value = getattr(detector, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value < high:
            raise UsageError(
                f"{detector.name}: {name} must be a number in [{low:g}, {high:g}), not {value!r}"
            )


def check_flags(detector: Configuration, *names: str) -> None:
    """Refuse fields that are neither True nor False.

    Raises:
        UsageError: which field.

    >>> from ssdnet.detectors.ssdnet import SSDnet
    >>> check_flags(SSDnet(), "blind", "block")
    Traceback (most recent call last):
        ...
    ssdnet.errors.UsageError: ssdnet: block must be True or False, not 8
    """
    for name in names:
        value = getattr(detector, name)
        if not isinstance(value, bool):
            raise UsageError(f"{detector.name}: {name} must be True or False, not {value!r}")


def check_words(detector: Configuration, **choices: tuple[str, ...]) -> None:
    """Refuse fields that are none of some words.

    Raises:
        UsageError: which field, and what it may be.

    >>> from ssdnet.detectors.rivals.fca import FCA
    >>> check_words(FCA(), features=("laws", "colour"))
    Traceback (most recent call last):
        ...
    ssdnet.errors.UsageError: fca: features must be one of laws, colour, not 'random'
    """
    for name, words in choices.items():
        value = getattr(detector, name)
        if value not in words:
            raise UsageError(f"{detector.name}: {name} must be one of {', '.join(words)}, not {value!r}")


def check_sizes(detector: Configuration, **counts: tuple[int, int]) -> None:
    """Refuse fields that are not tuples of so many (fewest, most) positive whole numbers.

    Raises:
        UsageError: which field, and what it may be.

    >>> from ssdnet.detectors.texture import Texture
    >>> check_sizes(Texture(), components=(1, 2), patches=(3, 4))
    Traceback (most recent call last):
        ...
    ssdnet.errors.UsageError: texture: patches must be a tuple of 3 to 4 positive whole numbers, not (5, 3)
    """
    for name, (fewest, most) in counts.items():
        value = getattr(detector, name)
        whole = isinstance(value, tuple) and all(type(item) is int and item >= 1 for item in value)
        if not whole or not fewest <= len(value) <= most:
            raise UsageError(
                f"{detector.name}: {name} must be a tuple of {fewest} to {most} positive whole numbers, "
                f"not {value!r}"
            )
