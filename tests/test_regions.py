"""From a calibrated map to regions, against scikit-image's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from ssdnet.calibration.regions import find_regions


@pytest.fixture
def maps():
    generator = np.random.default_rng(0)
    score = ndimage.gaussian_filter(generator.normal(size=(80, 120)), 3).astype(np.float32)
    score[10:20, 30:35] = np.nan
    return score, np.where(np.isnan(score), np.nan, -30 * score).astype(np.float32)


def test_regions_agree_with_scikit_image(maps):
    score, log10_nfa = maps
    labels, regions = find_regions(score, log10_nfa, alarms=1e-2)
    assert len(regions) > 5
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels > 0, log10_nfa <= -2)
    for region, expected in zip(regions, regionprops(labels, intensity_image=score), strict=True):
        top, left, bottom, right = expected.bbox
        assert region.id == expected.label
        assert region.bbox == (left, top, right - left, bottom - top)
        assert region.area == expected.area
        assert region.centroid == pytest.approx(expected.centroid[::-1])
        assert region.peak_score == pytest.approx(expected.intensity_max)
        assert region.mean_score == pytest.approx(expected.intensity_mean, rel=1e-5)
        assert region.log10_nfa == pytest.approx(np.nanmin(log10_nfa[labels == region.id]))
        assert region.touches_border == (top == 0 or left == 0 or bottom == 80 or right == 120)
    assert any(region.touches_border for region in regions)
    assert not all(region.touches_border for region in regions)


def test_most_significant_first(maps):
    _, regions = find_regions(maps[0], maps[1], 1e-2)
    significance = [region.log10_nfa for region in regions]
    assert significance == sorted(significance)
    assert [region.id for region in regions] == list(range(1, len(regions) + 1))


def test_more_alarms_give_a_larger_mask(maps):
    few, many = (find_regions(maps[0], maps[1], alarms)[0] > 0 for alarms in (1e-3, 1.0))
    assert (many | few).sum() == many.sum() > few.sum()


def test_nothing_found_is_empty(maps):
    labels, regions = find_regions(maps[0], maps[1], 1e-30)
    assert regions == ()
    assert labels.shape == maps[0].shape
    assert not labels.any()


def test_as_many_alarms_as_were_accepted_are_accepted():
    log10_nfa = np.zeros((20, 20), dtype=np.float32)
    log10_nfa[5, 5], log10_nfa[9, 9] = -2, np.nextafter(np.float32(-2), np.float32(0))
    assert [region.bbox for region in find_regions(-log10_nfa, log10_nfa, 1e-2)[1]] == [(5, 5, 1, 1)]


def test_diagonal_neighbours_are_one_region():
    score = np.zeros((20, 20), dtype=np.float32)
    score[5, 5] = score[6, 6] = score[9, 9] = 1
    assert len(find_regions(score, -10 * score, alarms=1e-2)[1]) == 2


def test_more_regions_than_the_label_image_can_number_stay_in_the_mask():
    log10_nfa = np.zeros((600, 600), dtype=np.float32)
    log10_nfa[::2, ::2] = -5
    labels, regions = find_regions(-log10_nfa, log10_nfa, 1e-2)
    assert (labels > 0).sum() == 90_000
    assert len(regions) == labels.max() == 65_535
