"""`fca`: how far each pixel's features must move for the tiles around it to look like the typical tile.

Feature correspondence analysis, with the tiles described by histograms instead of being sorted. Notation:
f_c(y) is feature c at pixel y; P(x) is the tile of T x T pixels about x; a tile's rank function counts how
many of its pixels lie below a value. For each feature:

1. Reference: the k-th smallest value of the typical tile, r_c[k], is the median over tiles, side by side, of
   the k-th smallest value of each: a median of quantile functions, which is the way the 1-Wasserstein
   distance averages distributions.
2. Correspondence: the optimal transport between two sets of T x T numbers maps the k-th smallest onto the
   k-th smallest. So tile x moves its pixel y by d_c(x, y) = |f_c(y) - r_c[rank of f_c(y) in P(x)]|, and the
   sum of these over the tile is its 1-Wasserstein distance to the reference.
3. Aggregation: the score of y is the mean over the features of d_c(x, y), summed over all tiles x that hold
   it with the weights of a Gaussian in |x - y| (`tile_sigma`).
4. The displacements are smoothed by a small Gaussian (`smoothing`).

Quantisation: the values of a feature fall into `bins`. For all pixels of one bin in one tile, the mean of
the reference values they move to comes from two ranks and the running sum of r_c, and two ranks are two box
sums. So step 2 is a box sum a bin, and step 3 a Gaussian filter a bin, whatever the size of a tile; a pixel
interpolates between the bins on both sides of its value. Ties share their ranks. Tiles that overlap nearly
all say the same, so only those at every `stride`-th pixel are taken.

Chosen here: the smoothing of step 4 comes last, not tile by tile before step 3 (the same, but for the change
of the weights over its width); tiles that look beyond the image are left out and the weights of the rest sum
to 1, so that no reflected pixel is counted and the map does not fade towards the edge, where it is compared
with the rest of the edge (`maths.edges`); a tile with missing pixels counts by the share that is
known, its ranks stretched to those of a whole tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.protocol import Detector, checked_window
from ssdnet.detectors.rivals.fca.correspondence import Correspondence
from ssdnet.detectors.rivals.fca.filter_banks import BANKS, filter_bank
from ssdnet.detectors.rivals.fca.reference import SMALLEST, Reference
from ssdnet.detectors.rivals.fca.surface import Surface
from ssdnet.detectors.rivals.fca.tiles import TileGrid
from ssdnet.errors import UsageError
from ssdnet.maths.edges import Excess, Seen
from ssdnet.maths.smoothing import smooth
from ssdnet.maths.window import Window
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.progress import Progress

_LARGEST_TILE = 181  # whose number of pixels 16 bits can hold


@dataclass(frozen=True)
class FCA(Detector):
    """Feature correspondence analysis with quantised tiles and features of the image alone.

    Ardelean & Weyrich, 'High-Fidelity Zero-Shot Texture Anomaly Localization Using Feature Correspondence
    Analysis', WACV 2024 (arXiv 2304.06433), with histograms as in Ardelean, Rückbeil & Weyrich, 'Quantized
    FCA', 2025 (arXiv 2510.15602). See the module for the steps. Tile, weights and smoothing are those of the
    authors' code; chosen here by measurement: random features, their number, the number of bins.

    >>> image = torch.sin(torch.arange(48.0) * 2).repeat(1, 48, 1)
    >>> image[0, 20:24, 30:34] = 0.0
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> detector = FCA(orbits=1, bins=8)
    >>> _, (scores,) = detector.fit_score([image], [known], generator=torch.Generator().manual_seed(0))
    >>> bool(scores[18:26, 28:36].max() == scores.max())
    True
    """

    name: ClassVar[str] = "fca"
    summary: ClassVar[str] = "displacement of features in the transport of each tile to the median tile"
    assumes: ClassVar[str] = "one texture in even light, whose pattern repeats within a tile"
    source: ClassVar[str] = "Ardelean & Weyrich, WACV 2024"

    features: str = "random"
    """`random` convolutions, `laws` texture filters on the mean of the channels, or `colour`: the pixels."""
    orbits: int = 3
    """Of `random`: kernels drawn, each with its eight flips and turns."""
    kernel_size: int = 7
    """Of `random`: side of a kernel, pixels, odd."""
    tile_size: int = 9
    """Side of a tile, pixels, odd; the largest that fits is taken where the image is smaller."""
    tile_sigma: float = 3.0
    """Standard deviation of the Gaussian that weighs the tiles that hold a pixel, pixels."""
    smoothing: float = 1.0
    """Standard deviation of the Gaussian that smooths the displacement, pixels."""
    bins: int = 24
    """Bins of each feature; time and accuracy grow with them."""
    stride: int = 2
    """Distance of neighbouring tiles, pixels, at most half a tile; 1 takes all of them, as the paper does."""

    def __post_init__(self) -> None:
        if self.features not in BANKS:
            raise UsageError(f"fca: features must be one of {', '.join(BANKS)}, not {self.features!r}")
        check_whole(self, orbits=1, kernel_size=1, tile_size=3, bins=2, stride=1)
        for name in ("kernel_size", "tile_size"):
            if getattr(self, name) % 2 == 0:
                raise UsageError(f"fca: {name} must be odd, not {getattr(self, name)}")
        if self.tile_size > _LARGEST_TILE:
            raise UsageError(f"fca: tile_size must be at most {_LARGEST_TILE}, not {self.tile_size}")
        if self.stride > self.tile_size // 2:
            raise UsageError(f"fca: stride must be at most {self.tile_size // 2}, not {self.stride}")
        check_numbers(self, tile_sigma=(1e-3, math.inf), smoothing=(0, math.inf))

    @torch.inference_mode()
    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> tuple[FCAModel, list[torch.Tensor]]:
        """The model, and the scores; see `Detector.fit_score`."""
        progress(0.0, "reference")
        bank = filter_bank(
            self.features,
            channels=len(pixels[0]),
            orbits=self.orbits,
            kernel_size=self.kernel_size,
            generator=generator,
            device=pixels[0].device,
        )
        smallest = min(min(known.shape) for known in valid)
        side = min(self.tile_size, (smallest - 1) // 2 * 2 + 1)
        grid = TileGrid(side, min(self.stride, max(1, side // 2)), self.tile_sigma)
        whole = [Window.whole((known.shape[0], known.shape[1])) for known in valid]
        surfaces = [
            Surface.of(image, known, window, margin=bank.margin, multiple=grid.stride)
            for image, known, window in zip(pixels, valid, whole, strict=True)
        ]
        correspondence = Correspondence(bank, grid, Reference.fit(surfaces, bank, side, self.bins))
        displacements = []
        for number, (surface, window) in enumerate(zip(surfaces, whole, strict=True)):
            reported = part(progress, 0.1 + 0.9 * number / len(whole), 0.9 / len(whole))
            displacements.append(correspondence.displacement(surface, window, reported)[0])
        progress(1.0, "correspondence")
        seen = [_seen(values, known) for values, known in zip(displacements, valid, strict=True)]
        excess = Excess.fit(seen, side // 2 + bank.margin)
        model = FCAModel(correspondence, excess, self.smoothing)
        return model, [
            model.finish(values, known, window)
            for values, known, window in zip(displacements, valid, whole, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class FCAModel:
    """What `FCA` has learned of a surface.

    >>> cloth = torch.sin(torch.arange(48.0) * 2).repeat(2, 1, 48, 1)
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> detector = FCA(orbits=1, bins=8)
    >>> model = detector.fit([cloth[0]], [known], generator=torch.Generator().manual_seed(0))
    >>> cloth[1, 0, 20:24, 30:34] = 0.0  # another piece, with a bare spot
    >>> scores = model.score(cloth[1], known)
    >>> bool(scores[18:26, 28:36].max() == scores.max())
    True
    """

    correspondence: Correspondence
    excess: Excess
    """How much further features move along edges."""
    smoothing: float
    """See `FCA`."""

    @property
    def halo(self) -> int:
        """See `Model.halo`."""
        return self.correspondence.halo + self._reach

    @property
    def _reach(self) -> int:
        """Of the smoothing, pixels."""
        return math.ceil(3 * self.smoothing)

    @torch.inference_mode()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        window: Window | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """Mean displacement of each pixel's features, in units of the features; see `Model.score`."""
        wanted, context = checked_window(pixels, window, self.halo)
        surface = self.correspondence.surface(pixels, valid, context)
        displacement, place = self.correspondence.displacement(surface, wanted.around(self._reach), progress)
        scores = self.finish(displacement, valid[place.within(context)], place)
        progress(1.0, "correspondence")
        return scores[wanted.within(place)]

    def finish(self, displacement: torch.Tensor, valid: torch.Tensor, window: Window) -> torch.Tensor:
        """`(h, w)` scores from displacements, by what is usual along edges, smoothed."""
        seen = _seen(displacement, valid)
        displacement *= torch.exp(-self.excess.of(seen, window))
        return smooth(displacement, seen.known, self.smoothing)


def _seen(displacement: torch.Tensor, valid: torch.Tensor) -> Seen:
    known = valid.to(displacement.dtype)
    return Seen(displacement.clamp_min(SMALLEST).log_(), known, known)
