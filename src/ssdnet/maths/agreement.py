"""Three witnesses of one image, each heard as far as the others bear it out.

- *distances*: how far patches lie from their mean. Sharp, but one-sided: what is smoother or more regular
  than usual passes for normal.
- *energies* (`maths.energies`): both sides, but blunt.
- *cores*: the distances without lines and halo (`maths.cores`). Sharpest, and lost on what is wide or woven.

Where a defect has more of something than the surface, the two maps rise and fall together; where it has less,
they contradict each other, and the distances mislead. So their agreement over the image says how much the
distances and their cores count. No mask is needed to see that, and no threshold is tied to a kind of surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ssdnet.maths.fusion import Fusion, Usual
from ssdnet.maths.sampling import central_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAMPLES = 1 << 14
"""Positions of an image that say how far the witnesses agree, at most."""

_LEAST = 0.25
"""What distances count at least: even where they contradict the energies, they may see what those do not."""

_FULL_RANK, _FULL_HEIGHT = 0.4, 2.0
"""Rank correlation, or height of the distances where the energies are highest (upper spreads), from where on
they count fully."""

_CORES_FROM, _CORES_FULL = 0.25, 0.45
"""Rank correlation from where on cores count, and count fully."""

_ENERGIES_ALONE, _ENERGIES_AGREED = 1.0, 0.4
"""What energies count where there is no agreement, and where there is."""

_CORES = 0.5
"""What cores count at most."""

_HIGH = 2.0
"""Upper spreads above the usual from where on who is to blame matters: half of it there."""

_BLAME, _BLAME_MOST = 0.25, 8.0
"""Share of the image's largest value that the blame moves a pixel by, and the largest value that counts."""


@dataclass(frozen=True)
class Agreement:
    """How much each witness counts, learned once of a surface.

    >>> noise = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> alike = noise[0] + 0.3 * noise[1]
    >>> known = torch.ones(64, 64, dtype=torch.bool)
    >>> agreeing = Agreement.fit([noise[0]], [alike], [noise[0]], [known])
    >>> strangers = Agreement.fit([noise[0]], [noise[1]], [noise[0]], [known])
    >>> agreeing.distances, strangers.distances
    (1.0, 0.25)
    """

    distances: float
    """What the distances count, in [0.25, 1]."""
    energies: float
    """What the energies count."""
    cores: float
    """What the cores count, in [0, 0.5]."""
    usual: tuple[Usual, Usual, Usual]
    """Of distances, energies and cores."""
    joint: Usual
    """Of the sum."""
    largest: float
    """Of the map without the blame, in upper spreads."""

    @classmethod
    def fit(
        cls,
        distances: Sequence[torch.Tensor],
        energies: Sequence[torch.Tensor],
        cores: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
    ) -> Agreement:
        """Learn it from the maps of one image, or of several of one surface.

        Args:
            distances: `(H, W)` each.
            energies: `(H, W)` each.
            cores: `(H, W)` each.
            valid: `(H, W)` bool each, True somewhere.
        """
        usual = tuple(Usual.of(maps, valid) for maps in (distances, energies, cores))
        first, second = (
            torch.cat([_sampled(values, known) for values, known in zip(maps, valid, strict=True)])
            for maps in (distances, energies)
        )
        correlation = _rank_correlation(first, second)
        height = _height_where(first, second, usual[0])
        bound = min(1.0, max(0.0, (correlation - _CORES_FROM) / (_CORES_FULL - _CORES_FROM)))
        model = cls(
            distances=min(1.0, max(correlation / _FULL_RANK, height / _FULL_HEIGHT, _LEAST)),
            energies=_ENERGIES_ALONE + bound * (_ENERGIES_AGREED - _ENERGIES_ALONE),
            cores=_CORES * bound,
            usual=(usual[0], usual[1], usual[2]),
            joint=Usual(0.0, 1.0),
            largest=0.0,
        )
        sums = [model._sum(*maps) for maps in zip(distances, energies, strict=True)]
        model = cls(model.distances, model.energies, model.cores, model.usual, Usual.of(sums, valid), 0.0)
        maps = [model.of(*some) for some in zip(distances, energies, cores, strict=True)]
        largest = max(float(values[known].max()) for values, known in zip(maps, valid, strict=True))
        return cls(model.distances, model.energies, model.cores, model.usual, model.joint, largest)

    def _sum(self, distances: torch.Tensor, energies: torch.Tensor) -> torch.Tensor:
        near, both = (
            _units(values, usual) for values, usual in zip((distances, energies), self.usual, strict=False)
        )
        return near.clamp_min_(0.0).mul_(self.distances).add_(both, alpha=self.energies)

    def of(self, distances: torch.Tensor, energies: torch.Tensor, cores: torch.Tensor) -> torch.Tensor:
        """`(h, w)` how unusual each pixel is, in upper spreads above the usual.

        What the distances find more normal than usual does not count.

        Args:
            distances: `(h, w)` of any part of an image.
            energies: likewise.
            cores: likewise.
        """
        level = _units(self._sum(distances, energies), self.joint)
        if self.cores:
            level += self.cores * torch.sigmoid(level - _HIGH) * _units(cores, self.usual[2])
        return level

    def blamed(self, level: torch.Tensor, blame: torch.Tensor) -> torch.Tensor:
        """`(h, w)` of what `of` gave, raised where a pixel is like the finding and lowered where it is not.

        Args:
            level: see `of`.
            blame: see `Discriminant.of`.
        """
        most = _BLAME * min(self.largest, _BLAME_MOST)
        return level + most * torch.sigmoid(level - _HIGH) * (blame - 0.5)

    def decision(self, distances: torch.Tensor, energies: torch.Tensor) -> torch.Tensor:
        """`(h, w)` log distance for the law of what is usual: the weighted mean, smooth in both maps.

        In upper spreads its own spread would be about 1 on every surface, and what is made of it would have
        a heavier tail than distances have; as a log distance it has theirs (docs/calibration.md).

        Args:
            distances: `(h, w)` of any part of an image.
            energies: likewise.
        """
        return Fusion((self.distances, self.energies), self.usual[:2]).of([distances, energies])


def _units(values: torch.Tensor, usual: Usual) -> torch.Tensor:
    return (values - usual.middle).div_(usual.spread)


def _sampled(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Known values of a regular grid of places, or all known ones where none of those is."""
    rows, columns = central_grid(*known.shape, most=_SAMPLES, device=known.device)
    some = known[rows][:, columns]
    return values[rows][:, columns][some] if bool(some.any()) else values[known]


def _rank_correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    ranks = [values.argsort().argsort().double() for values in (first.cpu(), second.cpu())]
    centred = [some - some.mean() for some in ranks]
    scale = float((centred[0].square().sum() * centred[1].square().sum()).sqrt())
    return float(centred[0] @ centred[1]) / max(scale, 1e-12)


def _height_where(first: torch.Tensor, second: torch.Tensor, usual: Usual) -> float:
    """Median of one in its own upper spreads where the other has its highest twentieth."""
    count = max(1, len(second) // 20)
    there = first[second.topk(count).indices]
    return (float(there.median()) - usual.middle) / usual.spread
