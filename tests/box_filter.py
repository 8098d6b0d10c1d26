"""A detector that splits an image into layers and takes no time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.protocol import Decomposition
from ssdnet.errors import DetectorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from ssdnet.progress import Progress

CALLS: list[int] = []
"""How many images each call was given."""


@dataclass(frozen=True)
class BoxFilter:
    """Normal is the mean of the surroundings, the score the distance from it."""

    name: ClassVar[str] = "box"
    summary: ClassVar[str] = "mean of the surroundings"
    assumes: ClassVar[str] = "nothing"
    source: ClassVar[str] = "these tests"
    qualities: ClassVar[Mapping[str, Mapping[str, Any]]] = {"draft": {"size": 3}, "full": {}}

    most: ClassVar[int] = 100
    """Refuses to take more images together."""

    size: int = 5

    def score(
        self, pixels: torch.Tensor, valid: torch.Tensor, *, generator: torch.Generator, progress: Progress
    ) -> torch.Tensor:
        return self.decompose([pixels], [valid], generators=[generator], progress=progress)[0].score

    def decompose(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generators: Sequence[torch.Generator],
        progress: Progress,
    ) -> list[Decomposition]:
        CALLS.append(len(pixels))
        progress(0.5, "filtering, loss 0.25")
        if len(pixels) > self.most:
            raise DetectorError(f"more than {self.most} together")
        reach = self.size // 2
        results = []
        for image in pixels:
            padded = F.pad(image[None], (reach,) * 4, mode="replicate")
            normal = F.avg_pool2d(padded, self.size, stride=1)[0]
            results.append(Decomposition((image - normal).abs().mean(0), normal))
        return results
