"""The benchmark as a whole: it measures, goes on after a kill, names what failed, and writes what it says."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image as Pillow

import ssdnet.detectors
from ssdnet.cli import program
from ssdnet.detectors.protocol import Detector
from ssdnet.detectors.rx import RX
from ssdnet.detectors.ssdnet import SSDnet
from ssdnet.errors import Cancelled, UnknownDetectorError, UsageError
from ssdnet.evaluation.data.datasets import check, find
from ssdnet.evaluation.data.synthetic import synthesize
from ssdnet.evaluation.measure import code, runner
from ssdnet.evaluation.measure.cache import read_measured
from ssdnet.evaluation.measure.judging import truth_of
from ssdnet.evaluation.measure.metrics import aupro, pixel_figures
from ssdnet.evaluation.measure.provenance import provenance
from ssdnet.evaluation.measure.runner import Settings, contenders, run
from ssdnet.evaluation.report.files import write_report
from ssdnet.evaluation.report.gallery import choose
from ssdnet.evaluation.report.summary import summarize
from ssdnet.progress import silent

COMMAND = (sys.executable, "-m", "ssdnet", "bench")
FAST = RX(levels=1, orbits=1)


@dataclass(frozen=True)
class Peculiar(Detector):
    """A detector for tests: fails, waits or takes memory when it is told to."""

    name: ClassVar[str] = "peculiar"
    summary: ClassVar[str] = "brightness"
    assumes: ClassVar[str] = "nothing"
    source: ClassVar[str] = "this test"

    fails_on_width: int = 0
    mebibytes: int = 0
    sleeps: float = 0.0

    def score(self, pixels, valid, *, generator, progress=silent):
        progress(0.5, "looking")
        if valid.shape[1] == self.fails_on_width:
            raise RuntimeError("too wide")
        if self.mebibytes and valid.shape[1] > 40:  # not while warming up
            torch.ones(self.mebibytes << 18)
        time.sleep(self.sleeps)
        return pixels.abs().mean(0) + 1e-3 * torch.rand(valid.shape, generator=generator)


class Broken(Peculiar):
    """Does nothing at all."""

    name: ClassVar[str] = "broken"

    def score(self, pixels, valid, *, generator, progress=silent):
        raise RuntimeError("out of order")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two small sets, as files."""
    folder = tmp_path_factory.mktemp("data")
    synthesize(folder, 2, textures=("twill", "wood"), side=48)
    return folder


@pytest.fixture(scope="module")
def cases(data):
    return check(find(data))


@pytest.fixture
def offered(monkeypatch):
    """Make detectors of this file available by name."""

    def offer(*names):
        points = [EntryPoint(name.lower(), f"{__name__}:{name}", ssdnet.detectors.GROUP) for name in names]
        monkeypatch.setattr(ssdnet.detectors.registry, "entry_points", lambda group: EntryPoints(points))

    return offer


def call(*arguments):
    return CliRunner().invoke(program, ["bench", "--device", "cpu", *map(str, arguments)])


def measured_of(outcome):
    """What is kept of an outcome that has not failed."""
    assert outcome.path is not None
    kept = read_measured(outcome.path)
    assert kept.record == outcome.record
    return kept


def truth(case):
    """The mask of a defective image."""
    mask = truth_of(case)
    assert mask is not None
    return mask


def rows_of(out):
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def without_time(rows):
    return [
        {key: value for key, value in row.items() if key not in ("seconds", "memory_mib", "cpu_share")}
        for row in rows
    ]


def cached(out):
    return {path.name: path.stat().st_mtime_ns for path in (out / runner.CACHE).glob("*.tif")}


# What is measured -------------------------------------------------------------------------------------


