"""Maps made a few rows at a time: what is in between stays in a cache, and threads share the strips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdnet.maths.parallel import each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

STRIP_VALUES = 1 << 19
"""Values worked on at once: about what a processor's cache holds."""

_FEWEST_ROWS = 8
"""Rows of a strip: of fewer, the context would be most of the work."""


def strips(height: int, values_a_row: int) -> list[slice]:
    """Rows of a map in strips that begin at even rows.

    >>> strips(5, 1 << 19)
    [slice(0, 5, None)]
    >>> strips(100, 1 << 13)
    [slice(0, 64, None), slice(64, 100, None)]
    """
    step = max(_FEWEST_ROWS, STRIP_VALUES // max(1, values_a_row) // 2 * 2)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def fill(
    maps: Sequence[torch.Tensor], values_a_row: int, rows_of: Callable[[slice], Sequence[torch.Tensor]]
) -> None:
    """Write maps strip by strip, see `ssdnet.maths.parallel`.

    Args:
        maps: `(..., h, w)` each, overwritten.
        values_a_row: that are worked on for each row of them.
        rows_of: gives the rows of each map.

    >>> import torch
    >>> squares = torch.empty(100, 3)
    >>> fill([squares], 3, lambda rows: [torch.arange(rows.start, rows.stop)[:, None] ** 2])
    >>> squares[-1].tolist()
    [9801.0, 9801.0, 9801.0]
    """

    def work(rows: slice) -> None:
        for target, values in zip(maps, rows_of(rows), strict=True):
            target[..., rows, :] = values

    each(work, strips(maps[0].shape[-2], values_a_row))
