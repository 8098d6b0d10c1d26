"""`dip`: what a Deep Image Prior has not learned of the image when it is stopped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.ssdnet import SSDnet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from ssdnet.detectors.protocol import Decomposition
    from ssdnet.progress import Progress


@dataclass(frozen=True)
class DIP:
    """Residual of a Deep Image Prior: `SSDnet.deep_image_prior()` with its few settings.

    Ulyanov, Vedaldi & Lempitsky, 'Deep Image Prior', CVPR 2018: a convolutional network that learns to make
    the image from fixed noise learns what is smooth or repeats before what is noisy; stopped in between, it
    leaves the rest out. The authors restore images; the residual as a score is what its followers on
    hyperspectral images take. Network and training are those of `ssdnet` (smaller than the authors', on
    patches of the image), so that the two differ by their principle only.

    Where to stop is its weakness: of a texture finer than its defects, a smooth defect is learned first.
    """

    name: ClassVar[str] = "dip"
    summary: ClassVar[str] = "residual of a network that makes the image from noise and is stopped early"
    assumes: ClassVar[str] = "a texture that is smoother than its defects; some seconds of time"
    source: ClassVar[str] = "Ulyanov et al., CVPR 2018"

    steps: int = 100
    """Training steps: after too few the texture is in the residual, after too many the defect is not."""
    learning_rate: float = 3e-3
    """Of Adam."""
    noise: float = 0.03
    """Standard deviation of the noise added to the input in each step (the authors' `reg_noise_std`)."""

    def __post_init__(self) -> None:
        check_whole(self, steps=1)
        check_numbers(self, learning_rate=(1e-8, 1.0), noise=(0.0, 100.0))

    @property
    def prior(self) -> SSDnet:
        """The detector that does the work."""
        return replace(
            SSDnet.deep_image_prior(), steps=self.steps, learning_rate=self.learning_rate, noise=self.noise
        )

    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,
        progress: Progress,
    ) -> torch.Tensor:
        """Root mean square of the residual, lightly smoothed; see `Detector.score`."""
        return self.prior.score(pixels, valid, generator=generator, progress=progress)

    def decompose(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generators: Sequence[torch.Generator],
        progress: Progress,
    ) -> list[Decomposition]:
        """Train on each image and split it; see `Decomposer.decompose`."""
        return self.prior.decompose(pixels, valid, generators=generators, progress=progress)
