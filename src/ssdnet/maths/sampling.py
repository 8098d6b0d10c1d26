"""Which positions stand for all, and how many are worked on at once."""

from __future__ import annotations

import math

import torch

STRIP_POSITIONS = 1 << 17
"""Positions worked on at once: bounds the memory, whatever the size of the image."""


def central_grid(
    height: int, width: int, *, most: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of a regular sub-grid that is its own mirror image, with at most `most` positions.

    >>> rows, columns = central_grid(9, 9, most=9, device=torch.device("cpu"))
    >>> rows.tolist()
    [1, 4, 7]
    """
    step = max(1, math.ceil(math.sqrt(height * width / most)))
    step += step % 2 == 0  # an odd step can always be centred

    def axis(size: int) -> torch.Tensor:
        margin = (size - 1) % step
        margin += step * (margin % 2)
        return torch.arange(margin // 2, max(size - margin // 2, margin // 2 + 1), step, device=device)

    return axis(height), axis(width)


def known_positions(share: torch.Tensor, *, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns, `(N,)` each, of at most `most` of the better known positions, evenly spread.

    They follow a golden-ratio sequence, which keeps step with no texture, and come row by row.

    Args:
        share: `(h, w)`, what is known of each position, in [0, 1], positive somewhere. Positions with at
            least half of the largest share count.
        most: how many to return at most.

    >>> share = torch.zeros(4, 4)
    >>> share[2, 1:] = 1.0
    >>> [places.tolist() for places in known_positions(share, most=10)]
    [[2, 2, 2], [1, 2, 3]]
    """
    places = (share >= 0.5 * share.max()).flatten().nonzero()[:, 0]
    if len(places) > most:
        golden = (math.sqrt(5) - 1) / 2
        sequence = (torch.arange(most, dtype=torch.float64) * golden % 1 * len(places)).long()
        places = places[sequence.sort().values.to(places.device)]
    return places // share.shape[1], places % share.shape[1]
