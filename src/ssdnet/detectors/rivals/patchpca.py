"""`patchpca`: how unusual the principal components of each position's patch are, at several scales."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.errors import UsageError
from ssdnet.maths.patch_components import PatchComponents
from ssdnet.maths.pyramid import level_count
from ssdnet.maths.smoothing import smooth

if TYPE_CHECKING:
    from ssdnet.progress import Progress


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
        components = PatchComponents(
            self.patch, self.components, trim=self.trim, rounds=self.rounds, shrinkage=self.shrinkage
        )
        levels = self.levels or level_count(*valid.shape)
        logarithm = components.log_distance(
            pixels, valid, levels, progress=lambda share: progress(share, "principal components")
        )
        progress(1.0, "distance")
        return smooth(logarithm, valid.to(pixels.dtype), self.smoothing).exp_()
