"""Positions that see less than others are compared with their own kind."""

from __future__ import annotations

import torch

_SUPPORT_GROUPS = 48
"""Classes of equal known support, beside holes."""

_SMALLEST_GROUP = 16
"""Fewest positions whose median says something."""


def excess(logarithm: torch.Tensor, known: torch.Tensor, support: torch.Tensor, reach: int) -> torch.Tensor:
    """`(h, w)` by how much positions that look beyond the known lie above the others, in the median.

    Beside the edge and beside holes a window holds a part of a texture's period only, and what is left of a
    regular texture looks unlike all the rest. So positions are compared with others that saw as much: those
    of the same row or column along an edge, and those with the same share of known support elsewhere. A
    defect still stands out from its own kind.

    Args:
        logarithm: `(h, w)` log distance of each position.
        known: `(h, w)`, the share of the position itself that was not missing, in [0, 1].
        support: `(h, w)`, the same for all it looks at.
        reach: how many positions from the edge still look beyond it.
    """
    group = (support / support.max() * _SUPPORT_GROUPS).ceil().long()
    known = known > 0
    full = logarithm[group == _SUPPORT_GROUPS].median()
    along = [_edge_excess(logarithm, known, full, reach)]
    along.append(_edge_excess(logarithm.T, known.T, full, reach))
    edges = along[0][:, None] + along[1]
    elsewhere = known & (group < _SUPPORT_GROUPS)
    elsewhere[:reach] = elsewhere[-reach:] = False
    elsewhere[:, :reach] = elsewhere[:, -reach:] = False
    keys, order = group[elsewhere].sort(stable=True)
    if len(keys) == 0:
        return edges
    numbers, sizes = torch.unique_consecutive(keys, return_counts=True)
    members = torch.split(logarithm[elsewhere][order], sizes.tolist())
    holes = torch.zeros(_SUPPORT_GROUPS + 1, device=logarithm.device)
    better = full.new_zeros(())
    # From the better to the worse known.
    for number, distances in reversed(list(zip(numbers.tolist(), members, strict=True))):
        # Too few say little: they are taken for what the next better group is.
        if len(distances) >= _SMALLEST_GROUP:
            better = (distances.median() - full).clamp_min(0)
        holes[number] = better
    return torch.where(elsewhere, holes[group], edges)


def _edge_excess(
    logarithm: torch.Tensor, known: torch.Tensor, full: torch.Tensor, reach: int
) -> torch.Tensor:
    """`(h,)` excess of the first and last `reach` rows; 0 for the others."""
    height = len(logarithm)
    excess = torch.zeros(height, device=logarithm.device)
    for row in {*range(min(reach, height)), *range(max(0, height - reach), height)}:
        distances = logarithm[row][known[row]]
        if len(distances) >= _SMALLEST_GROUP // 2:
            excess[row] = (distances.median() - full).clamp_min(0)
    return excess
