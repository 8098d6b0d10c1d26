"""From a raw score to its number of false alarms: how often chance alone would give as much.

The null model (a-contrario detection, Desolneux, Moisan & Morel, 'From Gestalt Theory to Image Analysis',
2008; extreme values, Coles, 'An Introduction to Statistical Modeling of Extreme Values', 2001):

1. What chance can pass off as a defect is a peak of the map: a pixel that is the largest around it. Peaks
   stand for regions, so their number is the number of tests. Where there are more than a few hundred, they
   are taken further apart.
2. The height of a normal peak follows a generalised extreme value law, as maxima of many values do whatever
   these values follow. Its shape tells a light tail from a heavy one. One image has too few peaks to say much
   of it, so there is a prior: what the shapes of many clean images are like (docs/calibration.md).
3. The law is fitted to the lower 80 % of the peaks; of the rest only their number counts. Where more peaks
   stand out than chance explains, they are left out and the law is fitted again, until no more do; so a
   strong defect on up to 30 % of the map neither shapes the law nor hides itself. Not of fewer than 20
   peaks, where the law is too uncertain to tell.
4. What the peaks leave open of location, scale and shape is averaged over: the fewer there are, the stronger
   a deviation must be.
5. NFA(s) = number of peaks x P(a normal peak is at least s).

Assumptions: one texture covers most of the image, the same everywhere, and what of its tail the image has not
shown is like that of other textures. Where they fail, the promise fails: `ssdnet.diagnosis`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from ssdnet.calibration.peaks import cell_maxima, correlation_lengths, peaks_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SMALLEST_LOG10_NFA = -300.0
"""Numbers of false alarms below 10 to this power are reported as this."""
LARGEST_LOG10_NFA = 6.0
"""What is reported where nothing is known."""

_SHAPE_MEAN, _SHAPE_SPREAD = -0.07, 0.1
"""Prior of the shape: what it is like in clean images of many kinds, see docs/calibration.md."""
_MOST_PEAKS = 250
"""More are taken further apart, see `ssdnet.calibration.peaks`."""
_FEWEST_PEAKS = 5
"""Of fewer, as where one spot lies on a flat ground, the largest pixels of a grid of cells take the place."""
_MANY_PEAKS = 20
"""Fewer lie within a few correlation lengths and tell less each: their likelihood counts by their share, and
none of them is left out."""
_FITTED, _FITTED_FIRST = 0.8, 0.5
"""Lower part of the peaks whose heights count; at first less, as nothing has been left out yet."""
_ROBUST = 0.6
"""Quantiles of all peaks are at first taken for those of the normal ones so many times as far up."""
_OUTLYING = -2.0
"""log10 NFA from which on a peak is left out."""
_FEWEST_LEFT_OUT, _SHARE_LEFT_OUT = 6, 0.05
"""Fewer do not move the law, and may well be normal."""
_FEWEST_KEPT = 0.5
"""Share of the peaks that is never left out."""
_ROUNDS = 6
_STEPS = 9
"""Of the grid of locations and of scales over which the posterior is summed."""
_REACH = 4.0
"""Half the width of the grid in standard deviations of what it is about."""
_NEGLIGIBLE = 14.0
"""Logarithm of the share of the largest weight below which a law is left out."""
_QUANTILES = np.array([0.05, 0.6])
_TABLE = np.concatenate([np.linspace(-8, 40, 1024), np.geomspace(41, 1e6, 384)])
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_NODES[len(_NODES) // 2] = 0.0  # exactly
_SHAPES = _SHAPE_MEAN + _SHAPE_SPREAD * _NODES
_LOG_PRIOR = np.log(_WEIGHTS / _WEIGHTS.sum())


@dataclass(frozen=True, eq=False)
class NullModel:
    """What the score does where all is normal."""

    location: float
    """Mean over the laws of the mode, about, of a normal peak, in units of the score."""
    scale: float
    """Mean of their scales, in units of the score; infinite where nothing is known."""
    shape: float
    """Mean of their shapes: below 0 a tail that ends, 0 an exponential one, above 0 a heavy one."""
    peaks: int
    """Number of peaks, that is of tests."""
    correlation_length: tuple[float, float]
    """Lags along rows and columns (y, x) at which the map's autocorrelation falls below 1/e, pixels."""
    laws: Floats = field(repr=False)
    """`(4, L)`: location, scale, shape and log weight of each law that the peaks allow."""

    def log10_nfa(self, score: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """log10 of the number of false alarms of each score; NaN stays NaN. Falls as the score rises."""
        if np.isinf(self.scale):
            return np.where(np.isnan(score), np.nan, np.float32(LARGEST_LOG10_NFA)).astype(np.float32)
        reduced = (score.astype(np.float64) - self.location) / self.scale
        # The function is smooth and monotone: a table is as good as evaluating it for each of many pixels.
        values = np.log10(self.peaks) + self._log_exceedance(_TABLE) / np.log(10)
        looked_up = np.interp(reduced, _TABLE, np.maximum(values, SMALLEST_LOG10_NFA))
        return np.where(np.isnan(reduced), np.nan, looked_up).astype(np.float32)

    def _log_exceedance(self, reduced: Floats) -> Floats:
        """Log of P(a normal peak is at least this high), averaged over the laws."""
        location, scale, shape, log_weight = self.laws
        heights = (reduced[:, None] * self.scale + self.location - location) / scale
        result: Floats = logsumexp(_log_survival(_gumbel(heights, shape)) + log_weight, axis=1)
        return result


def fit_null(score: npt.NDArray[np.floating]) -> NullModel:
    """Estimate the null model from one map.

    Args:
        score: `(H, W)`, higher = more anomalous, NaN where missing, finite somewhere.
    """
    valid = np.isfinite(score)
    lengths = correlation_lengths(score, valid)
    peaks = peaks_of(score, valid, lengths, most=_MOST_PEAKS)
    if len(peaks) < _FEWEST_PEAKS:
        peaks = cell_maxima(score, valid)
    if len(peaks) < _FEWEST_PEAKS:
        return NullModel(float(np.median(peaks)), np.inf, 0.0, len(peaks), lengths, np.empty((4, 0)))
    kept = peaks
    for round_ in range(_ROUNDS):
        laws = _laws(kept, first=round_ == 0)
        # By the most likely law of usual shape: a defect on much of the map would else be taken for a heavy
        # tail that cannot be excluded.
        usual = laws[:, laws[2] == _SHAPE_MEAN]
        likely = np.append(usual[:3, usual[3].argmax()], 0.0)[:, None]
        normal = peaks[_null(likely, peaks, lengths).log10_nfa(peaks) > _OUTLYING]
        fewest = int(np.ceil(max(_FEWEST_KEPT * len(peaks), _FEWEST_PEAKS)))
        normal = normal if len(normal) >= fewest else peaks[:fewest]
        fewest_out = max(_FEWEST_LEFT_OUT, _SHARE_LEFT_OUT * len(peaks))
        if len(peaks) < _MANY_PEAKS or len(peaks) - len(normal) < fewest_out:
            normal = peaks
        if round_ > 0 and len(normal) == len(kept):
            break
        kept = normal
    laws = laws[:, laws[3] > laws[3].max() - _NEGLIGIBLE]
    laws[3] -= logsumexp(laws[3])
    return _null(laws, peaks, lengths)


def _null(laws: Floats, peaks: Floats, lengths: tuple[float, float]) -> NullModel:
    weight = np.exp(laws[3])
    location, scale, shape = (float(weight @ values) for values in laws[:3])
    return NullModel(location, scale, shape, len(peaks), lengths, laws)


def _laws(peaks: Floats, *, first: bool) -> Floats:
    """Locations, scales, shapes and log weights of the laws that sorted peaks allow.

    Args:
        peaks: heights, rising.
        first: nothing has been left out yet, so nothing is made of how many are above those that count.
    """
    count = max(2, round((_FITTED_FIRST if first else _FITTED) * len(peaks)))
    above = len(peaks) - count
    limit = peaks[count - 1]
    heights = peaks[:count]
    # What float32 cannot tell from a flat map is no spread.
    smallest = max(1e-6 * abs(limit), float(np.finfo(np.float32).tiny))
    standard = _from_gumbel(-np.log(-np.log(_QUANTILES))[:, None], _SHAPES)
    low, middle = np.quantile(peaks, _QUANTILES * (_ROBUST if first else 1.0))
    scale = np.maximum((middle - low) / (standard[1] - standard[0]), smallest)
    location = middle - scale * standard[1]
    trust = min(1.0, len(peaks) / _MANY_PEAKS)
    reach = _REACH / np.sqrt(trust * len(peaks))
    steps = np.linspace(-1, 1, _STEPS)
    for width in (2 * reach, reach):  # around the quantiles' law, then around the best found
        scales = np.maximum(scale[:, None] * np.exp(width * steps), smallest)
        locations = location[:, None] + scale[:, None] * width * 1.3 * steps
        shape = _SHAPES[:, None, None]
        mu, sigma = np.broadcast_arrays(locations[:, :, None], scales[:, None, :])
        reduced = np.maximum(_gumbel((heights - mu[..., None]) / sigma[..., None], shape[..., None]), -30)
        density = -(1 + shape[..., None]) * reduced - np.exp(-reduced)
        likelihood = np.maximum(density, -1e4).sum(axis=-1) - count * np.log(sigma)
        if first:
            likelihood = likelihood + count * np.exp(-np.maximum(_gumbel((limit - mu) / sigma, shape), -30))
        elif above:
            tail = _log_survival(_gumbel((limit - mu) / sigma, shape))
            likelihood = likelihood + above * np.maximum(tail, -1e4)
        flat = trust * likelihood.reshape(len(_SHAPES), -1)
        best = flat.argmax(axis=1)
        rows = np.arange(len(_SHAPES))
        location, scale = mu.reshape(flat.shape)[rows, best], sigma.reshape(flat.shape)[rows, best]
    # The grid's cells are as large for all shapes but for the unit of the location, which the flat prior of
    # location and log scale takes out again.
    weight = (flat + _LOG_PRIOR[:, None]).ravel()
    shapes = np.repeat(_SHAPES, flat.shape[1])
    return np.stack([mu.ravel(), sigma.ravel(), shapes, weight - logsumexp(weight)])


def _gumbel(heights: Floats, shape: Floats) -> Floats:
    """Standardised heights as those of a Gumbel law; infinite beyond the end of the tail."""
    small = np.abs(shape) < 1e-9
    with np.errstate(divide="ignore", invalid="ignore"):
        curved = np.log(np.maximum(1 + shape * heights, 0)) / np.where(small, 1, shape)
    result: Floats = np.where(small, heights, curved)
    return result


def _from_gumbel(reduced: Floats, shape: Floats) -> Floats:
    """The inverse of `_gumbel`."""
    small = np.abs(shape) < 1e-9
    result: Floats = np.where(small, reduced, np.expm1(shape * reduced) / np.where(small, 1, shape))
    return result


def _log_survival(reduced: Floats) -> Floats:
    """Log of the probability that a standard Gumbel variable is larger."""
    # 1 - exp(-exp(-z)) is exp(-z) to 14 digits beyond z = 30, where the first form has lost its own.
    exact = np.log(-np.expm1(-np.exp(-np.clip(reduced, -30, 30))))
    result: Floats = np.where(reduced > 30, -reduced, exact)
    return result
