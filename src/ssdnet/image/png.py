"""PNG with all its bits: Pillow opens 16-bit colour as 8 bits without a word."""

from __future__ import annotations

import numpy as np

from ssdnet.image.color import split_alpha
from ssdnet.image.model import Decoded

_FIRST_CHUNK = 8
_BIT_DEPTH = 24
_COLOUR_TYPE = 25


def is_deep(data: bytes) -> bool:
    """Whether it has 16 bits a channel.

    Examples:
        >>> import imagecodecs
        >>> import numpy as np
        >>> from ssdnet.image.png import is_deep
        >>> [is_deep(imagecodecs.png_encode(np.zeros((20, 30, 3), dtype))) for dtype in (np.uint8, np.uint16)]
        [False, True]
    """
    return data[_BIT_DEPTH] == 16


def decode(data: bytes) -> Decoded:
    """Read the (first) image of a PNG file; palettes become RGB, 1-bit grey bool, 2 and 4 bits 0 to 255.

    Raises:
        imagecodecs.PngError: damaged or cut short.

    Examples:
        >>> import imagecodecs
        >>> import numpy as np
        >>> from ssdnet.image import png
        >>> colours = np.full((20, 30, 3), 40_000, np.uint16)
        >>> decoded = png.decode(imagecodecs.png_encode(colours))
        >>> bool((decoded.pixels == colours).all()), decoded.pixels.dtype.name
        (True, 'uint16')
    """
    import imagecodecs

    array = np.atleast_3d(imagecodecs.png_decode(data))
    if data[_BIT_DEPTH] == 1 and data[_COLOUR_TYPE] == 0:
        array = np.concatenate([array[..., :1] != 0, array[..., 1:] != 0], axis=2)
    return Decoded(*split_alpha(array)) if array.shape[2] in (2, 4) else Decoded(array)


def exif(data: bytes) -> bytes:
    """The EXIF block, empty when there is none; it may stand after the pixels.

    Examples:
        >>> import io
        >>> import PIL.Image
        >>> from ssdnet.image import png
        >>> from ssdnet.image.orientation import TAG
        >>> lying, file = PIL.Image.Exif(), io.BytesIO()
        >>> lying[TAG] = 6
        >>> PIL.Image.new("L", (30, 20)).save(file, "PNG", exif=lying)
        >>> read = PIL.Image.Exif()
        >>> read.load(png.exif(file.getvalue()))
        >>> read[TAG]
        6
    """
    at = _FIRST_CHUNK
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"eXIf":
            return b"Exif\0\0" + data[at + 8 : at + 8 + length]
        at += length + 12
    return b""
