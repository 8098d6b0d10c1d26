"""Figures, the size they are taken at, and how sure they are: by hand, by brute force, by another program."""

from __future__ import annotations

import importlib.util
import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

import ssdnet
from ssdnet.errors import MissingDependencyError, NoValidPixelsError
from ssdnet.evaluation.data.datasets import Case, read_mask
from ssdnet.evaluation.data.reduction import reduce_image, reduce_map, reduce_mask, reduced_shape
from ssdnet.evaluation.measure.intervals import bootstrap_interval, compare, mean_of_sets
from ssdnet.evaluation.measure.judging import judge, truth_of
from ssdnet.evaluation.measure.metrics import aupro, hit, image_auroc, pixel_figures

SHARED = Path(__file__).parent.parent.parent / "shared"
FIGURES = ("auroc", "ap", "best_f1", "best_iou", "f1", "iou")


def array(*rows, dtype=np.float32):
    return np.array(rows, dtype=dtype)


def figures(score, mask, found=None):
    score, mask = np.asarray(score, dtype=np.float32), np.asarray(mask, dtype=bool)
    found = np.zeros_like(mask) if found is None else np.asarray(found, dtype=bool)
    return pixel_figures([score], [mask], [found])


# Figures of pixels ------------------------------------------------------------------------------------


def test_figures_by_hand():
    # In order of score: 1 0 1 0 0. Precision at the two anomalous pixels: 1/1 and 2/3.
    result = figures([[0.9, 0.8, 0.7, 0.2, 0.1]], [[1, 0, 1, 0, 0]], [[1, 1, 0, 0, 0]])
    assert result.auroc == pytest.approx(5 / 6)
    assert result.ap == pytest.approx((1 + 2 / 3) / 2)
    assert result.best_f1 == pytest.approx(2 * 2 / (3 + 2))  # the first three
    assert result.best_iou == pytest.approx(2 / 3)
    assert result.f1 == pytest.approx(2 * 1 / (2 + 2))
    assert result.iou == pytest.approx(1 / 3)


def test_ties_count_half():
    result = figures([[1, 1, 0, 0]], [[1, 0, 1, 0]])
    assert result.auroc == pytest.approx(0.5)
    assert result.ap == pytest.approx(0.5)  # each threshold takes as many of both
    assert figures(np.zeros((3, 3)), np.eye(3)).auroc == pytest.approx(0.5)
    assert figures(np.zeros((3, 3)), np.eye(3)).ap == pytest.approx(1 / 3)


def test_figures_are_those_of_scikit_learn():
    from sklearn import metrics

    generator = np.random.default_rng(0)
    for rounding in (8, 1):  # the second has many ties
        mask = generator.random((12, 15)) < 0.1
        score = (generator.normal(size=mask.shape) + mask).round(rounding).astype(np.float32)
        found = score > 1.5
        result = pixel_figures([score], [mask], [found])
        truth, values = mask.ravel(), score.ravel()
        assert result.auroc == pytest.approx(metrics.roc_auc_score(truth, values), abs=1e-12)
        assert result.ap == pytest.approx(metrics.average_precision_score(truth, values), abs=1e-12)
        assert result.f1 == pytest.approx(metrics.f1_score(truth, found.ravel()), abs=1e-12)
        assert result.iou == pytest.approx(metrics.jaccard_score(truth, found.ravel()), abs=1e-12)
        thresholds = np.unique(values)
        assert result.best_f1 == pytest.approx(max(metrics.f1_score(truth, values >= t) for t in thresholds))
        assert result.best_iou == pytest.approx(
            max(metrics.jaccard_score(truth, values >= t) for t in thresholds)
        )


def test_pooled_figures_have_one_threshold():
    # Each image alone is perfect; together the first one's normal pixels are above the second one's defect.
    scores = [array([10, 11]), array([0, 1])]
    masks = [array([0, 1], dtype=bool)] * 2
    assert all(figures(s, m).auroc == 1 for s, m in zip(scores, masks, strict=True))
    pooled = pixel_figures(scores, masks, masks)
    assert pooled.auroc == pytest.approx(3 / 4)
    assert pooled.f1 == 1


@pytest.mark.parametrize("mask", [np.zeros((4, 4), bool), np.ones((4, 4), bool)], ids=["empty", "full"])
def test_what_is_not_defined_is_nan(mask):
    score = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert all(math.isnan(getattr(figures(score, mask), name)) for name in FIGURES)
    assert math.isnan(hit(score, mask))
    assert math.isnan(aupro([score], [mask], 0.3))


