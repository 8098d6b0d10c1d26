"""`texture`: how unlike the image's own patches each place is, at several scales, gathered along lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.errors import UsageError
from ssdnet.maths.fusion import fuse, squared_distance
from ssdnet.maths.lines import along_lines
from ssdnet.maths.patch_components import PatchComponents
from ssdnet.maths.pyramid import level_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssdnet.progress import Progress

_SMALLEST, _MOST = 16, 8
"""Pixels that the coarsest octave leaves on the shorter side, and how many octaves there are at most."""

_LONGEST = 500.0
"""Standard deviation of the longest line, pixels: its window shall fit into memory."""


@dataclass(frozen=True)
class Texture:
    """Distances of the image's own patches from its robust Gaussian, averaged along short and long lines.

    The statistics are those of Tailanian, Musé & Pardo, ICMLA 2021 (arXiv 2110.02407, here `patchpca`), on
    patches of two sizes and at one octave more; the distance is that of Reed & Yu, IEEE TASSP 1990. Ours: the
    lines (`ssdnet.maths.lines`), the sum in units of what is usual (`ssdnet.maths.fusion`).
    docs/lab-notes.md has what each choice is worth.
    """

    name: ClassVar[str] = "texture"
    summary: ClassVar[str] = (
        "distance of principal components of patches, at several scales, averaged along lines"
    )
    assumes: ClassVar[str] = "one texture, in any light, on most of the image; no noise-free drawing"
    source: ClassVar[str] = "Tailanian et al., ICMLA 2021; Reed & Yu, IEEE TASSP 1990; the lines are ours"

    levels: int | None = None
    """Octaves of the pyramid; None takes as many as leave 16 pixels on the shorter side."""
    patches: tuple[int, ...] = (5, 3)
    """Sides of the patches, pixels of their level, odd."""
    components: tuple[int, ...] = (12, 8)
    """Leading principal components that are looked at, for each size of patch."""
    trim: float = 0.25
    """Share of the patches, the most distant, that the Gaussian leaves out; in [0, 1)."""
    rounds: int = 2
    """How often the Gaussian is estimated again without them."""
    shrinkage: float = 0.1
    """Added to the variance of each component as a share of it."""
    lengths: tuple[float, ...] = (3.0, 20.0)
    """Standard deviations along the line of the windows that are averaged over, pixels of the image."""
    widths: tuple[float, ...] = (0.7, 1.0)
    """The same across the line, for each length."""

    def __post_init__(self) -> None:
        check_whole(self, optional=("levels",), levels=1, rounds=0)
        check_numbers(self, trim=(0, 1), shrinkage=(1e-6, math.inf))
        _check_pair(self, "patches", "components", lambda item: isinstance(item, int) and item >= 1)
        _check_pair(self, "lengths", "widths", lambda item: 0.1 <= item <= _LONGEST)
        if any(patch % 2 == 0 for patch in self.patches):
            raise UsageError(f"texture: patches must be odd, not {self.patches!r}")

    @property
    def patch_components(self) -> list[PatchComponents]:
        """One for each size of patch."""
        return [
            PatchComponents(patch, count, trim=self.trim, rounds=self.rounds, shrinkage=self.shrinkage)
            for patch, count in zip(self.patches, self.components, strict=True)
        ]

    @torch.inference_mode()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,  # noqa: ARG002 - nothing is random
        progress: Progress,
    ) -> torch.Tensor:
        """The squared distance whose logarithm is the mean of those of all windows; see `Detector.score`."""
        maps = self.log_distances(pixels, valid, progress=progress)
        return squared_distance(fuse([(1.0, values) for values in maps], valid), valid)

    def log_distances(
        self, pixels: torch.Tensor, valid: torch.Tensor, *, progress: Progress
    ) -> list[torch.Tensor]:
        """Log distances averaged along lines, one `(H, W)` map for each length; arguments as of `score`."""
        levels = self.levels or level_count(*valid.shape, smallest=_SMALLEST, most=_MOST)
        maps = []
        for number, components in enumerate(self.patch_components):

            def report(share: float, done: int = number) -> None:
                progress(0.7 * (done + share) / len(self.patches), "patches")

            maps.append((1.0, components.log_distance(pixels, valid, levels, progress=report)))
        progress(0.7, "lines")
        lines = self.along_lines(fuse(maps, valid), valid)
        progress(1.0, "lines")
        return lines

    def along_lines(self, values: torch.Tensor, valid: torch.Tensor) -> list[torch.Tensor]:
        """A `(H, W)` map of log distances averaged along lines, one map for each length.

        Args:
            values: `(H, W)`.
            valid: `(H, W)` bool, True somewhere.
        """
        return [
            along_lines(values, valid, length=length, width=width)
            for length, width in zip(self.lengths, self.widths, strict=True)
        ]


def _check_pair(detector: Texture, first: str, second: str, right: Callable[[float], bool]) -> None:
    """Refuse two fields that are not tuples of one length, not empty, of what is right.

    Raises:
        UsageError: which, and what they may be.
    """
    for name in (first, second):
        values = getattr(detector, name)
        numbers = isinstance(values, tuple) and all(
            isinstance(item, (int, float)) and not isinstance(item, bool) and right(item) for item in values
        )
        if not numbers or not values or len(values) != len(getattr(detector, first)):
            raise UsageError(
                f"texture: {first} and {second} must be tuples of as many positive numbers, none huge, not "
                f"{getattr(detector, first)!r} and {getattr(detector, second)!r}"
            )
