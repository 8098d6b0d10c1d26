"""The significance of regions: of their extent, and how far they reach."""

from __future__ import annotations

import numpy as np
import pytest

from ssdnet.calibration import extent
from ssdnet.calibration.regions import find_regions

LENGTHS = (2.0, 2.0)
PEAKS = 200


def gather(score, log10_nfa, correlation_length, peaks):
    """Both maps: what is shared, and the significance of regions."""
    usual = float(np.nanmedian(score))
    shared, unusual = extent.gather(score, log10_nfa, correlation_length, peaks, usual=usual)
    regions = np.maximum(log10_nfa, np.finfo(np.float32).tiny)
    regions.flat[unusual.index] = unusual.log10_nfa
    return shared, regions


def blob(side: int, log10_nfa: float) -> tuple[np.ndarray, np.ndarray]:
    """A square of a constant level in a map where all else is usual."""
    values = np.full((64, 64), 3.0, dtype=np.float32)
    values[10 : 10 + side, 20 : 20 + side] = log10_nfa
    return np.where(values < 3, 1, 0).astype(np.float32), values


def test_a_weak_region_is_chance_when_small_and_certain_when_large():
    small, large = (np.nanmin(gather(*blob(side, 0.9), LENGTHS, PEAKS)[1]) for side in (4, 20))
    assert small > -1
    assert large == pytest.approx(1 - 0.7 * 20 / 2, abs=1e-5)


@pytest.mark.parametrize(
    ("log10_nfa", "peaks", "expected"),
    [
        (0.4, PEAKS, 0.5 - 7),  # each level has its own start
        (0.5, PEAKS, 0.5 - 7),
        (0.6, PEAKS, 1 - 7),
        (1.0, PEAKS, 1 - 7),
        (1.1, PEAKS, 1.1),
        (0.9, 80, 1 - 7),  # ten are an eighth of the peaks
        (0.9, 79, 0.9),
        (0.4, 26, 0.5 - 7),
        (0.4, 25, 0.4),
    ],
)
def test_what_counts_as_a_region_of_some_extent(log10_nfa, peaks, expected):
    regions = gather(*blob(20, log10_nfa), LENGTHS, peaks)[1]
    assert regions[20, 30] == pytest.approx(expected, abs=1e-5)
    assert regions[50, 50] == 3


def test_each_pixel_takes_part_by_its_height_to_the_power_of_one_and_a_half():
    score, log10_nfa = np.zeros((41, 41), np.float32), np.full((41, 41), 3, np.float32)
    score[20, 20], log10_nfa[20, 20] = 4, -8
    # Three correlation lengths are six rows and, of 2.4, eight columns.
    for row, column in ((20, 21), (14, 20), (20, 28), (27, 20), (20, 11)):
        score[row, column], log10_nfa[row, column] = 1, 1.5
    shared, regions = gather(score + 100, log10_nfa, (2.0, 2.4), PEAKS)  # whatever is usual is 0
    assert shared[20, 20] == -8
    for row, column in ((20, 21), (14, 20), (20, 28)):
        assert shared[row, column] == pytest.approx(1.5 - 8 / 8)
    for row, column in ((27, 20), (20, 11)):
        assert shared[row, column] == 1.5
    assert (regions > 0).sum() == regions.size - 1


def test_a_weak_region_close_to_a_strong_one_has_its_own_number_at_its_summit():
    score, log10_nfa = np.zeros((41, 41), np.float32), np.full((41, 41), 3, np.float32)
    score[20, 20:22], log10_nfa[20, 20:22] = 60, -40
    score[20, 25:27], log10_nfa[20, 25:27] = (6, 5), -5
    shared, _ = gather(score, log10_nfa, LENGTHS, PEAKS)
    assert shared[20, 20] == -40
    assert shared[20, 25] == -5
    assert shared[20, 26] == pytest.approx(-40 * (5 / 60) ** 1.5, rel=1e-5)


def test_who_accepts_more_than_one_false_region_gets_all_pixels_that_stand_out_as_much():
    score, log10_nfa = blob(4, -3)
    score[40, 40], log10_nfa[40, 40] = 0.5, 1.5
    _, region_log10_nfa = gather(score, log10_nfa, LENGTHS, PEAKS)
    counts = [(find_regions(score, region_log10_nfa, alarms)[0] > 0).sum() for alarms in (1.0, 10.0, 100.0)]
    assert counts == [16, 16, 17]


def test_a_strong_pixel_needs_no_extent():
    score, log10_nfa = blob(1, -4)
    for values in gather(score, log10_nfa, LENGTHS, PEAKS):
        assert np.nanmin(values) == -4


def test_extent_counts_in_correlation_lengths():
    score, log10_nfa = blob(12, 0.4)
    short, long = (np.nanmin(gather(score, log10_nfa, size, PEAKS)[0]) for size in (LENGTHS, (6.0, 6.0)))
    assert short < -3 < -1 < long


def test_a_region_ends_at_thirty_percent_of_its_peak():
    distance = np.abs(np.arange(81) - 40.0)
    score = np.tile(np.maximum(10 - distance, 0).astype(np.float32), (81, 1))
    log10_nfa = (2 - score).astype(np.float32)
    _, region_log10_nfa = gather(score, log10_nfa, (100.0, 100.0), PEAKS)
    labels, regions = find_regions(score, region_log10_nfa, alarms=1e-2)
    assert len(regions) == 1
    assert regions[0].log10_nfa == -8
    assert score[labels > 0].min() == pytest.approx(3)


