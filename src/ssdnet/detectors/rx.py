"""`rx`: how far each position's features lie from the image's own robust Gaussian."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.errors import UsageError
from ssdnet.maths.edges import excess
from ssdnet.maths.gaussian import RobustGaussian
from ssdnet.maths.grids import resample
from ssdnet.maths.pyramid import level_count
from ssdnet.maths.random_features import feature_maps
from ssdnet.maths.sampling import central_grid
from ssdnet.maths.smoothing import smooth

if TYPE_CHECKING:
    from ssdnet.progress import Progress

_SAMPLES = 1 << 17
"""Positions the Gaussian is estimated from: a million more would not move it by a visible amount."""


@dataclass(frozen=True)
class RX:
    """The Reed-Xiaoli detector on multi-scale random features, with a trimmed and shrunk Gaussian.

    Reed & Yu, 'Adaptive multiple-band CFAR detection of an optical pattern with unknown spectral
    distribution', IEEE TASSP 1990, equation 16: the squared Mahalanobis distance to the image's own mean and
    covariance. Chosen here: the features (`ssdnet.maths.random_features`), trimming, shrinkage, smoothing.
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

    @torch.inference_mode()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,
        progress: Progress,
    ) -> torch.Tensor:
        """Locally averaged Mahalanobis distance of each pixel's features; see `Detector.score`.

        The average is a geometric one, in which an extreme position outshines its surroundings less.
        """
        features = feature_maps(
            pixels,
            valid,
            levels=self.levels or level_count(*valid.shape),
            orbits=self.orbits,
            kernel_size=self.kernel_size,
            pool=self.pool,
            generator=generator,
            progress=lambda share, message: progress(0.4 * share, message),
        )
        progress(0.4, "statistics")
        rows, columns = central_grid(*features.known.shape, most=_SAMPLES, device=features.known.device)
        weight = features.known[rows][:, columns].flatten()
        gaussian = RobustGaussian.fit(
            features.at(rows, columns).flatten(0, 1)[weight > 0],
            weight[weight > 0],
            trim=self.trim,
            rounds=self.rounds,
            shrinkage=self.shrinkage,
        )
        logarithm = torch.empty_like(features.known)
        for strip, values in features.strips():
            logarithm[strip] = gaussian.log_distance(values)
            progress(0.5 + 0.5 * strip.stop / len(logarithm), "distance")
        logarithm -= excess(logarithm, features.known, features.support, features.reach)
        averaged = smooth(logarithm, features.known, self.smoothing / 2)
        return resample(averaged.exp_()[:, :, None], *features.to_pixels)[:, :, 0]
