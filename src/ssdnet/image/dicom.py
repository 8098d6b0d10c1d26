"""DICOM: medical and industrial radiographs; read by pydicom, in the values that the file means."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.image import extras
from ssdnet.image.arrays import plain_dtype
from ssdnet.image.color import inverted, rgb_from_palette
from ssdnet.image.model import Decoded
from ssdnet.image.pages import choose_page

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.image.limits import Limits

NAME = "DICOM"
_MARK = slice(128, 132)


def is_kind(data: bytes) -> bool:
    """Whether it is a DICOM file.

    Examples:
        >>> from ssdnet.image import dicom
        >>> dicom.is_kind(bytes(128) + b"DICM"), dicom.is_kind(b"DICM")
        (True, False)
    """
    return data[_MARK] == b"DICM"


def decode(data: bytes, page: int | None, limits: Limits) -> Decoded:
    """Read one frame: RescaleSlope and Intercept are applied, brighter is larger, padding is missing.

    Raises:
        ImageReadError: pydicom is not installed.
        ImageTooLargeError: see `Limits.check`.
        ImageTooSmallError: see `Limits.check`.
        PageNotFoundError: no such page.
        Exception: whatever the library raises.

    Examples:
        >>> from ssdnet.image import dicom
        >>> from ssdnet.image.limits import Limits
        >>> try:
        ...     dicom.decode(b"nothing of the kind", None, Limits("scan", None))
        ... except Exception as error:
        ...     print(type(error).__module__ != "builtins" or str(error) != "")
        True
    """
    library = extras.load("pydicom", "dicom", NAME, limits.name)
    pixels = extras.load("pydicom.pixels", "dicom", NAME, limits.name)
    with extras.quiet():
        file = library.dcmread(io.BytesIO(data))
        if "Rows" not in file or "Columns" not in file:
            raise ValueError("there is no image in it")
        limits.check(int(file.Rows), int(file.Columns))
        samples = int(file.get("SamplesPerPixel", 1))
        limits.check_values(int(file.Rows) * int(file.Columns) * samples, f"{samples} samples a pixel")
        count = max(1, int(file.get("NumberOfFrames", None) or 1))
        chosen, notes = choose_page(limits.name, page, count, "frame" if count > 1 else "page")
        # YBR becomes RGB; a palette and the rest is left to us.
        stored = plain_dtype(np.atleast_3d(np.array(pixels.pixel_array(file, index=chosen - 1))))
        decoded = _meant(file, stored)
    return Decoded(
        decoded.pixels, missing=decoded.missing, page=chosen, page_count=count, notes=notes + decoded.notes
    )


def _meant(file: Any, stored: npt.NDArray[Any]) -> Decoded:  # noqa: ANN401 - pydicom's Dataset
    """The values that stored ones mean, and where there are none."""
    kind = str(file.get("PhotometricInterpretation", ""))
    if kind == "PALETTE COLOR":
        return Decoded(_rgb_from_tables(file, stored[..., 0]))
    missing = _padding(file, stored)
    slope, intercept = (
        float(file.get(key, default)) for key, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    values = stored
    notes: tuple[str, ...] = ()
    if (slope, intercept) != (1.0, 0.0):
        values = (stored * np.float64(slope) + intercept).astype(
            np.float64 if stored.dtype.itemsize > 2 else np.float32
        )
        notes = (f"values are {slope:g} {chr(0xD7)} stored {intercept:+g}, as the file says",)
    if kind == "MONOCHROME1":
        values = inverted(values, int(file.get("BitsStored", 8 * stored.dtype.itemsize)))
        notes = (
            *notes,
            "the file is MONOCHROME1, smaller is brighter: values were inverted, so that larger is",
        )
    return Decoded(values, missing=missing, notes=notes)


def _padding(file: Any, stored: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.bool_]]:  # noqa: ANN401
    """Where the file says that there is nothing but padding."""
    value = file.get("PixelPaddingValue")
    if value is None or stored.shape[2] > 1:
        return {}
    limit = file.get("PixelPaddingRangeLimit", value)
    low, high = sorted((int(value), int(limit)))
    words = f"{low}" if low == high else f"{low} to {high}"
    return {f"with the file's padding value {words}": ((stored >= low) & (stored <= high))[..., 0]}


def _rgb_from_tables(file: Any, indices: npt.NDArray[Any]) -> npt.NDArray[Any]:  # noqa: ANN401
    """Colours of a palette, whose tables begin at an index of their own."""
    count, first, bits = (int(number) for number in file.RedPaletteColorLookupTableDescriptor)
    tables = [
        np.frombuffer(file[f"{colour}PaletteColorLookupTableData"].value, "<u2" if bits == 16 else np.uint8)
        for colour in ("Red", "Green", "Blue")
    ]
    palette = np.stack([table[: count or 65536] for table in tables]).astype(np.uint16)
    return rgb_from_palette(np.clip(indices.astype(np.int64) - first, 0, palette.shape[1] - 1), palette)
