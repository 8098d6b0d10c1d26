"""Non-local averages: each patch of an image as the mean of the patches most similar to it elsewhere.

Buades, Coll & Morel, 'A non-local algorithm for image denoising', CVPR 2005, with the search of Davy, Ehret,
Morel & Delbracio, 'Reducing anomaly detection in images to detection in noise', ICIP 2018: anywhere in the
image but close by, so that an anomaly cannot explain itself.

Missing pixels, and all that lies outside the image, are treated alike: patches are compared over the pixels
that are known in both, and what a patch predicts counts by the share of it that could be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 22
"""Distances worked on at once: bounds the memory, whatever the size of the image."""

_TRUST = 4
"""Power of the share of a patch that is known, by which its prediction counts: what is left of a patch finds
a partner too easily, or none in phase with a regular texture."""


@dataclass(frozen=True)
class Patches:
    """Square patches of one image, one a row, flattened."""

    values: torch.Tensor
    """`(N, C * size**2)`, 0 at unknown pixels."""
    known: torch.Tensor
    """`(N, size**2)`, 1 at known pixels and 0 elsewhere."""
    corners: torch.Tensor
    """`(N, 2)` int64, row and column of the top left pixel."""

    @classmethod
    def at(cls, pixels: torch.Tensor, known: torch.Tensor, corners: torch.Tensor, size: int) -> Patches:
        """The patches of `(C, h, w)` pixels, of which those are 0 that `(h, w)` says are unknown."""
        rows, columns = corners.T
        values = pixels.unfold(1, size, 1).unfold(2, size, 1)[:, rows, columns]
        shares = known.unfold(0, size, 1).unfold(1, size, 1)[rows, columns]
        return cls(values.transpose(0, 1).flatten(1), shares.flatten(1), corners)

    def squares(self) -> torch.Tensor:
        """`(N, size**2)`: the squares of the pixels, summed over channels."""
        count, area = self.known.shape
        return self.values.square().view(count, -1, area).sum(1)


def similar(
    queries: Patches, candidates: Patches, count: int, guard: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The patches most similar to each query, outside its guard region.

    Args:
        queries: `N` patches.
        candidates: `M` patches, among which to look.
        count: how many, at most `M`.
        guard: pixels; of a query at `(y, x)`, the candidates at `(v, u)` with `|v - y| < guard` and
            `|u - x| < guard` are left out.

    Returns:
        `(N, count)` mean squared differences over the pixels known in both, rising, infinite where there are
        fewer patches to compare with; and `(N, count)` rows of `candidates`.
    """
    channels = queries.values.shape[1] // queries.known.shape[1]
    squares = candidates.squares()
    # |q - c|^2 over shared pixels is q^2 . known - 2 q . c + known . c^2, a product of longer vectors.
    left = torch.cat([-2 * queries.values, queries.known], dim=1)
    right = torch.cat([candidates.values, squares], dim=1)
    complete = bool((candidates.known == 1).all())
    if complete:
        # What is the same for all candidates changes no order and is added to the few that are kept.
        distance = left @ right.T
    else:
        shared = (queries.known @ candidates.known.T).mul_(channels)
        own = queries.squares()
        distance = torch.cat([left, own], dim=1) @ torch.cat([right, candidates.known], dim=1).T
        distance = torch.where(shared > 0, distance / shared.clamp_min(1), math.inf)
    _forbid(distance, queries.corners, candidates.corners, guard)
    nearest, index = distance.topk(count, dim=1, largest=False)
    if complete:
        shared = channels * queries.known.sum(1, keepdim=True)
        own = queries.squares().sum(1, keepdim=True)
        nearest = torch.where(shared > 0, (nearest + own) / shared.clamp_min(1), math.inf)
    return nearest.clamp_min_(0), index


def _forbid(distance: torch.Tensor, queries: torch.Tensor, candidates: torch.Tensor, guard: int) -> None:
    """Make the distances to all candidates within the guard region infinite."""
    first = candidates.amin(0)
    height, width = (candidates.amax(0) - first + 1).tolist()
    number = torch.full((height, width), -1, device=distance.device)
    number[tuple((candidates - first).T)] = torch.arange(len(candidates), device=distance.device)
    reach = torch.arange(1 - guard, guard, device=distance.device)
    rows = (queries[:, :1] - first[0] + reach)[:, :, None]
    columns = (queries[:, 1:] - first[1] + reach)[:, None, :]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    close = torch.where(inside, number[rows.clamp(0, height - 1), columns.clamp(0, width - 1)], -1).flatten(1)
    query, position = (close >= 0).nonzero(as_tuple=True)
    distance[query, close[query, position]] = math.inf


