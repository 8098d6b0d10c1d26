"""How often chance alone would give as much: from a raw score to numbers of false alarms.

| module | what it does |
| --- | --- |
| `peaks` | the peaks of a map, and its correlation lengths |
| `null_model` | the law that peaks of a clean image follow; log10 NFA of a score |
| `extent` | the significance of regions, and how far they reach |
| `stationarity` | whether the picture is one texture, without which all this promises nothing |

`assess` takes a map through all but the last, and `regions` through to the list of what was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.calibration.extent import gather
from ssdnet.calibration.null_model import NullModel, fit_null
from ssdnet.calibration.regions import find_regions

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.result import Region

    Floats = npt.NDArray[np.float32]

__all__ = ["Assessment", "NullModel", "assess", "fit_null"]


@dataclass(frozen=True, eq=False)
class Assessment:
    """How unusual each place of a map is. All maps have its size; NaN where missing."""

    score: Floats
    """`(H, W)`, the map."""
    null: NullModel
    """What it does where all is normal."""
    log10_nfa: Floats
    """`(H, W)`, log10 NFA of what is most significant close by, as far as the pixel takes part in it."""
    region_log10_nfa: Floats
    """`(H, W)`, that of the region which the pixel belongs to; above 0 outside of all."""

    def placed(self, shape: tuple[int, int], box: tuple[slice, slice]) -> Assessment:
        """The same as a part of maps of another `shape`, all NaN outside of the rows and columns of `box`."""
        if self.score.shape == shape:  # nothing lies outside, and a copy of a large map is not free
            return self
        maps = []
        for values in (self.score, self.log10_nfa, self.region_log10_nfa):
            larger = np.full(shape, np.nan, dtype=np.float32)
            larger[box] = values
            maps.append(larger)
        score, log10_nfa, region_log10_nfa = maps
        return Assessment(score, self.null, log10_nfa, region_log10_nfa)

    def regions(self, alarms: float) -> tuple[npt.NDArray[np.uint16], tuple[Region, ...]]:
        """`(H, W)` labels, 0 = none, and the regions by their `id`, most significant first.

        Args:
            alarms: expected number of false regions to accept.
        """
        # Pieces closer than what the map can tell apart are one region.
        rows, columns = (int(np.ceil(length)) for length in self.null.correlation_length)
        return find_regions(self.score, self.region_log10_nfa, alarms, gap=(rows, columns))


def assess(score: Floats) -> Assessment:
    """Judge a map by nothing but itself.

    Args:
        score: `(H, W)` float32, higher = more anomalous, NaN where missing, finite somewhere.
    """
    null = fit_null(score)
    log10_nfa, region_log10_nfa = gather(score, null.log10_nfa(score), null.correlation_length, null.peaks)
    return Assessment(score, null, log10_nfa, region_log10_nfa)
