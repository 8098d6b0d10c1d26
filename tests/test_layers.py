"""The layers of an image: their file, their place in the picture, and who has none."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

import ssdnet
from ssdnet.errors import UsageError
from ssdnet.export import DEFAULT_FORMATS, FORMATS, parse_formats
from ssdnet.image import read_image
from ssdnet.picture import display, overlay
from ssdnet.picture.layout import Layout
from tests.box_filter import BoxFilter

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from ssdnet.result import Localization


def split(pixels: npt.NDArray[Any], **arguments: Any) -> Localization:
    return ssdnet.localize(pixels, detector=BoxFilter(), device="cpu", **arguments)


def cloth(
    height: int = 40, width: int = 50, channels: int = 3, dtype: npt.DTypeLike = np.uint8
) -> npt.NDArray[Any]:
    """Noise with a bright spot that any detector finds."""
    pixels = np.random.default_rng(0).integers(90, 110, (height, width, channels)).astype(dtype)
    pixels[10:13, 8:11] = 240
    return pixels


# The file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_the_file_holds_the_layers_exactly(tmp_path: Path, channels: int, dtype: npt.DTypeLike) -> None:
    result = split(cloth(channels=channels, dtype=dtype))
    (path,) = result.save(tmp_path, formats=["layers"])
    assert path.name == "array.layers.tif"
    layers = [result.normal, result.anomaly, result.noise]
    with tifffile.TiffFile(path) as file:
        for name, page, layer in zip(("normal", "anomaly", "noise"), file.pages, layers, strict=True):
            assert layer is not None
            assert isinstance(page, tifffile.TiffPage)
            assert page.description == page.tags["PageName"].value == name
            assert page.dtype == layer.dtype == (np.float32 if dtype == np.uint8 else np.float64)
            np.testing.assert_array_equal(page.asarray(), layer[:, :, 0] if channels == 1 else layer)
    together = tifffile.imread(path)
    assert together.shape == (3, 40, 50) + (() if channels == 1 else (channels,))
    np.testing.assert_array_equal(together.sum(axis=0), cloth(channels=channels).squeeze())
    # Our own reader too: what is not finite anywhere would be missing.
    np.testing.assert_array_equal(read_image(path, page=2).pixels.squeeze(), together[1])


def test_missing_pixels_are_nan_in_the_file(tmp_path: Path) -> None:
    pixels = cloth(dtype=np.float32)
    pixels[:6] = np.nan
    pixels[20:25, 20:25] = np.nan
    (path,) = split(pixels).save(tmp_path, formats=["layers"])
    normal, anomaly, noise = np.isnan(tifffile.imread(path)).all(axis=-1)
    missing = np.isnan(pixels).all(axis=2)
    np.testing.assert_array_equal(anomaly, missing)
    np.testing.assert_array_equal(noise, missing)
    assert normal[:6].all()
    assert not normal[6:].any()


def test_saving_again_gives_the_same_bytes(tmp_path: Path) -> None:
    files = [split(cloth()).save(tmp_path / name, formats=["layers", "overlay"]) for name in ("a", "b")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


def test_layers_are_written_only_when_asked_for(tmp_path: Path) -> None:
    assert (*DEFAULT_FORMATS, "layers", "decision", "restored") == FORMATS
    assert parse_formats(None) == DEFAULT_FORMATS
    files = split(cloth()).save(tmp_path)
    assert not any("layers" in path.name for path in files)
    assert len(files) == 6


def test_without_layers_there_is_nothing_to_save(tmp_path: Path) -> None:
    result = dataclasses.replace(split(cloth()), normal=None)
    with pytest.raises(UsageError, match=r"'box' does not split the image into layers; use .*ssdnet"):
        result.save(tmp_path, formats=["json", "layers"])
    assert list(tmp_path.iterdir()) == []


# The picture ------------------------------------------------------------------------------------------


def panels(result: Localization) -> list[npt.NDArray[Any]]:
    """The three layers as they are shown."""
    axes = overlay.figure(result).axes
    shown = [np.asarray(one.images[0].get_array()).astype(int) for one in axes if len(one.images)]
    assert len(shown) >= 5  # and the patches of what is explained
    first = 2 + bool(result.regions)  # what is shown without the findings comes before them
    return shown[first : first + 3]


def words(result: Localization) -> str:
    return "\n".join(text.get_text() for text in overlay.figure(result).texts)


def test_the_layers_are_shown_with_one_scale_about_grey() -> None:
    result = split(cloth())
    assert result.regions
    normal, anomaly, noise = panels(result)
    larger = normal.shape[0] // 40  # as much as the layer is enlarged
    assert larger > 1
    inside = np.kron(result.mask, np.ones((larger, larger), dtype=bool))
    assert normal.shape == anomaly.shape == noise.shape == (40 * larger, 50 * larger, 3)
    assert (anomaly[~inside] == 128).all()
    assert (noise[inside] == 128).all()
    assert anomaly.max() == 255  # the spot
    assert result.normal is not None
    np.testing.assert_array_equal(normal[::larger, ::larger], result.normal.round())
    text = words(result)
    for title in ("normal: ", "anomaly: what does not belong", "noise: what chance explains"):
        assert title in text
    assert "grey is no difference" in text
    assert "normal: " not in words(dataclasses.replace(result, normal=None))


def test_what_was_found_is_shown_without_it_by_any_detector() -> None:
    result = split(cloth())
    for one in (result, dataclasses.replace(result, normal=None)):
        assert "without it" in words(one)
        axes = [axes for axes in overlay.figure(one).axes if len(axes.images)]
        shown = np.asarray(axes[2].images[0].get_array()).astype(int)
        larger = shown.shape[0] // 40
        np.testing.assert_array_equal(shown[::larger, ::larger], result.restored)
    nothing = split(np.full((20, 20), 7, dtype=np.uint8))
    assert "without it" not in words(nothing)


def test_normal_has_the_colours_of_the_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 2**16, (30, 40, 4)).astype(np.uint16)
    for dtype in (np.uint16, np.float32, np.int32, np.float64):
        image = read_image(pixels.astype(dtype))
        same = display.Colours.of(image).like(image.pixels.astype(np.float64))
        np.testing.assert_array_equal(same, display.Colours.of(image).picture())
    for channels in (1, 2, 3):
        for image in (
            read_image((pixels[:, :, :channels] // 256).astype(np.uint8)),
            read_image(pixels[:, :, :channels] > 2**15),
        ):
            like = display.Colours.of(image).like(image.pixels.astype(np.float32))
            assert np.abs(like.astype(int) - display.Colours.of(image).picture()).max() <= (channels == 2)


def test_missing_pixels_are_hatched_in_each_layer() -> None:
    pixels = cloth(dtype=np.float64)
    pixels[20:30, 20:40] = np.nan
    for shown in panels(split(pixels)):
        larger = shown.shape[0] // 40
        assert set(np.unique(shown[20 * larger : 30 * larger, 20 * larger : 40 * larger])) == {165, 205}
    roi = np.ones((40, 50), dtype=bool)
    roi[:, :20] = False
    for shown in panels(split(cloth(), roi=roi)):
        assert set(np.unique(shown[:, : 20 * (shown.shape[0] // 40)])) == {165, 205}


def test_layers_without_any_difference_are_grey() -> None:
    flat = split(np.full((20, 20), 7, dtype=np.uint8))
    assert [np.unique(shown).tolist() for shown in panels(flat)[1:]] == [[128], [128]]


@pytest.mark.parametrize(
    "size",
    [
        (16, 16),
        (256, 256),
        (1100, 1000),
        (84, 250),
        (720, 1280),
        (256, 1024),
        (60, 4000),
        (700, 120),
        (9000, 60),
    ],
)
def test_everything_has_its_place(size: tuple[int, int]) -> None:
    """Nothing overlaps and nothing lies outside, whatever the shape; panels are as large as their pixels."""
    layout = Layout.of(*display.display_size(*size)).with_layers(*size)
    boxes = [layout.picture, layout.heat, layout.scale, *layout.layers]
    for number, (x, y, wide, tall) in enumerate(boxes):
        assert min(x, y, wide, tall) >= 1
        assert x + wide <= layout.width
        assert y + tall <= layout.height
        for other_x, other_y, other_wide, other_tall in boxes[:number]:
            apart = x >= other_x + other_wide or y >= other_y + other_tall
            assert apart or other_x >= x + wide or other_y >= y + tall
    assert max(layout.width, layout.height) < 2500
    _, _, wide, tall = layout.layers[0]
    assert max(wide, tall) >= min(250, max(size))
    assert wide / tall == pytest.approx(size[1] / size[0], rel=0.05)


@pytest.mark.parametrize("size", [(16, 16), (16, 40), (30, 120), (120, 30), (330, 360), (400, 700)])
def test_panels_of_layers_are_exactly_as_large_as_their_pixels(size: tuple[int, int]) -> None:
    figure = overlay.figure(split(cloth(*size, channels=1)))
    for axes in [one for one in figure.axes if len(one.images)][2:5]:
        box = axes.get_window_extent()
        assert np.asarray(axes.images[0].get_array()).shape[:2] == (round(box.height), round(box.width))
        assert axes.get_xlim() == (-0.5, size[1] - 0.5)
