"""The directories of a TIFF file, walked by hand: others never end where the chain runs in a circle."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SUBFILE_TYPE = 254
_MOST = 1_000_000
"""Pages; a chain that is longer is no file that anybody has written."""

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType

_SINGLE = frozenset((277, 32997))
"""Samples of a pixel and depth of an image: tags of one whole number, by which tifffile multiplies. A text or
a list, multiplied by the rows of an image, is more than fits into memory."""
_WHOLE = frozenset((3, 4, 16))
"""Types of whole numbers: of 2, 4 and 8 bytes."""
_MOST_ENTRIES = 4096
"""Of a directory; tifffile takes what has more for damaged, and stops there."""


@dataclass(frozen=True)
class Directory:
    """What a page is to the file.

    Examples:
        >>> from ssdnet.image.directories import Directory
        >>> Directory(subfile_type=4).mask, Directory(subfile_type=0).mask
        (True, False)
    """

    subfile_type: int

    @property
    def mask(self) -> bool:
        """Whether it says where another page is to be seen, and is no copy of reduced size."""
        return self.subfile_type & (_MASK | _REDUCED) == _MASK


def walk(data: bytes) -> list[Directory]:
    """All directories of the main chain, in the order of the file.

    Raises:
        ValueError: the chain runs in a circle, is absurdly long, or leads out of the file; or a tag has a
            type that it cannot have.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import tifffile
        >>> from ssdnet.image.directories import walk
        >>> file = io.BytesIO()
        >>> with tifffile.TiffWriter(file) as writer:
        ...     writer.write(np.zeros((20, 30), np.uint8), metadata=None)
        ...     writer.write(np.ones((20, 30), bool), metadata=None, photometric="mask", subfiletype=4)
        >>> [directory.mask for directory in walk(file.getvalue())]
        [False, True]
    """
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    start, count_of, entry_size = (
        (struct.Struct(order + "Q"), struct.Struct(order + "Q"), 20)
        if big
        else (struct.Struct(order + "I"), struct.Struct(order + "H"), 12)
    )
    (at,) = start.unpack_from(data, 8 if big else 4)
    seen: set[int] = set()
    found: list[Directory] = []
    while at:
        if at in seen:
            raise ValueError("its list of pages runs in a circle")
        if len(found) == _MOST:
            raise ValueError(f"it has more than {_MOST:,} pages")
        seen.add(at)
        if at + count_of.size > len(data):
            if not found:
                raise ValueError("its first page lies beyond the end of the file")
            break  # a chain that was cut: what tifffile makes of its pages is checked page by page
        (count,) = count_of.unpack_from(data, at)
        first = at + count_of.size
        end = first + count * entry_size
        found.append(Directory(_subfile_type(data, first, min(count, 8), entry_size, order)))
        if count <= _MOST_ENTRIES and end <= len(data):
            _check_tags(data, first, end, order, big=big)
        if end + start.size > len(data):
            break
        (at,) = start.unpack_from(data, end)
    return found


def _check_tags(data: bytes, first: int, end: int, order: str, *, big: bool) -> None:
    entry = struct.Struct(order + ("HHQ8x" if big else "HHI4x"))
    for tag, kind, values in entry.iter_unpack(memoryview(data)[first:end]):
        if tag in _SINGLE and (values != 1 or kind not in _WHOLE):
            raise ValueError(f"its tag {tag} is no whole number")


def _subfile_type(data: bytes, first: int, count: int, size: int, order: str) -> int:
    """The value of NewSubfileType, which sorts before all tags but vendors' own; 0 where there is none."""
    for entry in range(first, first + count * size, size):
        if entry + size > len(data):
            break
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag == _SUBFILE_TYPE:
            return int(
                struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + size // 2 + 2)[0]
            )
        if tag > _SUBFILE_TYPE:
            break
    return 0
