"""Where a map has its peaks, and how far apart its places must be to tell different things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_APART = 0.25
"""A peak is the largest pixel so many correlation lengths around it, along rows and along columns."""
_LARGE = 1 << 20
"""Pixels of a map from which on it is reduced before."""
_ENOUGH = 1 << 18
"""Pixels that tell how far a map is correlated: of more, some of the lines are looked at."""
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
    """
    values = np.where(valid, score, -np.inf)
    radii = [_APART * length for length in lengths]
    if values.size > _LARGE:  # blocks much smaller than what is between two peaks
        steps = [max(1, int(radius / 3)) for radius in radii]
        for axis, step in enumerate(steps):
            values = np.maximum.reduceat(values, np.arange(0, values.shape[axis], step), axis=axis)
        radii = [radius / step for radius, step in zip(radii, steps, strict=True)]
    values = _untied(values)
    while True:
        sides = [2 * max(1, round(radius)) + 1 for radius in radii]
        largest = ndimage.maximum_filter(values, size=sides, mode="constant", cval=-np.inf)
        peaks: Floats = values[(values == largest) & np.isfinite(values)]
        if len(peaks) <= most or min(sides) > max(values.shape):
            return np.sort(peaks)
        radii = [max(1.0, radius) * np.sqrt(1.2 * len(peaks) / most) for radius in radii]


def cell_maxima(score: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]) -> Floats:
    """Heights of the largest pixels of a grid of cells, rising: for a map that has hardly a peak.

    Args:
        score: `(H, W)`, higher = more anomalous.
        valid: `(H, W)`, the others count as none; a cell without a valid pixel does not count.
    """
    values = _untied(np.where(valid, score, -np.inf))
    for axis, size in enumerate(score.shape):
        count = max(1, min(_LAGS, size // 2))
        values = np.maximum.reduceat(values, np.arange(count) * size // count, axis=axis)
    maxima: Floats = np.sort(values[np.isfinite(values)])
    return maxima


def _untied(score: npt.NDArray[np.floating]) -> Floats:
    """Scores with less than float32 can tell added, so that not each pixel of a plateau is a peak.

    Args:
        score: `(H, W)`, -inf where there is none.
    """
    number = np.arange(score.size, dtype=np.uint64).reshape(score.shape)
    scattered = (number * np.uint64(2654435761) % np.uint64(1 << 20)).astype(np.float64) / (1 << 23)
    known = np.isfinite(score)
    spacing = np.spacing(np.abs(np.where(known, score, 0)).astype(np.float32))
    result: Floats = np.where(known, score.astype(np.float64) + spacing * scattered, -np.inf)
    return result


def correlation_lengths(score: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Lags along y and x at which the autocorrelation of the bulk falls below 1/e, in pixels."""
    return _length(score, valid), _length(score.T, valid.T)


def _length(score: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]) -> float:
    """The same along the first axis."""
    step = max(1, valid.size // _ENOUGH)
    known = valid[:, ::step]
    if not known.any():
        return 1.0
    values = np.asarray(score[:, ::step], dtype=np.float64)
    low, middle = np.quantile(values[known], [0.16, 0.5])
    spread = max(middle - low, float(np.finfo(np.float32).tiny))
    values = (values - middle) / spread
    # Without the upper end, so that a defect's own size does not pass for the texture's correlation.
    known = known & (values < 3.0)
    bulk = np.where(known, np.clip(values, -3.0, 3.0), 0.0)
    bulk = np.where(known, bulk - bulk[known].mean(), 0.0)
    variance = np.square(bulk).sum() / known.sum()
    longest = max(1, len(bulk) // _LAGS)  # a map of a few lengths only has no tail to speak of
    if variance <= 0:  # flat but for what is above: nothing reaches from one pixel to the next
        return 1.0
    for lag in range(1, longest + 1):
        pairs = np.count_nonzero(known[lag:] & known[:-lag])
        # Not a dot product: the threads of the BLAS library would get in the way of torch's.
        if pairs and (bulk[lag:] * bulk[:-lag]).sum() / pairs < variance / np.e:
            return float(lag)
    return float(longest)
