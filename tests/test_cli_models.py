"""`ssdnet fit`, `locate --model` and `--together`, `--set`, `--threads` and `detectors NAME`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from PIL import Image as Pillow

import ssdnet
from ssdnet import samples
from ssdnet.cli import program


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with four pictures of the same cloth, the last of them with a hole."""
    monkeypatch.chdir(tmp_path)
    Path("p").mkdir()
    for seed in range(3):
        Pillow.fromarray(samples.texture("twill", (96, 96), seed=seed)).save(f"p/{seed}.png")
    Pillow.fromarray(samples.sample("twill", "hole", (96, 96), seed=3).image).save("p/hole.png")
    return tmp_path


def call(*words):
    return CliRunner().invoke(program, [str(word) for word in words])


def records(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_model_is_fitted_and_judges_others(here):
    fitted = call("fit", "p/0.png", "p/1.png", "-o", "m/cloth.model", "--set", "levels=2")
    assert fitted.exit_code == 0, fitted.stderr
    assert "a model of 2 images by texture" in fitted.stdout
    result = call("locate", "p", "--model", "m/cloth.model", "--json", "--save", "map,json")
    assert result.exit_code == 0, result.stderr
    assert "p/2.png" in result.stderr
    assert "judged by a model of other images" in result.stderr
    by_name = {Path(record["input"]["name"]).name: record for record in records(result)}
    assert by_name["hole.png"]["detector"]["settings"]["levels"] == 2
    assert [Path(one["name"]).name for one in by_name["hole.png"]["learned"]] == ["0.png", "1.png"]
    model = ssdnet.FittedModel.load("m/cloth.model")
    np.testing.assert_array_equal(
        tifffile.imread("ssdnet-results/hole.anomaly.tif"), model.localize("p/hole.png").anomaly_map
    )


def test_together_is_a_model_of_all_and_each_by_itself(here):
    result = call("locate", "p", "--together", "--json", "--save", "map,json")
    assert result.exit_code == 0, result.stderr
    files = sorted(Path("p").glob("*.png"))
    expected = ssdnet.fit(files).localize("p/hole.png", itself=True)
    np.testing.assert_array_equal(tifffile.imread("ssdnet-results/hole.anomaly.tif"), expected.anomaly_map)
    assert all(record["itself"] and len(record["learned"]) == 4 for record in records(result))
    # A run that goes on knows its model by what it was fitted to.
    again = call("locate", "p", "--together", "--resume", "--save", "map,json")
    assert "4 of them done by an earlier run" in again.stdout
    Pillow.fromarray(samples.texture("twill", (96, 96), seed=9)).save("p/9.png")
    assert "earlier run" not in call("locate", "p", "--together", "--resume", "--save", "map,json").stdout


def test_what_cannot_be_read_is_left_out_of_the_model_and_fails(here):
    Path("p/bad.png").write_bytes(b"no image")
    result = call("locate", "p", "--together", "--json", "--save", "json")
    assert result.exit_code == 4
    assert {len(record["learned"]) for record in records(result) if "learned" in record} == {4}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["locate", "p", "--model", "m.model", "--detector", "rx"], "has its detector and settings in it"),
        (["locate", "p", "--model", "m.model", "--together"], "has its detector and settings in it"),
        (["locate", "p", "--set", "levels"], "is not NAME=VALUE"),
        (["locate", "p", "--set", "levels=2", "--set", "levels=3"], "given twice"),
        (["locate", "p", "--set", "colour=red"], "has no setting 'colour'; it has levels, patches"),
        (["locate", "p", "--set", "levels=many"], "levels must be a whole number or none"),
        (["locate", "p", "--set", "patches=4,3"], "patches must be odd"),
        (["fit", "p/0.png"], "Missing option"),
        (["fit", "p", "-o", "x.model", "--detector", "dip"], "learns one image only"),
        (["detectors", "magic"], "no detector 'magic'"),
    ],
)
def test_wrong_usage_is_2_and_leaves_nothing(here, words, message):
    ssdnet.fit("p/0.png").save("m.model")
    before = sorted(here.rglob("*"))
    result = call(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert sorted(here.rglob("*")) == before


def test_a_file_that_is_no_model_is_3(here):
    result = call("locate", "p", "--model", "p/0.png")
    assert result.exit_code == 3
    assert "p/0.png: this is no model that ssdnet fit has written" in result.stderr


def test_the_settings_of_a_detector_are_listed(here):
    result = call("detectors", "ssdnet")
    assert result.exit_code == 0
    assert "training.steps=200\n" in result.stdout
    assert "statistics.patches=5,3\n" in result.stdout
    assert "statistics.levels=none\n" in result.stdout
    assert "Shifted grids of blocks" in result.stdout
    assert call("detectors", "auto").stdout.startswith("texture (auto)")
    # What is listed can be given.
    pairs = [line.strip() for line in call("detectors", "texture").stdout.splitlines() if "=" in line]
    options = [word for pair in pairs if "NAME" not in pair for word in ("--set", pair)]
    assert len(options) >= 12
    assert call("locate", "p/0.png", "--save", "json", *options).exit_code == 0


@pytest.mark.parametrize("count", [1, 2])
def test_threads_are_set_for_the_call_only(here, count):
    before = torch.get_num_threads()
    result = call("locate", "p/0.png", "--save", "json", "--json", "--threads", count)
    assert records(result)[0]["threads"] == count
    assert torch.get_num_threads() == before
    assert ssdnet.localize("p/0.png").threads == 1
    assert ssdnet.localize(np.zeros((1024, 600)), threads=None).threads <= before
