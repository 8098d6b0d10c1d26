"""`read_image`: anything a person may call an image, as an `Image`."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.errors import ImageReadError, NoValidPixelsError, PageNotFoundError, SsdnetError, UsageError
from ssdnet.image import arrays, border
from ssdnet.image import nodata as no_data
from ssdnet.image.limits import DEFAULT_MAX_PIXELS, Limits
from ssdnet.image.mask import Mask, inside
from ssdnet.image.model import Decoded, Image
from ssdnet.image.orientation import upright
from ssdnet.settings import check_page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    import numpy.typing as npt
    import PIL.Image
    import torch

    from ssdnet.image.nodata import Values

    File: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview
    Source: TypeAlias = File | npt.ArrayLike | torch.Tensor | PIL.Image.Image | Image

STANDARD_INPUT = "-"

# Without a handler, Python prints on standard error what these log about odd files.
for _library in ("tifffile", "imagecodecs"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


@np.errstate(all="ignore")
def read_image(
    source: Source,
    *,
    roi: Source | Mask | None = None,
    nodata: Values = None,
    page: int | None = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
) -> Image:
    """Read an image of any kind into pixels and a mask of the valid ones.

    Files of TIFF (also BigTIFF), PNG, JPEG, BMP, WebP, GIF, Netpbm, JPEG 2000, JPEG XL, JPEG LS, JPEG XR,
    AVIF and QOI are read, and with an optional package DICOM, FITS and HEIC (docs/files.md). They are turned
    as their EXIF says. Palettes, CMYK, YCbCr and L*a*b* become RGB. Alpha becomes missing pixels where it is
    0 and is dropped elsewhere; so do the no-data value and the transparency mask of a file. For arrays
    nothing is guessed: four channels are four channels, not alpha. A note says how many pixels are missing
    and why.

    Args:
        source: a path; bytes of a file; `"-"` for standard input; a NumPy array `(H, W)` or `(H, W, C)`; a
            torch tensor `(C, H, W)` or `(H, W)` on any device; a PIL image; an `Image`; or what NumPy makes
            such an array of: nested lists of numbers, and objects with `__array__` (xarray, pandas).
        roi: region of interest, any of the same, of the same height and width, or a `Mask`; pixels outside
            it are missing. See `ssdnet.image.mask` for what is outside; mostly, what is black or transparent.
        nodata: a value, or several, that stand for missing pixels, beside those that the file names. A value
            that measurements never have counts in any channel; 0 and the largest of unsigned integers only
            where all channels have it.
        page: of a TIFF, GIF, WebP, animated PNG, DICOM or FITS, from 1; by default the first, with a note if
            there are others.
        max_pixels: most pixels (rows times columns), checked before decoding; None = no limit. A file may
            hold at most four times as many values.

    Returns:
        The image; its arrays are read-only and nobody else's.

    Raises:
        UsageError: a source that is not an image; a wrong `page`, `nodata` or `max_pixels`; a `roi` of
            another size.
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
        >>> height = np.random.default_rng(0).normal(size=(20, 30))
        >>> height[3, 4:6] = -9999
        >>> read_image(height, nodata=-9999).notes
        ('2 pixels (0.33 %) are missing: with the no-data value -9999 that was given',)
    """
    page = check_page(page)
    values = no_data.check(nodata)
    _check_limit(max_pixels)
    if isinstance(source, str) and isinstance(roi, str) and source == roi == STANDARD_INPUT:
        raise UsageError("the image and the roi cannot both come from standard input")
    image = source if isinstance(source, Image) else _image_of(_read(source, page, max_pixels))
    if isinstance(source, Image):
        _check_again(source, page, max_pixels)
    image = _without(image, values)
    if not image.valid.any():
        reason = image.notes[-1].partition(": ")[2] if image.notes else "no one says why"
        raise NoValidPixelsError(
            f"{image.name}: every pixel is missing: {reason}; there is nothing to look at"
        )
    if roi is not None:
        image = _inside(image, roi, max_pixels)
    if image is source:
        return image
    frame = border.note(image)
    return (
        dataclasses.replace(image, notes=(*image.notes, frame))
        if frame and frame not in image.notes
        else image
    )


def read_mask(source: Source | Mask, *, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> Mask:
    """Read a mask: of what to look at, or of what is anomalous.

    Args:
        source: as of `read_image`. Of a file with several pages, the first.
        max_pixels: see `read_image`.

    Raises:
        InputError: see `read_image`; but a mask may be transparent everywhere, and then its colours count.

    Example:
        >>> import numpy as np
        >>> from ssdnet.image.read import read_mask
        >>> mask = read_mask(np.arange(400).reshape(20, 20) > 299)
        >>> int(mask.inside.sum()), mask.notes
        (100, ())
    """
    if isinstance(source, Mask):
        return source
    _check_limit(max_pixels)
    if isinstance(source, Image):
        _check_again(source, None, max_pixels)
        hidden = None if source.valid.all() else source.valid
        there, notes = inside(source.pixels, hidden)
        name, sha256 = source.name, source.sha256
    else:
        read = _read(source, None, max_pixels)
        decoded, name, sha256 = read.decoded, read.name, read.sha256
        there, notes = inside(
            upright(decoded.pixels, decoded.orientation),
            None if decoded.alpha is None else upright(decoded.alpha, decoded.orientation),
        )
    if there.all():
        notes = (*notes, "the mask leaves nothing out: no pixel of it is black or transparent")
    there = np.ascontiguousarray(there)
    there.setflags(write=False)
    return Mask(there, name, sha256, notes)


def _check_limit(max_pixels: int | None) -> None:
    if max_pixels is not None and max_pixels < 1:
        raise UsageError(f"max_pixels {max_pixels!r}: give a positive number, or None for no limit")


def _check_again(image: Image, page: int | None, max_pixels: int | None) -> None:
    """Refuse an image that was read already for what would be refused of its source."""
    Limits(image.name, max_pixels).check(image.height, image.width)
    if page not in (None, image.page):
        raise PageNotFoundError(f"{image.name}: page {image.page} was read already, not page {page}")


def _without(image: Image, values: tuple[int | float, ...]) -> Image:
    """The image without the pixels that have one of the values."""
    notes = []
    missing: dict[str, npt.NDArray[np.bool_]] = {}
    for value in values:
        there = no_data.where(image.pixels, [value] * image.channels)
        if there is not None:
            missing[f"with the no-data value {no_data.words([value])} that was given"] = there
        elif value == value:  # NaN is missing anyway where it can occur
            notes.append(
                f"the no-data value {no_data.words([value])} cannot occur among {image.pixels.dtype} and was "
                "ignored"
            )
    if not missing and not notes:
        return image
    valid, note = _valid(image.valid, missing)
    return dataclasses.replace(image, valid=valid, notes=(*image.notes, *notes, *note))


def _valid(
    known: npt.NDArray[np.bool_], missing: Mapping[str, npt.NDArray[np.bool_]]
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """What is left of the known pixels, read-only, and a note on how many are missing and why."""
    valid = known.copy()
    counts = {}
    for why, where in missing.items():
        counts[why] = int(np.count_nonzero(valid & where))
        valid &= ~where
    counts = {why: count for why, count in counts.items() if count}
    valid.setflags(write=False)
    if not counts:
        return valid, ()
    total = sum(counts.values())
    if len(counts) > 1:
        why = ", ".join(f"{count:,} {why}" for why, count in counts.items())
    else:
        why = next(iter(counts))
    pixels = "1 pixel" if total == 1 else f"{total:,} pixels"
    verb = "is" if total == 1 else "are"
    return valid, (f"{pixels} ({100 * total / valid.size:.2g} %) {verb} missing: {why}",)


def _inside(image: Image, roi: Source | Mask, max_pixels: int | None) -> Image:
    """The image with all pixels outside the roi missing."""
    try:
        mask = read_mask(roi, max_pixels=max_pixels)
    except SsdnetError as error:
        raise type(error)(f"roi: {error}") from error
    if mask.inside.shape != image.valid.shape:
        raise UsageError(
            f"{image.name}: the roi has shape {mask.inside.shape} and the image {image.valid.shape} "
            "(rows, columns); they must be the same"
        )
    valid = image.valid & mask.inside
    if not valid.any():
        raise NoValidPixelsError(
            f"{image.name}: no valid pixel lies inside the roi; it is white where to look and black elsewhere"
        )
    outside = image.valid & ~mask.inside
    if image.outside_roi is not None:
        outside |= image.outside_roi
    valid.setflags(write=False)
    outside.setflags(write=False)
    notes = tuple(f"roi: {note}" for note in mask.notes)
    return dataclasses.replace(
        image, valid=valid, notes=image.notes + notes, roi_sha256=mask.sha256, outside_roi=outside
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Read:
    """What was decoded, and where it came from."""

    decoded: Decoded
    name: str
    path: Path | None
    sha256: str


def _read(source: Source, page: int | None, max_pixels: int | None) -> _Read:
    """Read a source of any kind but an `Image`."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), "bytes", None, page, max_pixels)
    if isinstance(source, str) and source == STANDARD_INPUT:
        return _from_bytes(_standard_input(), "standard input", None, page, max_pixels)
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
    return _Read(decoded, name, None, _digest(decoded))


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


