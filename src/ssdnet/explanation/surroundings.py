"""The part of an image that a region is compared with, of bounded size, and what is normal in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ssdnet.calibration.running import running_maximum
from ssdnet.explanation.local_statistics import LocalStatistics, leading_components, main_component

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.result import Region

_SMALLEST, _LARGEST = 320, 640
"""Sides of the part, pixels: around a small region, and at most."""
_TIMES = 3
"""Its side in those of the region."""
_GRID = 64
"""It begins at a multiple of this, so that neighbouring regions share one."""
_PIECE = 4
"""Of a large region a piece is looked at that is this much smaller than the part."""
_LIGHT = 3
"""The light is the same over this part of it."""
_KNOWN = 0.1
"""Where less than this share of what is around is normal, the light is only partly taken off."""
_MARGIN = 3
"""So close to a region nothing is called normal, pixels."""
_COMPONENTS = 4


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A part of an image. All maps have its height and width.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.surroundings import Surroundings
        >>> light = np.linspace(-3, 3, 96)[np.newaxis, :, np.newaxis]
        >>> pixels = (light + np.random.default_rng(0).normal(size=(1, 96, 96))).astype(np.float32)
        >>> labels = np.zeros((96, 96), dtype=np.uint16)
        >>> labels[40:52, 40:52] = 1
        >>> one, zero = np.ones(1), np.zeros(1)
        >>> around = Surroundings(0, 0, pixels, zero, one, labels.astype(np.float32), labels, labels >= 0)
        >>> int(np.count_nonzero(around.free)), int(np.count_nonzero(around.clean))
        (9072, 8892)
        >>> bool(np.abs(around.evened.mean(axis=2)).max() < 0.7 < 2 < np.abs(pixels.mean(axis=2)).max())
        True
    """

    top: int
    left: int
    pixels: npt.NDArray[np.float32]
    """`(C, h, w)`, standardised; missing pixels are 0."""
    offset: npt.NDArray[np.float64]
    """`(C,)`, see `Standardized`."""
    scale: npt.NDArray[np.float64]
    """`(C,)`, see `Standardized`."""
    score: npt.NDArray[np.float32]
    """The anomaly map."""
    labels: npt.NDArray[np.uint16]
    valid: npt.NDArray[np.bool_]

    @cached_property
    def free(self) -> npt.NDArray[np.bool_]:
        """Valid and in no region."""
        free: npt.NDArray[np.bool_] = self.valid & (self.labels == 0)
        return free

    @cached_property
    def clean(self) -> npt.NDArray[np.bool_]:
        """The same, and not close to a region or a missing pixel."""
        if self.free.all():
            return self.free
        size = 2 * _MARGIN + 1
        clean: npt.NDArray[np.bool_] = ~running_maximum(~self.free, (size, size))
        return clean

    @property
    def light_box(self) -> tuple[int, int]:
        """Height and width of the box over which the light is averaged."""
        height, width = (max(3, side // _LIGHT | 1) for side in self.free.shape)
        return height, width

    @cached_property
    def evened(self) -> npt.NDArray[np.float32]:
        """`(C, h, w)`, the pixels without the light: without the mean of the free ones about them."""
        size = self.light_box
        share = np.maximum(ndimage.uniform_filter(self.free.astype(np.float32), size), _KNOWN)
        out = np.empty_like(self.pixels)
        for plane, even in zip(self.pixels, out, strict=True):
            mean = plane[self.free].mean() if self.free.any() else np.float32(0)
            centred = plane - mean
            light = ndimage.uniform_filter(np.where(self.free, centred, 0), size)
            light /= share
            np.subtract(centred, light, out=even)
        return out

    @cached_property
    def lowest(self) -> npt.NDArray[np.float32]:
        """`(C,)`, the smallest value of each channel."""
        return np.asarray(self.pixels.min(axis=(1, 2)))

    @cached_property
    def statistics(self) -> LocalStatistics:
        """What the texture is like at each place."""
        return LocalStatistics.of(main_component(self.pixels, self.free), self.clean)

    @cached_property
    def components(self) -> npt.NDArray[np.float32]:
        """The pixels, of many channels the leading components: what patches are compared by."""
        return leading_components(self.pixels, self.free, _COMPONENTS)

    def shape(self, region: Region) -> npt.NDArray[np.intp]:
        """`(N, 2)`, rows and columns of the region, or of the piece with its summit when it is large."""
        x, y, wide, tall = region.bbox
        top, left = max(0, y - self.top), max(0, x - self.left)
        box = self.labels[top : y + tall - self.top, left : x + wide - self.left] == region.id
        points: npt.NDArray[np.intp] = np.argwhere(box) + np.array([top, left])
        most = [max(8, side // _PIECE) for side in self.labels.shape]
        near = (np.abs(points - self.summit(points)) * 2 < most).all(axis=1)
        chosen: npt.NDArray[np.intp] = points[near]
        return chosen

    def summit(self, points: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Of `(N, 2)` rows and columns those of the highest score, the most central of several."""
        scores = self.score[points[:, 0], points[:, 1]]
        highest = points[scores == scores.max()]
        chosen: npt.NDArray[np.intp] = highest[np.square(highest - points.mean(axis=0)).sum(axis=1).argmin()]
        return chosen


def place_of(region: Region, labels: npt.NDArray[np.uint16]) -> tuple[slice, slice]:
    """Rows and columns of the surroundings of a region in an image.

    Args:
        region: one of the regions.
        labels: `(H, W)`, where its pixels are.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.regions import find_regions
        >>> from ssdnet.explanation.surroundings import place_of
        >>> score = np.zeros((1000, 1200), dtype=np.float32)
        >>> score[500:520, 700:730] = 5
        >>> labels, (region,) = find_regions(score, -score, alarms=0.01)
        >>> place_of(region, labels)
        (slice(320, 704, None), slice(512, 896, None))
    """
    x, y, wide, tall = region.bbox
    if max(wide, tall) * _TIMES > _LARGEST:
        # It would fill them: they are put where it ends, on the side with more of the picture.
        y, x = _end(region, labels)
        wide = tall = 1
        side = _LARGEST
    else:
        side = max(_SMALLEST, _TIMES * max(wide, tall))
    rows, columns = (
        _around(start, length, side, total)
        for start, length, total in ((y, tall, labels.shape[0]), (x, wide, labels.shape[1]))
    )
    return rows, columns


def _around(start: int, length: int, side: int, total: int) -> slice:
    whole = side + _GRID
    if whole >= total:
        return slice(0, total)
    first = max(0, start + length // 2 - side // 2) // _GRID * _GRID
    first = min(first, total - whole)
    return slice(first, first + whole)


def _end(region: Region, labels: npt.NDArray[np.uint16]) -> tuple[int, int]:
    """Row and column of the pixel of a region that has most of the picture before it."""
    x, y, wide, tall = region.bbox
    points = np.argwhere(labels[y : y + tall, x : x + wide] == region.id) + np.array([y, x])
    height, width = labels.shape
    free = (y, height - y - tall, x, width - x - wide)
    side = int(np.argmax(free))
    along = points[:, side // 2]
    edge = points[along == (along.min() if side % 2 == 0 else along.max())]
    row, column = edge[len(edge) // 2]
    return int(row), int(column)
