"""`read_image`: anything a person may call an image, as an `Image`."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.errors import ImageReadError, NoValidPixelsError, PageNotFoundError, SsdnetError, UsageError
from ssdnet.image import arrays
from ssdnet.image.limits import DEFAULT_MAX_PIXELS, Limits
from ssdnet.image.model import Decoded, Image
from ssdnet.image.orientation import upright
from ssdnet.settings import check_page

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy.typing as npt
    import PIL.Image
    import torch

    File: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview
    Source: TypeAlias = File | npt.ArrayLike | torch.Tensor | PIL.Image.Image | Image

STANDARD_INPUT = "-"

# Without a handler, Python prints on standard error what these log about odd files.
for _library in ("tifffile", "imagecodecs"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


def read_image(
    source: Source,
    *,
    roi: Source | None = None,
    page: int | None = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
) -> Image:
    """Read an image of any kind into pixels and a mask of the valid ones.

    Files of TIFF (also BigTIFF), PNG, JPEG, BMP, WebP, GIF, Netpbm, JPEG 2000, AVIF and QOI are turned as
    their EXIF says. Palettes and CMYK become RGB. Alpha becomes missing pixels where it is 0 and is dropped
    elsewhere. For arrays nothing is guessed: four channels are four channels, not alpha.

    Args:
        source: a path; bytes of a file; `"-"` for standard input; a NumPy array `(H, W)` or `(H, W, C)`; a
            torch tensor `(C, H, W)` or `(H, W)` on any device; a PIL image; an `Image`; or what NumPy makes
            such an array of: nested lists of numbers, and objects with `__array__` (xarray, pandas).
        roi: region of interest, any of the same, of the same height and width; pixels outside it are
            missing. Inside is where any of its channels is neither 0 nor NaN; but of integers with more than
            two different values (a JPEG, or soft edges) where any is above half of their maximum, with a note
            when that makes a difference. Its alpha is ignored.
        page: of a TIFF, GIF, WebP or animated PNG, from 1; by default the first, with a note if there are
            others.
        max_pixels: most pixels (rows times columns), checked before decoding; None = no limit. A file may
            hold at most four times as many values.

    Returns:
        The image; its arrays are read-only and nobody else's.

    Raises:
        UsageError: a source that is not an image; a wrong `page` or `max_pixels`; a `roi` of another size.
        ImageReadError: a file that is missing, empty, cut short, or not an image.
        ImageTooLargeError: more pixels than `max_pixels`.
        ImageTooSmallError: a side shorter than `MIN_SIDE`.
        PageNotFoundError: no such page.
        NoValidPixelsError: every pixel is missing.

    Example:
        >>> import numpy as np
        >>> image = read_image(np.zeros((20, 30), np.uint16))
        >>> image.pixels.shape, image.pixels.dtype.name
        ((20, 30, 1), 'uint16')
    """
    page = check_page(page)
    if max_pixels is not None and max_pixels < 1:
        raise UsageError(f"max_pixels {max_pixels!r}: give a positive number, or None for no limit")
    if isinstance(source, str) and isinstance(roi, str) and source == roi == STANDARD_INPUT:
        raise UsageError("the image and the roi cannot both come from standard input")
    image = _read(source, page, max_pixels)
    if not image.valid.any():
        raise NoValidPixelsError(
            f"{image.name}: every pixel is missing (alpha 0, NaN or infinite); there is nothing to look at"
        )
    return image if roi is None else _inside(image, roi, max_pixels)


def _inside(image: Image, roi: Source, max_pixels: int | None) -> Image:
    """The image with all pixels outside the roi missing."""
    try:
        there = _read(roi, None, max_pixels)
    except SsdnetError as error:
        raise type(error)(f"roi: {error}") from error
    if there.valid.shape != image.valid.shape:
        raise UsageError(
            f"{image.name}: the roi has shape {there.valid.shape} and the image {image.valid.shape} "
            "(rows, columns); they must be the same"
        )
    inside, notes = _inside_of(there.pixels)
    valid = image.valid & inside
    if not valid.any():
        raise NoValidPixelsError(
            f"{image.name}: no valid pixel lies inside the roi; it is non-zero where to look"
        )
    outside = image.valid & ~inside
    if image.outside_roi is not None:
        outside |= image.outside_roi
    valid.setflags(write=False)
    outside.setflags(write=False)
    return dataclasses.replace(
        image, valid=valid, notes=image.notes + notes, roi_sha256=there.sha256, outside_roi=outside
    )


def _inside_of(roi: npt.NDArray[Any]) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Where a roi `(H, W, C)` says to look, `(H, W)`, and what to tell a person about it."""
    inside = ((roi != 0) & ~np.isnan(roi)).any(axis=2)
    low, high = roi.min(), roi.max()
    if roi.dtype.kind not in "iu" or high <= 0 or not ((roi != low) & (roi != high)).any():
        return inside, ()
    bright = (roi > high // 2).any(axis=2)
    if (bright == inside).all():
        return inside, ()
    return bright, (
        f"the roi has more than two values; inside is where it is above half of its maximum ({high})",
    )


def _read(source: Source, page: int | None, max_pixels: int | None) -> Image:
    """Read a source of any kind; there may be no valid pixel."""
    if isinstance(source, Image):
        Limits(source.name, max_pixels).check(source.height, source.width)
        if page not in (None, source.page):
            raise PageNotFoundError(f"{source.name}: page {source.page} was read already, not page {page}")
        return source
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), "bytes", None, page, max_pixels)
    if isinstance(source, str) and source == STANDARD_INPUT:
        return _from_bytes(sys.stdin.buffer.read(), "standard input", None, page, max_pixels)
    if isinstance(source, (str, os.PathLike)):
        name = os.fsdecode(source)
        return _from_bytes(_file_bytes(name), name, Path(name), page, max_pixels)
    if arrays.is_pil_image(source):
        name = os.fsdecode(getattr(source, "filename", "")) or "PIL image"
        decoded = arrays.from_pil_image(source, Limits(name, max_pixels))
    elif arrays.is_tensor(source):
        name = "tensor"
        decoded = arrays.from_tensor(source, Limits(name, max_pixels))
    else:
        name = "array"
        decoded = arrays.from_array(arrays.as_array(source), Limits(name, max_pixels))
    if page not in (None, decoded.page):
        raise PageNotFoundError(f"{name}: there is no page {page}; what is in memory is page {decoded.page}")
    return _finish(decoded, name, None, _digest(decoded))


