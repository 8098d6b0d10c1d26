"""Where the samples of one grid lie in another, and values in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Axis:
    """Linear interpolation along one axis: sample `i` is `low[i]` and `high[i]` mixed by `share[i]`.

    >>> axis = Axis.between([4, 2], torch.device("cpu")).take(torch.tensor([1, 2]))
    >>> axis.low.tolist(), axis.high.tolist(), axis.share.tolist()
    ([0, 0], [1, 1], [0.25, 0.75])
    """

    low: torch.Tensor
    """`(n,)`, index of the sample before."""
    high: torch.Tensor
    """`(n,)`, index of the sample behind."""
    share: torch.Tensor
    """`(n,)`, in [0, 1)."""

    @classmethod
    def between(
        cls,
        sizes: Sequence[int],
        device: torch.device,
        *,
        span: tuple[int, int] | None = None,
        part: tuple[int, int] | None = None,
    ) -> Axis:
        """Where the samples of a grid of `sizes[0]` lie in the one reached by halving through `sizes`.

        Args:
            sizes: of the whole axis, finest first.
            device: of the samples.
            span: first and last (exclusive) of the samples that are wanted; None = all.
            part: first and last (exclusive) of the coarser samples that are there, which are counted from the
                first; None = all.

        >>> Axis.between([4, 2], torch.device("cpu")).share.tolist()
        [0.0, 0.25, 0.75, 0.0]
        """
        first, last = part or (0, sizes[-1])
        position = torch.arange(*(span or (0, sizes[0])), dtype=torch.float64)
        for finer in sizes[:-1]:
            position = (position - (0.5 if finer % 2 == 0 else 0.0)) / 2
        position = position.clamp(first, last - 1)
        low = position.floor()
        high = (low + 1).clamp_max(last - 1)
        share = (position - low).to(torch.float32)
        return cls((low - first).long().to(device), (high - first).long().to(device), share.to(device))

    def take(self, samples: torch.Tensor) -> Axis:
        """Some of the samples only."""
        return Axis(self.low[samples], self.high[samples], self.share[samples])


def resample(values: torch.Tensor, vertical: Axis, horizontal: Axis) -> torch.Tensor:
    """Interpolate `(h, w, K)` values bilinearly at the crossings of two axes.

    >>> axis = Axis.between([4, 2], torch.device("cpu"))
    >>> resample(torch.tensor([[[0.0], [1.0]]] * 2), axis, axis)[0, :, 0].tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    rows = torch.lerp(values[vertical.low], values[vertical.high], vertical.share[:, None, None])
    return torch.lerp(rows[:, horizontal.low], rows[:, horizontal.high], horizontal.share[:, None])
