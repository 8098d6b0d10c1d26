"""How often chance alone would give as much: from a raw score to numbers of false alarms.

| module | what it does |
| --- | --- |
| `peaks` | the peaks of a map, and its correlation lengths |
| `null_model` | the law that peaks of a clean image follow; log10 NFA of a score |
| `extent` | the significance of regions, and how far they reach |
| `regions` | the list of what was found |
| `running`, `pixels` | maxima of windows; which of a few pixels lie together |

`assess` takes a map through the first three, `judge` the same by a null model that is known already, and
`Assessment.regions` through to the list. Whether the picture is one texture, without which all this promises
nothing, is told by `ssdnet.diagnosis`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.calibration.extent import MOST_UNUSUAL, gather
from ssdnet.calibration.null_model import NullModel, fit_null
from ssdnet.calibration.pixels import Unusual
from ssdnet.calibration.regions import find_regions, regions_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.result import Region

    Floats = npt.NDArray[np.float32]

__all__ = ["Assessment", "NullModel", "Unusual", "assess", "fit_null", "judge", "placed"]


@dataclass(frozen=True, eq=False)
class Assessment:
    """How unusual each place of a map is. All maps have its size; NaN where missing.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration import assess
        >>> score = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
        >>> score[20:26, 30:36] = 12
        >>> labels, regions = assess(score).regions(alarms=0.01)
        >>> [region.bbox for region in regions]
        [(30, 20, 6, 6)]
    """

    score: Floats
    """`(H, W)`, the map."""
    null: NullModel
    """What it does where all is normal."""
    log10_nfa: Floats
    """`(H, W)`, log10 NFA of what is most significant close by, as far as the pixel takes part in it."""
    unusual: Unusual
    """The few pixels that may belong to a region, and the log10 NFA of it."""

    @property
    def region_log10_nfa(self) -> Floats:
        """`(H, W)`, that of the region which the pixel belongs to; above 0 outside of all."""
        values = self.null.log10_nfa(self.score)
        values += np.float32(np.log10(self.null.witnesses))
        np.maximum(values, np.finfo(np.float32).tiny, out=values)
        values.reshape(-1)[self.unusual.index] = self.unusual.log10_nfa
        return values

    def placed(self, shape: tuple[int, int], box: tuple[slice, slice]) -> Assessment:
        """The same as a part of maps of another `shape`, all NaN outside of the rows and columns of `box`."""
        if self.score.shape == shape:  # nothing lies outside, and a copy of a large map is not free
            return self
        score, log10_nfa = (placed(values, shape, box) for values in (self.score, self.log10_nfa))
        rows, columns = np.divmod(self.unusual.index, self.score.shape[1])
        index = (rows + box[0].start) * shape[1] + columns + box[1].start
        return Assessment(score, self.null, log10_nfa, Unusual(index, self.unusual.log10_nfa))

    def regions(
        self, alarms: float, ranking: Floats | None = None
    ) -> tuple[npt.NDArray[np.uint16], tuple[Region, ...]]:
        """`(H, W)` labels, 0 = none, and the regions by their `id`, most significant first.

        Args:
            alarms: expected number of false regions to accept.
            ranking: `(H, W)`, the map whose peak and mean in each region are told; None takes the one that
                was judged.
        """
        told = self.score if ranking is None else ranking
        # Pieces closer than what the map can tell apart are one region.
        rows, columns = (int(np.ceil(length)) for length in self.null.correlation_length)
        level = np.log10(alarms)
        if level > MOST_UNUSUAL:  # who wants to see that much gets what is of no region as well
            return find_regions(told, self.region_log10_nfa, alarms, gap=(rows, columns))
        accepted = self.unusual.log10_nfa <= level
        pixels = Unusual(self.unusual.index[accepted], self.unusual.log10_nfa[accepted])
        return regions_of(told, pixels, gap=(rows, columns))


def assess(score: Floats) -> Assessment:
    """Judge a map by nothing but itself.

    Args:
        score: `(H, W)` float32, higher = more anomalous, NaN where missing, finite somewhere.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration import assess
        >>> score = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
        >>> clean = assess(score)
        >>> bool(clean.log10_nfa.min() > -2)
        True
        >>> score[20, 30] = 40
        >>> bool(assess(score).log10_nfa[20, 30] < -2)
        True
    """
    return judge(score, fit_null(score))


def judge(score: Floats, null: NullModel) -> Assessment:
    """Judge a map by a null model, its own or that of other images of the same surface and size.

    Args:
        score: `(H, W)` float32, higher = more anomalous, NaN where missing.
        null: what the score does where all is normal; it also says how many tests there are, that is how
            many peaks the map had that it was fitted to.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration import fit_null, judge
        >>> clean, other = np.random.default_rng(0).normal(size=(2, 64, 64)).astype(np.float32)
        >>> other[20:40, 20:40] += 9
        >>> judge(other, fit_null(clean)).regions(alarms=0.01)[1][0].bbox
        (20, 20, 20, 20)
    """
    log10_nfa = null.log10_nfa(score)
    log10_nfa, unusual = gather(
        score, log10_nfa, null.correlation_length, null.peaks, usual=null.usual, out=log10_nfa
    )
    if null.witnesses > 1:
        more = np.float32(np.log10(null.witnesses))
        log10_nfa += more
        unusual = Unusual(unusual.index, unusual.log10_nfa + more)
    return Assessment(score, null, log10_nfa, unusual)


def placed(values: Floats, shape: tuple[int, int], box: tuple[slice, slice]) -> Floats:
    """A map as a part of one of another shape, NaN outside of some rows and columns.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration import placed
        >>> placed(np.ones((1, 1), np.float32), (1, 2), (slice(0, 1), slice(1, 2))).tolist()
        [[nan, 1.0]]
    """
    if values.shape == shape:
        return values
    larger = np.full(shape, np.nan, dtype=np.float32)
    larger[box] = values
    return larger
