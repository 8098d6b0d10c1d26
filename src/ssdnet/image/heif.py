"""HEIC and HEIF: pictures of phones; read by pillow-heif, with all their bits."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.image import extras
from ssdnet.image.color import split_alpha
from ssdnet.image.model import Decoded
from ssdnet.image.pages import choose_page

if TYPE_CHECKING:
    from ssdnet.image.limits import Limits

NAME = "HEIC"
_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def is_kind(data: bytes) -> bool:
    """Whether it is a HEIC file, and not an AVIF, which has the same frame.

    Examples:
        >>> from ssdnet.image import heif
        >>> heif.is_kind(bytes([0, 0, 0, 20]) + b"ftypheic" + bytes(4) + b"mif1"), heif.is_kind(b"BM")
        (True, False)
    """
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    return not brands & {b"avif", b"avis"} and bool(brands & _BRANDS)


def decode(data: bytes, page: int | None, limits: Limits) -> Decoded:
    """Read one picture of a file; that which is meant to be shown comes first. It is upright already.

    Raises:
        ImageReadError: pillow-heif is not installed.
        ImageTooLargeError: see `Limits.check`.
        ImageTooSmallError: see `Limits.check`.
        PageNotFoundError: no such page.
        Exception: whatever the library raises.

    Examples:
        >>> from ssdnet.image import heif
        >>> from ssdnet.image.limits import Limits
        >>> try:
        ...     heif.decode(b"nothing of the kind", None, Limits("scan", None))
        ... except Exception as error:
        ...     print(type(error).__module__ != "builtins" or str(error) != "")
        True
    """
    library = extras.load("pillow_heif", "heic", NAME, limits.name)
    file = library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    order = sorted(range(len(file)), key=lambda number: number != file.primary_index)
    chosen, notes = choose_page(limits.name, page, len(file))
    image = file[order[chosen - 1]]
    limits.check(image.size[1], image.size[0])
    pixels = np.atleast_3d(np.array(np.asarray(image)))
    decoded = Decoded(*split_alpha(pixels)) if image.has_alpha else Decoded(pixels)
    return replace(decoded, page=chosen, page_count=len(file), notes=notes)
