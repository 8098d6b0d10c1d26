"""Images too large to be learned as a whole: which parts stand for them, and what their model gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ssdnet
from ssdnet import samples
from ssdnet.detectors import large
from ssdnet.detectors.large import fit_parts, fit_score_each, parts
from ssdnet.detectors.rivals.phot import PHOT
from ssdnet.detectors.rx import RX
from ssdnet.detectors.texture import Texture
from ssdnet.errors import DetectorError


@pytest.fixture
def small_is_large(monkeypatch):
    monkeypatch.setattr(large, "LARGE", 160 * 160)
    monkeypatch.setattr(large.parts, "__defaults__", (96, 4))


@pytest.mark.parametrize("shape", [(100, 300), (64, 64), (30, 5000), (5000, 30)])
def test_parts_lie_inside_and_hold_as_many_pixels(shape):
    windows = parts(torch.ones(shape, dtype=torch.bool), side=64, count=3)
    assert 1 <= len(windows) <= 3
    assert len({window.slices[0].start * 10000 + window.slices[1].start for window in windows}) == len(
        windows
    )
    for window in windows:
        assert window.shape == shape
        assert window.size[0] * window.size[1] >= min(64 * 64, shape[0] * shape[1])


def test_parts_reach_both_ends_and_every_row_and_column_of_the_grid():
    windows = parts(torch.ones(400, 400, dtype=torch.bool), side=100, count=4)
    assert sorted(window.top for window in windows) == [0, 100, 200, 300]
    assert sorted(window.left for window in windows) == [0, 100, 200, 300]


def test_parts_are_taken_where_pixels_are_known():
    valid = torch.zeros(400, 400, dtype=torch.bool)
    valid[250:, :] = True
    for window in parts(valid, side=100, count=4):
        assert valid[window.slices].float().mean() >= 0.5


def test_a_large_image_is_learned_from_parts_and_scored_as_a_whole(small_is_large, monkeypatch):
    learned: list[tuple[int, ...]] = []
    fit = RX.fit_score

    def watched(self, pixels, valid, **options):
        learned.extend(tuple(known.shape) for known in valid)
        return fit(self, pixels, valid, **options)

    monkeypatch.setattr(RX, "fit_score", watched)
    picture = samples.sample("leather", "scratch", (300, 280), seed=0)
    result = ssdnet.localize(picture.image, detector=RX())
    assert learned
    assert max(rows * columns for rows, columns in learned) < 160 * 160
    assert result.anomaly_map.shape == (300, 280)
    scores = result.anomaly_map
    assert np.median(scores[picture.mask]) > np.quantile(scores[~picture.mask], 0.9)


def test_the_model_of_parts_scores_nearly_as_that_of_the_whole(small_is_large, monkeypatch):
    picture = samples.sample("leather", "hole", (320, 320), seed=1)
    by_parts = ssdnet.localize(picture.image, detector="texture")
    monkeypatch.setattr(large, "LARGE", 1 << 22)
    whole = ssdnet.localize(picture.image, detector="texture")
    assert not np.array_equal(by_parts.anomaly_map, whole.anomaly_map)
    first, second = (np.argsort(np.argsort(one.anomaly_map, axis=None)) for one in (by_parts, whole))
    assert np.corrcoef(first, second)[0, 1] > 0.8  # parts so small have an octave less
    assert by_parts.pred_label == whole.pred_label
    assert by_parts.mask[picture.mask].mean() > 0.5


def test_what_needs_the_whole_learns_the_whole(small_is_large):
    image, known = torch.randn(1, 200, 200), torch.ones(200, 200, dtype=torch.bool)
    model = fit_parts(PHOT(), [image], [known], generator=torch.Generator().manual_seed(0))
    whole = PHOT().fit([image], [known], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.score(image, known), whole.score(image, known))


def test_results_come_in_the_order_of_the_images(small_is_large):
    shapes = [(64, 64), (200, 200), (64, 80)]
    images = [torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)) for shape in shapes]
    known = [torch.ones(shape, dtype=torch.bool) for shape in shapes]
    told = []
    found = fit_score_each(
        Texture(),
        images,
        known,
        generators=[torch.Generator().manual_seed(0) for _ in shapes],
        progress=lambda share, message: told.append(share),
    )
    assert [tuple(score.shape[-2:]) for _, score in found] == shapes
    assert told == sorted(told)
    assert told[-1] <= 1.0


def test_a_detector_that_forgets_an_image_is_told(monkeypatch):
    monkeypatch.setattr(RX, "fit_each", lambda self, pixels, valid, **options: [])
    with pytest.raises(DetectorError, match="'rx' gave 0 results for 1 images"):
        ssdnet.localize(np.random.default_rng(0).normal(size=(32, 32)), detector=RX())
