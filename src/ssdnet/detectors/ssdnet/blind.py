"""Prediction of every pixel from its surroundings only: masks tile the image, one phase after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssdnet.detectors.ssdnet.network import Network

MARGIN = 16
"""Pixels of nothing around the image: what lies outside is masked, not invented."""

_POSITIONS = 1 << 20
"""Pixels given to the network at once, at most, unless one image has more."""


def framed(pixels: torch.Tensor, valid: torch.Tensor, multiple: int) -> torch.Tensor:
    """The network's input for a whole image, with nothing masked but what is missing.

    Args:
        pixels: `(C, H, W)`.
        valid: `(H, W)` bool.
        multiple: the sides of the result are multiples of this.

    Returns:
        `(1, C + 1, H', W')`: the image begins at `MARGIN`, `MARGIN`; around it all is masked.
    """
    channels, height, width = pixels.shape
    sides = [-(-(size + 2 * MARGIN) // multiple) * multiple for size in (height, width)]
    frame = pixels.new_zeros(1, channels + 1, *sides)
    frame[:, -1] = 1
    inside = frame[0, :, MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    inside[:-1] = torch.where(valid, pixels, 0)
    inside[-1] = (~valid).to(pixels.dtype)
    return frame


def tilings(
    height: int, width: int, *, block: int, guard: int, offsets: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Masks, and the part of each whose prediction is kept.

    Blocks lie on a grid; in each phase every second one (or fewer, when the guard is wide) is hidden together
    with the guard around it, so that what is kept never saw itself nor its neighbours up to `guard`. The
    phases of one offset together cover all. Other offsets shift the grid along its diagonal, so that no place
    is always at the rim of a block.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        block: side of what is kept, pixels.
        guard: how much wider the mask is on each side, pixels.
        offsets: number of shifted grids.
        device: where the masks shall live.

    Yields:
        `(hidden, kept)`, `(H, W)` bool each; over all, every pixel is kept `offsets` times.
    """
    # As much is seen between the masks as is hidden in one.
    phases = max(2, -(-2 * (block + 2 * guard) // block) if guard else 2)
    period = phases * block

    def along(size: int, offset: int, phase: int) -> tuple[torch.Tensor, torch.Tensor]:
        place = (torch.arange(size, device=device) + offset - phase * block) % period
        return (place + guard) % period < block + 2 * guard, place < block

    for number in range(offsets):
        offset = number * block // offsets
        for row in range(phases):
            hidden_rows, kept_rows = along(height, offset, row)
            for column in range(phases):
                hidden_columns, kept_columns = along(width, offset, column)
                yield hidden_rows[:, None] & hidden_columns, kept_rows[:, None] & kept_columns


@torch.no_grad()
def predict_blind(
    network: Network, pixels: torch.Tensor, valid: torch.Tensor, *, block: int, guard: int, offsets: int
) -> torch.Tensor:
    """`(C, H, W)` prediction of each pixel by a network that does not see it.

    Args:
        network: a single trained one.
        pixels: `(C, H, W)`; those that are missing are predicted too.
        valid: `(H, W)` bool.
        block: see `tilings`.
        guard: see `tilings`.
        offsets: see `tilings`; their predictions are averaged. With 0 of them nothing is hidden.
    """
    height, width = valid.shape
    frame = framed(pixels, valid, network.multiple)
    if offsets == 0:
        seen: torch.Tensor = network(frame)[0, :, MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        return seen.clone()
    total = torch.zeros_like(pixels)
    at_once = max(1, _POSITIONS // frame[0, 0].numel())
    waiting: list[tuple[torch.Tensor, torch.Tensor]] = []

    def work() -> None:
        hidden = torch.stack([mask for mask, _ in waiting])[:, None]
        hidden = F.pad(hidden, _beyond(frame, height, width))
        inputs = frame.repeat(len(waiting), 1, 1, 1)
        inputs[:, :-1].masked_fill_(hidden, 0)
        inputs[:, -1:].masked_fill_(hidden, 1)
        predicted = network(inputs)[:, :, MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        for prediction, (_, kept) in zip(predicted, waiting, strict=True):
            total.add_(prediction * kept)
        waiting.clear()

    for tiling in tilings(height, width, block=block, guard=guard, offsets=offsets, device=pixels.device):
        waiting.append(tiling)
        if len(waiting) == at_once:
            work()
    if waiting:
        work()
    return total / offsets


def _beyond(frame: torch.Tensor, height: int, width: int) -> tuple[int, int, int, int]:
    """Padding that brings `(H, W)` to the size of the frame."""
    right = frame.shape[-1] - MARGIN - width
    below = frame.shape[-2] - MARGIN - height
    return MARGIN, right, MARGIN, below