def nonlocal_mean(
    pixels: torch.Tensor,
    known: torch.Tensor,
    *,
    size: int,
    stride: int,
    neighbours: int,
    guard: int,
    bandwidth: float,
    candidates: int | None,
    generator: torch.Generator,
    progress: Callable[[float], None],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each pixel as the similar patches elsewhere predict it.

    Of each patch, the mean of its `neighbours` most similar ones is taken, weighted by
    `exp(-(d / bandwidth)**2)` with `d` the root mean square difference, and each pixel is the mean of what
    the patches that cover it say.

    Args:
        pixels: `(C, h, w)` float32; the values of unknown pixels are not used.
        known: `(h, w)` bool.
        size: side of a patch, pixels; at most the shorter side of the image.
        stride: pixels from one predicted patch to the next.
        neighbours: similar patches that are averaged.
        guard: see `similar`.
        bandwidth: of the weights, in the unit of the pixels.
        candidates: how many patches to look among, drawn from all; None takes all.
        generator: draws the candidates; lives on the CPU.
        progress: called with the share of the work that is done.

    Returns:
        `(C, h, w)` prediction, 0 where there is none, and `(h, w)` its weight, 0 where there is none.
    """
    height, width = known.shape
    # The lattice of predicted patches goes beyond the image, so that each pixel is covered as often.
    lattice = [_lattice(length, size, stride) for length in (height, width)]
    (top, bottom), (left, right) = [
        (-int(line[0]), int(line[-1]) + size - length)
        for line, length in zip(lattice, (height, width), strict=True)
    ]
    margins = (left, right, top, bottom)
    share = known.to(pixels.dtype)
    pixels = F.pad(torch.where(known, pixels, 0), margins)
    corners = _draw(share, size, candidates, generator) + torch.tensor([top, left], device=known.device)
    share = F.pad(share, margins)
    pool = Patches.at(pixels, share, corners, size)
    offers = torch.cat([pool.values, pool.known], dim=1)
    rows, columns = (line + shift for line, shift in zip(lattice, (top, left), strict=True))
    rows, columns = rows.to(known.device), columns.to(known.device)
    total = pixels.new_zeros(len(pixels) + 1, *share.shape)
    at_once = max(1, _CHUNK // len(corners))
    step = max(1, at_once // len(columns))
    for start in range(0, len(rows), step):
        strip = rows[start : start + step]
        means = []
        for some in torch.split(torch.cartesian_prod(strip, columns), at_once):
            queries = Patches.at(pixels, share, some, size)
            nearest, index = similar(queries, pool, min(neighbours, len(corners)), guard)
            # Without any patch to compare with there is no prediction: the weights are not numbers.
            weight = torch.softmax(-nearest / bandwidth**2, dim=1).nan_to_num_(0)
            weight *= queries.known.mean(1, keepdim=True) ** _TRUST
            means.append(F.embedding_bag(index, offers, per_sample_weights=weight, mode="sum"))
        band = slice(int(strip[0]), int(strip[-1]) + size)
        length = band.stop - band.start
        total[:, band] += F.fold(torch.cat(means).T, (length, total.shape[2]), size, stride=stride)
        progress(min(1.0, (start + step) / len(rows)))
    total = total[:, top : top + height, left : left + width]
    return total[:-1] / total[-1].clamp_min(torch.finfo(total.dtype).tiny), total[-1]


def _lattice(length: int, size: int, stride: int) -> torch.Tensor:
    """First pixels of patches that cover each of `length` pixels as often, centred but for half a pixel."""
    count = math.ceil((length + size - 2 * stride) / stride) + 1
    return torch.arange(count) * stride - ((count - 1) * stride + size - length) // 2


def _draw(known: torch.Tensor, size: int, count: int | None, generator: torch.Generator) -> torch.Tensor:
    """Corners of at most `count` patches inside the image, the best known ones, at random among equals."""
    share = F.avg_pool2d(known[None], size, stride=1)[0]
    places = (share > 0).nonzero()
    if count is None or count >= len(places):
        return places
    chance = torch.rand(len(places), generator=generator).to(known.device) / size**2
    return places[(share[share > 0] + chance).topk(count).indices.sort().values]
