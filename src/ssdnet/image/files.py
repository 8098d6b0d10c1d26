"""What a file is, by its first bytes, and who reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ssdnet.errors import ImageReadError
from ssdnet.image import codecs, dicom, fits, heif, pillow, tiff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ssdnet.image.limits import Limits
    from ssdnet.image.model import Decoded

_PNG = "export it as PNG"
_NOT_READ = (
    (b"%PDF", "PDF", "export the page as PNG"),
    (b"%!PS", "PostScript", _PNG),
    (b"8BPS", "Photoshop's PSD", "export it as PNG or TIFF"),
    (b"gimp xcf", "GIMP's XCF", "export it as PNG or TIFF"),
    (b"\0\0\1\0", "ICO", _PNG),
    (b"FUJIFILMCCD-RAW", "camera raw", "develop it to TIFF or PNG"),
    (b"IIRO", "camera raw", "develop it to TIFF or PNG"),
    (b"IIU\0", "camera raw", "develop it to TIFF or PNG"),
    (b"\x76\x2f\x31\x01", "OpenEXR", "convert it to a float TIFF"),
    (b"#?RADIANCE", "Radiance HDR", "convert it to a float TIFF"),
    (b"\x93NUMPY", "NumPy's npy", "load it in Python and give the array to ssdnet.localize"),
    (b"\x89HDF", "HDF5", "load the image in Python and give the array to ssdnet.localize"),
    (b"MATLAB 5.0", "MATLAB's mat", "load the image in Python and give the array to ssdnet.localize"),
    (b"ZISRAWFILE", "Zeiss CZI", "export the image as OME-TIFF"),
    (b"AT&TFORM", "DjVu", "export the page as PNG"),
    (b"PK\3\4", "ZIP", "unpack it first"),
    (b"\x1f\x8b", "gzip", "unpack it first"),
)
"""First bytes, name, and what to do; of files that people take for images."""

_OTHERS: tuple[tuple[Callable[[bytes], bool], str, Callable[[bytes, int | None, Limits], Decoded]], ...] = (
    (dicom.is_kind, dicom.NAME, dicom.decode),
    (fits.is_kind, fits.NAME, fits.decode),
    (heif.is_kind, heif.NAME, heif.decode),
)
"""Read by a package each, which may not be there."""

_MOVIES = (b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V ")
_KINDS = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"\x89PNG", "PNG"),
        (rb"\xff\xd8", "JPEG"),
        (rb"BM", "BMP"),
        (rb"GIF8", "GIF"),
        (rb"RIFF....WEBP", "WebP"),
        (rb"qoif", "QOI"),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
        (rb"....ftyp(avif|avis)", "AVIF"),
        (rb"P[1-6]\s", "Netpbm"),
    )
)


def kind(data: bytes) -> str:
    """What a file is, for a message.

    Examples:
        >>> from ssdnet.image.files import kind
        >>> kind(b"BM" + bytes(9)), kind(b"hello")
        ('this is a BMP file', 'this is a file')
    """
    name = _name(data)
    return f"this is a {name} file" if name else "this is a file"


def _name(data: bytes) -> str:
    """Of the kind, empty when it is not known."""
    if data.startswith(tiff.SIGNATURES):
        return "TIFF"
    for is_kind, name, _ in _OTHERS:
        if is_kind(data):
            return name
    return codecs.name(data) or next((name for pattern, name in _KINDS if pattern.match(data)), "")


def decode(data: bytes, path: Path | None, page: int | None, limits: Limits) -> Decoded:
    """Read one page of a file of any kind.

    Args:
        data: the file.
        path: where it lies, when it is known; of an image in several files the others lie beside it.
        page: from 1; None = the first, with a note when there are others.
        limits: of its size.

    Raises:
        ImageReadError: not an image that can be read; the message names what it is and what to do.
        ImageTooLargeError: see `Limits`.
        ImageTooSmallError: see `Limits.check`.
        PageNotFoundError: no such page.
        Exception: whatever the libraries raise for a file that they cannot decode.

    Examples:
        >>> from ssdnet.errors import ImageReadError
        >>> from ssdnet.image.files import decode
        >>> from ssdnet.image.limits import Limits
        >>> try:
        ...     decode(b"%PDF-1.7", None, None, Limits("page.pdf", None))
        ... except ImageReadError as error:
        ...     print(error)
        page.pdf: PDF is not supported; export the page as PNG
    """
    import PIL

    if data.startswith(tiff.SIGNATURES):
        return tiff.decode(data, page, limits, path)
    for is_kind, _, decoder in _OTHERS:
        if is_kind(data):
            return decoder(data, page, limits)
    if codecs.name(data):
        return codecs.decode(data, page, limits)
    if advice := _advice(data):
        raise ImageReadError(f"{limits.name}: {advice}")
    try:
        return pillow.decode(data, page, limits)
    except PIL.UnidentifiedImageError:
        if _name(data):
            raise ValueError("its header makes no sense, or is cut off") from None
        raise ImageReadError(
            f"{limits.name}: not an image of a kind that is known here, or cut off near its start; open it "
            "in the program that made it and save it as PNG or TIFF (docs/files.md lists all kinds)"
        ) from None


def _advice(data: bytes) -> str:
    """What to do with a file that people take for an image, and that is not read."""
    for start, name, what_to_do in _NOT_READ:
        if data.startswith(start):
            return f"{name} is not supported; {what_to_do}"
    if data[344:348] in (b"n+1\0", b"ni1\0"):
        return "NIfTI is not supported; load the slice in Python and give the array to ssdnet.localize"
    if data[4:8] == b"ftyp" and data[8:12] == b"crx ":
        return "camera raw is not supported; develop it to TIFF or PNG"
    if data[4:8] == b"ftyp" and data[8:12] in _MOVIES:
        return "movies are not supported; export the frame as PNG"
    start = data[:1000].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<") and b"<svg" in start:
        return f"SVG is not supported; {_PNG}"
    return ""
