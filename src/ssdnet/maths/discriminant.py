"""Who is to blame: what sets the pixels of the strongest finding apart from the others, at full resolution.

A map of distances is high around a defect too: windows of coarse octaves and long lines hold a part of it.
The strongest part of the map says what the defect looks like, most of the image what the surface looks like,
and a linear discriminant between the two (Fisher, 1936) on small filters says of each pixel which it
resembles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.pyramid import pad
from ssdnet.maths.smoothing import separable_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

_CORE, _BACKGROUND = 0.8, 1.0
"""What the finding is: so much of the largest value; and what the surface: less than one upper spread."""

_CORE_MOST, _BACKGROUND_MOST = 2000, 4000
"""Pixels that are learned from, at most."""

_CORE_LEAST = 12
"""The core has at least so many pixels."""

_RIDGE = 0.1
"""Added to the variance of each feature as a share of it."""

_OFFSET = 0.1
"""Of the logarithm of a response, in standard deviations."""

_LOWEST, _HIGHEST = -0.5, 1.5
"""0 is the surface, 1 the finding; beyond these all is alike."""

_STRIP = 1 << 17
"""Pixels worked on at once."""


@dataclass(frozen=True, eq=False)
class Discriminant:
    """A linear function of small filters' responses, 0 on the surface and 1 in the finding, in the mean.

    >>> image = torch.randn(1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> image[0, 20:28, 20:28] += 3.0
    >>> level = torch.zeros(48, 48)
    >>> level[16:32, 16:32] = 5.0  # the map is wider than the defect
    >>> kernel = torch.full((1, 1, 3, 3), 1 / 9)
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> blame = Discriminant.fit([image], [known], [level], [(kernel, torch.zeros(1))])
    >>> alike = blame.of(image)
    >>> bool(alike[24, 24] > 0.9), bool(alike[17, 17] < 0.6)
    (True, True)
    """

    kernels: tuple[torch.Tensor, ...]
    """`(K, C, p, p)`, of one or several sizes, with responses of unit variance."""
    bias: tuple[torch.Tensor, ...]
    """`(K,)` each."""
    weights: torch.Tensor
    """`(2 K + C,)`: of all responses, of their logarithms, of the pixels."""
    offset: float

    @property
    def halo(self) -> int:
        """Pixels of context that a window needs."""
        return max(int(kernels.shape[-1]) // 2 for kernels in self.kernels) + 2

    @classmethod
    def fit(
        cls,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        levels: Sequence[torch.Tensor],
        filters: Sequence[tuple[torch.Tensor, torch.Tensor]],
    ) -> Discriminant:
        """Learn it from one image, or from several of one surface.

        Args:
            pixels: `(C, H, W)` each, missing ones filled in.
            valid: `(H, W)` bool each: only known pixels are learned from.
            levels: `(H, W)` each, how unusual each pixel is, in upper spreads above the usual.
            filters: kernels `(K, C, p, p)` and bias `(K,)` of each size, such as `PatchFilters` has them.
        """
        largest = max(float(values[known].max()) for values, known in zip(levels, valid, strict=True))
        core = _positions(levels, valid, _CORE * largest, above=True, most=_CORE_MOST)
        background = _positions(levels, valid, _BACKGROUND, above=False, most=_BACKGROUND_MOST)
        found, usual = (
            torch.cat([_features(image, filters, *where) for image, where in zip(pixels, some, strict=True)])
            for some in (core, background)
        )
        # Few numbers, and of a flat picture with one bright spot they span more than float32 can square.
        device = usual.device
        found, usual = found.cpu().double(), usual.cpu().double()
        spread = usual.std(dim=0).clamp_min(1e-6)
        middle, away = usual.mean(dim=0), found.mean(dim=0)
        scatter = [(some - centre) / spread for some, centre in ((usual, middle), (found, away))]
        # The finding's own spread counts as far as there are pixels to know it by.
        share = min(0.5, max(0.2, len(found) / (6 * found.shape[1])))
        covariance = sum(
            part * (some.T @ some) / len(some) for part, some in zip((1 - share, share), scatter, strict=True)
        )
        assert isinstance(covariance, torch.Tensor)  # noqa: S101 - there are two
        covariance += torch.diag(_RIDGE * covariance.diagonal() + 1e-6)
        difference = (away - middle) / spread
        direction = torch.linalg.solve(covariance, difference)
        weights = direction / max(float(direction @ difference), 1e-9) / spread
        offset = float(middle @ weights)
        kernels, bias = zip(*filters, strict=True)
        return cls(tuple(kernels), tuple(bias), weights.to(device, torch.float32), offset)

    def of(self, pixels: torch.Tensor) -> torch.Tensor:
        """`(h, w)`: 0 where a pixel is like the surface, 1 where it is like the finding, from -0.5 to 1.5.

        Args:
            pixels: `(C, h, w)`, missing ones filled in. Right `halo` pixels inside of a border that is not
                the image's.
        """
        channels, height, width = pixels.shape
        reach = max(kernels.shape[-1] for kernels in self.kernels) // 2
        padded = pad(pixels[None], reach)
        count = (len(self.weights) - channels) // 2
        linear, logarithms, colour = torch.split(self.weights, [count, count, channels])
        total = torch.empty(2, height, width, device=pixels.device)
        step = max(1, _STRIP // width)
        for start in range(0, height, step):
            stop = min(start + step, height)
            part = padded[:, :, start : stop + 2 * reach]
            responses = torch.cat(_responses(part, list(zip(self.kernels, self.bias, strict=True))))
            torch.tensordot(linear, responses, 1, out=total[0, start:stop])
            responses.abs_().add_(_OFFSET).log_()
            torch.tensordot(logarithms, responses, 1, out=total[1, start:stop])
        total[1] += torch.tensordot(colour, pixels, 1)
        both = total[0] + _binomial(total[1])
        return _binomial(both).sub_(self.offset).clamp_(_LOWEST, _HIGHEST)


def _responses(
    padded: torch.Tensor, filters: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> list[torch.Tensor]:
    """`(K, h, w)` of each size, of pixels padded for the largest."""
    largest = max(int(kernels.shape[-1]) for kernels, _ in filters)
    parts = []
    for kernels, bias in filters:
        cut = (largest - kernels.shape[-1]) // 2
        rows, columns = (slice(cut, size - cut) for size in padded.shape[-2:])
        parts.append(F.conv2d(padded[:, :, rows, columns], kernels, bias)[0])
    return parts


def _features(
    pixels: torch.Tensor,
    filters: Sequence[tuple[torch.Tensor, torch.Tensor]],
    rows: torch.Tensor,
    columns: torch.Tensor,
) -> torch.Tensor:
    """`(N, 2 K + C)` at some positions: responses, and averages of their logarithms and of the pixels."""
    largest = max(int(kernels.shape[-1]) for kernels, _ in filters)
    side = largest + 2
    windows = pad(pixels[None], side // 2)[0].unfold(1, side, 1).unfold(2, side, 1)
    patches = windows[:, rows, columns].transpose(0, 1)
    parts = []
    for kernels, bias in filters:
        cut = (largest - kernels.shape[-1]) // 2
        parts.append(F.conv2d(patches[:, :, cut : side - cut, cut : side - cut], kernels, bias))
    responses = torch.cat(parts, dim=1)  # (N, K, 3, 3)
    taps = torch.tensor([0.25, 0.5, 0.25], device=pixels.device)
    taps = taps[:, None] * taps
    logarithms = ((responses.abs() + _OFFSET).log() * taps).sum((-2, -1))
    middle = side // 2
    colour = patches[:, :, middle - 1 : middle + 2, middle - 1 : middle + 2]
    return torch.cat([responses[:, :, 1, 1], logarithms, (colour * taps).sum((-2, -1))], dim=1)


def _positions(
    levels: Sequence[torch.Tensor],
    valid: Sequence[torch.Tensor],
    limit: float,
    *,
    above: bool,
    most: int,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Rows and columns in each image of known pixels on one side of a limit, evenly spread."""
    least = _CORE_LEAST
    places = []
    for values, known in zip(levels, valid, strict=True):
        flat = torch.where(known, values, -torch.inf if above else torch.inf).flatten()
        some = ((flat >= limit) if above else (flat < limit)).nonzero()[:, 0]
        places.append((flat, some))
    if sum(len(some) for _, some in places) < least:
        places = [(flat, flat.topk(min(least, len(flat)), largest=above).indices) for flat, _ in places]
    share = min(1.0, most / sum(len(some) for _, some in places))
    found = []
    for (_, some), values in zip(places, levels, strict=True):
        count = max(1, round(share * len(some))) if len(some) else 0
        chosen = some[torch.linspace(0, max(0, len(some) - 1), count, device=some.device).long()]
        found.append((chosen // values.shape[1], chosen % values.shape[1]))
    return found


def _binomial(values: torch.Tensor) -> torch.Tensor:
    """`(h, w)` averaged over 3 x 3 samples; beyond the edge lie the last ones."""
    return separable_filter(F.pad(values[None, None], (1,) * 4, mode="replicate")[0, 0], [0.25, 0.5, 0.25])
