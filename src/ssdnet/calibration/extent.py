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

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.calibration.pixels import Unusual, components
from ssdnet.calibration.running import running_maximum

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.intp]

_PEAK_LEVEL = 0.0  # log10 NFA that a region with a significant pixel has at most, wherever it reaches
_EXTENT_LEVELS = (0.5, 1.0)  # log10 NFA
_MOST_ABOVE = 0.125  # share of the peaks: where more are above a level, what is above it is no region
MOST_UNUSUAL = max(_EXTENT_LEVELS)
"""log10 NFA of a pixel of its own, above which it is of no region whatever is beside it."""
_DECAY = 0.7  # decades of NFA for each correlation length of sqrt(area)
_EDGE = 0.3  # share of the peak's height
_CLOSE = 3.0  # correlation lengths within which the peak is looked for
_STRIP = 1 << 18
"""Pixels around which the peak close by is looked for at once."""


def gather(
    score: Floats,
    log10_nfa: Floats,
    correlation_length: tuple[float, float],
    peaks: int,
    *,
    usual: float,
    out: Floats | None = None,
) -> tuple[Floats, Unusual]:
    """Judge neighbouring pixels together.

    Args:
        score: `(H, W)` anomaly map, higher = more anomalous, NaN where missing.
        log10_nfa: `(H, W)`, that of each pixel alone, NaN where missing.
        correlation_length: of the map along y and x, pixels.
        peaks: number of peaks of the map, see `ssdnet.calibration`.
        usual: score of an ordinary place, above which heights are measured.
        out: where to write the map that is returned; may be `log10_nfa`.

    Returns:
        `(H, W)`, log10 NFA of what is most significant close by, as far as the pixel takes part in it, NaN
        where missing; and what the regions are made of: all pixels with a log10 NFA of their own of at most
        `MOST_UNUSUAL`. Who accepts more than one false region an image gets each that stands out as much.

    Examples:
        A pixel of this level is found about eight times in a clean image; so large a square of them is not.

        >>> import numpy as np
        >>> from ssdnet.calibration.extent import gather
        >>> score = np.zeros((64, 64), dtype=np.float32)
        >>> score[10:30, 20:40] = 1
        >>> log10_nfa = np.where(score > 0, np.float32(0.9), np.float32(3))
        >>> shared, unusual = gather(score, log10_nfa, (2.0, 2.0), 200, usual=0.0)
        >>> round(float(unusual.log10_nfa.min()), 2)
        -6.0
    """
    index = np.flatnonzero(log10_nfa <= MOST_UNUSUAL)  # NaN compares False
    own = log10_nfa.reshape(-1)[index]
    shared = np.maximum(log10_nfa, 0, out=out)
    if len(index) == 0:
        return shared, Unusual(index, own)
    half = [int(np.ceil(_CLOSE * length)) for length in correlation_length]
    heights = _Heights(score, usual, (half[0], half[1]))
    rows, columns = np.divmod(index, score.shape[1])
    unit = correlation_length[0] * correlation_length[1]
    found, at_summit = _judged(heights, rows, columns, own, unit, peaks)
    significance = np.minimum(own, found)
    few = significance < 0
    if few.any():
        _share(shared, heights, rows[few], columns[few], significance[few])
    # A region has its own number at its summit, whatever is beside it.
    shared[rows, columns] = np.minimum(shared[rows, columns], at_summit)
    return shared, Unusual(index, np.minimum(np.maximum(own, np.finfo(np.float32).tiny), found))


