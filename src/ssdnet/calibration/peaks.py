"""Where a map has its peaks, and how far apart its places must be to tell different things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from ssdnet.calibration.running import running_maximum
from ssdnet.maths.parallel import each

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_APART = 0.25
"""A peak is the largest pixel so many correlation lengths around it, along rows and along columns."""
_LARGE = 1 << 20
"""Pixels of a map from which on it is reduced before."""
_STRIP = 1 << 18
"""Pixels in which peaks are looked for at once."""
_CHUNK = 1 << 15
"""Pixels of a map that is made in a cache of the processor."""
_ENOUGH = 1 << 18
"""Pixels that tell how far a map is correlated: of more, some of the lines are looked at."""
_LINES = 32
"""Lines that are transformed at once, in a cache of the processor."""
_LAGS = 8
"""Correlation lengths are followed up to this part of the side."""


def peaks_of(
    score: npt.NDArray[np.floating],
    valid: npt.NDArray[np.bool_],
    lengths: tuple[float, float],
    *,
    most: int,
) -> Floats:
    """Heights of the pixels that are the largest around them, rising.

    Args:
        score: `(H, W)`, higher = more anomalous.
        valid: `(H, W)`, the others count as none.
        lengths: of correlation along y and x, pixels; peaks are at least a quarter of them apart.
        most: where there are more peaks, they are taken further apart: maxima of more values follow the law
            of maxima more closely, and more would only add what is not in the tail.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.peaks import peaks_of
        >>> score = np.zeros((40, 40))
        >>> score[10, 10], score[10, 11], score[30, 20] = 3.0, 2.0, 1.0  # the second is beside the first
        >>> peaks_of(score, score > 0, lengths=(4.0, 4.0), most=250).round(3).tolist()
        [1.0, 3.0]
    """
    values = _known(score, valid)
    radii = [_APART * length for length in lengths]
    if values.size > _LARGE:  # blocks much smaller than what is between two peaks
        steps = [max(1, int(radius / 3)) for radius in radii]
        for axis, step in enumerate(steps):
            if step > 1:
                values = np.maximum.reduceat(values, np.arange(0, values.shape[axis], step), axis=axis)
        radii = [radius / step for radius, step in zip(radii, steps, strict=True)]
    while True:
        halves = [max(1, round(radius)) for radius in radii]
        peaks = _largest_around(values, halves[0], halves[1])
        if len(peaks) <= most or 2 * min(halves) + 1 > max(values.shape):
            return np.sort(peaks)
        radii = [max(1.0, radius) * np.sqrt(1.2 * len(peaks) / most) for radius in radii]


def _largest_around(values: npt.NDArray[np.floating], down: int, right: int) -> Floats:
    """Values, untied, that are the largest of the `2 down + 1` rows and `2 right + 1` columns about them."""
    height, width = values.shape
    rows = max(_STRIP // width, 4 * down)  # what is looked at twice is at most half of it
    found: dict[int, Floats] = {}

    def work(start: int) -> None:
        first, last = max(0, start - down), min(height, start + rows + down)
        untied = _untied(values[first:last], first * width)
        largest = running_maximum(untied, (2 * down + 1, 2 * right + 1))
        inside = slice(start - first, min(start + rows, height) - first)
        centre = untied[inside]
        found[start] = centre[(centre == largest[inside]) & (centre > -np.inf)]

    starts = range(0, height, rows)
    each(work, starts)
    return np.concatenate([found[start] for start in starts])


def cell_maxima(score: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]) -> Floats:
    """Heights of the largest pixels of a grid of cells, rising: for a map that has hardly a peak.

    Args:
        score: `(H, W)`, higher = more anomalous.
        valid: `(H, W)`, the others count as none; a cell without a valid pixel does not count.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.peaks import cell_maxima
        >>> slope = np.arange(256.0).reshape(16, 16)  # its only peak is the last pixel
        >>> cell_maxima(slope, slope >= 0).round(3).tolist()[-3:]
        [251.0, 253.0, 255.0]
    """
    values = _untied(_known(score, valid))
    for axis, size in enumerate(score.shape):
        count = max(1, min(_LAGS, size // 2))
        values = np.maximum.reduceat(values, np.arange(count) * size // count, axis=axis)
    maxima: Floats = np.sort(values[np.isfinite(values)])
    return maxima


def _known(score: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.floating]:
    """The score, -inf where it is not valid."""
    return score if valid.all() else np.where(valid, score, -np.inf)


def _untied(score: npt.NDArray[np.floating], first: int = 0) -> Floats:
    """Scores with less than float32 can tell added, so that not each pixel of a plateau is a peak.

    Args:
        score: `(H, W)`, -inf where there is none.
        first: number of its first pixel in the map that it is a part of.
    """
    untied = np.empty(score.shape)
    rows = max(1, _CHUNK // score.shape[1])
    for start in range(0, len(score), rows):
        part, values = score[start : start + rows], untied[start : start + rows]
        # Of a product, what is left after division by 2^20 are the lower bits.
        number = np.arange(part.size, dtype=np.uint32)
        number += np.uint32((first + start * score.shape[1]) % (1 << 20))
        number *= np.uint32(2654435761)
        number &= np.uint32((1 << 20) - 1)
        # Without its mantissa, a float32 is 2^23 times what lies between it and the next one.
        power = part.astype(np.float32)  # a copy
        bits = power.view(np.uint32)
        bits &= np.uint32(0x7F800000)
        np.clip(power, np.finfo(np.float32).tiny, np.finfo(np.float32).max, out=power)
        np.multiply(number.reshape(part.shape), power, out=values, dtype=np.float64)
        values *= 2.0**-46  # 2^-23, and at most an eighth of it
        values += part
    return untied


def correlation_lengths(score: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Lags along y and x at which the autocorrelation of the bulk falls below 1/e, in pixels.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.peaks import correlation_lengths
        >>> noise = np.random.default_rng(0).normal(size=(64, 16))
        >>> score = np.repeat(noise, 8, axis=1)  # each value eight pixels wide
        >>> correlation_lengths(score, np.isfinite(score))
        (1.0, 6.0)
    """
    step = max(1, valid.size // _ENOUGH)
    lengths = [1.0, 1.0]

    def work(axis: int) -> None:
        values, known = (score.T, valid.T) if axis == 0 else (score, valid)
        lengths[axis] = _length(values[::step], known[::step])

    each(work, range(2))
    return lengths[0], lengths[1]


def _length(lines: npt.NDArray[np.floating], known: npt.NDArray[np.bool_]) -> float:
    """The same of `(N, length)` lines, along these."""
    if not known.any():
        return 1.0
    values = lines.astype(np.float64, order="C")
    low, middle = np.quantile(values if known.all() else values[known], [0.16, 0.5])
    spread = max(middle - low, float(np.finfo(np.float32).tiny))
    values -= middle
    values /= spread
    # Without the upper end, so that a defect's own size does not pass for the texture's correlation.
    with np.errstate(invalid="ignore"):
        known = np.logical_and(known, values < 3.0, order="C")
    np.clip(values, -3.0, 3.0, out=values)
    unknown = ~known
    np.copyto(values, 0.0, where=unknown)
    values -= values.sum() / np.count_nonzero(known)
    np.copyto(values, 0.0, where=unknown)
    variance = np.square(values).sum() / np.count_nonzero(known)
    longest = max(1, known.shape[1] // _LAGS)  # a map of a few lengths only has no tail to speak of
    if variance <= 0:  # flat but for what is above: nothing reaches from one pixel to the next
        return 1.0
    pairs = np.round(_products(known.astype(np.float64), longest))
    below = (pairs > 0) & (_products(values, longest) < pairs * (variance / np.e))
    below[0] = False
    return float(below.argmax() if below.any() else longest)


def _products(lines: Floats, longest: int) -> Floats:
    """`(1 + longest,)`, sums of what lies 0, 1, ... apart, multiplied, over all `(N, length)` lines.

    By Fourier transforms: these are as fast for hundreds of lags as the sums themselves for a few.
    """
    size = fft.next_fast_len(lines.shape[1] + longest, real=True)
    power = np.zeros(size // 2 + 1)
    for start in range(0, len(lines), _LINES):
        spectrum = fft.rfft(lines[start : start + _LINES], size, axis=1)
        power += np.square(spectrum.view(np.float64)).sum(axis=0).reshape(-1, 2).sum(axis=1)
    products: Floats = fft.irfft(power, size)[: longest + 1]
    return products
