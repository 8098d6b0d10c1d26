"""From what a file stores to the colours that a person sees: alpha apart, and RGB of everything else.

Colours that are computed are as exact as the dtype allows; nothing here knows a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_D50 = np.array([0.96422, 1.0, 0.82521])
_RGB_FROM_XYZ_D50 = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
"""Linear sRGB of XYZ under D50, adapted by Bradford's method."""
_STRIP = 1 << 18
"""Pixels worked on at once."""


def split_alpha(array: npt.NDArray[Any], channel: int = -1) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Colour `(H, W, C - 1)` and alpha `(H, W)`, of `(H, W, C)`.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.color import split_alpha
        >>> rgba = np.array([[[9, 8, 7, 255], [6, 5, 4, 0]]], np.uint8)
        >>> colour, alpha = split_alpha(rgba)
        >>> colour.shape, alpha
        ((1, 2, 3), array([[255,   0]], dtype=uint8))
    """
    return np.delete(array, channel, axis=2), array[..., channel].copy()


def rgb_from_cmyk(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """RGB `(H, W, 3)` of the same unsigned dtype, of inks `(H, W, 4)`, without a colour profile.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.color import rgb_from_cmyk
        >>> cyan, black = (255, 0, 0, 0), (0, 0, 0, 255)
        >>> rgb_from_cmyk(np.array([[cyan, black]], np.uint8))
        array([[[  0, 255, 255], [  0,   0,   0]]], dtype=uint8)
    """
    full = np.iinfo(array.dtype).max
    paper = (full - array).astype(np.uint64)
    product = paper[..., :3] * paper[..., 3:]
    return ((product + full // 2) // full).astype(array.dtype)


def inverted(array: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Values of which the smallest was white, so that the largest is.

    Floats, which have no largest value, are negated.

    Args:
        array: bool, integers or floats.
        bits: of a value in the file.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.color import inverted
        >>> inverted(np.array([0, 15], np.uint8), 4), inverted(np.array([-128, 127], np.int8), 8)
        (array([15,  0], dtype=uint8), array([ 127, -128], dtype=int8))
    """
    if array.dtype.kind == "f":
        turned = np.negative(array)
    elif array.dtype.kind == "u" and bits < 8 * array.dtype.itemsize:
        turned = (2**bits - 1 - array).astype(array.dtype)
    else:
        turned = np.invert(array)
    return np.asarray(turned)


