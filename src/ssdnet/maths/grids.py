"""Where the samples of one grid lie in another, and values in between."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Axis:
    """Linear interpolation along one axis: sample `i` is `low[i]` and `high[i]` mixed by `share[i]`."""

    low: torch.Tensor
    high: torch.Tensor
    share: torch.Tensor

    @classmethod
    def between(cls, sizes: list[int], device: torch.device) -> Axis:
        """Where the samples of a grid of `sizes[0]` lie in the one reached by halving through `sizes`."""
        position = torch.arange(sizes[0], dtype=torch.float64)
        for finer in sizes[:-1]:
            position = (position - (0.5 if finer % 2 == 0 else 0.0)) / 2
        position = position.clamp(0, sizes[-1] - 1)
        low = position.floor()
        high = (low + 1).clamp_max(sizes[-1] - 1)
        share = (position - low).to(torch.float32)
        return cls(low.long().to(device), high.long().to(device), share.to(device))

    def take(self, samples: torch.Tensor) -> Axis:
        """Some of the samples only."""
        return Axis(self.low[samples], self.high[samples], self.share[samples])


def resample(values: torch.Tensor, vertical: Axis, horizontal: Axis) -> torch.Tensor:
    """Interpolate `(h, w, K)` values bilinearly at the crossings of two axes."""
    rows = torch.lerp(values[vertical.low], values[vertical.high], vertical.share[:, None, None])
    return torch.lerp(rows[:, horizontal.low], rows[:, horizontal.high], horizontal.share[:, None])
