"""A result in the hands of its user: read-only, copied, pickled, shown, and told what is in it."""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image as Pillow

from ssdnet.calibration import fit_null
from ssdnet.calibration.regions import find_regions
from ssdnet.export import record, table
from ssdnet.image import read_image
from ssdnet.picture import overlay
from ssdnet.result import Explanation, Learned, Localization, Region

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

SPOTS = ((4, 5, 6, 7, -3.0), (30, 40, 8, 4, -6.53))
MAPS = ("anomaly_map", "log10_nfa", "labels", "normal")
IMAGE = ("pixels", "valid", "outside_roi")


def localization(
    spots: Sequence[tuple[int, int, int, int, float]] = SPOTS, *, name: str = "photo.jpg", layers: bool = True
) -> Localization:
    """A result made by hand: `spots` are `(row, column, height, width, log10_nfa)`."""
    pixels = np.random.default_rng(0).integers(90, 110, (48, 64, 3), dtype=np.uint8)
    roi = np.ones((48, 64), dtype=bool)
    roi[:, :3] = False
    image = dataclasses.replace(read_image(pixels, roi=roi), name=name)
    log10_nfa = np.random.default_rng(1).uniform(0.5, 1, (48, 64)).astype(np.float32)
    for row, column, tall, wide, value in spots:
        log10_nfa[row : row + tall, column : column + wide] = value
    log10_nfa[~image.valid] = np.nan
    labels, regions = find_regions(-log10_nfa, log10_nfa, 1e-2)
    return Localization(
        image=image,
        anomaly_map=-log10_nfa,
        log10_nfa=log10_nfa,
        labels=labels,
        regions=regions,
        pred_score=-float(np.nanmin(log10_nfa)),
        alarms=1e-2,
        detector="texture",
        detector_settings={"levels": 3},
        seed=0,
        device="cpu",
        threads=1,
        seconds={"read": 0.1},
        null=fit_null(-log10_nfa),
        learned=(Learned.of(image),),
        normal=np.full(pixels.shape, 100, dtype=np.float32) if layers else None,
    )


def arrays_of(result: Localization) -> list[npt.NDArray[Any]]:
    made = [result.mask, result.pred_mask, result.anomaly, result.noise]
    kept = [getattr(result, name) for name in MAPS] + [getattr(result.image, name) for name in IMAGE]
    return [array for array in (*made, *kept) if array is not None]


# Read-only ----------------------------------------------------------------------------------------------


def again(result: Localization) -> Localization:
    made: Localization = pickle.loads(pickle.dumps(result))
    return made


@pytest.mark.parametrize(
    "made",
    [lambda result: result, again, copy.copy, copy.deepcopy, dataclasses.replace],
    ids=["itself", "pickle", "copy", "deepcopy", "replace"],
)
def test_nobody_writes_to_a_result(made: Callable[[Localization], Localization]) -> None:
    original = localization()
    _ = original.most_unusual, original.to_dict(), original.anomaly
    result = made(original)
    assert len(arrays_of(result)) == 4 + len(MAPS) + len(IMAGE)
    for array in arrays_of(result):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 0
    for mine, other in zip(arrays_of(result), arrays_of(original), strict=True):
        np.testing.assert_array_equal(mine, other)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.seed = 1  # type: ignore[misc]
    assert result.to_dict() == original.to_dict()
    assert result.regions == original.regions


def test_the_callers_arrays_stay_the_callers() -> None:
    result = localization()
    mine = np.zeros((48, 64), dtype=np.float32)
    other = dataclasses.replace(result, anomaly_map=mine)
    assert np.shares_memory(other.anomaly_map, mine)  # no copy
    mine[0, 0] = 7
    assert other.anomaly_map[0, 0] == 7
    pixels = np.zeros((48, 64, 1))
    image = dataclasses.replace(result.image, pixels=pixels)
    assert np.shares_memory(image.pixels, pixels)
    assert pixels.flags.writeable
    assert not image.pixels.flags.writeable


@pytest.mark.parametrize("made", [again, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_what_was_computed_is_not_carried_along(made: Callable[[Localization], Localization]) -> None:
    result = localization()
    small = len(pickle.dumps(result))
    _ = result.most_unusual, result.to_dict(), result.mask, result.anomaly, result.noise
    assert len(pickle.dumps(result)) == small
    assert set(vars(made(result))) == {field.name for field in dataclasses.fields(Localization)}


def test_a_changed_result_has_numbers_of_its_own() -> None:
    result = localization()
    assert result.most_unusual == (40, 30)
    assert result.to_dict()["seed"] == 0
    calm = localization(spots=())
    other = dataclasses.replace(
        result,
        log10_nfa=calm.log10_nfa,
        anomaly_map=calm.anomaly_map,
        labels=calm.labels,
        regions=(),
        seed=5,
    )
    assert other.most_unusual == calm.most_unusual != (40, 30)
    assert (other.to_dict()["seed"], other.to_dict()["regions"]) == (5, [])
    assert result.anomaly is not None
    assert other.anomaly is not None
    assert np.nan_to_num(result.anomaly).any()
    assert not np.nan_to_num(other.anomaly).any()


def test_numbers_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    result = localization()
    made = []
    original = record.record

    def counted(given: Localization) -> dict[str, Any]:
        made.append(given)
        return original(given)

    monkeypatch.setattr(record, "record", counted)
    first = result.to_dict()
    table.write_csv(result, io.BytesIO())
    record.write_json(result, io.BytesIO())
    assert len(made) == 1
    assert result.mask is result.mask is result.pred_mask
    assert result.anomaly is result.anomaly
    assert result.noise is result.noise

    first["regions"][0]["area"] = -1
    first["input"].clear()
    assert result.to_dict()["regions"][0]["area"] == 32
    assert result.to_dict()["input"]["width"] == 64


# Told ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Localization(photo.jpg, 64 x 48: 2 regions, most unusual 10^-6.5, texture)"),
        ({"spots": SPOTS[:1]}, "Localization(photo.jpg, 64 x 48: 1 region, most unusual 10^-3.0, texture)"),
        ({"spots": ()}, "Localization(photo.jpg, 64 x 48: nothing found, most unusual 10^0.5, texture)"),
        (
            {"name": "a\nb\x1b[31m.png", "spots": [(9, 9, 2, 2, 0.04)]},
            "Localization(a\ufffdb\ufffd[31m.png, 64 x 48: nothing found, most unusual 10^0.0, texture)",
        ),
    ],
)
def test_repr_is_one_line(changes: dict[str, Any], words: str) -> None:
    assert repr(localization(**changes)) == words
    assert repr(dataclasses.replace(localization(**changes), pred_score=0.04)).count("10^0.0") == 1
    assert "10^-inf" in repr(dataclasses.replace(localization(**changes), pred_score=np.inf))


