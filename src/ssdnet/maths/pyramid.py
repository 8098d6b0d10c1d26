"""An image at half, a quarter, ... of its resolution, over its known pixels only.

Grids: each level of the pyramid has half the rows and columns of the one before, rounded up. Its first
sample lies at 0.5 of the finer grid where that has an even number of samples, and at 0 where it has an odd
number, so that every grid is its own mirror image. The grids are those of the whole image, whatever part of
it is looked at: a window that begins at a multiple of `2**(levels - 1)` has the samples of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.smoothing import gaussian_taps, separable_filter
from ssdnet.maths.strips import fill
from ssdnet.maths.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, eq=False)
class Level:
    """One scale of the image pyramid.

    >>> known = torch.ones(4, 4, dtype=torch.bool)
    >>> known[0, 0] = False
    >>> coarse = pyramid(torch.ones(1, 4, 4), known, 2)[1]
    >>> coarse.window.size, bool(coarse.known[0, 0, 0, 0] < coarse.known[0, 0, 1, 1])
    ((2, 2), True)
    """

    pixels: torch.Tensor
    """`(1, C, h, w)`, missing pixels filled in."""
    known: torch.Tensor
    """`(1, 1, h, w)`, the share of the support that was not missing, in [0, 1]."""
    window: Window
    """Which of the samples of this scale of the whole image they are."""


def level_count(height: int, width: int, *, smallest: int = 32, most: int = 7) -> int:
    """How many octaves to look at: until the shorter side is about `smallest` pixels, at least two.

    >>> level_count(256, 300), level_count(16, 16)
    (4, 2)
    """
    count = 1
    while count < most and round(min(height, width) / 2**count) >= smallest:
        count += 1
    return max(count, 2)


def pyramid(
    pixels: torch.Tensor, valid: torch.Tensor, levels: int, window: Window | None = None, *, near: int = 2
) -> list[Level]:
    """Halve the image again and again over its known pixels, and fill in missing ones.

    A missing pixel close to known ones is filled with their mean, so that what is far away has no part in it;
    the others from the next coarser level.

    Args:
        pixels: `(C, h, w)` float32; values where `valid` is False are not used.
        valid: `(h, w)` bool.
        levels: how many scales to return.
        window: where these pixels lie in the image, which begins at multiples of `2**(levels - 1)`; None =
            all.
        near: how far known pixels are close, pixels of their scale: as far as a filter looks.

    Returns:
        `levels` scales, finest first. They do not depend on the values of missing pixels.

    >>> scales = pyramid(torch.ones(3, 20, 30), torch.ones(20, 30, dtype=torch.bool), 3)
    >>> [tuple(scale.pixels.shape) for scale in scales]
    [(1, 3, 20, 30), (1, 3, 10, 15), (1, 3, 5, 8)]
    """
    place = Window.whole((valid.shape[0], valid.shape[1])) if window is None else window
    complete = bool(valid.all())
    if complete:
        known = pixels.new_ones(()).expand(1, 1, *valid.shape)  # takes no memory
        values = pixels[None]
    else:
        known = valid[None, None].to(pixels.dtype)
        values = torch.where(valid, pixels, 0)[None]
    scales = [Level(values, known, place)]
    # Go on until nothing is missing, so that a hole of any size can be filled.
    while len(scales) < levels or (not complete and bool((known == 0).any()) and max(place.size) > 1):
        scales.append(_halved(scales[-1]))
        known, place = scales[-1].known, scales[-1].window
    if complete:
        return scales
    filled = [scales[-1]]
    for number in range(len(scales) - 2, -1, -1):
        filled.append(_fill(scales[number], filled[-1].pixels, near))
    return filled[::-1][:levels]


def _halved(level: Level) -> Level:
    """The next coarser scale."""
    place = level.window.halved()
    channels = level.pixels.shape[1]
    pixels = level.pixels.new_empty(1, channels, *place.size)
    known = level.pixels.new_empty(1, 1, *place.size)

    def rows_of(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        weight = halve(level.known, level.window, rows)
        sums = halve(level.pixels, level.window, rows, level.known)
        return sums.div_(weight.clamp_min(_TINY)), weight

    fill([pixels, known], 2 * channels * place.size[1], rows_of)
    return Level(pixels, known, place)


def _fill(level: Level, coarser: torch.Tensor, near: int) -> Level:
    """Give missing pixels the mean of the known ones close by, or what the next scale has there."""
    missing = level.known == 0
    if not bool(missing.any()):
        return level
    present = (~missing).to(coarser.dtype)
    taps = gaussian_taps(near, near / 2)
    around = F.pad(torch.cat([torch.where(missing, 0, level.pixels), present], dim=1), (near,) * 4)
    *means, share = separable_filter(around, taps)[0]
    close = torch.stack(means)[None] / share.clamp_min(_TINY)
    smooth = torch.where(share > 0, close, upsample(coarser, level.window))
    return Level(torch.where(missing, smooth, level.pixels), level.known, level.window)


def upsample(values: torch.Tensor, finer: Window) -> torch.Tensor:
    """`(1, C, h', w')` of the scale before the one of `(1, C, h, w)`, linearly between its samples.

    Args:
        values: of the coarser scale, of `finer.halved()`.
        finer: which samples of the finer scale.

    >>> upsample(torch.tensor([[[[0.0, 1.0]]]]), Window.whole((1, 4))).flatten().tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    begins = finer.top % 2, finer.left % 2
    for axis, (full, size, odd) in enumerate(zip(finer.shape, finer.size, begins, strict=True)):
        if full == 1:
            continue
        even = full % 2 == 0
        count = values.shape[2 + axis]
        wanted = 2 * count if even else 2 * count - 1
        shape = list(values.shape[2:])
        shape[axis] = wanted
        values = F.interpolate(values, shape, mode="bilinear", align_corners=not even)
        if wanted < odd + size:  # of an odd grid a window may end on the sample between
            values = torch.cat([values, values.narrow(2 + axis, wanted - 1, 1)], dim=2 + axis)
        values = values.narrow(2 + axis, odd, size)
    return values


