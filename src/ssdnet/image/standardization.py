"""Pixels in units of their own contrast, so that no detector depends on the camera; and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.maths.parallel import each

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

    It holds the units only; pixels are computed as they are asked for.

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

    image: Image
    units: tuple[_Unit, ...]
    """Of each channel."""

    @property
    def offset(self) -> npt.NDArray[np.float64]:
        """`(C,)`, the median."""
        return np.array([unit.median * unit.factor for unit in self.units])

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """`(C,)`, the root mean square about it; 0 in a channel that does not vary."""
        largest = np.finfo(np.float64).max
        return np.array([min(unit.peak * unit.spread * unit.factor, largest) for unit in self.units])

    @property
    def pixels(self) -> npt.NDArray[np.float32]:
        """`(C, H, W)`; missing pixels are 0."""
        return self.part(slice(0, self.image.height), slice(0, self.image.width))

    def part(self, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
        """`(C, h, w)` of some rows and columns; missing pixels are 0."""
        valid = self.image.valid[rows, columns]
        out = np.zeros((len(self.units), *valid.shape), dtype=np.float32)
        known = None if valid.all() else valid

        def work(channel: int) -> None:
            unit = self.units[channel]
            if unit.peak > 0:
                values = self.image.pixels[rows, columns, channel]
                unit.write(values if known is None else values[known][np.newaxis], out[channel], known)

        each(work, range(len(self.units)))
        return out


@dataclass(frozen=True)
class _Unit:
    """How a channel is divided, in steps that lose no digit: `(values / factor - median) / peak / spread`."""

    factor: float
    """1, or what makes the squares of huge values numbers."""
    median: np.float64
    peak: float
    """Largest distance from the median; 0 where nothing varies. The squares of tiny ones would vanish."""
    spread: float
    """Root mean square about the median, in units of the peak."""

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> _Unit:
        """Of `(h, w)` values, all known."""
        factor = 1.0
        if values.dtype == np.bool_:
            values = values.view(np.uint8)
        if values.dtype == np.float64 and np.abs(values).max() > _LARGE:
            values, factor = values / _LARGE, _LARGE
        median = _median(values)
        peak = max(abs(np.subtract(end, median, dtype=np.float64)) for end in (values.max(), values.min()))
        if peak == 0:
            return cls(factor, median, 0.0, 0.0)
        total = math.fsum(np.square(part).sum() for _, part in _differences(values, median, peak))
        return cls(factor, median, float(peak), math.sqrt(total / values.size))

    def write(
        self,
        values: npt.NDArray[Any],
        plane: npt.NDArray[np.float32],
        known: npt.NDArray[np.bool_] | None,
    ) -> None:
        """Write `(h, w)` values to a plane, or `(1, N)` values to those of its pixels that are known."""
        if values.dtype == np.bool_:
            values = values.astype(np.uint8)
        if self.factor != 1.0:
            values = values / self.factor
        target = plane if known is None else np.empty(values.shape, dtype=np.float32)
        for rows, part in _differences(values, self.median, self.peak):
            np.divide(part, self.spread, out=target[rows], casting="same_kind")
        if known is not None:
            plane[known] = target[0]


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
    known = None if image.valid.all() else image.valid  # all pixels are as they are, a selection is a copy
    units: dict[int, _Unit] = {}

    def work(channel: int) -> None:
        values = image.pixels[:, :, channel]
        units[channel] = _Unit.of(values if known is None else values[known][np.newaxis])

    each(work, range(image.channels))
    return Standardized(image, tuple(units[channel] for channel in range(image.channels)))


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