def test_a_region_cuts_itself_out() -> None:
    result = localization()
    for region in result.regions:
        assert result.image.pixels[region.slice].shape == (region.bbox[3], region.bbox[2], 3)
        assert (result.labels[region.slice] == region.id).sum() == region.area
        assert result.mask[region.slice].all()


def test_regions_as_columns() -> None:
    result = localization()
    explanation = Explanation(differences=(), patch=(0, 0, 16, 16), similar=())
    first, second = result.regions
    result = dataclasses.replace(
        result, regions=(dataclasses.replace(first, explanation=explanation), second)
    )
    columns = result.regions_table()
    assert list(columns) == list(table.COLUMNS[1:])
    assert {name: column[0] for name, column in columns.items()} == {
        "id": 1,
        "x": 40,
        "y": 30,
        "width": 4,
        "height": 8,
        "area": 32,
        "centroid_x": 41.5,
        "centroid_y": 33.5,
        "peak_score": first.peak_score,
        "mean_score": first.mean_score,
        "log10_nfa": first.log10_nfa,
        "touches_border": False,
        "explanation": "unlike its surroundings in no single way",
    }
    assert columns["explanation"][1] is None
    assert [row[:3] for row in zip(*columns.values(), strict=True)] == [(1, 40, 30), (2, 5, 4)]
    columns["id"].clear()
    assert result.regions_table()["id"] == [1, 2]
    nothing = localization(spots=()).regions_table()
    assert nothing == {name: [] for name in table.COLUMNS[1:]}
    assert list(zip(*nothing.values(), strict=True)) == []


def test_infinite_numbers_stay_infinite_in_columns_and_finite_in_files() -> None:
    result = localization()
    region = dataclasses.replace(result.regions[0], log10_nfa=-np.inf, mean_score=np.nan)
    result = dataclasses.replace(result, regions=(region,))
    assert result.regions_table()["log10_nfa"] == [-np.inf]
    file = io.BytesIO()
    table.write_csv(result, file)
    cells = file.getvalue().decode().splitlines()[1].split(",")
    assert float(cells[-3]) == -np.finfo(np.float64).max
    assert cells[-4:-3] == [""]


# Shown --------------------------------------------------------------------------------------------------


def test_a_notebook_shows_the_overlay() -> None:
    result = localization()
    file = io.BytesIO()
    overlay.write_overlay(result, file)
    assert result._repr_png_() == file.getvalue()
    with Pillow.open(io.BytesIO(result._repr_png_())) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize("dpi", [50, 100, 220])
@pytest.mark.parametrize("size", [(48, 64), (300, 20)])
def test_a_result_is_drawn_into_axes_of_somebody(dpi: int, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(90, 110, (*size, 3), dtype=np.uint8)
    region = Region(1, (3, 4, 6, 5), 30, (5.5, 6.0), 3.0, 3.0, -3.0, False)
    labels = np.zeros(size, dtype=np.uint16)
    labels[region.slice] = 1
    flat = np.zeros(size, dtype=np.float32)
    result = dataclasses.replace(
        localization(),
        image=read_image(pixels),
        labels=labels,
        regions=(region,),
        anomaly_map=labels + flat,
        log10_nfa=-3.0 * labels + flat,
        normal=None,
    )
    figure = Figure(figsize=(6, 4), dpi=dpi)
    left, right = figure.subplots(1, 2)
    right.plot([1, 2], [3, 4])
    assert result.plot(ax=left) is figure
    assert (left.get_xlim(), left.get_ylim()) == ((-0.5, size[1] - 0.5), (size[0] - 0.5, -0.5))
    assert [text.get_text() for text in left.texts] == ["1"]
    assert len(left.images) == 1
    assert not right.images
    outline = np.asarray(left.collections[0].get_paths()[0].vertices)
    x, y, width, height = region.bbox
    for values, start, length in ((outline[:, 0], x, width), (outline[:, 1], y, height)):
        assert values.min() < start
        assert values.max() > start + length - 1
    figure.savefig(io.BytesIO())


def test_where_nothing_is_found_the_axes_get_a_cross() -> None:
    result = localization(spots=[(10, 20, 1, 1, -1.0)])
    figure = Figure()
    inner = figure.add_subfigure(figure.add_gridspec(1, 2)[0])
    axes = inner.subplots()
    assert result.plot(axes) is figure  # not the figure inside it
    (cross,) = axes.lines
    np.testing.assert_array_equal(cross.get_xydata(), [[20, 10]])
    assert not axes.texts
    assert isinstance(result.plot(), Figure)
