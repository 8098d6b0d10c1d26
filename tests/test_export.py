"""The files of a result: complete, readable by others, the same every time, and to be understood."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeAlias

import jsonschema
import numpy as np
import pytest
import tifffile
from matplotlib.figure import Figure
from PIL import Image as Pillow

import ssdnet.export
from ssdnet import wording
from ssdnet.calibration import fit_null
from ssdnet.calibration.regions import find_regions
from ssdnet.errors import OutputError, UsageError
from ssdnet.export import FORMATS, SUFFIXES, save, table
from ssdnet.image import read_image
from ssdnet.picture import display, overlay, placement
from ssdnet.result import Learned, Localization, Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

Spot: TypeAlias = tuple[int, int, int, int, float]

SCHEMA = json.loads((Path(ssdnet.export.__file__).parent / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def localization(
    pixels: npt.NDArray[Any] | None = None,
    *,
    spots: Sequence[Spot] = (),
    size: tuple[int, int] = (48, 64),
    missing: Any = None,
    background: float = 1.0,
    name: str = "photo.png",
    alarms: float = 1e-2,
) -> Localization:
    """A result made by hand: `spots` are `(row, column, height, width, log10_nfa)`."""
    if pixels is None:
        pixels = np.random.default_rng(0).integers(90, 110, (*size, 3), dtype=np.uint8)
    image = dataclasses.replace(read_image(pixels), name=name)
    log10_nfa = np.full((image.height, image.width), background, dtype=np.float32)
    for row, column, tall, wide, value in spots:
        log10_nfa[row : row + tall, column : column + wide] = value
    if missing is not None:
        valid = image.valid.copy()
        valid[missing] = False
        image = dataclasses.replace(image, valid=valid)
        log10_nfa[missing] = np.nan
    score = -log10_nfa
    labels, regions = find_regions(score, log10_nfa, alarms)
    return Localization(
        image=image,
        anomaly_map=score,
        log10_nfa=log10_nfa,
        labels=labels,
        regions=regions,
        pred_score=-float(np.nanmin(log10_nfa)),
        alarms=alarms,
        detector="rx",
        detector_settings={"levels": 3},
        seed=0,
        device="cpu",
        threads=1,
        seconds={"read": 0.1, "detect": 0.2},
        null=fit_null(score),
        learned=(Learned.of(image),),
        notes=("the file has 2 pages",),
    )


TWO = ((4, 5, 6, 7, -3.0), (30, 40, 8, 4, -6.5))


def rendered(result: Localization) -> npt.NDArray[Any]:
    file = io.BytesIO()
    overlay.write_overlay(result, file)
    with Pillow.open(file) as image:
        return np.asarray(image).astype(int)


# Files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spots", [(), TWO], ids=["nothing", "two regions"])
def test_every_file_is_written_and_nothing_else(tmp_path: Path, spots: tuple[Spot, ...]) -> None:
    files = save(localization(spots=spots), tmp_path / "new" / "folder")
    assert [path.name for path in files] == [
        "photo.anomaly.tif",
        "photo.mask.png",
        "photo.labels.png",
        "photo.overlay.png",
        "photo.json",
        "photo.csv",
    ]
    assert set((tmp_path / "new" / "folder").iterdir()) == set(files)


def test_rasters_have_the_inputs_size_and_the_results_values(tmp_path: Path) -> None:
    result = localization(spots=TWO, missing=np.s_[:, :3])
    map_, mask, labels = save(result, tmp_path, formats=["map", "mask", "labels"])
    read = tifffile.imread(map_)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, result.anomaly_map)
    assert np.isnan(read[:, :3]).all()
    with Pillow.open(map_) as image:  # a reader that is not the writer
        np.testing.assert_array_equal(np.asarray(image), result.anomaly_map)
    with Pillow.open(mask) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), np.where(result.mask, 255, 0))
    with Pillow.open(labels) as image:
        assert image.mode.startswith("I;16")
        np.testing.assert_array_equal(np.asarray(image), result.labels)
    assert set(np.unique(result.labels)) == {0, 1, 2}


def test_label_image_holds_more_than_8_bits(tmp_path: Path) -> None:
    spots = [(row, column, 1, 1, -5.0) for row in range(0, 48, 2) for column in range(0, 64, 2)]
    result = localization(spots=spots)
    assert len(result.regions) > 255
    (path,) = save(result, tmp_path, formats=["labels"])
    with Pillow.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), result.labels)


def test_saving_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first = save(localization(spots=TWO, missing=np.s_[:4]), tmp_path / "first")
    second = save(localization(spots=TWO, missing=np.s_[:4]), tmp_path / "second")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_stem_and_formats(tmp_path: Path) -> None:
    assert [path.name for path in save(localization(), tmp_path, stem="a.b", formats="csv, map")] == [
        "a.b.anomaly.tif",
        "a.b.csv",
    ]
    for stem in ("", "..", ".", "a/b", "a\\b"):
        with pytest.raises(UsageError, match="cannot be the beginning of a file name"):
            save(localization(), tmp_path, stem=stem)
    with pytest.raises(UsageError, match="cannot save 'pdf'; choose from map, mask"):
        save(localization(), tmp_path, formats=["pdf"])
    assert {path.name for path in tmp_path.iterdir()} == {"a.b.anomaly.tif", "a.b.csv"}


def test_a_writer_that_fails_leaves_nothing_and_spares_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.mask.png").write_bytes(b"old")

    def broken(result: Localization, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table, "write_csv", broken)
    with pytest.raises(OutputError, match=r"cannot write .*photo\.csv: No space left on device"):
        save(localization(), tmp_path, formats=["mask", "json", "csv"])
    assert [path.name for path in tmp_path.iterdir()] == ["photo.mask.png"]
    assert (tmp_path / "photo.mask.png").read_bytes() == b"old"


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(result: Localization, file: BinaryIO) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(table, "write_csv", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(localization(), tmp_path, formats=["json", "csv"])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot write .*file.*photo\.json"):
        save(localization(), tmp_path / "file", formats=["json"])


# Record -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spots", [(), TWO], ids=["nothing", "two regions"])
def test_json_follows_the_schema(tmp_path: Path, spots: tuple[Spot, ...]) -> None:
    result = localization(spots=spots, missing=np.s_[:2, :3])
    (path,) = save(result, tmp_path, formats=["json"])
    data = json.loads(path.read_text(encoding="utf-8"))
    VALIDATOR.check_schema(SCHEMA)
    VALIDATOR.validate(data)
    assert data == result.to_dict()
    assert data["pred_label"] is bool(spots)
    assert data["input"]["missing_pixels"] == 6
    assert (data["input"]["roi"], data["input"]["outside_roi_pixels"]) == (None, 0)
    assert data["most_unusual"] == ({"x": 40, "y": 30, "log10_nfa": -6.5} if spots else None)
    assert [region["id"] for region in data["regions"]] == list(range(1, len(spots) + 1))
    if spots:
        assert data["regions"][0]["bbox"] == [40, 30, 4, 8]
        assert data["regions"][0]["centroid"] == [41.5, 33.5]
        assert data["regions"][0]["expected"] == "once in 3 million clean images"
        assert data["regions"][0]["explanation"] is None


def test_json_tells_what_is_missing_from_what_lies_outside_the_roi() -> None:
    pixels = np.random.default_rng(0).random((20, 30))
    pixels[:2] = np.nan
    roi = np.ones((20, 30), dtype=bool)
    roi[:, :10] = False
    image = read_image(pixels, roi=roi)
    data = dataclasses.replace(localization(pixels), image=image).to_dict()
    VALIDATOR.validate(data)
    assert data["input"]["missing_pixels"] == 2 * 30
    assert data["input"]["outside_roi_pixels"] == 18 * 10
    assert data["input"]["roi"] == {"sha256": read_image(roi).sha256}


def test_schema_refuses_what_it_does_not_know() -> None:
    data = localization(spots=TWO).to_dict()
    for change in ({"more": 1}, {"seed": "0"}, {"schema_version": "2"}, {"regions": [{"id": 1}]}):
        assert not VALIDATOR.is_valid({**data, **change})
    del data["seconds"]
    assert not VALIDATOR.is_valid(data)


def test_the_description_names_every_field_file_and_column() -> None:
    text = (Path(__file__).parents[1] / "docs" / "files.md").read_text(encoding="utf-8")
    definitions = SCHEMA["$defs"]
    fields = [
        *SCHEMA["properties"],
        *definitions["region"]["properties"],
        *definitions["input"]["properties"],
        *definitions["explanation"]["properties"],
    ]
    for word in (*fields, *table.COLUMNS, *FORMATS):
        assert re.search(rf"`(regions\[\]\.)?{word}`", text), word
    for suffix in SUFFIXES.values():
        assert f"`photo{suffix}`" in text


def test_json_is_strict_when_numbers_are_not_finite(tmp_path: Path) -> None:
    result = dataclasses.replace(
        localization(spots=TWO),
        pred_score=math.inf,
        detector_settings={"worst": -math.inf, "none": math.nan, "path": Path("x"), "kernel": np.float32(2)},
    )
    region = dataclasses.replace(result.regions[0], log10_nfa=-math.inf)
    result = dataclasses.replace(result, regions=(region,))
    (path,) = save(result, tmp_path, formats=["json"])

    def refuse(token: str) -> NoReturn:
        raise AssertionError(token)

    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    VALIDATOR.validate(data)
    assert data["pred_score"] > 1e300
    assert data["regions"][0]["log10_nfa"] < -1e300
    assert data["detector"]["settings"]["none"] is None
    assert data["detector"]["settings"]["kernel"] == 2


def test_file_names_of_every_kind_survive(tmp_path: Path) -> None:
    for name in ("Gewebe_Ä.png", "织物.png", "bad\udcff.png", 'quo"te\n.png'):
        json_file, csv_file = save(
            localization(spots=TWO, name=name), tmp_path, stem="x", formats=["json", "csv"]
        )
        assert json.loads(json_file.read_bytes())["input"]["name"] == name
        rows = list(csv.reader(io.StringIO(csv_file.read_bytes().decode("utf-8"), newline="")))
        assert rows[1][0] == name.replace("\udcff", "\\udcff")


# Table ------------------------------------------------------------------------------------------------


def rows_of(result: Localization) -> list[list[str]]:
    file = io.BytesIO()
    table.write_csv(result, file)
    return list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))


def test_csv_has_its_header_and_a_row_for_each_region() -> None:
    assert rows_of(localization()) == [list(table.COLUMNS)]
    header, first, second = rows_of(localization(spots=TWO))
    assert header == list(table.COLUMNS)
    assert first == [
        "photo.png",
        "1",
        "40",
        "30",
        "4",
        "8",
        "32",
        "41.5",
        "33.5",
        "6.5",
        "6.5",
        "-6.5",
        "false",
        "",
    ]
    assert second[1:7] == ["2", "5", "4", "7", "6", "42"]


@pytest.mark.parametrize("start", list("=+-@\t\r"))
def test_csv_is_no_way_into_a_spreadsheet(start: str) -> None:
    (_, row) = rows_of(localization(spots=TWO[:1], name=f"{start}cmd|' /C calc'!A0.png"))
    assert row[0].startswith(f"'{start}")
    assert row[-3] == "-3.0"  # numbers stay numbers


# Words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log10_nfa", "words"),
    [
        (5.0, "100 000 times in every clean image"),
        (0.5, "3 times in every clean image"),
        (0.0, "once in every clean image"),
        (-2.0, "once in 100 clean images"),
        (-4.02, "once in 10 000 clean images"),
        (-6.5, "once in 3 million clean images"),
        (-40.0, "less than once in a billion clean images"),
        (-math.inf, "less than once in a billion clean images"),
        (math.inf, "over a million times in every clean image"),
        (math.nan, "unknown"),
    ],
)
def test_expectation_in_words(log10_nfa: float, words: str) -> None:
    assert wording.expectation(log10_nfa) == words


def test_rate_in_words() -> None:
    numbers = (-40.0, -4.02, -0.01, 0.0, 0.5, 7.0, math.nan)
    assert [wording.rate(number) for number in numbers] == [
        "< 1 in a billion",
        "1 in 10 000",
        "1 in 1",
        "1 per image",
        "3 per image",
        "> 1 million per image",
        "unknown",
    ]


def test_verdict_in_words() -> None:
    assert [wording.verdict(count) for count in (0, 1, 1234)] == [
        "nothing found",
        "1 region does not belong here",
        "1 234 regions do not belong here",
    ]
    assert wording.printable("a\x1b[31m\nb\udcff") == "a\ufffd[31m\ufffdb\ufffd"


# Picture ----------------------------------------------------------------------------------------------


def panels(result: Localization) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The two panels as they are shown."""
    axes = overlay.figure(result).axes
    return np.asarray(axes[0].images[0].get_array()), np.asarray(axes[1].images[0].get_array())


