"""The result of looking at one image: `Localization` and its `Region`s."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from ssdnet.frozen import ReadOnly

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ssdnet.calibration.null_model import NullModel
    from ssdnet.image import Image


Slices: TypeAlias = tuple[slice, slice]
"""Rows and columns of an array."""

THAN_NORMAL = " than normal places"
"""What follows the words that compare."""

_MOST_WORDS = 3
_COMPARISONS = {"brightness", "colour", "contrast", "scale"}


@dataclass(frozen=True)
class Difference:
    """One way in which a region differs from normal places.

    Examples:
        >>> from ssdnet.result import Difference
        >>> seam = Difference("brightness", "darker", -4.2)
        >>> seam.words, abs(seam.size) > 3  # far outside what normal places differ by
        ('darker', True)
    """

    kind: str
    """`brightness`, `colour`, `channel`, `contrast`, `scale`, `orientation`, `regularity` or `unevenness`."""
    words: str
    """For people: `darker`, `more yellow`, `its regular pattern is broken`."""
    size: float
    """How many robust spreads of normal places. Negative: darker, smoother (less contrast), finer, a channel
    that is lower; all else is positive."""


@dataclass(frozen=True)
class SimilarPatch:
    """A square of the image that holds only normal pixels.

    Examples:
        >>> from ssdnet.result import SimilarPatch
        >>> patches = SimilarPatch((40, 8, 16, 16), 0.9), SimilarPatch((4, 30, 16, 16), 0.4)
        >>> min(patches, key=lambda patch: patch.distance).bbox  # the place most like the region
        (4, 30, 16, 16)
    """

    bbox: tuple[int, int, int, int]
    """`(x, y, width, height)`, pixels of the image."""
    distance: float
    """Root mean squared difference from the region's patch, in the contrast of the image (standard
    deviations): 0 is the same, 1.4 as unlike as unrelated places are."""


@dataclass(frozen=True)
class Explanation:
    """In what way a region differs from normal places, and which of them are most like it.

    Examples:
        >>> from ssdnet.result import Difference, Explanation
        >>> found = Difference("brightness", "darker", -4.2), Difference("contrast", "smoother", -3.1)
        >>> Explanation(found, (28, 0, 16, 16), similar=()).words
        'darker and smoother than normal places'
    """

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

    Examples:
        >>> from ssdnet.result import Region
        >>> hole = Region(1, (30, 4, 12, 8), 70, (35.5, 7.5), 9.0, 7.0, -3.0, touches_border=False)
        >>> x, y, width, height = hole.bbox
        >>> (x, y), hole.area, hole.log10_nfa <= -2  # rarer than once in a hundred clean images
        ((30, 4), 70, True)
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

    @property
    def slice(self) -> Slices:
        """Rows and columns of the bounding box: `array[region.slice]` cuts it out of `(H, W)` or `(H, W, C)`.

        Example:
            >>> Region(1, (30, 4, 12, 8), 70, (35.5, 7.5), 9.0, 7.0, -3.0, False).slice
            (slice(4, 12, None), slice(30, 42, None))
        """
        x, y, width, height = self.bbox
        return slice(y, y + height), slice(x, x + width)


@dataclass(frozen=True)
class Learned:
    """An image that a model was fitted to.

    Examples:
        >>> import numpy as np
        >>> from ssdnet import read_image
        >>> from ssdnet.result import Learned
        >>> image = read_image(np.zeros((20, 30), np.uint8))
        >>> Learned.of(image) == Learned("array", image.sha256)
        True
    """

    name: str
    sha256: str
    """Of the file, or of the pixels where there is none."""

    @classmethod
    def of(cls, image: Image) -> Learned:
        """What is kept of an image."""
        return cls(image.name, image.sha256)


@dataclass(frozen=True, eq=False, repr=False)
class Localization(ReadOnly):
    """Where an image does not belong to itself. All maps have the input's height and width.

    All arrays are read-only; take a copy of one to change it. In a notebook it shows itself as a picture.

    Examples:
        >>> import numpy as np
        >>> import ssdnet
        >>> image = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> image[20:25, 30:35] = 255
        >>> result = ssdnet.localize(image, detector="rx")
        >>> result.pred_label, result.pred_score > 2, result.anomaly_map.shape, len(result.regions)
        (True, True, (64, 64), 1)
        >>> region = result.regions[0]
        >>> bool(result.mask[22, 32]), bool(result.mask[region.slice].sum() == region.area)
        (True, True)
    """

    image: Image
    """The image that was judged."""
    anomaly_map: npt.NDArray[np.float32]
    """`(H, W)`, the detector's score, higher = more anomalous, NaN where the pixel is missing; positive, and
    comparable within one image."""
    log10_nfa: npt.NDArray[np.float32]
    """`(H, W)`, log10 of a number of false alarms, comparable between images; NaN where the pixel is missing.
    At the peak of a region it is that of the region, and rises towards its edge as the score falls.
    The mask is not this under a threshold: a region ends where its score has fallen to 30 % of its peak."""
    labels: npt.NDArray[np.uint16]
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
    null: NullModel
    """The law that the map was judged by; `at` judges by it again."""
    learned: tuple[Learned, ...]
    """The images that the detector's model was fitted to: this one, unless a `FittedModel` has judged it."""
    itself: bool = True
    """Whether the image was compared with itself, and with nothing else if it is all that was learned."""
    stationarity: float = 1.0
    """How much the structure is the same everywhere: 1 for one texture, towards 0 for a picture of things,
    where the promise of `alarms` fails; see `ssdnet.diagnosis`."""
    normal: npt.NDArray[np.floating] | None = None
    """`(H, W, C)` in the units of the input: what the image would be without anomaly and noise, each pixel
    predicted from its surroundings; filled in where pixels are missing, NaN outside the smallest rectangle
    that holds all valid ones. None when the detector does not decompose. float32 for images of at most 16
    bits, rounded to 1/128, so that the three layers add up exactly; otherwise float64."""
    notes: tuple[str, ...] = ()
    """What a person should know: pages that were skipped, an image without contrast."""
    decision_map: npt.NDArray[np.float32] | None = None
    """`(H, W)`, the score that `null` is the law of, where pixels are ranked by another: what ranks them best
    follows no law that is known. None where it is the anomaly map."""

    def __repr__(self) -> str:
        from ssdnet.wording import printable

        count = len(self.regions)
        found = "nothing found" if count == 0 else "1 region" if count == 1 else f"{count} regions"
        rarest = round(-self.pred_score, 1) + 0.0  # no minus before a zero
        return (
            f"Localization({printable(self.image.name)}, {self.image.width} x {self.image.height}: {found}, "
            f"most unusual 10^{rarest}, {self.detector})"
        )

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        import io

        from ssdnet.picture.overlay import write_overlay

        file = io.BytesIO()
        write_overlay(self, file)
        return file.getvalue()

    @cached_property
    def anomaly(self) -> npt.NDArray[np.floating] | None:
        """`(H, W, C)`, what the regions differ from `normal` by; 0 elsewhere, NaN where missing."""
        return self._residual(self.mask)

    @cached_property
    def noise(self) -> npt.NDArray[np.floating] | None:
        """`(H, W, C)`, what all else differs from `normal` by; 0 in the regions, NaN where missing.

        `normal + anomaly + noise` is the image: exactly up to 16 bits, otherwise to the rounding of float64.
        """
        return self._residual(~self.mask)

    @cached_property
    def restored(self) -> npt.NDArray[Any]:
        """`(H, W, C)` of the image's dtype: the image without its regions.

        Texture from elsewhere in the image takes their place, see `ssdnet.restoration`. That takes a second
        for a region of a few hundred pixels across, when it is first asked for.
        """
        from ssdnet.restoration import restore

        restored = restore(self.image, self.mask)
        restored.flags.writeable = False
        return restored

    def _residual(self, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.floating] | None:
        import numpy as np

        if self.normal is None:
            return None
        residual: npt.NDArray[np.floating] = np.subtract(
            self.image.pixels, self.normal, dtype=self.normal.dtype
        )
        residual[~kept] = 0
        residual[~self.image.valid] = np.nan
        residual.flags.writeable = False
        return residual

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """`(H, W)` bool, True inside a region."""
        mask: npt.NDArray[np.bool_] = self.labels > 0
        mask.flags.writeable = False
        return mask

    @property
    def pred_mask(self) -> npt.NDArray[np.bool_]:
        """`mask`, as anomalib calls it."""
        return self.mask

    @property
    def pred_label(self) -> bool:
        """Whether anything was found."""
        return bool(self.regions)

    @cached_property
    def most_unusual(self) -> tuple[int, int] | None:
        """`(x, y)` of the pixel of lowest log10 NFA; None where none stands out, as in a constant image."""
        import numpy as np

        # What little a constant image's score varies is rounding.
        decision = self.anomaly_map if self.decision_map is None else self.decision_map
        if np.isclose(np.nanmin(decision), np.nanmax(decision), rtol=1e-4, atol=0):
            return None
        # Of the pixels of a region that is unusual by its extent, the one that is most unusual by itself.
        rarest = np.flatnonzero(self.log10_nfa == np.nanmin(self.log10_nfa))
        first = rarest[np.argmax(self.anomaly_map.ravel()[rarest])]
        y, x = divmod(int(first), self.image.width)
        return x, y

    @cached_property
    def _record(self) -> dict[str, Any]:
        from ssdnet.export.record import record

        return record(self)

    def at(self, alarms: float) -> Localization:
        """The same result for another number of false regions to accept, without looking again.

        Args:
            alarms: see `ssdnet.localize`.

        Raises:
            UsageError: not positive and finite.
        """
        from ssdnet.judging import at
        from ssdnet.settings import check_alarms

        return at(self, check_alarms(alarms))

    def to_dict(self) -> dict[str, Any]:
        """All but the pixels, as written to `<stem>.json`; the schema is `ssdnet/export/schema.json`.

        Each call gives a copy of its own, to be changed at will.
        """
        return copy.deepcopy(self._record)

    def regions_table(self) -> dict[str, list[Any]]:
        """The regions as columns: the name of each column, and a value for each region.

        The columns are those of `<stem>.csv` without the name of the input: `id`, `x`, `y`, `width`,
        `height`, `area`, `centroid_x`, `centroid_y`, `peak_score`, `mean_score`, `log10_nfa`,
        `touches_border` and `explanation`, which is in words, or None. `pandas.DataFrame(table)` takes it as
        it is, and `zip(*table.values())` gives the rows.
        """
        from ssdnet.export.table import regions_table

        return regions_table(self.regions)

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

    def plot(self, ax: Axes | None = None) -> Figure:
        """The image with outlined and numbered regions, as a matplotlib figure.

        Args:
            ax: draw the image and its regions into these axes, and nothing else. When None, a figure of its
                own: beside the image the map of log10 NFA, below them the three layers, if the detector
                decomposes, and what tells the first regions from normal places.

        Returns:
            The figure, or the one that `ax` belongs to.
        """
        from ssdnet.picture.overlay import draw, figure

        return figure(self) if ax is None else draw(self, ax)
