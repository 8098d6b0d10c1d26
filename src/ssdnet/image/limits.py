"""How large and how small an image may be; asked with the sizes of the header, before decoding."""

from __future__ import annotations

from dataclasses import dataclass

from ssdnet.errors import ImageTooLargeError, ImageTooSmallError

TIMES = "\N{MULTIPLICATION SIGN}"

DEFAULT_MAX_PIXELS = 100_000_000
"""Rows times columns."""
MIN_SIDE = 16
"""Pixels; in anything smaller there is too little to learn what is usual."""
VALUES_PER_PIXEL = 4
"""A file may hold as many values as an RGBA image of the largest size; so that neither a few pixels of a
million channels nor a crowd of planes gets past the limit on pixels."""


@dataclass(frozen=True)
class Limits:
    """The limits for one image, and its name for the message.

    Examples:
        >>> from ssdnet.errors import ImageTooLargeError
        >>> from ssdnet.image.limits import Limits
        >>> limits = Limits("scan.tif", max_pixels=10_000)
        >>> limits.check(rows=100, columns=100)
        >>> try:
        ...     limits.check(rows=100, columns=101)
        ... except ImageTooLargeError as error:
        ...     print(error)
        scan.tif: 101 × 100 pixels (width × height) are 10,100 pixels, more than the limit of 10,000; ...
    """

    name: str
    max_pixels: int | None
    """Rows times columns; None = no limit."""

    def check(self, rows: int, columns: int) -> None:
        """Refuse an image of a wrong size.

        Raises:
            ImageTooLargeError: more than `max_pixels` pixels.
            ImageTooSmallError: a side shorter than `MIN_SIDE`.
        """
        size = f"{columns} {TIMES} {rows} pixels (width {TIMES} height)"
        if self.max_pixels is not None and rows * columns > self.max_pixels:
            raise ImageTooLargeError(
                f"{self.name}: {size} are {rows * columns:,} pixels, more than the limit of "
                f"{self.max_pixels:,}; raise it with --max-pixels if the file can be trusted"
            )
        if min(rows, columns) < MIN_SIDE:
            raise ImageTooSmallError(
                f"{self.name}: {size}; at least {MIN_SIDE} {TIMES} {MIN_SIDE} are needed"
            )

    def check_values(self, count: int, what: str) -> None:
        """Refuse to decode more than `VALUES_PER_PIXEL` times `max_pixels` values.

        Raises:
            ImageTooLargeError: too many values; the message starts with `what`.
        """
        if self.max_pixels is not None and count > VALUES_PER_PIXEL * self.max_pixels:
            raise ImageTooLargeError(
                f"{self.name}: {what}: {count:,} values to decode, more than the limit of "
                f"{VALUES_PER_PIXEL} {TIMES} {self.max_pixels:,}; "
                "raise it with --max-pixels if the file can be trusted"
            )