def test_plot_is_a_figure() -> None:
    assert isinstance(localization(spots=TWO).plot(), Figure)


def test_a_colour_means_the_same_in_every_picture() -> None:
    calm = localization(spots=[(10, 10, 10, 10, -3.0)], background=0.9)
    wild = localization(spots=[(10, 10, 10, 10, -3.0), (30, 30, 9, 9, -7.9)], background=-1.0, alarms=1e-5)
    (_, first), (_, second) = panels(calm), panels(wild)
    np.testing.assert_array_equal(first[150, 150], second[150, 150])
    assert (first[150, 150] != first[5, 5]).any()
    assert (first[5, 5] != second[5, 5]).any()


def test_beyond_the_scale_colours_stay_at_its_ends() -> None:
    _, heat = panels(localization(spots=[(0, 0, 8, 8, -8.0), (0, 20, 8, 8, -300.0)], background=1.0))
    _, far = panels(localization(background=6.0))
    np.testing.assert_array_equal(heat[10, 10], heat[10, 210])
    np.testing.assert_array_equal(heat[-1, -1], far[-1, -1])


def test_panels_are_exactly_as_large_as_their_pixels() -> None:
    figure = overlay.figure(localization(size=(48, 64)))
    for axes in figure.axes[:2]:
        box = axes.get_window_extent()
        assert (round(box.height), round(box.width)) == (480, 640)
        assert np.asarray(axes.images[0].get_array()).shape[:2] == (480, 640)


