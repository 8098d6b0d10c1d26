"""What a texture is like around each of its pixels: contrast, coarseness, direction, and whether it repeats.

Contrast is the energy of differences of box means; where in the scales that energy lies is the coarseness
(the spectral centroid). The direction is that of the structure tensor (Bigün & Granlund, 'Optimal orientation
detection of linear symmetry', ICCV 1987). A texture is regular when its autocorrelation has a peak away from
the origin; whether a place keeps to that period is its normalised cross-correlation with the places one
period away (Lewis, 'Fast normalized cross-correlation', 1995).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

SCALES = (3, 7, 15, 31)
"""Sides of the boxes whose means are subtracted from each other, pixels."""

_ENERGY_BOX = 7
_TENSOR_BOX = 7
_SHORTEST_PERIOD = 4
_REGULAR = 0.4
"""Autocorrelation of a texture one period away."""
_DIP = 0.25
"""How much less it must be somewhere on the way there: stripes are alike all along themselves."""
_AS_HIGH = 0.9
_DIFFERENT_DIRECTION = 0.5
"""Sine of the angle between two periods."""
_LEAST_ENERGY = 1e-8
_SAMPLE = 10_000
"""Pixels that tell the principal components well enough."""


@dataclass(frozen=True, eq=False)
class LocalStatistics:
    """Maps of one picture, all `(H, W)` float32.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.local_statistics import LocalStatistics
        >>> stripes = np.tile(np.sin(np.arange(96) * 2 * np.pi / 12), (96, 1)).astype(np.float32)
        >>> statistics = LocalStatistics.of(stripes, np.ones((96, 96), dtype=bool))
        >>> across, _, strength = (plane[48, 48] for plane in statistics.tensor)
        >>> round(float(across / strength), 3)  # all changes run along x
        1.0
        >>> bool(statistics.repetition[48, 48] > 0.99)
        True
    """

    energies: tuple[npt.NDArray[np.float32], ...]
    """Mean square of what differs between one of `SCALES` and the next finer, finest first."""
    tensor: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]
    """Structure tensor: `xx - yy`, `2 xy` and `xx + yy`."""
    repetition: npt.NDArray[np.float32] | None
    """Correlation in [-1, 1] with the places one period away; None when nothing repeats."""

    @classmethod
    def of(cls, grey: npt.NDArray[np.float32], clean: npt.NDArray[np.bool_]) -> LocalStatistics:
        """Measure a picture.

        Args:
            grey: `(H, W)`, see `main_component`.
            clean: `(H, W)`, the normal and valid pixels: they alone tell the period.
        """
        smoothed = [grey, *(_mean(grey, size) for size in SCALES)]
        bands = [finer - coarser for finer, coarser in pairwise(smoothed)]
        energies = tuple(_mean(np.square(band), _ENERGY_BOX) for band in bands)
        across, down = ndimage.sobel(grey, axis=1), ndimage.sobel(grey, axis=0)
        horizontal, vertical = np.square(across), np.square(down)
        tensor = (
            _mean(horizontal - vertical, _TENSOR_BOX),
            _mean(2 * across * down, _TENSOR_BOX),
            _mean(horizontal + vertical, _TENSOR_BOX),
        )
        detail = grey - smoothed[-1]
        steps = periods(detail, clean)
        return cls(energies, tensor, _repetition(detail, steps) if steps else None)


def main_component(pixels: npt.NDArray[np.float32], clean: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """`(H, W)`, the first principal component of `(C, H, W)` over the clean pixels: most of the contrast.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.local_statistics import main_component
        >>> contrast = np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32)
        >>> pixels = np.stack([contrast, 0.1 * contrast])
        >>> main = main_component(pixels, np.ones((20, 20), dtype=bool))
        >>> round(float(main[3, 4] / contrast[3, 4]), 3)  # the root of 1 + 0.01
        1.005
    """
    main: npt.NDArray[np.float32] = leading_components(pixels, clean, 1)[0]
    return main


def leading_components(
    pixels: npt.NDArray[np.float32], clean: npt.NDArray[np.bool_], count: int
) -> npt.NDArray[np.float32]:
    """`(count, H, W)`, the first principal components; the pixels themselves when there are no more.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.local_statistics import leading_components
        >>> contrast = np.random.default_rng(0).normal(size=(2, 20, 20)).astype(np.float32)
        >>> pixels = np.tensordot([[1, 0], [0, 1], [1, 1], [1, -1]], contrast, axes=1).astype(np.float32)
        >>> leading_components(pixels, np.ones((20, 20), dtype=bool), count=2).shape
        (2, 20, 20)
    """
    if len(pixels) <= count:
        return pixels
    places = np.flatnonzero(clean if clean.any() else np.ones_like(clean))
    places = places[:: max(1, len(places) // _SAMPLE)]
    values = pixels.reshape(len(pixels), -1)[:, places].astype(np.float64)
    _, vectors = np.linalg.eigh(values @ values.T)
    chosen = vectors[:, : -count - 1 : -1]
    chosen = chosen * np.where(chosen.sum(axis=0) < 0, -1, 1)  # brighter stays brighter
    components: npt.NDArray[np.float32] = np.tensordot(chosen.T.astype(np.float32), pixels, axes=1)
    return components


def periods(detail: npt.NDArray[np.float32], clean: npt.NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """One or two steps, in rows and columns, after which the texture looks the same; none if it never does.

    Args:
        detail: `(H, W)` without its slow changes.
        clean: `(H, W)`, the pixels that count.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.local_statistics import periods
        >>> rows, columns = np.indices((96, 96)) * 2 * np.pi
        >>> weave = (np.sin(rows / 8) + np.sin(columns / 12)).astype(np.float32)
        >>> sorted(periods(weave, np.ones((96, 96), dtype=bool)))
        [(0, 12), (8, 0)]
    """
    height, width = detail.shape
    down, right = height // 3, width // 3
    size = fft.next_fast_len(height + down, real=True), fft.next_fast_len(width + right, real=True)
    known = clean.astype(np.float32)
    pairs, shares = (
        fft.irfft2(np.square(np.abs(fft.rfft2(plane, size))), size) for plane in (detail * known, known)
    )
    # Negative steps stand at the end; those upwards are the same as those downwards the other way.
    columns = np.arange(-right, right + 1)
    pairs, shares = pairs[: down + 1, columns], shares[: down + 1, columns]
    energy = pairs[0, right] / max(shares[0, right], 1.0)
    if energy <= _LEAST_ENERGY:
        return ()
    alike = np.where(shares > 0.2 * shares[0, right], pairs / np.maximum(shares, 1.0) / energy, 0)
    peaks = (alike == ndimage.maximum_filter(alike, 5)) & (alike > _REGULAR)
    rows, steps = np.nonzero(peaks)
    lengths = np.hypot(rows, columns[steps])
    proper = (lengths >= _SHORTEST_PERIOD) & ((rows > 0) | (columns[steps] > 0))
    rows, steps, lengths = rows[proper], steps[proper], lengths[proper]
    heights = alike[rows, steps]
    found: list[tuple[int, int]] = []
    # Of peaks about as high as the highest the nearest: the others are its multiples.
    for index in np.lexsort((lengths, heights < _AS_HIGH * heights.max(initial=0))):
        step, length = (int(rows[index]), int(columns[steps[index]])), lengths[index]
        if found and abs(step[0] * found[0][1] - step[1] * found[0][0]) < (
            _DIFFERENT_DIRECTION * length * np.hypot(*found[0])
        ):
            continue
        way = np.linspace(0, 1, int(length) + 1)[:, np.newaxis] * step
        between = alike[way[:, 0].round().astype(int), way[:, 1].round().astype(int) + right]
        if between.min() > heights[index] - _DIP:
            continue
        found.append(step)
        if len(found) == 2:
            break
    return tuple(found)


def _repetition(
    detail: npt.NDArray[np.float32], steps: tuple[tuple[int, int], ...]
) -> npt.NDArray[np.float32]:
    """Correlation with the better of the places a step forwards and backwards, for the worse of the steps."""
    longest = max(float(np.hypot(*step)) for step in steps)
    box = min(31, max(7, round(longest) | 1))
    energy = _mean(np.square(detail), box) + np.float32(_LEAST_ENERGY)
    worst = np.ones_like(detail)
    for down, across in steps:
        # A missing yarn still repeats along itself, so it must repeat both ways.
        best = np.full_like(detail, -1)
        here, there = _overlap(detail.shape, down, across)
        product = np.zeros_like(detail)
        product[here] = detail[here] * detail[there]
        product = _mean(product, box)
        alike = product[here] / np.sqrt(energy[here] * energy[there])
        best[here] = np.maximum(best[here], alike)
        best[there] = np.maximum(best[there], alike)
        worst = np.minimum(worst, best)
    return worst


def _overlap(
    shape: tuple[int, ...], down: int, across: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The pixels that have another one `down` and `across` from them, and those others; `down` >= 0."""
    height, width = shape
    left, right = max(0, -across), min(width, width - across)
    return (
        (slice(0, height - down), slice(left, right)),
        (slice(down, height), slice(left + across, right + across)),
    )


def _mean(values: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """Mean over a box around each pixel; beyond the edge the picture is mirrored."""
    out: npt.NDArray[np.float32] = ndimage.uniform_filter(values, size, mode="reflect")
    return out
