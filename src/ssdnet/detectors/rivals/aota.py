"""`aota`: how far each position's features lie from the nearest ones elsewhere in the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.protocol import Detector, checked_window
from ssdnet.maths.edges import Excess
from ssdnet.maths.pyramid import level_count
from ssdnet.maths.random_features import RandomFeatures
from ssdnet.maths.sampling import known_positions
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.maths.random_features import FeatureMaps
    from ssdnet.maths.window import Window
    from ssdnet.progress import Progress

_CHUNK = 1 << 21
"""Distances held at once: bounds the memory and fits into the caches."""


@dataclass(frozen=True)
class Aota(Detector):
    """Mean distance of the local mean of features to its nearest neighbours in the same image.

    Aota, Teh & Okatani, 'Zero-shot versus many-shot: unsupervised texture anomaly detection', WACV 2023: a
    texture is homogeneous, so that each local mean of features has many alike elsewhere; the mean Euclidean
    distance to the K nearest is the score. They take the second block of a pretrained WideResNet-50 and
    K = 400 of the 1600 positions of an image of 320 pixels. Chosen here: untrained features
    (`maths.random_features`), since there shall be no weights, each divided by its standard deviation; a
    reference is no neighbour of what lies beside it; the references are a sample of fixed size.

    >>> image = torch.randn(1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> image[0, 20:24, 30:34] += 5.0
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> model, (scores,) = Aota().fit_score([image], [known], generator=torch.Generator().manual_seed(0))
    >>> bool(scores[20:24, 30:34].max() == scores.max())
    True
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

    @torch.no_grad()
    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> tuple[AotaModel, list[torch.Tensor]]:
        """The model, and the scores; see `Detector.fit_score`."""
        smallest = min((known.shape for known in valid), key=min)
        features, maps = RandomFeatures.fit(
            pixels,
            valid,
            levels=self.levels or level_count(*smallest),
            orbits=self.orbits,
            kernel_size=3,
            pool=self.pool,
            generator=generator,
            progress=part(progress, 0.0, 0.2),
        )
        guard = min(self.guard // 2, *(min(one.known.shape) // 8 for one in maps))
        most = max(1, self.references // len(maps))
        references = References.of(maps, most, share=self.neighbors, guard=guard)
        size = 0.8 / len(maps)
        logarithms = [
            references.log_distance(one, part(progress, 0.2 + number * size, size))
            for number, one in enumerate(maps)
        ]
        seen = [one.seen(values) for one, values in zip(maps, logarithms, strict=True)]
        model = AotaModel(features, references, Excess.fit(seen, features.reach), self.smoothing)
        return model, [
            one.scores(values, model.excess, self.smoothing)
            for one, values in zip(maps, logarithms, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class AotaModel:
    """What `Aota` has learned of a surface.

    >>> cloth = torch.randn(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> model = Aota().fit([cloth[0]], [known], generator=torch.Generator().manual_seed(0))
    >>> cloth[1, 0, 20:24, 30:34] += 5.0  # another piece, with a spot
    >>> scores = model.score(cloth[1], known)
    >>> bool(scores[20:24, 30:34].max() == scores.max())
    True
    """

    features: RandomFeatures
    references: References
    excess: Excess
    smoothing: float
    """See `Aota`."""

    @property
    def halo(self) -> int:
        """See `Model.halo`."""
        return self.features.halo + 2 * math.ceil(1.5 * self.smoothing) + 2

    @torch.no_grad()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        window: Window | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """Mean distance to the nearest neighbours, locally averaged; see `Model.score`."""
        wanted, context = checked_window(pixels, window, self.halo)
        maps, place = self.features.of(pixels, valid, context)
        distances = self.references.log_distance(maps, progress)
        scores = maps.scores(distances, self.excess, self.smoothing)
        return scores[wanted.within(place)]


@dataclass(frozen=True, eq=False)
class References:
    """Positions of the learned images that others are compared with.

    >>> image = torch.randn(1, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> _, (maps,) = RandomFeatures.fit(
    ...     [image],
    ...     [torch.ones(32, 32, dtype=torch.bool)],
    ...     levels=2,
    ...     orbits=1,
    ...     kernel_size=3,
    ...     pool=1,
    ...     generator=torch.Generator().manual_seed(0),
    ...     progress=silent,
    ... )
    >>> references = References.of([maps], 50, share=0.25, guard=2)
    >>> tuple(references.values.shape), tuple(references.log_distance(maps, silent).shape)
    ((50, 16), (16, 16))
    """

    values: torch.Tensor
    """`(M, D)` features, in units of `unit`."""
    unit: torch.Tensor
    """`(D,)`, their standard deviation."""
    rows: torch.Tensor
    """`(M,)`, of the common grid."""
    columns: torch.Tensor
    """`(M,)`."""
    share: float
    """Of them that are the nearest, in (0, 1)."""
    guard: int
    """References no farther than this along rows and columns, in positions, are left out."""

    @classmethod
    def of(cls, images: Sequence[FeatureMaps], most: int, *, share: float, guard: int) -> References:
        """Take at most `most` of each image."""
        chosen, places = [], []
        for maps in images:
            rows, columns = known_positions(maps.known, most=most)
            places.append(torch.stack([rows, columns]))
            chosen += [
                values[rows[inside] - strip.start, columns[inside]]
                for strip, values in maps.strips()
                for inside in [(rows >= strip.start) & (rows < strip.stop)]
            ]
        values = torch.cat(chosen)
        spread = values.std(dim=0, correction=0)
        unit = spread.clamp_min(1e-3 * spread.max()).clamp_min(torch.finfo(spread.dtype).tiny)
        rows, columns = torch.cat(places, dim=1)
        return cls(values / unit, unit, rows, columns, share, guard)

    def log_distance(self, maps: FeatureMaps, progress: Progress) -> torch.Tensor:
        """`(h, w)` of the common grid: log of the mean distance of each position to its nearest references.

        Args:
            maps: features of an image or of a window of one.
            progress: called for each strip.
        """
        height, width = maps.known.shape
        distance = torch.empty(height * width, device=self.values.device)
        step = max(1, _CHUNK // len(self.values))
        rows, columns = self.rows - maps.window.top, self.columns - maps.window.left
        for strip, values in maps.strips():
            first, last = strip.start * width, strip.stop * width
            for start in range(first, last, step):
                stop = min(start + step, last)
                places = torch.arange(start, stop, device=distance.device)
                near = ((places // width)[:, None] - rows).abs_() <= self.guard
                near &= ((places % width)[:, None] - columns).abs_() <= self.guard
                queries = values.flatten(0, 1)[start - first : stop - first] / self.unit
                distance[start:stop] = mean_nearest(queries, self.values, near, share=self.share)
                progress(stop / len(distance), "nearest neighbours")
        return distance.view(height, width).clamp_min_(1e-6).log_()


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

    >>> query, references = torch.tensor([[0.0]]), torch.tensor([[1.0], [3.0], [8.0], [9.0]])
    >>> for excluded in ([False] * 4, [True, False, False, False]):
    ...     print(round(float(mean_nearest(query, references, torch.tensor([excluded]), share=0.5)), 2))
    2.0
    5.5
    """
    squared = torch.addmm(references.square().sum(-1), queries, references.T, alpha=-2)
    squared += queries.square().sum(-1, keepdim=True)
    squared.clamp_min_(0).masked_fill_(excluded, torch.inf)
    count = max(1, round(share * len(references)))
    nearest = squared.topk(count, largest=False, sorted=False).values
    taken = nearest.isfinite()
    return torch.where(taken, nearest, 0).sqrt_().sum(-1) / taken.sum(-1).clamp_min_(1)
