"""From the significance of pixels to that of regions: what is weak but large is no chance either.

How many of the regions above a low level chance gives falls off with their size. In a Gaussian field the area
of such a region is exponential (Friston et al., 'Assessing the significance of focal activations using their
spatial extent', Human Brain Mapping 1, 1994); anomaly maps have heavier tails. Counted on clean images, of
`texture` and `rx`, the number of regions with an area of at least A falls by a factor of about five for each
correlation length that the side of a square of the same area grows by, in large maps by less:

    log10 NFA = u - 0.7 sqrt(A / (l_y l_x))        of a region above the level of log10 NFA u = 0.5 and 1

with the correlation lengths l of the map (docs/calibration.md has the counts). A region's number of false
alarms is the smaller of this and that of its most unusual pixel.

How far a region reaches is another question than whether there is one. The score of a strong defect is
unusual beyond its edge, as far as the detector's windows reach, and that of a weak one only at its core; so a
region reaches to where the score has fallen to 30 % of the height above the usual that it has within three
correlation lengths. For the same reason a pixel's own number says little of whether it belongs to the defect:
the rim of a strong one is rarer than the core of a weak one. So each pixel takes part in what is most
significant close by as far as its score reaches up to the peak there: with NFA_0 of the pixel alone, NFA_1 of
the most significant region and h the height above the usual within three correlation lengths,

    log10 NFA = max(log10 NFA_0, 0) + (h / max h)^1.5 min(log10 NFA_1, 0)

It is that of the region at the peak, and what is compared between images with one threshold. The power was
chosen on images with masks (docs/lab-notes.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_PEAK_LEVEL = 0.0  # log10 NFA that a region with a significant pixel has at most, wherever it reaches
_EXTENT_LEVELS = (0.5, 1.0)  # log10 NFA
_MOST_ABOVE = 0.125  # share of the peaks: where more are above a level, what is above it is no region
_DECAY = 0.7  # decades of NFA for each correlation length of sqrt(area)
_EDGE = 0.3  # share of the peak's height
_CLOSE = 3.0  # correlation lengths within which the peak is looked for
_SHARED = 1.5  # power of a pixel's share of the height of the peak close by
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def gather(
    score: Floats, log10_nfa: Floats, correlation_length: tuple[float, float], peaks: int
) -> tuple[Floats, Floats]:
    """Judge neighbouring pixels together.

    Args:
        score: `(H, W)` anomaly map, higher = more anomalous, NaN where missing.
        log10_nfa: `(H, W)`, that of each pixel alone, NaN where missing.
        correlation_length: of the map along y and x, pixels.
        peaks: number of peaks of the map, see `ssdnet.calibration`.

    Returns:
        Two maps of log10 NFA, `(H, W)`, NaN where missing: of what is most significant close by, as far as
        the pixel takes part in it; and of the region which the pixel belongs to, above 0 outside of all.
    """
    # Who accepts more than one false region an image gets each pixel that stands out as much.
    regions = np.maximum(log10_nfa, np.finfo(np.float32).tiny)
    if not np.nanmin(log10_nfa) <= max(_EXTENT_LEVELS):
        return log10_nfa, regions
    height = score - np.nanmedian(score)
    np.maximum(np.nan_to_num(height, copy=False), 0, out=height)
    window = [2 * int(np.ceil(_CLOSE * length)) + 1 for length in correlation_length]
    # A hot spot in a long defect must not hide the rest of it: what counts is the peak close by.
    close = ndimage.maximum_filter(height, window)
    unit = correlation_length[0] * correlation_length[1]
    significant = np.nan_to_num(log10_nfa)
    np.minimum(significant, 0, out=significant)
    summits = []
    for level in (_PEAK_LEVEL, *_EXTENT_LEVELS):
        if level != _PEAK_LEVEL and 10**level > _MOST_ABOVE * peaks:
            continue
        labelled, count = ndimage.label(log10_nfa <= level, structure=_EIGHT_NEIGHBOURS)  # NaN compares False
        if count == 0:
            continue
        inside = labelled > 0
        owner, values = labelled[inside] - 1, height[inside]
        highest = np.zeros(count, dtype=np.float32)
        np.maximum.at(highest, owner, values)
        if level == _PEAK_LEVEL:
            significance = np.full(count, np.inf, dtype=np.float32)
            np.minimum.at(significance, owner, log10_nfa[inside])
        else:
            area = np.bincount(owner, minlength=count)
            significance = (level - _DECAY * np.sqrt(area / unit)).astype(np.float32)
        reached = values >= _EDGE * np.minimum(close[inside], highest[owner])
        found = np.where(reached, significance[owner], np.inf)
        regions[inside] = np.minimum(regions[inside], found)
        significant[inside] = np.minimum(significant[inside], found)
        summit = values == highest[owner]
        summits.append((np.flatnonzero(inside)[summit], found[summit]))
    height /= np.maximum(close, np.finfo(np.float32).tiny)
    height **= _SHARED
    ndimage.minimum_filter(significant, window, output=significant)
    shared = np.maximum(log10_nfa, 0)
    shared += height * significant
    for index, number in summits:  # a region has its own number at its summit, whatever is beside it
        shared.flat[index] = np.minimum(shared.flat[index], number)
    return shared, regions
