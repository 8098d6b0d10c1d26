"""`rx`: how far each position's features lie from the image's own robust Gaussian."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.protocol import Detector, checked_window
from ssdnet.errors import UsageError
from ssdnet.maths.edges import Excess
from ssdnet.maths.gaussian import RobustGaussian
from ssdnet.maths.pyramid import level_count
from ssdnet.maths.random_features import RandomFeatures
from ssdnet.maths.sampling import central_grid
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.maths.random_features import FeatureMaps
    from ssdnet.maths.window import Window
    from ssdnet.progress import Progress

_SAMPLES = 1 << 17
"""Positions the Gaussian is estimated from: a million more would not move it by a visible amount."""


@dataclass(frozen=True)
class RX(Detector):
    """The Reed-Xiaoli detector on multi-scale random features, with a trimmed and shrunk Gaussian.

    Reed & Yu, 'Adaptive multiple-band CFAR detection of an optical pattern with unknown spectral
    distribution', IEEE TASSP 1990, equation 16: the squared Mahalanobis distance to the image's own mean and
    covariance. Chosen here: the features (`ssdnet.maths.random_features`), trimming, shrinkage, smoothing.

    >>> image = torch.randn(1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> image[0, 20:24, 30:34] += 5.0
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> model, (scores,) = RX().fit_score([image], [known], generator=torch.Generator().manual_seed(0))
    >>> bool(scores[20:24, 30:34].max() == scores.max())
    True
    """

    name: ClassVar[str] = "rx"
    summary: ClassVar[str] = "Mahalanobis distance of multi-scale random features to the image's own Gaussian"
    assumes: ClassVar[str] = "one texture, in any light, on most of the image; no noise-free drawing"
    source: ClassVar[str] = "Reed & Yu, IEEE TASSP 1990"

    levels: int | None = None
    """Octaves of the pyramid; None takes as many as leave 32 pixels on the shorter side."""
    orbits: int = 3
    """Random kernels a level, each with its eight flips and turns."""
    kernel_size: int = 3
    """Side of a kernel, pixels of its level, odd."""
    pool: int = 1
    """Radius of the box the rectified responses are averaged over, pixels of their level."""
    trim: float = 0.25
    """Share of the positions, the most distant, that the Gaussian leaves out; in [0, 1)."""
    rounds: int = 2
    """How often the Gaussian is estimated again without them."""
    shrinkage: float = 0.1
    """Added to each variance as a share of it: keeps directions that hardly vary from deciding."""
    smoothing: float = 3.0
    """Standard deviation of the Gaussian that smooths the distance, pixels of the image."""

    def __post_init__(self) -> None:
        check_whole(self, optional=("levels",), levels=1, orbits=1, kernel_size=3, pool=0, rounds=0)
        if self.kernel_size % 2 == 0:
            raise UsageError(f"rx: kernel_size must be odd, not {self.kernel_size}")
        check_numbers(self, trim=(0, 1), shrinkage=(1e-6, math.inf), smoothing=(0, math.inf))

    @torch.no_grad()
    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> tuple[RXModel, list[torch.Tensor]]:
        """The model, and the scores; see `Detector.fit_score`."""
        smallest = min((known.shape for known in valid), key=min)
        features, maps = RandomFeatures.fit(
            pixels,
            valid,
            levels=self.levels or level_count(*smallest),
            orbits=self.orbits,
            kernel_size=self.kernel_size,
            pool=self.pool,
            generator=generator,
            progress=part(progress, 0.0, 0.4),
        )
        progress(0.4, "statistics")
        samples, weights = zip(*(_samples(one) for one in maps), strict=True)
        gaussian = RobustGaussian.fit(
            torch.cat(samples),
            torch.cat(weights),
            trim=self.trim,
            rounds=self.rounds,
            shrinkage=self.shrinkage,
        )
        progress(0.5, "distance")
        logarithms = [_log_distance(one, gaussian) for one in maps]
        seen = [one.seen(values) for one, values in zip(maps, logarithms, strict=True)]
        model = RXModel(features, gaussian, Excess.fit(seen, features.reach), self.smoothing)
        progress(1.0, "distance")
        return model, [
            one.scores(values, model.excess, self.smoothing)
            for one, values in zip(maps, logarithms, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class RXModel:
    """What `RX` has learned of a surface.

    >>> cloth = torch.randn(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> model = RX().fit([cloth[0]], [known], generator=torch.Generator().manual_seed(0))
    >>> cloth[1, 0, 20:24, 30:34] += 5.0  # another piece, with a spot
    >>> scores = model.score(cloth[1], known)
    >>> bool(scores[20:24, 30:34].max() == scores.max())
    True
    """

    features: RandomFeatures
    gaussian: RobustGaussian
    excess: Excess
    smoothing: float
    """See `RX`."""

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
        """Locally averaged Mahalanobis distance of each pixel's features; see `Model.score`."""
        wanted, context = checked_window(pixels, window, self.halo)
        maps, place = self.features.of(pixels, valid, context)
        scores = maps.scores(_log_distance(maps, self.gaussian), self.excess, self.smoothing)
        progress(1.0, "distance")
        return scores[wanted.within(place)]


def _samples(maps: FeatureMaps) -> tuple[torch.Tensor, torch.Tensor]:
    """`(N, D)` features of positions that stand for all, and how much each is known."""
    rows, columns = central_grid(*maps.known.shape, most=_SAMPLES, device=maps.known.device)
    weight = maps.known[rows][:, columns].flatten()
    return maps.at(rows, columns).flatten(0, 1)[weight > 0], weight[weight > 0]


def _log_distance(maps: FeatureMaps, gaussian: RobustGaussian) -> torch.Tensor:
    """`(h, w)` log distance of each position."""
    logarithm = torch.empty_like(maps.known)
    for strip, values in maps.strips():
        logarithm[strip] = gaussian.log_distance(values)
    return logarithm
