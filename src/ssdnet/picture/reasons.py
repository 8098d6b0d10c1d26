"""The strip below the panels: in what way the first regions differ, and the normal places most like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.font_manager import findfont, get_font

from ssdnet.picture.display import resize_extreme
from ssdnet.picture.panels import BADGE, DPI, FONT, INK, OUTLINE, QUIET, hatch, style, write

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from ssdnet.picture.display import Colours
    from ssdnet.picture.layout import Box, Layout
    from ssdnet.result import Localization

_HEADING = "in what way each differs"
_OWN = "this region"
_NEAREST = "most like it among normal places"
_NONE_LIKE_IT = "no normal place to show"
_WORDS, _CAPTION, _LINE = 9, 8, 16


def add_reasons(figure: Figure, layout: Layout, localization: Localization, colours: Colours) -> None:
    """Fill the cells of the layout, one for each of the first regions.

    Args:
        figure: what is drawn on.
        layout: with as many cells as regions are to be shown, or none.
        localization: these regions have an explanation.
        colours: of the image.

    Examples:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> import ssdnet
        >>> from ssdnet.picture.display import Colours
        >>> from ssdnet.picture.layout import Layout
        >>> from ssdnet.picture.reasons import add_reasons
        >>> image = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> image[20:25, 30:35] = 255
        >>> result = ssdnet.localize(image, detector="rx")
        >>> side = result.regions[0].explanation.patch[3]
        >>> figure = Figure()
        >>> add_reasons(figure, Layout.of(640, 640).with_reasons([side]), result, Colours.of(result.image))
        >>> words = " ".join(text.get_text() for text in figure.texts)
        >>> "this region" in words, "brighter" in words
        (True, True)
    """
    if layout.reasons:
        x, y, _, _ = layout.reasons[0]
        write(figure, layout, (x, y - 24), _HEADING, 9)
    for region, cell in zip(localization.regions, layout.reasons, strict=False):
        explanation = region.explanation
        if explanation is None:
            continue
        left, top, wide, _ = cell
        indent = _add_number(figure, layout, (left, top + 8), region.id)
        for number, line in enumerate(wrapped(explanation.words, wide - indent, _WORDS)):
            write(figure, layout, (left + indent, top + 8 + number * _LINE), line, _WORDS, INK)
        boxes = layout.patches(cell, explanation.patch[3])
        captions = (_OWN, _NEAREST if explanation.similar else _NONE_LIKE_IT)
        for box, caption in zip(boxes, captions, strict=False):
            write(figure, layout, (box[0], box[1] - 11), caption, _CAPTION)
        patches = (explanation.patch, *(patch.bbox for patch in explanation.similar))
        for number, (box, (x, y, across, down)) in enumerate(zip(boxes, patches, strict=False)):
            inside = slice(y, y + down), slice(x, x + across)
            size = box[3], box[2]
            missing = ~resize_extreme(localization.image.valid[inside], size, np.logical_or)
            picture = hatch(colours.picture(size, inside), missing)
            _add_patch(figure, layout, box, picture, own=number == 0)


def wrapped(words: str, width: float, size: float) -> list[str]:
    """The words in lines of at most `width` pixels, at that size of the font in points.

    Examples:
        >>> from ssdnet.picture.reasons import wrapped
        >>> wrapped("darker and smoother than normal places", width=150, size=9)
        ['darker and smoother', 'than normal places']
    """
    font = get_font(findfont(FONT))
    font.set_size(size, DPI)
    lines = [""]
    for word in words.split():
        line = f"{lines[-1]} {word}".lstrip()
        font.set_text(line, 0.0)
        if lines[-1] and font.get_width_height()[0] / 64 > width:
            lines.append(word)
        else:
            lines[-1] = line
    return lines


def _add_number(figure: Figure, layout: Layout, place: tuple[int, int], identity: int) -> int:
    """The number of a region as it stands in the picture; how many pixels it takes."""
    label = str(identity)
    width = 10 + 6 * len(label)
    figure.text(
        (place[0] + width / 2) / layout.width,
        1 - place[1] / layout.height,
        label,
        ha="center",
        va="center_baseline",
        fontweight="bold",
        bbox=BADGE,
        **style(7.5, "white"),
    )
    return width + 7


def _add_patch(
    figure: Figure, layout: Layout, box: Box, picture: npt.NDArray[np.uint8], *, own: bool
) -> None:
    """A patch in its frame, which is the outline's colour around the region's own."""
    axes = figure.add_axes(layout.fraction(box))
    axes.set(xticks=[], yticks=[])
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    for spine in axes.spines.values():
        spine.set(edgecolor=OUTLINE if own else QUIET, linewidth=2.0 if own else 0.8)
