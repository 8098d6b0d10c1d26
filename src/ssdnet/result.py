"""The result of looking at one image: `Localization` and its `Region`s."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from ssdnet.image import Image


THAN_NORMAL = " than normal places"
"""What follows the words that compare."""

_MOST_WORDS = 3
_COMPARISONS = {"brightness", "colour", "contrast", "scale"}


@dataclass(frozen=True)
class Difference:
    """One way in which a region differs from normal places."""

    kind: str
    """`brightness`, `colour`, `channel`, `contrast`, `scale`, `orientation`, `regularity` or `unevenness`."""
    words: str
    """For people: `darker`, `more yellow`, `its regular pattern is broken`."""
    size: float
    """How many robust spreads of normal places. Negative: darker, smoother (less contrast), finer, a channel
    that is lower; all else is positive."""


@dataclass(frozen=True)
class SimilarPatch:
    """A square of the image that holds only normal pixels."""

    bbox: tuple[int, int, int, int]
    """`(x, y, width, height)`, pixels of the image."""
    distance: float
    """Root mean squared difference from the region's patch, in the contrast of the image (standard
    deviations): 0 is the same, 1.4 as unlike as unrelated places are."""


@dataclass(frozen=True)
class Explanation:
    """In what way a region differs from normal places, and which of them are most like it."""

    differences: tuple[Difference, ...] | None
    """The most telling first. Empty when it is unlike its surroundings in no single way; None when there are
    too few normal places to compare it with."""
    patch: tuple[int, int, int, int]
    """`(x, y, width, height)`, pixels: the square around the region, or around a part of a large one."""
    similar: tuple[SimilarPatch, ...]
    """At most three normal squares of the same size, the most similar first."""

    @property
    def words(self) -> str:
        """For people: `darker and smoother than normal places`."""
        return _phrase(self.differences)


def _phrase(found: Sequence[Difference] | None) -> str:
    """The most telling differences as a part of a sentence."""
    if found is None:
        return "too few normal places to compare it with"
    if not found:
        return "unlike its surroundings in no single way"
    told = found[:_MOST_WORDS]
    comparisons = [difference.words for difference in told if difference.kind in _COMPARISONS]
    others = [difference.words for difference in told if difference.kind not in _COMPARISONS]
    parts = []
    if comparisons:
        *first, last = comparisons
        parts.append((f"{', '.join(first)} and {last}" if first else last) + THAN_NORMAL)
    return "; ".join(parts + others)


@dataclass(frozen=True)
class Region:
    """One anomalous area, in one piece or in several close together.

    Coordinates are pixels of the input, `x` to the right, `y` down.
    """

    id: int
    """1 for the most significant region; its value in the label image."""
    bbox: tuple[int, int, int, int]
    """`(x, y, width, height)`, as in COCO."""
    area: int
    """Pixels."""
    centroid: tuple[float, float]
    """`(x, y)` of the mean pixel; the centre of the top left pixel is `(0, 0)`."""
    peak_score: float
    """Largest anomaly score inside."""
    mean_score: float
    """Mean anomaly score inside."""
    log10_nfa: float
    """log10 of the number of regions at least as unusual that are expected by chance in this image:
    -2 means one in a hundred clean images."""
    touches_border: bool
    """Whether it reaches the edge of the image (not of the roi), so that a part of it may lie outside."""
    explanation: Explanation | None = None
    """In what way it differs from normal places; None for all but the 20 most significant regions."""


@dataclass(frozen=True, eq=False)
class Localization:
    """Where an image does not belong to itself. All maps have the input's height and width."""

    image: Image = field(repr=False)
    """The image that was judged."""
    anomaly_map: npt.NDArray[np.float32] = field(repr=False)
    """`(H, W)`, the detector's score, higher = more anomalous, NaN where the pixel is missing."""
    log10_nfa: npt.NDArray[np.float32] = field(repr=False)
    """`(H, W)`, log10 of a number of false alarms, comparable between images; NaN where the pixel is missing.
    At the peak of a region it is that of the region, and rises towards its edge as the score falls.
    The mask is not this under a threshold: a region ends where its score has fallen to 30 % of its peak."""
    labels: npt.NDArray[np.uint16] = field(repr=False)
    """`(H, W)`, 0 = normal or missing, otherwise the `id` of the region."""
    regions: tuple[Region, ...]
    """Most significant first; empty when nothing was found."""
    pred_score: float
    """-log10 NFA of the most unusual pixel: comparable between images, higher = more anomalous."""
    alarms: float
    """Expected number of false regions in a clean image that was accepted."""
    detector: str
    """Name of the detector that ran (never `auto`)."""
    detector_settings: Mapping[str, Any]
    """The detector's full configuration."""
    seed: int
    device: str
    """The device that ran, for example `cpu` or `cuda:0`."""
    threads: int
    """CPU threads torch was allowed to use."""
    seconds: Mapping[str, float]
    """Wall time of each stage."""
    stationarity: float = 1.0
    """How much the structure is the same everywhere: 1 for one texture, towards 0 for a picture of things,
    where the promise of `alarms` fails; see `ssdnet.diagnosis`."""
    normal: npt.NDArray[np.floating] | None = field(default=None, repr=False)
    """`(H, W, C)` in the units of the input: what the image would be without anomaly and noise, each pixel
    predicted from its surroundings; filled in where pixels are missing, NaN outside the smallest rectangle
    that holds all valid ones. None when the detector does not decompose. float32 for images of at most 16
    bits, rounded to 1/128, so that the three layers add up exactly; otherwise float64."""
    notes: tuple[str, ...] = ()
    """What a person should know: pages that were skipped, an image without contrast."""

    @property
    def anomaly(self) -> npt.NDArray[np.floating] | None:
        """`(H, W, C)`, what the regions differ from `normal` by; 0 elsewhere, NaN where missing."""
        return self._residual(self.mask)

    @property
    def noise(self) -> npt.NDArray[np.floating] | None:
        """`(H, W, C)`, what all else differs from `normal` by; 0 in the regions, NaN where missing.

        `normal + anomaly + noise` is the image: exactly up to 16 bits, otherwise to the rounding of float64.
        """
        return self._residual(~self.mask)

    def _residual(self, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.floating] | None:
        import numpy as np

        if self.normal is None:
            return None
        residual: npt.NDArray[np.floating] = np.subtract(
            self.image.pixels, self.normal, dtype=self.normal.dtype
        )
        residual[~kept] = 0
        residual[~self.image.valid] = np.nan
        return residual

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """`(H, W)` bool, True inside a region."""
        return self.labels > 0

    @property
    def pred_label(self) -> bool:
        """Whether anything was found."""
        return bool(self.regions)

    @property
    def most_unusual(self) -> tuple[int, int] | None:
        """`(x, y)` of the pixel of lowest log10 NFA; None where none stands out, as in a constant image."""
        import numpy as np

        # What little a constant image's score varies is rounding.
        if np.isclose(np.nanmin(self.anomaly_map), np.nanmax(self.anomaly_map), rtol=1e-4, atol=0):
            return None
        # Of the pixels of a region that is unusual by its extent, the one that is most unusual by itself.
        rarest = self.log10_nfa == np.nanmin(self.log10_nfa)
        y, x = np.unravel_index(np.where(rarest, self.anomaly_map, -np.inf).argmax(), rarest.shape)
        return int(x), int(y)

    def to_dict(self) -> dict[str, Any]:
        """All but the pixels, as written to `<stem>.json`; the schema is `ssdnet/export/schema.json`."""
        from ssdnet.export.record import record

        return record(self)

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        stem: str | None = None,
        formats: Iterable[str] | None = None,
    ) -> tuple[Path, ...]:
        """Write the result's files into `folder`, which is made when it is not there.

        Args:
            folder: where to write.
            stem: first part of the file names; by default the input's file name without its suffix. Images
                without a file are all called `array`, `tensor`, `PIL image` or `bytes`: give each its own
                `stem`, or the next one replaces the files of the last.
            formats: any of `ssdnet.export.FORMATS`; all but `layers`, which is large, by default.

        Returns:
            The files written, each complete: they are written under a temporary name and renamed.

        Raises:
            UsageError: an unknown format, or `layers` of a detector that does not decompose.
            OutputError: a file could not be written.
        """
        from ssdnet.export import save

        return save(self, folder, stem=stem, formats=formats)

    def plot(self) -> Figure:
        """The image with outlined regions beside the map of log10 NFA, as a matplotlib figure.

        Below them are the three layers, if the detector decomposes.
        """
        from ssdnet.picture.overlay import figure

        return figure(self)
