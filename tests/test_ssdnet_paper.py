"""What the authors' figure shows of SSDnet: scales, perceptual features, products; and VGG19 from a file."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ssdnet
from ssdnet import samples
from ssdnet.detectors.settings import configured, from_settings, settings_of
from ssdnet.detectors.ssdnet import SSDnet, Training, vgg19
from ssdnet.detectors.ssdnet import training as training_module
from ssdnet.detectors.ssdnet.losses import pixel_loss, window_loss
from ssdnet.detectors.ssdnet.perception import FORMS, KINDS, Perception, perceptual_loss
from ssdnet.detectors.ssdnet.scales import reduced
from ssdnet.errors import InputError, UsageError
from ssdnet.maths.window import Window

QUICK: dict[str, Any] = {
    "training.widths": (4, 6),
    "training.steps": 6,
    "training.batch": 2,
    "training.precision": "float32",
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def made(weights=None, **settings):
    """The recipe of the figure with a small network; settings of training by their own name."""
    own = {field.name for field in dataclasses.fields(Training)}
    named = {f"training.{name}" if name in own else name: value for name, value in settings.items()}
    return configured(SSDnet.paper(weights), {**QUICK, **named})


def picture(channels=1, size=(96, 80), seed=0):
    """A texture as a detector sees it."""
    image = samples.texture("leather", size, seed=seed).astype(np.float32).reshape(*size, -1)[:, :, :1]
    values = torch.from_numpy(image).permute(2, 0, 1).repeat(channels, 1, 1)
    values = values + 3 * torch.randn(values.shape, generator=generator(seed))
    return (values - values.median()) / values.std()


def whole(pixels):
    return torch.ones(pixels.shape[1:], dtype=torch.bool)


def fitted(detector, pixels, valid=None, seed=0):
    known = whole(pixels) if valid is None else valid
    model, (score,) = detector.fit_score([pixels], [known], generator=generator(seed))
    return model, score


def random_state(seed=0):
    """Weights in VGG19's layout; in layers that nobody looks at one number stands for all, to save time."""
    seen = list(vgg19.layout())[: 2 * sum(vgg19.STAGES)]
    return {
        name: torch.randn(shape, generator=generator(seed)) / math.sqrt(math.prod(shape[1:]))
        if name in seen
        else torch.zeros(1).expand(shape)
        for name, shape in vgg19.layout().items()
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights that has VGG19's layout."""
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(random_state(), path)
    return str(path)


def perception(kind, form, channels, weights, window=8):
    return Perception.of(
        kind,
        form,
        channels=channels,
        generator=generator(),
        device=torch.device("cpu"),
        window=window,
        file=weights,
        sha256=vgg19.digest(weights),
    )


EVERY = [(kind, form) for kind in KINDS for form in FORMS]


# Scales --------------------------------------------------------------------------------------------------


def test_patches_of_all_scales_train_together_and_have_one_size(monkeypatch):
    pixels, seen = picture(size=(264, 300)), []
    cut = training_module._corrupted

    def watch(watched, training, side):
        batch = cut(watched, training, side)
        seen.append((tuple(watched.valid.shape), tuple(batch.target.shape)))
        return batch

    monkeypatch.setattr(training_module, "_corrupted", watch)
    detector = made(steps=1)
    subjects = detector.subjects([pixels], [whole(pixels)], [generator()])
    detector.train([subjects], generators=[generator()])
    assert seen == [
        ((66, 75), (2, 1, 32, 32)),  # cells of 2 x 2 squares, at a quarter of the resolution
        ((132, 150), (2, 1, 32, 32)),
        ((264, 300), (2, 1, 32, 32)),
    ]


def test_reducing_takes_the_mean_of_what_is_known():
    pixels = torch.randn(2, 11, 13, generator=generator())
    valid = torch.rand(11, 13, generator=generator(1)) > 0.5
    valid[4:8, 8:12] = False
    small, known = reduced(pixels, valid, 4)
    assert small.shape == (2, 3, 4)
    for row in range(3):
        for column in range(4):
            rows, columns = slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4)
            inside = valid[rows, columns]
            assert known[row, column] == bool(inside.any())
            mean = pixels[:, rows, columns][:, inside].mean(dim=1) if inside.any() else torch.zeros(2)
            torch.testing.assert_close(small[:, row, column], mean)
    assert not known[1, 2]


