"""The size that a JPEG XL announces, before it is decoded."""

from __future__ import annotations

_STREAM = b"\xff\x0a"
_BOXES = b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a"
SIGNATURES = (_STREAM, _BOXES)

_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_LENGTHS = (9, 13, 18, 30)  # bits of a size, by its first two


def size(data: bytes) -> tuple[int, int]:
    """Rows and columns.

    Raises:
        ValueError: there is no image in it.

    Examples:
        >>> import imagecodecs
        >>> import numpy as np
        >>> from ssdnet.image import jpegxl
        >>> jpegxl.size(imagecodecs.jpegxl_encode(np.zeros((21, 30), np.uint8)))
        (21, 30)
    """
    stream = data if data.startswith(_STREAM) else _first_stream(data)
    if not stream.startswith(_STREAM) or len(stream) < 12:
        raise ValueError("there is no image in it")
    bits = int.from_bytes(stream[2:14], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else take(_LENGTHS[take(2)]) + 1

    rows = side()
    ratio = take(3)
    if ratio:
        wide, high = _RATIOS[ratio]
        return rows, rows * wide // high
    return rows, side()


def _first_stream(data: bytes) -> bytes:
    """The start of the code stream in a file of boxes."""
    at = 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = at + 8
        if length == 1:
            length, body = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        if kind in (b"jxlc", b"jxlp"):
            start = body + (4 if kind == b"jxlp" else 0)
            return data[start : start + 16]
        if length < 8:
            break
        at += length
    return b""
