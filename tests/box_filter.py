"""A detector that splits an image into layers and takes no time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.protocol import Detector, whole_only
from ssdnet.errors import DetectorError
from ssdnet.progress import silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from ssdnet.detectors.protocol import Model
    from ssdnet.maths.window import Window
    from ssdnet.progress import Progress

CALLS: list[int] = []
"""How many images each call was given."""


@dataclass(frozen=True)
class BoxFilter(Detector):
    """Normal is the mean of the surroundings, the score the distance from it."""

    name: ClassVar[str] = "box"
    summary: ClassVar[str] = "mean of the surroundings"
    assumes: ClassVar[str] = "nothing"
    source: ClassVar[str] = "these tests"
    qualities: ClassVar[Mapping[str, Mapping[str, Any]]] = {"draft": {"size": 3}, "best": {}}
    windows: ClassVar[bool] = False
    decomposes: ClassVar[bool] = True
    trains: ClassVar[bool] = True

    most: ClassVar[int] = 100
    """Refuses to take more images together."""

    size: int = 5
    """Side of the surroundings, pixels, odd."""

    def fit(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> BoxModel:
        return BoxModel(self.size)

    def fit_each(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generators: Sequence[torch.Generator],
        progress: Progress = silent,
    ) -> Sequence[tuple[Model, torch.Tensor]]:
        CALLS.append(len(pixels))
        progress(0.5, "filtering, loss 0.25")
        if len(pixels) > self.most:
            raise DetectorError(f"more than {self.most} together")
        model = BoxModel(self.size)
        return [(model, model.score(image, known)) for image, known in zip(pixels, valid, strict=True)]


@dataclass(frozen=True)
class BoxModel:
    """Knows nothing but how far to look."""

    size: int

    @property
    def halo(self) -> int:
        return 0

    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        window: Window | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        whole_only("box", window, valid)
        return (pixels - self.reconstruct(pixels, valid)).abs().mean(0)

    def reconstruct(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        hidden: torch.Tensor | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        padded = F.pad(pixels[None], (self.size // 2,) * 4, mode="replicate")
        return F.avg_pool2d(padded, self.size, stride=1)[0]
