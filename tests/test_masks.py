"""Masks that a person gives: one rule for `--roi` and for the masks of a benchmark."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest

from ssdnet import errors, read_image
from ssdnet.evaluation.data import datasets
from ssdnet.image.read import read_mask
from tests.image_files import Array, pillow, png_of, tiff

if TYPE_CHECKING:
    from pathlib import Path

H, W = 128, 160
TRUE = np.zeros((H, W), bool)
TRUE[30:61, 50:83] = True
WHITE = TRUE * np.uint8(255)
PHOTO = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)


def soft() -> Array:
    small = PIL.Image.fromarray(WHITE).resize((W // 2, H // 2), PIL.Image.Resampling.BICUBIC)
    return np.asarray(small.resize((W, H), PIL.Image.Resampling.BICUBIC))


def jpeg_pixels(quality: int) -> Array:
    with PIL.Image.open(io.BytesIO(pillow(WHITE, "JPEG", quality=quality))) as image:
        return np.asarray(image)


def palette(colours: Any) -> bytes:
    image = PIL.Image.fromarray(LABELS)
    image.putpalette(bytes(np.array(colours, np.uint8).ravel()))
    return pillow(image, "PNG")


LABELS = TRUE.astype(np.uint8)
LABELS[40:50, 60:70] = 2
RGBA_WHITE = np.dstack([np.full((H, W, 3), 255, np.uint8), WHITE])
EXACT: dict[str, Any] = {
    "black and white": png_of(WHITE),
    "0 and 1": png_of(TRUE.astype(np.uint8)),
    "bool": TRUE,
    "1 bit": pillow(TRUE, "PNG"),
    "uint16": png_of(TRUE * np.uint16(65535)),
    "uint16 small": png_of(TRUE * np.uint16(3)),
    "float": tiff(TRUE.astype(np.float32)),
    "NaN": np.where(TRUE, 1.0, np.nan),
    "negative": TRUE * np.int16(-1),
    "rgb": png_of(np.dstack([WHITE] * 3)),
    "red": png_of(np.dstack([WHITE, 0 * WHITE, 0 * WHITE])),
    "rgba opaque": png_of(np.dstack([WHITE, WHITE, WHITE, 0 * WHITE + 255])),
    "rgba of alpha 0": png_of(np.dstack([WHITE, WHITE, WHITE, 0 * WHITE])),
    "white cut-out": png_of(RGBA_WHITE),
    "black cut-out": png_of(np.dstack([np.zeros((H, W, 3), np.uint8), WHITE])),
    "photo cut-out": png_of(np.dstack([PHOTO, WHITE])),
    "grey cut-out": png_of(np.dstack([0 * WHITE + 7, WHITE])),
    "black and white, cut out wider": png_of(
        np.dstack([WHITE, np.where(np.roll(TRUE, 3, 0) | TRUE, 255, 0).astype(np.uint8)])
    ),
    "labels": png_of(LABELS),
    "labels 16": png_of(LABELS.astype(np.uint16) * 1000),
    "labels far apart": png_of(np.where(LABELS == 2, 200, LABELS * 90).astype(np.uint8)),
    "label palette": palette([(0, 0, 0), (128, 0, 0), (0, 128, 0)]),
    "dim label palette": palette([(0, 0, 0), (64, 0, 0), (0, 192, 0)]),
    "black and white palette": palette([(0, 0, 0), (255, 255, 255), (255, 255, 255)]),
}
NEAR: dict[str, Any] = {
    "jpeg 75": pillow(WHITE, "JPEG", quality=75),
    "jpeg 20": pillow(WHITE, "JPEG", quality=20),
    "jpeg colour": pillow(np.dstack([WHITE] * 3), "JPEG", quality=60),
    "jpeg saved as png": png_of(jpeg_pixels(75)),
    "soft edge": png_of(soft()),
    "soft edge 16": png_of(soft().astype(np.uint16) * 257),
    "soft float": tiff(soft().astype(np.float32) / 255),
    "soft cut-out": png_of(np.dstack([0 * WHITE + 255, soft()])),
}


@pytest.mark.parametrize("kind", [*EXACT, *NEAR])
def test_one_rule_for_roi_and_bench(kind: str, tmp_path: Path) -> None:
    source = (EXACT | NEAR)[kind]
    inside = read_mask(source).inside
    wrong = int(np.count_nonzero(inside != TRUE))
    assert wrong == 0 if kind in EXACT else wrong <= 40  # of 124 pixels along the edge
    image = read_image(PHOTO, roi=source)
    np.testing.assert_array_equal(image.valid, inside)
    if isinstance(source, bytes):
        (tmp_path / "mask").write_bytes(source)
        np.testing.assert_array_equal(datasets.read_mask(tmp_path / "mask"), inside)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("black and white", None),
        ("bool", None),
        ("white cut-out", "the mask is transparent outside"),
        ("labels", r"areas of several values \(1, 2\); all but 0 is inside"),
        ("jpeg 75", "inside is what is above half of 2"),
    ],
)
def test_what_is_not_plain_is_said(kind: str, words: str | None) -> None:
    notes = read_image(PHOTO, roi=(EXACT | NEAR)[kind]).notes
    if words is None:
        assert notes == ()
    else:
        (note,) = notes
        assert note.startswith("roi: ")
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(note)


@pytest.mark.parametrize(
    "mask",
    [
        np.ones((H, W), np.uint8),
        np.where(TRUE, 2, 1).astype(np.uint8),
        png_of(np.full((H, W, 4), 255, np.uint8)),
    ],
)
def test_a_mask_that_changes_nothing_is_said(mask: Any) -> None:
    image = read_image(PHOTO, roi=mask)
    assert image.valid.all()
    assert any("the mask leaves nothing out" in note for note in image.notes)


def test_a_mask_that_hides_everything_is_an_error() -> None:
    with pytest.raises(
        errors.NoValidPixelsError, match="no valid pixel lies inside the roi; it is white where"
    ):
        read_image(PHOTO, roi=np.zeros((H, W), np.uint8))


def test_masks_of_a_benchmark_that_mark_nothing_or_everything(tmp_path: Path) -> None:
    for name, mask in (("full", WHITE * 0 + 255), ("empty", WHITE * 0)):
        for folder, array in (("images", PHOTO), ("masks", mask)):
            (tmp_path / name / folder).mkdir(parents=True)
            (tmp_path / name / folder / "a.png").write_bytes(png_of(array))
    with pytest.raises(errors.DataSetError, match="the mask is empty"):
        datasets.check(datasets.find(tmp_path / "empty"))
    with pytest.raises(errors.DataSetError, match="the mask marks every pixel"):
        datasets.check(datasets.find(tmp_path / "full"))


def test_a_mask_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    block = PIL.Image.Exif()
    block[274] = 6
    data = pillow(WHITE, "PNG", exif=block)
    np.testing.assert_array_equal(read_mask(data).inside, np.rot90(TRUE, -1))
