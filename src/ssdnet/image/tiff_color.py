"""What the samples of a TIFF page mean: colours as a person sees them, alpha, and where nothing was measured.

TIFF 6.0 has many ways to store a colour. What is converted is exact; what cannot be converted is an error or
is named in a note, and never taken for something else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.image import nodata
from ssdnet.image.arrays import plain_dtype
from ssdnet.image.color import (
    inverted,
    lab_from,
    rgb_from_cmyk,
    rgb_from_palette,
    rgb_from_ycbcr,
    split_alpha,
)
from ssdnet.image.model import Decoded

if TYPE_CHECKING:
    import numpy.typing as npt
    import tifffile

_PHOTOMETRIC, _INK_SET, _DECODE, _COEFFICIENTS, _REFERENCE = 262, 332, 433, 529, 532
_GDAL_METADATA, _GDAL_NODATA = 42112, 42113
_APERIO_YCBCR = 33003
_CIELAB, _ICCLAB, _ITULAB = _LAB = (8, 9, 10)  # of PhotometricInterpretation
_GDAL_ALPHA = re.compile(r'<Item name="COLORINTERP" sample="(\d+)" role="colorinterp">Alpha</Item>')
_NO_COLOURS = {
    "CFA": "the file is a raw sensor mosaic: each pixel has one colour only, and values were taken as stored",
    "LINEAR_RAW": "colours are those of the sensor, not developed, and were taken as stored",
    "DEPTH_MAP": "values are depths and were taken as stored",
    "SEMANTIC_MASK": "values are labels and were taken as stored",
    "MASK": "values are those of a transparency mask and were taken as stored",
}


def meant(array: npt.NDArray[Any], frame: tifffile.TiffPage) -> Decoded:
    """Colour, alpha and missing pixels of the samples of a page.

    Args:
        array: `(H, W, C)`, as stored; of JPEG as its library decodes it.
        frame: that describes them.

    Raises:
        ValueError: colours that cannot be converted.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import tifffile
        >>> from ssdnet.image.tiff_color import meant
        >>> file = io.BytesIO()
        >>> tifffile.imwrite(file, np.full((20, 30), 200, np.uint8), photometric="miniswhite")
        >>> page = tifffile.TiffFile(io.BytesIO(file.getvalue())).pages[0]
        >>> int(meant(np.atleast_3d(page.asarray()), page).pixels.max())
        55
    """
    array = plain_dtype(array)
    colour, alpha, notes = _without_alpha(array, frame)
    missing, more = _missing(colour, frame)
    if frame.photometric in _LAB and colour.shape[2] > 1:
        return Decoded(_lab(colour, frame), alpha, missing, notes=(*notes, *more), lab=True)
    pixels, last = _rgb(colour, frame)
    return Decoded(pixels, alpha, missing, notes=(*notes, *more, *last))


def _without_alpha(
    array: npt.NDArray[Any], frame: tifffile.TiffPage
) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None, list[str]]:
    import tifffile

    kinds = tifffile.EXTRASAMPLE
    if array.shape[2] != frame.samplesperpixel:
        return array, None, []
    first = frame.samplesperpixel - len(frame.extrasamples)
    by_gdal = {
        int(sample) for sample in _GDAL_ALPHA.findall(str(frame.tags.valueof(_GDAL_METADATA, default="")))
    }
    for channel, meaning in enumerate(frame.extrasamples, first):
        unspecified = meaning == kinds.UNSPECIFIED and channel in by_gdal
        if meaning in (kinds.ASSOCALPHA, kinds.UNASSALPHA) or unspecified:
            colour, alpha = split_alpha(array, channel)
            premultiplied = meaning == kinds.ASSOCALPHA
            note = "colours are stored multiplied by alpha and were taken so"
            return colour, alpha, [note] if premultiplied else []
    return array, None, []


def _missing(
    colour: npt.NDArray[Any], frame: tifffile.TiffPage
) -> tuple[dict[str, npt.NDArray[np.bool_]], list[str]]:
    """Where GDAL's no-data value is."""
    values, note = nodata.from_gdal(frame.tags.valueof(_GDAL_NODATA), colour.shape[2])
    if note or not values:
        return {}, [note] if note else []
    words = nodata.words(values)
    where = nodata.where(colour, values)
    if where is None:
        plain = all(value != value for value in values)  # NaN: nothing to tell
        ignored = f"the file's no-data value {words} cannot occur among {colour.dtype} and was ignored"
        return {}, [] if plain else [ignored]
    return {f"with the file's no-data value {words}": where}, []


def _rgb(array: npt.NDArray[Any], frame: tifffile.TiffPage) -> tuple[npt.NDArray[Any], list[str]]:
    """Grey or RGB, and what to tell a person about it."""
    import tifffile

    kinds = tifffile.PHOTOMETRIC
    kind, notes = _photometric(frame)
    if kind in (kinds.MINISBLACK, kinds.RGB) and frame.compression != _APERIO_YCBCR:
        return array, notes
    if kind == kinds.MINISWHITE:
        if array.dtype.kind == "f":
            notes.append(
                "smaller values are brighter in this file; they were negated, so that larger ones are"
            )
        return inverted(array, int(frame.bitspersample)), notes
    if kind == kinds.PALETTE:
        return _from_palette(array, frame), notes
    if kind == kinds.SEPARATED:
        return _from_inks(array, frame, notes)
    if kind in (kinds.YCBCR, kinds.RGB):
        return array if is_jpeg(frame) else _from_ycbcr(array, frame), notes
    if kind in _LAB:
        return array, notes  # lightness alone
    name = getattr(kind, "name", str(kind))
    words = f"the file's values are of kind {name}, which is not known here; they were taken as stored"
    return array, [*notes, _NO_COLOURS.get(name, words)]


