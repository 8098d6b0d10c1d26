"""Evidence from both sides: what has more of something than the surface, and what has less.

Distances of patches (`detectors.texture`) see the first only. Energies around each place see both, bluntly;
the inside of the distances is sharp; how far they agree says what each counts (`maths.agreement`), and small
filters say which of the pixels around a finding belong to it (`maths.discriminant`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TC002 - files are read by types

from ssdnet.maths.agreement import Agreement
from ssdnet.maths.cores import Cores, Inside
from ssdnet.maths.discriminant import Discriminant
from ssdnet.maths.energies import EnergyModel  # noqa: TC001 - files are read by types
from ssdnet.maths.pyramid import enlarged, pyramid
from ssdnet.maths.strips import fill_squares
from ssdnet.maths.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.maths.energies import Energies, EnergyMap
    from ssdnet.maths.patch_components import LevelMaps, PatchModel
    from ssdnet.maths.pyramid import Level


@dataclass(frozen=True, eq=False)
class TwoSided:
    """What is usual beside distances, and what each kind of evidence counts.

    >>> from ssdnet.detectors.texture import Texture
    >>> image = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> image[0, 20:36, 30:46] *= 0.3  # less than usual
    >>> known = torch.ones(64, 64, dtype=torch.bool)
    >>> model, (scores,) = Texture().fit_score([image], [known], generator=torch.Generator())
    >>> ranking, decision = scores
    >>> bool(ranking[28, 38] > ranking.quantile(0.9)), bool(decision[28, 38] > decision.quantile(0.9))
    (True, True)
    """

    energies: EnergyModel
    cores: Cores
    agreement: Agreement
    blame: Discriminant
    reach: int
    """Pixels that the cores look around, beside what the distances do."""

    @property
    def halo(self) -> int:
        """Pixels of context that a window needs."""
        return max(self.energies.halo, self.reach, self.blame.halo)

    @classmethod
    def fit(
        cls,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        distances: Sequence[torch.Tensor],
        scales: Sequence[Sequence[LevelMaps]],
        patches: PatchModel,
        energies: Energies,
    ) -> tuple[TwoSided, list[torch.Tensor], list[torch.Tensor]]:
        """Learn it from one image, or from several of one surface.

        Args:
            pixels: `(C, H, W)` each.
            valid: `(H, W)` bool each.
            distances: `(H, W)` each, log distances along lines.
            scales: of each the log distances at each scale, of each size of patch.
            patches: that gave them.
            energies: which are looked at.

        Returns:
            What was learned; of each image how unusual each pixel is, see `Agreement.of`; and the log
            distance that decides, see `Agreement.decision`.
        """
        model, maps = energies.fit(pixels, valid)
        step = 2 ** (patches.levels - 1)
        cores, inner = Cores.fit(scales, 3 * step)
        full = [_full(one) for one in maps]
        agreement = Agreement.fit(distances, full, inner, valid)
        levels = [agreement.of(*some) for some in zip(distances, full, inner, strict=True)]
        filled = [_filled(image, known) for image, known in zip(pixels, valid, strict=True)]
        # As a file gives them back: rounding depends on it.
        finest = [(filters[0].kernels.contiguous(), filters[0].bias) for filters in patches.filters]
        blame = Discriminant.fit(filled, valid, levels, finest)
        # Of the coarsest scale: the average before the smallest is taken, and that.
        result = cls(model, cores, agreement, blame, patches.halo + 4 * step)
        for level, image in zip(levels, filled, strict=True):
            result._blame(level, image)
        decisions = [agreement.decision(*some) for some in zip(distances, full, strict=True)]
        return result, levels, decisions

    def beside(
        self, pixels: torch.Tensor, valid: torch.Tensor, scales: Sequence[LevelMaps], levels: Sequence[Level]
    ) -> Beside:
        """Everything but the distances, of a window.

        Args:
            pixels: `(C, h, w)`.
            valid: `(h, w)` bool.
            scales: `Cores.level` at each scale.
            levels: the scales of the pixels, missing ones filled in.
        """
        energy = self.energies.map_of(pixels, valid, levels)
        return Beside(self, energy, self.cores.inside(scales), levels[0].pixels[0], levels[0].window)

    def _blame(self, level: torch.Tensor, filled: torch.Tensor) -> None:
        """Raise and lower the pixels of a whole image, in place."""
        whole = Window.whole((level.shape[0], level.shape[1]))

        def part_of(square: Window) -> list[torch.Tensor]:
            blame = _blame_of(self.blame, filled, square, whole)
            return [self.agreement.blamed(level[square.slices], blame)]

        fill_squares([level], whole, part_of)


@dataclass(frozen=True, eq=False)
class Beside:
    """The evidence beside the distances, of any part of a window.

    >>> from ssdnet.detectors.texture import Texture
    >>> image, known = torch.randn(1, 64, 64), torch.ones(64, 64, dtype=torch.bool)
    >>> model = Texture().fit([image], [known], generator=torch.Generator())
    >>> sides, patches = model.sides, model.statistics.patches
    >>> _, scales, levels = patches.by_scale(
    ...     image, known, Window.whole((64, 64)), lambda maps: maps[0], sides.cores.level
    ... )
    >>> beside = sides.beside(image, known, scales, levels)
    >>> level, decision = beside.part(Window(8, 16, 0, 30, (64, 64)), torch.zeros(8, 30))
    >>> tuple(level.shape), tuple(decision.shape)
    ((8, 30), (8, 30))
    """

    sides: TwoSided
    energy: EnergyMap
    inside: Inside
    filled: torch.Tensor
    """`(C, h, w)`, missing pixels filled in."""
    place: Window

    def part(self, square: Window, distances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`(h', w')` how unusual each pixel of a part is, and the log distance that decides.

        Args:
            square: which part.
            distances: `(h', w')`, log distances along lines.
        """
        energy = enlarged(self.energy.values, self.energy.places, square)
        agreement = self.sides.agreement
        level = agreement.of(distances, energy, self.inside.part(square))
        blame = _blame_of(self.sides.blame, self.filled, square, self.place)
        return agreement.blamed(level, blame), agreement.decision(distances, energy)


def _blame_of(blame: Discriminant, filled: torch.Tensor, square: Window, place: Window) -> torch.Tensor:
    context = square.around(blame.halo).inside(place)
    rows, columns = context.within(place)
    inside = square.within(context)
    return blame.of(filled[:, rows, columns])[inside]


def _full(energy: EnergyMap) -> torch.Tensor:
    whole = energy.places[0]
    full = energy.values.new_empty(whole.size)
    fill_squares([full], whole, lambda square: [enlarged(energy.values, energy.places, square)])
    return full


def _filled(image: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    return image if bool(known.all()) else pyramid(image, known, 1)[0].pixels[0]
