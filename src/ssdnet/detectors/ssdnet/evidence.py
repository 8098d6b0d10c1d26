"""From a trained network to what speaks against each pixel, in maps of log distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.ssdnet.blind import MARGIN
from ssdnet.features import central_grid
from ssdnet.statistics import RobustGaussian, excess, smooth

if TYPE_CHECKING:
    from collections.abc import Sequence


_SAMPLES = 1 << 16
"""Positions a Gaussian is estimated from, at most."""
_TRIM, _ROUNDS, _SHRINKAGE = 0.25, 2, 0.1  # as in `rx`
_RESIDUAL_SCALES = (0.0, 1.0, 2.0)  # standard deviations of the Gaussians that the residual is averaged by
_SMOOTHING = 3.0  # of a map, standard deviation, pixels
_FINE_SMOOTHING = 2.0  # the same for maps of residuals, which tell single pixels apart
_REACH = 24  # pixels from the edge at which learned features still look beyond it
_SUPPORT = 9  # side of the box, positions, whose known share says how much learned features saw


def raw_residual(residual: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """`(H, W)` log of the residual's root mean square over channels: what the paper's description scores.

    Args:
        residual: `(C, H, W)`, image minus prediction; 0 where missing.
        valid: `(H, W)` bool.
    """
    known = valid.to(residual.dtype)
    return 0.5 * smooth(residual.square().mean(dim=0), known, _FINE_SMOOTHING / 2).clamp_min(1e-12).log()


def residual_distance(residual: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """`(H, W)` log distance of the residual, signed and averaged at several scales, from its own Gaussian.

    Signed averages see a thin line or a faint wide spot whose residuals all point the same way, which their
    squares lose among the texture's.

    Args:
        residual: `(C, H, W)`, image minus prediction; 0 where missing.
        valid: `(H, W)` bool.
    """
    known = valid.to(residual.dtype)
    scales = [
        plane if scale == 0 else smooth(plane, known, scale)
        for scale in _RESIDUAL_SCALES
        for plane in residual
    ]
    features = torch.stack(scales, dim=-1)
    logarithm = _log_distance(features, known)
    return smooth(logarithm, known, _FINE_SMOOTHING)


def learned_distances(decoded: Sequence[torch.Tensor], valid: torch.Tensor) -> list[torch.Tensor]:
    """Log distances of the decoder's features, one `(H, W)` map a level, finest first.

    Args:
        decoded: `Network.decoded` of the `framed` image, with what is missing filled in.
        valid: `(H, W)` bool.
    """
    height, width = valid.shape
    maps = []
    for number, level in enumerate(decoded):
        unit = 2 ** (number + 1)
        first = MARGIN // unit
        rows, columns = -(-height // unit), -(-width // unit)
        beside = (0, columns * unit - width, 0, rows * unit - height)
        known = F.avg_pool2d(F.pad(valid.float(), beside)[None, None], unit)
        pooled = F.avg_pool2d(level.float().abs(), 3, 1, padding=1, count_include_pad=False)
        features = pooled[0, :, first : first + rows, first : first + columns].permute(1, 2, 0)
        logarithm = _log_distance(features, known[0, 0])
        support = F.avg_pool2d(F.pad(known, (_SUPPORT // 2,) * 4, mode="replicate"), _SUPPORT, 1)[0, 0]
        logarithm -= excess(logarithm, known[0, 0], support, max(1, _REACH // unit))
        logarithm = smooth(logarithm, known[0, 0], _SMOOTHING / unit)
        # Bilinear, aligned at the corners of the samples: half a sample is kept outside on each side.
        large = F.interpolate(logarithm[None, None], scale_factor=float(unit), mode="bilinear")
        maps.append(large[0, 0, :height, :width])
    return maps


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
