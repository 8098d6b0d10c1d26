"""Non-local averages: each patch of an image as the mean of the patches most similar to it elsewhere.

Buades, Coll & Morel, 'A non-local algorithm for image denoising', CVPR 2005. What a patch predicts counts by
the share of it that could be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.rivals.selfsim.patches import Candidates, Patches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssdnet.maths.window import Window

_CHUNK = 1 << 22
"""Distances worked on at once: bounds the memory, whatever the size of the image."""

_TRUST = 4
"""Power of the share of a patch that is known, by which its prediction counts: what is left of a patch finds
a partner too easily, or none in phase with a regular texture."""


@dataclass(frozen=True, eq=False)
class Memory:
    """Patches of a surface, and how others are predicted from them.

    Of each patch, the mean of its `neighbours` most similar ones is taken, weighted by
    `exp(-(d / bandwidth)**2)` with `d` the root mean square difference, and each pixel is the mean of what
    the patches that cover it say.

    >>> from ssdnet.maths.window import Window
    >>> stripes = (torch.arange(24) % 4).float().repeat(1, 24, 1)
    >>> dirty, known = stripes.clone(), torch.ones(24, 24, dtype=torch.bool)
    >>> dirty[0, 10, 12] += 0.5
    >>> memory = Memory.draw(
    ...     [(dirty, known)],
    ...     size=4,
    ...     stride=2,
    ...     neighbours=4,
    ...     guard=4,
    ...     bandwidth=0.1,
    ...     candidates=None,
    ...     generator=torch.Generator(),
    ... )
    >>> whole = Window.whole((24, 24))
    >>> prediction, _ = memory.predict(dirty, known, whole, whole, lambda share: None)
    >>> bool((prediction - stripes).abs().max() < 0.01)
    True
    """

    patches: Patches
    """Among which to look."""
    size: int
    """Side of a patch, pixels."""
    stride: int
    """Pixels from one predicted patch to the next."""
    neighbours: int
    """Similar patches that are averaged."""
    guard: int
    """See `Candidates`."""
    bandwidth: float
    """Of the weights, in the unit of the pixels."""

    @classmethod
    def draw(
        cls,
        images: Sequence[tuple[torch.Tensor, torch.Tensor]],
        *,
        size: int,
        stride: int,
        neighbours: int,
        guard: int,
        bandwidth: float,
        candidates: int | None,
        generator: torch.Generator,
    ) -> Memory:
        """Remember patches of some images.

        Args:
            images: `(C, h, w)` float32 pixels and `(h, w)` bool, which of them are known; of each at least
                as large as a patch. The values of unknown pixels are not used.
            size: see the field.
            stride: see the field.
            neighbours: see the field.
            guard: see the field.
            bandwidth: see the field.
            candidates: how many patches to draw, from all images together; None takes all.
            generator: draws them; lives on the CPU.
        """
        shares = [known.to(pixels.dtype) for pixels, known in images]
        corners = _draw(shares, size, candidates, generator)
        patches = [
            Patches.at(torch.where(known, pixels, 0), share, places, size)
            for (pixels, known), share, places in zip(images, shares, corners, strict=True)
        ]
        return cls(Patches.together(patches), size, stride, neighbours, guard, bandwidth)

    def without(self, hidden: torch.Tensor) -> Memory:
        """The same, which has forgotten what lies where `(h, w)` bool says that something is hidden."""
        return replace(self, patches=self.patches.without(hidden))

    def predict(
        self,
        pixels: torch.Tensor,
        known: torch.Tensor,
        window: Window,
        wanted: Window,
        progress: Callable[[float], None],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Each pixel as the similar patches elsewhere predict it.

        Args:
            pixels: `(C, h, w)` float32 of a window; the values of unknown pixels are not used.
            known: `(h, w)` bool.
            window: where they lie in the image.
            wanted: what is to be predicted; the window has `size - 1` more pixels on each side, as far as
                the image goes.
            progress: called with the share of the work that is done.

        Returns:
            Of `wanted` the `(C, h', w')` prediction, 0 where there is none, and `(h', w')` its weight, 0
            where there is none.
        """
        rows, columns = (
            _lattice(full, self.size, self.stride, start, stop)
            for full, start, stop in zip(
                window.shape, (wanted.top, wanted.left), (wanted.bottom, wanted.right), strict=True
            )
        )
        first = int(rows[0]), int(columns[0])
        last = int(rows[-1]) + self.size, int(columns[-1]) + self.size
        share = _cut(known[None].to(pixels.dtype), window, first, last)[0]
        pixels = _cut(torch.where(known, pixels, 0), window, first, last)
        origin = torch.tensor(first, device=known.device)
        rows, columns = (rows - first[0]).to(known.device), (columns - first[1]).to(known.device)
        search = Candidates(self.patches, self.guard)
        offers = torch.cat([self.patches.values, self.patches.known], dim=1)
        total = pixels.new_zeros(len(pixels) + 1, *share.shape)
        at_once = max(1, _CHUNK // len(offers))
        step = max(1, at_once // len(columns))
        for start in range(0, len(rows), step):
            strip = rows[start : start + step]
            means = []
            for some in torch.split(torch.cartesian_prod(strip, columns), at_once):
                queries = Patches.at(pixels, share, some, self.size)
                queries = replace(queries, corners=some + origin)
                nearest, index = search.similar(queries, min(self.neighbours, len(offers)))
                # Without any patch to compare with there is no prediction: the weights are not numbers.
                weight = torch.softmax(-nearest / self.bandwidth**2, dim=1).nan_to_num_(0)
                weight *= queries.known.mean(1, keepdim=True) ** _TRUST
                means.append(F.embedding_bag(index, offers, per_sample_weights=weight, mode="sum"))
            band = slice(int(strip[0]), int(strip[-1]) + self.size)
            covered = (band.stop - band.start, total.shape[2])
            total[:, band] += F.fold(torch.cat(means).T, covered, self.size, stride=self.stride)
            progress(min(1.0, (start + step) / len(rows)))
        inside = (
            slice(wanted.top - first[0], wanted.bottom - first[0]),
            slice(wanted.left - first[1], wanted.right - first[1]),
        )
        total = total[:, inside[0], inside[1]]
        return total[:-1] / total[-1].clamp_min(torch.finfo(total.dtype).tiny), total[-1]


def _lattice(length: int, size: int, stride: int, start: int, stop: int) -> torch.Tensor:
    """First pixels of the patches that cover some of the pixels from `start` to `stop` (exclusive).

    They go beyond the edge, cover each of `length` pixels as often, and are centred but for half a pixel.
    """
    count = math.ceil((length + size - 2 * stride) / stride) + 1
    line = torch.arange(count) * stride - ((count - 1) * stride + size - length) // 2
    return line[(line > start - size) & (line < stop)]


def _cut(planes: torch.Tensor, window: Window, first: tuple[int, int], last: tuple[int, int]) -> torch.Tensor:
    """Rows and columns of the image from `first` to `last` (exclusive); 0 beyond the window's `(C, h, w)`."""
    cut, margins = [], []
    for start, stop, low, high in zip(
        first, last, (window.top, window.left), (window.bottom, window.right), strict=True
    ):
        cut.append(slice(max(start, low) - low, min(stop, high) - low))
        margins.append((max(0, low - start), max(0, stop - high)))
    return F.pad(planes[:, cut[0], cut[1]], (*margins[1], *margins[0]))


def _draw(
    known: Sequence[torch.Tensor], size: int, count: int | None, generator: torch.Generator
) -> list[torch.Tensor]:
    """Corners of at most `count` patches inside of images, the best known ones, at random among equals.

    Args:
        known: `(h, w)` each, 1 at known pixels and 0 elsewhere.
        size: of the patches.
        count: None takes all of which a pixel is known.
        generator: draws.

    Returns:
        `(n, 2)` for each image.
    """
    shares = [F.avg_pool2d(plane[None], size, stride=1)[0] for plane in known]
    places = [(share > 0).nonzero() for share in shares]
    total = sum(map(len, places))
    if count is None or count >= total:
        return places
    best = torch.cat([share[share > 0] for share in shares])
    chance = torch.rand(total, generator=generator).to(best.device) / size**2
    chosen = torch.zeros(total, dtype=torch.bool, device=best.device)
    chosen[(best + chance).topk(count).indices] = True
    parts = torch.split(chosen, [len(some) for some in places])
    return [some[part] for some, part in zip(places, parts, strict=True)]
