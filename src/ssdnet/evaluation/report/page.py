"""One HTML page of a run, which needs nothing but itself: no script, no font or picture from elsewhere."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.evaluation.data.datasets import read_mask
from ssdnet.evaluation.measure.cache import read_measured
from ssdnet.evaluation.report import pictures
from ssdnet.evaluation.report.figures import COMPARED, FIGURES
from ssdnet.evaluation.report.gallery import choose
from ssdnet.evaluation.report.plots import boxes, time_against_accuracy
from ssdnet.evaluation.report.tables import DISTURBED, count, headline, number, scope, seconds_words
from ssdnet.image import read_image
from ssdnet.picture.display import fitted_size
from ssdnet.picture.overlay import LEAST_UNUSUAL, MOST_UNUSUAL, heat_colours
from ssdnet.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ssdnet.evaluation.measure.intervals import Comparison
    from ssdnet.evaluation.measure.runner import Outcome
    from ssdnet.evaluation.report.summary import Summary

_SET_FIGURES = ("ap", "auroc", "aupro_30", "pooled_ap", "f1", "image_auroc", "false_alarms")

# Even if a name slipped through unescaped, the browser would fetch and run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(summary: Summary, outcomes: Sequence[Outcome], made: Mapping[str, Any]) -> bytes:
    """The whole page, in UTF-8.

    Args:
        summary: of the outcomes.
        outcomes: whose images and maps are shown; the images are read again.
        made: how the run was made, see `ssdnet.evaluation.measure.provenance`.
    """
    title = f"ssdnet bench: {count(len(summary.detectors), 'detector')}, {count(len(summary.cases), 'image')}"
    body = [
        f"<h1>{_text(title)}</h1>",
        f"<p>{_text(scope(summary, made))}</p>",
        _failures(outcomes),
        "<h2>Means over sets</h2>",
        _table(*headline(summary)),
        _columns(summary),
        "<h2>Time against accuracy</h2>",
        time_against_accuracy(summary),
        _comparisons(summary),
        "<h2>Each set</h2>",
        "<p>Each box holds the middle half of the images with a defect, its line the median; the whiskers "
        "reach to the last image within 1.5 times the box, and dots are single images beyond.</p>",
        *(_set(summary, name) for name in summary.sets),
        _gallery(summary, outcomes),
        _made(summary, made),
    ]
    style = files("ssdnet.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
        *body,
        "</body>\n</html>\n",
    ]
    return "\n".join(lines).encode("utf-8", errors="xmlcharrefreplace")


def _text(text: str) -> str:
    """Text for the page: names may hold anything."""
    return escape(printable(text))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names the rows; an interval goes below its figure."""
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in header)
    lines = []
    for name, *cells in rows:
        columns = "".join(f"<td>{_two_lines(cell)}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{_text(name)}</th>{columns}</tr>')
    return _wide(head, lines)


def _wide(head: str, lines: Iterable[str]) -> str:
    """A table that scrolls by itself where the page is narrower."""
    body = "".join(lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _two_lines(cell: str) -> str:
    figure, space, interval = _text(cell).partition(" (")
    return f"{figure}<small>({interval}</small>" if space else figure


def _failures(outcomes: Sequence[Outcome]) -> str:
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if not failed:
        return ""
    items = "".join(
        f"<li>{_text(f'{each.detector}, seed {each.seed}, {each.case.label}: {each.error}')}</li>"
        for each in failed
    )
    return (
        f'<h2 class="alert">{len(failed)} of {len(outcomes)} failed</h2><p>The means of a detector leave out '
        "the images on which it failed, so compare them with care; one against another takes only images "
        f"that both have done.</p><ul>{items}</ul>"
    )


def _columns(summary: Summary) -> str:
    """What each column means."""
    words = {figure.title: figure.words for figure in FIGURES.values()}
    words["s an image"] = "Median time of the detector alone for one image, without reading and writing."
    words["MiB"] = (
        "Largest memory that one image, or those looked at together, took on top of what was held before."
    )
    entries = "".join(f"<dt>{_text(title)}</dt><dd>{_text(text)}</dd>" for title, text in words.items())
    seeds = [mean.spread for standing in summary.detectors.values() for mean in standing.means.values()]
    spread = "" if np.isnan(seeds).all() else " How far seeds differ is in results.json."
    return (
        "<p>In brackets: where the mean would lie in 95 % of the cases if other images of the same sets had "
        f"been taken.{spread}</p>"
        f"<details><summary>What the columns here and in the files mean</summary><dl>{entries}</dl></details>"
    )


def _comparisons(summary: Summary) -> str:
    """Each detector against each other on the same images."""
    if len(summary.detectors) < 2:
        return ""
    parts = [
        "<h2>One against another</h2><p>Mean difference on the same images, row minus column, its 95 % "
        "interval, and the share of images on which the row is better. On grey: the interval leaves out "
        "zero. Of many comparisons a few do so by chance.</p>"
    ]
    for figure in COMPARED:
        head = "".join(f'<th scope="col">{_text(label)}</th>' for label in summary.detectors)
        lines = []
        for first in summary.detectors:
            cells = "".join(
                _compared(summary.comparisons.get((first, second, figure))) for second in summary.detectors
            )
            lines.append(f'<tr><th scope="row">{_text(first)}</th>{cells}</tr>')
        parts.append(f"<h4>{_text(FIGURES[figure].title)}</h4>" + _wide(f"<td></td>{head}", lines))
    return "".join(parts)


def _compared(comparison: Comparison | None) -> str:
    if comparison is None or not comparison.images:
        return "<td></td>"
    mark = ' class="clear"' if comparison.clear else ""
    return (
        f"<td{mark}>{comparison.difference:+.3f}"
        f"<small>({comparison.low:+.3f} \N{HORIZONTAL ELLIPSIS} {comparison.high:+.3f})</small>"
        f"<small>better on {comparison.win_rate:.0%}</small></td>"
    )


def _set(summary: Summary, name: str) -> str:
    members = [case for case in summary.cases if case.set == name]
    clean = sum(case.clean for case in members)
    titles = ("detector", *(FIGURES[figure].title for figure in _SET_FIGURES), "s an image")
    rows = [
        (
            label,
            *(number(standing.sets[name][figure]) for figure in _SET_FIGURES),
            seconds_words(standing.sets[name]["seconds"]),
        )
        for label, standing in summary.detectors.items()
    ]
    return (
        f"<h3>{_text(name)}</h3><p class='quiet'>{len(members) - clean} images with a defect, {clean} without"
        f"</p>{boxes(summary, name)}{_table(titles, rows)}"
    )


def _gallery(summary: Summary, outcomes: Sequence[Outcome]) -> str:
    """Image, mask and map of some images of each detector."""
    places = {(each.detector, each.case): each for each in reversed(outcomes) if each.path is not None}
    colours = heat_colours(np.linspace(LEAST_UNUSUAL, MOST_UNUSUAL, 10)[np.newaxis])[0]
    gradient = ", ".join(f"rgb({red},{green},{blue})" for red, green, blue in colours)
    parts = [
        "<h2>Where each is best, and where it fails</h2><p>Chosen by "
        f"{_text(FIGURES[COMPARED[0]].title)}. Four pictures of each image: itself; its mask; how unusual "
        "the detector finds each place, in colours that mean the same everywhere, from what chance alone "
        "does ten times in every clean image (left) to once in 100 million (right); and the order in which "
        "the detector puts the pixels, which is all that AP and AUROC look at: the brightest are the highest "
        "thousandth.</p>"
        f'<div class="scale" style="background: linear-gradient(to right, {gradient})"></div>'
    ]
    for label in summary.detectors:
        parts.append(f"<h3>{_text(label)}</h3>")
        for title, cases in choose(summary, label):
            shown = "".join(_shown(summary, places[label, case]) for case in cases)
            parts.append(f'<h4>{_text(title)}</h4><div class="gallery">{shown}</div>')
    return "".join(parts)


def _shown(summary: Summary, outcome: Outcome) -> str:
    case, standing = outcome.case, summary.detectors[outcome.detector]
    if outcome.path is None or outcome.record is None or case.mask is None:
        return ""
    index = summary.cases.index(case)
    figures = ", ".join(f"{FIGURES[name].title} {number(standing.images[name][index])}" for name in COMPARED)
    regions = outcome.record["regions"]
    measured = read_measured(outcome.path)
    image = read_image(case.image, max_pixels=None)
    _, width = fitted_size(image.height, image.width, pictures.LONGEST)
    sources = {
        "image": pictures.image_uri(image),
        "mask": pictures.mask_uri(read_mask(case.mask)),
        "map": pictures.heat_uri(measured.heat),
        "order": pictures.order_uri(measured.score),
    }
    images = "".join(
        f'<img src="{uri}" width="{width}" alt="{kind} of {_text(case.label)}">'
        for kind, uri in sources.items()
    )
    return (
        f'<figure><div class="pictures">{images}</div><figcaption>{_text(case.label)}: {figures}; '
        f"{regions} region{'' if regions == 1 else 's'} reported</figcaption></figure>"
    )


def _made(summary: Summary, made: Mapping[str, Any]) -> str:
    """How it was measured."""
    lines = [
        f"Maps and masks are judged at {made['judged_side']} pixels on the shorter side: masks by area "
        "average, more than 0.3; maps bilinearly. Missing pixels are left out.",
        "Every detector saw each image alone, with one configuration for all images, and no mask.",
        f"Intervals: {made['bootstrap']['draws']} bootstrap draws of the images within each set.",
        f"Memory: {made['memory']}.",
        *made["notes"],
    ]
    if summary.disturbed:
        lines.append(f"{DISTURBED}: {', '.join(summary.disturbed)}.")
    if summary.not_scored:
        names = ", ".join(case.label for case in summary.not_scored)
        lines.append(
            f"{len(summary.not_scored)} images have no figures of pixels, because at that size their defect "
            f"vanishes or is all there is: {names}."
        )
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    settings = escape(json.dumps(made, indent=2, ensure_ascii=False))
    return (
        f"<h2>How it was measured</h2><ul>{items}</ul>"
        f"<details><summary>Versions, machine and settings</summary><pre>{settings}</pre></details>"
    )
