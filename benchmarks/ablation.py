"""What each part of `ssdnet` is worth: one configuration changed at a time, on real data, over several seeds.

    python benchmarks/ablation.py DATA [--size 256] [--most 4] [--seeds 3] [--results ablation.csv]
                                       [--plot ablation.png]

Prints one table (mean over sets of per-image pixel AUROC and average precision, the spread over seeds, and
the paired difference to the first row of its block with a 95 % bootstrap interval over images, where each set
has at least two) and draws it.
Every figure of one image goes to the CSV file at once, and what is there is not computed again: an
interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from pairs import Pair, interval, load, mean_of_sets
from results import Key, Results, digest, figures
from ssdnet.detectors.rx import RX
from ssdnet.detectors.ssdnet import SSDnet
from ssdnet.detectors.ssdnet.evidence import residual_distance
from ssdnet.detectors.texture import Texture
from ssdnet.maths.fusion import fuse
from ssdnet.maths.smoothing import smooth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssdnet.detectors.ssdnet.training import Recipe, Subject, Trained

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """The texture statistics without a network, or with the residual of a local mean in place of its own."""

    detector: Texture | RX
    local_mean: float | None = None
    """Standard deviation of the Gaussian, pixels."""

    def score(self, pixels: torch.Tensor, seed: int) -> torch.Tensor:
        """`(H, W)`."""
        valid = torch.ones(pixels.shape[1:], dtype=torch.bool)
        generator = torch.Generator().manual_seed(seed)
        score = self.detector.score(pixels, valid, generator=generator, progress=silent)
        if self.local_mean is None:
            return score
        normal = torch.stack([smooth(plane, valid.float(), self.local_mean) for plane in pixels])
        doubt = (BEST.residual, residual_distance(pixels - normal, valid))
        return fuse([(1.0, score.clamp_min(1e-12).log())], valid, doubts=[doubt])


def silent(fraction: float, message: str) -> None:
    """No progress to report."""


BEST, PAPER = SSDnet(), SSDnet.paper()
HORIZON = 50.0
"""Of the average of the weights that is kept beside the last ones, steps."""
BLOCKS: Mapping[str, Mapping[str, Statistics | SSDnet]] = {
    "our best": {
        "our best": BEST,
        "texture, no network": Statistics(Texture()),
        "texture, with the residual of a local mean": Statistics(Texture(), local_mean=6.0),
        "rx, no network": Statistics(RX()),
        "untrained network (one step)": replace(BEST, steps=1),
        "draft quality": replace(BEST, **SSDnet.qualities["draft"]),
        "no block masks": replace(BEST, mask_ratio=0.0),
        "no patch shuffling": replace(BEST, shuffle_ratio=0.0),
        "no noise": replace(BEST, noise=0.0),
        "pixel loss only": replace(BEST, structure_weight=0.0),
        "direct, not blind": replace(BEST, blind=False),
        "guard of 8 pixels, trained with it": replace(BEST, guard=8),
        "down-weighting": replace(BEST, downweight=True),
        "stop at a plateau of 1 %": replace(BEST, plateau=0.01),
        "average of the weights over 50 steps": replace(BEST, average=HORIZON),
        "without texture statistics": replace(BEST, texture=0.0),
        "without learned features": replace(BEST, learned=0.0),
        "without the residual": replace(BEST, residual=0.0),
        "float32": replace(BEST, precision="float32"),
    },
    "paper recipe": {
        "paper recipe": PAPER,
        "paper: no block masks": replace(PAPER, mask_ratio=0.0),
        "paper: no patch shuffling": replace(PAPER, shuffle_ratio=0.0),
        "paper: no noise": replace(PAPER, noise=0.0),
        "paper: pixel loss only": replace(PAPER, structure_weight=0.0),
        "paper: direct, not blind": replace(PAPER, blind=False),
        "paper: with a guard of 8 pixels, trained with it": replace(PAPER, guard=8),
        "paper: with down-weighting": replace(PAPER, downweight=True),
        "paper: with an average of the weights": replace(PAPER, average=HORIZON),
        "Deep Image Prior": SSDnet.deep_image_prior(),
    },
}


def run(pairs: Sequence[Pair], seeds: Sequence[int], results: Results) -> None:
    """Measure what is missing, image by image; variants that train alike share their networks."""
    variants = {name: variant for block in BLOCKS.values() for name, variant in block.items()}
    for number, pair in enumerate(pairs):
        trained: dict[tuple[Recipe, str], list[tuple[Subject, Trained]]] = {}
        for name, variant in variants.items():
            keys = [key(name, variant, pair, seed) for seed in seeds]
            if all(each in results for each in keys):
                continue
            if isinstance(variant, Statistics):
                scores = [variant.score(pair.pixels, seed) for seed in seeds]
            else:
                # The horizon of the average changes nothing but which weights are taken in the end.
                recipe = (replace(variant.recipe, average=HORIZON), variant.precision)
                if recipe not in trained:
                    trained[recipe] = fit(replace(variant, average=HORIZON), pair.pixels, seeds)
                alone = replace(variant, hide_anomalies=False)  # nobody sees the normal layer
                scores = [
                    alone.judge(subject, network, progress=silent).score
                    for subject, network in trained[recipe]
                ]
            results.add(
                (key, figures(score.numpy(), pair.mask)) for key, score in zip(keys, scores, strict=True)
            )
        print(f"{number + 1} of {len(pairs)} images", file=sys.stderr, flush=True)


def key(name: str, variant: Statistics | SSDnet, pair: Pair, seed: int) -> Key:
    """Under which a figure is kept."""
    return (name, digest(variant, tuple(pair.pixels.shape)), pair.group, pair.name, seed)


def fit(detector: SSDnet, pixels: torch.Tensor, seeds: Sequence[int]) -> list[tuple[Subject, Trained]]:
    """Train on one image with all seeds together."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    valid = torch.ones(pixels.shape[1:], dtype=torch.bool)
    subjects = detector.subjects([pixels] * len(seeds), [valid] * len(seeds), generators)
    networks = detector.train(subjects, generators=generators, progress=silent)
    return list(zip(subjects, networks, strict=True))


