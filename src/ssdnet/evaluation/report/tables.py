"""What a run found as tables: rows for people, CSV, JSON and Markdown."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from typing import TYPE_CHECKING, Any

from ssdnet.evaluation.report.figures import COMPARED, FIGURES
from ssdnet.export.record import plain, to_json
from ssdnet.export.table import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ssdnet.evaluation.measure.runner import Outcome
    from ssdnet.evaluation.report.summary import Mean, Standing, Summary

SCHEMA_VERSION = "1"
"""Of `results.json`; changes when a reader of the old files would misread a new one."""

HEADLINE = ("ap", "auroc", "aupro_30", "best_f1", "f1", "image_auroc", "false_alarms")
"""Figures of the main table."""

NOTHING = "\N{EN DASH}"
"""What a table has where there is no figure."""

DISTURBED = "other programs were using the CPU, so the times of these are too long"

_COLUMNS = ("auroc", "ap", "best_f1", "best_iou", "f1", "iou", "hit", "pred_score", "regions", "seconds")


def headline(summary: Summary, *, intervals: bool = True) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The main table: a header, and a row for each detector, best first."""
    header = ["detector", *(FIGURES[name].title for name in HEADLINE), "s an image", "MiB"]
    failures = any(standing.failed for standing in summary.detectors.values())
    rows = []
    for label, standing in summary.detectors.items():
        cells = [label, *(mean_words(standing.means[name], intervals=intervals) for name in HEADLINE)]
        cells += [seconds_words(standing.seconds), number(standing.memory_mib, 0)]
        rows.append((*cells, str(standing.failed)) if failures else tuple(cells))
    return (*header, *(["failed"] if failures else [])), rows


def set_rows(summary: Summary, figures: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A row for each set, a column for each detector; in a cell the figures, with slashes between."""
    rows = [
        (
            name,
            *(
                " / ".join(number(standing.sets[name][figure]) for figure in figures)
                for standing in summary.detectors.values()
            ),
        )
        for name in summary.sets
    ]
    return ("set", *summary.detectors), rows


def markdown(summary: Summary, made: Mapping[str, Any]) -> bytes:
    """The main table and that of the sets, as GitHub draws them."""
    parts = [_markdown_table(*headline(summary))]
    parts.append(f"{scope(summary, made)} Per set, AP / AUROC:\n")
    parts.append(_markdown_table(*set_rows(summary, COMPARED)))
    return "\n".join(parts).encode("utf-8", errors="backslashreplace")


def to_csv(outcomes: Iterable[Outcome], out: Path) -> bytes:
    """A row for each image, detector and seed; RFC 4180 in UTF-8. What is not defined is empty."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(
        ("set", "image", "defect", "detector", "seed", "scored", *_COLUMNS, "memory_mib", "map", "error")
    )
    for outcome in sorted(outcomes, key=lambda each: (each.case.set, each.case.clean, each.case.name)):
        record = outcome.record or {}
        rows.writerow(
            [
                safe_text(outcome.case.set),
                safe_text(outcome.case.name),
                str(not outcome.case.clean).lower(),
                safe_text(outcome.detector),
                outcome.seed,
                str(record.get("scored", False)).lower(),
                *(record.get(name) for name in (*_COLUMNS, "memory_mib")),
                "" if outcome.path is None else outcome.path.relative_to(out).as_posix(),
                "" if outcome.error is None else safe_text(_described(outcome.error)),
            ]
        )
    return text.getvalue().encode("utf-8", errors="backslashreplace")


def results(summary: Summary, outcomes: Iterable[Outcome], made: Mapping[str, Any]) -> bytes:
    """All of a run but the images' own rows, as JSON."""
    data = {
        "schema_version": SCHEMA_VERSION,
        **made,
        "sets": {
            name: {
                "defective": sum(case.set == name and not case.clean for case in summary.cases),
                "clean": sum(case.set == name and case.clean for case in summary.cases),
            }
            for name in summary.sets
        },
        "not_scored": [case.label for case in summary.not_scored],
        "results": {label: _standing(standing) for label, standing in summary.detectors.items()},
        "comparisons": [
            {"first": first, "second": second, "figure": figure, **dataclasses.asdict(comparison)}
            for (first, second, figure), comparison in summary.comparisons.items()
        ],
        "failures": [
            {
                "image": outcome.case.label,
                "detector": outcome.detector,
                "seed": outcome.seed,
                "type": type(outcome.error).__name__,
                "message": str(outcome.error),
            }
            for outcome in outcomes
            if outcome.error is not None
        ],
    }
    return to_json(plain(data), indent=2) + b"\n"


def number(value: float, digits: int = 3) -> str:
    """A figure in a table."""
    return NOTHING if math.isnan(value) else f"{value:.{digits}f}"


def mean_words(mean: Mean, *, intervals: bool = True) -> str:
    """A mean with its interval, if it has one."""
    if not intervals or math.isnan(mean.low):
        return number(mean.mean)
    return f"{number(mean.mean)} ({number(mean.low)} \N{HORIZONTAL ELLIPSIS} {number(mean.high)})"


def seconds_words(seconds: float) -> str:
    """A time with three digits that matter."""
    return NOTHING if math.isnan(seconds) else f"{seconds:.3g}"


def count(number: int, word: str) -> str:
    """`1 image`, `2 images`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def scope(summary: Summary, made: Mapping[str, Any]) -> str:
    """What the main table is a mean of."""
    defective = sum(not case.clean for case in summary.cases)
    seeds = made["settings"]["seeds"]
    size = made["settings"]["size"]
    return (
        f"Means over {count(len(summary.sets), 'set')} ({count(defective, 'image')} with a defect, "
        f"{len(summary.cases) - defective} without), with 95 % intervals over images; "
        f"{count(len(seeds), 'seed')} ({', '.join(map(str, seeds))}); images "
        + ("at their full size" if size is None else f"reduced to {size} pixels on the shorter side")
        + f", maps judged at {made['judged_side']}; ssdnet {made['versions']['ssdnet']}."
    )


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "means": {name: dataclasses.asdict(mean) for name, mean in standing.means.items()},
        "sets": standing.sets,
        "seconds_median": standing.seconds,
        "memory_mib_largest": standing.memory_mib,
        "cpu_share_median": standing.cpu_share,
        "failed": standing.failed,
    }


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(_markdown_text, line))} |\n" for line in lines)


def _markdown_text(text: str) -> str:
    """A name may hold anything, also what Markdown would take for its own."""
    one_line = "".join(character if character.isprintable() else " " for character in text)
    return "".join(f"\\{c}" if c in "\\|`*<>[]" else c for c in one_line)


def _described(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
