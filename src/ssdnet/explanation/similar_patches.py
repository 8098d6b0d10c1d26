"""The normal patches of an image that are most like the patch around a region.

They show what should have been there: in a regular texture they lie at the same phase. Every position is
compared by the mean squared difference, whose cross term is a correlation, computed by Fourier transforms
(Lewis, 'Fast normalized cross-correlation', 1995).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from ssdnet.result import SimilarPatch

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.explanation.surroundings import Surroundings
    from ssdnet.result import Region

_SMALLEST, _LARGEST = 16, 96
_MARGIN = 8
"""Pixels around the region on each side, so that a part of what is normal is compared too."""
_MOST = 3


def patch_around(
    surroundings: Surroundings, region: Region, shape: npt.NDArray[np.intp]
) -> tuple[int, int, int]:
    """Top, left and side of the square around a region, inside its surroundings.

    Args:
        surroundings: where it lies.
        region: what is to be shown; of one that is too large, the surroundings of its highest score.
        shape: `(N, 2)` rows and columns of its pixels, or of a piece of it, in these surroundings.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.regions import find_regions
        >>> from ssdnet.explanation.similar_patches import patch_around
        >>> from ssdnet.explanation.surroundings import Surroundings
        >>> score = np.zeros((96, 96), dtype=np.float32)
        >>> score[40:52, 30:38] = 5
        >>> labels, (region,) = find_regions(score, -score, alarms=0.01)
        >>> one, zero = np.ones(1), np.zeros(1)
        >>> around = Surroundings(0, 0, score[np.newaxis], zero, one, score, labels, labels >= 0)
        >>> patch_around(around, region, around.shape(region))  # eight pixels around what is 12 high
        (32, 20, 28)
    """
    height, width = surroundings.clean.shape
    x, y, wide, tall = region.bbox
    side = min(max(max(wide, tall) + 2 * _MARGIN, _SMALLEST), _LARGEST, height, width)
    low, size = np.array([y - surroundings.top, x - surroundings.left]), np.array([tall, wide])
    middle = np.where(size > side, 2 * surroundings.summit(shape), 2 * low + size)
    top, left = np.clip((middle - side) // 2, 0, (height - side, width - side))
    return int(top), int(left), side


def similar_patches(surroundings: Surroundings, patch: tuple[int, int, int]) -> tuple[SimilarPatch, ...]:
    """At most three, the most similar first, none of which overlaps another by more than half.

    Args:
        surroundings: where to look.
        patch: top, left and side of the square that they should be like; its missing pixels do not count.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.similar_patches import similar_patches
        >>> from ssdnet.explanation.surroundings import Surroundings
        >>> columns = np.arange(96)
        >>> pixels = np.tile(np.sin(columns * 2 * np.pi / 12), (1, 96, 1)).astype(np.float32)
        >>> labels = np.zeros((96, 96), dtype=np.uint16)
        >>> labels[40:44, 30:34] = 1
        >>> one, zero = np.ones(1), np.zeros(1)
        >>> around = Surroundings(0, 0, pixels, zero, one, labels.astype(np.float32), labels, labels >= 0)
        >>> found = similar_patches(around, (32, 22, 20))
        >>> {(patch.bbox[0] - 22) % 12 for patch in found}  # at the same phase of the stripes
        {0}
    """
    top, left, side = patch
    inside = slice(top, top + side), slice(left, left + side)
    known = surroundings.valid[inside]
    free = _sums(~surroundings.free, side) == 0
    if not known.any() or not free.any():
        return ()
    target = surroundings.components[(slice(None), *inside)] * known
    # Where no patch may be, nothing extreme shall swamp the rounding of the transforms.
    planes = np.where(surroundings.free, surroundings.components, 0)
    size = tuple(fft.next_fast_len(length, real=True) for length in surroundings.free.shape)
    spectrum = (
        fft.rfft2(np.square(planes).sum(axis=0), size) * fft.rfft2(known.astype(np.float32), size).conj()
    )
    for plane, wanted in zip(planes, target, strict=True):
        spectrum -= 2 * fft.rfft2(plane, size) * fft.rfft2(wanted, size).conj()
    # A patch that fits does not reach beyond the edge, so that nothing wraps around.
    squares = fft.irfft2(spectrum, size)[: free.shape[0], : free.shape[1]] + np.square(target).sum()
    squares = np.where(free, np.maximum(squares, 0), np.inf)
    found: list[SimilarPatch] = []
    while len(found) < _MOST and np.isfinite(squares).any():
        row, column = (int(index) for index in np.unravel_index(squares.argmin(), squares.shape))
        x, y = surroundings.left + column, surroundings.top + row
        distance = math.sqrt(squares[row, column] / (len(planes) * np.count_nonzero(known)))
        found.append(SimilarPatch((x, y, side, side), distance))
        down = np.abs(np.arange(squares.shape[0]) - row)[:, np.newaxis]
        right = np.abs(np.arange(squares.shape[1]) - column)
        shared = np.maximum(side - down, 0) * np.maximum(side - right, 0)
        squares[shared > side * side / 2] = np.inf
    return tuple(found)


def _sums(mask: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.int64]:
    """True pixels of the square that begins at each position where one fits."""
    total = np.pad(mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1), ((1, 0), (1, 0)))
    out: npt.NDArray[np.int64] = (
        total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    )
    return out