def test_every_detector_sees_every_image_with_every_seed(cases, tmp_path):
    seen = []
    outcomes = list(
        run(
            cases,
            {"rx": FAST, "peculiar": Peculiar()},
            out=tmp_path,
            settings=Settings(seeds=(0, 7), device="cpu"),
            progress=lambda *told: seen.append(told),
        )
    )
    assert len(outcomes) == len({(o.case, o.detector, o.seed) for o in outcomes}) == len(cases) * 2 * 2
    assert not any(outcome.error or outcome.earlier for outcome in outcomes)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert 1 - 1 / len(outcomes) <= seen[-1][0] <= 1
    assert any(re.fullmatch("peculiar: wood/.*: looking", message) for _, message in seen)
    for outcome in outcomes:
        measured = measured_of(outcome)
        record = measured.record
        assert measured.score.shape == (48, 48)
        assert record["seed"] == outcome.seed
        assert record["scored"] is not outcome.case.clean
        assert record["seconds"] > 0
        assert (record["auroc"] is None) is outcome.case.clean
        if not outcome.case.clean:
            figures = pixel_figures([measured.score], [truth(outcome.case)], [measured.found])
            assert record["ap"] == figures.ap
    alike = [o for o in outcomes if o.case == cases[0] and o.detector == "peculiar"]
    assert measured_of(alike[0]).record["ap"] != measured_of(alike[1]).record["ap"]  # the seed arrives


def test_means_are_over_seeds_then_images_then_sets(cases, tmp_path):
    few = [case for case in cases if case.label != "wood/001-hole"]
    outcomes = list(run(few, {"p": Peculiar()}, out=tmp_path, settings=Settings(seeds=(0, 1), device="cpu")))
    summary = summarize(outcomes)
    assert summary.sets == ("twill", "wood")
    result = summary.detectors["p"]

    def mean(name, figure):
        return np.mean(
            [measured_of(o).record[figure] for o in outcomes if o.case.set == name and not o.case.clean]
        )

    for figure in ("ap", "auroc", "f1", "hit"):
        expected = (mean("twill", figure) + mean("wood", figure)) / 2
        assert result.means[figure].mean == pytest.approx(expected)
        assert result.sets["twill"][figure] == pytest.approx(mean("twill", figure))
        assert result.means[figure].low <= expected <= result.means[figure].high
    clean = [measured_of(o).record["regions"] for o in outcomes if o.case.clean]
    assert result.means["false_alarms"].mean == pytest.approx(np.mean(clean))
    pooled: dict[str, list[float]] = {"ap": [], "aupro": []}
    for seed in (0, 1):
        maps = [
            (measured_of(o), truth(o.case))
            for o in outcomes
            if o.seed == seed and o.case.set == "twill" and not o.case.clean
        ]
        scores, masks = [m.score for m, _ in maps], [t for _, t in maps]
        pooled["ap"].append(pixel_figures(scores, masks, masks).ap)
        pooled["aupro"].append(aupro(scores, masks, 0.05))
    assert result.sets["twill"]["pooled_ap"] == pytest.approx(np.mean(pooled["ap"]))
    assert result.sets["twill"]["aupro_05"] == pytest.approx(np.mean(pooled["aupro"]))
    assert result.means["ap"].spread > 0
    assert 0 <= result.means["image_auroc"].mean <= 1
    once = summarize([outcome for outcome in outcomes if outcome.seed == 0])
    assert math.isnan(once.detectors["p"].means["ap"].spread)


def test_the_best_comes_first_and_is_better_on_the_same_images(cases, tmp_path):
    outcomes = list(run(cases, {"p": Peculiar(), "rx": FAST}, out=tmp_path, settings=Settings(device="cpu")))
    summary = summarize(outcomes)
    assert list(summary.detectors) == sorted(
        summary.detectors, key=lambda name: -summary.detectors[name].means["ap"].mean
    )
    first, second = summary.detectors
    comparison = summary.comparisons[first, second, "ap"]
    means = [summary.detectors[name].means["ap"].mean for name in (first, second)]
    assert comparison.difference == pytest.approx(means[0] - means[1])
    assert comparison.images == 4


