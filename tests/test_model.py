"""Fitted models: they judge as `localize` does, survive files and pickles, and say what they know."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import ssdnet
from ssdnet import detectors, samples
from ssdnet.detectors.protocol import Detector, Model
from ssdnet.detectors.rivals.dip import DIP
from ssdnet.detectors.settings import configured, described, from_settings, settings_of
from ssdnet.detectors.ssdnet import SSDnet, Training
from ssdnet.errors import InputError, UsageError
from ssdnet.model import FittedModel, moved
from ssdnet.model_file import decode, encode

if TYPE_CHECKING:
    from pathlib import Path

QUICK: dict[str, Detector] = {
    "ssdnet": SSDnet(training=Training(widths=(8, 12, 16), batch=4, patch=32, steps=3, precision="float32")),
    "dip": DIP(steps=1),
}


def make(name: str) -> Detector:
    return QUICK.get(name) or detectors.create(name)


def cloth(seed: int, *, defect: str | None = None, side: int = 64):
    if defect is not None:
        return samples.sample("twill", defect, (side, side), seed=seed).image
    return samples.texture("twill", (side, side), seed=seed)


EACH = pytest.mark.parametrize("name", detectors.available())


@EACH
def test_a_model_of_one_image_judges_it_as_localize_does(name):
    image = cloth(0, defect="hole")
    model = ssdnet.fit(image, detector=make(name))
    assert isinstance(model.model, Model)
    result, expected = model.localize(image), ssdnet.localize(image, detector=make(name))
    np.testing.assert_allclose(result.anomaly_map, expected.anomaly_map, rtol=1e-4, atol=1e-5)
    assert result.notes == expected.notes
    assert result.itself
    assert result.detector_settings == expected.detector_settings


@EACH
def test_files_and_pickles_hold_all_of_a_model(name, tmp_path):
    image = cloth(1)
    model = ssdnet.fit(image, detector=make(name), seed=3)
    path = model.save(tmp_path / "a.model")
    for again in (FittedModel.load(path), pickle.loads(pickle.dumps(model))):
        assert again.detector == model.detector
        assert (again.learned, again.seed, again.channels) == (model.learned, 3, model.channels)
        found, expected = again.localize(image), model.localize(image)
        assert found.anomaly_map.tobytes() == expected.anomaly_map.tobytes()
    # The same model, the same bytes.
    assert model.save(tmp_path / "b.model").read_bytes() == path.read_bytes()


@EACH
def test_what_a_model_weighs_does_not_grow_with_the_image(name, tmp_path):
    if name in {"selfsim", "aota"}:
        pytest.skip("its patches, or positions, are its memory, up to a number that is set")
    sizes = [
        ssdnet.fit(cloth(0, side=side), detector=make(name)).save(tmp_path / name).stat().st_size
        for side in (128, 192)
    ]
    assert sizes[1] < 1.3 * sizes[0]


@EACH
def test_a_detector_is_rebuilt_from_the_record_of_a_result(name):
    detector = make(name)
    kind = detectors.load(name)
    other = configured(detector, {described(kind)[-1].name: described(kind)[-1].default})
    record = ssdnet.localize(cloth(0), detector=other).to_dict()
    assert from_settings(kind, record["detector"]["settings"]) == other


def test_several_images_are_learned_together():
    images = [cloth(seed) for seed in range(3)]
    model = ssdnet.fit(images)
    assert [one.name for one in model.learned] == ["array"] * 3
    assert len({one.sha256 for one in model.learned}) == 3
    found = model.localize(cloth(7, defect="hole"))
    assert any("model of other images" in note for note in found.notes)
    assert found.learned == model.learned
    assert not found.itself
    assert not any("other images" in note for note in model.localize(images[0]).notes)
    both = model.localize(cloth(7, defect="hole"), itself=True)
    assert both.itself
    assert not any("other images" in note for note in both.notes)
    assert not np.array_equal(both.anomaly_map, found.anomaly_map)


def test_images_of_one_kind_only():
    grey = cloth(0)[:, :, 0]
    with pytest.raises(UsageError, match=r"1 channels and array has 3"):
        ssdnet.fit([cloth(0), grey])
    model = ssdnet.fit(cloth(0))
    with pytest.raises(UsageError, match=r"fitted to images of 3 channels, and this has 1"):
        model.localize(grey)
    with pytest.raises(UsageError, match="no image to fit"):
        ssdnet.fit([])


def test_a_network_that_makes_one_image_judges_no_other():
    with pytest.raises(UsageError, match="learns one image only"):
        ssdnet.fit([cloth(0), cloth(1)], detector=DIP(steps=1))
    with pytest.raises(UsageError, match="cannot judge another"):
        ssdnet.fit(cloth(0), detector=DIP(steps=1)).localize(cloth(1))


@pytest.mark.parametrize("spoil", ["cut", "text", "empty", "other"])
def test_what_is_no_model_is_refused(spoil, tmp_path):
    path = ssdnet.fit(cloth(0), detector="rx").save(tmp_path / "rx.model")
    data = path.read_bytes()
    other = {
        "cut": data[: len(data) // 2],
        "text": b"hello",
        "empty": b"",
        "other": data.replace(b'"orbits"', b'"orbitz"'),
    }[spoil]
    path.write_bytes(other)
    with pytest.raises(InputError, match=r"rx\.model"):
        FittedModel.load(path)
    with pytest.raises(InputError, match="no_such"):
        FittedModel.load(tmp_path / "no_such")


def test_nothing_that_a_file_says_is_run(tmp_path):
    """A pickle inside of an archive is not opened."""
    with pytest.raises(InputError):
        decode(Training, pickle.dumps(Training()))
    array = np.array([{"a": 1}], dtype=object)
    with pytest.raises(TypeError, match="cannot be saved"):
        encode({"a": 1})
    assert array.dtype == object


def test_a_model_is_moved_only_where_it_is_not_yet():
    model = ssdnet.fit(cloth(0), detector="rx").model
    assert moved(model, torch.device("cpu")) is model
    elsewhere = moved(model, torch.device("meta"))
    assert elsewhere.gaussian.mean.device.type == "meta"
    assert model.gaussian.mean.device.type == "cpu"


# Judged again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alarms", [1e-4, 1e-2, 1.0, 5.0])
def test_another_limit_gives_what_looking_again_gives(alarms):
    sample = samples.demo()
    roi = np.ones(sample.image.shape[:2], dtype=bool)
    roi[:, :60] = False
    once = ssdnet.localize(sample.image, roi=roi).at(alarms)
    again = ssdnet.localize(sample.image, roi=roi, alarms=alarms)
    assert once.regions == again.regions
    np.testing.assert_array_equal(once.labels, again.labels)
    assert once.alarms == alarms
    assert once.at(0.01).regions == ssdnet.localize(sample.image, roi=roi).regions
    with pytest.raises(UsageError, match="alarms must be"):
        once.at(0)


def test_a_saved_map_is_judged_again_without_a_detector(tmp_path: Path):
    import json

    import tifffile

    from ssdnet.calibration import NullModel, judge

    result = ssdnet.localize(samples.demo().image)
    files = {path.suffix: path for path in result.save(tmp_path, formats=["decision", "json"])}
    record = json.loads(files[".json"].read_text())
    found = judge(tifffile.imread(files[".tif"]), NullModel.from_dict(record["null_law"]))
    labels, regions = found.regions(1.0)
    np.testing.assert_array_equal(labels, result.at(1.0).labels)
    assert [one.bbox for one in regions] == [one.bbox for one in result.at(1.0).regions]


def test_seconds_add_up_to_the_time_it_took():
    import time

    image = samples.demo().image
    ssdnet.localize(image)
    start = time.perf_counter()
    result = ssdnet.localize(image)
    assert sum(result.seconds.values()) == pytest.approx(time.perf_counter() - start, rel=0.1, abs=0.02)
    assert set(result.seconds) == {"read", "prepare", "detect", "calibrate", "explain", "diagnose"}


# Settings ------------------------------------------------------------------------------------------------


def test_settings_are_read_from_text():
    detector = configured(
        SSDnet(),
        {"training.steps": "7", "training.widths": "8, 12", "statistics.levels": "none", "blind": "no"},
    )
    assert detector == SSDnet(training=Training(steps=7, widths=(8, 12)), blind=False)
    for name, value, words in (
        ("training.step", "7", "no setting 'training.step'"),
        ("training", "7", "no setting 'training'"),
        ("blind", "maybe", "blind must be true or false"),
        ("training.widths", "a,b", "widths must be whole numbers with commas"),
        ("statistics.levels", "2.5", "levels must be a whole number or none"),
    ):
        with pytest.raises(UsageError, match=words):
            configured(SSDnet(), {name: value})


@EACH
def test_every_setting_says_what_it_is(name):
    found = described(detectors.load(name))
    assert found
    assert all(setting.words for setting in found)
    assert settings_of(detectors.create(name)).keys() == {one.name.partition(".")[0] for one in found}
