"""Benchmarks that users run on data of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
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
    done = run("mvtec.py", tmp_path, "carpet", "--detector", "rx", "--size", "80")
    assert done.returncode == 0, done.stderr
    category, images, auroc, *_ = (cell.strip() for cell in done.stdout.splitlines()[2].strip("|").split("|"))
    assert (category, images) == ("carpet", "2")
    assert float(auroc) > 0.9


def test_a_folder_without_images_is_named(tmp_path):
    done = run("mvtec.py", tmp_path, "carpet")
    assert done.returncode == 1
    assert f"no image in {tmp_path / 'carpet' / 'test'}" in done.stderr


def test_a_checkout_that_is_none_is_named(tmp_path):
    done = run("fca_original.py", tmp_path, tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path} is no checkout of AnomalyLocalizationFCA" in done.stderr


def test_the_lack_of_the_original_program_is_said(tmp_path):
    (tmp_path / "main_model").touch()
    done = run("selfsim_original.py", tmp_path, tmp_path)
    assert done.returncode == 1
    assert "IPOL 2019.263: no main_detection, decompose.py, convert.py there" in done.stderr
