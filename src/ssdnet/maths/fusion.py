"""One map from several: each in units of what is usual in it, added up.

Each kind of evidence is a map of log distances. They are brought to a common unit, how far a pixel lies above
the image's own median in units of the image's own upper spread, and added: the logarithm of a product of
significances, up to weights. What is usual is learned once, of one image or of several, and holds for every
part of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ssdnet.maths.sampling import central_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_SAMPLES = 1 << 14
"""Positions of an image that say what is usual, at most."""
_DOUBT = 1.0  # upper spreads above the median, from where on what only speaks against a pixel counts
_WIDEST = 0.4
"""What the upper spread of a logarithm may be: where distances vary more, as between two materials, the tail
would be heavier than exponential, and what is usual would alarm."""
_LARGEST = 60.0
"""Logarithm of the largest score: no float32 overflows, whatever a degenerate image brings."""


@dataclass(frozen=True)
class Usual:
    """What is usual in a map.

    >>> usual = Usual.of([torch.arange(101.0).view(1, 101)], [torch.ones(1, 101, dtype=torch.bool)])
    >>> usual.middle, round(usual.spread, 2)
    (50.0, 34.0)
    """

    middle: float
    """Median."""
    spread: float
    """From there to the 84 % quantile: the standard deviation of a Gaussian's upper half."""

    @classmethod
    def of(cls, maps: Sequence[torch.Tensor], valid: Sequence[torch.Tensor]) -> Usual:
        """Of one map, or of several of one surface.

        Args:
            maps: `(H, W)` each.
            valid: `(H, W)` bool each, True somewhere.
        """
        samples = []
        for values, known in zip(maps, valid, strict=True):
            rows, columns = _sample(known)
            samples.append(values[rows][:, columns][known[rows][:, columns]])
        sample = torch.cat(samples).cpu().numpy()
        middle, upper = _quantiles(sample, (0.5, 0.84))
        # Of a map that is flat but for a few places, those places say what much is.
        spread = max(upper - middle, 0.1 * float(sample.std(dtype=np.float64)), 1e-6)
        return cls(middle, spread)


def _quantiles(sample: npt.NDArray[np.float32], shares: Sequence[float]) -> list[float]:
    """Of a sample without order, several times as fast as `torch.quantile`, which sorts all of it."""
    places = [share * (len(sample) - 1) for share in shares]
    ends = [(int(place), min(int(place) + 1, len(sample) - 1)) for place in places]
    ordered = np.partition(sample, [end for pair in ends for end in pair])
    return [
        float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))
        for place, (low, high) in zip(places, ends, strict=True)
    ]


