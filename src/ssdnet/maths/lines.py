"""Averages of a map along lines: what is long and thin adds up along its own direction.

A round window holds of a scratch hardly more than of the texture beside it. Of long thin windows in all
directions, the one that lies along the scratch is full of it; of a round spot, each is as full as a round one
(rotated Gaussians as in Geusebroek, Smeulders & van de Weijer, 'Fast anisotropic Gauss filtering', IEEE TIP
2003).

Each window is made in stages. A stage replaces each pixel by the mean of itself (twice) and the two pixels a
step before and behind it; the steps grow, as in the fast Radon transform of Brady (SIAM J. Comput. 1998), so
that six stages reach as far as a Gaussian of 20 pixels. Steps end on whole pixels, which widens a line by a
fraction of a pixel. Directions that begin alike share what they have in common: 32 of them take 146 stages of
three pixels each, whatever the length, where a Fourier transform for each takes ten times as long. Windows
that are wide enough see nothing that half the resolution has not: there they take a quarter of the time.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ssdnet.maths.fusion import Usual
from ssdnet.maths.pyramid import halve, upsample_part
from ssdnet.maths.smoothing import gaussian_taps, separable_filter
from ssdnet.maths.strips import fill, fill_squares
from ssdnet.maths.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HALVED = 0.75 + 2 / 3
"""Variance that taking half the resolution and interpolating add to a window, square pixels."""

_NARROWEST = 0.5
"""Standard deviation of the narrowest window that whole steps can make, pixels."""

_STEP = 2.0
"""Longest step in standard deviations of what there is already: the window stays without a dip."""


@dataclass(frozen=True)
class _Node:
    """A stage, and those that go on from it."""

    step: tuple[int, int]
    """Rows and columns."""
    reach: tuple[int, int]
    """How far the stages that follow look, rows and columns."""
    following: tuple[_Node, ...]


@dataclass(frozen=True)
class LineWindows:
    """Elongated Gaussian windows of all directions.

    >>> short, long = LineWindows.of(3.0, 1.0), LineWindows.of(20.0, 1.0)
    >>> short.stages < long.stages, short.reach < long.reach
    (True, True)
    """

    halved: bool
    """Whether they are those of a map at half the resolution; all else is in its pixels."""
    sigma: float
    """Standard deviation of the round window that all of them begin with."""
    stages: int
    nodes: tuple[_Node, ...]
    """The first stages."""

    @property
    def margins(self) -> tuple[int, int]:
        """How far a window looks along rows and along columns (y, x)."""
        around = math.ceil(3 * self.sigma)
        return _reach(self.nodes, 0) + around, _reach(self.nodes, 1) + around

    @property
    def reach(self) -> int:
        """How far a window looks, pixels of the full resolution."""
        # Beside the samples themselves, the support of one and what lies between two.
        return 2 * max(self.margins) + 4 if self.halved else max(self.margins)

    @classmethod
    @functools.cache
    def of(cls, length: float, width: float) -> LineWindows:
        """Windows of standard deviations `length` along and `width` across the line, pixels.

        There are as many directions that neighbours overlap at their ends, and a multiple of eight: their
        set is its own mirror image and stays itself under quarter turns.

        >>> LineWindows.of(20.0, 1.0).stages, LineWindows.of(20.0, 1.0).reach
        (6, 60)
        >>> LineWindows.of(20.0, 1.6).halved
        True
        """
        halved = width**2 >= _HALVED + 4 * _NARROWEST**2
        if halved:
            length, width = (math.sqrt((size**2 - _HALVED) / 4) for size in (max(length, width), width))
        sizes = []
        variance = width**2
        while variance < 0.99 * length**2:
            sizes.append(min(_STEP * math.sqrt(variance), math.sqrt(2 * (length**2 - variance))))
            variance += sizes[-1] ** 2 / 2
        count = 8 * math.ceil(math.pi * length / (2 * width) / 8)
        paths = [
            tuple(_whole_step(size, number, count) for size in sizes or [0.0]) for number in range(count)
        ]
        return cls(halved, width, len(paths[0]), _tree(paths))


def _whole_step(size: float, number: int, count: int) -> tuple[int, int]:
    """Rows and columns of a step in the `number`-th of `count` directions over half a turn.

    All octants get theirs from the first, so that rounding breaks no symmetry.
    """
    quarter, eighth = count // 2, count // 4
    within = number % quarter
    folded = quarter - within if within > eighth else within
    angle = folded * math.pi / count
    long, short = round(size * math.cos(angle)), round(size * math.sin(angle))
    rows, columns = (long, short) if within > eighth else (short, long)
    return (rows, columns) if number < quarter else (columns, -rows)


def _reach(nodes: Sequence[_Node], axis: int) -> int:
    """How far stages and all that follow them look along an axis, pixels."""
    return max((abs(node.step[axis]) + node.reach[axis] for node in nodes), default=0)


def _tree(paths: list[tuple[tuple[int, int], ...]]) -> tuple[_Node, ...]:
    """Paths that begin alike share their beginning."""
    groups: dict[tuple[int, int], list[tuple[tuple[int, int], ...]]] = {}
    for path in paths:
        groups.setdefault(path[0], []).append(path[1:])
    nodes = []
    for step, rests in groups.items():
        following = _tree(rests) if rests[0] else ()
        nodes.append(_Node(step, (_reach(following, 0), _reach(following, 1)), following))
    return tuple(nodes)


@dataclass(frozen=True)
class LineAverages:
    """Averages along lines of several lengths, of maps of one surface.

    >>> values, known = torch.zeros(64, 64), torch.ones(64, 64, dtype=torch.bool)
    >>> values[32] = 1.0  # a scratch
    >>> values[8, 8] = 1.0  # a speck, no fainter
    >>> averages = LineAverages.fit((3.0, 9.0), (1.0, 1.0), [values], [known])
    >>> [bool(line[32, 32] > 2 * line[8, 8]) for line in averages.of(values, known)]
    [True, True]
    """

    lengths: tuple[float, ...]
    """Standard deviations along the line, pixels."""
    widths: tuple[float, ...]
    """Standard deviations across it, pixels."""
    usual: float
    """What is unknown, and all beyond the edge, counts as."""

    @classmethod
    def fit(
        cls,
        lengths: tuple[float, ...],
        widths: tuple[float, ...],
        maps: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
    ) -> LineAverages:
        """Learn what is usual in `(H, W)` maps, of which `(H, W)` bool says what is known."""
        return cls(lengths, widths, Usual.of(maps, valid).middle)

    @property
    def reach(self) -> int:
        """How far they look, pixels."""
        return max(
            LineWindows.of(length, width).reach
            for length, width in zip(self.lengths, self.widths, strict=True)
        )

    def of(
        self, values: torch.Tensor, known: torch.Tensor, window: Window | None = None
    ) -> list[torch.Tensor]:
        """One `(h, w)` map for each length, see `along_lines`."""
        return self._maps(values, known, window, len(self.lengths), lambda maps, _: maps)

    def combined(
        self,
        values: torch.Tensor,
        known: torch.Tensor,
        window: Window,
        count: int,
        combine: Callable[[Sequence[torch.Tensor], Window], Sequence[torch.Tensor]],
    ) -> list[torch.Tensor]:
        """`(h, w)` maps that are made of those of all lengths, of which none is kept as a whole.

        Args:
            values: `(h, w)`, see `along_lines`.
            known: `(h, w)`.
            window: where they lie in the image.
            count: how many maps are made.
            combine: from `(h', w')` maps of a part, one for each length, and where it lies, to the maps of
                that part.
        """
        return self._maps(values, known, window, count, combine)

    def _maps(
        self,
        values: torch.Tensor,
        known: torch.Tensor,
        window: Window | None,
        count: int,
        made_of: Callable[[Sequence[torch.Tensor], Window], Sequence[torch.Tensor]],
    ) -> list[torch.Tensor]:
        """`count` maps made of those of all lengths, square by square."""
        place = Window.whole((values.shape[0], values.shape[1])) if window is None else window
        complete = bool(known.all())
        sources = [
            _Lines.of(values, known, complete, self.usual, LineWindows.of(length, width), place)
            for length, width in zip(self.lengths, self.widths, strict=True)
        ]
        results = [torch.empty_like(values) for _ in range(count)]

        def part_of(square: Window) -> Sequence[torch.Tensor]:
            return made_of([source.part(square) for source in sources], square)

        fill_squares(results, place, part_of)
        return results


def along_lines(
    values: torch.Tensor, known: torch.Tensor, *, length: float, width: float, usual: float | None = None
) -> torch.Tensor:
    """`(H, W)`: of the means over elongated Gaussian windows around each pixel, that of the best direction.

    What is not known, and all beyond the edge, counts as what is usual.

    Args:
        values: `(H, W)` float32; values where `known` is False are not used.
        known: `(H, W)` bool.
        length: standard deviation along the line, pixels.
        width: standard deviation across it, pixels.
        usual: None takes the median of what is known, which must be somewhere.

    >>> line = torch.zeros(64, 64)
    >>> line[32] = 1.0
    >>> known = torch.ones(64, 64, dtype=torch.bool)
    >>> bool(along_lines(line, known, length=9.0, width=1.0)[32, 32] > 0.3)
    True
    """
    middle = float(values[known].median()) if usual is None else usual
    return LineAverages((length,), (width,), middle).of(values, known)[0]


@dataclass(frozen=True, eq=False)
class _Lines:
    """Averages of one length, of any part of a map."""

    values: torch.Tensor
    """`(h, w)` of the map, or, at half the resolution, the finished averages."""
    known: torch.Tensor | None
    """`(h, w)`; None where all is."""
    usual: float
    windows: LineWindows
    place: Window
    """Of the map at full resolution."""

    @classmethod
    def of(
        cls,
        values: torch.Tensor,
        known: torch.Tensor,
        complete: bool,
        usual: float,
        windows: LineWindows,
        place: Window,
    ) -> _Lines:
        full = cls(values, None if complete else known, usual, windows, place)
        if not windows.halved:
            return full
        coarse = place.halved()
        halved = values.new_empty(coarse.size)
        fill([halved], 2 * coarse.size[1], lambda rows: [full.halved_rows(coarse.rows(rows))])
        low = cls(halved, None, 0.0, windows, coarse)
        averages = torch.empty_like(low.values)

        fill_squares([averages], coarse, lambda square: [low.averages(square)])
        return cls(averages, None, usual, windows, place)

    def halved_rows(self, coarse: Window) -> torch.Tensor:
        """`(h', w')` rows at half the resolution, relative to what is usual."""
        place = self.place
        top, bottom = max(place.top, 2 * coarse.top - 2), min(place.bottom, 2 * coarse.bottom + 2)
        context = Window(top, bottom, place.left, place.right, place.shape)
        source = context.within(place)
        centred = self.values[source] - self.usual
        if self.known is not None:
            centred.masked_fill_(~self.known[source], 0.0)
        rows = coarse.within(context.halved())[0]
        return halve(centred[None, None], context, rows)[0, 0]

    def part(self, square: Window) -> torch.Tensor:
        """`(h, w)` averages of a part."""
        if not self.windows.halved:
            return self.averages(square)
        return upsample_part(self.values[None, None], self.place, square)[0, 0] + self.usual

    def averages(self, square: Window) -> torch.Tensor:
        """The same, from the map itself."""
        down, right = self.windows.margins
        context = square.around_by(down, right).inside(self.place)
        rows, columns = context.top - square.top + down, context.left - square.left + right
        height, width = square.size[0] + 2 * down, square.size[1] + 2 * right
        framed = self.values.new_zeros(height, width)
        inside = slice(rows, rows + context.size[0]), slice(columns, columns + context.size[1])
        source = context.within(self.place)
        torch.sub(self.values[source], self.usual, out=framed[inside])
        if self.known is not None:
            framed[inside].masked_fill_(~self.known[source], 0.0)
        largest = self.values.new_empty(square.size)
        taps = gaussian_taps(math.ceil(3 * self.windows.sigma), self.windows.sigma)
        _largest(separable_filter(framed, taps), self.windows.nodes, largest, first=True)
        return largest.mul_(4.0**-self.windows.stages).add_(self.usual)


def _largest(values: torch.Tensor, nodes: tuple[_Node, ...], largest: torch.Tensor, *, first: bool) -> None:
    """Keep the largest of what all paths from here on give.

    Args:
        values: sums so far, with as much around `largest` as the paths need.
        nodes: the next stages.
        largest: `(h, w)`, overwritten.
        first: nothing has been kept yet.
    """
    along = values.stride()
    for number, node in enumerate(nodes):
        size = [length + 2 * far for length, far in zip(largest.shape, node.reach, strict=True)]
        middle = [(have - length) // 2 for have, length in zip(values.shape, size, strict=True)]
        start = values.storage_offset() + middle[0] * along[0] + middle[1] * along[1]
        step = node.step[0] * along[0] + node.step[1] * along[1]
        # One view each, without the checks of an index: there are thousands of them.
        before, here, behind = (values.as_strided(size, along, start + way) for way in (-step, 0, step))
        total = torch.add(before, behind).add_(here, alpha=2.0)
        fresh = first and number == 0
        if node.following:
            _largest(total, node.following, largest, first=fresh)
        elif fresh:
            largest.copy_(total)
        else:
            torch.maximum(largest, total, out=largest)