@dataclass(frozen=True, eq=False)
class _Heights:
    """How far a map lies above the usual, made where it is asked for; 0 below it and where it is missing."""

    score: Floats
    usual: float
    half: tuple[int, int]
    """So many rows and columns away a peak is close by."""

    def at(self, rows: Numbers, columns: Numbers) -> Floats:
        """Of `(N,)` pixels, none of them missing."""
        height: Floats = np.maximum(self.score[rows, columns] - self.usual, 0)
        return height

    def inside(self, box: tuple[slice, slice]) -> Floats:
        height: Floats = self.score[box] - self.usual
        return np.fmax(height, 0, out=height)

    def highest_close(self, box: tuple[slice, slice]) -> Floats:
        """The largest close by, of each pixel inside a box."""
        wider, inner = self.around(box)
        return running_maximum(self.inside(wider), self.window)[inner]

    def around(self, box: tuple[slice, slice]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The box with all that is close by, and where in it the box lies."""
        spans = [
            (max(0, side.start - half), side, min(length, side.stop + half))
            for side, half, length in zip(box, self.half, self.score.shape, strict=True)
        ]
        down, right = (slice(first, last) for first, _, last in spans)
        top, left = (slice(side.start - first, side.stop - first) for first, side, _ in spans)
        return (down, right), (top, left)

    @property
    def window(self) -> tuple[int, int]:
        return 2 * self.half[0] + 1, 2 * self.half[1] + 1

    def boxes(
        self, rows: Numbers, columns: Numbers, reach: tuple[int, int]
    ) -> Iterator[tuple[tuple[slice, slice], slice]]:
        """Parts of the map, none of them large, with all that is within reach of some pixels.

        Args:
            rows: of the pixels, rising.
            columns: of the pixels.
            reach: rows and columns.

        Yields:
            Rows and columns of a part, and which of the pixels have it within reach.
        """
        height, width = self.score.shape
        bottom = min(height, int(rows[-1]) + reach[0] + 1)
        step = max(_STRIP // width, 4 * self.half[0])  # what is looked at twice is a part of it
        for start in range(max(0, int(rows[0]) - reach[0]), bottom, step):
            stop = min(bottom, start + step)
            which = slice(*np.searchsorted(rows, [start - reach[0], stop + reach[0]]))
            across = columns[which]
            if len(across):
                left, right = int(across.min()) - reach[1], int(across.max()) + reach[1] + 1
                yield (slice(start, stop), slice(max(0, left), min(width, right))), which


def _judged(
    heights: _Heights, rows: Numbers, columns: Numbers, own: Floats, unit: float, peaks: int
) -> tuple[Floats, Floats]:
    """log10 NFA of the region that each of some pixels belongs to, and of that whose summit it is.

    Args:
        heights: of the map.
        rows: `(N,)`, of the pixels, rising.
        columns: `(N,)`.
        own: `(N,)`, log10 NFA of the pixels alone.
        unit: area of a square with the correlation length as its side, pixels.
        peaks: number of peaks of the map.

    Returns:
        Two arrays `(N,)`, infinite where there is none.
    """
    height = heights.at(rows, columns)
    found, at_summit = np.full_like(own, np.inf), np.full_like(own, np.inf)
    close: Floats | None = None
    for level in (*_EXTENT_LEVELS[::-1], _PEAK_LEVEL):
        if level != _PEAK_LEVEL and 10**level > _MOST_ABOVE * peaks:
            continue
        inside = np.flatnonzero(own <= level)
        owner, count = components(rows[inside], columns[inside])
        if count == 0:
            continue
        highest = np.zeros(count, dtype=height.dtype)
        np.maximum.at(highest, owner, height[inside])
        if level == _PEAK_LEVEL:
            significance = np.full(count, np.inf, dtype=np.float32)
            np.minimum.at(significance, owner, own[inside])
        else:
            area = np.bincount(owner, minlength=count)
            significance = (level - _DECAY * np.sqrt(area / unit)).astype(np.float32)
        reached = height[inside] >= _EDGE * highest[owner]
        # A hot spot in a long defect must not hide the rest of it: what counts is the peak close by. In a
        # small region that is its own or a higher one.
        left = ~reached & _wide(owner, count, rows[inside], columns[inside], heights.half)
        if left.any():
            which = inside[left]
            if close is None:  # at the first level: at the others there are only some of these
                close = np.full_like(height, np.inf)
                close[which] = _highest_close(heights, rows[which], columns[which])
            reached[left] = height[which] >= _EDGE * close[which]
        number = np.where(reached, significance[owner], np.float32(np.inf))
        found[inside] = np.minimum(found[inside], number)
        summit = height[inside] == highest[owner]
        at_summit[inside[summit]] = np.minimum(at_summit[inside[summit]], number[summit])
    return found, at_summit


def _wide(
    owner: Numbers, count: int, rows: Numbers, columns: Numbers, half: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Of each pixel, whether not all of its component is close by."""
    wide = np.zeros(count, dtype=bool)
    for values, most in zip((rows, columns), half, strict=True):
        low, high = np.full(count, np.iinfo(np.intp).max), np.full(count, -1)
        np.minimum.at(low, owner, values)
        np.maximum.at(high, owner, values)
        wide |= high - low > most
    which: npt.NDArray[np.bool_] = wide[owner]
    return which


def _highest_close(heights: _Heights, rows: Numbers, columns: Numbers) -> Floats:
    """Height of the peak close by each of some pixels."""
    close = np.empty(len(rows), dtype=heights.score.dtype)
    for box, which in heights.boxes(rows, columns, (0, 0)):
        part = heights.highest_close(box)
        close[which] = part[rows[which] - box[0].start, columns[which] - box[1].start]
    return close


def _share(shared: Floats, heights: _Heights, rows: Numbers, columns: Numbers, significance: Floats) -> None:
    """Give the pixels around significant ones their share, in place.

    Args:
        shared: `(H, W)`, their own log10 NFA where it is above 0, else 0.
        heights: of the map.
        rows: `(N,)`, of the significant pixels, rising.
        columns: `(N,)`.
        significance: `(N,)`, log10 NFA below 0.
    """
    for box, which in heights.boxes(rows, columns, heights.half):
        share = heights.inside(box)
        share /= np.maximum(heights.highest_close(box), np.finfo(np.float32).tiny)
        share *= np.sqrt(share)  # to the power of 1.5, which takes much longer
        wider, inner = heights.around(box)
        most = np.zeros([side.stop - side.start for side in wider], dtype=np.float32)
        most[rows[which] - wider[0].start, columns[which] - wider[1].start] = -significance[which]
        share *= running_maximum(most, heights.window)[inner]
        shared[box] -= share
