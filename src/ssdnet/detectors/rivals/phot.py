"""`phot`: the phase-only transform, which takes from an image whatever repeats in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers
from ssdnet.maths.edges import excess
from ssdnet.maths.gaussian import RobustGaussian
from ssdnet.maths.pyramid import pyramid
from ssdnet.maths.sampling import known_positions
from ssdnet.maths.smoothing import blur

if TYPE_CHECKING:
    from ssdnet.progress import Progress

_SAMPLES = 1 << 17
"""Pixels the mean and covariance of the channels are estimated from, at most."""

_ROUNDING = 1e-5
"""Of the root mean square of all magnitudes: a smaller magnitude is rounding, and has no phase."""


@dataclass(frozen=True)
class PHOT:
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
    """

    name: ClassVar[str] = "phot"
    summary: ClassVar[str] = "phase-only transform: the image with all its frequencies equally strong"
    assumes: ClassVar[str] = "a texture that repeats regularly; small defects; nothing else with edges"
    source: ClassVar[str] = "Aiger & Talbot, CVPR 2010"

    smoothing: float = 5.0
    """Standard deviation of the Gaussian that smooths the transform, pixels."""

    def __post_init__(self) -> None:
        check_numbers(self, smoothing=(0.1, math.inf))

    @torch.inference_mode()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,  # noqa: ARG002 - nothing is random
        progress: Progress,
    ) -> torch.Tensor:
        """Mahalanobis distance of the smoothed phase-only transform; see `Detector.score`."""
        known = valid.to(pixels.dtype)
        planes = []
        for number, plane in enumerate(pyramid(pixels, valid, 1)[0].pixels[0]):
            progress(0.8 * number / len(pixels), "phase")
            planes.append(phase_only(plane) * known)
        progress(0.8, "distance")
        # All frequencies being equally strong, the transform is white: so much noise is left of it.
        noise = blur(known[None], self.smoothing / math.sqrt(2)).clamp_min_(1e-6).sqrt_()
        transform = (blur(torch.stack(planes), self.smoothing) / noise).permute(1, 2, 0)
        samples = transform[known_positions(known, most=_SAMPLES)]
        gaussian = RobustGaussian.fit(
            samples, torch.ones(len(samples), device=samples.device), trim=0.0, rounds=0, shrinkage=1e-3
        )
        logarithm = gaussian.log_distance(transform)
        support = blur(known[None], self.smoothing)[0]
        logarithm -= excess(logarithm, known, support, math.ceil(self.smoothing))
        progress(1.0, "distance")
        return logarithm.exp_()


def phase_only(plane: torch.Tensor) -> torch.Tensor:
    """`(H, W)` inverse Fourier transform of the phases of a `(H, W)` plane, of root mean square 1 or less."""
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
