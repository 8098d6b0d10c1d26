"""`selfsim`: what the image's own patches cannot explain, tested as noise on discs at several scales."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.protocol import Decomposition
from ssdnet.detectors.rivals.selfsim.patches import nonlocal_mean
from ssdnet.errors import UsageError
from ssdnet.maths.grids import Axis, resample
from ssdnet.maths.pyramid import pyramid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssdnet.progress import Progress

_EXPONENTS = tuple(tenth / 10 for tenth in range(5, 15))
"""Powers of the residual that are tried."""
_BINS = 20
"""Of the histogram that says how well a law fits."""
_WHOLE = 0.9
"""Of what most pixels of a scale were made of, by which one of them counts as known."""
_FAR = 80.0
"""Beyond so many scales of a Laplace law its tail is less than the smallest float32."""


@dataclass(frozen=True)
class SelfSimilarity:
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
    """

    name: ClassVar[str] = "selfsim"
    summary: ClassVar[str] = "means on discs of the residual that similar patches elsewhere leave"
    assumes: ClassVar[str] = "what is normal repeats in the image, and a defect does not"
    source: ClassVar[str] = "Davy, Ehret, Morel & Delbracio, ICIP 2018; IPOL 2019.263"

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

    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,
        progress: Progress,
    ) -> torch.Tensor:
        """How far the residual's mean on a disc lies from 0, in its own deviations; see `Detector.score`."""
        parts = self.decompose([pixels], [valid], generators=[generator], progress=progress)
        return parts[0].score

    @torch.inference_mode()
    def decompose(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generators: Sequence[torch.Generator],
        progress: Progress,
    ) -> list[Decomposition]:
        """Score, and the prediction at full resolution; see `Decomposer.decompose`.

        A defect of which several patches are alike explains itself at full resolution, and is then seen in
        the normal layer although coarser scales find it.
        """
        results = []
        for index, (image, known, generator) in enumerate(zip(pixels, valid, generators, strict=True)):

            def report(fraction: float, message: str, done: int = index) -> None:
                progress((done + fraction) / len(pixels), message)

            results.append(self._decompose(image, known, generator, report))
        return results

    def _decompose(
        self, pixels: torch.Tensor, valid: torch.Tensor, generator: torch.Generator, progress: Progress
    ) -> Decomposition:
        levels = pyramid(pixels, valid, max(2, self.scales))
        sizes = [tuple(level.known.shape[-2:]) for level in levels]
        used = [index for index, size in enumerate(sizes[: self.scales]) if index == 0 or self._fits(size)]
        work = sum(0.25**index for index in used)
        score, normal, done = torch.zeros_like(pixels[0]), pixels, 0.0
        for index in used:
            values, share = levels[index].pixels[0], levels[index].known[0, 0]
            # Beside edges and holes a coarse pixel is the mean of less: nothing inside is its like.
            known = share >= _WHOLE * share[share > 0].median()
            part = 0.25**index / work

            def report(fraction: float, done: float = done, part: float = part) -> None:
                progress(min(1.0, done + part * fraction), "similar patches")

            prediction, weight = self._predict(values, known, generator, report)
            done += part
            if index == 0:
                normal = torch.where(weight > 0, prediction, values)
            known = known & (weight > 0)
            deviations = self._deviations(torch.where(known, values - prediction, 0), known)
            vertical, horizontal = (
                Axis.between(list(lengths), pixels.device)
                for lengths in zip(*sizes[: index + 1], strict=True)
            )
            deviations = resample(deviations[:, :, None], vertical, horizontal)[:, :, 0]
            score = torch.maximum(score, deviations)
        return Decomposition(score, normal)

    def _fits(self, size: tuple[int, ...]) -> bool:
        """Whether patches have others to be compared with on both sides."""
        return min(size) >= self.patch + 2 * self.guard

    def _predict(
        self,
        values: torch.Tensor,
        known: torch.Tensor,
        generator: torch.Generator,
        report: Callable[[float], None],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # Where an image is smaller than that, patch and guard region shrink with it.
        shrink = min(1.0, min(known.shape) / (self.patch + 2 * self.guard))
        size = max(2, int(self.patch * shrink))
        return nonlocal_mean(
            values,
            known,
            size=size,
            stride=min(self.stride, size),
            neighbours=self.neighbours,
            guard=max(1, int(self.guard * shrink)),
            bandwidth=self.bandwidth,
            candidates=self.candidates,
            generator=generator,
            progress=report,
        )

    def _deviations(self, residual: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """`(h, w)`, the largest over channels and radii of a mean on a disc in units of its deviation."""
        if self.gaussian:
            residual = made_gaussian(residual)
        means = [disc_means(residual, known, radius) for radius in self.radii]
        return torch.stack([standardized(mean, known) for mean in means]).amax((0, 1))


def made_gaussian(residual: torch.Tensor) -> torch.Tensor:
    """Each channel of `(C, h, w)` by the monotone law that makes it most nearly standard Gaussian.

    Of `sign(r) * |r|**a`, with `a` from 0.5 to 1.4, it is asked whether it follows a Laplace or a Gaussian
    law of its own variance; the law whose cumulative histogram differs least is turned into a Gaussian (as in
    the program of IPOL 2019.263). Zeros are left out of the estimate and stay 0.
    """
    return torch.stack([_made_gaussian(plane.flatten()).view_as(plane) for plane in residual])


def _made_gaussian(residual: torch.Tensor) -> torch.Tensor:
    sample = residual[residual != 0].sort().values
    if len(sample) < _BINS:
        return residual
    edges = torch.arange(1, _BINS, device=sample.device) / _BINS
    # Quantiles of laws of unit scale.
    laplace = -(1 - 2 * (edges - 0.5).abs()).log() * (edges - 0.5).sign()
    gauss = torch.special.ndtri(edges)
    size = sample.abs()
    size /= size.max()  # or a power of it may be beyond float32
    best, law = math.inf, (1.0, 1.0, False)
    for exponent in _EXPONENTS:
        powers = size**exponent
        variance = (powers.square().mean() - (powers * sample.sign()).mean().square()).item()
        for quantiles, scale, heavy in (
            (laplace, math.sqrt(variance / 2), True),
            (gauss, math.sqrt(variance), False),
        ):
            # The power is monotone: quantiles are taken back instead of each pixel forth.
            limits = quantiles.sign() * (quantiles.abs() * scale) ** (1 / exponent) * sample.abs().max()
            shares = torch.searchsorted(sample, limits) / len(sample)
            misfit = (shares - edges).square().sum().item()
            if scale > 0 and misfit < best:
                best, law = misfit, (exponent, scale, heavy)
    exponent, scale, heavy = law
    size = (residual.abs() / sample.abs().max()) ** exponent / scale
    return residual.sign() * (laplace_to_gaussian(size) if heavy else size)


def laplace_to_gaussian(size: torch.Tensor) -> torch.Tensor:
    """The size that a standard Gaussian exceeds as often as a Laplace law of unit scale exceeds `size`."""
    inside = -torch.special.ndtri(0.5 * torch.exp(-size.clamp_max(_FAR)))
    # The logarithm of a Gaussian tail is -z**2 / 2, but for terms that hardly grow any more.
    return torch.sqrt(inside.square() + 2 * (size - _FAR).clamp_min(0))


def disc_means(residual: torch.Tensor, known: torch.Tensor, radius: int) -> torch.Tensor:
    """`(C, h, w)`: means of `(C, h, w)` values, 0 where unknown, over the known pixels of discs.

    A mean over a part of the disc is scaled down by the root of that part, so that white noise deviates as
    much everywhere.
    """
    offset = torch.arange(-radius, radius + 1, device=residual.device)
    disc = (offset[:, None] ** 2 + offset**2 <= radius**2).to(residual.dtype)
    both = torch.cat([residual, known[None].to(residual.dtype)])[:, None]
    totals = F.conv2d(both, disc[None, None], padding=radius)[:, 0]
    return totals[:-1] / (totals[-1].clamp_min(1) * disc.sum()).sqrt()


def standardized(means: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """`(C, h, w)`: sizes of means in units of their root mean square over the known pixels."""
    deviation = means[:, known].square().mean(1).sqrt()
    # Where nothing is left, nothing deviates.
    return means.abs() / torch.where(deviation > 0, deviation, 1)[:, None, None]
