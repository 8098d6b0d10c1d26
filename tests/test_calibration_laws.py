"""The laws behind a number of false alarms, against scipy's and on peaks that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import genextreme, gumbel_r

from ssdnet.calibration import Assessment, Unusual
from ssdnet.calibration.null_model import (
    NullModel,
    _from_gumbel,
    _gumbel,
    _log_survival,
    fit_null,
)
from ssdnet.calibration.peaks import cell_maxima, correlation_lengths, peaks_of

SHAPES = [-0.4, -0.07, 0.0, 1e-12, 0.2, 0.7]
"""Tails that end, and exponential and heavy ones. scipy's shape has the other sign."""


def single(location=0.0, scale=1.0, shape=0.0, peaks=100, lengths=(1.0, 1.0)):
    """A null model of which everything is known."""
    law = np.array([[location], [scale], [shape], [0.0]])
    return NullModel(location, scale, shape, peaks, lengths, 0.0, law)


def hills(heights, size=31):
    """A map of one pyramid each, whose summits are its only peaks."""
    rows, columns = np.abs(np.indices((size, size)) - size // 2)
    slope = np.maximum(rows, columns) / size
    heights = np.asarray(heights, dtype=np.float32)
    return (np.kron(heights, np.ones((size, size))) - 30 * np.tile(slope, heights.shape)).astype(np.float32)


# The extreme value law ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_the_law_is_that_of_scipy(shape):
    heights = np.linspace(-3, 12, 400)
    law = genextreme(c=-shape)
    inside = (law.sf(heights) > 1e-9) & (law.cdf(heights) > 1e-9)
    reduced = _gumbel(heights, np.array(shape))
    np.testing.assert_allclose(gumbel_r.cdf(reduced), law.cdf(heights), atol=1e-9)
    np.testing.assert_allclose(_log_survival(reduced)[inside], law.logsf(heights[inside]), rtol=1e-5)
    np.testing.assert_allclose(_from_gumbel(reduced, np.array(shape))[inside], heights[inside], rtol=1e-9)


def test_beyond_the_end_of_a_tail_nothing_is_expected_and_below_its_start_all_is():
    assert _gumbel(np.array(2.6), np.array(-0.4)) == np.inf  # it ends at 2.5
    assert _log_survival(np.array(np.inf)) == -np.inf
    assert _gumbel(np.array(-6.0), np.array(0.2)) == -np.inf  # it starts at -5
    assert _log_survival(np.array(-np.inf)) == 0


def test_far_out_the_survival_keeps_its_digits():
    far = np.array([29.0, 31.0, 100.0, 700.0])
    np.testing.assert_allclose(_log_survival(far), gumbel_r.logsf(far), rtol=1e-9)
    assert (np.diff(_log_survival(np.linspace(29.9, 30.1, 50))) < 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_number_of_false_alarms_is_the_number_of_peaks_times_their_probability(shape):
    location, scale, peaks = 5.0, 2.5, 137
    model = single(location, scale, shape, peaks)
    law = genextreme(c=-shape, loc=location, scale=scale)
    scores = location + scale * np.linspace(-2, 30, 300)
    expected = np.log10(peaks) + law.logsf(scores) / np.log(10)
    # Of a tail that ends, close to its end, the table between whose lines is interpolated is too coarse.
    known = (expected > -250) & (scores < location + scale * (0.9 / -shape if shape < 0 else np.inf))
    assert known.sum() > 30
    np.testing.assert_allclose(model.log10_nfa(scores)[known], expected[known], atol=2e-2)
    assert (model.log10_nfa(scores)[expected < -400] == -300).all()


def test_of_two_laws_the_mean_probability_counts():
    laws = np.array([[0.0, 4.0], [1.0, 2.0], [0.0, 0.1], np.log([0.75, 0.25])])
    model = NullModel(1.0, 1.25, 0.025, 10, (1.0, 1.0), 0.0, laws)
    scores = np.linspace(0, 30, 100)
    probability = 0.75 * genextreme.sf(scores, 0) + 0.25 * genextreme.sf(scores, -0.1, 4, 2)
    np.testing.assert_allclose(model.log10_nfa(scores), np.log10(10 * probability), atol=2e-2)


# Peaks --------------------------------------------------------------------------------------------------


def test_the_peaks_of_hills_are_their_summits():
    heights = np.random.default_rng(0).normal(size=(4, 5))
    score = hills(heights)
    peaks = peaks_of(score, np.isfinite(score), (8.0, 8.0), most=250)
    np.testing.assert_allclose(peaks, np.sort(heights, axis=None), atol=1e-5)


def test_peaks_are_a_quarter_of_a_correlation_length_apart_along_each_axis():
    def count(apart, axis, length):
        score = np.zeros((80, 80), dtype=np.float32)
        score[40, 40] = 2
        place = [40, 40]
        place[axis] += apart
        score[tuple(place)] = 1
        lengths = (length, 1.0) if axis == 0 else (1.0, length)
        return (peaks_of(score, score > 0, lengths, most=250) >= 1).sum()

    for axis in (0, 1):
        assert [count(apart, axis, 20.0) for apart in (4, 5, 6)] == [1, 1, 2]
        assert [count(apart, axis, 40.0) for apart in (9, 10, 11)] == [1, 1, 2]
        # No less than a pixel, however short the map's memory.
        assert [count(apart, axis, 1.0) for apart in (1, 2)] == [1, 2]


def test_of_too_many_peaks_the_highest_around_are_kept():
    score = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
    every = np.isfinite(score)
    few, many = (peaks_of(score, every, (1.0, 1.0), most=most) for most in (50, 100_000))
    assert len(few) <= 50 < 1000 < len(many)
    assert few.max() == many.max() == pytest.approx(score.max())
    assert np.median(few) > np.median(many)


def test_cells_have_their_largest_pixel_and_those_without_any_none():
    score = np.arange(64 * 80, dtype=np.float32).reshape(64, 80)
    valid = np.ones(score.shape, dtype=bool)
    expected = score.reshape(8, 8, 8, 10).max(axis=(1, 3))
    np.testing.assert_allclose(cell_maxima(score, valid), np.sort(expected, axis=None), rtol=1e-6)
    valid[:8, :20] = False
    np.testing.assert_allclose(cell_maxima(score, valid), np.sort(expected.ravel()[2:]), rtol=1e-6)


def test_blocks_of_a_large_map_keep_its_peaks_as_far_apart(monkeypatch):
    score = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(300, 300)), 6)
    whole = peaks_of(score, np.isfinite(score), (60.0, 24.0), most=100_000)
    monkeypatch.setattr("ssdnet.calibration.peaks._LARGE", 1)
    reduced = peaks_of(score, np.isfinite(score), (60.0, 24.0), most=100_000)
    assert len(reduced) == pytest.approx(len(whole), rel=0.15)
    assert np.median(reduced) == pytest.approx(np.median(whole), rel=0.1)


