"""Maps made part by part, rows or squares: what is in between stays in a cache, and threads share parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdnet.maths.parallel import each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from ssdnet.maths.window import Window

STRIP_VALUES = 1 << 19
"""Values worked on at once: about what a processor's cache holds."""

_FEWEST_ROWS = 8
"""Rows of a strip: of fewer, the context would be most of the work."""


SQUARE = 256
"""Side of the squares worked on at once, pixels: what a processor's cache holds."""


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


def fill_squares(
    maps: Sequence[torch.Tensor], place: Window, part_of: Callable[[Window], Sequence[torch.Tensor]]
) -> None:
    """Write maps square by square, see `ssdnet.maths.parallel`.

    Args:
        maps: `(h, w)` each, of a window, overwritten.
        place: the window.
        part_of: gives the part of each map that lies in a square of it.

    >>> import torch
    >>> from ssdnet.maths.window import Window
    >>> rows = torch.empty(300, 4)
    >>> numbers = lambda square: torch.arange(square.top, square.bottom)[:, None].expand(square.size)
    >>> fill_squares([rows], Window.whole((300, 4)), lambda square: [numbers(square)])
    >>> rows[:, 2].tolist() == list(range(300))
    True
    """

    def work(square: Window) -> None:
        for target, values in zip(maps, part_of(square), strict=True):
            target[square.within(place)] = values

    each(work, place.tiles(SQUARE))
