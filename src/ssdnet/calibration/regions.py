"""From a calibrated map to a list of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ssdnet.result import Region

if TYPE_CHECKING:
    import numpy.typing as npt

_MOST_REGIONS = int(np.iinfo(np.uint16).max)
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


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
    """
    mask = log10_nfa <= np.log10(alarms)  # NaN compares False
    if not mask.any():
        return np.zeros(mask.shape, dtype=np.uint16), ()
    joined = mask
    if any(gap):
        joined = ndimage.maximum_filter(mask.view(np.uint8), size=[size + 1 for size in gap]) > 0
    found, count = ndimage.label(joined, structure=_EIGHT_NEIGHBOURS)
    found[~mask] = 0
    numbers = np.arange(1, count + 1)
    # Of the pixels inside only: they are few, and the image may be large.
    y, x = np.nonzero(found)
    owner, values = found[y, x] - 1, score[y, x]
    peaks = np.full(count, -np.inf, dtype=np.float32)
    np.maximum.at(peaks, owner, values)
    significance = np.full(count, np.inf, dtype=np.float32)
    np.minimum.at(significance, owner, log10_nfa[y, x])
    areas = np.bincount(owner, minlength=count)
    means, rows_mean, columns_mean = (
        np.bincount(owner, weights=weights, minlength=count) / areas for weights in (values, y, x)
    )
    boxes = ndimage.find_objects(found)
    # Ties are broken by the peak score and then by position, so that the numbering is stable.
    order = np.lexsort((numbers, -peaks, significance))
    ids = np.zeros(count + 1, dtype=np.uint16)
    # A label image of 16 bits has no more numbers: the least significant of too many regions share the last.
    ids[order + 1] = np.minimum(np.arange(1, count + 1), _MOST_REGIONS)
    order = order[:_MOST_REGIONS]
    height, width = mask.shape
    regions = []
    for identity, index in enumerate(order, start=1):
        rows, columns = boxes[index]
        regions.append(
            Region(
                id=identity,
                bbox=(
                    int(columns.start),
                    int(rows.start),
                    int(columns.stop - columns.start),
                    int(rows.stop - rows.start),
                ),
                area=int(areas[index]),
                centroid=(float(columns_mean[index]), float(rows_mean[index])),
                peak_score=float(peaks[index]),
                mean_score=float(means[index]),
                log10_nfa=float(significance[index]),
                touches_border=bool(
                    rows.start == 0 or columns.start == 0 or rows.stop == height or columns.stop == width
                ),
            )
        )
    return ids[found], tuple(regions)
