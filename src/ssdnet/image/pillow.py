"""Files of every format but TIFF: the header with Pillow, the pixels with whatever keeps all their bits."""

from __future__ import annotations

import io
import threading
import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.image import png, pnm
from ssdnet.image.arrays import pixels_of, plain_dtype
from ssdnet.image.color import split_alpha
from ssdnet.image.model import Decoded
from ssdnet.image.orientation import TAG
from ssdnet.image.pages import choose_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    import PIL.Image

    from ssdnet.image.limits import Limits

# Formats with a signature, which Pillow reads itself: EPS would start another program, and anything at all
# looks like TGA.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM", "JPEG2000", "AVIF", "QOI")

_header_lock = threading.Lock()


@contextmanager
def _pillow_quiet() -> Iterator[None]:
    """Without Pillow's own limit on pixels, as ours is checked, and without its warnings.

    Both are switches of the whole process, so one thread at a time uses them, and only to read a header;
    pixels are decoded outside, by many threads at once.
    """
    import PIL.Image

    with _header_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit


def decode(data: bytes, page: int | None, limits: Limits) -> Decoded:
    """Read one page of a file that is not a TIFF.

    Raises:
        PIL.UnidentifiedImageError: not an image of a known format.
        ImageTooLargeError: see `Limits.check`.
        ImageTooSmallError: see `Limits.check`.
        PageNotFoundError: no such page.
        Exception: whatever the libraries raise for a file that they cannot decode.

    Examples:
        >>> import io
        >>> import PIL.Image
        >>> from ssdnet.image.limits import Limits
        >>> from ssdnet.image.pillow import decode
        >>> file, frames = io.BytesIO(), [PIL.Image.new("L", (30, 20), grey) for grey in (10, 200)]
        >>> frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
        >>> decoded = decode(file.getvalue(), 2, Limits("two.gif", None))
        >>> decoded.page, decoded.page_count, decoded.pixels.shape[:2]
        (2, 2, (20, 30))
    """
    import PIL.Image

    PIL.Image.init()
    known = [name for name in FORMATS if name in PIL.Image.OPEN]
    with _pillow_quiet():
        image = PIL.Image.open(io.BytesIO(data), formats=known)
        limits.check(image.height, image.width)
        count = getattr(image, "n_frames", 1)
        chosen, notes = choose_page(limits.name, page, count, "frame" if count > 1 else "page")
        for frame in range(1, chosen):  # one by one, as a frame of a GIF may enlarge the image
            image.seek(frame)
            limits.check(image.height, image.width)
        orientation = _orientation(image, data)
    with image:
        decoded = _pixels(image, data, chosen)
    return replace(
        decoded, page=chosen, page_count=count, notes=notes + decoded.notes, orientation=orientation
    )


def _orientation(image: PIL.Image.Image, data: bytes) -> object:
    import PIL.Image

    try:
        if image.format != "PNG":
            return image.getexif().get(TAG)
        exif = PIL.Image.Exif()  # for PNG, Pillow's getexif decodes all pixels first
        exif.load(png.exif(data))
        return exif.get(TAG)
    except Exception:  # as every viewer: an odd remark does not make the pixels unreadable
        return None


def _pixels(image: PIL.Image.Image, data: bytes, page: int) -> Decoded:
    """Decode the page that `image` stands at, without turning it."""
    if image.format == "PNG" and page == 1:
        return png.decode(data)
    if image.format == "PNG" and png.is_deep(data):
        raise ValueError("pages of an animated PNG with 16 bits, other than the first, cannot be read")
    if image.format == "PPM" and (array := pnm.decode(data)) is not None:
        return Decoded(array)
    if _bits(image.format or "", data) > 8:
        return _deep(image, data, page)
    decoded = pixels_of(image)
    if image.format == "BMP" and decoded.alpha is not None and not decoded.alpha.any():
        return replace(decoded, alpha=None)  # as viewers do: the writer has left these bytes empty
    return decoded


def _bits(kind: str, data: bytes) -> int:
    """Bits of a value of JPEG 2000 and AVIF by their headers, which Pillow cuts to 8; 8 of all others."""
    if kind == "JPEG2000" and (at := data.find(b"\xff\x4f\xff\x51")) >= 0 and len(data) > at + 42:
        bits = data[at + 42]
        return (bits & 0x7F) + 1 + (bits >> 7)  # signed values need a bit more than Pillow keeps
    if kind == "AVIF" and (at := data.find(b"av1C")) >= 0 and len(data) > at + 6:
        return {0x40: 10, 0x60: 12}.get(data[at + 6] & 0x60, 8)
    return 8


def _deep(image: PIL.Image.Image, data: bytes, page: int) -> Decoded:
    """Pixels with all their bits, of a file whose header Pillow has read."""
    import imagecodecs

    if image.format == "AVIF":
        array = imagecodecs.avif_decode(data, index=page - 1)
    else:
        array = imagecodecs.jpeg2k_decode(data)
    array = plain_dtype(np.atleast_3d(array))
    return Decoded(*split_alpha(array)) if array.shape[2] in (2, 4) else Decoded(array)
