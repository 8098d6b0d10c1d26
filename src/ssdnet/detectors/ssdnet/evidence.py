"""From a trained network to what speaks against each pixel, in maps of log distances."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.ssdnet.blind import MARGIN
from ssdnet.detectors.texture import Texture
from ssdnet.maths.edges import excess
from ssdnet.maths.fusion import fuse
from ssdnet.maths.gaussian import RobustGaussian
from ssdnet.maths.sampling import central_grid
from ssdnet.maths.smoothing import smooth

_SAMPLES = 1 << 16
"""Positions a Gaussian is estimated from, at most."""
_TRIM, _ROUNDS, _SHRINKAGE = 0.25, 2, 0.1  # as in `rx`
_SMOOTHING = 3.0  # of a map, standard deviation, pixels
_REACH = 24  # pixels from the edge at which learned features still look beyond it
_SUPPORT = 9  # side of the box, positions, whose known share says how much learned features saw


def raw_residual(residual: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """`(H, W)` log of the residual's root mean square over channels: what the paper's description scores.

    Args:
        residual: `(C, H, W)`, image minus prediction; 0 where missing.
        valid: `(H, W)` bool.
    """
    known = valid.to(residual.dtype)
    return 0.5 * smooth(residual.square().mean(dim=0), known, 1.0).clamp_min(1e-12).log()


def residual_distance(residual: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """`(H, W)` log distance of the residual's patches from their own Gaussian, at full resolution.

    What a patch of the residual has in common, such as a sign or a direction, is a principal component of
    them: a faint line or spot shows whose single residuals are no larger than the texture's.

    Args:
        residual: `(C, H, W)`, image minus prediction; 0 where missing.
        valid: `(H, W)` bool.
    """
    scale = residual.square().mean().sqrt().clamp_min(1e-6)
    maps = [
        (1.0, components.log_distance(residual / scale, valid, 1, progress=lambda _: None))
        for components in Texture().patch_components
    ]
    return fuse(maps, valid)


def learned_distance(decoded: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """`(H, W)` log distance of the features of the decoder's finest level.

    Args:
        decoded: `(1, K, h, w)`, the first of `Network.decoded` of the `framed` image, with what is missing
            filled in.
        valid: `(H, W)` bool.
    """
    height, width = valid.shape
    first = MARGIN // 2
    rows, columns = -(-height // 2), -(-width // 2)
    beside = (0, columns * 2 - width, 0, rows * 2 - height)
    known = F.avg_pool2d(F.pad(valid.float(), beside)[None, None], 2)
    pooled = F.avg_pool2d(decoded.float().abs(), 3, 1, padding=1, count_include_pad=False)
    features = pooled[0, :, first : first + rows, first : first + columns].permute(1, 2, 0)
    logarithm = _log_distance(features, known[0, 0])
    support = F.avg_pool2d(F.pad(known, (_SUPPORT // 2,) * 4, mode="replicate"), _SUPPORT, 1)[0, 0]
    logarithm -= excess(logarithm, known[0, 0], support, _REACH // 2)
    logarithm = smooth(logarithm, known[0, 0], _SMOOTHING / 2)
    # Bilinear, aligned at the corners of the samples: half a sample is kept outside on each side.
    large = F.interpolate(logarithm[None, None], scale_factor=2.0, mode="bilinear")
    return large[0, 0, :height, :width]


def _log_distance(features: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """`(h, w)` log distance of `(h, w, D)` features from their robust Gaussian."""
    rows, columns = central_grid(*known.shape, most=_SAMPLES, device=known.device)
    weight = known[rows][:, columns].flatten()
    if not bool((weight > 0).any()):
        rows, columns = (torch.arange(size, device=known.device) for size in known.shape)
        weight = known.flatten()
    samples = features[rows][:, columns].flatten(0, 1)[weight > 0]
    # Centred first: the Gaussian's arithmetic is float32.
    middle = samples.median(dim=0).values
    gaussian = RobustGaussian.fit(
        samples - middle, weight[weight > 0], trim=_TRIM, rounds=_ROUNDS, shrinkage=_SHRINKAGE
    )
    return torch.cat([gaussian.log_distance(strip - middle) for strip in torch.split(features, 256)])
