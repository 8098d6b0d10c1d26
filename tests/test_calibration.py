"""Numbers of false alarms: what the null model promises, counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import norm

from ssdnet.calibration import assess
from ssdnet.calibration.null_model import SMALLEST_LOG10_NFA, fit_null


def smooth_noise(generator, shape=(256, 256), width=4.0):
    """A Gaussian random field of variance 1."""
    field = ndimage.gaussian_filter(generator.normal(size=shape), width, mode="wrap")
    return (field / field.std()).astype(np.float32)


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
