"""`lowrank`: the image as few patterns mixed everywhere, and sparse pixels that they do not explain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.protocol import Decomposition
from ssdnet.errors import UsageError
from ssdnet.maths.edges import excess
from ssdnet.maths.gaussian import principal_components
from ssdnet.maths.pyramid import pyramid
from ssdnet.maths.sampling import known_positions
from ssdnet.maths.smoothing import blur, smooth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssdnet.progress import Progress

_SAMPLES = 1 << 12
"""Patches the patterns are learned from, at most."""

_SAMPLE_VALUES = 1 << 20
"""Values these patches may have together: of images with many channels there are fewer."""

_CHUNK_VALUES = 1 << 21
"""Values of the patches that are split at once: bounds the memory, whatever the size of the image."""

_GROWTH, _TOLERANCE, _ITERATIONS = 1.5, 1e-4, 60  # of the multipliers; about 20 iterations are usual

_ROUNDING = 1e-3
"""Singular values below this share of the largest are rounding: float32, squared."""


@dataclass(frozen=True, eq=False)
class Patterns:
    """The low-rank part of a matrix of samples, as far as other samples need it."""

    basis: torch.Tensor
    """`(D, R)` orthonormal, its right singular vectors; R is the rank."""
    singular: torch.Tensor
    """`(R,)` its singular values."""
    weight: float
    """`lambda`, of the sparse part."""
    start: float
    """Threshold of the singular values in the first iteration."""

    @classmethod
    def learn(cls, data: torch.Tensor, seen: torch.Tensor, *, weight: float) -> Patterns:
        """Robust principal components of `(N, D)` data, of which `(N, D)` bool entries are seen."""
        start = float((data @ principal_components(data, 1)).norm()) / 1.25  # Lin et al., section 4
        low_rank = _alternate(data, seen, threshold_singular_values, weight, start)
        basis = principal_components(low_rank, min(data.shape))
        singular = (low_rank @ basis).norm(dim=0)
        kept = singular > _ROUNDING * singular.max()
        return cls(basis[:, kept], singular[kept], weight, start)

    def background(self, data: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """`(N, D)` low-rank part of other samples of the same kind.

        The nuclear norm is the least of `(|U|^2 + |V|^2) / 2` over all `L = U V.T`. With `V` as it was
        learned, each sample is a problem by itself: its coefficients `c` cost `c.T @ diag(1 / singular) @ c /
        2` and what they leave costs `lambda` times its absolute sum. Of the samples learned from this gives
        what robust PCA gives.
        """

        def shrink(target: torch.Tensor, threshold: float) -> torch.Tensor:
            return (target @ self.basis) * (self.singular / (self.singular + threshold)) @ self.basis.T

        return _alternate(data, seen, shrink, self.weight, self.start)


def threshold_singular_values(target: torch.Tensor, threshold: float) -> torch.Tensor:
    """`(N, D)` matrix with the singular values of `target` lowered by a threshold, or to 0."""
    basis = principal_components(target, min(target.shape))
    projected = target @ basis
    singular = projected.norm(dim=0)
    kept = singular > threshold
    shrunk: torch.Tensor = projected[:, kept] * (1 - threshold / singular[kept])
    return shrunk @ basis[:, kept].T


def _alternate(
    data: torch.Tensor,
    seen: torch.Tensor,
    shrink: Callable[[torch.Tensor, float], torch.Tensor],
    weight: float,
    threshold: float,
) -> torch.Tensor:
    """Low-rank part by inexact augmented Lagrange multipliers (Lin et al., algorithm 5).

    Args:
        data: `(N, D)`.
        seen: `(N, D)` bool.
        shrink: gives the low-rank part nearest to a target, at a threshold of its singular values.
        weight: `lambda`.
        threshold: the inverse of the penalty `mu` in the first iteration.
    """
    sparse, dual = torch.zeros_like(data), torch.zeros_like(data)  # `dual` is the multipliers over `mu`
    enough = _TOLERANCE * data.norm()
    for _ in range(_ITERATIONS):
        low_rank = shrink(data - sparse + dual, threshold)
        rest = data - low_rank + dual
        sparse = torch.where(seen, F.softshrink(rest, weight * threshold), rest)
        gap = data - low_rank - sparse
        if bool(gap.norm() <= enough):
            break
        dual = (dual + gap) / _GROWTH
        threshold /= _GROWTH
    return low_rank


@dataclass(frozen=True)
class LowRank:
    """Robust principal component analysis of the image's patches: low-rank background, sparse anomalies.

    Candès, Li, Ma & Wright, 'Robust principal component analysis?', J. ACM 2011, solved by the inexact
    augmented Lagrange multipliers of Lin, Chen & Ma, arXiv 1009.5055: the matrix of patches `M = L + E` with
    the least `|L|_* + lambda |E|_1`. Chosen here: overlapping patches of all channels as rows, because a
    texture that repeats, and shading, are few patterns mixed everywhere; `lambda` as a multiple of the
    theory's `1 / sqrt(longer side)`; missing pixels and what lies outside cost nothing in `E`, which is how
    Candès et al. complete matrices; in large images patterns learned from a sample of the patches (see
    `Patterns.background`); the score is the smoothed size of `E`, averaged over the patches of a pixel.

    Smooth-sparse decomposition (Yan, Paynabar & Shi, Technometrics 2017) splits in the same way, but its
    background is a smooth spline, which leaves every texture to the anomaly.
    """

    name: ClassVar[str] = "lowrank"
    summary: ClassVar[str] = "robust PCA of patches: what few patterns explain, and the sparse rest"
    assumes: ClassVar[str] = "a regular or smooth texture, few patterns; small defects of high contrast"
    source: ClassVar[str] = "Candès et al., J. ACM 2011; Lin et al., arXiv 1009.5055"

    patch: int = 12
    """Side of a patch, pixels, even, wider than a defect: what fills a patch is a pattern of its own. Patches
    overlap by half."""
    sparsity: float = 0.5
    """`lambda` in units of the theory's: less gives fewer patterns and a larger rest."""
    smoothing: float = 3.0
    """Standard deviation of the Gaussian that smooths the square of the rest, pixels."""

    def __post_init__(self) -> None:
        check_whole(self, patch=2)
        if self.patch % 2:
            raise UsageError(f"lowrank: patch must be even, not {self.patch}")
        check_numbers(self, sparsity=(1e-3, 1e3), smoothing=(0, math.inf))

    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,
        progress: Progress,
    ) -> torch.Tensor:
        """Root mean square of the sparse part, locally averaged; see `Detector.score`."""
        return self.decompose([pixels], [valid], generators=[generator], progress=progress)[0].score

    def decompose(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generators: Sequence[torch.Generator],  # noqa: ARG002 - nothing is random
        progress: Progress,
    ) -> list[Decomposition]:
        """Split each image by itself; see `Decomposer.decompose`."""

        def report(fraction: float, message: str) -> None:
            progress((len(results) + fraction) / len(pixels), message)

        results: list[Decomposition] = []
        for image, known in zip(pixels, valid, strict=True):
            normal = self._background(image, known, report)
            results.append(Decomposition(score=self._size(image - normal, known), normal=normal))
        return results

    @torch.inference_mode()
    def _size(self, sparse: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """`(H, W)` root mean square of the `(C, H, W)` sparse part, locally averaged."""
        known = valid.to(sparse.dtype)
        square = torch.where(valid, sparse, 0).square().mean(dim=0)
        logarithm = 0.5 * smooth(square, known, self.smoothing).clamp_min_(1e-12).log_()
        # Fewer patches see the pixels beside what is missing, and explain them worse.
        support = blur(known[None], self.patch / 2)[0]
        return (logarithm - excess(logarithm, known, support, self.patch)).exp_()

    @torch.inference_mode()
    def _background(self, pixels: torch.Tensor, valid: torch.Tensor, progress: Progress) -> torch.Tensor:
        """`(C, H, W)` low-rank part, the mean of the four patches over each pixel."""
        progress(0.0, "patterns")
        height, width = valid.shape
        half = self.patch // 2
        # Half a patch is added on each side, unseen, so that as many patches cover each pixel.
        beside = (half, half + -width % half, half, half + -height % half)
        frame = F.pad(pyramid(pixels, valid, 1)[0].pixels, beside)[0]
        known = F.pad(valid, beside)[None]
        patches, seen = (
            part.unfold(1, self.patch, half).unfold(2, self.patch, half) for part in (frame, known)
        )
        channels, rows, columns = patches.shape[:3]
        values = channels * self.patch**2
        share = F.avg_pool2d(known[None].to(frame.dtype), self.patch, stride=half)[0, 0]
        places = known_positions(share, most=max(64, min(_SAMPLES, _SAMPLE_VALUES // values)))
        sample = _as_rows(patches[:, places[0], places[1]])
        patterns = Patterns.learn(
            sample,
            _as_rows(seen[:, places[0], places[1]]).repeat(1, channels),
            weight=self.sparsity / math.sqrt(max(sample.shape)),
        )
        # Of the four patches over a pixel, those that see more count more.
        weights = share.square() + 1e-6
        normal, total = torch.zeros_like(frame), torch.zeros_like(frame[:1])
        step = max(1, _CHUNK_VALUES // (columns * values))
        for start in range(0, rows, step):
            strip = slice(start, min(start + step, rows))
            progress(0.3 + 0.7 * start / rows, "background")
            low_rank = patterns.background(
                _as_rows(patches[:, strip].flatten(1, 2)),
                _as_rows(seen[:, strip].flatten(1, 2)).repeat(1, channels),
            )
            lines = slice(strip.start * half, (strip.stop + 1) * half)
            size = (lines.stop - lines.start, frame.shape[-1])
            weight = weights[strip].flatten()
            normal[:, lines] += F.fold((low_rank.T * weight)[None], size, self.patch, stride=half)[0]
            total[:, lines] += F.fold(weight.expand(1, self.patch**2, -1), size, self.patch, stride=half)[0]
        progress(1.0, "background")
        normal /= total
        return normal[:, half : half + height, half : half + width]


def _as_rows(patches: torch.Tensor) -> torch.Tensor:
    """`(N, C * p * p)` from `(C, N, p, p)`."""
    return patches.transpose(0, 1).flatten(1)
