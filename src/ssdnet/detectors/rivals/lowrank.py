"""`lowrank`: the image as few patterns mixed everywhere, and sparse pixels that they do not explain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.protocol import Detector, whole_only
from ssdnet.errors import UsageError
from ssdnet.maths.edges import Excess, Seen
from ssdnet.maths.gaussian import principal_components
from ssdnet.maths.pyramid import pyramid
from ssdnet.maths.sampling import known_positions
from ssdnet.maths.smoothing import blur, smooth
from ssdnet.maths.window import Window
from ssdnet.progress import part, silent

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
    """The low-rank part of a matrix of samples, as far as other samples need it.

    >>> clean = torch.outer(torch.arange(30.0).sin(), torch.arange(20.0).cos())
    >>> data, seen = clean.clone(), torch.ones(30, 20, dtype=torch.bool)
    >>> data[5, 2] += 3.0  # no pattern
    >>> patterns = Patterns.learn(data, seen, weight=30**-0.5)
    >>> bool((patterns.background(data, seen) - clean).abs().max() < 0.1)
    True
    """

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
    """`(N, D)` matrix with the singular values of `target` lowered by a threshold, or to 0.

    >>> lowered = threshold_singular_values(torch.diag(torch.tensor([3.0, 1.0])), 2.0)
    >>> [round(value, 2) for value in lowered.diagonal().tolist()]
    [1.0, 0.0]
    """
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
class LowRank(Detector):
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

    >>> image = torch.sin(torch.arange(48.0) / 2).repeat(1, 48, 1)
    >>> image[0, 20:23, 20:23] = 4.0
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> _, (scores,) = LowRank().fit_score([image], [known], generator=torch.Generator())
    >>> bool(scores[20:23, 20:23].max() == scores.max())
    True
    """

    name: ClassVar[str] = "lowrank"
    summary: ClassVar[str] = "robust PCA of patches: what few patterns explain, and the sparse rest"
    assumes: ClassVar[str] = "a regular or smooth texture, few patterns; small defects of high contrast"
    source: ClassVar[str] = "Candès et al., J. ACM 2011; Lin et al., arXiv 1009.5055"
    windows: ClassVar[bool] = False
    decomposes: ClassVar[bool] = True

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

    @torch.no_grad()
    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,  # noqa: ARG002 - nothing is random
        progress: Progress = silent,
    ) -> tuple[LowRankModel, list[torch.Tensor]]:
        """The model, and the scores; see `Detector.fit_score`."""
        frames = [_Frame.of(image, known, self.patch) for image, known in zip(pixels, valid, strict=True)]
        progress(0.0, "patterns")
        rows, seen = zip(*(frame.sample(len(frames)) for frame in frames), strict=True)
        sample = torch.cat(rows)
        patterns = Patterns.learn(
            sample, torch.cat(seen), weight=self.sparsity / math.sqrt(max(sample.shape))
        )
        size = 0.7 / len(frames)
        sparse = [
            image - frame.background(patterns, part(progress, 0.3 + number * size, size))
            for number, (image, frame) in enumerate(zip(pixels, frames, strict=True))
        ]
        sizes = [
            _size(rest, known, self.patch, self.smoothing) for rest, known in zip(sparse, valid, strict=True)
        ]
        model = LowRankModel(patterns, Excess.fit(sizes, self.patch), self.patch, self.smoothing)
        return model, [model.finish(one) for one in sizes]


@dataclass(frozen=True, eq=False)
class LowRankModel:
    """What `LowRank` has learned of a surface.

    >>> cloth = torch.sin(torch.arange(48.0) / 2).repeat(2, 1, 48, 1)
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> model = LowRank().fit([cloth[0]], [known], generator=torch.Generator())
    >>> cloth[1, 0, 20:23, 20:23] = 4.0  # another piece, with a spot
    >>> rest = (cloth[1] - model.reconstruct(cloth[1], known)).abs()[0]
    >>> bool(rest[20:23, 20:23].min() > 1.0), bool(rest[40:].max() < 0.5)
    (True, True)
    """

    patterns: Patterns
    excess: Excess
    patch: int
    """See `LowRank`."""
    smoothing: float
    """See `LowRank`."""

    @property
    def halo(self) -> int:
        """See `Model.halo`; there are no windows."""
        return 0

    @torch.no_grad()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        window: Window | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """Root mean square of the sparse part, locally averaged; see `Model.score`."""
        whole_only(LowRank.name, window, valid)
        sparse = pixels - self.reconstruct(pixels, valid, progress=progress)
        return self.finish(_size(sparse, valid, self.patch, self.smoothing))

    @torch.no_grad()
    def reconstruct(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        hidden: torch.Tensor | None = None,  # noqa: ARG002 - see below
        progress: Progress = silent,
    ) -> torch.Tensor:
        """The low-rank part; see `Decomposing.reconstruct`.

        What was found stays in sight: the sparse part takes it up anyway, and patches of which nothing else
        is left would have nothing to be explained by.
        """
        return _Frame.of(pixels, valid, self.patch).background(self.patterns, progress)

    def finish(self, seen: Seen) -> torch.Tensor:
        """`(H, W)` scores from the logarithm of the size of the sparse part."""
        place = Window.whole((seen.known.shape[0], seen.known.shape[1]))
        return (seen.logarithm - self.excess.of(seen, place)).exp_()


