"""The normal patches that are most like one, against looking at every position."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ssdnet.calibration.regions import find_regions
from ssdnet.explanation import explain
from ssdnet.explanation.similar_patches import patch_around, similar_patches
from ssdnet.explanation.surroundings import Surroundings
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize


def around(pixels, mask, valid=None, top=0, left=0):
    count = len(pixels)
    return Surroundings(
        top=top,
        left=left,
        pixels=pixels.astype(np.float32),
        offset=np.zeros(count),
        scale=np.ones(count),
        score=mask.astype(np.float32),
        labels=mask.astype(np.uint16),
        valid=np.ones(mask.shape, dtype=bool) if valid is None else valid,
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [0.5, 3.0])
def test_they_are_the_first_of_all_positions_that_share_at_most_half(channels, sigma):
    generator = np.random.default_rng(0)
    pixels = ndimage.gaussian_filter(generator.normal(size=(channels, 60, 66)), (0, sigma, sigma))
    mask = np.zeros((60, 66), dtype=bool)
    mask[20:26, 30:35] = True
    valid = np.ones(mask.shape, dtype=bool)
    valid[19, 36] = valid[50, 60] = False
    top, left, side = 16, 26, 14
    target, known = (values[..., top : top + side, left : left + side] for values in (pixels, valid))
    squares = {}
    for row in range(60 - side + 1):
        for column in range(66 - side + 1):
            here = slice(row, row + side), slice(column, column + side)
            if valid[here].all() and not mask[here].any():
                squares[row, column] = np.square(pixels[:, here[0], here[1]] - target)[:, known].mean()
    expected: list[tuple[int, int]] = []
    for row, column in sorted(squares, key=lambda place: squares[place]):
        shared = [
            max(0, side - abs(row - other[0])) * max(0, side - abs(column - other[1])) for other in expected
        ]
        if all(area <= side * side / 2 for area in shared):
            expected.append((row, column))
    found = similar_patches(around(pixels, mask, valid, top=100, left=200), (top, left, side))
    assert [patch.bbox for patch in found] == [
        (200 + column, 100 + row, side, side) for row, column in expected[:3]
    ]
    distances = [np.sqrt(squares[place]) for place in expected[:3]]
    np.testing.assert_allclose([patch.distance for patch in found], distances, rtol=1e-3)


def test_there_are_none_where_no_normal_place_is_large_enough_or_nothing_is_known():
    pixels, mask = np.random.default_rng(0).normal(size=(1, 40, 40)), np.zeros((40, 40), dtype=bool)
    mask[20, :] = mask[:, 20] = True
    assert len(similar_patches(around(pixels, mask), (10, 10, 19))) == 3  # one in each quarter
    assert similar_patches(around(pixels, mask), (10, 10, 21)) == ()
    valid = np.ones(mask.shape, dtype=bool)
    valid[10:14, 10:14] = False
    assert similar_patches(around(pixels, mask, valid), (10, 10, 4)) == ()


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (slice(40, 52), slice(30, 38), (32, 20, 28)),  # eight pixels on either side of the longer
        (slice(0, 12), slice(150, 160), (0, 132, 28)),  # as far as there are any
        (slice(138, 150), slice(0, 10), (122, 0, 28)),
        (slice(20, 130), slice(30, 40), (26, 0, 96)),  # at most 96, about the summit of what is larger
    ],
)
def test_the_patch_of_a_region(rows, columns, expected):
    score = np.zeros((150, 160), dtype=np.float32)
    score[rows, columns] = 5
    labels, (region,) = find_regions(score, -score, 1e-2)
    part = around(score[np.newaxis], labels > 0)
    assert patch_around(part, region, part.shape(region)) == expected


def test_in_a_large_image_all_places_are_those_of_the_image():
    pixels = np.random.default_rng(0).normal(100, 5, (900, 800))
    pixels[700:712, 620:630] += 40
    image = read_image(pixels)
    evidence = np.full(pixels.shape, 1, dtype=np.float32)
    evidence[700:712, 620:630] = -5
    labels, regions = find_regions(-evidence, evidence, 1e-2)
    standard = standardize(image)
    told = explain(standard, image.valid, -evidence, labels, regions)[0].explanation
    assert told is not None
    assert told.words.startswith("brighter")
    assert told.patch == (611, 692, 28, 28)
    target = standard.pixels[:, 692:720, 611:639]
    assert len(told.similar) == 3
    for patch in told.similar:
        x, y, wide, tall = patch.bbox
        assert (wide, tall) == (28, 28)
        difference = standard.pixels[:, y : y + tall, x : x + wide] - target
        assert patch.distance == pytest.approx(float(np.sqrt(np.square(difference).mean())), rel=1e-3)
