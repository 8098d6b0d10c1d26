"""One map from several: each in units of what is usual in it, added up.

Each kind of evidence is a map of log distances. They are brought to a common unit, how far a pixel lies above
the image's own median in units of the image's own upper spread, and added: the logarithm of a product of
significances, up to weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ssdnet.features import central_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAMPLES = 1 << 16
"""Positions that say what is usual, at most."""
_DOUBT = 1.0  # upper spreads above the median, from where on what only speaks against a pixel counts
_MOST = 0.4
"""What a unit may be in the result: where distances vary more, as between two materials, the tail would be
heavier than exponential, and what is usual would alarm."""


def fuse(
    maps: Sequence[tuple[float, torch.Tensor]],
    valid: torch.Tensor,
    *,
    doubts: Sequence[tuple[float, torch.Tensor]] = (),
) -> torch.Tensor:
    """One map of log distances from several.

    Args:
        maps: weight and `(H, W)` map of each kind of evidence that speaks for a pixel as well as against it.
        valid: `(H, W)` bool.
        doubts: the same of those that only speak against it: that a pixel could be predicted says little,
            that it could not says much. They count where they exceed their own upper spread.

    Returns:
        `(H, W)` float32: the weighted mean in the common unit, times twice the mean of what the unit is in
        each, but no more than 0.4; so it is the logarithm of a squared distance, whose upper tail on normal
        pixels is about exponential, with 0 for the usual pixel.
    """
    rows, columns = central_grid(*valid.shape, most=_SAMPLES, device=valid.device)
    known = valid[rows][:, columns]
    if not bool(known.any()):
        rows, columns = (torch.arange(size, device=valid.device) for size in valid.shape)
        known = valid
    total, unit, weights = torch.zeros(valid.shape, device=valid.device), 0.0, 0.0
    for number, (weight, values) in enumerate([*maps, *doubts]):
        sample = values[rows][:, columns][known]
        middle, upper = sample.quantile(0.5), sample.quantile(0.84)
        # Of a map that is flat but for a few places, those places say what much is.
        spread = torch.maximum(upper - middle, 0.1 * sample.std(correction=0)).clamp_min(1e-6)
        common = (values - middle) / spread
        total += weight * (common if number < len(maps) else (common - _DOUBT).clamp_min(0))
        unit += weight * float(spread)
        weights += weight
    # The distance itself must not overflow float32, whatever a degenerate image brings.
    return (total / weights * min(2 * unit / weights, _MOST)).clamp(-60, 60)
