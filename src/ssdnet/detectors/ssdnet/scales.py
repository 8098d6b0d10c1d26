"""The image at several scales, global to local: what the network is trained on, and the maps it gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.ssdnet.evidence import RAW_REACH, raw_residual
from ssdnet.detectors.ssdnet.perception import Perception  # noqa: TC001 - files are read by types
from ssdnet.maths.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable


def reduced(pixels: torch.Tensor, valid: torch.Tensor, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An image at `1 / factor` of its resolution: means over blocks of what is known of them.

    Args:
        pixels: `(C, h, w)`; the values at missing pixels have no influence.
        valid: `(h, w)` bool.
        factor: side of a block, pixels; the last may be cut off by the edge.

    Returns:
        `(C, h', w')`, 0 where missing, and `(h', w')` bool: a block is missing if all of it is.

    >>> image, known = torch.arange(4.0).view(1, 1, 4), torch.tensor([[True, False, True, True]])
    >>> [one.tolist() for one in reduced(image, known, 2)]
    [[[[0.0, 2.5]]], [[True, True]]]
    """
    if factor == 1:
        return torch.where(valid, pixels, 0), valid
    height, width = valid.shape
    beside = (0, -width % factor, 0, -height % factor)
    share = F.avg_pool2d(F.pad(valid.to(pixels.dtype), beside)[None], factor)[0]
    total = F.avg_pool2d(F.pad(torch.where(valid, pixels, 0), beside), factor)
    return torch.where(share > 0, total / share.clamp_min(1e-6), 0), share > 0


def reduced_window(window: Window, factor: int) -> Window:
    """Where a part of an image lies at `1 / factor` of its resolution; it begins at a multiple.

    >>> reduced_window(Window(8, 21, 4, 30, (21, 40)), 4)
    Window(top=2, bottom=6, left=1, right=8, shape=(6, 10))
    """
    top, bottom, left, right = window.top, window.bottom, window.left, window.right
    height, width = window.shape
    ends = (-(-end // factor) for end in (bottom, right, height, width))
    bottom, right, height, width = ends
    return Window(top // factor, bottom, left // factor, right, (height, width))


@dataclass(frozen=True, eq=False)
class ScaleMaps:
    """What speaks against a pixel by itself: its residual and how different it looks, at each scale.

    >>> from ssdnet.detectors.ssdnet.perception import Perception
    >>> maps = ScaleMaps((4, 1), residual=True, perception=Perception("windows", "inner", 8, ()))
    >>> image, known = torch.ones(1, 30, 21), torch.ones(30, 21, dtype=torch.bool)
    >>> def predict(pixels, known, window):
    ...     return torch.zeros_like(pixels)
    >>> found = maps.of(image, known, image, Window.whole((30, 21)), predict)
    >>> [tuple(one.shape) for one in found], maps.counts
    ([(30, 21), (30, 21), (30, 21), (30, 21)], (2, 2))
    """

    factors: tuple[int, ...]
    """By which the image is reduced, global to local; the last is 1."""
    residual: bool
    """Whether the residual counts (L2)."""
    perception: Perception | None
    """None = how different it looks does not count."""

    @property
    def counts(self) -> tuple[int, int]:
        """How many maps of the residual, and of how different it looks."""
        seen = 0 if self.perception is None else self.perception.maps_count
        return self.residual * len(self.factors), seen * len(self.factors)

    @property
    def multiple(self) -> int:
        """Windows begin at multiples of this times what the network needs."""
        return math.lcm(*self.factors)

    def halo(self, reach: int) -> int:
        """Pixels of context that a window needs, beginning where it may.

        Args:
            reach: of the network.
        """
        behind = max(RAW_REACH, 0 if self.perception is None else self.perception.reach)
        enlarging = 0 if len(self.factors) == 1 else 2
        return max(self.factors) * (reach + behind + enlarging)

    def of(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        normal: torch.Tensor,
        window: Window,
        predict: Callable[[torch.Tensor, torch.Tensor, Window], torch.Tensor],
    ) -> list[torch.Tensor]:
        """Log distances: of each scale the residual's, then of each scale the perceptual ones.

        Args:
            pixels: `(C, h, w)`.
            valid: `(h, w)` bool.
            normal: `(C, h, w)`, the prediction at the image's own scale.
            window: where the pixels lie.
            predict: gives the prediction of pixels at another scale, from what is valid and where they lie.

        Returns:
            `(h, w)` each.
        """
        residuals, seen = [], []
        for factor in self.factors:
            small, known = reduced(pixels, valid, factor)
            layer = normal if factor == 1 else predict(small, known, reduced_window(window, factor))
            if self.residual:
                rest = torch.where(known, small - layer, 0)
                residuals.append(_enlarged(raw_residual(rest, known), factor, window))
            if self.perception is not None:
                found = self.perception.maps(layer, small, known)
                seen += [_enlarged(one, factor, window) for one in found]
        return residuals + seen


def _enlarged(values: torch.Tensor, factor: int, window: Window) -> torch.Tensor:
    """A map at the resolution of the image, bilinear between the middles of its blocks."""
    if factor == 1:
        return values
    large = F.interpolate(values[None, None], scale_factor=float(factor), mode="bilinear")
    height, width = window.size
    return large[0, 0, :height, :width]
