"""Numbers of false alarms: what the null model promises, counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import norm

from ssdnet.calibration import SMALLEST_LOG10_NFA, fit_null


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
    # Not so careful as to be useless: a Gaussian tail is lighter than the law that is fitted.
    assert np.median(smallest) < 2


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


def test_a_quarter_of_the_area_may_be_defective():
    score = smooth_noise(np.random.default_rng(1))
    score[:128, :128] += 15
    log10_nfa = fit_null(score).log10_nfa(score)
    assert (log10_nfa[:128, :128] <= -2).mean() > 0.95
    assert (log10_nfa[128:] <= -2).mean() == 0


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


def test_smaller_images_need_stronger_deviations():
    generator = np.random.default_rng(3)
    small, large = (fit_null(smooth_noise(generator, (side, side))) for side in (64, 512))
    assert small.uncertainty > large.uncertainty
    assert small.cells < large.cells


@pytest.mark.parametrize("outlier", [1e3, 1e5, 1e7])
def test_one_extreme_place_does_not_hide_another_nor_light_up_the_rest(outlier):
    score = smooth_noise(np.random.default_rng(5))
    score[40:70, 40:70] += 15
    before = fit_null(score).log10_nfa(score)
    score[200:204, 200:204] = outlier
    after = fit_null(score).log10_nfa(score)
    assert after[50:60, 50:60].max() < -2
    np.testing.assert_allclose(after[:190], before[:190], atol=0.7)


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
    assert model.cells < 16
    assert np.nanmin(model.log10_nfa(score)) > -1


@pytest.mark.parametrize("value", [0.0, 1e-6, 5.0, 1e9])
def test_a_flat_map_has_nothing_unusual(value):
    score = np.full((64, 64), value, dtype=np.float32)
    score += np.random.default_rng(0).normal(size=score.shape).astype(np.float32) * 1e-9 * value
    assert fit_null(score).log10_nfa(score).min() > -2


def test_one_spot_on_a_flat_map_is_found_and_finite():
    score = np.full((64, 64), 2.0, dtype=np.float32)
    score[30:34, 30:34] = 3.0
    log10_nfa = fit_null(score).log10_nfa(score)
    assert log10_nfa[31, 31] == SMALLEST_LOG10_NFA
    assert (log10_nfa <= -2).sum() == 16


def test_missing_pixels_stay_missing_and_do_not_count():
    generator = np.random.default_rng(4)
    score = smooth_noise(generator)
    whole = fit_null(score)
    score[:, 128:] = np.nan
    half = fit_null(score)
    assert half.cells == pytest.approx(whole.cells / 2, rel=0.2)
    assert np.isnan(half.log10_nfa(score)[:, 128:]).all()
    score[generator.random(score.shape) < 0.7] = np.nan
    assert fit_null(score).cells > half.cells / 2
