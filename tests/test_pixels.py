"""Maxima of windows, and which of a few pixels lie together, against SciPy's filters and labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ssdnet.calibration.pixels import components
from ssdnet.calibration.running import running_maximum


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.integers(1, 90), st.sampled_from("fd?"))
@settings(max_examples=60)
def test_running_maxima_are_those_of_scipy(height, width, down, right, kind):
    drawn = np.random.default_rng(height * width).normal(size=(height, width))
    values = drawn > 1 if kind == "?" else drawn.astype(kind)
    # Reflected values lie in the window already, so that it does not matter what is beyond the edge.
    np.testing.assert_array_equal(
        running_maximum(values, (down, right)), ndimage.maximum_filter(values, (down, right))
    )


def test_a_map_of_many_strips_has_the_same_maxima(monkeypatch):
    from ssdnet.calibration import running

    monkeypatch.setattr(running, "_STRIP", 64)
    values = np.random.default_rng(0).normal(size=(150, 130))
    np.testing.assert_array_equal(running_maximum(values, (9, 14)), ndimage.maximum_filter(values, (9, 14)))


@pytest.mark.parametrize("share", [0.002, 0.02, 0.2])
@pytest.mark.parametrize("gap", [(0, 0), (1, 2), (5, 0), (8, 7)])
def test_components_are_those_of_the_whole_map(share, gap):
    mask = np.random.default_rng(3).random((120, 200)) < share
    joined = ndimage.maximum_filter(mask, [size + 1 for size in gap])
    expected, expected_count = ndimage.label(joined, structure=np.ones((3, 3)))
    rows, columns = np.nonzero(mask)
    owner, count = components(rows, columns, gap)
    assert count == expected_count
    pairs = np.unique(np.stack([owner, expected[mask]]), axis=1)
    assert pairs.shape[1] == count  # each has one counterpart


def test_no_pixels_are_no_component():
    owner, count = components(np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp), (3, 3))
    assert (len(owner), count) == (0, 0)
