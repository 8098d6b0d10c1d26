"""What the calibration finds on images with a defect, beside thresholds chosen with knowledge of the masks.

    python benchmarks/power.py DATA OUT [--detectors texture rx ssdnet] [--alarms 0.01]

Of the core sets, at the size `ssdnet bench` judges, means over the sets of means over their images. A defect
is found when a reported region touches it or a pixel beside it. The thresholds: the one score for all images
that gives the most F1, one for each set, and one for each image, all chosen with the masks. Pooled figures
take all pixels of a set (or of all sets) together, as one threshold for all images would; log10 NFA is what
makes the scores of two images comparable. Score maps are kept in OUT.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from core import CORE, core_cases
from kept_maps import ScoreMaps, read_map, workers
from ssdnet.calibration import assess
from ssdnet.evaluation.data.datasets import read_mask
from ssdnet.evaluation.data.reduction import reduce_map, reduce_mask
from ssdnet.evaluation.measure.judging import truth_of
from ssdnet.evaluation.measure.metrics import pixel_figures
from ssdnet.image import read_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from ssdnet.evaluation.data.datasets import Case

    Map = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

_THRESHOLDS = 400
_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Pair:
    """An image with a defect, as `ScoreMaps` takes it."""

    case: Case
    name: str
    pixels: npt.NDArray[np.generic] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Judged:
    """One image at the size that is judged."""

    group: str
    truth: Mask
    score: Map
    surprise: Map
    """-log10 NFA."""
    found: Mask
    false_regions: int
    """Reported regions that do not touch the mask, nor a pixel beside it, at the image's full size."""


def main() -> int:
    """Make the maps that are not there, judge, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--detectors", nargs="+", default=["texture", "rx", "ssdnet"])
    parser.add_argument("--alarms", type=float, default=0.01)
    arguments = parser.parse_args()
    pairs = [
        Pair(case, f"{case.set}-{case.name.replace('/', '_')}", read_image(case.image).pixels)
        for case in core_cases(arguments.data)
    ]
    results = {}
    for name in arguments.detectors:
        maps = ScoreMaps(arguments.out, name)
        maps.make(pairs, together=4)
        with workers() as pool:
            jobs = [pool.submit(_judge, maps.path(pair), pair.case, arguments.alarms) for pair in pairs]
            judged = [job.result() for job in jobs]
        results[name] = [one for one in judged if one.truth.any() and not one.truth.all()]
    show(results, arguments.alarms)
    return 0


def _judge(path: Path, case: Case, alarms: float) -> Judged:
    """Of an image with a mask."""
    truth = truth_of(case)
    assert truth is not None  # noqa: S101
    shape = truth.shape[0], truth.shape[1]
    assessment = assess(read_map(path))
    labels, _ = assessment.regions(alarms)
    assert case.mask is not None  # noqa: S101
    near = ndimage.binary_dilation(read_mask(case.mask), _NEIGHBOURS)
    return Judged(
        case.set,
        truth,
        reduce_map(assessment.score, shape),
        reduce_map(-assessment.log10_nfa, shape),
        reduce_mask(labels > 0, shape),
        len(set(np.unique(labels)) - set(np.unique(labels[near])) - {0}),
    )


def show(results: dict[str, list[Judged]], alarms: float) -> None:
    """Print the tables."""
    print(f"At `alarms={alarms:g}`, and at thresholds chosen with the masks:\n")
    print(
        "| detector | defects found | false regions an image | IoU | F1 "
        "| one threshold | one a set | one an image |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, judged in results.items():
        found = _mean(judged, _recall)
        false = _mean(judged, lambda one: one.false_regions)
        iou = _mean(judged, lambda one: _f1(one.found, one.truth) / (2 - _f1(one.found, one.truth)))
        f1 = _mean(judged, lambda one: _f1(one.found, one.truth))
        curves = _curves(judged)
        groups = np.array([one.group for one in judged])
        by_set = np.array([curves[groups == group].mean(axis=0) for group in CORE])
        cells = [found, false, iou, f1, by_set.mean(axis=0).max(), by_set.max(axis=1).mean()]
        each = np.mean([curves[groups == group].max(axis=1).mean() for group in CORE])
        print(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in [*cells, each]) + " |")
    print(
        f"\nF1 by set:\n\n| set | {' | '.join(results)} |\n| --- | "
        + " | ".join(["---"] * len(results))
        + " |"
    )
    for group in CORE:
        means = [
            np.mean([_f1(one.found, one.truth) for one in judged if one.group == group])
            for judged in results.values()
        ]
        print(f"| {group} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    print("\nAUROC / AP by image, and with the pixels of many images in one pool:\n")
    print(
        "| detector | by image | pooled by set: score | log10 NFA | all sets in one pool: score | log10 NFA |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name, judged in results.items():
        alone = np.mean(
            [
                np.mean([_area([one], "score") for one in judged if one.group == group], axis=0)
                for group in CORE
            ],
            axis=0,
        )
        pools = [
            np.mean([_area([one for one in judged if one.group == group], key) for group in CORE], axis=0)
            for key in ("score", "surprise")
        ]
        whole = [_area(judged, key) for key in ("score", "surprise")]
        print(f"| {name} | " + " | ".join(f"{a:.3f} / {p:.3f}" for a, p in [alone, *pools, *whole]) + " |")


def _mean(judged: Sequence[Judged], figure: Callable[[Judged], float]) -> float:
    return float(
        np.mean([np.nanmean([figure(one) for one in judged if one.group == group]) for group in CORE])
    )


def _recall(one: Judged) -> float:
    defects, count = ndimage.label(one.truth, _NEIGHBOURS)
    near = ndimage.binary_dilation(one.found, _NEIGHBOURS)
    return float(len(set(np.unique(defects[near])) - {0}) / count)


def _f1(found: Mask, truth: Mask) -> float:
    return float(2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth)))


def _curves(judged: Sequence[Judged]) -> npt.NDArray[np.float64]:
    """`(images, thresholds)` F1 at the same thresholds of the score."""
    pool = np.concatenate([one.score[np.isfinite(one.score)] for one in judged])
    thresholds = np.unique(np.quantile(pool, 1 - np.geomspace(1e-5, 0.5, _THRESHOLDS)))
    curves = []
    for one in judged:
        known = np.isfinite(one.score)
        all_of_it, right = np.sort(one.score[known]), np.sort(one.score[known & one.truth])
        found = len(all_of_it) - np.searchsorted(all_of_it, thresholds)
        hits = len(right) - np.searchsorted(right, thresholds)
        curves.append(2 * hits / (found + len(right)))
    return np.array(curves)


def _area(judged: Sequence[Judged], key: str) -> tuple[float, float]:
    figures = pixel_figures(
        [getattr(one, key) for one in judged],
        [one.truth for one in judged],
        [one.found for one in judged],
    )
    return figures.auroc, figures.ap


if __name__ == "__main__":
    sys.exit(main())
