"""Positions that see less than others are compared with their own kind.

Beside the edge and beside holes a window holds a part of a texture's period only, and what is left of a
regular texture looks unlike all the rest. So positions are compared with others that saw as much: those as
far from the same edge, and those with the same share of known support elsewhere. A defect still stands out
from its own kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from ssdnet.maths.parallel import each
from ssdnet.maths.strips import strips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.maths.window import Window

_SUPPORT_GROUPS = 48
"""Classes of equal known support, beside holes."""

_SMALLEST_GROUP = 16
"""Fewest positions whose median says something."""

_LINE = 1024
"""Positions of a row or column that say what is usual in it; of longer ones, every so many."""

_SAMPLES = 1 << 18
"""Positions that say what is usual inside, about."""


class Seen(NamedTuple):
    """Log distances of one image, and how much each position saw.

    >>> from ssdnet.maths.smoothing import blur
    >>> known = torch.ones(8, 8)
    >>> known[3, 3] = 0.0
    >>> seen = Seen(torch.zeros(8, 8), known, support=blur(known[None], 1.0)[0])
    >>> bool(seen.support[3, 4] < seen.support[3, 5])  # beside the hole it saw less
    True
    """

    logarithm: torch.Tensor
    """`(h, w)`."""
    known: torch.Tensor
    """`(h, w)`, the share of the position itself that was not missing, in [0, 1]."""
    support: torch.Tensor
    """`(h, w)`, the same for all it looks at."""


@dataclass(frozen=True, eq=False)
class Excess:
    """By how much positions that look beyond the known lie above the others, in the median.

    >>> from ssdnet.maths.window import Window
    >>> logarithm = torch.zeros(40, 40)
    >>> logarithm[:2] = 1.0  # along the upper edge nothing looks like the rest
    >>> seen = Seen(logarithm, known=torch.ones(40, 40), support=torch.ones(40, 40))
    >>> excess = Excess.fit([seen], reach=2)
    >>> excess.rows.tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    >>> bool((logarithm - excess.of(seen, Window.whole((40, 40)))).any())
    False
    """

    rows: torch.Tensor
    """`(2, reach)`, at each distance from the upper and from the lower edge."""
    columns: torch.Tensor
    """`(2, reach)`, at each distance from the left and from the right edge."""
    holes: torch.Tensor
    """`(_SUPPORT_GROUPS + 1,)`, for each share of known support elsewhere."""
    largest: float
    """Support of a position that sees all."""

    @property
    def reach(self) -> int:
        """How many positions from the edge still look beyond it."""
        return self.rows.shape[1]

    @classmethod
    def fit(cls, images: Sequence[Seen], reach: int) -> Excess:
        """Measure it on one image, or on several of one surface.

        Args:
            images: at least one.
            reach: how many positions from the edge still look beyond it.
        """
        largest = max(float(image.support.max()) for image in images)
        inside = [
            _thinned(image.logarithm)[_group(_thinned(image.support), largest) == _SUPPORT_GROUPS]
            for image in images
        ]
        full = torch.cat(inside).median()
        rows = _edges([(image.logarithm, image.known) for image in images], full, reach)
        columns = _edges([(image.logarithm.T, image.known.T) for image in images], full, reach)
        holes = _holes(images, full, reach, largest)
        return cls(rows, columns, holes, largest)

    @property
    def any_holes(self) -> bool:
        """Whether positions beside holes lie above the others; if not, nobody needs to know what they see."""
        return bool(self.holes.any())

    def take_from(self, seen: Seen, window: Window) -> None:
        """Take it from the log distances of a window, in place."""
        logarithm, known, support = seen

        def work(rows: slice) -> None:
            part = Seen(logarithm[rows], known[rows], support[rows])
            part.logarithm.sub_(self.of(part, window.rows(rows)))

        each(work, strips(len(logarithm), 4 * logarithm.shape[1]))

    def of(self, seen: Seen, window: Window) -> torch.Tensor:
        """`(h, w)`, what is to be taken from the log distances of a window."""
        rows, columns = (
            _beside_edges(table, start, stop, full)
            for table, start, stop, full in (
                (self.rows, window.top, window.bottom, window.shape[0]),
                (self.columns, window.left, window.right, window.shape[1]),
            )
        )
        edges = rows[:, None] + columns
        if not self.any_holes:
            return edges
        group = _group(seen.support, self.largest)
        elsewhere = (seen.known > 0) & (group < _SUPPORT_GROUPS)
        elsewhere &= _inside(window.top, window.bottom, window.shape[0], self.reach, edges.device)[:, None]
        elsewhere &= _inside(window.left, window.right, window.shape[1], self.reach, edges.device)
        return torch.where(elsewhere, self.holes[group], edges)


def _group(support: torch.Tensor, largest: float) -> torch.Tensor:
    return (support / largest * _SUPPORT_GROUPS).ceil().long().clamp_max_(_SUPPORT_GROUPS)


def _thinned(values: torch.Tensor) -> torch.Tensor:
    step = max(1, round((values.numel() / _SAMPLES) ** 0.5))
    return values[step // 2 :: step, step // 2 :: step]


def _edges(
    images: Sequence[tuple[torch.Tensor, torch.Tensor]], full: torch.Tensor, reach: int
) -> torch.Tensor:
    """`(2, reach)` excess of the first rows and of the last ones, counted from the edge."""
    tables = []
    for last in (False, True):
        lines = []
        for logarithm, known in images:
            step = max(1, logarithm.shape[1] // _LINE)
            count = min(reach, len(logarithm))
            part = slice(len(logarithm) - count, None) if last else slice(count)
            line = torch.where(known[part, ::step] > 0, logarithm[part, ::step], torch.nan)
            lines.append(
                torch.nn.functional.pad(
                    line.flip(0) if last else line, (0, 0, 0, reach - count), value=torch.nan
                )
            )
        values = torch.cat(lines, dim=1)
        enough = values.isfinite().sum(dim=1) >= _SMALLEST_GROUP // 2
        excess = (values.nanmedian(dim=1).values - full).clamp_min(0)
        tables.append(torch.where(enough, excess, 0))
    return torch.stack(tables)


def _holes(images: Sequence[Seen], full: torch.Tensor, reach: int, largest: float) -> torch.Tensor:
    """`(_SUPPORT_GROUPS + 1,)` excess of each group of positions that are not beside the edge."""
    groups, values = [], []
    for image in images:
        height, width = image.known.shape
        inner = slice(reach, height - reach), slice(reach, width - reach)
        support = image.support[inner]
        elsewhere = (image.known[inner] > 0) & (support < largest)
        group = _group(support[elsewhere], largest)  # of all, it would take twice the memory of a map
        less = group < _SUPPORT_GROUPS
        groups.append(group[less])
        values.append(image.logarithm[inner][elsewhere][less])
    holes = torch.zeros(_SUPPORT_GROUPS + 1, device=full.device)
    keys, order = torch.cat(groups).sort(stable=True)
    if len(keys) == 0:
        return holes
    numbers, sizes = torch.unique_consecutive(keys, return_counts=True)
    members = torch.split(torch.cat(values)[order], sizes.tolist())
    better = full.new_zeros(())
    # From the better to the worse known.
    for number, distances in reversed(list(zip(numbers.tolist(), members, strict=True))):
        # Too few say little: they are taken for what the next better group is.
        if len(distances) >= _SMALLEST_GROUP:
            better = (distances.median() - full).clamp_min(0)
        holes[number] = better
    # Groups that were not there, for other images: what the next better one is.
    present = set(numbers.tolist())
    for number in range(_SUPPORT_GROUPS - 1, -1, -1):
        if number not in present:
            holes[number] = holes[number + 1]
    return holes


def _beside_edges(table: torch.Tensor, start: int, stop: int, full: int) -> torch.Tensor:
    """`(stop - start,)` excess of lines by their distance from the nearer edge."""
    before = torch.arange(start, stop, device=table.device)
    after = full - 1 - before
    reach = table.shape[1]
    if reach == 0:
        return table.new_zeros(stop - start)
    first = table[0][before.clamp_max(reach - 1)]
    last = table[1][after.clamp_max(reach - 1)]
    nearer = torch.where(before <= after, first, last)
    return torch.where(torch.minimum(before, after) < reach, nearer, 0)


def _inside(start: int, stop: int, full: int, reach: int, device: torch.device) -> torch.Tensor:
    line = torch.arange(start, stop, device=device)
    return (line >= reach) & (line < full - reach)