def rgb_from_palette(indices: npt.NDArray[Any], palette: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Colours `(H, W, 3)` of `(H, W)` indices; uint8 when the 16-bit palette says no more than that.

    Args:
        indices: from 0.
        palette: `(3, N)` uint16.

    Raises:
        ValueError: an index beyond the palette, or one that is no palette.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.color import rgb_from_palette
        >>> rgb_from_palette(np.array([[True, False]]), np.array([[0, 65535], [257, 0], [0, 0]], np.uint16))
        array([[[255,   0,   0], [  0,   1,   0]]], dtype=uint8)
    """
    if palette.ndim != 2 or len(palette) != 3:
        raise ValueError(f"its palette has shape {palette.shape} instead of three colours a value")
    indices = indices.astype(np.int64)
    if indices.min() < 0 or indices.max() >= palette.shape[1]:
        raise ValueError(f"a pixel has colour {indices.max()} of a palette of {palette.shape[1]}")
    if (palette < 256).all():  # some writers forget to scale
        palette = palette.astype(np.uint8)
    elif (palette % 256 == palette // 256).all() or (palette % 256 == 0).all():
        palette = (palette // 256).astype(np.uint8)
    return np.asarray(palette.T[indices])


def rgb_from_ycbcr(
    array: npt.NDArray[Any],
    weights: Sequence[float] = (0.299, 0.587, 0.114),
    reference: Sequence[float] | None = None,
) -> npt.NDArray[Any]:
    """RGB `(H, W, 3)` of the same unsigned dtype, of luma and two differences `(H, W, 3)`.

    Args:
        array: 8 or 16 bits.
        weights: of red, green and blue in the luma.
        reference: black and white of each channel, as in TIFF's ReferenceBlackWhite; None = the full range.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.color import rgb_from_ycbcr
        >>> grey, red = (77, 128, 128), (76, 85, 255)
        >>> rgb_from_ycbcr(np.array([[grey, red]], np.uint8))
        array([[[ 77,  77,  77], [254,   0,   0]]], dtype=uint8)
    """
    full = int(np.iinfo(array.dtype).max)
    middle = (full + 1) / 2
    low = np.array([0, middle, middle] if reference is None else reference[0::2])
    high = np.array([full] * 3 if reference is None else reference[1::2])
    scale = np.array(
        [full, full / 2, full / 2] if reference is not None else [full, full - middle, full - middle]
    )
    red, green, blue = weights
    if not (green > 0 and (high > low).all()):
        raise ValueError("its YCbCr coefficients or its reference black and white make no sense")
    step = scale / (high - low)
    out = np.empty_like(array)
    for rows in _strips(array):
        luma, first, second = np.moveaxis((array[rows].astype(np.float64) - low) * step, -1, 0)
        r = luma + (2 - 2 * red) * second
        b = luma + (2 - 2 * blue) * first
        g = (luma - red * r - blue * b) / green
        out[rows] = np.clip(np.rint(np.stack((r, g, b), axis=-1)), 0, full)
    return out


def lab_from(
    stored: npt.NDArray[Any], scale: Sequence[float], offset: Sequence[float], dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """L*a*b* as `Image.lab` has it, of another linear coding of it `(H, W, 3)`.

    Args:
        stored: integers.
        scale: L*, a* and b* of one step of each channel.
        offset: the value of each channel that means 0.
        dtype: uint8 or uint16, of the result.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.color import lab_from
        >>> lab_from(np.array([[[255, -1, 2]]], np.int16), (100 / 255, 1, 1), (0, 0, 0), np.uint8)
        array([[[255, 127, 130]]], dtype=uint8)
    """
    code = _LabCode.of(dtype)
    out = np.empty(stored.shape, dtype)
    for rows in _strips(stored):
        lab = (stored[rows].astype(np.float64) - offset) * scale
        out[rows] = np.clip(np.rint(lab / code.scale + code.offset), 0, code.full)
    return out


def rgb_from_lab(lab: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """RGB (sRGB) `(H, W, 3)`, 0 to the largest value of an unsigned dtype, of L*a*b* as `Image.lab` has it.

    Args:
        lab: integers, or floats that stand for such; then the result is of floats, NaN where they are.
        dtype: uint8 or uint16, of which the integers are.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.color import rgb_from_lab
        >>> white, yellowish = (255, 128, 128), (128, 128, 168)
        >>> rgb_from_lab(np.array([[white, yellowish]], np.uint8), np.uint8)
        array([[[255, 255, 255], [135, 118,  48]]], dtype=uint8)
    """
    code = _LabCode.of(dtype)
    out = np.empty(lab.shape, lab.dtype if lab.dtype.kind == "f" else dtype)
    for rows in _strips(lab):
        light, a, b = np.moveaxis((lab[rows].astype(np.float64) - code.offset) * code.scale, -1, 0)
        root = (light + 16) / 116
        roots = np.stack((root + a / 500, root, root - b / 200), axis=-1)
        xyz = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29)) * _D50
        linear = np.clip(xyz @ _RGB_FROM_XYZ_D50.T, 0, 1)
        rgb = code.full * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        out[rows] = rgb if lab.dtype.kind == "f" else np.rint(rgb)
    return out


@dataclass(frozen=True)
class _LabCode:
    """How `Image.lab` codes L*, a* and b* as integers."""

    full: int
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]

    @classmethod
    def of(cls, dtype: npt.DTypeLike) -> _LabCode:
        full = int(np.iinfo(dtype).max)
        step, middle = 256 / (full + 1), (full + 1) // 2
        return cls(full, (100 / full, step, step), (0, middle, middle))


def _strips(array: npt.NDArray[Any]) -> list[slice]:
    """Rows that are worked on together: a whole image in float64 would take many times its memory."""
    rows = max(1, _STRIP // array.shape[1])
    return [slice(top, top + rows) for top in range(0, array.shape[0], rows)]
