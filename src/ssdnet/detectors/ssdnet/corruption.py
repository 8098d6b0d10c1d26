"""What keeps the network from copying its input: block masks, shuffled blocks and noise.

The paper names all three and gives no sizes or shares; those are our choice, in `SSDnet`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


def block_masks(
    count: int, side: int, *, sizes: Sequence[int], ratio: float, generator: torch.Generator
) -> torch.Tensor:
    """Masks made of square blocks on a grid with a random offset.

    Args:
        count: number of masks.
        side: of a mask, pixels.
        sizes: sides of the blocks; each mask draws one of them.
        ratio: probability of each block to be masked.
        generator: lives where the masks shall.

    Returns:
        `(count, 1, side, side)` float32, 1 = masked.

    >>> generator = torch.Generator().manual_seed(0)
    >>> masks = block_masks(8, 16, sizes=(4, 8), ratio=0.5, generator=generator)
    >>> tuple(masks.shape), masks.unique().tolist()
    ((8, 1, 16, 16), [0.0, 1.0])
    """
    device = generator.device
    masks = torch.empty(count, 1, side, side, device=device)
    which = torch.randint(len(sizes), (count,), generator=generator, device=device)
    for number, size in enumerate(sizes):
        members = (which == number).nonzero()[:, 0]
        cells = -(-side // size) + 1
        chosen = torch.rand(len(members), cells, cells, generator=generator, device=device) < ratio
        offset = torch.randint(size, (2, len(members), 1), generator=generator, device=device)
        rows, columns = (offset + torch.arange(side, device=device)) // size
        first = torch.arange(len(members), device=device)[:, None, None]
        masks[members, 0] = chosen[first, rows[:, :, None], columns[:, None, :]].to(masks.dtype)
    return masks


def shuffle_blocks(
    patches: torch.Tensor, *, size: int, ratio: float, generator: torch.Generator
) -> torch.Tensor:
    """Put some blocks of each patch in the place of others.

    Args:
        patches: `(B, C, H, W)`, sides a multiple of `size`.
        size: side of a block, pixels.
        ratio: share of the blocks that change places.
        generator: lives where the patches do.

    Returns:
        `(B, C, H, W)`.

    >>> patches = torch.arange(64.0).view(1, 1, 8, 8)
    >>> shuffled = shuffle_blocks(patches, size=4, ratio=1.0, generator=torch.Generator().manual_seed(0))
    >>> bool((shuffled == patches).any()), torch.equal(shuffled.flatten().sort().values, patches.flatten())
    (False, True)
    """
    batch, channels, height, width = patches.shape
    rows, columns = height // size, width // size
    moved = int(ratio * rows * columns)
    if moved < 2:
        return patches
    order = torch.arange(rows * columns, device=patches.device).repeat(batch, 1)
    draw = torch.rand(batch, rows * columns, generator=generator, device=patches.device)
    chosen = draw.argsort(dim=1)[:, :moved]
    order.scatter_(1, chosen, chosen.roll(1, dims=1))
    blocks = patches.reshape(batch, channels, rows, size, columns, size).permute(0, 2, 4, 1, 3, 5)
    blocks = blocks.flatten(1, 2)[torch.arange(batch, device=patches.device)[:, None], order]
    blocks = blocks.reshape(batch, rows, columns, channels, size, size)
    return blocks.permute(0, 3, 1, 4, 2, 5).reshape(patches.shape)
