"""Which images a benchmark finds, and that everything wrong with them is named before any work."""

from __future__ import annotations

import functools
import hashlib

import numpy as np
import pytest
from PIL import Image as Pillow

from ssdnet.errors import DataSetError, InputError, UsageError
from ssdnet.evaluation.data.datasets import check, find, read_mask
from ssdnet.evaluation.data.synthetic import synthesize

SIZE = (20, 30)


def write(path, *, empty=False, size=SIZE, seed=0):
    """An image, or a mask with a defect if it is in a folder of masks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = any(part in ("masks", "ground_truth") for part in path.parts)
    pixels = np.random.default_rng(seed).integers(90, 110, size, dtype=np.uint8)
    if mask:
        pixels = np.zeros(size, np.uint8)
        if not empty:
            pixels[3:8, 4:9] = 255
    Pillow.fromarray(pixels).save(path)
    return path


@pytest.fixture
def pairs(tmp_path):
    """A set with two defective images and one clean one, and things that are none."""
    folder = tmp_path / "cloth"
    for name in ("images/a.png", "images/b.bmp", "masks/a.png", "masks/b_mask.png", "good/c.png"):
        write(folder / name)
    (folder / "SOURCE.md").write_text("about")
    (folder / "images" / "notes.txt").write_text("about")
    (folder / "images" / ".hidden.png").write_bytes(b"")
    return folder


@pytest.fixture
def mvtec(tmp_path):
    """A category with two kinds of defects."""
    folder = tmp_path / "leather"
    for defect, name in (("cut", "000"), ("cut", "001"), ("glue", "000")):
        write(folder / "test" / defect / f"{name}.png")
        write(folder / "ground_truth" / defect / f"{name}_mask.png")
    write(folder / "test/good/000.png")
    write(folder / "train/good/000.png")
    return folder


def named(found):
    return [(case.set, case.name, case.clean) for case in found.cases]


# What is found ----------------------------------------------------------------------------------------


def test_pairs_are_found(pairs):
    found = find(pairs)
    assert named(found) == [("cloth", "a", False), ("cloth", "b", False), ("cloth", "good/c", True)]
    assert found.faults == found.notes == ()
    checked = check(found)
    assert named(find(pairs)) == [(case.set, case.name, case.clean) for case in checked]
    for case in checked:
        assert case.image_sha256 == hashlib.sha256(case.image.read_bytes()).hexdigest()
        if case.mask is not None:
            assert case.mask_sha256 == hashlib.sha256(case.mask.read_bytes()).hexdigest()


def test_a_category_of_mvtec_is_found(mvtec):
    cases = check(find(mvtec))
    assert [(case.set, case.name) for case in cases] == [
        ("leather", "cut/000"),
        ("leather", "cut/001"),
        ("leather", "glue/000"),
        ("leather", "good/000"),
    ]
    assert cases[2].mask == mvtec / "ground_truth/glue/000_mask.png"
    assert cases[3].clean


def test_a_folder_of_several_may_mix_layouts(pairs, mvtec, tmp_path):
    (tmp_path / "other").mkdir()
    write(tmp_path / "unlabelled/images/a.png")
    write(tmp_path / "spotless/good/a.png")
    found = find(tmp_path)
    assert dict.fromkeys(case.set for case in found.cases) == dict.fromkeys(("cloth", "leather", "spotless"))
    (note,) = found.notes
    assert "unlabelled: passed over" in note
    assert {case.set for case in find(tmp_path, sets=["leather"]).cases} == {"leather"}
    with pytest.raises(DataSetError, match=r"no set 'wool'; there are cloth, leather, spotless, unlabelled"):
        find(tmp_path, sets=["leather", "wool"])
    with pytest.raises(DataSetError, match="its mask is missing"):  # asked for by name, it is no detail
        check(find(tmp_path, sets=["unlabelled"]))


def test_one_image_and_its_mask(pairs):
    (case,) = check(find(pairs / "images/a.png", mask=pairs / "masks/a.png"))
    assert (case.name, case.clean) == ("a", False)
    with pytest.raises(DataSetError, match="give its mask too"):
        find(pairs / "images/a.png")
    with pytest.raises(DataSetError, match="a mask belongs to one image"):
        find(pairs, mask=pairs / "masks/a.png")


def test_the_limit_spreads_evenly(tmp_path):
    for number in range(9):
        write(tmp_path / f"s/images/{number}.png")
        write(tmp_path / f"s/masks/{number}.png")
        write(tmp_path / f"s/good/{number}.png")
    found = find(tmp_path / "s", limit=3)
    assert [case.name for case in found.cases] == ["0", "4", "8", "good/0", "good/4", "good/8"]
    # What is not looked at need not be whole.
    (tmp_path / "s/masks/3.png").unlink()
    assert len(check(find(tmp_path / "s", limit=3))) == 6


def test_several_defects_share_the_limit(mvtec):
    assert [case.name for case in find(mvtec, limit=2).cases] == ["cut/000", "glue/000", "good/000"]


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_nothing_to_look_at(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataSetError, match="no such file or folder" if name == "nowhere" else "no set is in"):
        find(tmp_path / name)
    (tmp_path / "s/images").mkdir(parents=True)
    with pytest.raises(DataSetError, match="no image in this set"):
        check(find(tmp_path / "s"))


# What is wrong ----------------------------------------------------------------------------------------


def test_every_fault_is_named_at_once(pairs, mvtec, tmp_path):
    write(pairs / "images/lost.png")
    write(pairs / "images/blank.png")
    write(pairs / "masks/blank.png", empty=True)
    write(pairs / "images/large.png")
    write(pairs / "masks/large.png", size=(21, 30))
    write(pairs / "images/cut.png").write_bytes(write(pairs / "images/a.png").read_bytes()[:100])
    write(pairs / "masks/cut.png")
    write(pairs / "images/broken.png")
    write(pairs / "masks/broken.png").write_bytes(b"no mask")
    write(pairs / "images/a.bmp")
    write(pairs / "good/tiny.png", size=(8, 8))
    (mvtec / "ground_truth/cut/001_mask.png").unlink()
    with pytest.raises(DataSetError) as caught:
        check(find(tmp_path))
    expected = {
        "lost.png": "its mask is missing",
        "blank.png": "the mask is empty",
        "masks/large.png": "21 x 30 pixels (rows x columns), and its image 20 x 30",
        "images/cut.png": "cannot be decoded",
        "masks/broken.png": "not an image",
        "images/a.png": "a.bmp has the same name",
        "good/tiny.png": "at least 16",
        "test/cut/001.png": "its mask is missing",
    }
    assert len(caught.value.faults) == len(expected), caught.value.faults
    for name, words in expected.items():
        assert any(name in fault and words in fault for fault in caught.value.faults), name
    assert all(fault in str(caught.value) for fault in caught.value.faults)
    assert isinstance(caught.value, InputError)
    assert caught.value.exit_code == 3


def test_large_images_are_refused_before_decoding(pairs):
    with pytest.raises(DataSetError, match="600 pixels, more than the limit of 500") as caught:
        check(find(pairs), max_pixels=500)
    assert len(caught.value.faults) == 3
    assert len(check(find(pairs), max_pixels=600)) == 3


def test_progress_goes_through_all(pairs):
    seen = []
    found = find(pairs)
    check(found, progress=lambda *told: seen.append(told))
    assert seen == [(number / 3, f"{case.label}: checking") for number, case in enumerate(found.cases)]


# Synthetic sets ---------------------------------------------------------------------------------------


def test_synthetic_sets_are_exact_and_the_same_every_time(tmp_path):
    make = functools.partial(synthesize, textures=("twill", "wood"), side=48)
    cases = check(make(tmp_path / "a", 2, seed=3))
    assert [case.label for case in cases] == [
        "synthetic-twill/000-stain",
        "synthetic-twill/001-hole",
        "synthetic-twill/good/000",
        "synthetic-twill/good/001",
        "synthetic-wood/000-stain",
        "synthetic-wood/001-hole",
        "synthetic-wood/good/000",
        "synthetic-wood/good/001",
    ]
    assert len({case.image_sha256 for case in cases}) == 8
    again = check(make(tmp_path / "b", 2, seed=3))
    assert [case.image_sha256 for case in again] == [case.image_sha256 for case in cases]
    other = check(make(tmp_path / "c", 2, seed=4))
    assert not {case.image_sha256 for case in other} & {case.image_sha256 for case in cases}
    assert read_mask(tmp_path / "a/twill/masks/000-stain.png").any()
    # The folders are sets themselves.
    found = check(find(tmp_path / "a"))
    assert {case.image_sha256 for case in found} == {case.image_sha256 for case in cases}
    with pytest.raises(UsageError, match="at least 1"):
        synthesize(tmp_path, 0)
