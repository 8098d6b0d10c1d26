"""JPEGs that Pillow does not read: JPEG XL, JPEG LS, JPEG XR, lossless and 12-bit JPEG; by imagecodecs."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.image import jpeg, jpegxl
from ssdnet.image.arrays import plain_dtype
from ssdnet.image.color import split_alpha
from ssdnet.image.model import Decoded
from ssdnet.image.pages import choose_page

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.image.limits import Limits

_XR = b"II\xbc"
_XR_WIDTH, _XR_HEIGHT = 0xBC80, 0xBC81


def name(data: bytes) -> str:
    """What the file is, when it is one of these; else empty.

    Examples:
        >>> import imagecodecs
        >>> import numpy as np
        >>> from ssdnet.image import codecs
        >>> codecs.name(imagecodecs.jpegls_encode(np.zeros((20, 30), np.uint16))), codecs.name(b"BM")
        ('JPEG LS', '')
    """
    if data.startswith(jpegxl.SIGNATURES):
        return "JPEG XL"
    if data.startswith(_XR):
        return "JPEG XR"
    frame = jpeg.frame(data)
    if frame is None or (frame.lossy and frame.bits == 8):
        return ""
    if frame.loco:
        return "JPEG LS"
    return f"{frame.bits}-bit JPEG" if frame.lossy else "lossless JPEG"


def decode(data: bytes, page: int | None, limits: Limits) -> Decoded:
    """Read the image of such a file; of an animated JPEG XL the first frame.

    Raises:
        ImageTooLargeError: see `Limits.check`.
        ImageTooSmallError: see `Limits.check`.
        PageNotFoundError: no such page.
        Exception: whatever the library raises.

    Examples:
        >>> import imagecodecs
        >>> import numpy as np
        >>> from ssdnet.image.codecs import decode
        >>> from ssdnet.image.limits import Limits
        >>> file = imagecodecs.jpegxl_encode(np.full((20, 30, 3), 40_000, np.uint16))
        >>> decoded = decode(file, None, Limits("a.jxl", None))
        >>> decoded.pixels.shape, decoded.pixels.dtype.name, int(decoded.pixels.min())
        ((20, 30, 3), 'uint16', 40000)
    """
    import imagecodecs

    what = name(data)
    chosen, notes = choose_page(limits.name, page, 1)
    announced = {"JPEG XL": jpegxl.size, "JPEG XR": _xr_size}.get(what, jpeg.size)(data)
    limits.check(*announced)
    if what == "JPEG XL":
        array = imagecodecs.jpegxl_decode(data, index=0)
    elif what == "JPEG XR":
        array = imagecodecs.jpegxr_decode(data)
    else:
        array = imagecodecs.jpegls_decode(data) if what == "JPEG LS" else imagecodecs.jpeg_decode(data)
    if sorted(array.shape[:2]) != sorted(announced):  # JPEG XL is turned upright already
        raise ValueError(f"its header announces {announced} rows and columns, there are {array.shape[:2]}")
    return replace(_apart(array), page=chosen, notes=notes)


def _apart(array: npt.NDArray[Any]) -> Decoded:
    array = plain_dtype(np.atleast_3d(array))
    return Decoded(*split_alpha(array)) if array.shape[2] in (2, 4) else Decoded(array)


def _xr_size(data: bytes) -> tuple[int, int]:
    """Rows and columns of a JPEG XR by its directory, which is that of a TIFF."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    sizes = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from("<HH", data, entry)
        if tag in (_XR_WIDTH, _XR_HEIGHT):
            (sizes[tag],) = struct.unpack_from("<H" if kind == 3 else "<I", data, entry + 8)
    return sizes[_XR_HEIGHT], sizes[_XR_WIDTH]
