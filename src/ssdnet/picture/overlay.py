"""The picture for people: the image with what does not belong outlined, and how unusual each place is."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from ssdnet.image.model import IN_MEMORY
from ssdnet.picture.display import Colours, display_size, fitted_size, resize_extreme
from ssdnet.picture.layers import add_layers, layer_count
from ssdnet.picture.layout import Layout
from ssdnet.picture.outlines import mark, outline_regions
from ssdnet.picture.panels import DPI, FONT, INK, OUTLINE, QUIET, add_panel, hatch, show, style, write
from ssdnet.picture.reasons import add_reasons
from ssdnet.wording import expectation, grouped, verdict

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from ssdnet.image import Image
    from ssdnet.result import Localization

MOST_UNUSUAL, LEAST_UNUSUAL = -8.0, 1.0
"""Ends of the colour scale in log10 NFA. They never move: a colour means the same in every picture."""

_COLOURS = "inferno_r"
_TICKS = {
    1.0: "10 per image",
    0.0: "1 per image",
    -2.0: "1 per 100 images",
    -4.0: "1 per 10 000",
    -6.0: "1 per million",
    -8.0: "1 per 100 million",
}
_FADED = np.uint8(140)
_NOT_JUDGED = "hatched: missing pixels, not judged"
_NOT_JUDGED_WITH_ROI = "faded or hatched: outside the region of interest or missing, not judged"


def write_overlay(localization: Localization, file: BinaryIO) -> None:
    """Write the figure as PNG.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.picture.overlay import write_overlay
        >>> file, image = io.BytesIO(), np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> write_overlay(ssdnet.localize(image, detector="rx"), file)
        >>> ssdnet.read_image(file.getvalue()).channels
        3
    """
    from PIL import Image

    canvas = FigureCanvasAgg(figure(localization))
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]  # type: ignore[no-untyped-call]
    # Pillow's own writer adds neither date nor version, so that equal results give equal bytes.
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=4)


def figure(localization: Localization) -> Figure:
    """The image with its regions outlined and numbered beside the map of log10 NFA.

    Both are shown at the same size, beside each other or, for wide pictures, one above the other; the axes
    count pixels of the input. Missing pixels are hatched; of those outside the roi a faded picture is left.
    The layers of the image, if it has some, follow below, and then what tells the first regions from normal
    places.

    Examples:
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.picture.overlay import figure
        >>> image = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> image[20:25, 30:35] = 255
        >>> drawn = figure(ssdnet.localize(image, detector="rx"))
        >>> words = [text.get_text() for text in drawn.texts]
        >>> "outlined: what does not belong" in words, "how unusual each place is" in words
        (True, True)
    """
    image = localization.image
    size = display_size(image.height, image.width)
    layout = Layout.of(*size)
    if (layers := layer_count(localization)) > 0:
        layout = layout.with_layers(image.height, image.width, layers)
    explained = [region.explanation for region in localization.regions if region.explanation is not None]
    layout = layout.with_reasons([explanation.patch[3] for explanation in explained])
    missing = resize_extreme(~image.valid, size, np.logical_and)
    result = Figure(figsize=(layout.width / DPI, layout.height / DPI), dpi=DPI, facecolor="white")
    words = "outlined: what does not belong" if localization.regions else "the picture"
    picture = add_panel(result, layout, layout.picture, words)
    colours = Colours.of(image)
    missing = _show_picture(picture, image, colours, size)

    heat = add_panel(result, layout, layout.heat, "how unusual each place is")
    # Of the pixels that fall together the most unusual is shown; fmin passes over missing ones.
    values = np.nan_to_num(resize_extreme(localization.log10_nfa, size, np.fmin), nan=LEAST_UNUSUAL)
    show(heat, hatch(heat_colours(values), missing), image.height, image.width)

    numbered = _mark_findings(picture, localization, size, heat)
    _write_title(result, layout, localization, numbered)
    _add_scale(result, layout, _scale(), localization.alarms)
    add_layers(result, layout, localization, colours)
    add_reasons(result, layout, localization, colours)
    if missing.any():
        words = _NOT_JUDGED if image.outside_roi is None else _NOT_JUDGED_WITH_ROI
        write(result, layout, (layout.picture[0], layout.height - 14), words, 9)
    return result


def draw(localization: Localization, axes: Axes) -> Figure:
    """Draw the image with its regions outlined and numbered into axes of somebody else's figure.

    Returns:
        The figure that the axes belong to.

    Examples:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> import ssdnet
        >>> from ssdnet.picture.overlay import draw
        >>> image = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> image[20:25, 30:35] = 255
        >>> mine = Figure()
        >>> first, second = mine.subplots(1, 2)
        >>> draw(ssdnet.localize(image, detector="rx"), first) is mine
        True
        >>> len(first.images), len(first.texts), len(second.images)
        (1, 1, 0)
    """
    image = localization.image
    owner = axes.figure
    # A figure inside a figure is no `Figure`.
    result = owner if isinstance(owner, Figure) else owner.figure
    room = axes.get_window_extent()
    _show_picture(axes, image, Colours.of(image), display_size(image.height, image.width))
    axes.set_aspect("equal")
    axes.images[-1].set_interpolation("antialiased")  # how large these axes end up is not known here
    # Lines and numbers are as large as their points say, so the room is measured in the same unit.
    scale = min(room.height / image.height, room.width / image.width) * DPI / result.dpi
    longest = max(1, round(max(image.height, image.width) * scale))
    _mark_findings(axes, localization, fitted_size(image.height, image.width, longest))
    return result


def _show_picture(axes: Axes, image: Image, colours: Colours, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Fill the axes with the image; which of the pixels shown are missing, `(H, W)` of that size."""
    missing = ~resize_extreme(image.valid, size, np.logical_or)
    faded = np.zeros_like(missing)
    shown = colours.picture(size)
    if image.outside_roi is not None:
        faded = missing & resize_extreme(image.outside_roi, size, np.logical_or)
        shown = np.where(faded[:, :, np.newaxis], shown // 3 + _FADED, shown)
    show(axes, hatch(shown, missing & ~faded), image.height, image.width)
    return missing


def _mark_findings(
    axes: Axes, localization: Localization, size: tuple[int, int], heat: Axes | None = None
) -> int:
    """Outline and number the regions, or mark where the most unusual place is; how many have a number."""
    if localization.most_unusual is not None and not localization.regions:
        mark(axes, *localization.most_unusual)
    return outline_regions(axes, localization, size, heat)


def heat_colours(log10_nfa: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """`(H, W, 3)` colours of log10 NFA `(H, W)`, the same in every picture; none may be NaN.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.picture.overlay import heat_colours
        >>> usual, rare, rarer = heat_colours(np.array([[0.0, -6.0, -20.0]])).sum(axis=2)[0]
        >>> bool(usual < rare < rarer)  # the more unusual, the brighter
        True
    """
    colours: npt.NDArray[np.uint8] = _scale().to_rgba(log10_nfa, bytes=True)[:, :, :3]
    return colours


def _scale() -> ScalarMappable:
    return ScalarMappable(Normalize(MOST_UNUSUAL, LEAST_UNUSUAL, clip=True), mpl.colormaps[_COLOURS])


def _write_title(result: Figure, layout: Layout, localization: Localization, numbered: int) -> None:
    """What was found, and how unusual the most unusual is, in plain words."""
    left = layout.picture[0]
    found = localization.regions
    title = verdict(len(found))
    room = int((layout.width - left - 20) / 10.5) - len(title) - 2
    image = localization.image
    name = (
        "image"
        if image.path is None and image.name in IN_MEMORY
        else drawable(PurePath(image.name).name or image.name)
    )
    name = _shortened(name, max(room, 12))
    write(result, layout, (left, 28), f"{name}: {title}", 12.5, OUTLINE if found else INK, bold=True)
    if found or localization.most_unusual is not None:
        rarest = found[0].log10_nfa if found else -localization.pred_score
        which = "is region 1" if found else "place (grey cross)"
        below = f"Most unusual {which}: chance alone does this {expectation(rarest)}."
    else:
        below = localization.notes[-1] if localization.notes else "No place is more unusual than the others."
    if numbered < len(found):
        below += f" {numbered} of {grouped(len(found))} are numbered, the most unusual first."
    write(result, layout, (left, 52), below, 9.5)


def _add_scale(result: Figure, layout: Layout, scale: ScalarMappable, alarms: float) -> None:
    """The colour bar: what each colour means, and from where on a region is reported."""
    axes = result.add_axes(layout.fraction(layout.scale))
    bar = result.colorbar(
        scale,
        cax=axes,
        orientation="horizontal" if layout.stacked else "vertical",
        extend="both",
        ticks=list(_TICKS),
    )
    axis = axes.xaxis if layout.stacked else axes.yaxis
    between = "\n" if layout.stacked else "   "
    numbers = [
        f"{value:2g}".replace("-", "\N{MINUS SIGN}").replace(" ", "\N{FIGURE SPACE}") for value in _TICKS
    ]
    axis.set_ticklabels(
        [f"{number}{between}{words}" for number, words in zip(numbers, _TICKS.values(), strict=True)],
        **style(8, INK),
    )
    axis.set_inverted(True)
    bar.outline.set(edgecolor=QUIET, linewidth=0.8)
    limit = float(np.clip(np.log10(alarms), MOST_UNUSUAL, LEAST_UNUSUAL))
    line = axes.axvline if layout.stacked else axes.axhline
    for colour, width in (("white", 3.4), (OUTLINE, 1.8)):
        line(limit, -0.4, 1.4, color=colour, linewidth=width, clip_on=False, zorder=5)
    x, y, _, tall = layout.scale
    meaning, limit_words = (
        "log10 NFA: how often chance alone does this",
        "red line: the limit; regions that pass it are reported",
    )
    if layout.stacked:
        write(result, layout, (x, y - 14), f"{meaning}; {limit_words}", 8.5)
    else:
        write(result, layout, (x, y - 34), meaning.replace(": ", ":\n"), 8.5)
        write(result, layout, (x, y + tall + 36), limit_words.replace("; ", ";\n"), 8.5)


def drawable(text: str) -> str:
    """`text` without characters that the font of the pictures does not have.

    Examples:
        >>> from ssdnet.picture.overlay import drawable
        >>> drawable("Prüfling 7.png"), drawable("\N{CJK UNIFIED IDEOGRAPH-5E03}.png")
        ('Prüfling 7.png', '?.png')
    """
    known = get_font(findfont(FONT)).get_charmap()
    return "".join(
        character if ord(character) in known and character.isprintable() else "?" for character in text
    )


def _shortened(name: str, length: int) -> str:
    """At most `length` characters, without the middle: beginning and end tell files apart."""
    if len(name) <= length:
        return name
    end = (length - 1) // 2
    return f"{name[: length - 1 - end]}\N{HORIZONTAL ELLIPSIS}{name[-end:]}"