def test_outline_number_and_title_appear_only_when_something_is_found() -> None:
    red = np.array([228, 0, 58])

    def red_pixels(result: Localization) -> int:
        return int((np.abs(rendered(result)[100:560, 60:690] - red).max(axis=2) < 30).sum())

    assert red_pixels(localization()) == 0
    assert red_pixels(localization(spots=TWO[:1])) > 200
    assert red_pixels(localization(spots=TWO)) > red_pixels(localization(spots=TWO[:1]))
    assert "photo.png: nothing found" in texts(localization())
    assert "outlined: what does not belong" not in texts(localization())
    assert "photo.png: 2 regions do not belong here" in texts(localization(spots=TWO))


def texts(result: Localization) -> list[str]:
    figure = overlay.figure(result)
    return [text.get_text() for text in figure.texts + figure.axes[0].texts]


def test_a_region_of_one_pixel_in_a_large_picture_is_seen() -> None:
    pixels = np.full((1500, 1200, 1), 128, dtype=np.uint8)
    result = localization(pixels, spots=[(700, 600, 1, 1, -8.0)])
    picture = rendered(result)
    assert "1" in texts(result)
    red = np.abs(picture - np.array([228, 0, 58])).max(axis=2) < 60
    red[:90] = False  # the title
    rows, columns = np.nonzero(red[:, :840])
    assert columns.size > 30
    assert np.ptp(rows) >= 16
    _, heat = panels(result)
    brightest = np.unravel_index(heat.sum(axis=2).argmax(), heat.shape[:2])
    assert abs(brightest[0] / 1000 - 700 / 1500) < 0.002
    assert heat[brightest].astype(int).sum() > 600


