"""The picture for people: the image with what does not belong outlined, and how unusual each place is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from ssdnet.export.display import display_size, resize_colours, resize_extreme, to_rgb
from ssdnet.export.placement import place
from ssdnet.export.wording import expectation, grouped, verdict
from ssdnet.image.model import IN_MEMORY

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from ssdnet.localization import Localization, Region

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
_OUTLINE = "#e4003a"
_INK, _QUIET = "#1a1a1a", "#6b6b6b"
_MISSING = (np.array([205, 205, 205], np.uint8), np.array([165, 165, 165], np.uint8))
_FADED = np.uint8(140)
_NOT_JUDGED = "hatched: missing pixels, not judged"
_NOT_JUDGED_WITH_ROI = "faded or hatched: outside the region of interest or missing, not judged"
_FONT = "DejaVu Sans"  # comes with matplotlib, so that pictures are the same on every machine
_DPI = 100
_OUTLINE_DISTANCE = 3.0
_SMALLEST_RADIUS = 8
_MOST_NUMBERS = 60


def write_overlay(localization: Localization, file: BinaryIO) -> None:
    """Write the figure as PNG."""
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
    """
    image = localization.image
    size = display_size(image.height, image.width)
    layout = _Layout.of(*size)
    missing = resize_extreme(~image.valid, size, np.logical_and)
    result = Figure(figsize=(layout.width / _DPI, layout.height / _DPI), dpi=_DPI, facecolor="white")
    words = "outlined: what does not belong" if localization.regions else "the picture"
    picture = _add_panel(result, layout, layout.picture, words)
    shown = resize_colours(to_rgb(image), size)
    faded = np.zeros_like(missing)
    if image.outside_roi is not None:
        faded = missing & resize_extreme(image.outside_roi, size, np.logical_or)
        shown = np.where(faded[:, :, np.newaxis], shown // 3 + _FADED, shown)
    _show(picture, _hatch(shown, missing & ~faded), image.height, image.width)

    heat = _add_panel(result, layout, layout.heat, "how unusual each place is")
    scale = ScalarMappable(Normalize(MOST_UNUSUAL, LEAST_UNUSUAL, clip=True), mpl.colormaps[_COLOURS])
    # Of the pixels that fall together the most unusual is shown; fmin passes over missing ones.
    values = np.nan_to_num(resize_extreme(localization.log10_nfa, size, np.fmin), nan=LEAST_UNUSUAL)
    colours = scale.to_rgba(values, bytes=True)[:, :, :3]
    _show(heat, _hatch(colours, missing), image.height, image.width)

    numbered = _outline_regions(picture, heat, localization, size)
    if localization.most_unusual is not None and not localization.regions:
        _mark(picture, *localization.most_unusual)
    _write_title(result, layout, localization, numbered)
    _add_scale(result, layout, scale, localization.alarms)
    if missing.any():
        result.text(
            layout.picture[0] / layout.width,
            14 / layout.height,
            _NOT_JUDGED if image.outside_roi is None else _NOT_JUDGED_WITH_ROI,
            va="center",
            **_text(9, _QUIET),
        )
    return result


@dataclass(frozen=True)
class _Layout:
    """Where everything is, in pixels from the top left; boxes are `(x, y, width, height)`."""

    width: int
    height: int
    picture: tuple[int, int, int, int]
    heat: tuple[int, int, int, int]
    scale: tuple[int, int, int, int]
    stacked: bool

    @classmethod
    def of(cls, tall: int, wide: int) -> _Layout:
        """The layout for panels of that size."""
        left, top, under, between = 52, 92, 48, 56
        if wide > 1.6 * tall:
            second = top + tall + between
            scale = (left, second + tall + 58, max(wide, 720), 14)
            return cls(
                width=left + max(wide, 720) + 44,
                height=scale[1] + 14 + 74,
                picture=(left, top, wide, tall),
                heat=(left, second, wide, tall),
                scale=scale,
                stacked=True,
            )
        # Small and narrow panels still leave room for their titles and for the words around the scale.
        second = left + max(wide, 210) + between
        scale_height = max(320, min(tall, 512))
        scale = (second + max(wide, 210) + 24, top + 40, 14, scale_height - 90)
        return cls(
            width=scale[0] + 14 + 230,
            height=top + max(tall, scale_height) + under,
            picture=(left, top, wide, tall),
            heat=(second, top, wide, tall),
            scale=scale,
            stacked=False,
        )

    def fraction(self, box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
        """A box as matplotlib wants it: fractions of the figure from the bottom left."""
        x, y, wide, tall = box
        return x / self.width, 1 - (y + tall) / self.height, wide / self.width, tall / self.height


def _text(size: float, colour: str) -> dict[str, Any]:
    """Properties of a text. File names may hold dollar signs, so nothing is ever read as a formula."""
    return {"fontsize": size, "color": colour, "fontfamily": _FONT, "parse_math": False}


def _write_title(result: Figure, layout: _Layout, localization: Localization, numbered: int) -> None:
    """What was found, and how unusual the most unusual is, in plain words."""
    left = layout.picture[0]
    found = localization.regions
    title = verdict(len(found))
    room = int((layout.width - left - 20) / 10.5) - len(title) - 2
    image = localization.image
    name = "image" if image.path is None and image.name in IN_MEMORY else _drawable(image.name)
    name = _shortened(name, max(room, 12))
    result.text(
        left / layout.width,
        1 - 28 / layout.height,
        f"{name}: {title}",
        va="center",
        fontweight="bold",
        **_text(12.5, _OUTLINE if found else _INK),
    )
    if found or localization.most_unusual is not None:
        rarest = found[0].log10_nfa if found else -localization.pred_score
        which = "is region 1" if found else "place (grey cross)"
        below = f"Most unusual {which}: chance alone does this {expectation(rarest)}."
    else:
        below = localization.notes[-1] if localization.notes else "No place is more unusual than the others."
    if numbered < len(found):
        below += f" {numbered} of {grouped(len(found))} are numbered, the most unusual first."
    result.text(left / layout.width, 1 - 52 / layout.height, below, va="center", **_text(9.5, _QUIET))


def _add_panel(result: Figure, layout: _Layout, box: tuple[int, int, int, int], title: str) -> Axes:
    """Axes of exactly that many pixels, so that the picture inside is not resampled."""
    axes = result.add_axes(layout.fraction(box))
    result.text(
        box[0] / layout.width, 1 - (box[1] - 11) / layout.height, title, va="center", **_text(9, _QUIET)
    )
    axes.tick_params(labelsize=7.5, labelcolor=_QUIET, color=_QUIET, length=3, labelfontfamily=_FONT)
    for spine in axes.spines.values():
        spine.set(edgecolor=_QUIET, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(max(2, min(8, box[2] // 80)), integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(max(1, min(8, box[3] // 50)), integer=True))
    return axes


def _show(axes: Axes, rgb: npt.NDArray[np.uint8], height: int, width: int) -> None:
    """Fill the axes with a picture that counts the input's pixels."""
    axes.imshow(rgb, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest", aspect="auto")


def _hatch(rgb: npt.NDArray[np.uint8], missing: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Draw missing pixels as diagonal grey stripes, which no picture and no colour scale has."""
    rows, columns = np.nonzero(missing)
    out = rgb.copy()
    out[rows, columns] = np.where(((rows + columns) // 4 % 2 == 0)[:, np.newaxis], *_MISSING)
    return out


def _mark(axes: Axes, x: float, y: float) -> None:
    """A thin grey cross, which nobody takes for a finding."""
    axes.plot(
        x,
        y,
        marker="+",
        markersize=9,
        markeredgewidth=0.8,
        color=_QUIET,
        scalex=False,
        scaley=False,
        path_effects=[withStroke(linewidth=2.2, foreground="white")],
    )


def _outline_regions(picture: Axes, heat: Axes, localization: Localization, size: tuple[int, int]) -> int:
    """Draw a line around each region, a little outside it, and its number beside the line.

    Returns:
        How many regions have a number: where they crowd, the more unusual ones.
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
    heat.contour(xs, ys, outside, levels=[_OUTLINE_DISTANCE], colors=["white"], linewidths=0.7)
    # White under the colour: one of the two is seen on any picture.
    picture.contour(
        xs, ys, outside, levels=[_OUTLINE_DISTANCE], colors=[_OUTLINE], linewidths=1.3
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
            bbox={"boxstyle": "round,pad=0.2", "facecolor": _OUTLINE, "edgecolor": "white", "linewidth": 0.9},
            **_text(7.5, "white"),
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


def _add_scale(result: Figure, layout: _Layout, scale: ScalarMappable, alarms: float) -> None:
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
        **_text(8, _INK),
    )
    axis.set_inverted(True)
    bar.outline.set(edgecolor=_QUIET, linewidth=0.8)
    limit = float(np.clip(np.log10(alarms), MOST_UNUSUAL, LEAST_UNUSUAL))
    line = axes.axvline if layout.stacked else axes.axhline
    for colour, width in (("white", 3.4), (_OUTLINE, 1.8)):
        line(limit, -0.4, 1.4, color=colour, linewidth=width, clip_on=False, zorder=5)
    x, y, _, tall = layout.scale
    meaning, limit_words = (
        "log10 NFA: how often chance alone does this",
        "red line: the limit; what is rarer is reported",
    )
    if layout.stacked:
        words = [(x, y - 14, f"{meaning}; {limit_words}")]
    else:
        words = [
            (x, y - 34, meaning.replace(": ", ":\n")),
            (x, y + tall + 36, limit_words.replace("; ", ";\n")),
        ]
    for left, down, text in words:
        result.text(left / layout.width, 1 - down / layout.height, text, va="center", **_text(8.5, _QUIET))


def _drawable(name: str) -> str:
    """A file name without its folder, and without characters that the font does not have."""
    known = get_font(findfont(_FONT)).get_charmap()
    return "".join(
        character if ord(character) in known and character.isprintable() else "?"
        for character in PurePath(name).name or name
    )


def _shortened(name: str, length: int) -> str:
    """At most `length` characters, without the middle: beginning and end tell files apart."""
    if len(name) <= length:
        return name
    end = (length - 1) // 2
    return f"{name[: length - 1 - end]}\N{HORIZONTAL ELLIPSIS}{name[-end:]}"
