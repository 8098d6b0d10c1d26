"""Files of every format but TIFF: the header with Pillow, the pixels with whatever keeps all their bits."""

from __future__ import annotations

import io
import threading
import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.errors import ImageReadError
from ssdnet.image import png, pnm
from ssdnet.image.arrays import pixels_of
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
_MAYBE_DEEPER = ("JPEG2000", "AVIF")

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

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
        ImageReadError: not an image of a known format.
        ImageTooLargeError: see `Limits.check`.
        ImageTooSmallError: see `Limits.check`.
        PageNotFoundError: no such page.
        Exception: whatever the libraries raise for a damaged file.

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
        try:
            image = PIL.Image.open(io.BytesIO(data), formats=known)
        except PIL.UnidentifiedImageError:
            if advice := _advice(data):
                raise ImageReadError(f"{limits.name}: {advice}") from None
            raise ImageReadError(
                f"{limits.name}: not an image that can be read, or its first bytes are damaged; "
                f"give a TIFF, {', '.join(known)} file, or convert it to PNG or TIFF"
            ) from None
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


def _advice(data: bytes) -> str | None:
    """What to do with a file of a kind that people take for an image, and that is not read."""
    if data.startswith(b"%PDF"):
        return "PDF is not supported; export the page as PNG"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        return "HEIC is not supported; export it as PNG"
    start = data[:1000].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<") and b"<svg" in start:
        return "SVG is not supported; export it as PNG"
    return None


def _orientation(image: PIL.Image.Image, data: bytes) -> object:
    import PIL.Image

    try:
        if image.format != "PNG":
            return image.getexif().get(TAG)
        exif = PIL.Image.Exif()  # for PNG, Pillow's getexif decodes all pixels first
        exif.load(png.exif(data))
        return exif.get(TAG)
    except Exception:  # as every viewer: a damaged remark does not make the pixels unreadable
        return None


def _pixels(image: PIL.Image.Image, data: bytes, page: int) -> Decoded:
    """Decode the page that `image` stands at, without turning it."""
    if image.format == "PNG" and page == 1:
        return png.decode(data)
    if image.format == "PNG" and png.is_deep(data):
        raise ValueError("pages of an animated PNG with 16 bits, other than the first, cannot be read")
    if image.format == "PPM" and (array := pnm.decode(data)) is not None:
        return Decoded(array)
    decoded = pixels_of(image)
    if image.format in _MAYBE_DEEPER and decoded.pixels.dtype == np.uint8:
        note = f"{image.format} is read with 8 bits a channel; if it has more, convert it to TIFF or PNG"
        return replace(decoded, notes=(*decoded.notes, note))
    return decoded
