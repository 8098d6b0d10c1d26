"""The `selfsim` detector: similar patches, what they leave, and how unusual that is."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import scipy.stats
import torch

import ssdnet
from ssdnet import detectors, samples
from ssdnet.detectors.protocol import Decomposing, Detector
from ssdnet.detectors.rivals.selfsim import SelfSimilarity, nonlocal_means
from ssdnet.detectors.rivals.selfsim.gaussianity import Law, laplace_to_gaussian
from ssdnet.detectors.rivals.selfsim.nonlocal_means import Memory
from ssdnet.detectors.rivals.selfsim.patches import Candidates, Patches
from ssdnet.detectors.rivals.selfsim.scale import disc_means
from ssdnet.errors import Cancelled, UsageError
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize
from ssdnet.maths.window import Window


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def standard(image):
    """Pixels and valid mask of an array of the user, as the pipeline would make them."""
    picture = read_image(image)
    return torch.from_numpy(standardize(picture).pixels), torch.tensor(picture.valid)


def fit(*images, seed=0, progress=lambda *_: None, **configuration):
    """The model of tensors with their masks, and the scores."""
    pixels, valid = zip(*images, strict=True)
    detector = SelfSimilarity(**configuration)
    return detector.fit_score(pixels, valid, generator=generator(seed), progress=progress)


def score(image, **configuration):
    return fit(standard(image), **configuration)[1][0].numpy()


def remember(pixels, known=None, *, seed=0, **changes):
    """`Memory.draw` with the settings of the paper, unless something else is said."""
    settings = {"size": 8, "stride": 1, "neighbours": 16, "guard": 8, "bandwidth": 0.7, "candidates": None}
    known = torch.ones(pixels.shape[1:], dtype=torch.bool) if known is None else known
    return Memory.draw([(pixels, known)], **{**settings, **changes}, generator=generator(seed))


def predict(pixels, known=None, *, seed=0, **changes):
    """An image by its own patches."""
    known = torch.ones(pixels.shape[1:], dtype=torch.bool) if known is None else known
    whole = Window.whole(tuple(known.shape))
    return remember(pixels, known, seed=seed, **changes).predict(pixels, known, whole, whole, lambda _: None)


def all_patches(pixels, known, size):
    rows, columns = (torch.arange(length - size + 1) for length in known.shape)
    share = known.to(pixels.dtype)
    return Patches.at(torch.where(known, pixels, 0), share, torch.cartesian_prod(rows, columns), size)


def similar(queries, candidates, count, guard):
    return Candidates(candidates, guard).similar(queries, count)


def auroc(values, mask):
    order = values.ravel().argsort().argsort()
    positive = mask.ravel()
    ranks = order[positive].sum() - positive.sum() * (positive.sum() - 1) / 2
    return ranks / (positive.sum() * (~positive).sum())


def periodic(size, channels=3, period=(6, 7)):
    tile = torch.randn(channels, *period, generator=generator(7))
    repeats = [-(-length // step) for length, step in zip(size, period, strict=True)]
    return tile.repeat(1, *repeats)[:, : size[0], : size[1]]


def test_it_is_a_detector_that_decomposes():
    assert isinstance(SelfSimilarity(), Detector)
    assert SelfSimilarity.decomposes
    model, _ = fit((torch.randn(1, 40, 40, generator=generator()), torch.ones(40, 40, dtype=torch.bool)))
    assert isinstance(model, Decomposing)
    assert isinstance(detectors.create("selfsim"), SelfSimilarity)


class TestSimilarPatches:
    @pytest.mark.parametrize("missing", [0.0, 0.2])
    def test_the_nearest_are_those_of_a_brute_force_search(self, missing):
        pixels = torch.randn(2, 12, 14, generator=generator(1))
        known = torch.rand(12, 14, generator=generator(2)) >= missing
        every = all_patches(pixels, known, 4)
        found, index = similar(every, every, 5, guard=3)
        values = torch.where(known, pixels, math.nan).double().numpy()
        windows = np.lib.stride_tricks.sliding_window_view(values, (4, 4), axis=(1, 2))
        places = list(np.ndindex(9, 11))
        for number, (row, column) in enumerate(places):
            gaps = np.nanmean((windows - windows[:, row : row + 1, column : column + 1]) ** 2, axis=(0, 3, 4))
            gaps[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = math.inf
            assert found[number].tolist() == pytest.approx(np.sort(gaps, axis=None)[:5], abs=1e-5)
            chosen = [gaps[places[i]] for i in index[number]]
            assert chosen == pytest.approx(found[number].tolist(), abs=1e-5)

    def test_none_lies_in_the_guard_region(self):
        # On a smooth image the nearest patches are the neighbours, unless they are kept out.
        pixels = torch.linspace(0, 1, 30).expand(1, 30, 30) + torch.linspace(0, 3, 30)[:, None]
        every = all_patches(pixels, torch.ones(30, 30, dtype=torch.bool), 4)

        def closest(guard):
            _, index = similar(every, every, 8, guard)
            return (every.corners[index] - every.corners[:, None]).abs().amax(-1).min().item()

        assert closest(1) == 1
        assert closest(4) == 4
        assert closest(9) == 9

    def test_where_all_are_in_the_guard_region_there_is_none(self):
        every = all_patches(
            torch.randn(1, 9, 9, generator=generator()), torch.ones(9, 9, dtype=torch.bool), 4
        )
        assert similar(every, every, 3, guard=6)[0].isinf().all()
        prediction, weight = predict(torch.randn(1, 9, 9, generator=generator()), size=4, guard=6)
        assert not weight[4, 4]
        assert prediction.isfinite().all()


class TestNonlocalMean:
    def test_a_periodic_texture_is_predicted_exactly_away_from_a_defect_which_stands_out(self):
        clean = periodic((48, 56))
        defective = clean.clone()
        defective[:, 20:25, 30:36] += 2
        prediction, _ = predict(defective)
        residual = (defective - prediction).abs().amax(0)
        touched = torch.zeros(48, 56, dtype=torch.bool)
        touched[20 - 7 : 25 + 7, 30 - 7 : 36 + 7] = True
        assert residual[~touched].max() < 1e-4
        assert residual[20:25, 30:36].min() > 1
        # What is predicted there is nearer to the texture than the image is.
        inside = (slice(None), slice(20, 25), slice(30, 36))
        assert (prediction - clean)[inside].abs().mean() < 0.5 * (defective - clean)[inside].abs().mean()

    def test_without_a_guard_region_a_defect_explains_itself(self):
        pixels = torch.randn(1, 48, 48, generator=generator(3)) * 0.1
        pixels[0, 20:28, :] += torch.linspace(0, 4, 8)[:, None].expand(8, 48) * (torch.arange(48) // 16 == 1)

        def left(guard):
            prediction, _ = predict(pixels, guard=guard)
            return (pixels - prediction)[0, 22:28, 18:30].abs().mean()

        assert left(1) < 0.5 * left(16)

    @pytest.mark.parametrize("stride", [1, 2, 3])
    def test_a_constant_stays_and_all_is_covered(self, stride):
        pixels = torch.full((2, 31, 40), 1.5)
        prediction, weight = predict(pixels, stride=stride, size=6, guard=6)
        torch.testing.assert_close(prediction, pixels)
        assert (weight > 0).all()

    def test_memory_for_a_part_of_the_work_gives_the_same(self, monkeypatch):
        pixels = torch.randn(1, 40, 44, generator=generator(4))
        whole, _ = predict(pixels, stride=2)
        monkeypatch.setattr(nonlocal_means, "_CHUNK", 5000)  # less than one row of patches
        parts, _ = predict(pixels, stride=2)
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)

    def test_a_hole_is_filled_with_the_texture(self):
        clean = periodic((40, 48), channels=1)
        known = torch.ones(40, 48, dtype=torch.bool)
        known[20:24, 20:24] = False
        prediction, weight = predict(clean, known)
        assert weight[~known].min() > 0
        assert (prediction - clean)[:, ~known].abs().max() < 1e-3

    def test_a_part_of_the_patches_leaves_little_more_than_all_of_them(self):
        image = samples.texture("twill", (64, 64), seed=5)[:, :, :1]
        pixels = torch.from_numpy(standardize(read_image(image)).pixels)
        few, some, every = (
            (pixels - predict(pixels, candidates=count, stride=2)[0]).square().mean()
            for count in (30, 800, None)
        )
        assert every < some < few < pixels.square().mean()
        assert some < 1.5 * every


class TestStatistics:
    def test_a_heavy_tail_becomes_gaussian(self):
        residual = torch.from_numpy(np.random.default_rng(0).laplace(size=(2, 200, 200)).astype(np.float32))
        residual[1] = residual[1].sign() * residual[1].abs() ** 1.25 * 1e-3
        assert scipy.stats.kurtosis(residual[0].ravel()) > 2
        for plane in (Law.fit([plane]).gaussian(plane) for plane in residual):
            assert abs(scipy.stats.kurtosis(plane.ravel())) < 0.3
            assert plane.std().item() == pytest.approx(1, abs=0.05)

    def test_the_law_is_monotone_and_keeps_zeros(self):
        residual = torch.randn(50, 50, generator=generator()) ** 3
        residual[:10] = 0
        made = Law.fit([residual]).gaussian(residual)
        order = residual.flatten().argsort()
        assert (made.flatten()[order].diff() >= 0).all()
        assert not made[:10].any()

    def test_where_nothing_varies_the_residual_stays(self):
        for residual in (torch.zeros(40, 40), torch.eye(3)):
            assert torch.equal(Law.fit([residual]).gaussian(residual), residual)

    def test_the_law_of_several_residuals_is_that_of_all_their_values(self):
        parts = [torch.randn(30, 40, generator=generator(1)) ** 3, torch.randn(20, 9, generator=generator(2))]
        assert Law.fit(parts) == Law.fit([torch.cat([part.flatten() for part in parts])])
        assert Law.fit(parts) != Law.fit(parts[:1])

    def test_laplace_to_gaussian_has_the_tail_of_scipy_and_never_ends(self):
        size = torch.tensor([0.0, 0.1, 1.0, 5.0, 30.0, 79.0])
        expected = scipy.stats.norm.isf(0.5 * np.exp(-size.double().numpy()))
        np.testing.assert_allclose(laplace_to_gaussian(size), expected, rtol=1e-3, atol=1e-6)
        far = laplace_to_gaussian(torch.tensor([79.9, 80.1, 100.0, 1e4, 1e6]))
        assert (far.diff() > 0).all()
        assert far[2].item() == pytest.approx(scipy.stats.norm.isf(0.5 * np.exp(-100.0)), rel=0.01)

    @pytest.mark.parametrize("radius", [0, 2, 4])
    def test_means_on_discs(self, radius):
        residual = torch.randn(1, 20, 23, generator=generator())
        known = torch.rand(20, 23, generator=generator(1)) > 0.3
        residual[:, ~known] = 0
        means = disc_means(residual, known, radius)
        rows, columns = np.indices((20, 23))
        whole = sum(y * y + x * x <= radius * radius for y in range(-4, 5) for x in range(-4, 5))
        for y, x in ((0, 0), (10, 11), (19, 5)):
            disc = torch.from_numpy((rows - y) ** 2 + (columns - x) ** 2 <= radius**2) & known
            count = max(1, int(disc.sum()))
            expected = residual[0, disc].sum() / count * math.sqrt(count / whole)
            assert means[0, y, x].item() == pytest.approx(expected.item(), abs=1e-5)

    def test_white_noise_deviates_as_much_along_the_edge(self):
        noise = torch.randn(1, 300, 300, generator=generator())
        means = disc_means(noise, torch.ones(300, 300, dtype=torch.bool), 4)[0]
        assert means[[0, -1]].square().mean() == pytest.approx(means.square().mean(), rel=0.25)


@pytest.mark.parametrize("texture", ["twill", "leather", "plain_weave"])
@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_it_finds_a_foreign_patch_and_beats_distance_from_the_mean_colour(texture, missing):
    sample = samples.sample(texture, "foreign", (128, 128), seed=3)
    values = sample.image.astype(np.float64)
    baseline = np.linalg.norm(values - np.median(values, axis=(0, 1)), axis=2)
    seen = np.random.default_rng(0).random(sample.mask.shape) >= missing
    values[~seen] = np.nan
    found = auroc(score(values, stride=4)[seen], sample.mask[seen])
    assert found > max(0.9, auroc(baseline[seen], sample.mask[seen]))


def test_a_fainter_defect_of_a_regular_texture_is_found_which_no_grey_level_shows():
    image = periodic((96, 96), channels=1)[0].numpy() * 20 + 128
    image += np.random.default_rng(0).normal(size=image.shape) * 3
    mask = np.zeros(image.shape, dtype=bool)
    mask[40:52, 44:56] = True
    image[mask] += 15
    assert auroc(score(image), mask) > 0.97
    assert auroc(np.abs(image - np.median(image)), mask) < 0.75


def test_scales_see_defects_of_their_size():
    image = np.random.default_rng(0).normal(size=(128, 128))
    mask = np.zeros(image.shape, dtype=bool)
    mask[40:72, 40:72] = True
    image[mask] += 0.5  # far below the noise of a pixel
    coarse, fine = (auroc(score(image, scales=scales, stride=4), mask) for scales in (3, 1))
    assert coarse > max(0.95, fine)


def _mesh(generator, rows, columns):
    return 200.0 * ((columns % 12 < 3) | (rows % 12 < 3)) + generator.normal(size=rows.shape) * 10


def _noise(generator, rows, columns):
    return generator.normal(size=rows.shape)


@pytest.mark.parametrize("texture", [_noise, _mesh])
@pytest.mark.parametrize("size", [(128, 128), (111, 133)])
def test_borders_are_not_brighter_than_the_rest(texture, size):
    """The outer pixels exceed the 99 % quantile of the inside about as often as the inside itself does."""
    random, shares = np.random.default_rng(5), []
    for _ in range(2):
        values = score(texture(random, *np.indices(size)))
        rim = np.ones(size, dtype=bool)
        rim[6:-6, 6:-6] = False
        shares.append(np.mean(values[rim] > np.quantile(values[30:-30, 30:-30], 0.99)))
    assert np.mean(shares) < 0.05


def test_the_rim_of_a_hole_is_not_brighter_than_the_rest():
    image = samples.texture("twill", (160, 160), seed=1).astype(np.float64)
    image[60:100, 50:90] = np.nan
    values = score(image)
    near = np.zeros((160, 160), dtype=bool)
    near[54:106, 44:96] = True
    near[60:100, 50:90] = False
    far = ~near
    far[60:100, 50:90] = False
    assert abs(values[near].mean() - values[far].mean()) < 0.5 * values[far].std()


def test_missing_pixels_change_nothing_whatever_is_in_them():
    pixels = torch.randn(2, 60, 50, generator=generator())
    valid = torch.rand(60, 50, generator=generator(1)) > 0.1
    valid[10:30, 20:40] = False
    results = []
    for rubbish in (0.0, 1e6, math.nan):
        image = torch.where(valid, pixels, rubbish)
        model, (scores,) = fit((image, valid))
        results.append((scores, model.reconstruct(image, valid), model.score(image, valid)))
    for result in results:
        for found, expected in zip(result, results[0], strict=True):
            assert found.isfinite().all()
            assert torch.equal(found, expected)


def test_same_seed_same_bytes_and_zero_is_a_seed():
    image = samples.texture("tile", (96, 80), seed=0)
    assert score(image, candidates=500).tobytes() == score(image, candidates=500).tobytes()
    assert score(image, candidates=500).tobytes() != score(image, candidates=500, seed=1).tobytes()


def test_several_images_one_by_one_are_what_each_is_alone():
    images = [torch.randn(1, 40, 50, generator=generator(1)), torch.randn(3, 33, 60, generator=generator(2))]
    valid = [torch.ones(image.shape[1:], dtype=torch.bool) for image in images]
    both = SelfSimilarity().fit_each(images, valid, generators=[generator(), generator()])
    for image, known, (_, scores) in zip(images, valid, both, strict=True):
        assert torch.equal(scores, SelfSimilarity().score(image, known, generator=generator()))


def test_images_of_one_surface_are_learned_together():
    """What an image has once is usual where the other image has it too."""
    noise = 0.05 * torch.randn(3, 1, 64, 64, generator=generator())
    stamp = torch.randn(1, 12, 12, generator=generator(1))
    with_it, with_it_too, without = noise
    with_it[:, 20:32, 30:42] += stamp
    with_it_too[:, 40:52, 10:22] += stamp
    known = torch.ones(64, 64, dtype=torch.bool)
    settings = {"scales": 1, "candidates": None, "neighbours": 2, "bandwidth": 0.1, "stride": 4}
    inside = (slice(20, 32), slice(30, 42))

    def stands_out(other):
        model, scores = fit((with_it, known), (other, known), **settings)
        assert len(model.scales[0].memory.patches.corners) == 2 * 57 * 57
        torch.testing.assert_close(model.score(with_it, known), scores[0])
        return scores[0][inside].mean() / scores[0].median()

    assert stands_out(with_it_too) < 0.5 * stands_out(without)


def test_candidates_of_several_images_at_the_same_place_are_all_kept_out():
    pixels = torch.randn(2, 1, 12, 12, generator=generator())
    known = torch.ones(12, 12, dtype=torch.bool)
    one, two = (all_patches(image, known, 4) for image in pixels)
    both = Patches.together([one, two])
    distance, index = similar(one, both, 4, guard=3)
    assert distance.isfinite().all()
    assert ((both.corners[index] - one.corners[:, None]).abs().amax(-1) >= 3).all()
    assert {0, 1} == set((index // len(one.corners)).unique().tolist())


def test_a_model_comes_back_from_pickle_and_scores_images_of_any_size():
    known = torch.ones(70, 80, dtype=torch.bool)
    pixels = torch.randn(2, 70, 80, generator=generator())
    model, (scores,) = fit((pixels, known), candidates=300)
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again.score(pixels, known), scores)
    assert len(again.scales) == 2
    assert len(again.scales[0].memory.patches.values) == 300
    for size in ((1, 1), (5, 60), (90, 100)):
        other = torch.randn(2, *size, generator=generator(1))
        valid = torch.ones(size, dtype=torch.bool)
        assert again.score(other, valid).shape == size
        assert again.score(other, valid).isfinite().all()
        assert again.reconstruct(other, valid, hidden=~valid).isfinite().all()


def test_a_few_patches_are_compared_as_they_are_among_others():
    """Or what is nearly as similar would be chosen in the whole image and not in a window."""
    pixels = torch.randn(3, 40, 40, generator=generator())
    every = all_patches(pixels, torch.ones(40, 40, dtype=torch.bool), 8)
    search = Candidates(every, 8)
    distances, index = search.similar(every, 16)
    for first, count in ((0, 1), (500, 3), (1088, 1), (77, 100)):
        some = slice(first, first + count)
        few = Patches(every.values[some], every.known[some], every.corners[some])
        assert torch.equal(search.similar(few, 16)[0], distances[some])
        assert torch.equal(search.similar(few, 16)[1], index[some])


def test_what_is_hidden_leaves_no_trace_even_where_the_defect_is_there_twice():
    clean = periodic((72, 80), channels=1)
    defective = clean.clone()
    hidden = torch.zeros(72, 80, dtype=torch.bool)
    for row, column in ((20, 10), (45, 50)):  # alike, so that each explains the other
        spot = (slice(row, row + 9), slice(column, column + 9))
        defective[0][spot] = 3
        hidden[spot] = True
    known = torch.ones(72, 80, dtype=torch.bool)
    model, _ = fit((defective, known), candidates=None)
    error = (model.reconstruct(defective, known) - clean)[0, hidden].abs().mean()
    predicted = model.reconstruct(defective, known, hidden=hidden)
    assert error > 1  # or nothing was to be hidden
    assert (predicted - clean)[0, hidden].abs().max() < 0.05
    # And what lies there has no influence.
    other = torch.where(hidden, 100.0, defective)
    assert torch.equal(model.reconstruct(other, known, hidden=hidden), predicted)


@pytest.mark.parametrize("shape", [(16, 16), (16, 150), (151, 17), (40, 40, 1), (40, 40, 2), (40, 40, 12)])
def test_any_shape_and_channel_count(shape):
    values = score(np.random.default_rng(0).normal(size=shape))
    assert values.shape == shape[:2]
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert values.std() > 0


def test_a_constant_image_has_a_constant_map():
    pixels, valid = standard(np.full((64, 48, 3), 7, dtype=np.uint8))
    model, (scores,) = fit((pixels, valid))
    assert not scores.any()
    assert not model.reconstruct(pixels, valid).any()


def test_layers_add_up_to_the_image():
    sample = samples.sample("twill", "stain", (96, 96), seed=2)
    result = ssdnet.localize(sample.image, detector="selfsim")
    assert result.normal is not None
    assert result.anomaly is not None
    assert result.noise is not None
    assert np.array_equal(result.normal + result.anomaly + result.noise, sample.image)
    rest = (sample.image - result.normal)[~sample.mask]
    assert rest.std() < 0.8 * sample.image[~sample.mask].std()


@pytest.mark.slow
def test_clean_textures_rarely_alarm():
    found = [
        ssdnet.localize(samples.texture(name, (128, 128), seed=500 + seed), detector="selfsim", alarms=0.01)
        for name in samples.TEXTURES
        for seed in range(4)
    ]
    # Promised is one in a hundred; two of 28 would be a thirtieth of a chance.
    assert sum(bool(result.regions) for result in found) <= 2


def test_progress_rises_to_one_and_can_stop_the_work():
    seen = []
    score(np.random.default_rng(0).normal(size=(64, 64)), progress=lambda share, _: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)

    def stop(share, message):
        raise Cancelled(message)

    with pytest.raises(Cancelled):
        score(np.zeros((64, 64)), progress=stop)


@pytest.mark.parametrize(
    "wrong",
    [
        {"patch": 1},
        {"neighbours": 0},
        {"guard": 0},
        {"bandwidth": 0.0},
        {"bandwidth": float("inf")},
        {"candidates": 0},
        {"stride": 9},
        {"stride": 1.5},
        {"scales": 0},
        {"radii": ()},
        {"radii": (2, -1)},
        {"radii": [2, 4]},
    ],
)
def test_a_senseless_configuration_is_refused(wrong):
    with pytest.raises(UsageError):
        SelfSimilarity(**wrong)
