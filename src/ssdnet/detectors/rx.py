"""`rx`: how far each position's features lie from the image's own robust Gaussian."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.errors import UsageError
from ssdnet.features import FeatureMaps, central_grid, feature_maps, level_count, resample

if TYPE_CHECKING:
    from ssdnet.detectors.protocol import Progress

_SAMPLES = 1 << 17
"""Positions the Gaussian is estimated from: a million more would not move it by a visible amount."""

_SUPPORT_GROUPS = 48
"""Classes of equal known support, beside holes."""

_SMALLEST_GROUP = 16
"""Fewest positions whose median says something."""

_SMALLEST = 1e-12
"""Squared distances below this are this: the logarithm of none is not a number."""


@dataclass(frozen=True)
class RX:
    """The Reed-Xiaoli detector on multi-scale random features, with a trimmed and shrunk Gaussian.

    Reed & Yu, 'Adaptive multiple-band CFAR detection of an optical pattern with unknown spectral
    distribution', IEEE TASSP 1990, equation 16: the squared Mahalanobis distance to the image's own mean and
    covariance. Chosen here: the features (`ssdnet.features`), trimming, shrinkage, smoothing.
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
        for name, smallest in {"levels": 1, "orbits": 1, "kernel_size": 3, "pool": 0, "rounds": 0}.items():
            value = getattr(self, name)
            if name == "levels" and value is None:
                continue
            if not isinstance(value, int) or value < smallest:
                raise UsageError(f"rx: {name} must be a whole number of at least {smallest}, not {value!r}")
        if self.kernel_size % 2 == 0:
            raise UsageError(f"rx: kernel_size must be odd, not {self.kernel_size}")
        for name, low, high in (("trim", 0, 1), ("shrinkage", 1e-6, math.inf), ("smoothing", 0, math.inf)):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not low <= value < high:
                raise UsageError(f"rx: {name} must be a number in [{low:g}, {high:g}), not {value!r}")

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
        mean, whitening = self._gaussian(features)
        logarithm = torch.empty_like(features.known)
        for rows, strip in features.strips():
            squared = ((strip - mean) @ whitening).square_().sum(-1)
            logarithm[rows] = squared.clamp_min_(_SMALLEST).log_().mul_(0.5)
            progress(0.5 + 0.5 * rows.stop / len(logarithm), "distance")
        logarithm -= _excess(logarithm, features)
        smooth = _smooth(logarithm, features.known, self.smoothing / 2)
        return resample(smooth.exp_()[:, :, None], *features.to_pixels)[:, :, 0]

    def _gaussian(self, features: FeatureMaps) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean `(D,)` and whitening `(D, D)` of the central part of the positions."""
        rows, columns = central_grid(*features.known.shape, most=_SAMPLES, device=features.known.device)
        weight = features.known[rows][:, columns].flatten()
        samples = features.at(rows, columns).flatten(0, 1)[weight > 0]
        weight = weight[weight > 0]
        kept = weight
        for round_ in range(self.rounds + 1):
            mean = (kept @ samples) / kept.sum()
            centred = samples - mean
            covariance = (centred.T * kept) @ centred / kept.sum()
            whitening = self._whitening(covariance)
            if round_ < self.rounds:
                distance = (centred @ whitening).square_().sum(-1)
                limit = distance.sort().values[math.ceil((1 - self.trim) * len(distance)) - 1]
                kept = weight * (distance <= limit)
        return mean, whitening

    def _whitening(self, covariance: torch.Tensor) -> torch.Tensor:
        """`W` such that `W @ W.T` is the inverse of the shrunk covariance."""
        exact = covariance.cpu().double()  # small, and not every device has float64
        variance = exact.diagonal()
        # A feature that never varies (a constant image) must not divide by zero: it gets the tiniest share
        # of the mean variance, or 1 when nothing varies at all.
        floor = 1e-6 * variance.mean() if variance.mean() > 0 else torch.ones((), dtype=torch.float64)
        factor = torch.linalg.cholesky(exact + torch.diag(self.shrinkage * variance + floor))
        identity = torch.eye(len(exact), dtype=torch.float64)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
        whitening: torch.Tensor = inverse.T.float().to(covariance.device)
        return whitening


def _excess(logarithm: torch.Tensor, features: FeatureMaps) -> torch.Tensor:
    """`(h, w)` by how much positions that look beyond the known lie above the others, in the median.

    Beside the edge and beside holes a window holds a part of a texture's period only, and what is left of a
    regular texture looks unlike all the rest. So positions are compared with others that saw as much: those
    of the same row or column along an edge, and those with the same share of known support elsewhere. A
    defect still stands out from its own kind.
    """
    group = (features.support / features.support.max() * _SUPPORT_GROUPS).ceil().long()
    known = features.known > 0
    full = logarithm[group == _SUPPORT_GROUPS].median()
    along = [_edge_excess(logarithm, known, full, features.reach)]
    along.append(_edge_excess(logarithm.T, known.T, full, features.reach))
    edges = along[0][:, None] + along[1]
    elsewhere = known & (group < _SUPPORT_GROUPS)
    elsewhere[: features.reach] = elsewhere[-features.reach :] = False
    elsewhere[:, : features.reach] = elsewhere[:, -features.reach :] = False
    keys, order = group[elsewhere].sort(stable=True)
    if len(keys) == 0:
        return edges
    numbers, sizes = torch.unique_consecutive(keys, return_counts=True)
    members = torch.split(logarithm[elsewhere][order], sizes.tolist())
    holes = torch.zeros(_SUPPORT_GROUPS + 1, device=logarithm.device)
    better = full.new_zeros(())
    # From the better to the worse known.
    for number, distances in reversed(list(zip(numbers.tolist(), members, strict=True))):
        # Too few say little: they are taken for what the next better group is.
        if len(distances) >= _SMALLEST_GROUP:
            better = (distances.median() - full).clamp_min(0)
        holes[number] = better
    return torch.where(elsewhere, holes[group], edges)


def _edge_excess(
    logarithm: torch.Tensor, known: torch.Tensor, full: torch.Tensor, reach: int
) -> torch.Tensor:
    """`(h,)` excess of the first and last `reach` rows; 0 for the others."""
    height = len(logarithm)
    excess = torch.zeros(height, device=logarithm.device)
    for row in {*range(min(reach, height)), *range(max(0, height - reach), height)}:
        distances = logarithm[row][known[row]]
        if len(distances) >= _SMALLEST_GROUP // 2:
            excess[row] = (distances.median() - full).clamp_min(0)
    return excess


def _smooth(values: torch.Tensor, weight: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian mean of `(h, w)` values over what is known; nothing is known beyond the edge."""
    if sigma == 0:
        return values
    radius = math.ceil(3 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=values.device) / sigma) ** 2)
    taps /= taps.sum()
    both = torch.stack([values * weight, weight])[:, None]
    both = F.conv2d(both, taps.view(1, 1, -1, 1), padding=(radius, 0))
    both = F.conv2d(both, taps.view(1, 1, 1, -1), padding=(0, radius))
    return both[0, 0] / both[1, 0].clamp_min(1e-6)
