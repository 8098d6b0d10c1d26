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

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from ssdnet.calibration.peaks import cell_maxima, correlation_lengths, peaks_of
from ssdnet.errors import InputError
from ssdnet.maths.parallel import each

if TYPE_CHECKING:
    from collections.abc import Mapping

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
_SAMPLE, _ABOUT_HALF = 1 << 14, (0.47, 0.53)
"""Pixels of a map that tell about where its median lies, and how sure they are of it."""
_QUANTILES = np.array([0.05, 0.6])
_TABLE_START, _TABLE_END, _EVEN = -8.0, 40.0, 1024
"""Heights at whose evenly spaced first part numbers of false alarms are looked up, in scales."""
_TABLE = np.concatenate([np.linspace(_TABLE_START, _TABLE_END, _EVEN), np.geomspace(41, 1e6, 384)])
_CHUNK, _PIECE = 1 << 15, 1 << 18
"""Pixels looked up at once, so that what is made of them stays in a cache, and pixels a thread takes."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_NODES[len(_NODES) // 2] = 0.0  # exactly
_SHAPES = _SHAPE_MEAN + _SHAPE_SPREAD * _NODES
_LOG_PRIOR = np.log(_WEIGHTS / _WEIGHTS.sum())


@dataclass(frozen=True, eq=False)
class NullModel:
    """What the score does where all is normal.

    Examples:
        Of 100 peaks that follow a Gumbel law, one at 10 is expected in one of some 200 images:

        >>> import numpy as np
        >>> from ssdnet.calibration import NullModel
        >>> law = np.array([[0.0], [1.0], [0.0], [0.0]])
        >>> null = NullModel(0.0, 1.0, 0.0, 100, (1.0, 1.0), 0.0, law)
        >>> round(float(null.log10_nfa(np.array([10.0]))[0]), 2)
        -2.34
    """

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
    usual: float
    """Median of the score."""
    laws: Floats = field(repr=False)
    """`(4, L)`: location, scale, shape and log weight of each law that the peaks allow."""
    witnesses: int = 1
    """Maps that were asked at each place. Which of them is heard, and how much, is chosen by the maps
    themselves, which makes as many tests: `judge` multiplies its numbers of false alarms by this."""

    def log10_nfa(self, score: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """log10 of the number of false alarms of each score; NaN stays NaN. Falls as the score rises."""
        if np.isinf(self.scale):
            return np.where(np.isnan(score), np.nan, np.float32(LARGEST_LOG10_NFA)).astype(np.float32)
        # The function is smooth and monotone: a table is as good as evaluating it for each of many pixels.
        ends = np.array([np.fmin.reduce(score, axis=None), np.fmax.reduce(score, axis=None)], np.float64)
        table = self._table(*((ends - self.location) / self.scale))
        out = np.empty(score.shape, dtype=np.float32)
        scores, results = score.reshape(-1), out.reshape(-1)

        def work(start: int) -> None:
            for chunk in range(start, min(start + _PIECE, len(scores)), _CHUNK):
                part = slice(chunk, chunk + _CHUNK)
                _look_up(scores[part], self.location, self.scale, table, out=results[part])

        each(work, range(0, len(scores), _PIECE))
        return out

    def to_dict(self) -> dict[str, Any]:
        """Numbers, lists and None only, as JSON has them; an infinite scale is None."""
        return {
            "location": self.location,
            "scale": None if np.isinf(self.scale) else self.scale,
            "shape": self.shape,
            "peaks": self.peaks,
            "correlation_length": list(self.correlation_length),
            "usual": self.usual,
            "laws": self.laws.tolist(),
            "witnesses": self.witnesses,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> NullModel:
        """The null model that gave `stored`, with the very same numbers.

        Args:
            stored: what `to_dict` gave, also when it has been JSON in between.

        Raises:
            InputError: something is missing or is not a number.
        """
        try:
            down, right = stored["correlation_length"]
            scale = stored["scale"]
            model = cls(
                float(stored["location"]),
                np.inf if scale is None else float(scale),
                float(stored["shape"]),
                int(stored["peaks"]),
                (float(down), float(right)),
                float(stored["usual"]),
                np.array(stored["laws"], dtype=np.float64),
                int(stored.get("witnesses", 1)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the stored null model is damaged ({error!r}); judge the image again"
            ) from error
        if model.laws.ndim != 2 or len(model.laws) != 4:
            raise InputError(
                f"the stored null model is damaged: laws of shape {model.laws.shape} instead of (4, L); "
                "judge the image again"
            )
        return model

    def _table(self, lowest: float, highest: float) -> Floats:
        """`(len(_TABLE),)`, log10 NFA at the heights of the table that these two lie between."""
        first = max(0, int(np.searchsorted(_TABLE, lowest, side="right")) - 1)
        last = int(np.searchsorted(_TABLE, highest, side="left")) + 1  # NaN is larger than all
        values = np.zeros(len(_TABLE))
        with np.errstate(divide="ignore"):
            chance = np.log10(self.peaks * self._exceedance(_TABLE[first:last]))
        values[first:last] = np.maximum(chance, SMALLEST_LOG10_NFA)
        return values

    def _exceedance(self, reduced: Floats) -> Floats:
        """P(a normal peak is at least so many scales above the location), averaged over the laws."""
        heights = reduced[:, None] * self.scale + self.location
        total = np.zeros(len(reduced))
        for shape in np.unique(self.laws[2]):
            location, scale, _, log_weight = self.laws[:, self.laws[2] == shape]
            chance = _gumbel_of((heights - location) / scale, float(shape))
            # 1 - exp(-exp(-z)) from the inside, to all digits where it is 1e-300 as well.
            for step in (np.negative, np.exp, np.negative, np.expm1, np.negative):
                step(chance, out=chance)
            chance *= np.exp(log_weight)
            total += chance.sum(axis=1)
        return total


def _look_up(
    score: npt.NDArray[np.floating],
    location: float,
    scale: float,
    table: Floats,
    *,
    out: npt.NDArray[np.float32],
) -> None:
    """Write log10 NFA of `(N,)` scores to `out`, by linear interpolation between the heights of the table."""
    reduced = np.subtract(score, location, dtype=np.float64)
    reduced /= scale
    position = (reduced - _TABLE_START) * ((_EVEN - 1) / (_TABLE_END - _TABLE_START))
    np.fmax(position, 0, out=position)
    np.fmin(position, _EVEN - 1, out=position)
    index = position.astype(np.intp)
    position -= index
    position *= np.diff(table[: _EVEN + 1]).take(index)
    position += table.take(index)
    out[...] = position
    far = reduced > _TABLE_END
    if far.any():
        out[far] = np.interp(reduced[far], _TABLE, table)
    np.copyto(out, np.nan, where=np.isnan(reduced))


def fit_null(score: npt.NDArray[np.floating], *, witnesses: int = 1) -> NullModel:
    """Estimate the null model from one map.

    Args:
        score: `(H, W)`, higher = more anomalous, NaN where missing, finite somewhere.
        witnesses: see `NullModel`.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration import fit_null
        >>> score = np.random.default_rng(0).normal(size=(64, 64))
        >>> null = fit_null(score)
        >>> null.correlation_length
        (1.0, 1.0)
        >>> [bool(number < -2) for number in null.log10_nfa(np.array([2.0, 9.0]))]
        [False, True]
    """
    valid = np.isfinite(score)
    lengths, usual = correlation_lengths(score, valid), _median(score)
    peaks = peaks_of(score, valid, lengths, most=_MOST_PEAKS)
    if len(peaks) < _FEWEST_PEAKS:
        peaks = cell_maxima(score, valid)
    if len(peaks) < _FEWEST_PEAKS:
        nothing = np.empty((4, 0))
        return NullModel(float(np.median(peaks)), np.inf, 0.0, len(peaks), lengths, usual, nothing, witnesses)
    kept = peaks
    for round_ in range(_ROUNDS):
        laws = _laws(kept, first=round_ == 0)
        # By the most likely law of usual shape: a defect on much of the map would else be taken for a heavy
        # tail that cannot be excluded.
        middling = laws[:, laws[2] == _SHAPE_MEAN]
        likely = np.append(middling[:3, middling[3].argmax()], 0.0)[:, None]
        normal = peaks[_null(likely, peaks, lengths, usual).log10_nfa(peaks) > _OUTLYING]
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
    return dataclasses.replace(_null(laws, peaks, lengths, usual), witnesses=witnesses)


def _median(score: npt.NDArray[np.floating]) -> float:
    """Median of what is not missing; of a large map from what lies between two quantiles of a part of it."""
    values = score.reshape(-1)
    sample = values[:: max(1, len(values) // _SAMPLE)]
    sample = sample[~np.isnan(sample)]
    if len(sample) > _SAMPLE // 2:
        low, high = np.quantile(sample, _ABOUT_HALF)
        below = np.count_nonzero(values < low)
        between = values[(values >= low) & (values <= high)]
        known = np.count_nonzero(values == values)
        first, last = (known - 1) // 2 - below, known // 2 - below
        if first >= 0 and last < len(between):
            between.partition([first, last])
            return float(between[first : last + 1].mean())
    return float(np.nanmedian(score))


def _null(laws: Floats, peaks: Floats, lengths: tuple[float, float], usual: float) -> NullModel:
    weight = np.exp(laws[3])
    location, scale, shape = (float(weight @ values) for values in laws[:3])
    return NullModel(location, scale, shape, len(peaks), lengths, usual, laws)


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
        likelihood = np.stack([_density(heights, *law) for law in zip(mu, sigma, _SHAPES, strict=True)])
        likelihood -= count * np.log(sigma)
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


def _density(heights: Floats, location: Floats, scale: Floats, shape: float) -> Floats:
    """Log density of `(N,)` heights together, but for the scale's own part, by each location and scale."""
    reduced = _gumbel_of((heights - location[..., None]) / scale[..., None], shape)
    np.maximum(reduced, -30, out=reduced)
    density = reduced * -(1 + shape)
    np.negative(reduced, out=reduced)
    density -= np.exp(reduced, out=reduced)
    np.maximum(density, -1e4, out=density)
    total: Floats = density.sum(axis=-1)
    return total


def _gumbel_of(heights: Floats, shape: float) -> Floats:
    """`_gumbel` for one shape, in place of the heights."""
    if abs(shape) >= 1e-9:
        heights *= shape
        heights += 1
        np.maximum(heights, 0, out=heights)
        with np.errstate(divide="ignore"):
            np.log(heights, out=heights)
        heights /= shape
    return heights


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