def test_memory_of_the_work_is_measured(cases, tmp_path):
    one = [cases[0]]
    little, much = (
        measured_of(
            next(run(one, {"p": Peculiar(mebibytes=size)}, out=tmp_path, settings=Settings(device="cpu")))
        ).record
        for size in (0, 96)
    )
    if little["memory_mib"] is None:
        pytest.skip("not measured on this system")
    assert little["memory_mib"] < 30
    assert 90 < much["memory_mib"] < 140


def test_times_that_others_have_disturbed_are_told(cases, tmp_path, monkeypatch):
    slow = Peculiar(sleeps=0.2)
    summary = summarize(list(run(cases[:2], {"p": slow}, out=tmp_path, settings=Settings(device="cpu"))))
    assert 0 < summary.detectors["p"].cpu_share < 0.7
    assert summary.detectors["p"].seconds > 0.2
    assert summary.disturbed == ("p",)
    monkeypatch.setattr(runner, "contenders", lambda names, quality: {"p": slow})
    result = call(cases[0].image, "--mask", cases[0].mask, "-o", tmp_path / "out")
    assert "note: other programs were using the CPU, so the times of these are too long: p" in result.stderr
    assert "other programs were using the CPU" in (tmp_path / "out/report.html").read_text("utf-8")


def test_images_are_reduced_first_and_judged_at_the_size_of_the_mask(cases, tmp_path):
    settings = Settings(size=24, device="cpu")
    (outcome,) = run(cases[:1], {"p": Peculiar(fails_on_width=48)}, out=tmp_path, settings=settings)
    assert outcome.error is None
    assert measured_of(outcome).score.shape == (48, 48)


