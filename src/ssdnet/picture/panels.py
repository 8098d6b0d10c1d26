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
    """Properties of a text. File names may hold dollar signs, so nothing is ever read as a formula.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> from ssdnet.picture.panels import INK, style
        >>> text = Figure().text(0.5, 0.5, "part_$1$.png", **style(9, INK))
        >>> text.get_parse_math(), text.get_fontsize()
        (False, 9.0)
    """
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
    """Write from `(x, y)` on, which is in pixels from the top left.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> from ssdnet.picture.layout import Layout
        >>> from ssdnet.picture.panels import write
        >>> figure, layout = Figure(), Layout.of(640, 640)
        >>> write(figure, layout, (layout.width / 2, layout.height / 4), "nothing found", 9)
        >>> figure.texts[0].get_text(), figure.texts[0].get_position()
        ('nothing found', (0.5, 0.75))
    """
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
    """Axes of exactly that many pixels, so that the picture inside is not resampled.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> from ssdnet.picture.layout import Layout
        >>> from ssdnet.picture.panels import DPI, add_panel
        >>> layout = Layout.of(320, 480)
        >>> figure = Figure(figsize=(layout.width / DPI, layout.height / DPI), dpi=DPI)
        >>> room = add_panel(figure, layout, layout.picture, "the picture").get_window_extent()
        >>> round(room.width), round(room.height)
        (480, 320)
    """
    axes = figure.add_axes(layout.fraction(box))
    write(figure, layout, (box[0], box[1] - 11), title, 9)
    axes.tick_params(labelsize=7.5, labelcolor=QUIET, color=QUIET, length=3, labelfontfamily=FONT)
    for spine in axes.spines.values():
        spine.set(edgecolor=QUIET, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(max(2, min(8, box[2] // 80)), integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(max(1, min(8, box[3] // 50)), integer=True))
    return axes


def show(axes: Axes, rgb: npt.NDArray[np.uint8], height: int, width: int) -> None:
    """Fill the axes with a picture that counts the input's pixels.

    Examples:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> from ssdnet.picture.panels import show
        >>> axes, enlarged = Figure().add_subplot(), np.zeros((200, 300, 3), np.uint8)
        >>> show(axes, enlarged, height=20, width=30)  # the axes count pixels of the input
        >>> [float(end) for end in (*axes.get_xlim(), *axes.get_ylim())]
        [-0.5, 29.5, 19.5, -0.5]
    """
    # Without an alpha matplotlib makes one in double precision, and of all colours doubles with it.
    axes.imshow(
        rgb,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="nearest",
        aspect="auto",
        alpha=1.0,
    )


def hatch(rgb: npt.NDArray[np.uint8], missing: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Draw missing pixels as diagonal grey stripes, which no picture and no colour scale has.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.picture.panels import hatch
        >>> missing = np.zeros((20, 30), bool)
        >>> missing[:, :10] = True
        >>> striped = hatch(np.zeros((20, 30, 3), np.uint8), missing)
        >>> np.unique(striped[:, :10]).tolist(), np.unique(striped[:, 10:]).tolist()
        ([165, 205], [0])
    """
    rows, columns = np.nonzero(missing)
    out = rgb.copy()
    out[rows, columns] = np.where(((rows + columns) // 4 % 2 == 0)[:, np.newaxis], *_MISSING)
    return out
