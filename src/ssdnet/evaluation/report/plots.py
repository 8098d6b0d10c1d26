"""The plots of the page, as SVG that takes its ink from the page and so can be read on light and dark."""

from __future__ import annotations

import io
import itertools
import math
import re
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from ssdnet.evaluation.report.figures import COMPARED, FIGURES
from ssdnet.picture.overlay import drawable
from ssdnet.picture.panels import FONT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from ssdnet.evaluation.report.summary import Summary

_INK = "#010203"
"""Becomes the colour of the page's text."""

# Okabe & Ito, 'Color Universal Design', 2008, without black and yellow, and four more of middle brightness.
_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
    "#56b4e9", "#8c6d31", "#8a63d2", "#7f7f7f", "#c23b4b",
)  # fmt: skip

_TEXT: dict[str, Any] = {"fontsize": 9, "color": _INK, "parse_math": False}
_LABEL_HEIGHT, _LETTER_WIDTH, _DOT = 11.0, 5.6, 5.0
"""Points."""


def time_against_accuracy(summary: Summary) -> str:
    """A dot for each detector: seconds an image against each of the compared figures, with intervals."""
    canvas = Canvas(figsize=(9.6, 4.2), layout="constrained")
    colours = _colours(summary)
    for column, name in enumerate(COMPARED):
        axes = _axes(canvas, 1, len(COMPARED), column + 1)
        places = []
        for label, standing in summary.detectors.items():
            mean = standing.means[name]
            if math.isnan(mean.mean) or math.isnan(standing.seconds):
                continue
            place = (max(standing.seconds, 1e-4), mean.mean)
            error = [[max(0.0, mean.mean - mean.low)], [max(0.0, mean.high - mean.mean)]]
            axes.errorbar(
                *place, yerr=error, fmt="o", color=colours[label], markersize=6, linewidth=1.2, capsize=2
            )
            places.append((place, label))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.25)
        axes.set_xlabel("seconds an image (median, log scale)", **_TEXT)
        axes.set_ylabel(f"{FIGURES[name].title}, mean over sets", **_TEXT)
        axes.grid(visible=True, color=_INK, alpha=0.15, linewidth=0.6)
        canvas.draw_without_rendering()
        _label(axes, places)
    return _svg(canvas, "time")


def boxes(summary: Summary, name: str) -> str:
    """A box for each detector over the images of one set, for each of the compared figures."""
    members = np.array([case.set == name for case in summary.cases])
    labels = list(summary.detectors)
    canvas = Canvas(figsize=(9.6, 0.34 * len(labels) + 0.9), layout="constrained")
    for column, figure in enumerate(COMPARED):
        axes = _axes(canvas, 1, len(COMPARED), column + 1)
        for row, (label, standing) in enumerate(summary.detectors.items()):
            values = standing.images[figure][members]
            values = values[~np.isnan(values)]
            if values.size:
                _box(axes, values, row, _colours(summary)[label])
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_yticks(range(len(labels)))
        words = [drawable(label) for label in labels] if column == 0 else [""] * len(labels)
        axes.set_yticklabels(words, **_TEXT)
        axes.set_xlabel(FIGURES[figure].title, **_TEXT)
        axes.grid(visible=True, axis="x", color=_INK, alpha=0.15, linewidth=0.6)
    return _svg(canvas, f"boxes-{list(summary.sets).index(name)}")


def _box(axes: Axes, values: npt.NDArray[np.float64], row: int, colour: str) -> None:
    """Quartiles and median; whiskers to the last value within 1.5 times the box, and dots beyond (Tukey)."""
    first, median, third = np.quantile(values, [0.25, 0.5, 0.75])
    reach = 1.5 * (third - first)
    inside = values[(values >= first - reach) & (values <= third + reach)]
    outside = values[(values < first - reach) | (values > third + reach)]
    axes.barh(row, third - first, left=first, height=0.6, color=colour, alpha=0.35)
    low, high = min(first, inside.min()), max(third, inside.max())
    axes.hlines([row, row], [low, third], [first, high], color=colour, linewidth=1.2)
    axes.vlines([low, high], row - 0.15, row + 0.15, color=colour, linewidth=1.2)
    axes.vlines(median, row - 0.3, row + 0.3, color=colour, linewidth=2.4)
    axes.plot(outside, np.full(outside.shape, row), "o", color=colour, markersize=2.4)


def _axes(canvas: Canvas, rows: int, columns: int, number: int) -> Axes:
    axes = canvas.add_subplot(rows, columns, number)
    axes.patch.set_visible(False)
    axes.tick_params(which="both", color=_INK, labelcolor=_INK, labelsize=8.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_INK)
    return axes


def _label(axes: Axes, places: list[tuple[tuple[float, float], str]]) -> None:
    """Write each name beside its dot, higher where another name or dot is in the way."""
    points = {label: axes.transData.transform(place) * 72 / axes.figure.dpi for place, label in places}
    taken = [(x - _DOT, x + _DOT, y) for x, y in points.values()]
    for place, label in sorted(places, key=lambda entry: entry[0][1]):
        x, y = points[label]
        words = drawable(label)
        width = _LETTER_WIDTH * len(words)
        up = 3.0
        while any(
            abs(y + up - other) < _LABEL_HEIGHT and x + _DOT < right and left < x + width + 8
            for left, right, other in taken
        ):
            up += 2.0
        taken.append((x, x + width + 8, y + up))
        axes.annotate(words, place, (7, up), textcoords="offset points", **_TEXT)


def _colours(summary: Summary) -> Mapping[str, str]:
    return dict(zip(summary.detectors, itertools.cycle(_COLOURS), strict=False))


def _svg(canvas: Canvas, name: str) -> str:
    """The `svg` element alone; its ids begin with `name`, as several share a page."""
    data = io.StringIO()
    canvas.patch.set_visible(False)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": FONT}):
        canvas.savefig(data, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = data.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', text, count=1)
