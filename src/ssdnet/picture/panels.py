"""A picture inside the figure: its axes, its title, and the stripes where pixels are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ssdnet.picture.layout import Box, Layout

FONT = "DejaVu Sans"  # comes with matplotlib, so that pictures are the same on every machine
OUTLINE = "#e4003a"
INK, QUIET = "#1a1a1a", "#6b6b6b"
BADGE = {"boxstyle": "round,pad=0.2", "facecolor": OUTLINE, "edgecolor": "white", "linewidth": 0.9}
"""What a region's number stands on."""
DPI = 100

_MISSING = (np.array([205, 205, 205], np.uint8), np.array([165, 165, 165], np.uint8))


def style(size: float, colour: str) -> dict[str, Any]:
    """Properties of a text. File names may hold dollar signs, so nothing is ever read as a formula."""
    return {"fontsize": size, "color": colour, "fontfamily": FONT, "parse_math": False}


def write(
    figure: Figure,
    layout: Layout,
    place: tuple[float, float],
    words: str,
    size: float,
    colour: str = QUIET,
    *,
    bold: bool = False,
) -> None:
    """Write from `(x, y)` on, which is in pixels from the top left."""
    x, y = place
    figure.text(
        x / layout.width,
        1 - y / layout.height,
        words,
        va="center",
        fontweight="bold" if bold else "normal",
        **style(size, colour),
    )


def add_panel(figure: Figure, layout: Layout, box: Box, title: str) -> Axes:
    """Axes of exactly that many pixels, so that the picture inside is not resampled."""
    axes = figure.add_axes(layout.fraction(box))
    write(figure, layout, (box[0], box[1] - 11), title, 9)
    axes.tick_params(labelsize=7.5, labelcolor=QUIET, color=QUIET, length=3, labelfontfamily=FONT)
    for spine in axes.spines.values():
        spine.set(edgecolor=QUIET, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(max(2, min(8, box[2] // 80)), integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(max(1, min(8, box[3] // 50)), integer=True))
    return axes


def show(axes: Axes, rgb: npt.NDArray[np.uint8], height: int, width: int) -> None:
    """Fill the axes with a picture that counts the input's pixels."""
    axes.imshow(rgb, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest", aspect="auto")


def hatch(rgb: npt.NDArray[np.uint8], missing: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Draw missing pixels as diagonal grey stripes, which no picture and no colour scale has."""
    rows, columns = np.nonzero(missing)
    out = rgb.copy()
    out[rows, columns] = np.where(((rows + columns) // 4 % 2 == 0)[:, np.newaxis], *_MISSING)
    return out
