"""`selfsim`: what the image's own patches cannot explain, tested as noise on discs at several scales."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.protocol import Detector, checked_window
from ssdnet.detectors.rivals.selfsim.nonlocal_means import Memory
from ssdnet.detectors.rivals.selfsim.scale import Scale
from ssdnet.errors import UsageError
from ssdnet.maths.grids import Axis, resample
from ssdnet.maths.pyramid import pyramid
from ssdnet.maths.window import Window
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssdnet.progress import Progress

_WORDS = "similar patches"
"""What progress tells of."""


@dataclass(frozen=True)
class SelfSimilarity(Detector):
    """A-contrario detection in the residual of the image's self-similarity.

    Davy, Ehret, Morel & Delbracio, 'Reducing anomaly detection in images to detection in noise', ICIP 2018;
    Ehret, Davy, Delbracio & Morel, 'How to reduce anomaly detection in images to anomaly detection in noise',
    IPOL 2019.263, the variant on pixels. At each scale the image is predicted by non-local means that look
    outside a guard region, the residual is made Gaussian by a monotone law, and its mean on discs is compared
    with the standard deviation that such means have in the image.

    The score is the largest of those ratios `z` over channels, radii and scales. It ranks as the number of
    false alarms of the paper does, `log10 NFA = log10(tests * erfc(z / sqrt(2)))`, and where the model holds
    its tail is that of a Gaussian, so that `ssdnet.calibration` need not trust the model's own constant.

    Chosen here: the unit of `bandwidth`, since a detector sees no grey levels; the pyramid (that of
    `ssdnet.maths`); patches that reach beyond the edge, compared over what is known, instead of a border
    without score; `stride` and `candidates`, for speed. `published()` has the values of the paper.

    >>> image = torch.sin(torch.arange(48.0) / 2).repeat(1, 48, 1)
    >>> image += 0.1 * torch.randn(1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> image[0, 20:24, 30:34] = 3.0
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> detector = SelfSimilarity(scales=1, stride=4)
    >>> _, (scores,) = detector.fit_score([image], [known], generator=torch.Generator())
    >>> bool(scores[18:26, 28:36].max() == scores.max())
    True
    """

    name: ClassVar[str] = "selfsim"
    summary: ClassVar[str] = "means on discs of the residual that similar patches elsewhere leave"
    assumes: ClassVar[str] = "what is normal repeats in the image, and a defect does not"
    source: ClassVar[str] = "Davy, Ehret, Morel & Delbracio, ICIP 2018; IPOL 2019.263"
    decomposes: ClassVar[bool] = True

    patch: int = 8
    """Side of a patch, pixels of its scale."""
    neighbours: int = 16
    """Similar patches that are averaged."""
    guard: int = 8
    """A patch is not compared with those less than this away both along rows and along columns, pixels of its
    scale. The side of a patch keeps those out that overlap."""
    bandwidth: float = 0.7
    """A similar patch counts by `exp(-(d / bandwidth)**2)`, `d` the root mean square difference in units of
    the image's contrast. The 10 grey levels of the authors' program are that for a contrast of 14."""
    candidates: int | None = 4096
    """Patches to look among, drawn from all of a scale; None takes all, and time grows with the square of the
    pixels."""
    stride: int = 2
    """Pixels from one predicted patch to the next; the paper predicts every one, 1."""
    scales: int = 4
    """Octaves, as far as patches and guard regions fit."""
    radii: tuple[int, ...] = (2, 4)
    """Of the discs, pixels of their scale."""
    gaussian: bool = True
    """Whether the residual is made Gaussian first."""

    def __post_init__(self) -> None:
        check_whole(
            self,
            optional=("candidates",),
            patch=2,
            neighbours=1,
            guard=1,
            candidates=1,
            stride=1,
            scales=1,
        )
        if self.stride > self.patch:
            raise UsageError(f"selfsim: stride must be at most patch, {self.patch}, not {self.stride}")
        check_numbers(self, bandwidth=(1e-6, math.inf))
        radii: object = self.radii
        if not isinstance(radii, tuple) or not radii or any(type(r) is not int or r < 0 for r in radii):
            raise UsageError(f"selfsim: radii must be a tuple of whole numbers from 0 up, not {radii!r}")

    @classmethod
    def published(cls) -> SelfSimilarity:
        """Every patch predicted from all the others, as in the paper; minutes for 512 × 512 pixels."""
        return cls(candidates=None, stride=1)

    @torch.inference_mode()
    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> tuple[SelfSimilarityModel, list[torch.Tensor]]:
        """The model, and the scores; see `Detector.fit_score`."""
        sides = self._sides(min(min(known.shape) for known in valid))
        images = [pyramid(image, known, len(sides)) for image, known in zip(pixels, valid, strict=True)]
        scores = [torch.zeros_like(image[0]) for image in pixels]
        scales = []
        for index, (side, reported) in enumerate(zip(sides, _parts(progress, len(sides)), strict=True)):

            def memory(planes: Sequence[tuple[torch.Tensor, torch.Tensor]], side: int = side) -> Memory:
                return self._memory(planes, side, generator)

            scale, unusual = Scale.fit(
                [levels[index] for levels in images],
                memory,
                gaussian=self.gaussian,
                radii=self.radii,
                progress=reported,
            )
            scales.append(scale)
            for number, (levels, values) in enumerate(zip(images, unusual, strict=True)):
                windows = [level.window for level in levels[: index + 1]]
                scores[number] = torch.maximum(scores[number], _resampled(values, windows[-1], windows))
        return SelfSimilarityModel(tuple(scales)), scores

    def _sides(self, shortest: int) -> list[int]:
        """The shorter side of each scale that patches fit into, with others to be compared with beside."""
        sides = [shortest]
        while len(sides) < self.scales and -(-sides[-1] // 2) >= self.patch + 2 * self.guard:
            sides.append(-(-sides[-1] // 2))
        return sides

    def _memory(
        self, planes: Sequence[tuple[torch.Tensor, torch.Tensor]], side: int, generator: torch.Generator
    ) -> Memory:
        # Where an image is smaller than patches and guard regions need, these shrink with it.
        shrink = min(1.0, side / (self.patch + 2 * self.guard))
        size = max(2, int(self.patch * shrink))
        return Memory.draw(
            planes,
            size=size,
            stride=min(self.stride, size),
            neighbours=self.neighbours,
            guard=max(1, int(self.guard * shrink)),
            bandwidth=self.bandwidth,
            candidates=self.candidates,
            generator=generator,
        )


@dataclass(frozen=True, eq=False)
class SelfSimilarityModel:
    """What `SelfSimilarity` has learned of a surface.

    >>> stripes = torch.sin(torch.arange(48.0) / 2).repeat(1, 48, 1)
    >>> noise = 0.1 * torch.randn(1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> detector = SelfSimilarity(scales=1, stride=4)
    >>> model = detector.fit([stripes + noise], [known], generator=torch.Generator())
    >>> normal = model.reconstruct(stripes + noise, known)
    >>> bool((normal - stripes).square().mean() < noise.square().mean() / 2)
    True
    """

    scales: tuple[Scale, ...]
    """The finest first."""

    @property
    def halo(self) -> int:
        """See `Model.halo`."""
        # Of each scale: what is looked at around a sample, the next one to interpolate with, and what two
        # samples are made of. Then where the coarsest grid may begin.
        reach = max((scale.reach + 3) << index for index, scale in enumerate(self.scales))
        return reach + (1 << len(self.scales))

    @torch.inference_mode()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        window: Window | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """How far the residual's mean on a disc lies from 0, in its own deviations; see `Model.score`."""
        wanted, context = checked_window(pixels, window, self.halo)
        place = context.aligned(1 << len(self.scales))
        rows, columns = place.within(context)
        levels = pyramid(pixels[:, rows, columns], valid[rows, columns], len(self.scales), place)
        scores = torch.zeros(wanted.size, device=pixels.device)
        parts = _parts(progress, len(self.scales))
        for index, (scale, reported) in enumerate(zip(self.scales, parts, strict=True)):
            windows = [wanted, *(level.window for level in levels[1 : index + 1])]
            target = _around(windows)
            values = scale.unusual(levels[index], target, reported)
            scores = torch.maximum(scores, _resampled(values, target, windows))
        return scores

    @torch.inference_mode()
    def reconstruct(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        hidden: torch.Tensor | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """The prediction at full resolution; see `Decomposing.reconstruct`.

        A defect of which several patches are alike explains itself at full resolution, unless it is hidden.
        Patches that the model remembers from a hidden place are forgotten there.
        """
        memory, known = self.scales[0].memory, valid
        if hidden is not None:
            memory, known = memory.without(hidden), valid & ~hidden

        def report(fraction: float) -> None:
            progress(fraction, _WORDS)

        filled = pyramid(pixels, known, 1)[0]
        prediction, weight = memory.predict(filled.pixels[0], known, filled.window, filled.window, report)
        return torch.where(weight > 0, prediction, filled.pixels[0])


def _parts(progress: Progress, scales: int) -> list[Callable[[float], None]]:
    """The progress of each scale, of which the next has a quarter of the pixels."""
    work = [0.25**index for index in range(scales)]

    def of(index: int) -> Callable[[float], None]:
        reported = part(progress, sum(work[:index]) / sum(work), work[index] / sum(work))
        return lambda fraction: reported(min(1.0, fraction), _WORDS)

    return [of(index) for index in range(scales)]


def _axes(windows: Sequence[Window], target: Window | None, device: torch.device) -> tuple[Axis, Axis]:
    """Where the pixels of the first window lie in the scale of the last, along rows and columns.

    Args:
        windows: of the scales, the finest first.
        target: which samples of the last scale are there; None = all.
        device: of the samples.
    """
    first = windows[0]
    spans = (first.top, first.bottom), (first.left, first.right)
    parts = (None, None) if target is None else ((target.top, target.bottom), (target.left, target.right))
    vertical, horizontal = (
        Axis.between([window.shape[axis] for window in windows], device, span=span, part=there)
        for axis, (span, there) in enumerate(zip(spans, parts, strict=True))
    )
    return vertical, horizontal


def _around(windows: Sequence[Window]) -> Window:
    """The samples of the last scale that the pixels of the first window lie between."""
    rows, columns = _axes(windows, None, torch.device("cpu"))
    return Window(
        int(rows.low.min()),
        int(rows.high.max()) + 1,
        int(columns.low.min()),
        int(columns.high.max()) + 1,
        windows[-1].shape,
    )


def _resampled(values: torch.Tensor, target: Window, windows: Sequence[Window]) -> torch.Tensor:
    """Values of some samples of the last scale at the pixels of the first window."""
    return resample(values[:, :, None], *_axes(windows, target, values.device))[:, :, 0]