@dataclass(frozen=True)
class Fusion:
    """Several kinds of evidence as one.

    Larger numbers do not count more: what these two kinds say against each pixel is the same in the end.

    >>> rising = torch.arange(16.0).view(4, 4)
    >>> maps = [rising, 100 * rising.flip(0, 1)]
    >>> fusion = Fusion.fit([maps], [torch.ones(4, 4, dtype=torch.bool)])
    >>> bool(fusion.of(maps).abs().max() < 0.01)
    True
    """

    weights: tuple[float, ...]
    """Of each kind."""
    usual: tuple[Usual, ...]
    """Of each kind."""
    doubts: int = 0
    """How many of the last kinds only speak against a pixel: that it could be predicted says little, that it
    could not says much. They count where they exceed their own upper spread."""

    @classmethod
    def fit(
        cls,
        images: Sequence[Sequence[torch.Tensor]],
        valid: Sequence[torch.Tensor],
        weights: Sequence[float] | None = None,
        *,
        doubts: int = 0,
    ) -> Fusion:
        """Learn what is usual.

        Args:
            images: of each image its maps, `(H, W)`, a kind of evidence each.
            valid: `(H, W)` bool of each image.
            weights: of the kinds; None takes them alike.
            doubts: how many of the last kinds only speak against a pixel.

        >>> maps = [torch.arange(16.0).view(4, 4), torch.zeros(4, 4)]
        >>> fusion = Fusion.fit([maps], [torch.ones(4, 4, dtype=torch.bool)])
        >>> bool(fusion.of(maps).argmax() == 15)
        True
        """
        kinds = list(zip(*images, strict=True))
        usual = tuple(Usual.of(maps, valid) for maps in kinds)
        return cls(tuple(weights or [1.0] * len(kinds)), usual, doubts)

    def of(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """`(H, W)` float32: the weighted mean in the common unit, times the mean of what the unit is in each.

        So it is a log distance again, with 0 for the usual pixel.

        Args:
            maps: `(H, W)` of each kind, of any part of an image.
        """
        weights = sum(self.weights)
        unit = sum(w * usual.spread for w, usual in zip(self.weights, self.usual, strict=True)) / weights
        total: torch.Tensor | None = None
        for number, (weight, usual, values) in enumerate(zip(self.weights, self.usual, maps, strict=True)):
            factor = weight * unit / weights
            if number < len(maps) - self.doubts:
                scale, offset = factor / usual.spread, usual.middle
                part = values.sub(offset).mul_(scale) if total is None else values
                total = part if total is None else total.add_(values, alpha=scale).sub_(offset * scale)
            else:
                common = ((values - usual.middle) / usual.spread - _DOUBT).clamp_min_(0).mul_(factor)
                total = common if total is None else total.add_(common)
        assert total is not None  # noqa: S101 - there is at least one kind
        return total

    def against(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """`(H, W)`: what the last kinds say against each pixel, in upper spreads, weighted and added up.

        Args:
            maps: `(H, W)` of each kind, of any part of an image.

        >>> fusion = Fusion((1.0, 0.5), (Usual(0.0, 1.0), Usual(0.0, 2.0)), doubts=1)
        >>> fusion.against([torch.zeros(1, 2), torch.tensor([[2.0, 6.0]])]).tolist()
        [[0.0, 1.0]]
        """
        total = torch.zeros_like(maps[0])
        first = len(maps) - self.doubts
        for weight, usual, values in zip(self.weights[first:], self.usual[first:], maps[first:], strict=True):
            total += ((values - usual.middle) / usual.spread - _DOUBT).clamp_min_(0).mul_(weight)
        return total


@dataclass(frozen=True)
class SquaredDistance:
    """A score from a log distance: the distance squared, whose upper tail is about exponential.

    A mean over many places has a lighter tail than a single distance, which the square makes up for; a map
    whose values vary widely gets a smaller power.

    >>> known = torch.ones(10, 10, dtype=torch.bool)
    >>> maps = [torch.linspace(-far, far, 100).view(10, 10) for far in (0.1, 10.0)]
    >>> [round(SquaredDistance.fit([values], [known]).power, 2) for values in maps]
    [2.0, 0.06]
    """

    middle: float
    """Log distance of the usual pixel, whose score is 1."""
    power: float
    """Of the distance, at most 2."""

    @classmethod
    def fit(cls, maps: Sequence[torch.Tensor], valid: Sequence[torch.Tensor]) -> SquaredDistance:
        """Learn what is usual of one map of log distances, or of several of one surface.

        Args:
            maps: `(H, W)` each.
            valid: `(H, W)` bool each, True somewhere.
        """
        usual = Usual.of(maps, valid)
        return cls(usual.middle, min(2.0, _WIDEST / usual.spread))

    def of(self, logarithm: torch.Tensor) -> torch.Tensor:
        """`(H, W)` score of log distances.

        >>> SquaredDistance(0.0, 2.0).of(torch.tensor([[0.0, 0.5]])).round(decimals=2).tolist()
        [[1.0, 2.7200000286102295]]
        """
        return ((logarithm - self.middle) * self.power).clamp_(-_LARGEST, _LARGEST).exp_()


def _sample(valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of positions that say what is usual; some of them are known."""
    rows, columns = central_grid(*valid.shape, most=_SAMPLES, device=valid.device)
    if not bool(valid[rows][:, columns].any()):
        rows, columns = (torch.arange(size, device=valid.device) for size in valid.shape)
    return rows, columns
