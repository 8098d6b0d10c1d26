"""`aota`: how far each position's features lie from the nearest ones elsewhere in the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.maths.edges import excess
from ssdnet.maths.grids import resample
from ssdnet.maths.pyramid import level_count
from ssdnet.maths.random_features import feature_maps
from ssdnet.maths.sampling import known_positions
from ssdnet.maths.smoothing import smooth

if TYPE_CHECKING:
    from ssdnet.maths.random_features import FeatureMaps
    from ssdnet.progress import Progress

_CHUNK = 1 << 21
"""Distances held at once: bounds the memory and fits into the caches."""


@dataclass(frozen=True)
class Aota:
    """Mean distance of the local mean of features to its nearest neighbours in the same image.

    Aota, Teh & Okatani, 'Zero-shot versus many-shot: unsupervised texture anomaly detection', WACV 2023: a
    texture is homogeneous, so that each local mean of features has many alike elsewhere; the mean Euclidean
    distance to the K nearest is the score. They take the second block of a pretrained WideResNet-50 and
    K = 400 of the 1600 positions of an image of 320 pixels. Chosen here: untrained features
    (`maths.random_features`), since there shall be no weights, each divided by its standard deviation; a
    reference is no neighbour of what lies beside it; the references are a sample of fixed size.
    """

    name: ClassVar[str] = "aota"
    summary: ClassVar[str] = (
        "mean distance of multi-scale random features to their nearest neighbours elsewhere"
    )
    assumes: ClassVar[str] = "one texture on most of the image; no part of it rare"
    source: ClassVar[str] = "Aota et al., WACV 2023"

    levels: int | None = None
    """Octaves of the pyramid; None takes as many as leave 32 pixels on the shorter side."""
    orbits: int = 3
    """Random kernels a level, each with its eight flips and turns."""
    pool: int = 2
    """Radius of the box the rectified responses are averaged over, pixels of their level."""
    references: int = 1600
    """Positions, spread over the image, that others are compared with, at most."""
    neighbors: float = 0.25
    """Share of the references that are taken as the nearest, in (0, 1)."""
    guard: int = 8
    """References no farther than this along rows and columns, in pixels, are no neighbours."""
    smoothing: float = 3.0
    """Standard deviation of the Gaussian that smooths the distance, pixels of the image."""

    def __post_init__(self) -> None:
        check_whole(self, optional=("levels",), levels=1, orbits=1, pool=0, references=1, guard=0)
        check_numbers(self, neighbors=(1e-6, 1), smoothing=(0, math.inf))

    @torch.inference_mode()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,
        progress: Progress,
    ) -> torch.Tensor:
        """Mean distance to the nearest neighbours, locally averaged; see `Detector.score`."""
        features = feature_maps(
            pixels,
            valid,
            levels=self.levels or level_count(*valid.shape),
            orbits=self.orbits,
            kernel_size=3,
            pool=self.pool,
            generator=generator,
            progress=lambda share, message: progress(0.2 * share, message),
        )
        distance = nearest_distances(
            features,
            references=self.references,
            share=self.neighbors,
            guard=self.guard // 2,
            progress=lambda share, message: progress(0.2 + 0.8 * share, message),
        )
        logarithm = distance.clamp_min_(1e-6).log_()
        logarithm -= excess(logarithm, features.known, features.support, features.reach)
        averaged = smooth(logarithm, features.known, self.smoothing / 2)
        return resample(averaged.exp_()[:, :, None], *features.to_pixels)[:, :, 0]


def nearest_distances(
    features: FeatureMaps, *, references: int, share: float, guard: int, progress: Progress
) -> torch.Tensor:
    """`(h, w)` of the common grid: mean distance of each position's features to the nearest references.

    Args:
        features: each is divided by its standard deviation over the references.
        references: how many positions to compare with, at most.
        share: of them that are the nearest, in (0, 1).
        guard: references no farther than this along rows and columns, in positions, are left out; in a small
            image less, so that a part of it is left to compare with.
        progress: called for each chunk.
    """
    height, width = features.known.shape
    rows, columns = known_positions(features.known, most=references)
    chosen = torch.cat(
        [
            values[rows[inside] - strip.start, columns[inside]]
            for strip, values in features.strips()
            for inside in [(rows >= strip.start) & (rows < strip.stop)]
        ]
    )
    spread = chosen.std(dim=0, correction=0)
    unit = spread.clamp_min(1e-3 * spread.max()).clamp_min(torch.finfo(spread.dtype).tiny)
    chosen /= unit
    guard = min(guard, min(height, width) // 8)
    distance = torch.empty(height * width, device=chosen.device)
    step = max(1, _CHUNK // len(chosen))
    for strip, values in features.strips():
        first, last = strip.start * width, strip.stop * width
        for start in range(first, last, step):
            stop = min(start + step, last)
            places = torch.arange(start, stop, device=chosen.device)
            near = ((places // width)[:, None] - rows).abs_() <= guard
            near &= ((places % width)[:, None] - columns).abs_() <= guard
            queries = values.flatten(0, 1)[start - first : stop - first] / unit
            distance[start:stop] = mean_nearest(queries, chosen, near, share=share)
            progress(stop / len(distance), "nearest neighbours")
    return distance.view(height, width)


def mean_nearest(
    queries: torch.Tensor, references: torch.Tensor, excluded: torch.Tensor, *, share: float
) -> torch.Tensor:
    """`(N,)` mean Euclidean distance of each query to a share of the references, the nearest ones.

    Args:
        queries: `(N, D)`.
        references: `(M, D)`.
        excluded: `(N, M)` bool, which references are none for which query.
        share: of all references, excluded or not, in (0, 1). Where fewer are left, they are all taken; where
            none is, the distance is 0.
    """
    squared = torch.addmm(references.square().sum(-1), queries, references.T, alpha=-2)
    squared += queries.square().sum(-1, keepdim=True)
    squared.clamp_min_(0).masked_fill_(excluded, torch.inf)
    count = max(1, round(share * len(references)))
    nearest = squared.topk(count, largest=False, sorted=False).values
    taken = nearest.isfinite()
    return torch.where(taken, nearest, 0).sqrt_().sum(-1) / taken.sum(-1).clamp_min_(1)
