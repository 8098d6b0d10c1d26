"""Square patches, and which of them are most similar, anywhere in the image but close by.

The search is that of Davy, Ehret, Morel & Delbracio, 'Reducing anomaly detection in images to detection in
noise', ICIP 2018: outside a guard region, so that an anomaly cannot explain itself. Missing pixels, and all
that lies outside the image, are treated alike: patches are compared over the pixels that are known in both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROWS = 64
"""Of a product of matrices at least: of fewer, libraries sum up in another order."""


@dataclass(frozen=True, eq=False)
class Patches:
    """Square patches of one image or several, one a row, flattened.

    >>> pixels, corners = torch.arange(16.0).view(1, 4, 4), torch.tensor([[0, 0], [1, 2]])
    >>> Patches.at(pixels, torch.ones(4, 4), corners, 2).values.tolist()
    [[0.0, 1.0, 4.0, 5.0], [6.0, 7.0, 10.0, 11.0]]
    """

    values: torch.Tensor
    """`(N, C * size**2)`, 0 at unknown pixels."""
    known: torch.Tensor
    """`(N, size**2)`, 1 at known pixels and 0 elsewhere."""
    corners: torch.Tensor
    """`(N, 2)` int64, row and column of the top left pixel in its image."""

    @classmethod
    def at(cls, pixels: torch.Tensor, known: torch.Tensor, corners: torch.Tensor, size: int) -> Patches:
        """The patches of `(C, h, w)` pixels, of which those are 0 that `(h, w)` says are unknown."""
        rows, columns = corners.T
        values = pixels.unfold(1, size, 1).unfold(2, size, 1)[:, rows, columns]
        return cls(values.transpose(0, 1).flatten(1), _squares(known, corners, size), corners)

    @classmethod
    def together(cls, parts: Sequence[Patches]) -> Patches:
        """All of some, at least one."""
        return cls(
            torch.cat([part.values for part in parts]),
            torch.cat([part.known for part in parts]),
            torch.cat([part.corners for part in parts]),
        )

    def without(self, hidden: torch.Tensor) -> Patches:
        """The same, with nothing known where `(h, w)` bool says that an image hides something."""
        size = math.isqrt(self.known.shape[1])
        # Those of a larger image may lie beyond.
        beyond = (int(self.corners[:, axis].max()) + size - hidden.shape[axis] for axis in (1, 0))
        right, below = (max(0, more) for more in beyond)
        shown = F.pad(~hidden, (0, right, 0, below), value=True).to(self.known.dtype)
        known = self.known * _squares(shown, self.corners, size)
        count, area = known.shape
        values = (self.values.view(count, -1, area) * known[:, None]).flatten(1)
        return replace(self, values=values, known=known)

    def squares(self) -> torch.Tensor:
        """`(N, size**2)`: the squares of the pixels, summed over channels."""
        count, area = self.known.shape
        return self.values.square().view(count, -1, area).sum(1)


def _squares(plane: torch.Tensor, corners: torch.Tensor, size: int) -> torch.Tensor:
    """`(N, size**2)` values of `(h, w)` from some corners on."""
    rows, columns = corners.T
    return plane.unfold(0, size, 1).unfold(1, size, 1)[rows, columns].flatten(1)


class Candidates:
    """Patches that are searched for similar ones, made ready for many searches.

    >>> pixels = torch.tensor([[[0.0, 1.0, 0.0, 5.0, 0.0, 1.0]] * 2])
    >>> corners = torch.tensor([[0, column] for column in range(5)])
    >>> patches = Patches.at(pixels, torch.ones(2, 6), corners, 2)
    >>> first = Patches.at(pixels, torch.ones(2, 6), corners[:1], 2)
    >>> distance, index = Candidates(patches, guard=2).similar(first, 1)
    >>> distance.tolist(), index.tolist()
    ([[0.0]], [[4]])
    """

    def __init__(self, patches: Patches, guard: int) -> None:
        """Prepare for searches.

        Args:
            patches: among which to look, at least one.
            guard: pixels; of a query at `(y, x)`, the candidates at `(v, u)` with `|v - y| < guard` and
                `|u - x| < guard` are left out.
        """
        self._guard = guard
        self._complete = bool((patches.known == 1).all())
        # |q - c|^2 over shared pixels is q^2 . known - 2 q . c + known . c^2, a product of longer vectors.
        right = [patches.values, patches.squares()]
        self._known = patches.known
        self._right = torch.cat(right if self._complete else [*right, patches.known], dim=1)
        self._first = patches.corners.amin(0)
        self._numbers = _numbers(patches.corners - self._first)

    def similar(self, queries: Patches, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The patches most similar to each query, outside its guard region.

        Args:
            queries: `N` patches.
            count: how many, at most as many as there are candidates.

        Returns:
            `(N, count)` mean squared differences over the pixels known in both, rising, infinite where there
            are fewer patches to compare with; and `(N, count)` rows of the candidates.
        """
        channels = queries.values.shape[1] // queries.known.shape[1]
        left = torch.cat([-2 * queries.values, queries.known], dim=1)
        if self._complete:
            # What is the same for all candidates changes no order and is added to the few that are kept.
            distance = _product(left, self._right)
        else:
            shared = _product(queries.known, self._known).mul_(channels)
            distance = _product(torch.cat([left, queries.squares()], dim=1), self._right)
            distance = torch.where(shared > 0, distance / shared.clamp_min(1), math.inf)
        self._forbid(distance, queries.corners)
        nearest, index = distance.topk(count, dim=1, largest=False)
        if self._complete:
            shared = channels * queries.known.sum(1, keepdim=True)
            own = queries.squares().sum(1, keepdim=True)
            nearest = torch.where(shared > 0, (nearest + own) / shared.clamp_min(1), math.inf)
        return nearest.clamp_min_(0), index

    def _forbid(self, distance: torch.Tensor, queries: torch.Tensor) -> None:
        """Make the distances to all candidates within the guard region infinite."""
        height, width = self._numbers.shape[1:]
        reach = torch.arange(1 - self._guard, self._guard, device=distance.device)
        rows = (queries[:, :1] - self._first[0] + reach)[:, :, None]
        columns = (queries[:, 1:] - self._first[1] + reach)[:, None, :]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
        for numbers in self._numbers:
            close = torch.where(inside, numbers[rows, columns], -1).flatten(1)
            query, position = (close >= 0).nonzero(as_tuple=True)
            distance[query, close[query, position]] = math.inf


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """`left @ right.T`, each row the same to the last bit whatever the others are.

    Of two patches that are nearly as similar the same one shall be chosen in any window.
    """
    missing = _ROWS - len(left)
    if missing > 0:
        return (F.pad(left, (0, 0, 0, missing)) @ right.T)[: len(left)]
    return left @ right.T


def _numbers(corners: torch.Tensor) -> torch.Tensor:
    """`(layers, h, w)` which patch begins at a pixel, -1 where none does.

    Patches of several images may begin at the same pixel: these are in different layers.
    """
    height, width = (corners.amax(0) + 1).tolist()
    places, order = (corners[:, 0] * width + corners[:, 1]).sort(stable=True)
    layer = torch.arange(len(places), device=places.device) - torch.searchsorted(places, places)
    numbers = torch.full((int(layer.max()) + 1, height * width), -1, device=places.device)
    numbers[layer, places] = order
    return numbers.view(-1, height, width)