def test_names_cannot_break_the_title() -> None:
    for name in ("cost$x^2$ $.png", "织物.png", "a\nb.png", "n" * 300 + ".png", r"\frac{.png"):
        title = texts(localization(spots=TWO, name=f"some/folder/{name}"))
        assert any(text.endswith("2 regions do not belong here") and len(text) < 180 for text in title)
        assert rendered(localization(spots=TWO, name=name)).std() > 10


def test_missing_pixels_are_hatched_in_both_panels() -> None:
    result = localization(spots=TWO, missing=np.s_[:10, 20:40])
    whole = localization(spots=TWO)
    for with_hole, without in zip(panels(result), panels(whole), strict=True):
        hole = with_hole[:100, 200:400]
        assert set(np.unique(hole)) == {165, 205}
        np.testing.assert_array_equal(with_hole[100:], without[100:])
    assert "hatched: missing pixels, not judged" in texts(result)
    assert "hatched: missing pixels, not judged" not in texts(whole)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_outside_the_roi_the_picture_is_faded(dtype: npt.DTypeLike) -> None:
    pixels = np.random.default_rng(0).integers(0, 250, (48, 64), dtype=dtype)
    roi = np.ones((48, 64), dtype=bool)
    roi[:, :20] = False
    result = localization(pixels, spots=TWO, missing=np.s_[:10, 40:60])
    without = panels(result)[0].astype(int)
    holed = dataclasses.replace(result.image, pixels=result.image.pixels)
    result = dataclasses.replace(result, image=read_image(holed, roi=roi))
    shown, heat = panels(result)
    assert np.abs(shown[:, 200:] - without[:, 200:]).max() <= (0 if dtype == np.uint8 else 5)  # stretched
    assert set(np.unique(shown[:100, 400:600])) == {165, 205}  # missing, not outside
    assert shown[:, :200].min() >= 140
    assert shown[:, :200].std() > 10
    assert set(np.unique(heat[:, :200])) == {165, 205}
    assert "faded or hatched: outside the region of interest or missing, not judged" in texts(result)


