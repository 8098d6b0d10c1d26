"""`phot`: the phase-only transform, which takes from an image whatever repeats in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers
from ssdnet.detectors.protocol import Detector, whole_only
from ssdnet.maths.edges import Excess, Seen
from ssdnet.maths.gaussian import RobustGaussian
from ssdnet.maths.pyramid import pyramid
from ssdnet.maths.sampling import known_positions
from ssdnet.maths.smoothing import blur
from ssdnet.maths.window import Window
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.progress import Progress

_SAMPLES = 1 << 17
"""Pixels the mean and covariance of the channels are estimated from, at most."""

_ROUNDING = 1e-5
"""Of the root mean square of all magnitudes: a smaller magnitude is rounding, and has no phase."""


@dataclass(frozen=True)
class PHOT(Detector):
    """Phase-only transform (PHOT), then the Mahalanobis distance of what is left.

    Aiger & Talbot, 'The phase only transform for unsupervised surface defect detection', CVPR 2010. A texture
    that repeats has its energy in few frequencies, a defect in all of them; with every magnitude set to 1,
    the texture is left with its few shares of the energy and the defect stands out. The paper takes grey
    images and thresholds the Mahalanobis distance of the smoothed transform. Chosen here: the width of the
    Gaussian; the covariance of the channels for several of them; and what is done at the edge, where the
    Fourier transform continues the image by its opposite side. The jump in between is taken out before
    (periodic plus smooth decomposition, Moisan, J. Math. Imaging Vision 2011); the smoothed transform is
    divided by what white noise would have there; and since a period that does not fit still breaks off,
    distances along the edge are compared with each other as in `rx`. Missing pixels are filled in from
    coarser scales.

    >>> image = torch.sin(torch.arange(64.0) * torch.pi / 4).repeat(1, 64, 1)
    >>> image[0, 30:33, 20:23] = 3.0
    >>> known = torch.ones(64, 64, dtype=torch.bool)
    >>> _, (scores,) = PHOT(smoothing=2.0).fit_score([image], [known], generator=torch.Generator())
    >>> bool(scores[27:36, 17:26].max() == scores.max())
    True
    """

    name: ClassVar[str] = "phot"
    summary: ClassVar[str] = "phase-only transform: the image with all its frequencies equally strong"
    assumes: ClassVar[str] = "a texture that repeats regularly; small defects; nothing else with edges"
    source: ClassVar[str] = "Aiger & Talbot, CVPR 2010"
    windows: ClassVar[bool] = False

    smoothing: float = 5.0
    """Standard deviation of the Gaussian that smooths the transform, pixels."""

    def __post_init__(self) -> None:
        check_numbers(self, smoothing=(0.1, math.inf))

    @torch.no_grad()
    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,  # noqa: ARG002 - nothing is random
        progress: Progress = silent,
    ) -> tuple[PHOTModel, list[torch.Tensor]]:
        """The model, and the scores; see `Detector.fit_score`."""
        transforms = [
            _transform(image, known, self.smoothing, part(progress, number / len(pixels), 0.8 / len(pixels)))
            for number, (image, known) in enumerate(zip(pixels, valid, strict=True))
        ]
        progress(0.8, "distance")
        most = _SAMPLES // len(pixels)
        samples = torch.cat(
            [
                transform[known_positions(known.to(transform.dtype), most=most)]
                for transform, known in zip(transforms, valid, strict=True)
            ]
        )
        gaussian = RobustGaussian.fit(
            samples, torch.ones(len(samples), device=samples.device), trim=0.0, rounds=0, shrinkage=1e-3
        )
        seen = [
            _seen(gaussian.log_distance(transform), known, self.smoothing)
            for transform, known in zip(transforms, valid, strict=True)
        ]
        model = PHOTModel(gaussian, Excess.fit(seen, math.ceil(self.smoothing)), self.smoothing)
        progress(1.0, "distance")
        return model, [model.finish(one) for one in seen]


@dataclass(frozen=True, eq=False)
class PHOTModel:
    """What `PHOT` has learned of a surface. A Fourier transform takes the whole image.

    >>> cloth = torch.randn(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> model = PHOT(smoothing=2.0).fit([cloth[0]], [known], generator=torch.Generator())
    >>> cloth[1, 0, 20:24, 30:34] += 8.0  # another piece, with a spot
    >>> scores = model.score(cloth[1], known)
    >>> bool(scores[17:27, 27:37].max() == scores.max())
    True
    """

    gaussian: RobustGaussian
    excess: Excess
    smoothing: float
    """See `PHOT`."""

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
        """Mahalanobis distance of the smoothed phase-only transform; see `Model.score`."""
        whole_only(PHOT.name, window, valid)
        transform = _transform(pixels, valid, self.smoothing, progress)
        return self.finish(_seen(self.gaussian.log_distance(transform), valid, self.smoothing))

    def finish(self, seen: Seen) -> torch.Tensor:
        """`(H, W)` scores from log distances."""
        place = Window.whole((seen.known.shape[0], seen.known.shape[1]))
        return (seen.logarithm - self.excess.of(seen, place)).exp_()


def _seen(logarithm: torch.Tensor, valid: torch.Tensor, smoothing: float) -> Seen:
    known = valid.to(logarithm.dtype)
    return Seen(logarithm, known, blur(known[None], smoothing)[0])


def _transform(
    pixels: torch.Tensor, valid: torch.Tensor, smoothing: float, progress: Progress
) -> torch.Tensor:
    """`(H, W, C)` smoothed phase-only transform, in units of what white noise would have there."""
    known = valid.to(pixels.dtype)
    planes = []
    for number, plane in enumerate(pyramid(pixels, valid, 1)[0].pixels[0]):
        progress(number / len(pixels), "phase")
        planes.append(phase_only(plane) * known)
    # All frequencies being equally strong, the transform is white: so much noise is left of it.
    noise = blur(known[None], smoothing / math.sqrt(2)).clamp_min_(1e-6).sqrt_()
    return (blur(torch.stack(planes), smoothing) / noise).permute(1, 2, 0)


def phase_only(plane: torch.Tensor) -> torch.Tensor:
    """`(H, W)` inverse Fourier transform of the phases of a `(H, W)` plane, of root mean square 1 or less.

    >>> plane = torch.zeros(8, 8)
    >>> plane[4, 4] = 0.01  # a point has all frequencies, each as strong: nothing but its size changes
    >>> transform = phase_only(plane)
    >>> divmod(int(transform.argmax()), 8), round(float(transform[4, 4]), 3)
    ((4, 4), 8.0)
    """
    spectrum = torch.fft.rfft2(plane) - _smooth_part(plane)
    magnitude = spectrum.abs()
    counts = magnitude > _ROUNDING * magnitude.square().mean().sqrt()
    phases = torch.where(counts, spectrum / magnitude.clamp_min(torch.finfo(plane.dtype).tiny), 0)
    transform: torch.Tensor = torch.fft.irfft2(phases, s=plane.shape, norm="ortho")
    return transform


def _smooth_part(plane: torch.Tensor) -> torch.Tensor:
    """Spectrum of the smooth image that jumps from each edge to the opposite one as the plane does.

    Moisan 2011, section 2.3: its discrete Laplacian is that of the jumps, its mean 0.
    """
    height, width = plane.shape
    jumps = torch.zeros_like(plane)
    for line, opposite, jump in (
        (jumps[0], jumps[-1], plane[-1] - plane[0]),
        (jumps[:, 0], jumps[:, -1], plane[:, -1] - plane[:, 0]),
    ):
        line += jump
        opposite -= jump
    rows, columns = (
        2 * torch.cos(2 * math.pi * torch.arange(count, device=plane.device) / size)
        for count, size in ((height, height), (width // 2 + 1, width))
    )
    laplacian = rows[:, None] + columns - 4
    laplacian[0, 0] = 1.0  # the sum of the jumps is 0
    spectrum: torch.Tensor = torch.fft.rfft2(jumps)
    return spectrum / laplacian