def is_url(name: str) -> bool:
    """Whether a path is rather the address of something in a network.

    Examples:
        >>> from ssdnet.image.read import is_url
        >>> is_url("https://example.org/a.png"), is_url("scans/a.png")
        (True, False)
    """
    return re.match(r"(https?|s?ftp|s3|gs)://", name, re.IGNORECASE) is not None


def why_missing(name: str) -> str:
    """What to tell about a path where there is nothing.

    Examples:
        >>> from ssdnet.image.read import why_missing
        >>> why_missing("scans/a.png")
        'there is no such file; check the path'
        >>> why_missing("https://example.org/a.png")
        'download it first: ssdnet never uses the network'
    """
    if is_url(name):
        return "download it first: ssdnet never uses the network"
    return "there is no such file; check the path"


def _file_bytes(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        cause = why_missing(name)
    except IsADirectoryError:
        cause = "this is a folder; give the path of an image file"
    except PermissionError:
        cause = "no permission to read it; check who may read the file and its folder"
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        cause = f"it cannot be read ({getattr(error, 'strerror', None) or error}); check the path"
    raise ImageReadError(f"{name}: {cause}")


def _from_bytes(data: bytes, name: str, path: Path | None, page: int | None, max_pixels: int | None) -> Image:
    """Decode a file; whatever the libraries raise becomes an `ImageReadError`."""
    from ssdnet.image import pillow, tiff

    if not data:
        raise ImageReadError(f"{name}: it is empty (0 bytes); it was perhaps not copied or saved to the end")
    decode = tiff.decode if data.startswith(tiff.SIGNATURES) else pillow.decode
    try:
        decoded = decode(data, page, Limits(name, max_pixels))
    except SsdnetError:
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageReadError(
            f"{name}: the file is damaged, cut short or of an unsupported kind ({cause}); "
            "copy or save it again, or convert it to PNG or TIFF"
        ) from error
    return _finish(decoded, name, path, hashlib.sha256(data).hexdigest())


def _finish(decoded: Decoded, name: str, path: Path | None, sha256: str) -> Image:
    """Turn the image upright, mark what is not finite as missing, and make both arrays read-only."""
    pixels = np.ascontiguousarray(upright(decoded.pixels, decoded.orientation))
    valid = np.ones(pixels.shape[:2], dtype=bool)
    if pixels.dtype.kind == "f":
        for channel in range(pixels.shape[2]):
            valid &= np.isfinite(pixels[:, :, channel])
    if decoded.opaque is not None:
        valid &= upright(decoded.opaque, decoded.orientation)
    pixels.setflags(write=False)
    valid.setflags(write=False)
    return Image(pixels, valid, name, path, sha256, decoded.page, decoded.page_count, decoded.notes)


def _digest(decoded: Decoded) -> str:
    """SHA-256 of what is in memory: dtype, shape and values, and the mask if there is one."""
    pixels = np.ascontiguousarray(decoded.pixels)
    digest = hashlib.sha256(f"{pixels.dtype.str}{pixels.shape}".encode())
    digest.update(pixels.data)
    if decoded.opaque is not None:
        digest.update(np.ascontiguousarray(decoded.opaque).data)
    return digest.hexdigest()