def _size(sparse: torch.Tensor, valid: torch.Tensor, patch: int, smoothing: float) -> Seen:
    """Log of the root mean square of the `(C, H, W)` sparse part, locally averaged."""
    known = valid.to(sparse.dtype)
    square = torch.where(valid, sparse, 0).square().mean(dim=0)
    logarithm = 0.5 * smooth(square, known, smoothing).clamp_min_(1e-12).log_()
    # Fewer patches see the pixels beside what is missing, and explain them worse.
    return Seen(logarithm, known, blur(known[None], patch / 2)[0])


@dataclass(frozen=True, eq=False)
class _Frame:
    """An image cut into patches that overlap by half."""

    shape: tuple[int, int]
    """Of the image."""
    pixels: torch.Tensor
    """`(C, H', W')`: half a patch is added on each side, so that as many patches cover each pixel."""
    known: torch.Tensor
    """`(1, H', W')` bool; what was added is unseen."""
    patch: int

    @classmethod
    def of(cls, pixels: torch.Tensor, valid: torch.Tensor, patch: int) -> _Frame:
        height, width = valid.shape
        half = patch // 2
        beside = (half, half + -width % half, half, half + -height % half)
        filled = F.pad(pyramid(pixels, valid, 1)[0].pixels, beside)[0]
        return cls((height, width), filled, F.pad(valid, beside)[None], patch)

    @property
    def _patches(self) -> tuple[torch.Tensor, torch.Tensor]:
        """`(C, rows, columns, p, p)` pixels, and the same of what is seen."""
        half = self.patch // 2
        pixels, known = (
            values.unfold(1, self.patch, half).unfold(2, self.patch, half)
            for values in (self.pixels, self.known)
        )
        return pixels, known

    @property
    def _share(self) -> torch.Tensor:
        """`(rows, columns)`, how much of each patch is seen."""
        known = self.known[None].to(self.pixels.dtype)
        return F.avg_pool2d(known, self.patch, stride=self.patch // 2)[0, 0]

    def sample(self, images: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`(N, D)` of its patches that patterns are learned from, one of several images, and what is seen."""
        patches, seen = self._patches
        values = len(patches) * self.patch**2
        most = max(64, min(_SAMPLES, _SAMPLE_VALUES // values) // images)
        rows, columns = known_positions(self._share, most=most)
        chosen = _as_rows(seen[:, rows, columns]).repeat(1, len(patches))
        return _as_rows(patches[:, rows, columns]), chosen

    def background(self, patterns: Patterns, progress: Progress) -> torch.Tensor:
        """`(C, H, W)` low-rank part, the mean of the four patches over each pixel."""
        patches, seen = self._patches
        channels, rows, columns = patches.shape[:3]
        half = self.patch // 2
        # Of the four patches over a pixel, those that see more count more.
        weights = self._share.square() + 1e-6
        normal, total = torch.zeros_like(self.pixels), torch.zeros_like(self.pixels[:1])
        step = max(1, _CHUNK_VALUES // (columns * channels * self.patch**2))
        for start in range(0, rows, step):
            strip = slice(start, min(start + step, rows))
            progress(start / rows, "background")
            low_rank = patterns.background(
                _as_rows(patches[:, strip].flatten(1, 2)),
                _as_rows(seen[:, strip].flatten(1, 2)).repeat(1, channels),
            )
            lines = slice(strip.start * half, (strip.stop + 1) * half)
            size = (lines.stop - lines.start, self.pixels.shape[-1])
            weight = weights[strip].flatten()
            normal[:, lines] += F.fold((low_rank.T * weight)[None], size, self.patch, stride=half)[0]
            total[:, lines] += F.fold(weight.expand(1, self.patch**2, -1), size, self.patch, stride=half)[0]
        progress(1.0, "background")
        normal /= total
        height, width = self.shape
        return normal[:, half : half + height, half : half + width]


def _as_rows(patches: torch.Tensor) -> torch.Tensor:
    """`(N, C * p * p)` from `(C, N, p, p)`."""
    return patches.transpose(0, 1).flatten(1)
