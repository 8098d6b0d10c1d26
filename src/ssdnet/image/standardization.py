"""Pixels in units of their own contrast, so that no detector depends on the camera; and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.image import Image

_LARGE = 1e150
"""The square of a larger float64 may not be one."""
_FRACTION = 128
"""Steps of a layer between two whole numbers: 16 bits and 7 for the fraction are what float32 holds."""


@dataclass(frozen=True, eq=False)
class Standardized:
    """An image as detectors see it: `pixels = (values - offset) / scale`, channel by channel."""

    pixels: npt.NDArray[np.float32]
    """`(C, H, W)`; missing pixels are 0."""
    offset: npt.NDArray[np.float64]
    """`(C,)`, the median."""
    scale: npt.NDArray[np.float64]
    """`(C,)`, the root mean square about it; 0 in a channel that does not vary."""


def standardize(image: Image) -> Standardized:
    """Take from each channel its median and divide by its root mean square about it.

    What is left does not depend on the unit of any channel, so neither does any score. Until then all is
    float64, because float32 would lose a small contrast on a large offset.
    """
    out = np.zeros((image.channels, *image.valid.shape), dtype=np.float32)
    offset, scale = np.zeros(image.channels), np.zeros(image.channels)
    known = ... if image.valid.all() else image.valid  # a view of all pixels costs nothing, a selection does
    for channel, plane in enumerate(out):
        values = image.pixels[:, :, channel][known]
        if values.dtype == np.bool_:
            values = values.astype(np.uint8)
        unit = 1.0
        if values.dtype == np.float64 and np.abs(values).max() > _LARGE:
            values, unit = values / _LARGE, _LARGE
        median = np.float64(np.median(values))
        difference = np.subtract(values, median, dtype=np.float64)
        offset[channel] = median * unit
        peak = np.abs(difference).max()
        if peak > 0:
            difference /= peak  # or the squares of tiny differences vanish
            spread = math.sqrt(np.mean(np.square(difference)))
            plane[known] = difference / spread
            scale[channel] = min(peak * spread * unit, np.finfo(np.float64).max)
    return Standardized(out, offset, scale)


def layer(
    normal: npt.NDArray[np.float32], standardized: Standardized, image: Image, box: tuple[slice, slice]
) -> npt.NDArray[np.floating]:
    """The `(H, W, C)` normal layer in the units of the image, see `Localization.normal`.

    Args:
        normal: `(C, h, w)` standardised, of the part of the image inside `box`.
        standardized: of the whole image.
        image: what it was made of.
        box: rows and columns; all outside is NaN.
    """
    values = normal.transpose(1, 2, 0) * standardized.scale + standardized.offset
    dtype = image.pixels.dtype
    if dtype.kind in "iub" and dtype.itemsize <= 2:
        # What the image cannot hold is no prediction of it.
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        values = np.clip(np.round(values * _FRACTION) / _FRACTION, low, high).astype(np.float32)
    else:
        # No finer than float32, so that the difference to a float32 image of like size is exact in float64.
        values = _rounded(values)
    out = np.full((*image.valid.shape, image.channels), np.nan, dtype=values.dtype)
    out[box] = values
    return out


def _rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2**24) / 2**24, exponent)
