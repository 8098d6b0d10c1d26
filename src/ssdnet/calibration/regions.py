"""From a calibrated map to a list of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssdnet.calibration.pixels import Unusual, components
from ssdnet.result import Region

if TYPE_CHECKING:
    import numpy.typing as npt

_MOST_REGIONS = int(np.iinfo(np.uint16).max)


def find_regions(
    score: npt.NDArray[np.float32],
    log10_nfa: npt.NDArray[np.float32],
    alarms: float,
    *,
    gap: tuple[int, int] = (0, 0),
) -> tuple[npt.NDArray[np.uint16], tuple[Region, ...]]:
    """Connected components of the pixels whose number of false alarms stays under `alarms`.

    Args:
        score: `(H, W)` anomaly map, NaN where missing.
        log10_nfa: `(H, W)` log10 NFA, NaN where missing.
        alarms: expected number of false regions to accept.
        gap: pieces with at most so many rows and columns between them are one region.

    Returns:
        `(H, W)` labels (0 = none) and the regions, most significant first; `labels == region.id`.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.regions import find_regions
        >>> log10_nfa = np.full((20, 30), 2, dtype=np.float32)
        >>> log10_nfa[5:9, 10:13] = -4
        >>> labels, regions = find_regions(-log10_nfa, log10_nfa, alarms=0.01)
        >>> regions[0].bbox, regions[0].area, regions[0].centroid
        ((10, 5, 3, 4), 12, (11.0, 6.5))
    """
    index = np.flatnonzero(log10_nfa <= np.log10(alarms))  # NaN compares False
    return regions_of(score, Unusual(index, log10_nfa.reshape(-1)[index]), gap=gap)


def regions_of(
    score: npt.NDArray[np.float32], pixels: Unusual, *, gap: tuple[int, int] = (0, 0)
) -> tuple[npt.NDArray[np.uint16], tuple[Region, ...]]:
    """The same for the pixels that are significant enough; all others cost nothing.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.pixels import Unusual
        >>> from ssdnet.calibration.regions import regions_of
        >>> score = np.zeros((4, 8), dtype=np.float32)
        >>> score[1, 2:4] = 5
        >>> labels, (region,) = regions_of(score, Unusual(np.array([10, 11]), np.float32([-3, -3])))
        >>> region.bbox, region.area
        ((2, 1, 2, 1), 2)
    """
    height, width = score.shape
    labels = np.zeros(score.shape, dtype=np.uint16)
    y, x = np.divmod(pixels.index, width)
    owner, count = components(y, x, gap)
    if count == 0:
        return labels, ()
    values = score[y, x]
    peaks = np.full(count, -np.inf, dtype=np.float32)
    np.maximum.at(peaks, owner, values)
    significance = np.full(count, np.inf, dtype=np.float32)
    np.minimum.at(significance, owner, pixels.log10_nfa)
    # Where a component begins when each of its pixels is as large as what joins it to others.
    begin = np.full(count, score.size)
    np.minimum.at(begin, owner, np.maximum(y - gap[0] // 2, 0) * width + np.maximum(x - gap[1] // 2, 0))
    top, left = np.full(count, height), np.full(count, width)
    bottom, right = np.zeros(count, dtype=np.intp), np.zeros(count, dtype=np.intp)
    for low, high, places in ((top, bottom, y), (left, right, x)):
        np.minimum.at(low, owner, places)
        np.maximum.at(high, owner, places + 1)
    areas = np.bincount(owner, minlength=count)
    means, rows_mean, columns_mean = (
        np.bincount(owner, weights=weights, minlength=count) / areas for weights in (values, y, x)
    )
    # Ties are broken by the peak score and then by position, so that the numbering is stable.
    order = np.lexsort((begin, -peaks, significance))
    ids = np.zeros(count, dtype=np.uint16)
    # A label image of 16 bits has no more numbers: the least significant of too many regions share the last.
    ids[order] = np.minimum(np.arange(1, count + 1), _MOST_REGIONS)
    labels[y, x] = ids[owner]
    order = order[:_MOST_REGIONS]
    regions = []
    for identity, number in enumerate(order, start=1):
        regions.append(
            Region(
                id=identity,
                bbox=(
                    int(left[number]),
                    int(top[number]),
                    int(right[number] - left[number]),
                    int(bottom[number] - top[number]),
                ),
                area=int(areas[number]),
                centroid=(float(columns_mean[number]), float(rows_mean[number])),
                peak_score=float(peaks[number]),
                mean_score=float(means[number]),
                log10_nfa=float(significance[number]),
                touches_border=bool(
                    top[number] == 0
                    or left[number] == 0
                    or bottom[number] == height
                    or right[number] == width
                ),
            )
        )
    return labels, tuple(regions)