def table(
    results: Results, pairs: Sequence[Pair], seeds: Sequence[int]
) -> list[tuple[str, Floats, Floats, Floats, Floats]]:
    """Rows `(variant, mean (2,), spread (2,), difference (2,), interval (2, 2))`."""
    groups = np.array([pair.group for pair in pairs])
    rows = []
    for first, block in BLOCKS.items():
        values = {
            name: np.array([[results[key(name, variant, p, s)] for s in seeds] for p in pairs])
            for name, variant in block.items()
        }
        for name in block:
            each = np.array([mean_of_sets(values[name][:, i], groups) for i in range(len(seeds))])
            difference = (values[name] - values[first]).mean(axis=1)
            spread = each.std(axis=0, ddof=1) if len(seeds) > 1 else np.zeros(2)
            rows.append(
                (
                    name,
                    each.mean(axis=0),
                    spread,
                    mean_of_sets(difference, groups),
                    interval(difference, groups),
                )
            )
    return rows


def draw(rows: Sequence[tuple[str, Floats, Floats, Floats, Floats]], path: Path) -> None:
    """Dots with the interval of the difference to the first row of the block."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.34 * len(rows) + 1.6), dpi=110, layout="constrained")
    places = np.arange(len(rows))[::-1]
    reference = set(BLOCKS)
    for column, label in enumerate(("AUROC", "average precision")):
        axes = figure.add_subplot(1, 2, column + 1)
        base = 0.0
        for place, (name, mean, spread, difference, limits) in zip(places, rows, strict=True):
            base = mean[column] if name in reference else base
            colour = "#1a1a1a" if name in reference else "#e4003a"
            low, high = base + limits[0, column], base + limits[1, column]
            axes.plot((low, high), (place, place), color=colour, linewidth=1.2, alpha=0.6)
            axes.errorbar(
                base + difference[column], place, xerr=spread[column], fmt="o", color=colour, markersize=4
            )
        starts = [i for i, row in enumerate(rows) if row[0] in reference]
        for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
            axes.plot(
                [rows[start][1][column]] * 2,
                (places[start] + 0.4, places[stop - 1] - 0.4),
                color="#6b6b6b",
                linewidth=0.7,
                linestyle=":",
            )
        axes.set_yticks(places, [row[0] for row in rows] if column == 0 else [""] * len(rows))
        axes.set_xlabel(label)
        axes.grid(axis="x", linewidth=0.4)
        known = column == 0 and np.isfinite(np.array([row[4] for row in rows])).all()
        title = "line: 95 % interval of the difference over images" if known else "bar: spread over seeds"
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
    parser.add_argument("--results", type=Path, default=Path("ablation.csv"))
    parser.add_argument("--plot", type=Path, default=Path("ablation.png"))
    arguments = parser.parse_args()
    pairs, seeds = load(arguments.data, arguments.size, most=arguments.most), range(arguments.seeds)
    results = Results(arguments.results)
    run(pairs, seeds, results)
    rows = table(results, pairs, seeds)
    print(f"{len(pairs)} images, {len(seeds)} seeds\n")
    print("| variant | AUROC | AP | AUROC, difference | AP, difference |\n| --- | --- | --- | --- | --- |")
    for name, mean, spread, difference, limits in rows:
        cells = [f"{mean[i]:.3f} ± {spread[i]:.3f}" for i in (0, 1)]
        if name in BLOCKS:
            name, cells = f"**{name}**", [*cells, "", ""]
        else:
            for change, (low, high) in zip(difference, limits.T, strict=True):
                known = f" ({low:+.3f} … {high:+.3f})" if np.isfinite(low) else ""
                cells.append(f"{change:+.3f}{known}")
        print(f"| {name} | " + " | ".join(cells) + " |")
    draw(rows, arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
