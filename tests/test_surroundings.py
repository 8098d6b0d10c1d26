"""The part of an image that a region is compared with: where it lies, and what is normal in it."""

from __future__ import annotations

import numpy as np
import pytest

from ssdnet.calibration.regions import find_regions
from ssdnet.explanation.surroundings import Surroundings, place_of


def placed(shape, rows, columns):
    """Rows and columns of the surroundings of one box in an image."""
    score = np.zeros(shape, dtype=np.float32)
    score[rows, columns] = 5
    labels, (region,) = find_regions(score, -score, 1e-2)
    rows, columns = place_of(region, labels)
    return (rows.start, rows.stop), (columns.start, columns.stop)


def surroundings(pixels, mask, valid=None, score=None):
    pixels = np.asarray(pixels, dtype=np.float32)
    count = len(pixels)
    return Surroundings(
        top=0,
        left=0,
        pixels=pixels,
        offset=np.zeros(count),
        scale=np.ones(count),
        score=(mask if score is None else score).astype(np.float32),
        labels=mask.astype(np.uint16),
        valid=np.ones(mask.shape, dtype=bool) if valid is None else valid,
    )


def box(shape, rows, columns):
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def test_of_a_small_region_they_are_320_pixels_and_a_step_of_the_grid():
    # From the last multiple of 64 before what lies 160 pixels before the middle.
    assert placed((1000, 1200), slice(500, 520), slice(700, 730)) == ((320, 704), (512, 896))
    assert placed((1000, 1200), slice(0, 9), slice(1190, 1200)) == ((0, 384), (816, 1200))
    assert placed((300, 1200), slice(40, 50), slice(600, 604)) == ((0, 300), (384, 768))


def test_regions_close_to_each_other_share_them():
    places = {placed((1000, 1000), slice(row, row + 5), slice(500, 505)) for row in range(400, 541, 8)}
    assert len(places) == 3


def test_of_a_larger_region_they_are_three_times_as_large():
    (top, bottom), (left, right) = placed((2000, 2000), slice(900, 1100), slice(1000, 1010))
    assert bottom - top == right - left == 3 * 200 + 64
    assert top <= 1000 - 300
    assert bottom >= 1000 + 300


@pytest.mark.parametrize(
    ("rows", "columns", "end"),
    [
        (slice(100, 700), slice(50, 60), (699, 55)),  # most of the picture is below it
        (slice(1200, 1900), slice(50, 60), (1200, 55)),
        (slice(50, 60), slice(100, 700), (55, 699)),
        (slice(50, 60), slice(1200, 1900), (55, 1200)),
    ],
)
def test_a_region_that_would_fill_them_is_looked_at_where_it_ends(rows, columns, end):
    # The larger part of the picture is beyond one of its ends, or beside it.
    shape = (2000, 300) if rows.stop - rows.start > 100 else (300, 2000)
    for (first, last), place, side in zip(placed(shape, rows, columns), end, shape, strict=True):
        assert last - first == min(640 + 64, side)
        assert first <= place < last
        if side == 2000:
            assert abs((first + last) / 2 - place) <= 64


def test_nothing_within_three_pixels_of_a_region_or_a_hole_is_clean():
    mask, valid = box((40, 50), slice(10, 12), slice(10, 12)), np.ones((40, 50), dtype=bool)
    valid[30, 40] = False
    around = surroundings(np.zeros((1, 40, 50)), mask, valid)
    expected = ~(box((40, 50), slice(7, 15), slice(7, 15)) | box((40, 50), slice(27, 34), slice(37, 44)))
    np.testing.assert_array_equal(around.clean, expected)
    np.testing.assert_array_equal(around.free, valid & ~mask)


def test_the_light_is_the_mean_of_what_is_normal_over_a_third_of_them():
    pixels = np.random.default_rng(0).normal(size=(1, 60, 90))
    mask = box((60, 90), slice(20, 30), slice(40, 50))
    pixels[:, mask] += 50
    around = surroundings(pixels, mask)
    assert around.light_box == (21, 31)
    near = (slice(25 - 10, 25 + 11), slice(45 - 15, 45 + 16))
    light = pixels[0][near][~mask[near]].mean()
    assert around.evened[0, 25, 45] == pytest.approx(pixels[0, 25, 45] - light, abs=1e-4)


@pytest.mark.parametrize(("column", "seen"), [(5, 4), (9, 3), (10, 2), (11, 1)])
def test_where_hardly_anything_is_normal_the_light_is_only_partly_taken_off(column, seen):
    pixels = np.zeros((1, 60, 60))
    pixels[:, :, :2] = 1  # beyond the edge they are seen once more
    mask = box((60, 60), slice(0, 60), slice(2, 50))
    mean = pixels[0][~mask].mean()
    share = seen / 21  # of the columns of the box
    light = mean + (1 - mean) * share / max(share, 0.1)
    assert surroundings(pixels, mask).evened[0, 30, column] == pytest.approx(-light, abs=1e-4)


def test_a_large_region_is_looked_at_in_a_piece_around_its_summit():
    mask = box((80, 120), slice(10, 70), slice(5, 115))
    score = mask.astype(np.float32)
    score[20, 30] = 3
    region = find_regions(score, -5 * score, 1e-2)[1][0]
    points = surroundings(np.zeros((1, 80, 120)), mask, score=score).shape(region)
    # A quarter of each side: 20 rows and 30 columns, less than half of them on either side.
    assert (points.min(axis=0).tolist(), points.max(axis=0).tolist()) == ([11, 16], [29, 44])
    assert len(points) == 19 * 29


def test_the_summit_is_the_most_central_of_the_highest():
    score = np.zeros((20, 20), dtype=np.float32)
    score[5, 2:9] = 1
    score[5, 2] = score[5, 6] = 4
    around = surroundings(np.zeros((1, 20, 20)), score > 0, score=score)
    assert around.summit(np.argwhere(score > 0)).tolist() == [5, 6]