def upsample_part(values: torch.Tensor, finer: Window, part: Window) -> torch.Tensor:
    """`(1, C, h, w)`, a part of what `upsample` gives.

    >>> coarse = torch.arange(4.0).view(1, 1, 4, 1)
    >>> window = Window.whole((8, 1))
    >>> upsample_part(coarse, window, Window(4, 6, 0, 1, (8, 1))).flatten().tolist()
    [1.75, 2.25]
    >>> upsample(coarse, window).flatten().tolist()[4:6]
    [1.75, 2.25]
    """
    if part == finer:
        return upsample(values, finer)
    context = Window(
        max(finer.top, part.top - part.top % 2 - 2),
        min(finer.bottom, part.bottom + 2),
        max(finer.left, part.left - part.left % 2 - 2),
        min(finer.right, part.right + 2),
        finer.shape,
    )
    rows, columns = context.halved().within(finer.halved())
    inside = part.within(context)
    return upsample(values[:, :, rows, columns], context)[:, :, inside[0], inside[1]]


def enlarged(values: torch.Tensor, places: Sequence[Window], part: Window) -> torch.Tensor:
    """`(h, w)` of a part at the finest of some scales, of values at the coarsest: `upsample` by `upsample`.

    Args:
        values: `(h', w')` of the coarsest scale.
        places: where the map lies at each scale, the finest first.
        part: of the finest scale.

    >>> coarse = torch.arange(4.0).view(4, 1)
    >>> places = [Window.whole((16, 1)), Window.whole((8, 1)), Window.whole((4, 1))]
    >>> enlarged(coarse, places, Window(8, 10, 0, 1, (16, 1))).flatten().tolist()
    [1.625, 1.875]
    """
    if len(places) == 1:
        return values[part.within(places[0])]
    context = part.around(2).aligned_outwards(2).inside(places[0])
    coarser = enlarged(values, places[1:], context.halved())
    return upsample(coarser[None, None], context)[0, 0][part.within(context)]


def halve(
    x: torch.Tensor, window: Window, rows: slice | None = None, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Smooth `(1, C, h, w)` and keep every second sample; zeros lie beyond the edge.

    Four taps (1, 3, 3, 1) where the size is even and three (1, 2, 1) where it is odd: its own mirror image.

    Args:
        x: of a window.
        window: where it lies.
        rows: which rows of the result; None = all.
        weight: `(1, 1, h, w)`, what `x` is multiplied by before; None = 1.

    >>> halve(torch.ones(1, 1, 4, 4), Window.whole((4, 4))).flatten().tolist()
    [0.765625, 0.765625, 0.765625, 0.765625]
    """
    rows = slice(0, window.halved().size[0]) if rows is None else rows
    for axis, start, full in ((-2, window.top, window.shape[0]), (-1, window.left, window.shape[1])):
        # Before a window that begins between two coarser samples nothing is known either.
        before = 1 + start % 2
        wide = full % 2 == 0
        size = x.shape[axis]
        first, last = (rows.start, rows.stop) if axis == -2 else (0, (size + before) // 2)
        low, high = 2 * first - before, 2 * last + (2 if wide else 1) - before
        inside = slice(max(0, low), min(size, high))
        margins = (inside.start - low, high - inside.stop)
        if axis == -2:
            x = x[:, :, inside] if weight is None else x[:, :, inside] * weight[:, :, inside]
            padded = F.pad(x, (0, 0, *margins))
        else:
            padded = F.pad(x, margins)
        taps = [padded.narrow(axis, tap, 2 * (last - first) - 1) for tap in range(4 if wide else 3)]
        taps = [part[:, :, ::2] if axis == -2 else part[:, :, :, ::2] for part in taps]
        middle = taps[1] + taps[2] if wide else taps[1]
        outer = taps[0] + taps[-1]
        x = outer.add_(middle, alpha=3.0 if wide else 2.0).mul_(1 / 8 if wide else 1 / 4)
    return x


def pad(x: torch.Tensor, margin: int) -> torch.Tensor:
    """Continue `(1, C, h, w)` beyond its edges by reflection, or by its last values where it is too small.

    >>> pad(torch.tensor([[[[1.0, 2.0, 3.0]] * 3]]), 1)[0, 0, 0].tolist()
    [2.0, 1.0, 2.0, 3.0, 2.0]
    """
    return F.pad(x, (margin,) * 4, mode="reflect" if min(x.shape[-2:]) > margin else "replicate")
