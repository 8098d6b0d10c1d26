"""How sure a mean over sets is, and whether one detector is better than another on the same images.

The mean of several sets is the unweighted mean of their means, so that a set with many images does not
outweigh the others. Intervals are percentile bootstrap intervals (Efron & Tibshirani, 'An Introduction to the
Bootstrap', 1993, section 13.3) over the images within each set: they say how much another draw of images of
the same sets would move the figure, not what other sets would give. Values that are NaN are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]
    Names = npt.NDArray[np.str_]

RUNS = 1000
"""How often images are drawn again."""
LEVEL = 0.95
"""Share of the draws that lie inside an interval."""


@dataclass(frozen=True)
class Comparison:
    """One detector against another, image by image.

    Examples:
        >>> from ssdnet.evaluation.measure.intervals import Comparison
        >>> Comparison(0.02, low=0.005, high=0.04, win_rate=0.7, images=30).clear
        True
        >>> Comparison(0.02, low=-0.01, high=0.05, win_rate=0.6, images=30).clear
        False
    """

    difference: float
    """Mean over sets of the first one's figure minus the second one's."""
    low: float
    """Lower end of the interval of the difference."""
    high: float
    """Upper end."""
    win_rate: float
    """Share of the images on which the first is better, ties counted half; mean over sets."""
    images: int
    """How many both have a figure of."""

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def mean_of_sets(values: Values, sets: Names) -> float:
    """Unweighted mean over sets of the mean over images.

    Args:
        values: `(N,)`, one for each image.
        sets: `(N,)`, the set that each belongs to.

    Returns:
        NaN where no value is known.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.evaluation.measure.intervals import mean_of_sets
        >>> values, sets = np.array([1.0, 1.0, 1.0, 0.5]), np.array(["cloth", "cloth", "cloth", "wood"])
        >>> mean_of_sets(values, sets), float(values.mean())
        (0.75, 0.875)
    """
    groups = _groups(values, sets)
    return float(np.mean([group.mean() for group in groups])) if groups else math.nan


def bootstrap_interval(
    values: Values,
    sets: Names,
    *,
    generator: np.random.Generator,
    runs: int = RUNS,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Interval of `mean_of_sets`, over the images of each set drawn with replacement.

    A set with one image adds no spread: what it would do is not known.

    Args:
        values: `(N,)`, one for each image.
        sets: `(N,)`, the set that each belongs to.
        generator: of the draws; the same state gives the same interval.
        runs: how many draws.
        level: share of them inside the interval.

    Returns:
        Lower and upper end; NaN where no value is known.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.evaluation.measure.intervals import bootstrap_interval
        >>> values, sets = np.linspace(0, 1, 100), np.repeat(["cloth", "wood"], 50)
        >>> low, high = bootstrap_interval(values, sets, generator=np.random.default_rng(0))
        >>> 0.42 < low < 0.5 < high < 0.58
        True
    """
    groups = _groups(values, sets)
    if not groups:
        return math.nan, math.nan
    means = np.zeros(runs)
    for group in groups:
        # How often each image is drawn says all that matters of a draw.
        counts = generator.multinomial(len(group), np.full(len(group), 1 / len(group)), size=runs)
        means += counts @ group / len(group)
    low, high = np.quantile(means / len(groups), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def compare(first: Values, second: Values, sets: Names, *, generator: np.random.Generator) -> Comparison:
    """Two detectors on the images of which both have a figure; higher is better.

    Args:
        first: `(N,)`, a figure for each image.
        second: `(N,)`, of the same images.
        sets: `(N,)`, the set that each belongs to.
        generator: of the draws.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.evaluation.measure.intervals import compare
        >>> first, second = np.linspace(0.5, 1, 20), np.linspace(0.4, 0.9, 20)
        >>> found = compare(first, second, np.repeat("cloth", 20), generator=np.random.default_rng(0))
        >>> round(found.difference, 3), found.clear, found.win_rate
        (0.1, True, 1.0)
    """
    difference = first - second
    low, high = bootstrap_interval(difference, sets, generator=generator)
    wins = np.where(np.isnan(difference), np.nan, (np.sign(difference) + 1) / 2)
    return Comparison(
        difference=mean_of_sets(difference, sets),
        low=low,
        high=high,
        win_rate=mean_of_sets(wins, sets),
        images=int(np.count_nonzero(~np.isnan(difference))),
    )


def _groups(values: Values, sets: Names) -> list[Values]:
    """The known values of each set that has some, by the name of the set."""
    known = ~np.isnan(values)
    return [values[known & (sets == name)] for name in np.unique(sets[known])]