def test_a_defect_that_vanishes_is_told_and_not_scored(tmp_path):
    pixels = np.random.default_rng(0).integers(90, 110, (600, 600), dtype=np.uint8)
    mask = np.zeros((600, 600), np.uint8)
    mask[300, 300] = 255
    for kind, array in (("images", pixels), ("masks", mask)):
        (tmp_path / "set" / kind).mkdir(parents=True)
        Pillow.fromarray(array).save(tmp_path / "set" / kind / "a.png")
    cases = check(find(tmp_path / "set"))
    summary = summarize(list(run(cases, {"p": Peculiar()}, out=tmp_path, settings=Settings(device="cpu"))))
    assert summary.not_scored == cases
    assert math.isnan(summary.detectors["p"].means["ap"].mean)
    result = call(tmp_path / "set", "--detectors", "rx", "--size", "64", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "note: without figures" in result.stderr
    assert "set/a" in result.stderr


# What is kept -----------------------------------------------------------------------------------------


def test_only_the_same_work_is_not_done_again(data, tmp_path):
    folder = tmp_path / "twill"
    shutil.copytree(data / "twill", folder)
    out = tmp_path / "out"

    def earlier(detector=FAST, **settings):
        outcomes = list(
            run(check(find(folder)), {"d": detector}, out=out, settings=Settings(device="cpu", **settings))
        )
        assert not any(outcome.error for outcome in outcomes)
        return sum(outcome.earlier for outcome in outcomes)

    assert earlier() == 0
    assert earlier() == 4
    assert earlier(seeds=(1,)) == 0
    assert earlier(size=40) == 0
    assert earlier(RX(levels=1, orbits=1, smoothing=2.0)) == 0
    assert earlier(Peculiar()) == 0
    assert earlier(batch=3) == 4  # of no influence on one that takes each image alone
    image = np.asarray(Pillow.open(folder / "images/000-stain.png")).copy()
    image[0, 0] ^= 1
    Pillow.fromarray(image).save(folder / "images/000-stain.png")
    assert earlier() == 3
    mask = np.asarray(Pillow.open(folder / "masks/001-hole.png")).copy()
    mask[0, 0] ^= 255
    Pillow.fromarray(mask).save(folder / "masks/001-hole.png")
    assert earlier() == 3
    assert earlier(seeds=(0, 1)) == 4 + 2
    # A file that is cut short is not taken for one that is complete.
    for path in (out / runner.CACHE).glob("*.tif"):
        path.write_bytes(path.read_bytes()[:40])
    assert earlier() == 0


def test_changed_code_is_measured_again(monkeypatch):
    before = code.code_digest(FAST)
    assert code.code_digest(RX()) == before  # settings are a matter of their own
    assert code.code_digest(Peculiar()) != before
    read = code._source
    touched = []

    def edited(module):
        touched.append(module.__name__)
        return read(module) + (b"\n" if module.__name__ == "ssdnet.maths.random_features" else b"")

    monkeypatch.setattr(code, "_source", edited)
    assert code.code_digest(FAST) != before
    assert {
        "ssdnet.detectors.rx",
        "ssdnet.maths.gaussian",
        "ssdnet.calibration",
        "ssdnet.evaluation.measure.metrics",
    } <= {*touched}
    # Nor does it depend on what else happens to be imported.
    assert not {"ssdnet.cli", "ssdnet.evaluation.report.page", "ssdnet.detectors.ssdnet"} & {*touched}
    touched.clear()
    code.code_digest(SSDnet())
    assert {"ssdnet.detectors.ssdnet", "ssdnet.detectors.ssdnet.network", "ssdnet.detectors.texture"} <= {
        *touched
    }


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    texture = np.random.default_rng(0).integers(90, 110, (30, 48, 48), dtype=np.uint8)
    for number, pixels in enumerate(texture):
        mask = np.zeros((48, 48), np.uint8)
        mask[10:16, 20:30] = 255
        for kind, array in (("images", pixels + (mask > 0)), ("masks", mask)):
            (data / "dots" / kind).mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(array.astype(np.uint8)).save(data / "dots" / kind / f"{number:02}.png")
    command = [*COMMAND, str(data), "--detectors", "rx", "--device", "cpu", "-o", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while len(cached(out)) < 5:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    running.kill()
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    kept = cached(out)
    assert 5 <= len(kept) < 30
    assert not (out / "results.csv").exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"({len(kept)} of 30 measured by an earlier run)" in done.stdout
    assert {name: stamp for name, stamp in cached(out).items() if name in kept} == kept
    assert len(cached(out)) == 30
    assert call(data, "--detectors", "rx", "-o", tmp_path / "whole").exit_code == 0
    # This process may have another number of threads, which is part of the name of a map.
    whole = [{**row, "map": ""} for row in without_time(rows_of(tmp_path / "whole"))]
    assert [{**row, "map": ""} for row in without_time(rows_of(out))] == whole


def test_what_is_done_stays_when_a_run_is_stopped(cases, tmp_path):
    def stop(fraction, message):
        if fraction > 3.5 / len(cases):
            raise Cancelled("enough")

    outcomes = run(cases, {"rx": FAST}, out=tmp_path, settings=Settings(device="cpu"), progress=stop)
    with pytest.raises(Cancelled):
        list(outcomes)
    assert len(cached(tmp_path)) == 3


# What fails -------------------------------------------------------------------------------------------


def test_one_failure_is_named_and_the_rest_is_done(data, tmp_path):
    wide = tmp_path / "sets" / "wide"
    shutil.copytree(data / "twill", tmp_path / "sets" / "twill")
    for kind in ("images", "masks"):
        (wide / kind).mkdir(parents=True)
        picture = Pillow.open(next((data / "twill" / kind).iterdir()))
        picture.resize((64, 48)).save(wide / kind / "w.png")
    failing = dataclasses.replace(Peculiar(), fails_on_width=64)
    found = check(find(tmp_path / "sets"))
    detectors = {"fine": Peculiar(), "failing": failing}
    outcomes = list(run(found, detectors, out=tmp_path / "out", settings=Settings(device="cpu")))
    (failed,) = [outcome for outcome in outcomes if outcome.error]
    assert (failed.detector, failed.case.label) == ("failing", "wide/w")
    summary = summarize(outcomes)
    assert summary.detectors["failing"].failed == 1
    assert summary.comparisons["fine", "failing", "ap"].images == 2
    assert summary.comparisons["fine", "failing", "ap"].difference == 0
    assert math.isnan(summary.detectors["failing"].sets["wide"]["ap"])
    made = provenance(Settings(device="cpu"), detectors)
    write_report(tmp_path / "out", summary, outcomes, made)
    page = (tmp_path / "out/report.html").read_text("utf-8")
    assert "1 of 10 failed" in page
    assert "failing, seed 0, wide/w: too wide" in page
    results = json.loads((tmp_path / "out/results.json").read_text("utf-8"))
    assert results["failures"] == [
        {"image": "wide/w", "detector": "failing", "seed": 0, "type": "RuntimeError", "message": "too wide"}
    ]
    (row,) = [row for row in rows_of(tmp_path / "out") if row["error"]]
    assert (row["image"], row["error"], row["ap"]) == ("w", "RuntimeError: too wide", "")


def test_exit_codes_of_failures(data, tmp_path, offered):
    offered("Broken")
    result = call(data / "twill", "--detectors", "rx,broken", "-o", tmp_path)
    assert result.exit_code == 4
    errors = [line for line in result.stderr.splitlines() if " error: " in line]
    assert len(errors) == 4
    assert errors[0] == "ssdnet: error: broken, seed 0: twill/000-stain: RuntimeError: out of order"
    header, *rows = [line.split("\t") for line in result.stdout.splitlines()[:-1]]
    assert header[-1] == "failed"
    assert [(row[0], row[-1]) for row in rows] == [("rx", "0"), ("broken", "4")]
    assert call(data / "twill", "--detectors", "broken", "-o", tmp_path).exit_code == 3
    # What failed is tried again, what was done is not.
    assert (
        "(4 of 8 measured by an earlier run)"
        in call(data / "twill", "--detectors", "rx,broken", "-o", tmp_path).stdout
    )


def test_an_image_that_changes_meanwhile_fails(data, tmp_path):
    shutil.copytree(data / "twill", tmp_path / "twill")
    cases = check(find(tmp_path / "twill"))
    shutil.copy(cases[0].image, cases[1].image)
    outcomes = list(run(cases, {"rx": FAST}, out=tmp_path, settings=Settings(device="cpu")))
    assert [str(outcome.error or "") for outcome in outcomes][1].endswith(
        "it has changed since it was checked"
    )
    assert sum(outcome.error is not None for outcome in outcomes) == 1
    with pytest.raises(UsageError, match="not checked"):
        run(find(tmp_path / "twill").cases, {"rx": FAST}, out=tmp_path)


def test_broken_data_is_named_before_any_work(data, tmp_path):
    shutil.copytree(data, tmp_path / "sets")
    (tmp_path / "sets/twill/masks/000-stain.png").unlink()
    (tmp_path / "sets/wood/images/001-hole.png").write_bytes(b"none")
    result = call(tmp_path / "sets", "--detectors", "rx", "-o", tmp_path / "out")
    assert result.exit_code == 3
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("ssdnet: error: ") for line in lines)
    assert "000-stain" in lines[0]
    assert "001-hole" in lines[1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to look at"),
        (["DATA", "--detectors", "magic"], "no detector 'magic'"),
        (["DATA", "--detectors", "rx,rx"], "each detector once"),
        (
            ["DATA", "--detectors", "rx", "--quality", "draft"],
            "none of these detectors has a quality 'draft'",
        ),
        (["DATA", "--seeds", "0,one"], "--seeds takes whole numbers"),
        (["DATA", "--seeds", ""], "not none"),
        (["DATA", "--seeds", "1,1"], "each once"),
        (["DATA", "--device", "toaster"], "'toaster' is not a device"),
        (["DATA", "--size", "8"], "not in the range"),
        (["--synthetic", "1", "--mask", "m.png"], "--mask and --sets"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_2(data, tmp_path, arguments, message):
    words = [str(data) if word == "DATA" else word for word in arguments]
    result = CliRunner().invoke(program, ["bench", *words, "-o", str(tmp_path / "out")])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_contenders(offered):
    offered("Peculiar")
    assert tuple(contenders()) == ssdnet.detectors.available()
    assert "peculiar" in ssdnet.detectors.available()
    assert list(contenders(["ssdnet", "rx"], "draft")) == ["ssdnet (draft)", "rx"]
    assert contenders(["ssdnet"], "draft") == {"ssdnet (draft)": ssdnet.detectors.create("ssdnet", "draft")}
    with pytest.raises(UnknownDetectorError):
        contenders(["magic"])


def test_a_detector_that_cannot_be_loaded_is_named(offered):
    offered("Nowhere")
    with pytest.raises(UsageError, match=r"detector 'nowhere' cannot be loaded .*leave it out"):
        contenders()


# What is written --------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Takes a page apart: its elements must be closed in order, and what it refers to is collected."""

    EMPTY = frozenset(("meta", "img", "br", "hr", "link", "input"))

    def __init__(self, text):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.references += [
            v for k, v in attrs if k in ("src", "href", "xlink:href", "data", "action", "srcset")
        ]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_needs_nothing_else_and_believes_no_name(data, tmp_path):
    evil = '<img src=x onerror="alert(1)">&\'$x_1$'
    for source, name in (("twill", evil), ("wood", "plain")):
        shutil.copytree(data / source, tmp_path / "sets" / name)
    shutil.move(
        tmp_path / "sets" / evil / "images/000-stain.png", tmp_path / "sets" / evil / "images/<b>|=.png"
    )
    shutil.move(
        tmp_path / "sets" / evil / "masks/000-stain.png", tmp_path / "sets" / evil / "masks/<b>|=.png"
    )
    cases = check(find(tmp_path / "sets"))
    detectors: dict[str, Detector] = {"rx": FAST, "</style><script>alert(2)</script>": Peculiar()}
    settings = Settings(seeds=(0, 1), device="cpu")
    outcomes = list(run(cases, detectors, out=tmp_path, settings=settings))
    summary = summarize(outcomes)
    files = write_report(tmp_path, summary, outcomes, provenance(settings, detectors, ["a <note>"]))
    assert [path.name for path in files] == ["results.csv", "results.json", "table.md", "report.html"]
    text = files[-1].read_text("utf-8")
    page = Page(text)
    assert page.references
    assert all(reference.startswith(("data:image/", "#")) for reference in page.references)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert re.findall(r"url\((?!#)", text) == []
    assert "@import" not in text
    assert not re.search(r"https?://", text)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {reference[1:] for reference in page.references if reference[0] == "#"} <= set(ids)
    words = "".join(page.words)
    assert evil in words
    assert "</style><script>alert(2)</script>" in words
    assert "a <note>" in words
    assert page.tags.count("svg") == 1 + 2
    shown = [case for name in summary.detectors for choice in choose(summary, name) for case in choice.cases]
    assert len(shown) >= 2 * (2 + 2)
    assert page.tags.count("img") == 4 * len(shown)
    assert "prefers-color-scheme: dark" in text
    assert "#010203" not in text
    assert "currentColor" in text
    table = (tmp_path / "table.md").read_text("utf-8")
    for line in table.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (11, 4)
    assert any(row["image"] == "<b>|=" for row in rows_of(tmp_path))


def test_results_are_strict_json_with_all_that_is_needed_to_repeat_them(data, tmp_path):
    result = call(data, "--detectors", "rx", "--seeds", "0,3", "--size", "32", "-o", tmp_path)
    assert result.exit_code == 0, result.output

    def refuse(word):
        raise AssertionError(word)

    made = json.loads((tmp_path / "results.json").read_text("utf-8"), parse_constant=refuse)
    assert made["settings"]["seeds"] == [0, 3]
    assert made["settings"]["size"] == 32
    assert made["detectors"]["rx"]["settings"] == dataclasses.asdict(RX())
    assert made["versions"]["ssdnet"] == ssdnet.__version__
    assert made["machine"]["device"] == "cpu"
    assert made["sets"] == {"twill": {"defective": 2, "clean": 2}, "wood": {"defective": 2, "clean": 2}}
    ap = made["results"]["rx"]["means"]["ap"]
    assert ap["low"] <= ap["mean"] <= ap["high"]
    assert made["failures"] == made["comparisons"] == made["not_scored"] == []
    rows = rows_of(tmp_path)
    assert len(rows) == 8 * 2
    defective = [row for row in rows if row["defect"] == "true"]
    assert np.mean([float(row["ap"]) for row in defective]) == pytest.approx(ap["mean"])
    assert all((tmp_path / row["map"]).exists() for row in rows)
    assert all(row["ap"] == "" for row in rows if row["defect"] == "false")
    header, row, last = result.stdout.splitlines()
    assert header.split("\t")[:3] == ["detector", "AP", "AUROC"]
    assert row.split("\t")[1].startswith(f"{ap['mean']:.3f} (")
    assert last == f"means over 2 sets, 8 images; look at {tmp_path / 'report.html'}"
    assert f"| rx | {ap['mean']:.3f} (" in (tmp_path / "table.md").read_text("utf-8")


def test_a_pair_and_synthetic_sets_from_the_command_line(data, tmp_path, monkeypatch):
    image = data / "twill/images/000-stain.png"
    result = call(
        image, "--mask", data / "twill/masks/000-stain.png", "--detectors", "rx", "-o", tmp_path / "a"
    )
    assert result.exit_code == 0, result.output
    assert [(row["set"], row["image"]) for row in rows_of(tmp_path / "a")] == [("images", "000-stain")]
    small = functools.partial(synthesize, textures=("twill",), side=48)
    monkeypatch.setattr("ssdnet.evaluation.data.synthetic.synthesize", small)
    result = call("--synthetic", 1, "--synthetic-seed", 5, "--detectors", "rx", "-o", tmp_path / "b")
    assert result.exit_code == 0, result.output
    assert {row["set"] for row in rows_of(tmp_path / "b")} == {"synthetic-twill"}
    assert (tmp_path / "b/synthetic-5/twill/masks/000-stain.png").exists()


def test_help_loads_nothing_heavy():
    text = (
        "import sys; sys.argv = ['ssdnet', 'bench', '--help']\n"
        "import atexit, ssdnet.cli\n"
        "heavy = ('torch', 'numpy', 'scipy', 'sklearn', 'matplotlib', 'rich', 'PIL', 'tifffile')\n"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules]))\n"
        "ssdnet.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert "ssdnet bench --synthetic 2 --detectors rx" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_a_missing_package_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)  # importing it fails
    monkeypatch.delitem(sys.modules, "sklearn.metrics", raising=False)
    result = call(data, "--detectors", "rx", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        'ssdnet: error: the figures need scikit-learn, which is not installed: pip install "ssdnet[bench]"'
    ]
    assert not (tmp_path / "out").exists()


def test_the_example_of_the_package_runs(tmp_path, monkeypatch, capsys):
    import ssdnet.evaluation

    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", ssdnet.evaluation.__doc__, re.S)
    exec(compile(example, "example", "exec"), {"__name__": "example"})
    assert 0.5 < float(capsys.readouterr().out) <= 1
    assert Path("bench/cache").is_dir()
