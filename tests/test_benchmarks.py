"""Benchmarks that users run on data of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from ssdnet import samples

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(name, *arguments):
    command = [sys.executable, str(BENCHMARKS / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_mvtec_layout_is_scored(tmp_path):
    for number, defect in enumerate(("hole", "stain")):
        sample = samples.sample("twill", defect, (96, 128), seed=number)
        for path, pixels in (
            (tmp_path / "carpet" / "test" / defect / "000.png", sample.image),
            (
                tmp_path / "carpet" / "ground_truth" / defect / "000_mask.png",
                sample.mask.astype(np.uint8) * 255,
            ),
        ):
            path.parent.mkdir(parents=True)
            Image.fromarray(pixels).save(path)
    options = ("--detector", "rx", "--size", "80", "--out", tmp_path / "out")
    done = run("mvtec.py", tmp_path, "carpet", *options)
    assert done.returncode == 0, done.stderr
    assert run("mvtec.py", tmp_path, "carpet", *options).stdout == done.stdout  # nothing is measured twice
    category, images, auroc, *_ = (cell.strip() for cell in done.stdout.splitlines()[2].strip("|").split("|"))
    assert (category, images) == ("carpet", "2")
    assert float(auroc) > 0.9


def test_a_folder_without_images_is_named(tmp_path):
    (tmp_path / "carpet" / "test").mkdir(parents=True)
    done = run("mvtec.py", tmp_path, "carpet")
    assert done.returncode == 1
    assert f"{tmp_path / 'carpet'}: no image in this set" in done.stderr


def test_a_checkout_that_is_none_is_named(tmp_path):
    done = run("fca_original.py", tmp_path, tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path} is no checkout of AnomalyLocalizationFCA" in done.stderr


def test_the_lack_of_the_original_program_is_said(tmp_path):
    (tmp_path / "main_model").touch()
    done = run("selfsim_original.py", tmp_path, tmp_path)
    assert done.returncode == 1
    assert "IPOL 2019.263: no main_detection, decompose.py, convert.py there" in done.stderr


def small_set(folder):
    """Two images with masks, as `ssdnet bench` takes them."""
    for number, defect in enumerate(("hole", "stain")):
        sample = samples.sample("twill", defect, (96, 128), seed=number)
        for part, pixels in (("images", sample.image), ("masks", sample.mask.astype(np.uint8) * 255)):
            path = folder / part / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


@pytest.mark.slow
def test_the_power_of_the_calibration_is_measured_on_the_core_sets(tmp_path):
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from core import CORE
    finally:
        sys.path.remove(str(BENCHMARKS))
    for name in CORE:
        small_set(tmp_path / "data" / name)
    done = run("power.py", tmp_path / "data", tmp_path / "out", "--detectors", "phot")
    assert done.returncode == 0, done.stderr
    assert "━" not in done.stdout  # progress is not a part of the page
    assert sum(line.startswith("| phot | ") for line in done.stdout.splitlines()) == 2
    assert all(f"| {name} | " in done.stdout for name in CORE)


@pytest.mark.slow
def test_false_alarms_and_extents_are_counted_on_clean_images(tmp_path):
    few = ("--images", 2, "--sides", 64)
    counted = run(
        "false_alarms.py", tmp_path, "--detectors", "phot", "rx:1", *few, "--plot", tmp_path / "plot.png"
    )
    assert counted.returncode == 0, counted.stderr
    rows = re.findall(r"^\| (phot|rx) \| (\d+) \|", counted.stdout, re.MULTILINE)
    images = {name: sum(int(number) for other, number in rows if other == name) for name in ("phot", "rx")}
    assert images["phot"] == 34  # 17 kinds, of one texture or not
    assert images["rx"] == 17
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 200
    extents = run("region_extents.py", tmp_path, "--detectors", "rx", *few)
    assert extents.returncode == 0, extents.stderr
    rows = [line for line in extents.stdout.splitlines() if line.startswith("| `rx` | ")]
    assert rows
    for row in rows:
        numbers = [float(cell) for cell in row.strip("|").split("|")[4:]]
        assert numbers == sorted(numbers, reverse=True)


@pytest.mark.slow
def test_most_defects_are_explained_and_most_clean_places_are_not():
    done = run("explanations.py", "--seeds", 1)
    assert done.returncode == 0, done.stderr
    defects, clean = (
        [[int(cell) for cell in line.split("|")[2:4]] for line in table.splitlines()[2:]]
        for table in done.stdout.split("\n\n")
    )
    for rows, low, high in ((defects, 0.7, 1.0), (clean, 0.0, 0.1)):
        shown, explained = np.sum(rows, axis=0)
        assert low <= explained / shown <= high


@pytest.mark.slow
def test_a_page_is_made_anew_from_the_commands_it_names(tmp_path):
    small_set(tmp_path / "data" / "cloth")
    page = tmp_path / "page.md"
    command = "benchmarks/fair.py DATA OUT --sets cloth --synthetic 1 --detectors rx,phot --plot OUT/plot.svg"
    words = command.replace("OUT/plot.svg", str(tmp_path / "plot.svg"))
    page.write_text(
        f"# Kept\n\n<!-- output of {words} -->\nold\n<!-- end of output -->\n\nkept, too\n"
        "<!-- output of benchmarks/startup.py --runs 1 -->\nuntouched\n<!-- end of output -->\n"
    )
    done = run(
        "regenerate.py", tmp_path / "data", "--only", "fair", "--out", tmp_path / "out", "--page", page
    )
    assert done.returncode == 0, done.stderr
    text = page.read_text("utf-8")
    assert text.startswith(f"# Kept\n\n<!-- output of {words} -->\n\n### Real images\n")
    assert "\nold\n" not in text
    assert "\nkept, too\n" in text
    assert "\nuntouched\n" in text
    assert "(2 images with a defect, 0 without)" in text
    assert "(7 images with a defect, 7 without)" in text
    lines = text.splitlines()
    assert sum(line.startswith("| rx | 0.") for line in lines) == 4  # two tables for each kind of image
    assert sum(line.startswith("| phot | +0.") for line in lines) >= 1  # of one against another
    assert sum(line.startswith("| cloth | ") for line in lines) == 2
    assert ET.fromstring((tmp_path / "plot.svg").read_text("utf-8")).tag.endswith("svg")
    assert (tmp_path / "out" / "real" / "report.html").exists()
    again = run(
        "regenerate.py", tmp_path / "data", "--only", "fair", "--out", tmp_path / "out", "--page", page
    )
    assert again.returncode == 0, again.stderr
    assert page.read_text("utf-8") == text  # nothing is measured twice


def test_a_part_that_the_page_does_not_have_is_named(tmp_path):
    (tmp_path / "page.md").write_text("<!-- output of benchmarks/speed.py -->\n<!-- end of output -->\n")
    done = run("regenerate.py", tmp_path, "--only", "magic", "--page", tmp_path / "page.md")
    assert done.returncode == 2
    assert "no part of 'magic'; there are: speed" in done.stderr


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("benchmarks", {"fair.py"}),
        ("calibration", {"false_alarms.py", "region_extents.py", "power.py", "explanations.py"}),
    ],
)
def test_the_pages_of_figures_name_commands_that_exist(name, commands):
    page = (BENCHMARKS.parent / "docs" / f"{name}.md").read_text("utf-8")
    names = re.findall(r"<!-- output of benchmarks/(\w+\.py)", page)
    assert commands <= set(names)
    assert page.count("<!-- end of output -->") == len(names)
    assert all((BENCHMARKS / name).exists() for name in names)
