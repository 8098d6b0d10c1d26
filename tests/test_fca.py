"""The `fca` detector: histograms say what sorting says, defects are found, missing pixels change nothing."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from hypothesis import given, settings
from hypothesis import strategies as st

import ssdnet
from ssdnet import samples
from ssdnet.detectors.protocol import Detector
from ssdnet.detectors.rivals.fca import FCA, correspondence
from ssdnet.detectors.rivals.fca.filter_banks import BANKS, filter_bank
from ssdnet.detectors.rivals.fca.surface import Surface, context
from ssdnet.errors import Cancelled, UsageError
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize
from ssdnet.maths.window import Window


def run(pixels, valid=None, *, seed=0, progress=lambda *_: None, **configuration):
    """Score a `(C, H, W)` tensor."""
    if valid is None:
        valid = torch.ones(pixels.shape[1:], dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    return FCA(**configuration).score(pixels, valid, generator=generator, progress=progress)


def score(image, **options):
    """Score an array of the user, as the pipeline would."""
    picture = read_image(image)
    return run(torch.from_numpy(standardize(picture).pixels), torch.tensor(picture.valid), **options).numpy()


def auroc(values, mask):
    """Probability that a defective pixel scores above a normal one."""
    order = values.ravel().argsort().argsort()
    positive = mask.ravel()
    ranks = order[positive].sum() - positive.sum() * (positive.sum() - 1) / 2
    return ranks / (positive.sum() * (~positive).sum())


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_sorting(features, tile_size, sigma):
    """Displacement of `(K, H, W)` features without ties: every tile sorted, no quantisation."""
    count, height, width = features.shape
    separate = features.unfold(1, tile_size, tile_size).unfold(2, tile_size, tile_size)
    typical = separate.reshape(count, -1, tile_size**2).sort(dim=2).values.median(dim=1).values
    tiles = F.unfold(features[None], tile_size).view(count, tile_size**2, -1)
    ranks = tiles.argsort(dim=1).argsort(dim=1)
    moved = (tiles - typical[:, :, None].expand_as(tiles).gather(1, ranks)).abs().mean(dim=0)
    axis = torch.arange(tile_size) - tile_size // 2
    weight = torch.exp(-0.5 * (axis[:, None] ** 2 + axis**2) / sigma**2).view(-1, 1)
    total, weights = (
        F.fold(x[None], (height, width), tile_size)[0, 0] for x in (moved * weight, weight.expand_as(moved))
    )
    return total / weights


def test_it_is_a_detector():
    assert isinstance(FCA(), Detector)
    assert isinstance(ssdnet.detectors.create("fca"), FCA)


@pytest.mark.parametrize("tile_size", [3, 9, 17])
@pytest.mark.parametrize("size", [(45, 45), (40, 53)])
def test_histograms_say_what_sorting_says(tile_size, size):
    pixels = noise(2, *size)
    pixels[0] = pixels[0].exp()  # a skewed distribution
    pixels[:, 10:20, 12:22] *= 2.5
    exact = by_sorting(pixels, tile_size, 3.0)
    errors = []
    for bins in (12, 48, 400):
        quantised = run(pixels, features="colour", tile_size=tile_size, smoothing=0, bins=bins, stride=1)
        errors.append(float((quantised - exact).abs().median() / exact.median()))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 0.3
    assert errors[-1] < 0.08


def test_ties_share_their_ranks():
    """Of two values, a tile moves just as many pixels as it has more of one than the typical tile."""
    pixels = (noise(1, 27, 27) > 0.3).float()
    zeros = F.avg_pool2d(1 - pixels[None], 9, stride=1)[0] * 81
    typical = (F.avg_pool2d(1 - pixels[None], 9)[0] * 81).flatten().median()
    moved = torch.where(
        pixels[:, 4:-4, 4:-4] == 0,
        (zeros - typical).clamp_min(0) / zeros,
        (typical - zeros).clamp_min(0) / (81 - zeros),
    )
    # A narrow Gaussian leaves each pixel to the tile about it.
    result = run(pixels, features="colour", tile_sigma=0.1, smoothing=0, stride=1)[4:-4, 4:-4]
    torch.testing.assert_close(result, moved[0], atol=0.01, rtol=0)


def test_a_value_beyond_all_bins_moves_by_its_distance():
    pixels = noise(1, 62, 63)
    pixels[0, 56, 30] = 100.0  # the tiles side by side that make the reference end at row 54
    result = run(pixels, features="colour", smoothing=0)
    assert 95 < result[56, 30] < 100


def test_blocks_change_nothing(monkeypatch):
    image = samples.texture("twill", (60, 77), seed=1)
    whole = score(image)
    monkeypatch.setattr(correspondence, "_BLOCK_VALUES", {"cpu": 24 * 300})
    assert len(list(correspondence.blocks(60, 77, most=300, multiple=2))) > 10
    np.testing.assert_allclose(score(image), whole, atol=1e-5)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(9, 900), st.integers(1, 3))
def test_blocks_cover_the_image_once(height, width, most, multiple):
    covered = np.zeros((height, width), dtype=int)
    for block in correspondence.blocks(height, width, most=most, multiple=multiple):
        covered[block] += 1
        assert all(span.start % multiple == 0 for span in block)
        assert covered[block].size <= 8 * most
    assert (covered == 1).all()


@pytest.mark.parametrize("size", [(60, 61), (57, 58)])
def test_every_second_tile_says_what_all_say(size):
    image = samples.texture("leather", size, seed=2)
    all_of_them = score(image, stride=1)
    for stride in (2, 3):
        fewer = score(image, stride=stride)
        assert np.corrcoef(fewer.ravel(), all_of_them.ravel())[0, 1] > 0.98
        assert abs(np.median(fewer / all_of_them) - 1) < 0.02


@pytest.mark.parametrize("features", BANKS)
def test_features_look_no_further_than_their_margin(features):
    bank = filter_bank(
        features,
        channels=3,
        orbits=1,
        kernel_size=7,
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
    )
    pixels = noise(1, 3, 41, 43)
    before = bank.respond(pixels).clone()
    assert before.shape[2:] == (41 - 2 * bank.margin, 43 - 2 * bank.margin)
    pixels[0, :, 20, 21] += 1
    changed = (bank.respond(pixels) != before).any(dim=1)[0].nonzero() + bank.margin
    assert (changed - torch.tensor([20, 21])).abs().max() == bank.margin


@pytest.mark.parametrize("features", BANKS)
def test_a_position_has_the_same_features_to_the_last_bit_in_any_window_and_tile(features):
    bank = filter_bank(
        features,
        channels=3,
        orbits=1,
        kernel_size=3,
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
    )
    pixels = noise(1, 3, 150 + 2 * bank.margin, 160 + 2 * bank.margin)
    whole = bank.respond(pixels)
    part = bank.respond(pixels[:, :, 30 : 49 + 2 * bank.margin, 101 : 110 + 2 * bank.margin])
    assert torch.equal(part, whole[:, :, 30:49, 101:110])
    one = bank.respond(pixels[:, :, 30 : 31 + 2 * bank.margin, 101 : 102 + 2 * bank.margin])
    assert torch.equal(one, whole[:, :, 30:31, 101:102])
    side = 9 + 2 * bank.margin
    tiles = pixels[0].unfold(1, side, 9).unfold(2, side, 9)[:, :16, :17]
    features = bank.respond(tiles.flatten(1, 2).transpose(0, 1)).unflatten(0, (16, 17))
    assert torch.equal(features.permute(2, 0, 3, 1, 4).reshape(-1, 144, 153), whole[0, :, :144, :153])


def test_laws_filters_ignore_light_and_its_slope():
    bank = filter_bank(
        "laws", channels=1, orbits=1, kernel_size=3, generator=torch.Generator(), device=torch.device("cpu")
    )
    rows = torch.arange(60.0).view(1, 1, 60, 1).expand(1, 1, 60, 60)
    responses = bank.respond(5 + 0.1 * rows)
    edges = responses[:, 3]  # L5E5, the only one that sees a slope
    others = torch.cat([responses[:, :3], responses[:, 4:]], dim=1)
    assert others.abs().max() < 1e-4
    torch.testing.assert_close(edges, edges[:, :1, :1].expand_as(edges), atol=1e-4, rtol=0)


def test_it_finds_a_foreign_patch_and_beats_distance_from_the_mean_colour():
    gains = []
    for texture in samples.TEXTURES:
        sample = samples.sample(texture, "foreign", (128, 128), seed=3)
        values = sample.image.astype(np.float64)
        baseline = np.linalg.norm(values - np.median(values, axis=(0, 1)), axis=2)
        found = auroc(score(sample.image), sample.mask)
        assert found > 0.7, texture
        gains.append(found - auroc(baseline, sample.mask))
    assert np.mean(gains) > 0.05


def _two_values(values):
    return np.sign(values)


def _coarse(values):
    smooth = np.cumsum(np.cumsum(values, axis=0), axis=1)
    smooth = smooth[3:, 3:] - smooth[:-3, 3:] - smooth[3:, :-3] + smooth[:-3, :-3]
    return np.pad(smooth, ((1, 2), (1, 2)), mode="wrap") / smooth.std()


@pytest.mark.parametrize(
    ("features", "change"), [("colour", _two_values), ("laws", _coarse), ("random", _coarse)]
)
def test_a_change_of_the_distribution_is_found_where_single_values_say_nothing(features, change):
    image = np.random.default_rng(4).normal(size=(96, 96))
    mask = np.zeros(image.shape, dtype=bool)
    mask[40:64, 30:54] = True
    image[40:64, 30:54] = change(image[40:64, 30:54])
    assert auroc(np.abs(image), mask) < 0.7
    assert auroc(score(image, features=features), mask) > 0.85


def test_an_anomaly_in_one_of_many_channels_is_found():
    generator = np.random.default_rng(1)
    image = generator.normal(size=(96, 96, 8))
    image[40:52, 30:42, 6] += 3
    mask = np.zeros((96, 96), dtype=bool)
    mask[40:52, 30:42] = True
    assert auroc(score(image), mask) > 0.9


@pytest.mark.parametrize("move", [np.fliplr, np.rot90])
def test_turning_the_image_turns_the_map(move):
    image = samples.texture("leather", (99, 99), seed=1)
    straight = score(image)
    np.testing.assert_allclose(score(np.ascontiguousarray(move(image))), move(straight), atol=2e-3)


@given(st.floats(0.01, 100), st.floats(-1e4, 1e4))
@settings(max_examples=3)
def test_an_affine_change_of_intensity_changes_nothing(gain, offset):
    image = samples.texture("twill", (64, 64), seed=2).astype(np.float64)
    np.testing.assert_allclose(score(image * gain + offset), score(image), atol=1e-3)


def test_same_seed_same_bytes_and_zero_is_a_seed():
    image = samples.texture("tile", (64, 80), seed=0)
    assert score(image, seed=0).tobytes() == score(image, seed=0).tobytes()
    assert score(image, seed=0).tobytes() != score(image, seed=1).tobytes()
    for features in ("laws", "colour"):
        assert score(image, features=features).tobytes() == score(image, features=features, seed=1).tobytes()


@pytest.mark.parametrize("features", BANKS)
def test_a_model_comes_back_from_pickle_and_holds_no_image(features):
    pixels, valid = noise(2, 200, 210), torch.ones(200, 210, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    model, (scores,) = FCA(features=features).fit_score([pixels], [valid], generator=generator)
    stored = pickle.dumps(model)
    assert len(stored) < 0.5 * pixels.numel() * 4
    assert torch.equal(pickle.loads(stored).score(pixels, valid), scores)


def test_images_of_one_surface_are_learned_together():
    """Where an image shows half of a pattern only, the other image says that the rest is usual too."""
    halves = noise(2, 1, 72, 72)
    halves[1] += 3
    both = [torch.cat([halves[0], halves[1]], dim=2), halves[1]]
    known = [torch.ones(image.shape[1:], dtype=torch.bool) for image in both]
    detector, generator = FCA(features="colour"), torch.Generator().manual_seed(0)
    _, scores = detector.fit_score(both, known, generator=generator)
    alone = detector.fit_score(both[1:], known[1:], generator=generator)[1][0]
    assert [score.shape for score in scores] == [image.shape[1:] for image in both]
    assert scores[1].median() < scores[0][:, :72].median()  # of two thirds and of a third of the pixels
    assert alone.median() < scores[1].median()
    # The same image twice is that image, but for where the bins lie.
    first, second = detector.fit_score(both[1:] * 2, known[1:] * 2, generator=generator)[1]
    assert torch.equal(first, second)
    torch.testing.assert_close(first, alone, atol=0.02, rtol=0)


def test_an_image_smaller_than_a_tile_is_scored():
    whole = torch.ones(64, 64, dtype=torch.bool)
    model = FCA(features="colour").fit([noise(1, 64, 64)], [whole], generator=torch.Generator())
    for size in ((1, 1), (5, 80), (7, 7)):
        scores = model.score(noise(1, *size), whole[:1, :1].expand(size))
        assert scores.shape == size
        assert scores.isfinite().all()


@pytest.mark.parametrize("margin", [1, 2, 3, 5, 9])
def test_what_is_filled_in_near_known_pixels_depends_on_the_context_only(margin):
    pixels, valid = noise(1, 320, 320), noise(320, 320, seed=1) > 2.2  # holes of all sizes
    whole = Surface.of(pixels, valid, Window.whole((320, 320)), margin=margin, multiple=1)
    window = Window(128, 180, 192, 200, (320, 320))
    reach = context(margin, 1)
    around = Window(64, 180 + reach, 128, min(200 + reach, 320), (320, 320))
    rows, columns = around.slices
    part = Surface.of(pixels[:, rows, columns], valid[around.slices], around, margin=margin, multiple=5)
    assert (part.window.top, part.window.left) == (65, 130)
    near = F.max_pool2d(valid[None].float(), 2 * margin + 1, stride=1, padding=margin)[0] > 0

    def seen(surface):
        rows, columns = window.within(surface.window)
        return surface.padded[0, 0, margin:, margin:][rows, columns][near[window.slices]]

    torch.testing.assert_close(seen(part), seen(whole))


@pytest.mark.parametrize("features", BANKS)
def test_missing_pixels_have_no_influence(features):
    pixels = noise(3, 64, 72)
    valid = torch.ones(64, 72, dtype=torch.bool)
    valid[20:44, 30:60] = False  # wider than a tile
    valid[noise(64, 72) > 1] = False
    results = []
    for value in (0.0, 1e6, float("nan")):
        result = run(torch.where(valid, pixels, value), valid, features=features)
        assert result[valid].isfinite().all()
        results.append(result[valid].numpy().tobytes())
    assert len(set(results)) == 1


def test_the_rim_of_a_hole_is_not_brighter_than_the_rest():
    image = np.random.default_rng(6).normal(size=(144, 144))
    image[50:100, 40:90] = np.nan
    values = score(image)
    near = np.zeros(image.shape, dtype=bool)
    near[44:106, 34:96] = True
    near &= np.isfinite(image)
    far = np.isfinite(image) & ~near
    assert abs(values[near].mean() - values[far].mean()) < 1.5 * values[far].std()
    assert np.mean(values[near] > np.quantile(values[far], 0.99)) < 0.1


def test_borders_are_not_brighter_than_the_rest():
    """The outer pixels exceed the 99 % quantile of the inside about as often as the inside itself does."""
    shares = []
    for texture in ("twill", "plain_weave", "leather", "brushed_metal"):
        values = score(samples.texture(texture, (160, 160), seed=5))
        rim = np.ones(values.shape, dtype=bool)
        rim[6:-6, 6:-6] = False
        shares.append(np.mean(values[rim] > np.quantile(values[30:-30, 30:-30], 0.99)))
    assert np.mean(shares) < 0.05


def test_a_defect_is_found_with_half_of_the_pixels_missing():
    sample = samples.sample("twill", "stain", (128, 128), seed=4)
    image = sample.image.astype(np.float64)
    image[np.random.default_rng(0).random(sample.mask.shape) < 0.5] = np.nan
    values = score(image)
    seen = np.isfinite(image).all(axis=2)
    assert auroc(values[seen], sample.mask[seen]) > 0.9


def test_one_known_pixel_is_enough_for_a_finite_score():
    for row, column in ((0, 0), (19, 19), (19, 0), (10, 19)):
        valid = torch.zeros(20, 20, dtype=torch.bool)
        valid[row, column] = True
        assert run(noise(1, 20, 20), valid)[row, column].isfinite()


@pytest.mark.parametrize("features", BANKS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 16, 200), (2, 101, 17), (12, 40, 40), (1, 5, 4)])
def test_any_shape_and_channel_count(features, shape):
    result = run(noise(*shape), features=features)
    assert result.shape == shape[1:]
    assert result.dtype == torch.float32
    assert result.isfinite().all()
    assert result.std() > 0


def test_a_constant_image_and_a_constant_channel_score_nothing():
    assert np.ptp(score(np.full((64, 64, 3), 7, dtype=np.uint8))) < 1e-6
    pixels = torch.zeros(2, 40, 40)
    pixels[1] = noise(40, 40)
    torch.testing.assert_close(
        2 * run(pixels, features="colour"), run(pixels[1:], features="colour"), atol=1e-5, rtol=0
    )


def test_clean_textures_seldom_alarm():
    found = [
        len(ssdnet.localize(samples.texture(texture, (96, 96), seed=10_000), detector="fca").regions)
        for texture in samples.TEXTURES
    ]
    assert np.count_nonzero(found) <= 1


def test_progress_rises_to_one_and_can_stop_the_work():
    seen = []
    run(noise(1, 64, 64), progress=lambda share, _: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def stop(share, message):
        raise Cancelled(message)

    with pytest.raises(Cancelled):
        run(noise(1, 64, 64), progress=stop)


@pytest.mark.parametrize(
    "wrong",
    [
        {"features": "gabor"},
        {"orbits": 0},
        {"kernel_size": 4},
        {"tile_size": 8},
        {"tile_size": 1},
        {"tile_size": 201},
        {"tile_sigma": 0},
        {"smoothing": -1.0},
        {"smoothing": float("nan")},
        {"bins": 1},
        {"stride": 0},
        {"stride": 5},
        {"bins": 2.5},
    ],
)
def test_a_senseless_configuration_is_refused(wrong):
    with pytest.raises(UsageError):
        FCA(**wrong)
