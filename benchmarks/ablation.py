"""What each part of `ssdnet` is worth: one configuration changed at a time, on real data, over several seeds.

    python benchmarks/ablation.py DATA [--size 256] [--most 4] [--seeds 3] [--out benchmark-results]
                                       [--plot ablation.png]

Prints one table (mean over sets of per-image pixel AUROC and average precision, the spread over seeds, and
the paired difference to the first row of its block with a 95 % bootstrap interval over images, where some set
has at least two) and draws it. What was measured is kept in `--out`; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import torch

from core import core_cases, measure
from ssdnet.detectors.protocol import Detector
from ssdnet.detectors.rx import RX
from ssdnet.detectors.settings import configured
from ssdnet.detectors.ssdnet import SSDnet
from ssdnet.detectors.ssdnet.evidence import ResidualPatches
from ssdnet.detectors.texture import Texture
from ssdnet.evaluation.measure.runner import Settings
from ssdnet.evaluation.report.summary import summarize
from ssdnet.maths.fusion import Fusion
from ssdnet.maths.smoothing import smooth
from ssdnet.progress import silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssdnet.evaluation.measure.intervals import Comparison
    from ssdnet.evaluation.report.summary import Mean, Summary
    from ssdnet.progress import Progress

BEST, PAPER, FIGURE = SSDnet(), SSDnet.residual_only(), SSDnet.paper()


@dataclass(frozen=True)
class LocalMean(Detector):
    """`ssdnet` without a network: `texture`, and in place of the residual that of a local mean."""

    name: ClassVar[str] = "local-mean"
    summary: ClassVar[str] = "texture with the residual of a local mean"
    assumes: ClassVar[str] = "as texture"
    source: ClassVar[str] = "this benchmark"

    sigma: float = 6.0
    """Standard deviation of the Gaussian, pixels."""

    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """See `ssdnet.detectors.protocol.Detector`."""
        score = Texture().score(pixels, valid, generator=generator, progress=progress)
        normal = torch.stack([smooth(plane, valid.float(), self.sigma) for plane in pixels])
        rest = torch.where(valid, pixels - normal, 0)
        _, (doubt,) = ResidualPatches.fit([rest], [valid], Texture().patch_components)
        maps = [score.clamp_min(1e-12).log(), doubt]
        return Fusion.fit([maps], [valid], [1.0, BEST.residual], doubts=1).of(maps)


HORIZON = 50.0
"""Of the average of the weights that is kept beside the last ones, steps."""
BLOCKS: Mapping[str, Mapping[str, Detector]] = {
    "our best": {
        "our best": BEST,
        "texture, no network": Texture(),
        "texture, with the residual of a local mean": LocalMean(),
        "rx, no network": RX(),
        "untrained network (one step)": configured(BEST, {"training.steps": 1}),
        "draft quality": configured(BEST, SSDnet.qualities["draft"]),
        "no block masks": configured(BEST, {"training.mask_ratio": 0.0}),
        "no patch shuffling": configured(BEST, {"training.shuffle_ratio": 0.0}),
        "no noise": configured(BEST, {"training.noise": 0.0}),
        "pixel loss only": configured(BEST, {"training.structure_weight": 0.0}),
        "direct, not blind": replace(BEST, blind=False),
        "guard of 8 pixels, trained with it": replace(BEST, guard=8),
        "down-weighting": configured(BEST, {"training.downweight": True}),
        "stop at a plateau of 1 %": configured(BEST, {"training.plateau": 0.01}),
        "average of the weights over 50 steps": configured(BEST, {"training.average": HORIZON}),
        "without texture statistics": replace(BEST, texture=0.0),
        "without learned features": replace(BEST, learned=0.0),
        "without the residual": replace(BEST, residual=0.0),
        "float32": configured(BEST, {"training.precision": "float32"}),
    },
    "paper recipe": {
        "paper recipe": PAPER,
        "paper: no block masks": configured(PAPER, {"training.mask_ratio": 0.0}),
        "paper: no patch shuffling": configured(PAPER, {"training.shuffle_ratio": 0.0}),
        "paper: no noise": configured(PAPER, {"training.noise": 0.0}),
        "paper: pixel loss only": configured(PAPER, {"training.structure_weight": 0.0}),
        "paper: direct, not blind": replace(PAPER, blind=False),
        "paper: with a guard of 8 pixels, trained with it": replace(PAPER, guard=8),
        "paper: with down-weighting": configured(PAPER, {"training.downweight": True}),
        "paper: with an average of the weights": configured(PAPER, {"training.average": HORIZON}),
        "Deep Image Prior": SSDnet.deep_image_prior(),
    },
    "figure's recipe": {
        "figure's recipe": FIGURE,
        "figure: one scale": configured(FIGURE, {"training.grids": ()}),
        "figure: sum of losses": configured(FIGURE, {"training.combination": "sum"}),
        "figure: absolute differences of pixels": configured(FIGURE, {"training.pixel_loss": "absolute"}),
        "figure: windows in place of convolutions": configured(FIGURE, {"training.perceptual": "windows"}),
        "figure: inner product of features": configured(FIGURE, {"training.perceptual_loss": "inner"}),
        "figure: L2 map only": replace(FIGURE, perceptual=0.0),
        "figure: perceptual map only": replace(FIGURE, raw=0.0),
    },
}


class Row(NamedTuple):
    """One variant; AUROC and average precision of each."""

    name: str
    means: tuple[Mean, Mean]
    changes: tuple[Comparison, ...]
    """To the first of its block; empty for the first itself."""


def quick(detector: Detector) -> Detector:
    """The same score without the normal layer, which nobody sees here."""
    return replace(detector, hide_anomalies=False) if isinstance(detector, SSDnet) else detector


def table(summary: Summary) -> list[Row]:
    """The rows, block by block."""
    return [
        Row(
            name,
            (summary.detectors[name].means["auroc"], summary.detectors[name].means["ap"]),
            tuple(summary.comparisons[name, first, key] for key in ("auroc", "ap") if name != first),
        )
        for first, block in BLOCKS.items()
        for name in block
    ]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Dots with the interval of the difference to the first row of the block."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.34 * len(rows) + 1.6), dpi=110, layout="constrained")
    places = np.arange(len(rows))[::-1]
    for column, label in enumerate(("AUROC", "average precision")):
        axes = figure.add_subplot(1, 2, column + 1)
        base = 0.0
        for place, row in zip(places, rows, strict=True):
            value, spread = row.means[column].mean, np.nan_to_num(row.means[column].spread)
            colour = "#e4003a" if row.changes else "#1a1a1a"
            if row.changes:
                change = row.changes[column]
                value, ends = base + change.difference, (base + change.low, base + change.high)
                axes.plot(ends, (place, place), color=colour, linewidth=1.2, alpha=0.6)
            else:
                base = value
            axes.errorbar(value, place, xerr=spread, fmt="o", color=colour, markersize=4)
        starts = [i for i, row in enumerate(rows) if not row.changes]
        for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
            axes.plot(
                [rows[start].means[column].mean] * 2,
                (places[start] + 0.4, places[stop - 1] - 0.4),
                color="#6b6b6b",
                linewidth=0.7,
                linestyle=":",
            )
        axes.set_yticks(places, [row.name for row in rows] if column == 0 else [""] * len(rows))
        axes.set_xlabel(label)
        axes.grid(axis="x", linewidth=0.4)
        title = ("line: 95 % interval of the difference over images", "bar: spread over seeds")[column]
        axes.set_title(title, fontsize=9, color="#6b6b6b")
    figure.savefig(path)


def main() -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--most", type=int, default=4, help="at most so many images of a set")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4, help="images that train together")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--plot", type=Path, default=Path("ablation.png"))
    arguments = parser.parse_args()
    cases = core_cases(arguments.data, arguments.most)
    variants = {name: quick(variant) for block in BLOCKS.values() for name, variant in block.items()}
    settings = Settings(seeds=tuple(range(arguments.seeds)), size=arguments.size, batch=arguments.batch)
    rows = table(summarize(measure(cases, variants, arguments.out, settings)))
    print(f"{len(cases)} images, {arguments.seeds} seeds\n")
    print("| variant | AUROC | AP | AUROC, difference | AP, difference |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        spreads = [f" ± {mean.spread:.3f}" if arguments.seeds > 1 else "" for mean in row.means]
        cells = [f"{mean.mean:.3f}{spread}" for mean, spread in zip(row.means, spreads, strict=True)]
        for change in row.changes:
            known = f" ({change.low:+.3f} … {change.high:+.3f})" if change.low < change.high else ""
            cells.append(f"{change.difference:+.3f}{known}")
        name, more = (row.name, "") if row.changes else (f"**{row.name}**", " |  | ")
        print(f"| {name} | {' | '.join(cells)}{more} |")
    draw(rows, arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
