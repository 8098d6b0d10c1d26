"""One scale: what patches elsewhere cannot explain, and how unusual that is on discs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.rivals.selfsim.gaussianity import Law
from ssdnet.detectors.rivals.selfsim.nonlocal_means import Memory  # noqa: TC001 - files are read by types

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssdnet.maths.pyramid import Level
    from ssdnet.maths.window import Window

_WHOLE = 0.9
"""Of what most pixels of a scale were made of, by which one of them counts as known."""


@dataclass(frozen=True, eq=False)
class Scale:
    """What was learned of one scale of a surface.

    >>> import functools
    >>> from ssdnet.maths.pyramid import pyramid
    >>> image = torch.randn(1, 24, 24, generator=torch.Generator().manual_seed(0))
    >>> image[0, 10:13, 10:13] += 5.0
    >>> draw = functools.partial(
    ...     Memory.draw,
    ...     size=4,
    ...     stride=2,
    ...     neighbours=4,
    ...     guard=4,
    ...     bandwidth=0.7,
    ...     candidates=None,
    ...     generator=torch.Generator(),
    ... )
    >>> levels = pyramid(image, torch.ones(24, 24, dtype=torch.bool), 1)
    >>> scale, (unusual,) = Scale.fit(levels, draw, gaussian=True, radii=(1,), progress=lambda share: None)
    >>> bool(unusual[9:14, 9:14].max() == unusual.max())
    True
    """

    memory: Memory
    threshold: float
    """Share of its support from which on a pixel counts as known."""
    laws: tuple[Law, ...]
    """Of the residual, for each channel."""
    radii: tuple[int, ...]
    """Of the discs, pixels of the scale."""
    deviations: torch.Tensor
    """`(len(radii), C)`, root mean square of the means on discs."""

    @classmethod
    def fit(
        cls,
        levels: Sequence[Level],
        memory: Callable[[Sequence[tuple[torch.Tensor, torch.Tensor]]], Memory],
        *,
        gaussian: bool,
        radii: tuple[int, ...],
        progress: Callable[[float], None],
    ) -> tuple[Scale, list[torch.Tensor]]:
        """Learn one image, or several of one surface.

        Args:
            levels: this scale of each.
            memory: draws patches of their pixels, of which those are known that a mask says.
            gaussian: whether the residual is made Gaussian first.
            radii: see the field.
            progress: called with the share of the work that is done.

        Returns:
            What was learned, and for each image what `unusual` says.
        """
        shares = torch.cat([level.known.flatten() for level in levels])
        # Beside edges and holes a coarse pixel is the mean of less: nothing inside is its like.
        threshold = _WHOLE * float(shares[shares > 0].median())
        known = [level.known[0, 0] >= threshold for level in levels]
        drawn = memory([(level.pixels[0], mask) for level, mask in zip(levels, known, strict=True)])
        residuals = []
        for number, (level, mask) in enumerate(zip(levels, known, strict=True)):

            def report(fraction: float, done: int = number) -> None:
                progress((done + fraction) / len(levels))

            residuals.append(_residual(drawn, level, mask, level.window, report))
        laws = tuple(
            Law.fit([values[channel] for values, _ in residuals]) if gaussian else Law()
            for channel in range(len(residuals[0][0]))
        )
        means = [_means(values, mask, laws, radii) for values, mask in residuals]
        inside = torch.cat(
            [some[:, :, mask] for some, (_, mask) in zip(means, residuals, strict=True)], dim=2
        )
        deviations = inside.square().mean(dim=2).sqrt()
        # Where nothing is left, nothing deviates.
        scale = cls(drawn, threshold, laws, radii, torch.where(deviations > 0, deviations, 1))
        return scale, [scale._largest(some) for some in means]

    @property
    def reach(self) -> int:
        """Pixels of the scale that are looked at around one."""
        return self.memory.size - 1 + max(self.radii)

    def unusual(self, level: Level, wanted: Window, progress: Callable[[float], None]) -> torch.Tensor:
        """`(h, w)`, the largest over channels and radii of a mean on a disc in units of its deviation.

        Args:
            level: this scale of an image, `wanted` and `reach` around it.
            wanted: for which pixels of the scale.
            progress: called with the share of the work that is done.
        """
        discs = wanted.around(max(self.radii))
        known = level.known[0, 0] >= self.threshold
        residual, known = _residual(self.memory, level, known, discs, progress)
        rows, columns = wanted.within(discs)
        return self._largest(_means(residual, known, self.laws, self.radii)[:, :, rows, columns])

    def _largest(self, means: torch.Tensor) -> torch.Tensor:
        return (means.abs() / self.deviations[:, :, None, None]).amax((0, 1))


def _residual(
    memory: Memory,
    level: Level,
    known: torch.Tensor,
    wanted: Window,
    progress: Callable[[float], None],
) -> tuple[torch.Tensor, torch.Tensor]:
    """`(C, h, w)` what similar patches leave, 0 where that is unknown, and `(h, w)` where it is known."""
    prediction, weight = memory.predict(level.pixels[0], known, level.window, wanted, progress)
    rows, columns = wanted.within(level.window)
    known = known[rows, columns] & (weight > 0)
    return torch.where(known, level.pixels[0, :, rows, columns] - prediction, 0), known


def _means(
    residual: torch.Tensor, known: torch.Tensor, laws: tuple[Law, ...], radii: tuple[int, ...]
) -> torch.Tensor:
    """`(len(radii), C, h, w)` means on discs of the residual made Gaussian."""
    made = torch.stack([law.gaussian(plane) for law, plane in zip(laws, residual, strict=True)])
    return torch.stack([disc_means(made, known, radius) for radius in radii])


def disc_means(residual: torch.Tensor, known: torch.Tensor, radius: int) -> torch.Tensor:
    """`(C, h, w)`: means of `(C, h, w)` values, 0 where unknown, over the known pixels of discs.

    A mean over a part of the disc is scaled down by the root of that part, so that white noise deviates as
    much everywhere.

    >>> means = disc_means(torch.ones(1, 7, 7), torch.ones(7, 7, dtype=torch.bool), radius=1)[0]
    >>> [round(float(means[place, place]), 2) for place in (3, 0)]
    [1.0, 0.77]
    """
    offset = torch.arange(-radius, radius + 1, device=residual.device)
    disc = (offset[:, None] ** 2 + offset**2 <= radius**2).to(residual.dtype)
    both = torch.cat([residual, known[None].to(residual.dtype)])[:, None]
    totals = F.conv2d(both, disc[None, None], padding=radius)[:, 0]
    return totals[:-1] / (totals[-1].clamp_min(1) * disc.sum()).sqrt()
