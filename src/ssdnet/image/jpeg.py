"""The size that a JPEG stream will decode to, which a TIFF around it may deny."""

from __future__ import annotations

_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA


def pixels(data: bytes) -> int:
    """Rows times columns from the frame header; 0 when there is none.

    Examples:
        >>> import io
        >>> import PIL.Image
        >>> from ssdnet.image import jpeg
        >>> file = io.BytesIO()
        >>> PIL.Image.new("L", (30, 20)).save(file, "JPEG")
        >>> jpeg.pixels(file.getvalue()), jpeg.pixels(b"something else")
        (600, 0)
    """
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF and data[at + 1] != _SCAN:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _FRAME_HEADERS:
            rows, columns = data[at + 5 : at + 7], data[at + 7 : at + 9]
            return int.from_bytes(rows, "big") * int.from_bytes(columns, "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0
