"""Where the numbers of the regions go: beside what they name, not on it, and not on each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_GAP = 3
_OVERLAP_COST = 4.0
_MOST_HIDDEN = 0.1


def place(
    drawn: npt.NDArray[np.bool_],
    outlines: Sequence[npt.NDArray[np.intp]],
    sizes: Sequence[tuple[float, float]],
) -> list[tuple[float, float] | None]:
    """Choose a place for each number.

    Args:
        drawn: `(H, W)`, what should stay visible: the regions and their outlines.
        outlines: for each number, `(4, 2)` rows and columns of the rightmost, leftmost, topmost and
            bottommost point of the outline it names.
        sizes: width and height of each number in pixels.

    Returns:
        `(x, y)` of the centre of each number; None where it would hide one that comes before it.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.picture.placement import place
        >>> drawn = np.zeros((100, 100), bool)
        >>> drawn[40:60, 40:60] = True
        >>> ends = np.array([(50, 59), (50, 40), (40, 50), (59, 50)])  # right, left, top, bottom
        >>> place(drawn, [ends, ends], [(10, 14), (10, 14)])  # to the right of the square, and to its left
        [(67.0, 50.0), (32.0, 50.0)]
    """
    height, width = drawn.shape
    covered = np.pad(drawn, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    boxes = np.empty((0, 4))
    places: list[tuple[float, float] | None] = []
    for points, (wide, tall) in zip(outlines, sizes, strict=True):
        half = np.array([wide, tall]) / 2
        # A number that would leave the picture is pushed back in.
        centres = np.clip(_beside(points, wide, tall), half, np.maximum(half, (width, height) - half))
        candidates = np.hstack([centres - half, centres + half])
        hidden = _overlap(candidates, boxes)
        best = int(np.argmin(_sum_inside(covered, candidates) + _OVERLAP_COST * hidden))
        if hidden[best] > _MOST_HIDDEN * wide * tall:
            places.append(None)
            continue
        places.append((float(centres[best, 0]), float(centres[best, 1])))
        boxes = np.vstack([boxes, candidates[best]])
    return places


def _beside(points: npt.NDArray[np.intp], wide: float, tall: float) -> npt.NDArray[np.float64]:
    """Candidate centres, the best first: beside the outermost points, then the box, then its corners."""
    right, left, top, bottom = points
    aside, away = wide / 2 + _GAP, tall / 2 + _GAP
    middle_x, middle_y = (right[1] + left[1]) / 2, (top[0] + bottom[0]) / 2
    east, west, north, south = right[1] + aside, left[1] - aside, top[0] - away, bottom[0] + away
    return np.array(
        [
            (east, right[0]),
            (west, left[0]),
            (top[1], north),
            (bottom[1], south),
            (east, middle_y),
            (west, middle_y),
            (middle_x, north),
            (middle_x, south),
            (east, north),
            (east, south),
            (west, north),
            (west, south),
        ],
        dtype=np.float64,
    )


def _sum_inside(covered: npt.NDArray[np.int64], boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Pixels of the mask inside each box, from the mask's running sums."""
    height, width = covered.shape
    left, right = (np.clip(boxes[:, k].round().astype(int), 0, width - 1) for k in (0, 2))
    top, bottom = (np.clip(boxes[:, k].round().astype(int), 0, height - 1) for k in (1, 3))
    inside = covered[bottom, right] - covered[top, right] - covered[bottom, left] + covered[top, left]
    return np.asarray(inside, dtype=np.float64)


def _overlap(boxes: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Area that each of the boxes shares with all others together."""
    low = np.maximum(boxes[:, np.newaxis, :2], others[np.newaxis, :, :2])
    high = np.minimum(boxes[:, np.newaxis, 2:], others[np.newaxis, :, 2:])
    shared: npt.NDArray[np.float64] = np.maximum(high - low, 0).prod(axis=2).sum(axis=1)
    return shared