def test_missing_pixels_are_left_out():
    generator = np.random.default_rng(1)
    score = generator.random((12, 12)).astype(np.float32)
    mask = np.zeros((12, 12), bool)
    mask[2:5, 2:6] = mask[8:10, 8:10] = True
    missing = np.zeros_like(mask)
    missing[:, 7:] = True  # the second region as a whole
    holed = np.where(missing, np.nan, score).astype(np.float32)
    found = score > 0.5
    expected = pixel_figures([score[:, :7]], [mask[:, :7]], [found[:, :7]])
    assert pixel_figures([holed], [mask], [found]) == expected
    assert hit(holed, mask) == hit(score[:, :7], mask[:, :7])
    assert aupro([holed], [mask], 0.3) == pytest.approx(aupro([score[:, :7]], [mask[:, :7]], 0.3))
    nothing = np.full_like(score, np.nan)
    assert math.isnan(figures(nothing, mask).auroc)
    assert math.isnan(hit(nothing, mask))


def test_hit():
    mask = array([1, 1, 0, 0], dtype=bool)
    assert hit(array([0, 2, 1, 1]), mask) == 1
    assert hit(array([0, 1, 2, 1]), mask) == 0
    assert hit(array([1, 1, 1, 1]), mask) == 0.5
    assert hit(array([0, 2, 2, 1]), mask) == 0.5


def test_image_auroc():
    assert image_auroc([3, 2], [1, 2]) == pytest.approx((4 - 0.5) / 4)
    assert image_auroc([-math.inf, math.inf], [0]) == 0.5
    assert math.isnan(image_auroc([1], []))
    assert math.isnan(image_auroc([], [1]))


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)  # importing it fails
    with pytest.raises(MissingDependencyError, match=r'pip install "ssdnet\[bench\]"'):
        figures([[1, 0]], [[1, 0]])


# Per-region overlap -----------------------------------------------------------------------------------


def regions_by_hand(mask):
    """Connected pixels, diagonals included, by flooding."""
    left = set(zip(*map(list, np.nonzero(mask)), strict=True))
    while left:
        region, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            region.add((y, x))
            around = {(y + dy, x + dx) for dy, dx in itertools.product((-1, 0, 1), repeat=2)} & left
            left -= around
            edge += around
        yield region


def aupro_by_brute_force(scores, masks, limit, *, thresholds=None):
    """The area under (false-positive rate, mean overlap), from one mask for each threshold."""
    normal = np.concatenate([s[~m] for s, m in zip(scores, masks, strict=True)])
    if thresholds is None:  # every step of the curve
        thresholds = [np.inf, *sorted({float(v) for s in scores for v in s.ravel()}, reverse=True)]
    points: list[tuple[float, float]] = []
    for threshold in thresholds:
        each = [
            np.mean([score[place] >= threshold for place in region])
            for score, mask in zip(scores, masks, strict=True)
            for region in regions_by_hand(mask)
        ]
        points.append((float((normal >= threshold).mean()), float(np.mean(each))))
    rates, overlaps = np.array(points).T
    if rates[-1] > limit:
        inside = rates <= limit
        overlaps = np.append(overlaps[inside], np.interp(limit, rates, overlaps))
        rates = np.append(rates[inside], limit)
    return float(np.sum((overlaps[1:] + overlaps[:-1]) / 2 * np.diff(rates)) / limit)


@pytest.mark.parametrize("limit", [0.3, 0.05])
def test_aupro_by_brute_force(limit):
    generator = np.random.default_rng(2)
    scores, masks = [], []
    for size in ((24, 30), (28, 18)):
        mask = np.zeros(size, bool)
        mask[3:6, 4:12] = mask[12, 9] = mask[13, 10] = True  # the last two touch by a corner
        mask[20:23, 1:4] = True
        scores.append((generator.normal(size=size) + 1.5 * mask).astype(np.float32))
        masks.append(mask)
    assert sum(1 for mask in masks for _ in regions_by_hand(mask)) == 6
    normal = np.concatenate([s[~m] for s, m in zip(scores, masks, strict=True)])
    rates = np.linspace(0, limit, 200)
    same = np.array(
        [
            np.mean(
                [
                    np.mean([s[place] >= threshold for place in region])
                    for s, m in zip(scores, masks, strict=True)
                    for region in regions_by_hand(m)
                ]
            )
            for threshold in np.quantile(normal, 1 - rates)
        ]
    )
    ours = aupro(scores, masks, limit)
    assert ours == pytest.approx(np.mean((same[1:] + same[:-1]) / 2), abs=1e-12)
    # The 200 rates are as good as all steps of the curve, up to a step of the normal pixels.
    assert ours == pytest.approx(aupro_by_brute_force(scores, masks, limit), abs=0.01)