def test_cells_are_no_larger_than_a_patch_and_no_smaller_than_the_smallest():
    training = Training(grids=(2, 4, 8), patch=64)
    assert training.patch_side((1024, 2000)) == 64
    assert training.patch_side((64, 64)) == 16
    assert training.factors((64, 64)) == (4, 2, 1)
    assert training.factors((16, 90)) == (1,)
    assert Training(grids=(8, 2)).factors((300, 300)) == (4, 1)
    assert Training().factors((300, 300)) == (1,)


@pytest.mark.parametrize("kind", ["windows", "random", "vgg19"])
def test_a_window_equals_the_same_part_of_the_whole(kind, weights):
    detector = made(weights if kind == "vgg19" else None, perceptual=kind, grids=(2, 4), offsets=2, steps=3)
    pixels = picture(size=(421, 90))
    valid = torch.rand(421, 90, generator=generator()) > 0.03
    valid[100:140, 30:60] = False
    model, score = fitted(detector, pixels, valid)
    spread = float(score[valid].max() - score[valid].min())
    for window in (Window(401, 421, 51, 90, (421, 90)), Window(1, 33, 0, 50, (421, 90))):
        outer = window.around(model.halo)
        assert outer.size[0] < 421
        rows, columns = outer.slices
        part = model.score(pixels[:, rows, columns], valid[rows, columns], window=window)
        known = valid[window.slices]
        assert float((part - score[window.slices])[known].abs().max()) <= 1e-4 * spread


@pytest.mark.parametrize("kind", ["windows", "random", "vgg19"])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_missing_is_not_looked_at(kind, form, weights):
    detector = made(weights if kind == "vgg19" else None, perceptual=kind, perceptual_loss=form, steps=2)
    pixels = picture(size=(64, 50))
    valid = whole(pixels)
    valid[10:30, 20:37] = False
    other = pixels.clone()
    other[:, ~valid] = 1e6
    (model, score), (same_model, same) = (fitted(detector, one, valid) for one in (pixels, other))
    assert torch.equal(score[valid], same[valid])
    assert torch.equal(model.score(other, valid)[valid], score[valid])
    assert torch.equal(model.reconstruct(pixels, valid), same_model.reconstruct(other, valid))


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 16, 90), (4, 33, 47), (1, 24, 18)], ids=str)
@pytest.mark.parametrize("kind", ["windows", "random"])
def test_any_size_and_number_of_channels(shape, kind):
    pixels = torch.randn(shape, generator=generator())
    model, score = fitted(made(perceptual=kind, steps=2), pixels)
    assert score.shape == shape[1:]
    assert torch.isfinite(score).all()
    assert score.std() > 0
    # Also an image smaller than what was learned.
    small = torch.randn(shape[0], 16, 16, generator=generator(1))
    assert torch.isfinite(model.score(small, whole(small))).all()


def test_together_is_as_alone():
    images = [picture(size=(64, 80)), picture(size=(200, 210), seed=1), picture(3, size=(64, 64))]
    together = made().fit_each(
        images,
        [whole(one) for one in images],
        generators=[generator(seed) for seed in range(3)],
    )
    for seed, (image, (_, score)) in enumerate(zip(images, together, strict=True)):
        alone = fitted(made(), image, seed=seed)[1]
        torch.testing.assert_close(score, alone, atol=1e-2, rtol=1e-2)


def test_several_images_of_one_surface_train_one_network():
    images = [picture(size=(64, 80)), picture(size=(140, 150), seed=1)]
    model, scores = made().fit_score(images, [whole(one) for one in images], generator=generator())
    assert [score.shape for score in scores] == [(64, 80), (140, 150)]
    for image, score in zip(images, scores, strict=True):
        torch.testing.assert_close(model.score(image, whole(image)), score, rtol=1e-4, atol=1e-5)


# Switches ------------------------------------------------------------------------------------------------


