"""Numbers of false alarms: what the null model promises, counted."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import norm

from ssdnet.calibration import assess, judge
from ssdnet.calibration.null_model import SMALLEST_LOG10_NFA, NullModel, fit_null
from ssdnet.errors import InputError


def smooth_noise(generator, shape=(256, 256), width=4.0):
    """A Gaussian random field of variance 1."""
    field = ndimage.gaussian_filter(generator.normal(size=shape), width, mode="wrap")
    return (field / field.std()).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "width"), [(32, 1.0), (64, 2.0), (64, 4.0), (256, 2.0), (256, 8.0)])
@pytest.mark.parametrize("tail", ["gaussian", "exponential"])
def test_clean_fields_alarm_no_more_often_than_promised(side, width, tail):
    generator = np.random.default_rng(int(side + width))
    smallest = []
    for _ in range(200):
        score = smooth_noise(generator, (side, side), width)
        if tail == "exponential":
            score = -norm.logsf(score)
        smallest.append(fit_null(score).log10_nfa(score).min())
    # An image alarms with probability 1 - exp(-alarms) at most; binomial, four standard errors above it.
    for alarms, bound in {1.0: 0.77, 0.1: 0.18, 0.01: 0.04}.items():
        assert np.mean(np.array(smallest) <= np.log10(alarms)) <= bound
    # Nor so careful as to be useless.
    assert np.mean(np.array(smallest) <= 0) >= 0.1


def test_a_defect_stands_out_and_hardly_moves_the_null():
    generator = np.random.default_rng(0)
    score = smooth_noise(generator)
    clean = fit_null(score)
    defective = score.copy()
    defective[80:150, 60:130] += 15
    model = fit_null(defective)
    assert abs(model.location - clean.location) < 0.4
    assert model.scale == pytest.approx(clean.scale, rel=0.5)
    assert model.log10_nfa(defective)[90:140, 70:120].max() < -2
    assert model.log10_nfa(defective)[160:, 140:].min() > -2


@pytest.mark.parametrize("shift", [6.0, 15.0])
@pytest.mark.parametrize("scattered", [False, True])
def test_thirty_percent_of_the_area_may_be_defective(scattered, shift):
    generator = np.random.default_rng(1)
    score = smooth_noise(generator, width=2.0)
    clean = fit_null(score)
    defect = np.zeros(score.shape, dtype=bool)
    if scattered:
        for row, column in generator.integers(0, 212, (15, 2)):
            defect[row : row + 44, column : column + 44] |= defect.mean() < 0.29
    else:
        defect[:154, :128] = True
    assert 0.27 < defect.mean() < 0.32
    score[defect] += shift
    model = fit_null(score)
    assert abs(model.location - clean.location) < clean.scale
    assert model.scale < 1.5 * clean.scale
    log10_nfa = model.log10_nfa(score)
    found = (log10_nfa[defect] <= -2).mean()
    assert found > (0.95 if shift == 15 else 0.05)
    assert (log10_nfa[~defect] <= -2).mean() == 0


@given(st.integers(16, 70), st.integers(16, 70), st.floats(0.1, 10), st.floats(-100, 100))
@settings(max_examples=25)
def test_falls_as_the_score_rises_and_ignores_its_unit(height, width, gain, offset):
    score = np.random.default_rng(height * width).normal(size=(height, width)).astype(np.float32)
    score[2:5, 3:9] = np.nan
    log10_nfa = fit_null(score).log10_nfa(score)
    assert log10_nfa.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(log10_nfa), np.isnan(score))
    known = np.isfinite(score)
    assert (np.diff(log10_nfa[known][score[known].argsort()]) <= 1e-6).all()
    other = score.astype(np.float64) * gain + offset
    np.testing.assert_allclose(fit_null(other).log10_nfa(other)[known], log10_nfa[known], atol=1e-2)


def test_correlation_length_follows_the_field():
    generator = np.random.default_rng(2)
    lengths = [
        np.mean(fit_null(smooth_noise(generator, width=width)).correlation_length) for width in (2, 4, 8)
    ]
    # A field smoothed by a Gaussian of width w has the autocorrelation exp(-lag² / 4w²): 1/e at 2w.
    np.testing.assert_allclose(lengths, [4, 8, 16], rtol=0.35)


@pytest.mark.parametrize("side", [256, 1024, 2048])
def test_correlation_length_does_not_depend_on_the_size(side):
    score = smooth_noise(np.random.default_rng(side), (side, side), 1.0)
    # 1/e is reached at 2 exactly, so that noise decides between 2 and 3.
    assert set(fit_null(score).correlation_length) <= {2.0, 3.0}


def test_a_map_that_is_flat_but_for_its_upper_end_has_no_correlation():
    score = np.maximum(np.random.default_rng(0).normal(size=(256, 256)), 0.3).astype(np.float32)
    assert fit_null(score).correlation_length == (1.0, 1.0)


def test_smaller_images_need_stronger_deviations():
    generator = np.random.default_rng(3)
    needed = []
    for side in (24, 48, 256):
        models = [fit_null(smooth_noise(generator, (side, side))) for _ in range(20)]
        height = np.linspace(0, 60, 6001)
        # In units of the scale, for a chance of one in ten thousand of a single peak.
        beyond = [m.log10_nfa(m.location + height * m.scale) < np.log10(m.peaks) - 4 for m in models]
        needed.append(np.median([height[np.argmax(some)] for some in beyond]))
    assert needed == sorted(needed, reverse=True)


@pytest.mark.parametrize("outlier", [1e3, 1e5, 1e7])
def test_one_extreme_place_does_not_hide_another_nor_light_up_the_rest(outlier):
    score = smooth_noise(np.random.default_rng(5))
    score[40:70, 40:70] += 15
    before = fit_null(score).log10_nfa(score)
    score[200:204, 200:204] = outlier
    after = fit_null(score).log10_nfa(score)
    assert after[50:60, 50:60].max() < -2
    np.testing.assert_allclose(after[:190].clip(-6), before[:190].clip(-6), atol=0.7)


@pytest.mark.parametrize("unit", [1e-8, 1e-3, 1e6])
def test_the_unit_of_the_score_does_not_matter(unit):
    score = smooth_noise(np.random.default_rng(6)).astype(np.float64)
    score[40:70, 40:70] += 15
    expected = fit_null(score).log10_nfa(score)
    np.testing.assert_allclose(fit_null(score * unit).log10_nfa(score * unit), expected, atol=1e-3)


def test_the_size_of_a_defect_is_not_taken_for_the_correlation_length():
    score = smooth_noise(np.random.default_rng(7))
    clean = fit_null(score).correlation_length
    score[:110, :110] += 15
    np.testing.assert_allclose(fit_null(score).correlation_length, clean, rtol=0.3)


def test_too_few_pixels_tell_nothing():
    score = np.full((64, 64), np.nan, dtype=np.float32)
    score[10, 10:13] = [1.0, 2.0, 300.0]
    model = fit_null(score)
    assert model.peaks < 5
    assert np.nanmin(model.log10_nfa(score)) == 6
    assert assess(score).regions(1.0)[1] == ()


@pytest.mark.parametrize("value", [0.0, 1e-6, 5.0, 1e9])
def test_a_flat_map_has_nothing_unusual(value):
    score = np.full((64, 64), value, dtype=np.float32)
    score += np.random.default_rng(0).normal(size=score.shape).astype(np.float32) * 1e-9 * value
    assert fit_null(score).log10_nfa(score).min() > -2


def test_one_spot_on_a_flat_map_is_found_and_finite():
    score = np.full((64, 64), 2.0, dtype=np.float32)
    score[30:34, 30:34] = 3.0
    log10_nfa = fit_null(score).log10_nfa(score)
    assert SMALLEST_LOG10_NFA <= log10_nfa[31, 31] < -6
    assert (log10_nfa <= -2).sum() == 16


def test_missing_pixels_stay_missing_and_do_not_count():
    generator = np.random.default_rng(4)
    score = smooth_noise(generator, width=6.0)
    whole = fit_null(score)
    score[:, 128:] = np.nan
    half = fit_null(score)
    assert half.peaks == pytest.approx(whole.peaks / 2, rel=0.3)
    assert np.isnan(half.log10_nfa(score)[:, 128:]).all()
    score[generator.random(score.shape) < 0.7] = np.nan
    assert fit_null(score).peaks > half.peaks / 2


def test_of_a_large_map_the_peaks_are_those_of_maps_of_any_size(monkeypatch):
    from ssdnet.calibration import peaks

    score = smooth_noise(np.random.default_rng(8), (400, 300), 8.0)
    whole = fit_null(score)
    monkeypatch.setattr(peaks, "_LARGE", 1)
    reduced = fit_null(score)
    assert reduced.peaks == pytest.approx(whole.peaks, rel=0.1)
    assert reduced.location == pytest.approx(whole.location, abs=0.1 * whole.scale)
    assert reduced.scale == pytest.approx(whole.scale, rel=0.15)


def test_more_peaks_than_needed_are_taken_further_apart():
    model = fit_null(smooth_noise(np.random.default_rng(9), (600, 600), 1.0))
    assert 100 < model.peaks <= 250


def test_the_shape_follows_the_peaks_as_far_as_the_prior_lets_it():
    generator = np.random.default_rng(10)

    def shape(tail):
        score = np.full((150, 150), -5, dtype=np.float32)
        gumbel = -np.log(-np.log(generator.random((15, 15))))
        score[5::10, 5::10] = np.expm1(tail * gumbel) / tail
        return fit_null(score).shape

    light, heavy = (np.mean([shape(tail) for _ in range(10)]) for tail in (-0.3, 0.2))
    assert light < -0.1
    assert heavy > 0.0


def assert_same(null, other):
    assert null.to_dict() == other.to_dict()
    assert null.laws.dtype == other.laws.dtype
    assert null.laws.shape == other.laws.shape
    np.testing.assert_array_equal(null.laws, other.laws)
    score = np.linspace(null.location - 5, null.location + 300, 999)
    np.testing.assert_array_equal(null.log10_nfa(score), other.log10_nfa(score))


@pytest.mark.parametrize("known", [True, False])
def test_a_null_model_can_be_stored_and_sent(known):
    score = smooth_noise(np.random.default_rng(11), (64, 64)) / 3
    if not known:
        score[1:] = np.nan
        score[0, 4:] = np.nan
    null = fit_null(score)
    assert np.isinf(null.scale) != known
    text = json.dumps(null.to_dict(), allow_nan=False)
    assert_same(null, NullModel.from_dict(json.loads(text)))
    assert_same(null, pickle.loads(pickle.dumps(null)))


@pytest.mark.parametrize(
    "damage",
    [
        {"scale": "wide"},
        {"peaks": None},
        {"correlation_length": [1.0]},
        {"laws": [[1.0], [2.0]]},
        {"laws": [[1.0], [2.0], [3.0], []]},
    ],
)
def test_a_stored_null_model_that_is_damaged_is_refused(damage):
    stored = fit_null(smooth_noise(np.random.default_rng(12), (64, 64))).to_dict()
    with pytest.raises(InputError, match="stored null model is damaged"):
        NullModel.from_dict(stored | damage)
    with pytest.raises(InputError, match="scale"):
        NullModel.from_dict({name: value for name, value in stored.items() if name != "scale"})


def test_the_number_of_false_alarms_is_the_number_of_peaks_times_the_mean_over_the_laws():
    null = fit_null(smooth_noise(np.random.default_rng(13)))
    location, scale, shape, log_weight = null.laws[:, :, None]
    reduced = np.array([-30, -2.5, 0, 1.234, 7, 25, 44, 300])
    heights = 1 + shape * (reduced * null.scale + null.location - location) / scale
    curved = np.where(shape == 0, 1, shape)
    with np.errstate(over="ignore", divide="ignore"):
        chance = -np.expm1(-(np.maximum(heights, 0) ** (-1 / curved)))
    chance = np.where(shape == 0, np.nan, chance)
    assert (null.laws[2] != 0).all()
    with np.errstate(divide="ignore"):
        expected = np.log10(null.peaks * (np.exp(log_weight) * chance).sum(axis=0)).clip(SMALLEST_LOG10_NFA)
    found = null.log10_nfa(null.location + reduced * null.scale)
    np.testing.assert_allclose(found, expected, atol=2e-3)  # the table is linear in between


def test_a_map_is_judged_by_its_own_null_model_as_it_is_alone():
    score = smooth_noise(np.random.default_rng(14))
    score[100:120, 60:90] += 6
    alone = assess(score)
    again = judge(score, NullModel.from_dict(fit_null(score).to_dict()))
    np.testing.assert_array_equal(again.log10_nfa, alone.log10_nfa)
    np.testing.assert_array_equal(again.region_log10_nfa, alone.region_log10_nfa)
    assert again.regions(1e-2)[1] == alone.regions(1e-2)[1] != ()


def test_a_defect_everywhere_shows_by_the_null_model_of_a_clean_image():
    clean, other = (smooth_noise(np.random.default_rng(seed)) for seed in (15, 16))
    null = fit_null(clean)
    assert judge(other, null).regions(1e-2)[1] == ()
    assert assess(other + 8).regions(1e-2)[1] == ()
    labels, _ = judge(other + 8, null).regions(1e-2)
    assert (labels > 0).mean() > 0.9


@pytest.mark.parametrize("alarms", [1e-3, 1.0, 10.0, 11.0, 60.0])
def test_regions_of_few_pixels_are_those_of_the_map(alarms):
    from ssdnet.calibration.regions import find_regions

    score = smooth_noise(np.random.default_rng(17))
    score[100:120, 60:90] += 9
    score[5:9, 7:30] = np.nan
    found = assess(score)
    down, right = (int(np.ceil(length)) for length in found.null.correlation_length)
    labels, regions = found.regions(alarms)
    expected_labels, expected = find_regions(score, found.region_log10_nfa, alarms, gap=(down, right))
    np.testing.assert_array_equal(labels, expected_labels)
    assert regions == expected != ()
    placed = found.placed((300, 280), (slice(20, 276), slice(11, 267)))
    np.testing.assert_array_equal(placed.regions(alarms)[0][20:276, 11:267] > 0, labels > 0)
    np.testing.assert_array_equal(placed.region_log10_nfa[20:276, 11:267], found.region_log10_nfa)
    assert np.isnan(placed.region_log10_nfa[:20]).all()


def test_pixels_that_are_alike_are_one_peak():
    from ssdnet.calibration.peaks import peaks_of

    score = np.zeros((90, 90), dtype=np.float32)
    score[20:22, 30:32] = score[60, 60] = 3.0
    peaks = peaks_of(score, np.isfinite(score), (20.0, 20.0), most=1000)
    assert (peaks > 2).sum() == 2
    assert 3.0 <= peaks[-1] < np.nextafter(np.float32(3), np.float32(4))


def test_a_map_in_strips_has_the_same_peaks(monkeypatch):
    from ssdnet.calibration import peaks

    score = np.round(smooth_noise(np.random.default_rng(18), (300, 200)), 2)
    known = np.isfinite(score)
    whole = peaks.peaks_of(score, known, (30.0, 20.0), most=1000)
    monkeypatch.setattr(peaks, "_STRIP", 1)
    np.testing.assert_array_equal(peaks.peaks_of(score, known, (30.0, 20.0), most=1000), whole)


@pytest.mark.parametrize("shape", [(150, 200), (151, 201)])
def test_the_median_of_a_large_map_is_exact(shape):
    from ssdnet.calibration import null_model

    score = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    score[:20, ::3] = np.nan
    assert null_model._median(score) == np.nanmedian(score)
    assert null_model._median(np.round(score)) == np.nanmedian(np.round(score))
    score[10:] = np.sort(score[10:], axis=None)[::-1].reshape(score[10:].shape)
    assert null_model._median(score) == np.nanmedian(score)
