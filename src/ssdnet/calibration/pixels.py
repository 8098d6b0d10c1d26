"""Few pixels of a large map: which of them lie together, without a look at all the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ssdnet.calibration.running import running_maximum

if TYPE_CHECKING:
    import numpy.typing as npt

    Numbers = npt.NDArray[np.intp]

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Unusual:
    """The pixels that may belong to a region, and the significance of it.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.pixels import Unusual
        >>> Unusual(np.array([5, 6]), np.array([-3.0, -3.0], dtype=np.float32)).index.tolist()
        [5, 6]
    """

    index: Numbers
    """`(N,)`, number of each pixel in the map, rising."""
    log10_nfa: npt.NDArray[np.float32]
    """`(N,)`, that of the region which the pixel belongs to; above 0 outside of all."""


def components(rows: Numbers, columns: Numbers, gap: tuple[int, int] = (0, 0)) -> tuple[Numbers, int]:
    """Connected components, diagonals included, of `(N,)` pixels.

    Args:
        rows: of the pixels, rising.
        columns: of the pixels.
        gap: pieces with at most so many rows and columns between them are one component.

    Returns:
        `(N,)`, the number of the component of each pixel from 0 on, and how many there are.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.pixels import components
        >>> owner, count = components(np.array([0, 1, 5]), np.array([0, 1, 5]))
        >>> owner.tolist(), count
        ([0, 0, 1], 2)
    """
    if len(rows) == 0:
        return np.zeros(0, dtype=np.intp), 0
    # Of empty rows and columns no more are kept than what must lie between two components.
    places = [_closed_up(values, most + 1) for values, most in zip((rows, columns), gap, strict=True)]
    canvas = np.zeros([int(place.max()) + 1 for place in places], dtype=bool)
    canvas[places[0], places[1]] = True
    if any(gap):
        canvas = running_maximum(canvas, (gap[0] + 1, gap[1] + 1))
    labelled, count = ndimage.label(canvas, structure=_EIGHT_NEIGHBOURS)
    return labelled[places[0], places[1]].astype(np.intp) - 1, int(count)


def _closed_up(values: Numbers, most: int) -> Numbers:
    """Row or column numbers from 0 on; of those that do not occur, no more than `most` are left in a row."""
    first = int(values.min())
    places = np.zeros(int(values.max()) - first + 1, dtype=np.intp)
    places[values - first] = 1
    used = np.flatnonzero(places)
    places[used[1:]] = np.cumsum(np.minimum(np.diff(used), most + 1))
    places[0] = 0
    closed: Numbers = places[values - first]
    return closed