def test_every_switch_changes_the_result(weights):
    pixels = picture(size=(64, 64))
    vgg = {"perceptual": "vgg19", "perceptual_weights": weights}
    variants: dict[str, dict[str, Any]] = {
        "figure": {},
        "two grids": {"grids": (4, 8)},
        "one scale": {"grids": ()},
        "absolute": {"pixel_loss": "absolute"},
        "inner": {"perceptual_loss": "inner"},
        "windows": {"perceptual": "windows"},
        "vgg19": vgg,
        "vgg19, inner": {**vgg, "perceptual_loss": "inner"},
        "sum": {"combination": "sum"},
        "no perceptual loss": {"structure_weight": 0.0},
        "no perceptual map": {"perceptual": "random", "SSDnet.perceptual": 0.0},
        "no residual map": {"raw": 0.0},
        "down-weighting": {"downweight": True, "steps": 60},
        "as long": {"steps": 60},
    }
    scores: dict[str, torch.Tensor] = {}
    for name, settings in variants.items():
        alone = settings.pop("SSDnet.perceptual", 1.0)
        detector = dataclasses.replace(made(**settings), perceptual=alone)
        scores[name] = fitted(detector, pixels)[1]
        assert torch.isfinite(scores[name]).all()
    for name, score in scores.items():
        for other, another in scores.items():
            assert name == other or not torch.equal(score, another), (name, other)


def test_same_seed_same_bytes_other_seed_other_features():
    pixels = picture(3)
    (model, first), (_, again), (other, third) = (fitted(made(), pixels, seed=seed) for seed in (0, 0, 1))
    assert first.numpy().tobytes() == again.numpy().tobytes()
    assert not torch.equal(first, third)
    kernels = [one.maps.perception.weights[0] for one in (model, other)]
    assert not torch.equal(*kernels)


def test_random_features_take_nothing_from_what_others_draw():
    """The network begins with the same weights whatever it is compared by."""
    pixels = picture()
    trained = [
        made(perceptual=kind, steps=1, learning_rate=1e-8).fit(
            [pixels], [whole(pixels)], generator=generator()
        )
        for kind in ("windows", "random")
    ]
    for own, other in zip(trained[0].weights, trained[1].weights, strict=True):
        torch.testing.assert_close(own, other, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("combination", "expected"), [("sum", 2 + 0.5 * 3), ("product", 2 * 3)])
def test_losses_are_added_or_multiplied(monkeypatch, combination, expected):
    def constant(value):
        return lambda *args, **_: 0 * args[-2].sum() + 0 * args[-3].sum() + torch.full((1,), float(value))

    monkeypatch.setattr(training_module, "pixel_loss", constant(2))
    monkeypatch.setattr(training_module, "perceptual_loss", lambda _, *rest: constant(3)(*rest))
    detector = made(combination=combination, structure_weight=0.5, steps=1)
    pixels = picture()
    (trained,) = detector.train(
        [detector.subjects([pixels], [whole(pixels)], [generator()])], generators=[generator()]
    )
    assert trained.loss == pytest.approx(expected)


def test_squared_pixels_count_large_differences_more():
    target = torch.zeros(1, 1, 2, 4, 4)
    prediction = target.clone()
    prediction[..., 0, 0] = 4.0
    weight = torch.ones(1, 1, 1, 4, 4)
    assert pixel_loss(prediction, target, weight).item() == pytest.approx(4 / 16)
    assert pixel_loss(prediction, target, weight, form="squared").item() == pytest.approx(16 / 16)


def test_squared_windows_ignore_the_mean_and_see_the_contrast():
    target = torch.randn(1, 1, 1, 32, 32, generator=generator())
    weight = torch.ones_like(target)

    def loss(prediction):
        return window_loss(prediction, target, window=8, weight=weight, form="squared").item()

    assert loss(target + 3) == pytest.approx(0, abs=1e-5)
    assert loss(2 * target) == pytest.approx(1, abs=0.15)
    assert loss(-target) == pytest.approx(4, abs=0.6)


@pytest.mark.parametrize(("kind", "form"), EVERY)
def test_gradients_flow_to_what_counts_and_nowhere_else(kind, form, weights):
    target = torch.randn(2, 2, 3, 16, 16, generator=generator())
    prediction = torch.randn(2, 2, 3, 16, 16, generator=generator(1)).requires_grad_()
    weight = torch.ones(2, 2, 1, 16, 16)
    weight[:, :, :, :, 11:] = 0
    features = [perception(kind, form, 3, weights)] * 2
    losses = perceptual_loss(features, prediction, target, weight)
    assert losses.shape == (2,)
    losses[0].backward()
    slope = prediction.grad
    assert slope is not None
    assert torch.isfinite(slope).all()
    assert (slope[:, 0, :, :, :10].abs().sum(dim=(0, 1)) > 0).all()
    assert (slope[:, 1] == 0).all()  # of another network
    assert (slope[:, :, :, :, 11:] == 0).all()


