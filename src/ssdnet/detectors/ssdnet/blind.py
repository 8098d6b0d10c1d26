"""Prediction of every pixel from its surroundings only: masks tile the image, one phase after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssdnet.detectors.ssdnet.network import Network

MARGIN = 16
"""Pixels of nothing around the image: what lies outside is masked, not invented."""

_POSITIONS = 1 << 20
"""Pixels given to the network at once, at most, unless one image has more."""


def framed(
    pixels: torch.Tensor, valid: torch.Tensor, multiple: int, window: Window | None = None
) -> tuple[torch.Tensor, tuple[slice, slice]]:
    """The network's input for an image, or for a window of it, with nothing masked but what is missing.

    Around the image there are `MARGIN` pixels of nothing, and more at its end, so that the sides of the whole
    are multiples of `multiple`: those of a window end where those of the whole do.

    Args:
        pixels: `(C, h, w)`.
        valid: `(h, w)` bool.
        multiple: the sides of the result are multiples of this.
        window: where the pixels lie, which begin at multiples of `multiple`; None = all.

    Returns:
        `(1, C + 1, h', w')`, and the rows and columns of the pixels in it.

    >>> frame, inside = framed(torch.ones(3, 20, 30), torch.ones(20, 30, dtype=torch.bool), 8)
    >>> tuple(frame.shape), inside
    ((1, 4, 56, 64), (slice(16, 36, None), slice(16, 46, None)))
    """
    channels, height, width = pixels.shape
    window = Window.whole((height, width)) if window is None else window
    beside, inside = [], []
    for first, last, full in (
        (window.top, window.bottom, window.shape[0]),
        (window.left, window.right, window.shape[1]),
    ):
        before = MARGIN if first == 0 else 0
        short = (-(full + 2 * MARGIN) if last == full else first - last - before) % multiple
        after = short + (MARGIN if last == full else 0)
        beside.append((before, after))
        inside.append(slice(before, before + last - first))
    (top, bottom), (left, right) = beside
    frame = pixels.new_zeros(1, channels + 1, top + height + bottom, left + width + right)
    frame[:, -1] = 1
    part = frame[0, :, inside[0], inside[1]]
    part[:-1] = torch.where(valid, pixels, 0)
    part[-1] = (~valid).to(pixels.dtype)
    return frame, (inside[0], inside[1])


def tilings(
    window: Window, *, block: int, guard: int, offsets: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Masks, and the part of each whose prediction is kept.

    Blocks lie on a grid; in each phase every second one (or fewer, when the guard is wide) is hidden together
    with the guard around it, so that what is kept never saw itself nor its neighbours up to `guard`. The
    phases of one offset together cover all. Other offsets shift the grid along its diagonal, so that no place
    is always at the rim of a block.

    Args:
        window: of the image, whose pixels the grid counts.
        block: side of what is kept, pixels.
        guard: how much wider the mask is on each side, pixels.
        offsets: number of shifted grids.
        device: where the masks shall live.

    Yields:
        `(hidden, kept)`, `(h, w)` bool each; over all, every pixel is kept `offsets` times.

    >>> masks = list(tilings(Window.whole((9, 8)), block=2, guard=1, offsets=3, device=torch.device("cpu")))
    >>> sum(kept.int() for _, kept in masks).unique().tolist()
    [3]
    >>> all(bool(hidden[kept].all()) for hidden, kept in masks)
    True
    """
    # As much is seen between the masks as is hidden in one.
    phases = max(2, -(-2 * (block + 2 * guard) // block) if guard else 2)
    period = phases * block

    def along(first: int, last: int, offset: int, phase: int) -> tuple[torch.Tensor, torch.Tensor]:
        place = (torch.arange(first, last, device=device) + offset - phase * block) % period
        return (place + guard) % period < block + 2 * guard, place < block

    for number in range(offsets):
        offset = number * block // offsets
        for row in range(phases):
            hidden_rows, kept_rows = along(window.top, window.bottom, offset, row)
            for column in range(phases):
                hidden_columns, kept_columns = along(window.left, window.right, offset, column)
                yield hidden_rows[:, None] & hidden_columns, kept_rows[:, None] & kept_columns


@torch.no_grad()
def predict_blind(
    network: Network,
    pixels: torch.Tensor,
    valid: torch.Tensor,
    *,
    block: int,
    guard: int,
    offsets: int,
    window: Window | None = None,
) -> torch.Tensor:
    """`(C, h, w)` prediction of each pixel by a network that does not see it.

    Args:
        network: a single trained one.
        pixels: `(C, h, w)`; those that are missing are predicted too.
        valid: `(h, w)` bool.
        block: see `tilings`.
        guard: see `tilings`.
        offsets: see `tilings`; their predictions are averaged. With 0 of them nothing is hidden.
        window: where the pixels lie in the image, see `framed`.

    >>> from ssdnet.detectors.ssdnet.network import Network
    >>> network = Network(1, (4, 4))
    >>> network.initialize([torch.Generator().manual_seed(0)])
    >>> image, known = torch.zeros(1, 16, 16), torch.ones(16, 16, dtype=torch.bool)
    >>> changed = image.clone()
    >>> changed[0, 9, 9] = 5.0
    >>> before, after = (
    ...     predict_blind(network, one, known, block=4, guard=0, offsets=1) for one in (image, changed)
    ... )
    >>> moved = (after - before).abs()[0] > 1e-6
    >>> bool(moved[8:12, 8:12].any()), bool(moved.any())  # what is hidden together, and all else
    (False, True)
    """
    window = Window.whole((valid.shape[0], valid.shape[1])) if window is None else window
    frame, (rows, columns) = framed(pixels, valid, network.multiple, window)
    if offsets == 0:
        seen: torch.Tensor = network(frame)[0, :, rows, columns]
        return seen.clone()
    total = torch.zeros_like(pixels)
    at_once = max(1, _POSITIONS // frame[0, 0].numel())
    beyond = (columns.start, frame.shape[-1] - columns.stop, rows.start, frame.shape[-2] - rows.stop)
    waiting: list[tuple[torch.Tensor, torch.Tensor]] = []

    def work() -> None:
        hidden = F.pad(torch.stack([mask for mask, _ in waiting])[:, None], beyond)
        inputs = frame.repeat(len(waiting), 1, 1, 1)
        inputs[:, :-1].masked_fill_(hidden, 0)
        inputs[:, -1:].masked_fill_(hidden, 1)
        predicted = network(inputs)[:, :, rows, columns]
        for prediction, (_, kept) in zip(predicted, waiting, strict=True):
            total.add_(prediction * kept)
        waiting.clear()

    for tiling in tilings(window, block=block, guard=guard, offsets=offsets, device=pixels.device):
        waiting.append(tiling)
        if len(waiting) == at_once:
            work()
    if waiting:
        work()
    return total / offsets
