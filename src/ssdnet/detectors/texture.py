"""`texture`: how unlike the image's own patches each place is, and how unlike its energies are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_flags, check_numbers, check_whole
from ssdnet.detectors.protocol import Detector, checked_window
from ssdnet.detectors.two_sided import TwoSided
from ssdnet.errors import UsageError
from ssdnet.maths.energies import Energies
from ssdnet.maths.fusion import Fusion, SquaredDistance
from ssdnet.maths.lines import LineAverages
from ssdnet.maths.patch_components import PatchComponents, PatchModel
from ssdnet.maths.pyramid import level_count
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssdnet.maths.patch_components import LevelMaps
    from ssdnet.maths.window import Window
    from ssdnet.progress import Progress

_SMALLEST, _MOST = 16, 8
"""Pixels that the coarsest octave leaves on the shorter side, and how many octaves there are at most."""

RANKING = SquaredDistance(0.0, 0.4)
"""From upper spreads above the usual to a score that is positive, as others are: their own unit of a log
distance is about that."""

_LONGEST = 500.0
"""Standard deviation of the longest line, pixels: its window shall fit into memory."""


@dataclass(frozen=True)
class Texture(Detector):
    """Distances of the image's own patches from its robust Gaussian, averaged along short and long lines.

    The statistics are those of Tailanian, Musé & Pardo, ICMLA 2021 (arXiv 2110.02407, here `patchpca`), on
    patches of two sizes and at one octave more; the distance is that of Reed & Yu, IEEE TASSP 1990. Ours: the
    lines (`ssdnet.maths.lines`), the sum in units of what is usual (`ssdnet.maths.fusion`), and what sees
    less of something as well as more (`ssdnet.detectors.two_sided`). Pixels are ranked by all of it; what
    chance does is decided by distances and energies, whose law is known (docs/calibration.md).
    docs/lab-notes.md has what each choice is worth.

    >>> image = torch.randn(1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> image[0, 10, 8:40] += 4.0  # a scratch
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> model, (scores,) = Texture().fit_score([image], [known], generator=torch.Generator())
    >>> ranking, decision = scores
    >>> bool(ranking[10].max() == ranking.max()), bool(decision[10].max() == decision.max())
    (True, True)
    """

    name: ClassVar[str] = "texture"
    summary: ClassVar[str] = (
        "distances of patches along lines, and energies around each place, too high or too low"
    )
    assumes: ClassVar[str] = "one texture, in any light, on most of the image; no noise-free drawing"
    source: ClassVar[str] = "Tailanian et al., ICMLA 2021; Reed & Yu, IEEE TASSP 1990; the lines are ours"

    levels: int | None = None
    """Octaves of the pyramid; None takes as many as leave 16 pixels on the shorter side."""
    patches: tuple[int, ...] = (5, 3)
    """Sides of the patches, pixels of their level, odd."""
    components: tuple[int, ...] = (12, 8)
    """Leading principal components that are looked at, for each size of patch."""
    trim: float = 0.25
    """Share of the patches, the most distant, that the Gaussian leaves out; in [0, 1)."""
    rounds: int = 2
    """How often the Gaussian is estimated again without them."""
    shrinkage: float = 0.1
    """Added to the variance of each component as a share of it."""
    lengths: tuple[float, ...] = (3.0, 20.0)
    """Standard deviations along the line of the windows that are averaged over, pixels of the image."""
    widths: tuple[float, ...] = (0.7, 1.6)
    """The same across the line, for each length; 1.55 and more are averaged at half the resolution."""
    two_sided: bool = True
    """Whether what is less than usual counts as well as what is more; otherwise distances alone."""
    energies: Energies = field(default_factory=Energies)
    """Which energies tell, if it is two-sided."""

    def __post_init__(self) -> None:
        check_whole(self, optional=("levels",), levels=1, rounds=0)
        check_numbers(self, trim=(0, 1), shrinkage=(1e-6, math.inf))
        _check_pair(self, "patches", "components", lambda item: isinstance(item, int) and item >= 1)
        _check_pair(self, "lengths", "widths", lambda item: 0.1 <= item <= _LONGEST)
        check_flags(self, "two_sided")
        if not isinstance(self.energies, Energies):
            raise UsageError(f"texture: energies must be Energies, not {self.energies!r}")
        check_whole(self.energies, optional=("octaves",), octaves=1, components=1, rounds=0)
        check_numbers(self.energies, trim=(0, 1), shrinkage=(1e-6, math.inf))
        _check_pair(self.energies, "lengths", "widths", lambda item: 0.1 <= item <= _LONGEST)
        if any(patch % 2 == 0 for patch in self.patches):
            raise UsageError(f"texture: patches must be odd, not {self.patches!r}")

    @property
    def patch_components(self) -> list[PatchComponents]:
        """One for each size of patch."""
        return [
            PatchComponents(patch, count, trim=self.trim, rounds=self.rounds, shrinkage=self.shrinkage)
            for patch, count in zip(self.patches, self.components, strict=True)
        ]

    @torch.no_grad()
    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,  # noqa: ARG002 - nothing is random
        progress: Progress = silent,
    ) -> tuple[TextureModel, list[torch.Tensor]]:
        """The model, and the scores, which learning it has computed already; see `Detector.fit_score`."""
        model, levels, decisions = self.evidence(pixels, valid, progress)
        scores = [model.squared.of(values) for values in decisions]
        if levels is None:
            return model, scores
        return model, [
            torch.stack([RANKING.of(level), score]) for level, score in zip(levels, scores, strict=True)
        ]

    @torch.no_grad()
    def evidence(
        self, pixels: Sequence[torch.Tensor], valid: Sequence[torch.Tensor], progress: Progress
    ) -> tuple[TextureModel, list[torch.Tensor] | None, list[torch.Tensor]]:
        """The model of some images together, and of each image what is made into scores.

        Args:
            pixels: see `fit`.
            valid: see `fit`.
            progress: see `fit`.

        Returns:
            What was learned; of each image how unusual each pixel is, in upper spreads, None if it is not
            two-sided; and the log distance that decides.
        """
        flat = not any(bool(image[:, known].any()) for image, known in zip(pixels, valid, strict=True))
        # Where all pixels are alike, energies are rounding.
        scales: list[list[LevelMaps]] | None = [] if self.two_sided and not flat else None
        statistics, lines = self.learn(pixels, valid, part(progress, 0.0, 0.6), scales)
        fusion = Fusion.fit(lines, valid)
        logarithms = [fusion.of(maps) for maps in lines]
        del lines  # of a large image they are much
        sides = levels = None
        if scales is not None:
            progress(0.6, "energies")
            sides, levels, logarithms = TwoSided.fit(
                pixels, valid, logarithms, scales, statistics.patches, self.energies
            )
        progress(1.0, "lines")
        squared = SquaredDistance.fit(logarithms, valid)
        return TextureModel(statistics, fusion, squared, sides), levels, logarithms

    def learn(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        progress: Progress,
        scales: list[list[LevelMaps]] | None = None,
    ) -> tuple[TextureStatistics, list[list[torch.Tensor]]]:
        """The statistics of some images together, and of each image its log distances along lines.

        Args:
            pixels: see `fit`.
            valid: see `fit`.
            progress: see `fit`.
            scales: see `PatchModel.fit`.

        Returns:
            What was learned, and for each image an `(H, W)` map a length of line.
        """
        smallest = min((known.shape for known in valid), key=min)
        levels = self.levels or level_count(*smallest, smallest=_SMALLEST, most=_MOST)
        patches, maps = PatchModel.fit(
            pixels, valid, self.patch_components, levels, part(progress, 0.0, 0.7), scales
        )
        progress(0.7, "lines")
        sizes = Fusion.fit(maps, valid)
        fused = [sizes.of(values) for values in maps]
        del maps  # of a large image they are much
        statistics = TextureStatistics(
            patches, sizes, LineAverages.fit(self.lengths, self.widths, fused, valid)
        )
        return statistics, [
            statistics.lines.of(values, known) for values, known in zip(fused, valid, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class TextureStatistics:
    """From pixels to log distances along lines.

    >>> image = torch.randn(1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> statistics, [[distance]] = Texture(lengths=(3.0,), widths=(0.7,)).learn([image], [known], silent)
    >>> tuple(distance.shape), statistics.lines.lengths
    ((48, 48), (3.0,))
    """

    patches: PatchModel
    sizes: Fusion
    """Of the sizes of patches."""
    lines: LineAverages

    @property
    def halo(self) -> int:
        """Pixels of context that a window needs."""
        return self.patches.halo + self.lines.reach


@dataclass(frozen=True, eq=False)
class TextureModel:
    """What `Texture` has learned of a surface.

    >>> cloth = torch.randn(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> model = Texture().fit([cloth[0]], [known], generator=torch.Generator())
    >>> cloth[1, 0, 10, 8:40] += 4.0  # another piece, with a scratch
    >>> ranking, decision = model.score(cloth[1], known)
    >>> bool(ranking[10].max() == ranking.max()), bool(decision[10].max() == decision.max())
    (True, True)
    """

    statistics: TextureStatistics
    fusion: Fusion
    """Of the lengths of lines."""
    squared: SquaredDistance
    sides: TwoSided | None
    """None where distances are all."""

    @property
    def halo(self) -> int:
        """See `Model.halo`."""
        beside = 0 if self.sides is None else self.sides.halo
        return max(self.statistics.halo, beside)

    @torch.no_grad()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        window: Window | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """Squared distances, whose logarithm is the mean of those of all windows; see `Model.score`.

        Before them, if it is two-sided, that by which pixels are ranked.
        """
        wanted, context = checked_window(pixels, window, self.halo)
        maps, place = self.evidence(pixels, valid, context, self._scored, progress)
        inside = wanted.within(place)
        if len(maps) == 1:
            return maps[0][inside]
        return torch.stack([values[inside] for values in maps])

    def evidence(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        context: Window,
        finish: Callable[[list[torch.Tensor]], list[torch.Tensor]] = list,
        progress: Progress = silent,
    ) -> tuple[list[torch.Tensor], Window]:
        """How unusual each pixel is, if it is two-sided, and the log distance that decides.

        Args:
            pixels: `(C, h, w)` of a window with its context.
            valid: `(h, w)`.
            context: where they lie.
            finish: what is made of these maps, square by square.
            progress: see `score`.

        Returns:
            `(h', w')` maps, and which window they are of, see `PatchModel.log_distances`.
        """
        statistics, sides = self.statistics, self.sides
        place = context.aligned(2 ** (statistics.patches.levels - 1))
        known = valid[place.within(context)]
        if sides is None:
            fused, _ = statistics.patches.combined(pixels, valid, context, statistics.sizes.of)
            beside = None
        else:
            fused, scales, levels = statistics.patches.by_scale(
                pixels, valid, context, statistics.sizes.of, sides.cores.level
            )
            beside = sides.beside(levels[0].pixels[0], known, scales, levels)

        def combine(maps: Sequence[torch.Tensor], square: Window) -> list[torch.Tensor]:
            distances = self.fusion.of(maps)
            return finish([distances] if beside is None else [*beside.part(square, distances)])

        progress(0.5, "lines")
        found = statistics.lines.combined(fused, known, place, 1 if beside is None else 2, combine)
        progress(1.0, "lines")
        return found, place

    def _scored(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        return [*(RANKING.of(level) for level in maps[:-1]), self.squared.of(maps[-1])]


def _check_pair(
    detector: Texture | Energies, first: str, second: str, right: Callable[[float], bool]
) -> None:
    """Refuse two fields that are not tuples of one length, not empty, of what is right.

    Raises:
        UsageError: which, and what they may be.
    """
    for name in (first, second):
        values = getattr(detector, name)
        numbers = isinstance(values, tuple) and all(
            isinstance(item, (int, float)) and not isinstance(item, bool) and right(item) for item in values
        )
        if not numbers or not values or len(values) != len(getattr(detector, first)):
            raise UsageError(
                f"{detector.name}: {first} and {second} must be tuples of as many positive numbers, none "
                f"huge, not {getattr(detector, first)!r} and {getattr(detector, second)!r}"
            )
