"""From the significance of pixels to that of regions: what is weak but large is no chance either.

How many of the regions above a low level chance gives falls off with their size. In a Gaussian field the area
of such a region is exponential (Friston et al., 'Assessing the significance of focal activations using their
spatial extent', Human Brain Mapping 1, 1994); anomaly maps have heavier tails. Counted on clean images, of
`texture` and `rx` alike, the number of regions with an area of at least A falls by a factor of five or more
for each correlation length that the side of a square of the same area grows by:

    log10 NFA = u - 0.7 sqrt(A / (l_y l_x))        of a region above the level of log10 NFA u = 0.5 and 1

with the correlation lengths l of the map (docs/calibration.md has the counts). A region's number of false
alarms is the smaller of this and that of its most unusual pixel.

How far a region reaches is another question than whether there is one. The score of a strong defect is
unusual beyond its edge, as far as the detector's windows reach, and that of a weak one only at its core; so a
region reaches to where the score has fallen to 30 % of the height above the usual that it has within three
correlation lengths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Evidence:
    """How unusual each place is, by itself and together with its neighbours; NaN where missing."""

    log10_nfa: Floats = field(repr=False)
    """`(H, W)`, log10 NFA of the pixel, or of the extent of its region if that is smaller."""
    region_log10_nfa: Floats = field(repr=False)
    """`(H, W)`, that of the region which the pixel belongs to; above 0 outside of all."""


def gather(score: Floats, log10_nfa: Floats, correlation_length: tuple[float, float], peaks: int) -> Evidence:
    """Judge neighbouring pixels together.

    Args:
        score: `(H, W)` anomaly map, higher = more anomalous, NaN where missing.
        log10_nfa: `(H, W)`, that of each pixel alone, NaN where missing.
        correlation_length: of the map along y and x, pixels.
        peaks: number of peaks of the map, see `ssdnet.calibration`.
    """
    places = np.asarray(log10_nfa, dtype=np.float32).copy()
    # Who accepts more than one false region an image gets each pixel that stands out as much.
    regions = np.maximum(places, np.finfo(np.float32).tiny)
    usual = float(np.nanmedian(score))
    unit = correlation_length[0] * correlation_length[1]
    window = [2 * int(np.ceil(_CLOSE * length)) + 1 for length in correlation_length]
    for level in (_PEAK_LEVEL, *_EXTENT_LEVELS):
        if level != _PEAK_LEVEL and 10**level > _MOST_ABOVE * peaks:
            continue
        labelled, count = ndimage.label(log10_nfa <= level, structure=_EIGHT_NEIGHBOURS)  # NaN compares False
        if count == 0:
            continue
        inside = labelled > 0
        owner, values = labelled[inside] - 1, score[inside]
        highest = np.full(count, -np.inf, dtype=np.float32)
        np.maximum.at(highest, owner, values)
        if level == _PEAK_LEVEL:
            significance = np.full(count, np.inf, dtype=np.float32)
            np.minimum.at(significance, owner, log10_nfa[inside])
        else:
            area = np.bincount(owner, minlength=count)
            significance = (level - _DECAY * np.sqrt(area / unit)).astype(np.float32)
        # A hot spot in a long defect must not hide the rest of it: what counts is the peak close by.
        around = ndimage.maximum_filter(np.where(inside, score, -np.inf), window)[inside]
        peak = np.minimum(around, highest[owner])
        reached = values >= usual + _EDGE * (peak - usual)
        found = np.where(reached, significance[owner], np.inf)
        regions[inside] = np.minimum(regions[inside], found)
        if level != _PEAK_LEVEL:
            places[inside] = np.minimum(places[inside], found)
    return Evidence(places, regions)
