"""`patchpca`: how unusual the principal components of each position's patch are, at several scales."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.errors import UsageError
from ssdnet.features import STRIP_POSITIONS, Axis, known_positions, level_count, pad, pyramid, resample
from ssdnet.statistics import RobustGaussian, excess, principal_components, smooth

if TYPE_CHECKING:
    from ssdnet.detectors.protocol import Progress
    from ssdnet.features import Level

_SAMPLES = 1 << 14
"""Patches the components are estimated from, at most."""

_SAMPLE_VALUES = 1 << 24
"""Values these patches may have together: of images with many channels there are fewer."""


@dataclass(frozen=True)
class PatchPCA:
    """Principal components of the image's own patches, and the Reed-Xiaoli detector on them.

    Tailanian, Musé & Pardo, 'A multi-scale a contrario method for unsupervised image anomaly detection',
    ICMLA 2021 (arXiv 2110.02407): the image is its own model; patches at several scales are projected on
    their leading principal components, which serve as filters, and the Mahalanobis distance to the mean is
    the score. Ours, not theirs: the trimmed Gaussian, the mean of the log distances of the scales (they keep
    the most significant scale), positions along edges and beside holes compared with each other (as in `rx`).
    Their significance of regions is not here: `ssdnet.calibration` does that for every detector.
    """

    name: ClassVar[str] = "patchpca"
    summary: ClassVar[str] = (
        "Mahalanobis distance of the leading principal components of patches, multi-scale"
    )
    assumes: ClassVar[str] = "one texture, in any light, on most of the image; no defect smoother than it"
    source: ClassVar[str] = "Tailanian et al., ICMLA 2021; Reed & Yu, IEEE TASSP 1990"

    levels: int | None = None
    """Octaves of the pyramid; None takes as many as leave 32 pixels on the shorter side."""
    patch: int = 5
    """Side of a patch, pixels of its level, odd."""
    components: int = 12
    """Leading principal components that are looked at; all, when a patch has fewer values."""
    trim: float = 0.25
    """Share of the patches, the most distant, that the Gaussian leaves out; in [0, 1)."""
    rounds: int = 2
    """How often the Gaussian is estimated again without them."""
    shrinkage: float = 0.1
    """Added to the variance of each component as a share of it."""
    smoothing: float = 3.0
    """Standard deviation of the Gaussian that smooths the distance, pixels of the image."""

    def __post_init__(self) -> None:
        check_whole(self, optional=("levels",), levels=1, patch=3, components=1, rounds=0)
        if self.patch % 2 == 0:
            raise UsageError(f"patchpca: patch must be odd, not {self.patch}")
        check_numbers(self, trim=(0, 1), shrinkage=(1e-6, math.inf), smoothing=(0, math.inf))

    @torch.inference_mode()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,  # noqa: ARG002 - nothing is random
        progress: Progress,
    ) -> torch.Tensor:
        """Geometric mean over the scales of the distance, locally averaged; see `Detector.score`."""
        scales = pyramid(pixels, valid, self.levels or level_count(*valid.shape))
        sizes = [tuple(scale.known.shape[-2:]) for scale in scales]
        reach = self.patch // 2
        logarithm, support = (torch.zeros(valid.shape, device=pixels.device) for _ in range(2))
        for number, scale in enumerate(scales):
            progress(number / len(scales), "principal components")
            share = F.avg_pool2d(F.pad(scale.known, (reach,) * 4), self.patch, stride=1)[0, 0]
            vertical, horizontal = (
                Axis.between([size[axis] for size in sizes[: number + 1]], pixels.device) for axis in (0, 1)
            )
            for total, values in ((logarithm, self._log_distance(scale, share)), (support, share)):
                total += resample(values[:, :, None], vertical, horizontal)[:, :, 0] / len(scales)
        known = valid.to(pixels.dtype)
        logarithm -= excess(logarithm, known, support, (reach + 1) * 2 ** (len(scales) - 1))
        progress(1.0, "distance")
        return smooth(logarithm, known, self.smoothing).exp_()

    def _log_distance(self, scale: Level, share: torch.Tensor) -> torch.Tensor:
        """`(h, w)` log distance of the patch around each position of one scale.

        Args:
            scale: its pixels.
            share: `(h, w)`, how much of each patch is known, in [0, 1].
        """
        reach = self.patch // 2
        padded = pad(scale.pixels, reach)
        patches = padded[0].unfold(1, self.patch, 1).unfold(2, self.patch, 1)
        values = len(patches) * self.patch**2
        rows, columns = known_positions(share, most=max(64, min(_SAMPLES, _SAMPLE_VALUES // values)))
        samples = patches[:, rows, columns].permute(1, 0, 2, 3).flatten(1)
        mean = samples.mean(dim=0)
        components = principal_components(samples - mean, self.components)
        gaussian = RobustGaussian.fit(
            (samples - mean) @ components,
            share[rows, columns],
            trim=self.trim,
            rounds=self.rounds,
            shrinkage=self.shrinkage,
        )
        # Projection, centring and whitening are one convolution.
        filters = components @ gaussian.whitening
        centre = mean @ filters + gaussian.mean @ gaussian.whitening
        kernels = filters.T.reshape(filters.shape[1], -1, self.patch, self.patch)
        logarithm = torch.empty_like(share)
        height, width = share.shape
        step = max(1, STRIP_POSITIONS // width)
        for start in range(0, height, step):
            strip = padded[:, :, start : min(start + step, height) + 2 * reach]
            coefficients = F.conv2d(strip, kernels, bias=-centre)[0]
            logarithm[start : start + step] = 0.5 * coefficients.square_().sum(0).clamp_min_(1e-12).log_()
        return logarithm
