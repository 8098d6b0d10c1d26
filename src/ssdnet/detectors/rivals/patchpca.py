"""`patchpca`: how unusual the principal components of each position's patch are, at several scales."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.protocol import Detector, checked_window
from ssdnet.errors import UsageError
from ssdnet.maths.patch_components import PatchComponents, PatchModel
from ssdnet.maths.pyramid import level_count
from ssdnet.maths.smoothing import smooth
from ssdnet.progress import silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.maths.window import Window
    from ssdnet.progress import Progress


@dataclass(frozen=True)
class PatchPCA(Detector):
    """Principal components of the image's own patches, and the Reed-Xiaoli detector on them.

    Tailanian, Musé & Pardo, 'A multi-scale a contrario method for unsupervised image anomaly detection',
    ICMLA 2021 (arXiv 2110.02407): the image is its own model; patches at several scales are projected on
    their leading principal components, which serve as filters, and the Mahalanobis distance to the mean is
    the score. Ours, not theirs: the trimmed Gaussian, the mean of the log distances of the scales (they keep
    the most significant scale), positions along edges and beside holes compared with each other (as in `rx`).
    Their significance of regions is not here: `ssdnet.calibration` does that for every detector.

    >>> image = torch.randn(1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> image[0, 20:24, 30:34] += 5.0
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> _, (scores,) = PatchPCA().fit_score([image], [known], generator=torch.Generator())
    >>> bool(scores[20:24, 30:34].max() == scores.max())
    True
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

    @torch.no_grad()
    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,  # noqa: ARG002 - nothing is random
        progress: Progress = silent,
    ) -> tuple[PatchPCAModel, list[torch.Tensor]]:
        """The model, and the scores; see `Detector.fit_score`."""
        components = PatchComponents(
            self.patch, self.components, trim=self.trim, rounds=self.rounds, shrinkage=self.shrinkage
        )
        smallest = min((known.shape for known in valid), key=min)
        levels = self.levels or level_count(*smallest)
        patches, maps = PatchModel.fit(pixels, valid, [components], levels, progress)
        model = PatchPCAModel(patches, self.smoothing)
        progress(1.0, "distance")
        return model, [model.finish(values, known) for (values,), known in zip(maps, valid, strict=True)]


@dataclass(frozen=True, eq=False)
class PatchPCAModel:
    """What `PatchPCA` has learned of a surface.

    >>> cloth = torch.randn(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> model = PatchPCA().fit([cloth[0]], [known], generator=torch.Generator())
    >>> cloth[1, 0, 20:24, 30:34] += 5.0  # another piece, with a spot
    >>> scores = model.score(cloth[1], known)
    >>> bool(scores[20:24, 30:34].max() == scores.max())
    True
    """

    patches: PatchModel
    smoothing: float
    """See `PatchPCA`."""

    @property
    def halo(self) -> int:
        """See `Model.halo`."""
        return self.patches.halo + math.ceil(3 * self.smoothing)

    @torch.no_grad()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        window: Window | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """Geometric mean over the scales of the distance, locally averaged; see `Model.score`."""
        wanted, context = checked_window(pixels, window, self.halo)
        (values,), place = self.patches.log_distances(pixels, valid, context)
        progress(1.0, "distance")
        return self.finish(values, valid[place.within(context)])[wanted.within(place)]

    def finish(self, logarithm: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """`(h, w)` scores from log distances."""
        return smooth(logarithm, valid.to(logarithm.dtype), self.smoothing).exp_()
