"""Pixels in units of their own contrast, so that no detector depends on the camera; and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ssdnet.image import Image

_LARGE = 1e150
"""The square of a larger float64 may not be one."""
_STRIP = 1 << 15
"""Values worked on at once."""
_FRACTION = 128
"""Steps of a layer between two whole numbers: 16 bits and 7 for the fraction are what float32 holds."""


@dataclass(frozen=True, eq=False)
class Standardized:
    """An image as detectors see it: `pixels = (values - offset) / scale`, channel by channel.

    Examples:
        >>> import numpy as np
        >>> from ssdnet import read_image
        >>> from ssdnet.image.standardization import standardize
        >>> values = np.random.default_rng(0).integers(100, 140, (20, 30, 3), np.uint8)
        >>> standardized = standardize(read_image(values))
        >>> back = standardized.pixels.transpose(1, 2, 0) * standardized.scale + standardized.offset
        >>> bool(np.allclose(back, values))
        True
    """

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

    Examples:
        >>> import numpy as np
        >>> from ssdnet import read_image
        >>> from ssdnet.image.standardization import standardize
        >>> values = np.random.default_rng(0).integers(100, 140, (20, 30), np.uint8)
        >>> brighter = values * 3.0 + 1000  # another camera
        >>> dark, light = (standardize(read_image(one)) for one in (values, brighter))
        >>> bool(np.allclose(dark.pixels, light.pixels)), bool(np.allclose(light.scale, 3 * dark.scale))
        (True, True)
    """
    out = np.zeros((image.channels, *image.valid.shape), dtype=np.float32)
    offset, scale = np.zeros(image.channels), np.zeros(image.channels)
    known = None if image.valid.all() else image.valid  # all pixels are as they are, a selection is a copy
    for channel, plane in enumerate(out):
        values = image.pixels[:, :, channel]
        values = values if known is None else values[known][np.newaxis]
        if values.dtype == np.bool_:
            values = values.astype(np.uint8)
        unit = 1.0
        if values.dtype == np.float64 and np.abs(values).max() > _LARGE:
            values, unit = values / _LARGE, _LARGE
        median = _median(values)
        offset[channel] = median * unit
        peak = max(abs(np.subtract(end, median, dtype=np.float64)) for end in (values.max(), values.min()))
        if peak > 0:
            # By the largest, or the squares of tiny differences vanish.
            total = math.fsum(np.square(part).sum() for _, part in _differences(values, median, peak))
            spread = math.sqrt(total / values.size)
            target = plane if known is None else np.empty(values.shape, dtype=np.float32)
            for rows, part in _differences(values, median, peak):
                np.divide(part, spread, out=target[rows], casting="same_kind")
            if known is not None:
                plane[known] = target[0]
            scale[channel] = min(peak * spread * unit, np.finfo(np.float64).max)
    return Standardized(out, offset, scale)


def _median(values: npt.NDArray[Any]) -> np.float64:
    """Of all values; of bytes counted, not sorted."""
    if values.dtype != np.uint8:
        return np.float64(np.median(values))
    counts = np.zeros(256, dtype=np.int64)
    for rows in _strips(values):
        counts += np.bincount(values[rows].reshape(-1), minlength=256)
    total = counts.cumsum()
    middle = np.searchsorted(total, [(values.size - 1) // 2, values.size // 2], side="right")
    return np.float64(middle.mean())


def _differences(
    values: npt.NDArray[Any], median: np.float64, peak: float
) -> Iterator[tuple[tuple[slice, slice], npt.NDArray[np.float64]]]:
    """`(values - median) / peak` in float64, by strips, as a whole would take eight bytes a pixel."""
    for strip in _strips(values):
        part = np.subtract(values[strip], median, dtype=np.float64)
        part /= peak
        yield strip, part


def _strips(values: npt.NDArray[Any]) -> Iterator[tuple[slice, slice]]:
    """Parts of `(H, W)` values that are worked on in a cache of the processor."""
    height, width = values.shape
    rows, columns = max(1, _STRIP // width), min(width, _STRIP)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield slice(top, top + rows), slice(left, left + columns)


def layer(
    normal: npt.NDArray[np.float32], standardized: Standardized, image: Image, box: tuple[slice, slice]
) -> npt.NDArray[np.floating]:
    """The `(H, W, C)` normal layer in the units of the image, see `Localization.normal`.

    Args:
        normal: `(C, h, w)` standardised, of the part of the image inside `box`.
        standardized: of the whole image.
        image: what it was made of.
        box: rows and columns; all outside is NaN.

    Examples:
        >>> import numpy as np
        >>> from ssdnet import read_image
        >>> from ssdnet.image.standardization import layer, standardize
        >>> image = read_image(np.random.default_rng(0).integers(100, 140, (20, 30), np.uint8))
        >>> box = (slice(0, 16), slice(2, 20))
        >>> nothing_unusual = np.zeros((1, 16, 18), np.float32)  # the median everywhere
        >>> normal = layer(nothing_unusual, standardize(image), image, box)
        >>> bool((normal[box] == np.median(image.pixels)).all()), bool(np.isnan(normal[16:]).all())
        (True, True)
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