def test_a_correlation_length_is_followed_up_to_an_eighth_of_the_side():
    slope = np.repeat(np.arange(80.0)[:, np.newaxis], 40, axis=1)
    assert correlation_lengths(slope, np.isfinite(slope)) == (10.0, 5.0)


def test_missing_pixels_do_not_shorten_a_correlation_length():
    generator = np.random.default_rng(2)
    score = ndimage.gaussian_filter(generator.normal(size=(256, 256)), (3, 5))
    valid = generator.random(score.shape) < 0.6
    found = correlation_lengths(np.where(valid, score, np.nan), valid)
    np.testing.assert_allclose(found, correlation_lengths(score, score < np.inf), atol=1)
    assert 4 <= found[0] < found[1] <= 13


# Fitting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "columns", "outlying", "found"),
    [
        (5, 6, 7, True),
        (5, 6, 14, True),
        (5, 6, 18, False),  # half of the peaks are always kept
        (3, 5, 7, False),  # of fewer than twenty none is left out
    ],
)
def test_peaks_that_stand_out_are_left_out_of_many_but_not_of_few(rows, columns, outlying, found):
    generator = np.random.default_rng(3)
    heights = generator.gumbel(size=rows * columns)
    heights[:outlying] = 40
    log10_nfa = fit_null(hills(generator.permutation(heights).reshape(rows, columns))).log10_nfa
    assert log10_nfa(np.array([40.0]))[0] < -2 if found else log10_nfa(np.array([40.0]))[0] > 0


def test_few_peaks_tell_less_than_their_number():
    # 10 peaks within a few correlation lengths count as 5, so the law is as wide as that of half as many.
    heights = np.random.default_rng(4).gumbel(size=10)
    model = fit_null(hills(heights.reshape(2, 5)))
    location, _, _, log_weight = model.laws
    weight = np.exp(log_weight)
    spread = np.sqrt(weight @ np.square(location - weight @ location))
    # A Gumbel law's location has a standard error of 1.05 scales over the root of the number of peaks.
    assert 1.05 / np.sqrt(5) < spread / model.scale < 1.05 / np.sqrt(2)


def test_with_fewer_than_five_peaks_cells_take_their_place():
    heights = np.random.default_rng(5).gumbel(size=5)
    assert fit_null(hills([heights])).peaks == 5
    assert fit_null(hills(heights[:4].reshape(2, 2))).peaks == 64


def test_a_handful_of_peaks_leaves_the_shape_to_the_prior():
    model = fit_null(hills(np.random.default_rng(6).gumbel(size=(2, 3))))
    _, _, shape, log_weight = model.laws
    weight = np.exp(log_weight)
    assert model.shape == pytest.approx(weight @ shape) == pytest.approx(-0.07, abs=0.03)
    assert np.sqrt(weight @ np.square(shape - model.shape)) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (12, 12)])
def test_the_sum_over_the_laws_has_converged(monkeypatch, rows, columns):
    score = hills(np.random.default_rng(7).gumbel(size=(rows, columns)))
    heights = np.array([2.0, 5.0, 10.0, 20.0])
    found = fit_null(score).log10_nfa(heights)
    for name, value in {"_STEPS": 31, "_REACH": 5.0, "_NEGLIGIBLE": 40.0}.items():
        monkeypatch.setattr(f"ssdnet.calibration.null_model.{name}", value)
    np.testing.assert_allclose(found, fit_null(score).log10_nfa(heights), atol=0.1, rtol=0.05)


# From numbers to regions --------------------------------------------------------------------------------


def pieces(rows, columns):
    """How many regions two spots make that have so many rows, or columns, between them."""
    log10_nfa = np.full((40, 40), 2, dtype=np.float32)
    log10_nfa[10:12, 10:12] = -5
    log10_nfa[12 + rows if rows else slice(10, 12), 12 + columns if columns else slice(10, 12)] = -5
    model = single(lengths=(3.2, 6.0))  # along y and x
    index = np.flatnonzero(log10_nfa < 0)
    unusual = Unusual(index, log10_nfa.ravel()[index])
    return len(Assessment(-log10_nfa, model, log10_nfa, unusual).regions(1e-2)[1])


def test_pieces_closer_than_a_correlation_length_are_one_region():
    assert [pieces(rows, 0) for rows in (1, 4, 5)] == [1, 1, 2]  # 3.2 is rounded up
    assert [pieces(0, columns) for columns in (1, 6, 7)] == [1, 1, 2]
