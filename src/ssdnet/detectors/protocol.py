"""What a detector is: a frozen configuration with a `score` method, and for some a `decompose` beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from ssdnet.progress import Progress


@runtime_checkable
class Detector(Protocol):
    """A frozen dataclass whose fields are its configuration.

    The class attributes are what `ssdnet detectors` prints.
    """

    name: ClassVar[str]
    """The word on the command line."""
    summary: ClassVar[str]
    """One line: how it works."""
    assumes: ClassVar[str]
    """One line: what must be true of the image."""
    source: ClassVar[str]
    """The paper it comes from."""

    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,
        progress: Progress,
    ) -> torch.Tensor:
        """Score each pixel by how little it belongs.

        Args:
            pixels: `(C, H, W)` float32, each channel centred on its median and divided by its root mean
                square. The values at missing pixels mean nothing and must not influence the result.
            valid: `(H, W)` bool on the same device, False where the pixel is missing.
            generator: the only source of randomness; lives on the CPU.
            progress: called now and then with the share of the work that is done.

        Returns:
            `(H, W)` float32 on the same device, higher = more anomalous, with an upper tail on normal pixels
            that is no heavier than exponential. Values at missing pixels are ignored.
        """
        ...


@dataclass(frozen=True, eq=False)
class Decomposition:
    """What a detector that reconstructs gives for one image."""

    score: torch.Tensor
    """As `Detector.score` returns it."""
    normal: torch.Tensor
    """`(C, H, W)` float32, what the image would be without its anomalies, in the units of the pixels that
    the detector was given; filled in where they are missing."""
    notes: tuple[str, ...] = ()
    """What a person should know."""


@runtime_checkable
class Decomposer(Detector, Protocol):
    """A detector that also says what the image would look like if all of it were normal."""

    def decompose(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generators: Sequence[torch.Generator],
        progress: Progress,
    ) -> list[Decomposition]:
        """Score and reconstruct several images, each from nothing but itself.

        The arguments are those of `score`, one for each image; sizes and channels may differ. Taking several
        at once may be faster than one after the other, and changes results by rounding only; what training
        makes of that in low precision is for the detector to say.
        """
        ...
