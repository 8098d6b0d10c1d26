"""`dip`: what a Deep Image Prior has not learned of the image when it is stopped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.protocol import Detector, one_image
from ssdnet.detectors.ssdnet import SSDnet
from ssdnet.detectors.ssdnet.model import SSDnetModel  # noqa: TC001 - model files are read by it
from ssdnet.progress import silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from ssdnet.progress import Progress


@dataclass(frozen=True)
class DIP(Detector):
    """Residual of a Deep Image Prior: `SSDnet.deep_image_prior()` with its few settings.

    Ulyanov, Vedaldi & Lempitsky, 'Deep Image Prior', CVPR 2018: a convolutional network that learns to make
    the image from fixed noise learns what is smooth or repeats before what is noisy; stopped in between, it
    leaves the rest out. The authors restore images; the residual as a score is what its followers on
    hyperspectral images take. Network and training are those of `ssdnet` (smaller than the authors', on
    patches of the image), so that the two differ by their principle only.

    Where to stop is its weakness: of a texture finer than its defects, a smooth defect is learned first.

    >>> training = DIP(steps=50).prior.training
    >>> training.steps, training.input
    (50, 'noise')
    """

    name: ClassVar[str] = "dip"
    summary: ClassVar[str] = "residual of a network that makes the image from noise and is stopped early"
    assumes: ClassVar[str] = "a texture that is smoother than its defects; some seconds of time"
    source: ClassVar[str] = "Ulyanov et al., CVPR 2018"
    windows: ClassVar[bool] = False
    decomposes: ClassVar[bool] = True
    trains: ClassVar[bool] = True

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
        published = SSDnet.deep_image_prior()
        training = replace(
            published.training, steps=self.steps, learning_rate=self.learning_rate, noise=self.noise
        )
        return replace(published, training=training)

    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> tuple[SSDnetModel, list[torch.Tensor]]:
        """Root mean square of the residual, lightly smoothed; see `Detector.fit_score`."""
        one_image(self.name, len(pixels))
        return self.prior.fit_score(pixels, valid, generator=generator, progress=progress)

    def fit_each(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generators: Sequence[torch.Generator],
        progress: Progress = silent,
    ) -> list[tuple[SSDnetModel, torch.Tensor]]:
        """Train on several images side by side; see `Detector.fit_each`."""
        return self.prior.fit_each(pixels, valid, generators=generators, progress=progress)