def _photometric(frame: tifffile.TiffPage) -> tuple[Any, list[str]]:
    """The kind of colour; where the file does not say it, what other programs take it for."""
    import tifffile

    kinds = tifffile.PHOTOMETRIC
    if _PHOTOMETRIC in frame.tags or frame.photometric == kinds.YCBCR:
        return frame.photometric, []
    colours = frame.samplesperpixel - len(frame.extrasamples)
    if frame.compression in (2, 3, 4, 32771):  # of faxes
        return kinds.MINISWHITE, []
    kind, words = (kinds.RGB, "RGB") if colours == 3 else (kinds.MINISBLACK, "grey, the largest value white")
    return kind, [f"the file does not say what its values mean; they were taken for {words}"]


def _from_palette(array: npt.NDArray[Any], frame: tifffile.TiffPage) -> npt.NDArray[Any]:
    if frame.colormap is None:
        raise ValueError("its colours are those of a palette, and there is none in it")
    if array.dtype.kind not in "bu" or array.shape[2] != 1:
        raise ValueError(f"a palette for {array.shape[2]} channels of {array.dtype} makes no sense")
    return rgb_from_palette(array[..., 0], np.asarray(frame.colormap))


def _from_inks(
    array: npt.NDArray[Any], frame: tifffile.TiffPage, notes: list[str]
) -> tuple[npt.NDArray[Any], list[str]]:
    cmyk = frame.tags.valueof(_INK_SET, default=1) == 1
    if cmyk and array.shape[2] == 4 and array.dtype.kind == "u":
        return rgb_from_cmyk(array), [*notes, "colours were converted from CMYK to RGB"]
    if array.shape[2] <= 3 or cmyk:
        raise ValueError(
            f"{array.shape[2]} channels of {array.dtype} are inks, which can be converted to RGB only of 4 "
            "channels of 8 or 16 bits"
        )
    return array, [*notes, "channels are inks and were taken as stored: more ink is darker"]


def _from_ycbcr(array: npt.NDArray[Any], frame: tifffile.TiffPage) -> npt.NDArray[Any]:
    if array.shape[2] != 3 or array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"YCbCr of {array.shape[2]} channels of {array.dtype} is not supported")
    weights = _fractions(frame.tags.valueof(_COEFFICIENTS), 3) or (0.299, 0.587, 0.114)
    return rgb_from_ycbcr(array, weights, _fractions(frame.tags.valueof(_REFERENCE), 6))


def _fractions(value: object, count: int) -> tuple[float, ...] | None:
    """Numbers of a tag that are written as numerators and denominators; None when they are not there."""
    if not isinstance(value, tuple) or len(value) != 2 * count or 0 in value[1::2]:
        return None
    return tuple(top / bottom for top, bottom in zip(value[::2], value[1::2], strict=True))


def _lab(array: npt.NDArray[Any], frame: tifffile.TiffPage) -> npt.NDArray[Any]:
    """L*a*b* in one coding, of the three that TIFF has."""
    bits = int(frame.bitspersample)
    if array.shape[2] != 3 or array.dtype.kind not in "iu" or bits not in (8, 16):
        raise ValueError(f"L*a*b* of {array.shape[2]} channels of {array.dtype} is not supported")
    fine, unsigned = 2 ** (bits - 8), np.dtype(f"u{bits // 8}")
    lab = array.view(unsigned)
    if frame.photometric == _CIELAB:  # a* and b* have a sign, whatever the tags say of L*
        signed = lab.astype(np.int32)
        signed[..., 1:] = array.view(f"i{bits // 8}")[..., 1:]
        return lab_from(signed, (100 / (2**bits - 1), 1 / fine, 1 / fine), (0, 0, 0), unsigned)
    if frame.photometric == _ICCLAB:
        middle = 128 * fine
        return lab_from(lab, (100 / (255 * fine), 1 / fine, 1 / fine), (0, middle, middle), unsigned)
    # ITULAB: by its tag Decode, the range of each channel
    standard = (0, 100, -21760 / 255, 21590 / 255, -19200 / 255, 31800 / 255)
    ranges = _fractions(frame.tags.valueof(_DECODE), 6) or standard
    low, high = np.array(ranges[0::2]), np.array(ranges[1::2])
    if not (high > low).all():
        raise ValueError("the range of its L*a*b* colours makes no sense")
    scale = (high - low) / (2**bits - 1)
    return lab_from(lab, list(scale), list(-low / scale), unsigned)


def is_jpeg(frame: tifffile.TiffPage) -> bool:
    """Whether its pixels are JPEG, which is decoded to RGB.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import tifffile
        >>> from ssdnet.image.tiff_color import is_jpeg
        >>> file = io.BytesIO()
        >>> tifffile.imwrite(file, np.zeros((20, 30, 3), np.uint8), photometric="rgb", compression="jpeg")
        >>> is_jpeg(tifffile.TiffFile(io.BytesIO(file.getvalue())).pages[0])
        True
    """
    import tifffile

    kinds = tifffile.COMPRESSION
    return frame.compression in (kinds.OJPEG, kinds.JPEG, kinds.JPEG_LOSSY, kinds.ALT_JPEG)
