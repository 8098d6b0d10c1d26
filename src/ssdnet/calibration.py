"""From a raw score to its number of false alarms: how often chance alone would give as much.

The null model (a-contrario detection, Desolneux, Moisan & Morel, 'From Gestalt Theory to Image Analysis',
2008; block maxima, Gumbel, 'Statistics of Extremes', 1958):

1. The map is cut into cells a few correlation lengths wide, so that each cell is about one independent test.
2. The largest score of a normal cell follows a Gumbel law: the limit for maxima of any score whose upper tail
   falls off exponentially or faster. Its location and scale come from the 5 % and 60 % quantiles of the
   cells' maxima, which a defect on a few of the cells hardly moves, and one on a quarter of them does not
   carry away. Cells that are then clearly significant are left out, and the law is fitted once more.
3. The scale is known only as well as the number of cells allows: the exceedance probability is averaged over
   a log-normal uncertainty of the scale, so a small image needs a stronger deviation.
4. NFA(s) = number of cells x P(maximum of a normal cell >= s).

Assumptions: one texture covers most of the image, the same everywhere, and the score's tail is not heavier
than exponential. Where they fail, the promise fails; a picture that is no texture is the usual case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SMALLEST_LOG10_NFA = -300.0
"""Numbers of false alarms below 10 to this power are reported as this."""

_CELL = 2.5  # width of a cell in correlation lengths
_CELLS_ALONG = 8  # at least so many cells along each axis, however long the correlation
_QUANTILES = np.array([0.05, 0.6])
_GUMBEL = -np.log(-np.log(_QUANTILES))  # the standard law's quantiles
_VARIANCE = 1.25  # of the log of a scale from those quantiles, times the number of independent cells
_FEWEST_CELLS = 16  # fewer tell nothing about a law
_TABLE = np.concatenate([np.linspace(-8, 60, 4096), np.geomspace(61, 1e6, 1024)])
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())


@dataclass(frozen=True)
class NullModel:
    """What the score does where all is normal."""

    location: float
    """Mode of a normal cell's maximum, in units of the score."""
    scale: float
    """Scale of its Gumbel law, in units of the score."""
    uncertainty: float
    """Standard deviation of the logarithm of `scale`."""
    cells: int
    """Number of cells, that is of tests."""
    correlation_length: tuple[float, float]
    """Lags along rows and columns (y, x) at which the map's autocorrelation falls below 1/e, pixels."""

    def log10_nfa(self, score: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """log10 of the number of false alarms of each score; NaN stays NaN. Falls as the score rises."""
        reduced = (score.astype(np.float64) - self.location) / self.scale
        # The function is smooth and monotone: a table is as good as evaluating it for each of many pixels.
        values = np.log10(self.cells) + self._log_exceedance(_TABLE) / np.log(10)
        looked_up = np.interp(reduced, _TABLE, np.maximum(values, SMALLEST_LOG10_NFA))
        return np.where(np.isnan(reduced), np.nan, looked_up).astype(np.float32)

    def _log_exceedance(self, reduced: Floats) -> Floats:
        """Log of P(maximum of a normal cell >= s), averaged over the uncertainty of the scale."""
        stretched = reduced[:, None] * np.exp(self.uncertainty * _NODES)
        # 1 - exp(-exp(-z)) is exp(-z) to 14 digits beyond z = 30, where the first form has lost its own.
        exact = np.log(-np.expm1(-np.exp(-np.clip(stretched, -30, 30))))
        result: Floats = logsumexp(np.where(stretched > 30, -stretched, exact) + _LOG_WEIGHTS, axis=1)
        return result


def fit_null(score: npt.NDArray[np.floating]) -> NullModel:
    """Estimate the null model from one map.

    Args:
        score: `(H, W)`, higher = more anomalous, NaN where missing, finite somewhere.
    """
    valid = np.isfinite(score)
    lengths = _correlation_lengths(score, valid)
    sides = [
        min(max(_CELL * length, 2.0), max(2.0, size / _CELLS_ALONG))
        for length, size in zip(lengths, score.shape, strict=True)
    ]
    maxima = _cell_maxima(score, valid, sides)
    independent = max(1.0, min(len(maxima), valid.sum() / (9 * lengths[0] * lengths[1])))
    uncertainty = float(np.sqrt(_VARIANCE / independent))
    if len(maxima) < _FEWEST_CELLS:
        return NullModel(float(np.median(maxima)), np.inf, uncertainty, len(maxima), lengths)

    def fit(kept: Floats) -> NullModel:
        low, middle = np.quantile(kept, _QUANTILES)
        # What float32 cannot tell from a flat map is no spread.
        smallest = max(1e-6 * abs(middle), float(np.finfo(np.float32).tiny))
        scale = max((middle - low) / (_GUMBEL[1] - _GUMBEL[0]), smallest)
        location = middle - scale * _GUMBEL[1]
        return NullModel(float(location), float(scale), uncertainty, len(maxima), lengths)

    first = fit(maxima)
    normal = maxima[first.log10_nfa(maxima) > -1]
    return fit(normal) if 0.6 * len(maxima) <= len(normal) < len(maxima) else first


def _correlation_lengths(
    score: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Lags along y and x at which the autocorrelation of the bulk falls below 1/e, in pixels."""
    step = max(1, int(np.sqrt(valid.size) / 512))  # a few hundred thousand pixels tell enough
    known = valid[::step, ::step]
    if not known.any():
        return 1.0, 1.0
    values = np.asarray(score[::step, ::step], dtype=np.float64)
    low, middle = np.quantile(values[known], [0.16, 0.5])
    spread = max(middle - low, float(np.finfo(np.float32).tiny))
    values = (values - middle) / spread
    # Without the upper end, so that a defect's own size does not pass for the texture's correlation.
    known = known & (values < 3.0)
    bulk = np.where(known, np.clip(values, -3.0, 3.0), 0.0)
    bulk = np.where(known, bulk - bulk[known].mean(), 0.0)
    return tuple(step * _decay(bulk, known, axis) for axis in (0, 1))  # type: ignore[return-value]


def _decay(values: Floats, known: npt.NDArray[np.bool_], axis: int) -> float:
    values, known = np.moveaxis(values, axis, 0), np.moveaxis(known, axis, 0)
    variance = np.square(values).sum() / known.sum()
    longest = max(1, len(values) // _CELLS_ALONG)  # cells get no wider, however long it is
    for lag in range(1, longest + 1):
        pairs = np.count_nonzero(known[lag:] & known[:-lag])
        # Not a dot product: the threads of the BLAS library would get in the way of torch's.
        if pairs and (values[lag:] * values[:-lag]).sum() / pairs < variance / np.e:
            return float(lag)
    return float(longest)


def _cell_maxima(score: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_], sides: list[float]) -> Floats:
    """Largest score of each cell that has about as many valid pixels as the others."""
    known = valid.astype(np.int64)
    values = np.where(valid, score, -np.inf)
    for axis, (size, side) in enumerate(zip(score.shape, sides, strict=True)):
        count = max(1, round(size / side))
        starts = np.arange(count) * size // count
        values = np.maximum.reduceat(values, starts, axis=axis)
        known = np.add.reduceat(known, starts, axis=axis)
    enough = known >= 0.5 * np.median(known[known > 0])
    return values[enough].astype(np.float64)
