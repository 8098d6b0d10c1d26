"""How unusual each patch of an image is among all its patches, at several scales, by principal components.

Patches are projected on the directions in which the patches of this image vary most, which serve as filters,
and the distance to the image's own robust Gaussian says how unusual a patch is (Tailanian, Musé & Pardo,
ICMLA 2021, arXiv 2110.02407).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.edges import excess
from ssdnet.maths.gaussian import RobustGaussian, principal_components
from ssdnet.maths.grids import Axis, resample
from ssdnet.maths.pyramid import pad, pyramid
from ssdnet.maths.sampling import STRIP_POSITIONS, known_positions

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssdnet.maths.pyramid import Level

_SAMPLES = 1 << 14
"""Patches the components are estimated from, at most."""

_SAMPLE_VALUES = 1 << 24
"""Values these patches may have together: of images with many channels there are fewer."""


@dataclass(frozen=True)
class PatchComponents:
    """Which components of which patches are looked at, and how their Gaussian is estimated."""

    patch: int
    """Side of a patch, pixels of its level, odd."""
    count: int
    """Leading principal components that are looked at; all, when a patch has fewer values."""
    trim: float
    """Share of the patches, the most distant, that the Gaussian leaves out; in [0, 1)."""
    rounds: int
    """How often the Gaussian is estimated again without them."""
    shrinkage: float
    """Added to the variance of each component as a share of it."""

    def log_distance(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        levels: int,
        *,
        progress: Callable[[float], None],
    ) -> torch.Tensor:
        """`(H, W)` mean over the scales of the log distance of the patch around each pixel.

        Positions along edges and beside holes are compared with each other (`statistics.excess`).

        Args:
            pixels: `(C, H, W)` float32; values where `valid` is False are not used.
            valid: `(H, W)` bool, True somewhere.
            levels: octaves of the pyramid.
            progress: called before each scale with the share of the work that is done.
        """
        scales = pyramid(pixels, valid, levels)
        sizes = [tuple(scale.known.shape[-2:]) for scale in scales]
        reach = self.patch // 2
        logarithm, support = (torch.zeros(valid.shape, device=pixels.device) for _ in range(2))
        for number, scale in enumerate(scales):
            progress(number / len(scales))
            share = F.avg_pool2d(F.pad(scale.known, (reach,) * 4), self.patch, stride=1)[0, 0]
            vertical, horizontal = (
                Axis.between([size[axis] for size in sizes[: number + 1]], pixels.device) for axis in (0, 1)
            )
            for total, values in ((logarithm, self._at_one_scale(scale, share)), (support, share)):
                total += resample(values[:, :, None], vertical, horizontal)[:, :, 0] / len(scales)
        known = valid.to(pixels.dtype)
        return logarithm - excess(logarithm, known, support, (reach + 1) * 2 ** (len(scales) - 1))

    def _at_one_scale(self, scale: Level, share: torch.Tensor) -> torch.Tensor:
        """`(h, w)` log distance of the patch around each position of one scale.

        Args:
            scale: its pixels.
            share: `(h, w)`, how much of each patch is known, in [0, 1].
        """
        reach = self.patch // 2
        padded = pad(scale.pixels, reach)
        patches = padded[0].unfold(1, self.patch, 1).unfold(2, self.patch, 1)
        values = len(patches) * self.patch**2
        rows, columns = known_positions(share, most=max(64, min(_SAMPLES, _SAMPLE_VALUES // values)))
        samples = patches[:, rows, columns].permute(1, 0, 2, 3).flatten(1)
        mean = samples.mean(dim=0)
        components = principal_components(samples - mean, self.count)
        gaussian = RobustGaussian.fit(
            (samples - mean) @ components,
            share[rows, columns],
            trim=self.trim,
            rounds=self.rounds,
            shrinkage=self.shrinkage,
        )
        # Projection, centring and whitening are one convolution.
        filters = components @ gaussian.whitening
        centre = mean @ filters + gaussian.mean @ gaussian.whitening
        kernels = filters.T.reshape(filters.shape[1], -1, self.patch, self.patch)
        logarithm = torch.empty_like(share)
        height, width = share.shape
        step = max(1, STRIP_POSITIONS // width)
        for start in range(0, height, step):
            strip = padded[:, :, start : min(start + step, height) + 2 * reach]
            coefficients = F.conv2d(strip, kernels, bias=-centre)[0]
            logarithm[start : start + step] = 0.5 * coefficients.square_().sum(0).clamp_min_(1e-12).log_()
        return logarithm
