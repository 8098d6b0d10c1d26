"""The typical tile of a surface, and the bins that values of features fall into."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.detectors.rivals.fca.filter_banks import FilterBank
    from ssdnet.detectors.rivals.fca.surface import Surface

_REFERENCE_PIXELS = 1 << 16
"""The reference comes from so many pixels at most: all of a 256 x 256 image."""

_BIN_SAMPLES = 1 << 13
"""Values of each feature that say where its bins should lie."""

_EVEN_SHARE = 0.3
"""How far bins are of equal width (1) rather than of equal content (0)."""

SLACK = 0.05
"""Ranks that a bin is widened by at both ends: gives an empty bin its place in the order."""

_END_GAP = 1e-3
"""Distance of the outer levels from the outer values, as a share of the range."""

SMALLEST = 1e-12
"""Differences of values below this are this."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The typical tile, and the bins of the values of each of the K features.

    >>> tiles = torch.tensor([[[0.0, 1.0, 2.0, 3.0]] * 3])  # one feature of three tiles, sorted
    >>> reference = Reference.of(tiles, known=torch.full((3,), 4), bins=2)
    >>> tuple(reference.levels.shape), [round(total, 2) for total in reference.upper[0].tolist()]
    ((1, 4), [0.0, 0.05, 1.1, 3.15, 6.15])
    """

    levels: torch.Tensor
    """`(K, bins + 2)`: just below all values, the mean of each bin, just above all values."""
    edges: torch.Tensor
    """`(K, bins - 1)`: highest value of each bin but the last."""
    upper: torch.Tensor
    """`(K, T * T + 1)`: sum of the typical tile's n smallest values, and `SLACK` of the next."""
    lower: torch.Tensor
    """`(K, T * T + 1)`: sum of the typical tile's n smallest values, less `SLACK` of the last."""
    ends: torch.Tensor
    """`(K, 2)`: displacement of the first and the last level."""

    @classmethod
    def fit(cls, surfaces: Sequence[Surface], bank: FilterBank, side: int, bins: int) -> Reference:
        """Learn it from tiles side by side, those at least half as well known as the best.

        Args:
            surfaces: whole images, at least one, a pixel of which is known.
            bank: makes the features.
            side: of a tile, pixels.
            bins: of each feature.
        """
        starts, known = zip(*(_laid(surface.valid, side) for surface in surfaces), strict=True)
        best = max(int(counts.max()) for counts in known)
        places = [(counts >= 0.5 * best).nonzero() for counts in known]
        every = math.ceil(sum(map(len, places)) * side**2 / _REFERENCE_PIXELS)
        values, counts = zip(
            *(
                _sorted_tiles(surface, bank, side, first, place[::every])
                for surface, first, place in zip(surfaces, starts, places, strict=True)
            ),
            strict=True,
        )
        return cls.of(torch.cat(values, dim=1), torch.cat(counts), bins=bins)

    @classmethod
    def of(cls, values: torch.Tensor, known: torch.Tensor, *, bins: int) -> Reference:
        """Take the median tile of some.

        Args:
            values: `(K, n, T * T)` features of the tiles, sorted, those of missing pixels last.
            known: `(n,)` number of pixels of each tile that are not missing, at least one.
            bins: of each feature.
        """
        size = values.shape[2]
        rank = ((torch.arange(size, device=known.device) + 0.5) * known[:, None] / size).long()
        values = values.gather(2, rank.expand_as(values))
        typical = values.transpose(1, 2).median(dim=2).values
        total = F.pad(typical.double().cumsum(dim=1), (1, 0))
        following = torch.cat([typical, typical[:, -1:]], dim=1)
        preceding = torch.cat([typical[:, :1], typical], dim=1)
        levels, edges = _bins(values.flatten(1), bins)
        return cls(
            levels=levels,
            edges=edges,
            upper=(total + SLACK * following).float(),
            lower=(total - SLACK * preceding).float(),
            ends=(levels[:, [0, -1]] - typical[:, [0, -1]]).abs(),
        )


def _laid(valid: torch.Tensor, side: int) -> tuple[tuple[int, int], torch.Tensor]:
    """Where the first of the tiles side by side begins, and how many pixels of each are known."""
    # The grid is laid so that it holds the first known pixel (the upper left one, if nothing is missing).
    first = divmod(int(valid.flatten().to(torch.uint8).argmax()), valid.shape[1])
    top, left = (min(place, size % side) for place, size in zip(first, valid.shape, strict=True))
    return (top, left), valid[top:, left:].unfold(0, side, side).unfold(1, side, side).sum(dim=(2, 3))


def _sorted_tiles(
    surface: Surface, bank: FilterBank, side: int, first: tuple[int, int], places: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and known pixels of some tiles side by side, as `Reference.of` wants them."""
    rows, columns = places.T
    top, left = first
    seen = surface.valid[top:, left:].unfold(0, side, side).unfold(1, side, side)[rows, columns].flatten(1)
    whole = side + 2 * bank.margin
    tiles = surface.padded[0, :, top:, left:].unfold(1, whole, side).unfold(2, whole, side)
    features = bank.respond(tiles[:, rows, columns].transpose(0, 1)).flatten(2).transpose(0, 1)
    return features.masked_fill(~seen, math.inf).sort(dim=2).values, seen.sum(dim=1)


def _bins(values: torch.Tensor, bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Levels and edges, see `Reference`, of `(K, N)` values: of mixed width and content (`_EVEN_SHARE`)."""
    low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    sample = values[:, :: max(1, values.shape[1] // _BIN_SAMPLES)].sort(dim=1).values
    even = (sample - low) / (high - low).clamp_min(SMALLEST)
    rising = (
        torch.linspace(0, 1, sample.shape[1], device=sample.device).expand_as(even).lerp(even, _EVEN_SHARE)
    )
    wanted = torch.linspace(0, 1, bins + 1, device=sample.device)[1:-1].expand(len(sample), -1)
    at = torch.searchsorted(rising.contiguous(), wanted.contiguous()).clamp_max_(sample.shape[1] - 1)
    edges = sample.gather(1, at)
    # Of equal edges, where many pixels share a value, one is enough; the others wait behind the last bin.
    edges[:, 1:] = torch.where(edges.diff(dim=1) > 0, edges[:, 1:], high)
    edges = edges.sort(dim=1).values
    bounds = torch.cat([low, edges, high], dim=1)
    stops = torch.searchsorted(sample, edges, right=True)
    stops = F.pad(F.pad(stops, (1, 0)), (0, 1), value=sample.shape[1])
    sums = F.pad(sample.double().cumsum(dim=1), (1, 0)).gather(1, stops).diff(dim=1)
    counts = stops.diff(dim=1)
    middle = (bounds[:, 1:] + bounds[:, :-1]) / 2
    means = torch.where(counts > 0, (sums / counts.clamp_min(1)).float(), middle)
    # The outer levels lie a little apart from the outer bins, whose pixels may all have the same value.
    gap = _END_GAP * (high - low)
    return torch.cat([low - gap, means, high + gap], dim=1), edges