def test_the_most_unusual_place_has_the_significance_of_the_first_region():
    generator = np.random.default_rng(1)
    score = generator.normal(size=(96, 96)).astype(np.float32)
    score[30:50, 30:50] += 1
    log10_nfa = (3 - 1.5 * score).astype(np.float32)
    shared, region_log10_nfa = gather(score, log10_nfa, LENGTHS, PEAKS)
    _, regions = find_regions(score, region_log10_nfa, alarms=0.1)
    assert regions[0].log10_nfa == pytest.approx(float(np.nanmin(shared)))


def test_the_core_of_a_weak_defect_outranks_the_rim_of_a_strong_one():
    profile = np.exp(-np.square(np.hypot(*np.mgrid[-40:41, -40:41]) / 8)).astype(np.float32)
    core, rim = profile > 0.9, (profile > 0.1) & (profile < 0.2)
    weak, strong = (2 - 8 * np.log10(1 + height * profile) for height in (12, 1000))
    assert strong[rim].max() < weak[core].min()
    weak_shared, strong_shared = (
        gather(height * profile, log10_nfa, (8.0, 8.0), PEAKS)[0]
        for height, log10_nfa in ((12, weak), (1000, strong))
    )
    assert strong_shared[rim].min() > weak_shared[core].max()
    assert (weak_shared.min(), strong_shared.min()) == (weak.min(), strong.min())


def test_far_from_all_that_is_significant_a_pixel_has_its_own_number():
    score, log10_nfa = blob(4, -3)
    shared, _ = gather(score, log10_nfa, LENGTHS, PEAKS)
    np.testing.assert_array_equal(shared[30:, 40:], log10_nfa[30:, 40:])


def test_missing_pixels_stay_missing():
    score, log10_nfa = blob(8, -3)
    score[12, 22] = log10_nfa[12, 22] = np.nan
    for values in gather(score, log10_nfa, LENGTHS, PEAKS):
        np.testing.assert_array_equal(np.isnan(values), np.isnan(score))


def test_pieces_no_further_apart_than_the_gap_are_one_region():
    log10_nfa = np.zeros((20, 20), dtype=np.float32)
    log10_nfa[5, 4] = log10_nfa[5, 7] = log10_nfa[12, 4] = -5  # two columns, and six rows, between them
    counts = [len(find_regions(-log10_nfa, log10_nfa, 1e-2, gap=(size, size))[1]) for size in (1, 2, 5, 6)]
    assert counts == [3, 2, 2, 1]
    labels, _ = find_regions(-log10_nfa, log10_nfa, 1e-2, gap=(2, 2))
    assert (labels > 0).sum() == 3
    # Along each axis for itself.
    counts = [len(find_regions(-log10_nfa, log10_nfa, 1e-2, gap=gap)[1]) for gap in ((0, 2), (6, 0))]
    assert counts == [2, 2]


def test_where_a_level_is_above_many_of_the_peaks_extent_proves_nothing():
    score, log10_nfa = blob(20, 0.9)
    many, few = (np.nanmin(gather(score, log10_nfa, LENGTHS, peaks)[0]) for peaks in (PEAKS, 40))
    assert many < -3
    assert few == pytest.approx(0.9)


def test_a_hot_spot_does_not_hide_the_rest_of_its_defect():
    score, log10_nfa = np.zeros((64, 200), dtype=np.float32), np.full((64, 200), 3, dtype=np.float32)
    score[30:34, 20:170], log10_nfa[30:34, 20:170] = 8, -6
    score[31:33, 100:102], log10_nfa[31:33, 100:102] = 60, -40
    _, region_log10_nfa = gather(score, log10_nfa, LENGTHS, PEAKS)
    labels, regions = find_regions(score, region_log10_nfa, alarms=1e-2, gap=(2, 2))
    assert (labels[30:34, 20:170] > 0).mean() > 0.9
    assert regions[0].log10_nfa == -40


def test_the_most_unusual_place_of_a_region_of_some_extent_is_its_summit():
    import dataclasses

    import ssdnet

    result = ssdnet.localize(np.random.default_rng(0).normal(size=(64, 64)), detector="rx")
    score = np.zeros((64, 64), dtype=np.float32)
    score[20:40, 10:40] = 1
    score[33, 17] = 1.1
    cone = dataclasses.replace(result, anomaly_map=score, log10_nfa=1 - 4 * np.minimum(score, 1))
    assert cone.most_unusual == (17, 33)


@pytest.mark.parametrize("lengths", [(2.0, 3.0), (9.0, 5.0)])
def test_a_map_in_strips_is_judged_the_same(monkeypatch, lengths):
    score = np.random.default_rng(2).normal(size=(150, 90)).astype(np.float32)
    score[20:130, 40:44] += 4
    log10_nfa = (4 - 1.5 * score).astype(np.float32)
    expected = gather(score, log10_nfa, lengths, PEAKS)
    monkeypatch.setattr(extent, "_STRIP", 1)
    for found, whole in zip(gather(score, log10_nfa, lengths, PEAKS), expected, strict=True):
        np.testing.assert_array_equal(found, whole)


def test_the_shared_map_may_take_the_place_of_the_pixels_own():
    score, log10_nfa = blob(8, -3)
    expected = gather(score, log10_nfa.copy(), LENGTHS, PEAKS)
    shared, unusual = extent.gather(score, log10_nfa, LENGTHS, PEAKS, usual=0.0, out=log10_nfa)
    assert shared is log10_nfa
    np.testing.assert_array_equal(shared, expected[0])
    np.testing.assert_array_equal(unusual.log10_nfa, expected[1].flat[unusual.index])