def _standard_input() -> bytes:
    if sys.stdin is None or not hasattr(sys.stdin, "buffer"):  # closed, or a program's own, as in a notebook
        raise ImageReadError("standard input: it is closed, or gives text only; give a path or bytes")
    try:
        return sys.stdin.buffer.read()
    except (OSError, ValueError) as error:
        raise ImageReadError(f"standard input: it cannot be read ({error})") from error


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


def _from_bytes(data: bytes, name: str, path: Path | None, page: int | None, max_pixels: int | None) -> _Read:
    """Decode a file; whatever the libraries raise becomes an `ImageReadError`."""
    from ssdnet.image import files

    if not data:
        raise ImageReadError(f"{name}: it is empty (0 bytes); it was perhaps not copied or saved to the end")
    try:
        decoded = files.decode(data, path, page, Limits(name, max_pixels))
    except SsdnetError:
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageReadError(
            f"{name}: {files.kind(data)} that cannot be decoded ({cause}); if another program opens it, save "
            "it there as PNG or TIFF and give that, otherwise copy it again: it may be cut short"
        ) from error
    return _Read(decoded, name, path, hashlib.sha256(data).hexdigest())


def _image_of(read: _Read) -> Image:
    """Turn the image upright, mark what is missing, and make both arrays read-only."""
    decoded = read.decoded
    pixels = np.ascontiguousarray(upright(decoded.pixels, decoded.orientation))
    pixels.setflags(write=False)
    missing = {why: upright(where, decoded.orientation) for why, where in decoded.missing.items()}
    if decoded.alpha is not None:
        missing["fully transparent"] = upright(decoded.alpha == 0, decoded.orientation)
    if pixels.dtype.kind == "f":
        finite = np.ones(pixels.shape[:2], dtype=bool)
        for channel in range(pixels.shape[2]):
            finite &= np.isfinite(pixels[:, :, channel])
        missing["NaN or infinite"] = ~finite
    valid, note = _valid(np.ones(pixels.shape[:2], dtype=bool), missing)
    return Image(
        pixels,
        valid,
        read.name,
        read.path,
        read.sha256,
        decoded.page,
        decoded.page_count,
        decoded.notes + note,
        lab=decoded.lab,
    )


def _digest(decoded: Decoded) -> str:
    """SHA-256 of what is in memory: dtype, shape and values, and the masks if there are any."""
    pixels = np.ascontiguousarray(decoded.pixels)
    digest = hashlib.sha256(f"{pixels.dtype.str}{pixels.shape}".encode())
    digest.update(pixels.data)
    hidden = [] if decoded.alpha is None else [decoded.alpha == 0]
    for where in (*hidden, *decoded.missing.values()):
        digest.update(np.ascontiguousarray(~where).data)
    return digest.hexdigest()