@pytest.mark.parametrize(("kind", "form"), EVERY)
def test_nothing_differs_from_itself_and_more_noise_differs_more(kind, form, weights):
    target = torch.randn(1, 1, 3, 32, 32, generator=generator())
    noise = torch.randn(target.shape, generator=generator(1))
    features, weight = [perception(kind, form, 3, weights)], torch.ones(1, 1, 1, 32, 32)
    losses = [perceptual_loss(features, target + by * noise, target, weight).item() for by in (0, 0.3, 1.0)]
    assert losses[0] == pytest.approx(0, abs=1e-4)
    assert losses[0] < losses[1] < losses[2]


@pytest.mark.parametrize(("kind", "form"), EVERY)
def test_the_maps_are_highest_where_image_and_prediction_differ(kind, form, weights):
    prediction = torch.randn(1, 41, 50, generator=generator())
    image = prediction + 0.01 * torch.randn(prediction.shape, generator=generator(1))
    image[0, 20:26, 30:36] = torch.randn(6, 6, generator=generator(2)) * 2
    maps = perception(kind, form, 1, weights).maps(prediction, image, torch.ones(41, 50, dtype=torch.bool))
    assert len(maps) == (1 if kind == "windows" else 3)
    for values in maps:
        assert values.shape == (41, 50)
        row, column = divmod(int(values.argmax()), 50)
        assert 14 <= row <= 31
        assert 24 <= column <= 41


def test_the_recipe_finds_a_defect():
    sample = samples.sample("plain_weave", "hole", (128, 128), seed=0)
    found = ssdnet.localize(sample.image, detector=made(widths=(8, 12, 16), steps=60, batch=4)).anomaly_map
    order = found.ravel().argsort().argsort()
    inside = sample.mask.ravel()
    ranks = order[inside].sum() - inside.sum() * (inside.sum() - 1) / 2
    assert ranks / (inside.sum() * (~inside).sum()) > 0.8


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"grids": (3, 8)}, "grids must divide the largest of them"),
        ({"grids": (0, 8)}, "grids must be a tuple of 0 to 5 positive"),
        ({"grids": (8,), "input": "noise"}, "noise has one scale only"),
        ({"pixel_loss": "cubic"}, "pixel_loss must be one of absolute, squared"),
        ({"perceptual": "resnet"}, "perceptual must be one of windows, random, vgg19"),
        ({"perceptual_loss": "l1"}, "perceptual_loss must be one of inner, squared"),
        ({"combination": "mean"}, "combination must be one of sum, product"),
        ({"perceptual": "vgg19"}, "needs perceptual_weights.*nothing is downloaded"),
        ({"perceptual_weights": "some.pth"}, "are for perceptual=vgg19 only"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        Training(**settings)


# VGG19 from a file ---------------------------------------------------------------------------------------


def test_features_are_those_of_vgg19(weights):
    """Built as its paper draws it, with the file's names as places in a list of layers."""
    layers: list[nn.Module] = []
    before = 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()] if width else [nn.MaxPool2d(2)]
        before = width or before
    network = nn.Sequential(*layers)
    state = torch.load(weights, weights_only=True)
    network.load_state_dict({name.removeprefix("features."): one for name, one in state.items()})  # strict
    image = torch.randn(2, 3, 24, 32, generator=generator())
    found = perception("vgg19", "squared", 3, weights).features(image)
    for features, end in zip(found, (4, 9, 18), strict=True):  # relu1_2, relu2_2, relu3_4
        with torch.no_grad():
            torch.testing.assert_close(features, network[:end](image))
    grey = perception("vgg19", "squared", 1, weights).features(image[:, :1])
    repeated = perception("vgg19", "squared", 3, weights).features(image[:, :1].repeat(1, 3, 1, 1))
    assert all(torch.equal(a, b) for a, b in zip(grey, repeated, strict=True))


