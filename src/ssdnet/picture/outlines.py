"""Lines around the regions and their numbers, or a cross where nothing was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patheffects import withStroke

from ssdnet.picture.display import resize_extreme
from ssdnet.picture.panels import BADGE, OUTLINE, QUIET, style
from ssdnet.picture.placement import place

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from ssdnet.result import Localization, Region

_OUTLINE_DISTANCE = 3.0
_SMALLEST_RADIUS = 8
_MOST_NUMBERS = 60


def outline_regions(
    picture: Axes, localization: Localization, size: tuple[int, int], heat: Axes | None = None
) -> int:
    """Draw a line around each region, a little outside it, and its number beside the line.

    Args:
        picture: gets lines and numbers.
        localization: whose regions these are.
        size: height and width of the picture on the screen, pixels.
        heat: gets thin lines only.

    Returns:
        How many regions have a number: where they crowd, the more unusual ones.

    Examples:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> import ssdnet
        >>> from ssdnet.picture.outlines import outline_regions
        >>> image = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> image[20:25, 30:35] = 255
        >>> axes = Figure().add_subplot()
        >>> outline_regions(axes, ssdnet.localize(image, detector="rx"), (640, 640))
        1
        >>> [text.get_text() for text in axes.texts]
        ['1']
    """
    if not localization.regions:
        return 0
    from scipy import ndimage

    image = localization.image
    down, across = size[0] / image.height, size[1] / image.width
    labels = resize_extreme(localization.labels, size, np.maximum)
    drawn = labels > 0
    for region in localization.regions:
        x, y, wide, tall = region.bbox
        if max(wide * across, tall * down) < 2 * _SMALLEST_RADIUS:
            # A defect of one pixel would be lost inside its own outline: a circle around it is not.
            _add_disc(drawn, (y + tall / 2) * down - 0.5, (x + wide / 2) * across - 0.5)
    outside = ndimage.distance_transform_edt(~drawn)
    xs, ys = (np.arange(size[1]) + 0.5) / across - 0.5, (np.arange(size[0]) + 0.5) / down - 0.5
    if heat is not None:
        heat.contour(xs, ys, outside, levels=[_OUTLINE_DISTANCE], colors=["white"], linewidths=0.7)
    # White under the colour: one of the two is seen on any picture.
    picture.contour(
        xs, ys, outside, levels=[_OUTLINE_DISTANCE], colors=[OUTLINE], linewidths=1.3
    ).set_path_effects([withStroke(linewidth=3.2, foreground="white")])

    numbered = localization.regions[:_MOST_NUMBERS]
    points = [_ends(region, labels, (down, across)) for region in numbered]
    sizes = [(10.0 + 6.2 * len(str(region.id)), 15.0) for region in numbered]
    centres = place(outside <= _OUTLINE_DISTANCE + 1.5, points, sizes)
    for region, centre in zip(numbered, centres, strict=True):
        if centre is None:
            continue
        picture.text(
            (centre[0] + 0.5) / across - 0.5,
            (centre[1] + 0.5) / down - 0.5,
            str(region.id),
            ha="center",
            va="center_baseline",
            fontweight="bold",
            bbox=BADGE,
            **style(7.5, "white"),
        )
    return len(numbered) - centres.count(None)


def _add_disc(drawn: npt.NDArray[np.bool_], row: float, column: float) -> None:
    """Fill a small disc in place."""
    reach = _SMALLEST_RADIUS + 1
    top, left = max(0, int(row) - reach), max(0, int(column) - reach)
    part = drawn[top : int(row) + reach + 1, left : int(column) + reach + 1]
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    part |= (rows + top - row) ** 2 + (columns + left - column) ** 2 <= _SMALLEST_RADIUS**2


def _ends(region: Region, labels: npt.NDArray[np.uint16], scale: tuple[float, float]) -> npt.NDArray[np.intp]:
    """Rightmost, leftmost, topmost and bottommost point of a region's outline, `(4, 2)` rows and columns."""
    x, y, wide, tall = region.bbox
    down, across = scale
    top, left = int(y * down), int(x * across)
    bottom, right = int(np.ceil((y + tall) * down)), int(np.ceil((x + wide) * across))
    points = np.argwhere(labels[top:bottom, left:right] == region.id) + np.array([top, left])
    distance = int(_OUTLINE_DISTANCE)
    if max(right - left, bottom - top) < 2 * _SMALLEST_RADIUS or len(points) == 0:
        points = np.array([[(top + bottom) // 2, (left + right) // 2]])
        distance += _SMALLEST_RADIUS
    rows, columns = points[:, 0], points[:, 1]
    outermost = points[[columns.argmax(), columns.argmin(), rows.argmin(), rows.argmax()]]
    ends: npt.NDArray[np.intp] = outermost + np.array(
        [(0, distance), (0, -distance), (-distance, 0), (distance, 0)]
    )
    return ends


def mark(axes: Axes, x: float, y: float) -> None:
    """A thin grey cross, which nobody takes for a finding.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> from ssdnet.picture.outlines import mark
        >>> axes = Figure().add_subplot()
        >>> mark(axes, 12, 34)
        >>> axes.lines[0].get_xydata().tolist()
        [[12.0, 34.0]]
    """
    axes.plot(
        x,
        y,
        marker="+",
        markersize=9,
        markeredgewidth=0.8,
        color=QUIET,
        scalex=False,
        scaley=False,
        path_effects=[withStroke(linewidth=2.2, foreground="white")],
    )
