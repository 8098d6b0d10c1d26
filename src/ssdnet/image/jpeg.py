"""What the header of a JPEG stream says, before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass

_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA


@dataclass(frozen=True)
class Frame:
    """A frame header.

    Examples:
        >>> from ssdnet.image.jpeg import Frame
        >>> Frame(0xC1, bits=12, rows=20, columns=30).lossy
        True
    """

    marker: int
    bits: int
    """Of a value."""
    rows: int
    columns: int

    @property
    def loco(self) -> bool:
        """Whether it is JPEG LS."""
        return self.marker == 0xF7

    @property
    def lossy(self) -> bool:
        """Whether it is the JPEG that everybody knows."""
        return self.marker not in (0xC3, 0xC7, 0xCB, 0xCF, 0xF7)


def frame(data: bytes) -> Frame | None:
    """The first frame header; None when there is none.

    Examples:
        >>> import io
        >>> import PIL.Image
        >>> from ssdnet.image import jpeg
        >>> file = io.BytesIO()
        >>> PIL.Image.new("L", (30, 20)).save(file, "JPEG")
        >>> found = jpeg.frame(file.getvalue())
        >>> (found.bits, found.rows, found.columns), jpeg.frame(b"something else")
        ((8, 20, 30), None)
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF and data[at + 1] != _SCAN:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _FRAME_HEADERS:
            rows, columns = data[at + 5 : at + 7], data[at + 7 : at + 9]
            return Frame(marker, data[at + 4], int.from_bytes(rows, "big"), int.from_bytes(columns, "big"))
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def size(data: bytes) -> tuple[int, int]:
    """Rows and columns from the frame header, which a TIFF around it may deny; 0 when there is none.

    Examples:
        >>> import io
        >>> import PIL.Image
        >>> from ssdnet.image import jpeg
        >>> file = io.BytesIO()
        >>> PIL.Image.new("L", (30, 20)).save(file, "JPEG")
        >>> jpeg.size(file.getvalue()), jpeg.size(b"something else")
        ((20, 30), (0, 0))
    """
    found = frame(data)
    return (0, 0) if found is None else (found.rows, found.columns)