@pytest.mark.parametrize("channels", [2, 4])
def test_vgg19_refuses_what_is_neither_grey_nor_colour(channels, weights):
    with pytest.raises(UsageError, match=f"this has {channels} channels; take perceptual=random or windows"):
        fitted(made(weights), picture(channels))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_recipe_runs_with_vgg19(channels, weights):
    score = fitted(made(weights, steps=2), picture(channels, size=(40, 48)))[1]
    assert torch.isfinite(score).all()


def saved(tmp_path, state, name="other.pth"):
    path = tmp_path / name
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("features.5.weight", None, "it has no features.5.weight"),
        ("features.34.bias", None, "it has no features.34.bias"),
        (
            "features.0.weight",
            torch.zeros(64, 1, 3, 3),
            r"features.0.weight is .*\(64, 1, 3, 3\), not numbers",
        ),
        ("features.2.bias", torch.zeros(64, dtype=torch.int64), "features.2.bias is torch.int64"),
        ("features.2.bias", "text", "it has no features.2.bias"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path, name, value, words):
    state = random_state()
    if value is None:
        del state[name]
    else:
        state[name] = value
    detector = made(str(saved(tmp_path, state)))
    with pytest.raises(InputError, match=f"other.pth: this is not VGG19: {words}"):
        fitted(detector, picture())


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 truncated"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    path = tmp_path / "some.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"some.pth: this is no file of weights that torch can read"):
        fitted(made(str(path)), picture())


def test_a_file_of_something_else_is_refused_and_runs_no_code(tmp_path):
    with pytest.raises(InputError, match="this holds a list, and no weights by name"):
        fitted(made(str(saved(tmp_path, [1, 2]))), picture())
    with pytest.raises(InputError, match="no file of weights that torch can read"):
        fitted(made(str(saved(tmp_path, {"features.0.weight": Path("x")}, "code.pth"))), picture())


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(
        InputError, match=r"gone.pth: the weights of VGG19 cannot be read.*nothing is downloaded"
    ):
        SSDnet.paper(str(tmp_path / "gone.pth"))


def test_a_name_that_tells_the_hash_must_tell_the_truth(tmp_path):
    path = saved(tmp_path, random_state(), "vgg19-dcbb9e9d.pth")
    with pytest.raises(InputError, match=r"its SHA-256 begins with .*, not with dcbb9e9d as its name says"):
        SSDnet.paper(str(path))
    true = vgg19.digest(str(path.rename(tmp_path / "plain.pth")))
    named = (tmp_path / "plain.pth").rename(tmp_path / f"vgg19-{true[:8]}.pth")
    assert SSDnet.paper(str(named)).training.perceptual_sha256 == true


def test_another_file_in_its_place_is_noticed(tmp_path):
    path = saved(tmp_path, random_state())
    detector = made(str(path), steps=1)
    saved(tmp_path, random_state(1))
    with pytest.raises(InputError, match=r"its SHA-256 is .*, and the settings ask for"):
        fitted(detector, picture())


def test_the_record_names_the_file_and_rebuilds_the_detector_where_it_is_gone(tmp_path):
    path = saved(tmp_path, random_state())
    detector = made(str(path), steps=1)
    image = samples.texture("leather", (48, 48), seed=0)
    result = ssdnet.localize(image, detector=detector)
    written = json.loads(json.dumps(dict(result.detector_settings)))
    assert written["training"]["perceptual_sha256"] == vgg19.digest(str(path))
    path.unlink()
    again = from_settings(SSDnet, written)
    assert again == detector
    assert settings_of(again) == settings_of(detector)
    with pytest.raises(InputError, match="cannot be read"):
        ssdnet.localize(image, detector=again)


@pytest.mark.parametrize("kind", ["random", "vgg19"])
def test_a_model_file_needs_no_file_of_weights(tmp_path, kind):
    path = saved(tmp_path, random_state())
    detector = made(str(path) if kind == "vgg19" else None, steps=2)
    image = samples.texture("leather", (48, 56), seed=0)
    model = ssdnet.fit([image], detector=detector)
    before = model.localize(image).anomaly_map
    kept = model.save(tmp_path / "surface.ssdnet")
    path.unlink()
    after = ssdnet.FittedModel.load(kept).localize(image).anomaly_map
    np.testing.assert_array_equal(before, after)