def test_the_most_unusual_place_is_marked_when_nothing_is_found() -> None:
    calm = localization(spots=[(10, 20, 1, 1, -1.0)])
    (cross,) = overlay.figure(calm).axes[0].lines
    assert cross.get_xydata().tolist() == [[20, 10]]  # type: ignore[union-attr]
    assert "Most unusual place (grey cross): chance alone does this once in 10 clean images." in texts(calm)
    axes = overlay.figure(calm).axes[0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 63.5), (47.5, -0.5))
    for other in (localization(spots=TWO), localization()):
        assert not overlay.figure(other).axes[0].lines
    assert "the file has 2 pages" in texts(localization())  # the note, not a place


@pytest.mark.parametrize("name", ["array", "tensor", "PIL image", "bytes"])
def test_what_has_no_file_is_called_image(name: str) -> None:
    assert "image: nothing found" in texts(localization(name=name))


@pytest.mark.parametrize(
    ("height", "width", "stacked"), [(16, 16, False), (1250, 500, False), (256, 1024, True), (20, 9000, True)]
)
def test_wide_pictures_are_stacked(height: int, width: int, stacked: bool) -> None:
    figure = overlay.figure(localization(size=(height, width), spots=[(2, 3, 4, 5, -4.0)]))
    first, second = (axes.get_position() for axes in figure.axes[:2])
    assert bool(first.x0 == second.x0) is stacked
    assert max(figure.get_size_inches()) * 100 < 2500
    for axes in figure.axes:
        box = axes.get_position()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= 1
        assert box.y1 <= 1


def test_many_regions_are_numbered_as_far_as_there_is_room() -> None:
    spots = [(row, column, 1, 1, -5.0) for row in range(0, 48, 2) for column in range(0, 64, 2)]
    shown = texts(localization(spots=spots))
    numbers = [text for text in shown if text.isdigit()]
    assert 5 < len(numbers) <= 60
    assert any(f"{len(numbers)} of 768 are numbered" in text for text in shown)


def test_numbers_stand_beside_their_region_and_inside_the_picture() -> None:
    drawn = np.zeros((100, 100), dtype=bool)
    drawn[40:60, 40:60] = True
    drawn[0:20, 80:100] = True
    ends = [
        np.array([(50, 59), (50, 40), (40, 50), (59, 50)]),
        np.array([(10, 99), (10, 80), (0, 90), (19, 90)]),
    ]
    for place in placement.place(drawn, ends, [(16.0, 14.0)] * 2):
        assert place is not None
        x, y = place
        assert 8 <= x <= 92
        assert 7 <= y <= 93
        assert not drawn[int(y - 7) : int(y + 7), int(x - 8) : int(x + 8)].any()
    again = placement.place(drawn, [ends[0]] * 12, [(30.0, 30.0)] * 12)
    kept = [place for place in again if place is not None]
    assert 1 < len(kept) < 12  # what would hide another is left out


# Display ----------------------------------------------------------------------------------------------


def colours(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return display.Colours.of(read_image(pixels)).picture()


def test_8_bits_are_shown_as_they_are() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(colours(pixels), pixels)
    np.testing.assert_array_equal(colours(pixels[:, :, :1])[:, :, 2], pixels[:, :, 0])
    two = colours(np.ascontiguousarray(pixels[:, :, :2]))
    np.testing.assert_array_equal(two[:, :, 1], pixels[:, :, :2].mean(axis=2).round())
    four = np.concatenate([pixels, pixels[:, :, :1]], axis=2)
    np.testing.assert_array_equal(colours(four), pixels)
    np.testing.assert_array_equal(np.unique(colours(pixels > 100)), [0, 255])


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int32, np.float64])
def test_other_kinds_are_stretched_between_percentiles(dtype: npt.DTypeLike) -> None:
    ramp = np.linspace(1000, 3000, 64 * 64).reshape(64, 64).astype(dtype)
    ramp[0, 0] = 30000  # one hot pixel must not make the rest black
    shown = colours(ramp).astype(int)
    assert shown[1, 0, 0] < 5
    assert shown[-1, -1, 0] == 255
    assert 120 < shown[32, 32, 0] < 136
    assert shown.shape == (64, 64, 3)