def test_aupro_counts_regions_not_pixels():
    mask = np.zeros((20, 20), bool)
    mask[:10, :10] = True
    mask[15, 15] = True
    score = np.zeros((20, 20), np.float32)
    score[:10, :10] = 2  # the large one is found, the small one is the last of all
    score[15, 15] = -1
    score[~mask] = np.linspace(0, 1, (~mask).sum())
    assert aupro([score], [mask], 0.3) == pytest.approx(0.5, abs=0.01)
    assert aupro([score + 0 * mask], [mask], 1.0) == pytest.approx(0.5, abs=0.01)


# Another program --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def score_maps():
    path = SHARED / "tools" / "score_maps.py"
    if not path.exists():
        pytest.skip("the scoring script is not here")
    spec = importlib.util.spec_from_file_location("score_maps", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["crackforest", "kolektor_sdd", "aitex", "leather_defect"])
def test_figures_are_those_of_the_scoring_script(name, score_maps, tmp_path, capsys, monkeypatch):
    folder = SHARED / "data" / name
    cases = []
    for path in sorted((folder / "images").iterdir())[:2]:
        mask = next((folder / "masks").glob(f"{path.stem}.*"))
        cases.append(Case(name, path.stem, path, mask))
        for kind, source in (("images", path), ("masks", mask)):
            link = tmp_path / "data" / name / kind / source.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)
    measured = []
    for case in cases:
        # Maps smaller than the mask are enlarged; both happen.
        image = ssdnet.read_image(case.image)
        result = ssdnet.localize(image if case is cases[0] else reduce_image(image, 128), device="cpu")
        measured.append(judge(result, case))
        result.save(tmp_path / "maps" / name, stem=case.name, formats=["map"])
    pairs = []
    for case, one in zip(cases, measured, strict=True):
        mask = score_maps.load_mask(case.mask, 256)
        score = score_maps.load_map(tmp_path / "maps" / name / f"{case.name}.anomaly.tif", mask.shape)
        truth = truth_of(case)
        assert truth is not None
        assert np.array_equal(truth, mask)
        assert np.array_equal(one.score, score)
        pairs.append((score, mask))
    scores, masks = [s for s, _ in pairs], [m for _, m in pairs]
    pooled = pixel_figures(scores, masks, masks)
    ours = [
        np.mean([one.record["auroc"] for one in measured]),
        np.mean([one.record["ap"] for one in measured]),
        pooled.auroc,
        pooled.ap,
        aupro(scores, masks, 0.3),
    ]
    theirs = [
        np.mean([score_maps.roc_auc_score(m.ravel(), s.ravel()) for s, m in pairs]),
        np.mean([score_maps.average_precision_score(m.ravel(), s.ravel()) for s, m in pairs]),
        score_maps.roc_auc_score(
            np.concatenate([m.ravel() for m in masks]), np.concatenate([s.ravel() for s in scores])
        ),
        score_maps.average_precision_score(
            np.concatenate([m.ravel() for m in masks]), np.concatenate([s.ravel() for s in scores])
        ),
        score_maps.aupro(scores, masks),
    ]
    assert ours == pytest.approx(theirs, abs=1e-6)
    monkeypatch.setattr("sys.argv", ["score_maps.py", str(tmp_path / "maps"), str(tmp_path / "data")])
    assert score_maps.main() == 0  # and as it prints them
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(name)).split()
    assert [float(cell) for cell in row[1:6]] == pytest.approx(ours, abs=0.5e-4 + 1e-9)


# The size that is judged ------------------------------------------------------------------------------


def test_reduced_shape_keeps_the_sides_ratio_and_enlarges_nothing():
    assert reduced_shape(500, 1250, 256) == (256, 640)
    assert reduced_shape(100, 200, 256) == (100, 200)
    assert reduced_shape(20000, 300, 256) == (17067, 256)


def test_a_pixel_of_the_mask_counts_above_a_share_of_three_tenths():
    mask = np.zeros((20, 40), bool)
    mask[0:3, 0:10] = True  # exactly 0.3 of the first cell
    mask[0:4, 10:20] = True
    assert reduce_mask(mask, (2, 4)).tolist() == [[False, True, False, False], [False] * 4]


def test_missing_pixels_of_a_map_do_not_reach_their_neighbours():
    score = np.full((60, 60), 5.0, np.float32)
    score[20:40, 20:40] = np.nan
    reduced = reduce_map(score, (30, 30))
    assert np.isnan(reduced).sum() == pytest.approx(100, abs=0)
    assert np.allclose(reduced[~np.isnan(reduced)], 5.0, atol=1e-5)
    assert np.isnan(reduced[10:20, 10:20]).all()
    whole = np.random.default_rng(0).random((61, 47)).astype(np.float32)
    expected = np.asarray(Pillow.fromarray(whole).resize((23, 30), Pillow.Resampling.BILINEAR))
    assert np.array_equal(reduce_map(whole, (30, 23)), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, bool])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_images_are_reduced_by_area_average(dtype, channels):
    pixels = np.zeros((32, 48, channels), dtype)
    pixels[::2, ::2] = 1 if dtype is bool else 200
    reduced = reduce_image(ssdnet.read_image(pixels), 16)
    assert reduced.pixels.shape == (16, 24, channels)
    assert reduced.pixels.dtype == (dtype if dtype in (np.uint8, np.uint16) else np.float32)
    assert np.allclose(reduced.pixels, 0.25 if dtype is bool else 50)
    assert reduce_image(ssdnet.read_image(pixels), 32).pixels.shape == pixels.shape


