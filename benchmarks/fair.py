"""The fair table: every detector on the core sets and on synthetic images, by the same rules.

    python benchmarks/fair.py DATA OUT [--detectors rx,ssdnet] [--synthetic 15] [--plot FILE.svg]

The same as `ssdnet bench DATA --sets <core sets> --batch 4 -o OUT/real` and
`ssdnet bench --synthetic 15 --batch 4 -o OUT/synthetic` (7 textures, as many clean images as defective ones),
whose pages stay in OUT; what is printed are Markdown tables made of both. What was measured before is not
measured again. Times are those of one thread (`--threads`), which is what a detector costs: two images at a
time take as long on two cores.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from core import CORE, measure
from ssdnet.evaluation.data.datasets import check, find
from ssdnet.evaluation.data.synthetic import synthesize
from ssdnet.evaluation.measure.provenance import provenance
from ssdnet.evaluation.measure.runner import Settings, contenders
from ssdnet.evaluation.report.figures import FIGURES
from ssdnet.evaluation.report.files import write_report
from ssdnet.evaluation.report.plots import time_against_accuracy
from ssdnet.evaluation.report.summary import summarize
from ssdnet.evaluation.report.tables import DISTURBED, headline, number, scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ssdnet.detectors.protocol import Detector
    from ssdnet.evaluation.data.datasets import Case
    from ssdnet.evaluation.report.summary import Summary

OURS = ("ssdnet", "texture", "rx")
"""Detectors of this project; the others are rebuilt from their papers."""

MORE = ("pooled_auroc", "pooled_ap", "aupro_05", "best_iou", "iou", "hit")
"""Figures of the second table."""

FABRICS = ("fabric_minhas", "aitex", "fabric_stain_hsst")


def main() -> int:
    """Measure what is not measured yet, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--detectors", help="names with commas between; all when left out")
    parser.add_argument("--sets", default=",".join(CORE), help="of DATA, with commas between")
    parser.add_argument("--synthetic", type=int, default=15, help="images of each texture and kind")
    parser.add_argument("--limit", type=int, help="of each real set")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="time against accuracy on the real sets, an SVG file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    chosen = contenders(None if arguments.detectors is None else arguments.detectors.split(","))
    settings = Settings(batch=arguments.batch)
    sets = arguments.sets.split(",")
    found = find(arguments.data, sets=sets, limit=arguments.limit)
    real = compare(check(found), chosen, settings, arguments.out / "real")
    made = synthesize(arguments.out / "synthetic" / "images", arguments.synthetic)
    synthetic = compare(check(made), chosen, settings, arguments.out / "synthetic")
    if arguments.plot is not None:
        arguments.plot.write_text(picture(real), encoding="utf-8")
    show("Real images", real, settings)
    for figure in ("ap", "auroc"):
        show_sets(real, figure)
    show_lead(real)
    show("Synthetic images", synthetic, settings)
    for figure in ("ap", "auroc"):
        show_sets(synthetic, figure)
    show_lead(synthetic)
    return 0


def compare(cases: Sequence[Case], chosen: dict[str, Detector], settings: Settings, out: Path) -> Summary:
    """Run them, and write the page, the tables and the data."""
    outcomes = measure(cases, chosen, out, settings)
    summary = summarize(outcomes)
    write_report(out, summary, outcomes, provenance(settings, chosen, ()))
    return summary


def show(title: str, summary: Summary, settings: Settings) -> None:
    """The two tables of means."""
    print(f"### {title}\n")
    print(scope(summary, provenance(settings, {}, ())).replace("; ssdnet ", f"; {threads()}; ssdnet ") + "\n")
    show_table(*headline(summary))
    if summary.disturbed:
        print(f"{DISTURBED}: {', '.join(summary.disturbed)}.\n")
    show_table(
        ("detector", *(FIGURES[name].title for name in MORE)),
        [
            (label, *(number(standing.means[name].mean) for name in MORE))
            for label, standing in summary.detectors.items()
        ],
    )


def threads() -> str:
    """How many threads torch may use, in words."""
    count = torch.get_num_threads()
    return f"{count} thread{'' if count == 1 else 's'}"


def show_sets(summary: Summary, figure: str) -> None:
    """A row for each set, the best figure in bold; and the mean of the fabrics, where there are any."""
    rows = []
    groups: list[tuple[str, Sequence[str]]] = [(name, (name,)) for name in summary.sets]
    if set(FABRICS) <= set(summary.sets):
        groups.append(("mean of the three fabrics", FABRICS))
    for title, members in groups:
        values = [
            sum(standing.sets[member][figure] for member in members) / len(members)
            for standing in summary.detectors.values()
        ]
        best = max(value for value in values if not math.isnan(value))
        rows.append((title, *(f"**{number(v)}**" if v == best else number(v) for v in values)))
    print(f"{FIGURES[figure].title}:\n")
    show_table(("set", *summary.detectors), rows)


def show_lead(summary: Summary) -> None:
    """Our detectors against the others and each other, and the sets on which another is ahead."""
    ours = [name for name in OURS if name in summary.detectors]
    others = [*ours[1:], *(name for name in summary.detectors if name not in OURS)]
    if not ours or not others:
        return
    rows = []
    for other in others:
        cells = []
        better = ours[: ours.index(other)] if other in ours else ours
        for own in ours:
            for figure in ("ap", "auroc"):
                if own not in better:
                    cells.append("")
                    continue
                each = summary.comparisons[own, other, figure]
                cells.append(
                    f"{each.difference:+.3f} ({each.low:+.3f} \N{HORIZONTAL ELLIPSIS} {each.high:+.3f}), "
                    f"{each.win_rate:.0%}"
                )
        behind = [
            f"{name} ({gap:+.3f})"
            for name in summary.sets
            if (gap := best_gap(summary, better, other, name)) > 0
        ]
        rows.append((other, *cells, ", ".join(behind) or "none"))
    titles = [f"{own}, {FIGURES[figure].title}" for own in ours for figure in ("ap", "auroc")]
    print(
        "Ours minus theirs on the same images: mean difference, its 95 % interval, share of the images on "
        "which ours is better. Last: the sets on which theirs is ahead of all of ours (of ours, those in the "
        "columns to the left) in AP, and by how much.\n"
    )
    show_table(("minus", *titles, "theirs ahead on"), rows)


def best_gap(summary: Summary, ours: Sequence[str], other: str, name: str) -> float:
    """By how much another's AP on a set is above the best of ours."""
    best = max(summary.detectors[own].sets[name]["ap"] for own in ours)
    return summary.detectors[other].sets[name]["ap"] - best


def show_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """In Markdown."""
    for line in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(line)} |")
    print()


def picture(summary: Summary) -> str:
    """The plot as a file of its own, on white."""
    return time_against_accuracy(summary).replace(
        "<svg ",
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'style="color: #1a1a1a; background: #ffffff" ',
        1,
    )


if __name__ == "__main__":
    sys.exit(main())
