"""From a trained network to what speaks against each pixel, in maps of log distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.edges import Excess, Seen
from ssdnet.maths.fusion import Fusion
from ssdnet.maths.gaussian import RobustGaussian
from ssdnet.maths.patch_components import PatchModel
from ssdnet.maths.sampling import central_grid
from ssdnet.maths.smoothing import smooth
from ssdnet.progress import silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.maths.patch_components import PatchComponents
    from ssdnet.maths.window import Window

_SAMPLES = 1 << 16
"""Positions a Gaussian is estimated from, at most."""
_TRIM, _ROUNDS, _SHRINKAGE = 0.25, 2, 0.1  # as in `rx`
_SMOOTHING = 3.0  # of a map, standard deviation, pixels
_REACH = 24  # pixels from the edge at which learned features still look beyond it
_SUPPORT = 9  # side of the box, positions, whose known share says how much learned features saw
_STRIP = 256  # rows of features worked on at once

LEARNED_REACH = _REACH
RAW_REACH = 3
"""Pixels around its own that `raw_residual` looks at."""


def raw_residual(residual: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """`(H, W)` log of the residual's root mean square over channels: what the paper's description scores.

    Args:
        residual: `(C, H, W)`, image minus prediction; 0 where missing.
        valid: `(H, W)` bool.

    >>> logarithm = raw_residual(torch.full((3, 8, 8), -0.5), torch.ones(8, 8, dtype=torch.bool))
    >>> round(float(logarithm[4, 4].exp()), 3)
    0.5
    """
    known = valid.to(residual.dtype)
    return 0.5 * smooth(residual.square().mean(dim=0), known, 1.0).clamp_min(1e-12).log()


@dataclass(frozen=True, eq=False)
class ResidualPatches:
    """What patches of the residual are like, at full resolution.

    What a patch of the residual has in common, such as a sign or a direction, is a principal component of
    them: a faint line or spot shows whose single residuals are no larger than the texture's.

    >>> from ssdnet.maths.patch_components import PatchComponents
    >>> residual = torch.randn(1, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> residual[0, 10:13, 20:23] = 2.0  # no residual is large for itself, but nine alike are unusual
    >>> components = PatchComponents(patch=3, count=9, trim=0.25, rounds=2, shrinkage=0.1)
    >>> known = torch.ones(32, 32, dtype=torch.bool)
    >>> patches, (distance,) = ResidualPatches.fit([residual], [known], [components])
    >>> bool(distance[11, 21] > distance.quantile(0.99))
    True
    """

    scale: float
    """Root mean square of the residual."""
    patches: PatchModel
    sizes: Fusion
    """Of the sizes of patches."""

    @classmethod
    def fit(
        cls,
        residuals: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        components: Sequence[PatchComponents],
    ) -> tuple[ResidualPatches, list[torch.Tensor]]:
        """Learn them, of one image or of several of one surface.

        Args:
            residuals: `(C, H, W)` each, image minus prediction; 0 where missing.
            valid: `(H, W)` bool each.
            components: one for each size of patch.

        Returns:
            What was learned, and of each image the `(H, W)` log distances.
        """
        squares = torch.stack([residual.square().mean() for residual in residuals])
        scale = float(squares.mean().sqrt().clamp_min(1e-6))
        scaled = [residual / scale for residual in residuals]
        patches, maps = PatchModel.fit(scaled, valid, components, 1, silent)
        sizes = Fusion.fit(maps, valid)
        return cls(scale, patches, sizes), [sizes.of(values) for values in maps]

    def of(self, residual: torch.Tensor, valid: torch.Tensor, window: Window) -> torch.Tensor:
        """`(h, w)` log distances of a window that begins at even rows and columns."""
        maps, _ = self.patches.log_distances(residual / self.scale, valid, window)
        return self.sizes.of(maps)


@dataclass(frozen=True, eq=False)
class LearnedFeatures:
    """What the features of the decoder's finest level are like, at half the resolution.

    >>> from ssdnet.maths.window import Window
    >>> values = torch.randn(32, 32, 2, generator=torch.Generator().manual_seed(0))
    >>> values[10:13, 20:23] += 8.0
    >>> pooled = PooledFeatures(values, known=torch.ones(32, 32), window=Window.whole((64, 64)))
    >>> learned, (distance,) = LearnedFeatures.fit([pooled])
    >>> tuple(distance.shape), bool(distance[20:26, 40:46].max() == distance.max())
    ((64, 64), True)
    """

    middle: torch.Tensor
    """`(K,)`, their median: the Gaussian's arithmetic is float32."""
    gaussian: RobustGaussian
    excess: Excess

    @classmethod
    def fit(cls, images: Sequence[PooledFeatures]) -> tuple[LearnedFeatures, list[torch.Tensor]]:
        """Learn them; also gives `of` for each image."""
        samples, weights = zip(*(image.samples() for image in images), strict=True)
        sample = torch.cat(samples)
        middle = sample.median(dim=0).values
        gaussian = RobustGaussian.fit(
            sample - middle, torch.cat(weights), trim=_TRIM, rounds=_ROUNDS, shrinkage=_SHRINKAGE
        )
        seen = [image.seen(middle, gaussian) for image in images]
        learned = cls(middle, gaussian, Excess.fit(seen, _REACH // 2))
        return learned, [learned._finished(image, one) for image, one in zip(images, seen, strict=True)]

    def of(self, image: PooledFeatures) -> torch.Tensor:
        """`(h, w)` log distances at the resolution of the image."""
        return self._finished(image, image.seen(self.middle, self.gaussian))

    def _finished(self, image: PooledFeatures, seen: Seen) -> torch.Tensor:
        logarithm = seen.logarithm - self.excess.of(seen, image.window.halved())
        logarithm = smooth(logarithm, image.known, _SMOOTHING / 2)
        # Bilinear, aligned at the corners of the samples: half a sample is kept outside on each side.
        large = F.interpolate(logarithm[None, None], scale_factor=2.0, mode="bilinear")
        height, width = image.window.size
        return large[0, 0, :height, :width]


@dataclass(frozen=True, eq=False)
class PooledFeatures:
    """Features of one image, or of a window that begins at even rows and columns.

    >>> from ssdnet.detectors.ssdnet.blind import framed
    >>> from ssdnet.detectors.ssdnet.network import Network
    >>> from ssdnet.maths.window import Window
    >>> network, known = Network(1, (4, 6)), torch.ones(24, 31, dtype=torch.bool)
    >>> frame, inside = framed(torch.zeros(1, 24, 31), known, network.multiple)
    >>> decoded = network.decoded(frame)[0]
    >>> tuple(PooledFeatures.of(decoded, inside, known, Window.whole((24, 31))).values.shape)
    (12, 16, 4)
    """

    values: torch.Tensor
    """`(h, w, K)`."""
    known: torch.Tensor
    """`(h, w)`, in [0, 1]."""
    window: Window
    """Of the image, at its own resolution."""

    @classmethod
    def of(
        cls, decoded: torch.Tensor, inside: tuple[slice, slice], valid: torch.Tensor, window: Window
    ) -> PooledFeatures:
        """Pool what the decoder made.

        Args:
            decoded: `(1, K, h, w)`, the first of `Network.decoded` of a `framed` image, with what is missing
                filled in.
            inside: where in the frame the image is, pixels.
            valid: `(H, W)` bool.
            window: where it lies.
        """
        height, width = valid.shape
        rows, columns = -(-height // 2), -(-width // 2)
        top, left = (part.start // 2 for part in inside)
        beside = (0, columns * 2 - width, 0, rows * 2 - height)
        known = F.avg_pool2d(F.pad(valid.float(), beside)[None, None], 2)[0, 0]
        pooled = F.avg_pool2d(decoded.float().abs(), 3, 1, padding=1, count_include_pad=False)
        values = pooled[0, :, top : top + rows, left : left + columns].permute(1, 2, 0)
        return cls(values, known, window)

    def samples(self) -> tuple[torch.Tensor, torch.Tensor]:
        """`(N, K)` features of positions that stand for all, and `(N,)` how much each is known."""
        rows, columns = central_grid(*self.known.shape, most=_SAMPLES, device=self.known.device)
        if not bool((self.known[rows][:, columns] > 0).any()):
            rows, columns = (torch.arange(size, device=self.known.device) for size in self.known.shape)
        weight = self.known[rows][:, columns].flatten()
        return self.values[rows][:, columns].flatten(0, 1)[weight > 0], weight[weight > 0]

    def seen(self, middle: torch.Tensor, gaussian: RobustGaussian) -> Seen:
        """Log distances from a Gaussian, and how much each position saw."""
        strips = torch.split(self.values, _STRIP)
        logarithm = torch.cat([gaussian.log_distance(strip - middle) for strip in strips])
        around = F.pad(self.known[None, None], (_SUPPORT // 2,) * 4, mode="replicate")
        return Seen(logarithm, self.known, F.avg_pool2d(around, _SUPPORT, 1)[0, 0])
