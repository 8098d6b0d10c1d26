"""One map from several: each in units of what is usual in it, added up.

Each kind of evidence is a map of log distances. They are brought to a common unit, how far a pixel lies above
the image's own median in units of the image's own upper spread, and added: the logarithm of a product of
significances, up to weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ssdnet.maths.sampling import central_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAMPLES = 1 << 16
"""Positions that say what is usual, at most."""
_DOUBT = 1.0  # upper spreads above the median, from where on what only speaks against a pixel counts
_WIDEST = 0.4
"""What the upper spread of a logarithm may be: where distances vary more, as between two materials, the tail
would be heavier than exponential, and what is usual would alarm."""


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
        `(H, W)` float32: the weighted mean in the common unit, times the mean of what the unit is in each;
        so it is a log distance again, with 0 for the usual pixel.
    """
    rows, columns = _sample(valid)
    known = valid[rows][:, columns]
    total, unit, weights = torch.zeros(valid.shape, device=valid.device), 0.0, 0.0
    for number, (weight, values) in enumerate([*maps, *doubts]):
        middle, spread = _usual(values[rows][:, columns][known])
        common = (values - middle) / spread
        total += weight * (common if number < len(maps) else (common - _DOUBT).clamp_min(0))
        unit += weight * spread
        weights += weight
    return total / weights * (unit / weights)


def squared_distance(logarithm: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """`(H, W)` score from a log distance: the distance squared, whose upper tail is about exponential.

    A mean over many places has a lighter tail than a single distance, which the square makes up for; a map
    whose values vary widely gets a smaller power.

    Args:
        logarithm: `(H, W)`, of a distance.
        valid: `(H, W)` bool.
    """
    rows, columns = _sample(valid)
    middle, spread = _usual(logarithm[rows][:, columns][valid[rows][:, columns]])
    power = min(2.0, _WIDEST / spread)
    # No float32 overflows, whatever a degenerate image brings.
    return ((logarithm - middle) * power).clamp_(-60, 60).exp_()


def _sample(valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of positions that say what is usual; some of them are known."""
    rows, columns = central_grid(*valid.shape, most=_SAMPLES, device=valid.device)
    if not bool(valid[rows][:, columns].any()):
        rows, columns = (torch.arange(size, device=valid.device) for size in valid.shape)
    return rows, columns


def _usual(sample: torch.Tensor) -> tuple[float, float]:
    """Median and upper spread."""
    middle, upper = sample.quantile(0.5), sample.quantile(0.84)
    # Of a map that is flat but for a few places, those places say what much is.
    spread = torch.maximum(upper - middle, 0.1 * sample.std(correction=0)).clamp_min(1e-6)
    return float(middle), float(spread)