def test_missing_pixels_of_an_image_stay_missing_and_change_nothing():
    pixels = np.full((32, 32), 7.0)
    pixels[:16, :16] = np.nan
    reduced = reduce_image(ssdnet.read_image(pixels), 16)
    assert (~reduced.valid).sum() == 64
    assert not reduced.valid[:8, :8].any()
    assert np.allclose(reduced.pixels[reduced.valid], 7)
    lonely = np.full((64, 64), np.nan)
    lonely[0, 0] = 1
    with pytest.raises(NoValidPixelsError, match="16 pixels"):
        reduce_image(ssdnet.read_image(lonely), 16)


def test_a_mask_that_is_a_jpeg_is_what_is_bright(tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[20:41, 11:30] = 255
    Pillow.fromarray(mask).save(tmp_path / "m.png")
    Pillow.fromarray(mask).save(tmp_path / "m.jpg", quality=80)
    assert (np.asarray(Pillow.open(tmp_path / "m.jpg")) > 0).sum() > (mask > 0).sum() + 50
    assert np.array_equal(read_mask(tmp_path / "m.png"), mask > 0)
    assert np.array_equal(read_mask(tmp_path / "m.jpg"), mask > 0)
    tifffile.imwrite(tmp_path / "m.tif", (mask > 0).astype(np.uint16) * 3)  # a label image
    assert np.array_equal(read_mask(tmp_path / "m.tif"), mask > 0)


# How sure a mean is -----------------------------------------------------------------------------------


def test_mean_of_sets_is_not_weighted_by_their_size():
    values, sets = np.array([1.0, 1.0, 1.0, 0.0]), np.array(["a", "a", "a", "b"])
    assert mean_of_sets(values, sets) == 0.5
    assert mean_of_sets(np.array([1.0, np.nan, 0.0, np.nan]), sets) == 0.5  # nothing is known of b
    assert math.isnan(mean_of_sets(np.full(4, np.nan), sets))


def test_an_interval_is_that_of_the_normal_law_where_that_holds():
    generator = np.random.default_rng(0)
    values = generator.normal(3, 2, 400)
    sets = np.repeat(["a", "b"], [100, 300])
    low, high = bootstrap_interval(values, sets, generator=np.random.default_rng(1), runs=4000)
    # The variance of a mean of two means is a quarter of the sum of theirs.
    error = math.sqrt(values[:100].var() / 100 + values[100:].var() / 300) / 2
    centre = mean_of_sets(values, sets)
    assert (low, high) == pytest.approx((centre - 1.96 * error, centre + 1.96 * error), abs=0.1 * error)
    again = bootstrap_interval(values, sets, generator=np.random.default_rng(1), runs=4000)
    assert again == (low, high)
    assert bootstrap_interval(values, sets, generator=np.random.default_rng(2), runs=4000) != (low, high)
    narrow = bootstrap_interval(values, sets, generator=np.random.default_rng(1), runs=4000, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_intervals_of_nothing_and_of_one():
    generator = np.random.default_rng(0)
    assert all(map(math.isnan, bootstrap_interval(np.array([np.nan]), np.array(["a"]), generator=generator)))
    assert bootstrap_interval(np.array([0.25]), np.array(["a"]), generator=generator) == (0.25, 0.25)


def test_one_detector_against_another():
    sets = np.array(["a", "a", "b", "b"])
    first, second = np.array([1.0, 0.5, 0.5, np.nan]), np.array([0.5, 0.5, 0.75, 0.1])
    result = compare(first, second, sets, generator=np.random.default_rng(0))
    assert result.images == 3
    assert result.difference == pytest.approx((0.25 - 0.25) / 2)
    assert result.win_rate == pytest.approx((0.75 + 0) / 2)
    assert not result.clear
    back = compare(second, first, sets, generator=np.random.default_rng(0))
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-result.difference, -result.high, -result.low)
    )
    assert back.win_rate == pytest.approx(1 - result.win_rate)
    better = compare(first + 1, second, sets, generator=np.random.default_rng(0))
    assert better.clear
    assert better.win_rate == 1
