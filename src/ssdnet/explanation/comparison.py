"""The shape of a region at normal places: what its statistics are there, and how far off its own are.

The shape is moved to many normal places of its surroundings. A statistic of the region that lies many robust
spreads (median absolute deviations) from those of the same shape elsewhere, and farther than nearly all of
them, is a difference worth saying. Comparing equal shapes keeps a thin scratch from being diluted in a box,
and allows a small region to vary as much as small normal places do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.explanation.local_statistics import SCALES

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.explanation.surroundings import Surroundings

_SPREADS = 4.0
"""A difference is at least that many spreads of normal places: `benchmarks/explanations.py` counts how often
that gives words to clean places and to defects."""
_SCARCE = 2.0
"""Where only `n` places fit without overlap, their spread is uncertain: `1 + _SCARCE / n` times as many."""
_PASSED = 0.99
"""Share of the normal places that must lie closer."""
_PLACES, _TRIED = 256, 1024
_FEWEST = 12
_POINTS = 400
"""Pixels of a shape that are looked at, evenly spread, when it has more."""
_VALUES = 4000
"""Fewer of them in images of many channels."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Statistics of a shape: of the region in the first row, of normal places in the others.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.comparison import compare
        >>> from ssdnet.explanation.surroundings import Surroundings
        >>> pixels = np.random.default_rng(0).normal(size=(1, 96, 96)).astype(np.float32)
        >>> labels = np.zeros((96, 96), dtype=np.uint16)
        >>> labels[40:52, 40:52] = 1
        >>> one, zero = np.ones(1), np.zeros(1)
        >>> around = Surroundings(0, 0, pixels, zero, one, labels.astype(np.float32), labels, labels >= 0)
        >>> comparison = compare(around, np.argwhere(labels))
        >>> comparison.channels.shape, comparison.repetition is None  # of the region and of 256 places
        ((257, 1), True)
    """

    limit: float
    """How many spreads are a difference."""
    channels: npt.NDArray[np.float64]
    """`(1 + N, C)`, means, standardised."""
    energies: npt.NDArray[np.float64]
    """`(1 + N, scales)`."""
    tensor: npt.NDArray[np.float64]
    """`(1 + N, 3)`."""
    coarse: npt.NDArray[np.float64]
    """`(1 + N,)`, energy of the scales that are larger than details."""
    repetition: npt.NDArray[np.float64] | None
    """`(1 + N,)`; None when the texture repeats nowhere."""


def compare(surroundings: Surroundings, shape: npt.NDArray[np.intp]) -> Comparison | None:
    """Measure a shape where it is and at normal places; None when there are too few of these.

    Args:
        surroundings: where it lies and what is normal there.
        shape: `(N, 2)` rows and columns of its pixels in these surroundings.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.comparison import compare, distance
        >>> from ssdnet.explanation.surroundings import Surroundings
        >>> pixels = np.random.default_rng(0).normal(size=(1, 96, 96)).astype(np.float32)
        >>> labels = np.zeros((96, 96), dtype=np.uint16)
        >>> labels[40:52, 40:52] = 1
        >>> pixels[:, labels > 0] += 5
        >>> one, zero = np.ones(1), np.zeros(1)
        >>> around = Surroundings(0, 0, pixels, zero, one, labels.astype(np.float32), labels, labels >= 0)
        >>> comparison = compare(around, np.argwhere(labels))
        >>> bool(distance(comparison.channels[:, 0], least=0.02)[0] > comparison.limit)
        True
    """
    thickness = _thickness(shape)
    most = min(_POINTS, max(32, _VALUES // len(surroundings.pixels)))
    area = len(shape)
    shape = shape[np.linspace(0, area - 1, min(most, area)).astype(int)]
    places, separate = _places(surroundings, shape)
    if len(places) < _FEWEST:
        return None
    limit = _SPREADS * (1 + _SCARCE / separate)
    width = surroundings.clean.shape[1]
    comparison = _measure(surroundings, np.vstack([shape @ (width, 1), places]), thickness, limit)
    # A normal place is a part of the mean that was taken off as its light, the region is not.
    comparison.channels[1:] /= 1 - min(0.5, area / math.prod(surroundings.light_box))
    return comparison


def distance(values: npt.NDArray[np.float64], least: float) -> npt.NDArray[np.float64]:
    """Each value's distance from the median of the normal ones in their spreads; the region's is first.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.comparison import distance
        >>> distance(np.array([17.4, 9.0, 10.0, 11.0, 12.0]), least=0.1).round(2).tolist()
        [4.65, -1.01, -0.34, 0.34, 1.01]
    """
    centred = values - np.median(values[1:])
    spread = 1.4826 * float(np.median(np.abs(centred[1:])))
    return np.asarray(centred / max(spread, least), dtype=np.float64)


def telling(sizes: npt.NDArray[np.float64], limit: float) -> bool:
    """Whether the first is beyond the limit, and beyond nearly all others.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.comparison import telling
        >>> normal = np.linspace(-2, 2, 100)
        >>> telling(np.array([6.0, *normal]), limit=4.0), telling(np.array([3.0, *normal]), limit=4.0)
        (True, False)
    """
    away = np.abs(sizes)
    return bool(away[0] >= limit and away[0] > np.quantile(away[1:], _PASSED))


def _places(surroundings: Surroundings, shape: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], float]:
    """Numbers of its pixels at normal places, `(N, pixels)`, and how many of these fit without overlap."""
    height, width = surroundings.clean.shape
    corner = shape.min(axis=0)
    size = shape.max(axis=0) - corner + 1
    room = np.array([height, width]) - size + 1
    # Additive recurrence (Roberts' R2): evenly spread, and no period of a texture can be in step with it.
    numbers = np.arange(1, _TRIED + 1)[:, np.newaxis]
    corners = np.floor((0.5 + numbers * (0.7548776662466927, 0.5698402909980532)) % 1 * room).astype(np.intp)
    corners = np.unique(corners, axis=0)
    moved = (corners @ (width, 1))[:, np.newaxis] + (shape - corner) @ (width, 1)
    normal = surroundings.clean.reshape(-1)[moved].all(axis=1)
    separate = float(np.count_nonzero(surroundings.clean)) / float(size.prod())
    chosen = np.flatnonzero(normal)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(_PLACES, len(chosen))).astype(int)]
    return moved[chosen], max(separate, 1.0)


def _thickness(shape: npt.NDArray[np.intp]) -> float:
    """About how many pixels wide a shape is: the side of its bounding box for a square, less for a line."""
    size = shape.max(axis=0) - shape.min(axis=0) + 1
    return float(max(len(shape) / size.max(), 1.0))


def _measure(
    surroundings: Surroundings, index: npt.NDArray[np.intp], thickness: float, limit: float
) -> Comparison:
    statistics = surroundings.statistics

    def mean(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        out: npt.NDArray[np.float64] = plane.ravel()[index].mean(axis=1, dtype=np.float64)
        return out

    def middle(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        # A median, because the edge of a spot is contrast, but not of its texture.
        return np.asarray(np.median(plane.ravel()[index], axis=1), dtype=np.float64)

    # A spot is itself a structure of its own size, so only finer scales tell about its texture.
    scales = max(1, sum(size <= 0.75 * thickness for size in SCALES))
    repetition = None
    if statistics.repetition is not None:
        # Not the median: a half that is in order does not make up for one that is not.
        repetition = np.quantile(statistics.repetition.ravel()[index], 0.25, axis=1).astype(np.float64)
    return Comparison(
        limit,
        np.stack([mean(plane) for plane in surroundings.evened], axis=1),
        np.stack([middle(plane) for plane in statistics.energies[:scales]], axis=1),
        np.stack([mean(plane) for plane in statistics.tensor], axis=1),
        np.sum([mean(plane) for plane in statistics.energies[2:]], axis=0),
        repetition,
    )