def test_missing_and_constant_pixels_do_not_disturb_the_stretch() -> None:
    pixels = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    holed = pixels.copy()
    holed[5:9] = np.nan
    assert np.abs(colours(holed)[20:].astype(int) - colours(pixels)[20:]).max() < 8
    assert (colours(np.full((20, 20), 3.5)) == 128).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.uint16, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_a_smaller_picture_is_the_mean_of_what_is_shown(dtype: npt.DTypeLike, channels: int) -> None:
    """As when the picture at its own size is reduced, which for 8 bits is a picture of the file itself."""
    generator = np.random.default_rng(channels)
    values = generator.integers(0, 250, (60, 90, channels))
    if dtype in (np.uint16, np.float64):
        values[generator.random((60, 90)) < 0.01] *= 20  # white before the mean is taken
    pixels = values > 125 if dtype == np.bool_ else values.astype(dtype)
    whole = colours(pixels)
    blocks = whole.reshape(20, 3, 30, 3, 3).mean(axis=(1, 3))
    small = display.Colours.of(read_image(pixels)).picture((20, 30))
    assert small.shape == (20, 30, 3)
    assert np.abs(small - blocks).max() <= 1
    if channels == 3 and dtype == np.uint8:
        with Pillow.fromarray(pixels) as image:
            expected = np.asarray(image.resize((41, 23), Pillow.Resampling.BOX))
        np.testing.assert_array_equal(display.Colours.of(read_image(pixels)).picture((23, 41)), expected)


def test_a_part_of_a_picture_has_its_colours() -> None:
    pixels = np.random.default_rng(0).normal(size=(50, 40, 3))
    pixels[4:9, 7:9] = np.nan
    shades = display.Colours.of(read_image(pixels))
    inside = np.s_[3:33, 5:25]
    np.testing.assert_array_equal(shades.picture(inside=inside), shades.picture()[inside])
    enlarged = shades.picture((60, 40), inside)
    np.testing.assert_array_equal(enlarged[::2, ::2], shades.picture()[inside])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_small_picture_of_a_large_image_takes_little_memory(dtype: npt.DTypeLike) -> None:
    pixels = np.random.default_rng(0).integers(0, 250, (2000, 3000, 1), dtype=np.uint8).astype(dtype)
    image = read_image(pixels)
    tracemalloc.start()
    try:
        shades = display.Colours.of(image)
        tracemalloc.reset_peak()
        shades.picture((667, 1000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # One byte for each pixel, and what does not grow with the image.
    assert peak < pixels.shape[0] * pixels.shape[1] + 2**24


def test_reducing_keeps_the_extreme_and_enlarging_repeats() -> None:
    values = np.zeros((100, 333), dtype=np.float32)
    values[37, 211] = -5
    small = display.resize_extreme(values, (10, 100), np.fmin)
    assert small.shape == (10, 100)
    assert small.min() == -5
    assert (small < 0).sum() == 1
    many = np.random.default_rng(0).random((47, 29)).astype(np.float32)
    many[3:9] = np.nan
    expected = np.fmin.reduceat(
        np.fmin.reduceat(many, np.arange(13) * 47 // 13, axis=0), np.arange(29), axis=1
    )
    np.testing.assert_array_equal(display.resize_extreme(many, (13, 29), np.fmin), expected)
    assert display.resize_extreme(many, (13, 58), np.fmin).shape == (13, 58)
    np.testing.assert_array_equal(
        display.resize_extreme(np.arange(4.0).reshape(2, 2), (4, 4), np.fmin)[0], [0, 0, 1, 1]
    )
    for height, width in ((16, 16), (256, 256), (4096, 4096), (16, 90000), (333, 1001)):
        shown = display.display_size(height, width)
        assert max(shown) <= 2000
        assert min(shown) >= 1


def test_region_type_is_the_public_one() -> None:
    assert all(isinstance(region, Region) for region in localization(spots=TWO).regions)
    assert set(SUFFIXES) == set(FORMATS)
