"""Planning a run without collisions, doing it to the end, and skipping what is done."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import EntryPoint, EntryPoints
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from PIL import Image as Pillow

import ssdnet.detectors
import ssdnet.pipeline
from ssdnet.batch import Job, Outcome, Settings, plan, run
from ssdnet.batch.journal import NAME
from ssdnet.batch.looking import look
from ssdnet.batch.work import do
from ssdnet.detectors.rx import RX
from ssdnet.errors import (
    Cancelled,
    DataSetError,
    DetectorError,
    ImageReadError,
    InputError,
    OutputConflictError,
    OutputError,
    UnknownDetectorError,
    UsageError,
)
from tests.box_filter import CALLS, BoxFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ssdnet.batch.work import Unit
    from ssdnet.image import Image
    from ssdnet.progress import Progress
    from ssdnet.result import Localization

    Again: TypeAlias = Callable[..., tuple[list[str], list[Outcome]]]

QUICK = Settings(device="cpu", formats=("mask", "json"))


def make_image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.random.default_rng(seed).integers(90, 110, (24, 32), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(*inputs: str, out: str = "out", recursive: bool = False) -> list[tuple[str, str]]:
    """Source and target of each job, with forward slashes."""
    jobs = plan(inputs, Path(out), recursive=recursive)
    return [
        (Path(job.source).as_posix(), (job.folder.relative_to(out) / job.stem).as_posix()) for job in jobs
    ]


# Planning ---------------------------------------------------------------------------------------------


def test_files_go_straight_into_the_results_and_folders_keep_their_tree(here: Path) -> None:
    for name in ("one.jpg", "photos/b.png", "photos/a.TIF", "photos/deep/er/c.bmp"):
        make_image(here / name)
    assert planned("one.jpg", "photos") == [
        ("one.jpg", "one"),
        ("photos/a.TIF", "a"),
        ("photos/b.png", "b"),
    ]
    assert planned("photos", recursive=True)[-1] == ("photos/deep/er/c.bmp", "deep/er/c")
    assert planned("photos/deep/er/c.bmp", "-") == [("photos/deep/er/c.bmp", "c"), ("-", "stdin")]


def test_folders_pass_over_what_is_hidden_not_an_image_or_ours(here: Path) -> None:
    make_image(here / "photos/a.png")
    for name in (".hidden.png", "notes.txt", "a.overlay.png", "a.MASK.png", "a.labels.png", ".git/x.png"):
        (here / "photos" / name).parent.mkdir(exist_ok=True)
        (here / "photos" / name).write_bytes(b"")
    (here / "photos/a.anomaly.tif").write_bytes(b"")
    (here / "photos/folder.png").mkdir()
    assert planned("photos", recursive=True) == [("photos/a.png", "a")]
    assert planned("photos/*") == [("photos/a.png", "a")]
    # What is named is tried whatever it is called.
    assert planned("photos/notes.txt", "photos/a.mask.png".replace("mask", "MASK"), out="x") == [
        ("photos/notes.txt", "notes"),
        ("photos/a.MASK.png", "a.MASK"),
    ]


def test_results_inside_the_input_are_not_read(here: Path) -> None:
    make_image(here / "photos/a.png")
    make_image(here / "photos/results/deep/copy.png")
    make_image(here / "photos/results-of-others/b.png")
    expected = [("photos/a.png", "a"), ("photos/results-of-others/b.png", "results-of-others/b")]
    assert planned("photos", out="photos/results", recursive=True) == expected
    assert len(planned("photos", out="photos", recursive=True)) == 3


def test_patterns_are_expanded(here: Path) -> None:
    for name in ("a1.png", "a2.png", "b.png", "sub/a3.png", "a[1].png", "readme.txt"):
        make_image(here / name) if name.endswith("png") else (here / name).write_bytes(b"")
    assert [source for source, _ in planned("a?.png")] == ["a1.png", "a2.png"]
    assert [stem for _, stem in planned("**/a*.png")] == ["a1", "a2", "a[1]", "a3"]
    assert planned("a[1].png") == [("a[1].png", "a[1]")]  # a file of that name comes first


def test_the_same_file_is_taken_once(here: Path) -> None:
    make_image(here / "photos/a.png")
    (here / "link.png").symlink_to(here / "photos/a.png")
    assert planned("photos/a.png", "./photos/../photos/a.png", "photos", "link.png", "-", "-") == [
        ("photos/a.png", "a"),
        ("-", "stdin"),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("p/a.jpg", "p/a.png"),
        ("p/Scan.png", "p/scan.bmp"),
        ("p/\u00e4.png", "p/a\u0308.bmp"),
    ],
)
def test_results_of_two_inputs_are_told_apart_by_their_suffix(here: Path, first: str, second: str) -> None:
    for name in (first, second, "p/b.png"):
        make_image(here / name)
    assert dict(planned("p")) == {
        first: Path(first).name,
        second: Path(second).name,
        "p/b.png": "b",
    }


def test_names_that_meet_only_then_are_told_apart_too(here: Path) -> None:
    for name in ("p/a.jpg", "p/a.png", "p/a.jpg.bmp"):
        make_image(here / name)
    assert dict(planned("p")) == {
        "p/a.jpg": "a.jpg",
        "p/a.png": "a.png",
        "p/a.jpg.bmp": "a.jpg.bmp",
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("p/Scan.png", "p/scan.png"),
        ("p/\u00e4.png", "p/a\u0308.png"),
    ],
)
def test_two_inputs_for_one_result_are_refused(here: Path, first: str, second: str) -> None:
    make_image(here / first)
    make_image(here / second)
    with pytest.raises(OutputConflictError) as caught:
        plan(["p"], Path("out"))
    assert Path(first).name in str(caught.value)
    assert Path(second).name in str(caught.value)
    assert "rename" in str(caught.value)


def test_files_of_one_name_in_two_folders_are_refused_with_advice(here: Path) -> None:
    make_image(here / "p/a.png")
    make_image(here / "q/a.png")
    with pytest.raises(OutputConflictError, match="a folder that is given as input keeps its tree"):
        plan(["p/a.png", "q/a.png"], Path("out"))
    assert planned(".", recursive=True) == [("p/a.png", "p/a"), ("q/a.png", "q/a")]


def test_results_never_overwrite_an_input(here: Path) -> None:
    make_image(here / "a.png")
    make_image(here / "a.mask.png")
    with pytest.raises(OutputConflictError, match=r"results of a\.png would be written over a\.mask\.png"):
        plan(["a.png", "a.mask.png"], Path())
    assert len(plan(["a.png", "a.mask.png"], Path("out"))) == 2


def test_an_input_without_images_is_a_job_that_fails(here: Path) -> None:
    make_image(here / "flat/a.mask.png")
    make_image(here / "hidden/.git/a.png")
    make_image(here / "empty/deep/a.png")
    make_image(here / "here.png")
    out = Path("out")
    for text, message in {
        "nowhere.png": "there is no such file; check the path",
        "https://example.org/a.png?b=1": "download it first: ssdnet never uses the network",
        "no*.png": "no image matches this pattern",
        "flat/*.png": "no image matches this pattern; what looks like one are results of an earlier run",
        "empty": "no image in this folder; use --recursive to look into the folders inside it",
        "flat": "no image in this folder; what looks like one are results of an earlier run",
        "hidden": "no image in this folder",
        "nul\0": "there is no such file; check the path",
    }.items():
        (alone,) = run(plan([text], out), QUICK, out=out)
        assert isinstance(alone.error, InputError)
        assert str(alone.error) == f"{text}: {message}"
        assert not out.exists()
        first, second = run(plan([text, "here.png"], Path("other")), QUICK, out=Path("other"), resume=True)
        assert (str(first.error), second.error) == (str(alone.error), None)
    assert planned("nowhere.png", "nowhere.png") == [("nowhere.png", ".")]


# Running ----------------------------------------------------------------------------------------------


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_every_image_gets_an_outcome_and_its_files(here: Path) -> None:
    make_image(here / "p/a.png")
    make_image(here / "p/sub/b.png", seed=1)
    out = Path("out")
    first, second = run(plan(["p"], out, recursive=True), QUICK, out=out)
    assert names_in(out) == [NAME, "a.json", "a.mask.png", "sub/b.json", "sub/b.mask.png"]
    assert first.files == (out / "a.mask.png", out / "a.json")
    assert second.record == json.loads((out / "sub/b.json").read_bytes())
    assert second.record is not None
    assert second.record["input"]["name"] == str(Path("p/sub/b.png"))
    assert not first.skipped
    assert first.error is None


def test_a_bad_file_does_not_stop_the_others(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        make_image(here / f"p/{number}.png", seed=number)
    (here / "p/1.png").write_bytes(b"no image")
    real = ssdnet.pipeline.localize_many

    def faulty(images: Sequence[Image], **arguments: Any) -> list[Localization]:
        if any(Path(image.name).name == "2.png" for image in images):
            raise ZeroDivisionError("a fault")
        return real(images, **arguments)

    monkeypatch.setattr(ssdnet.pipeline, "localize_many", faulty)
    out = Path("out")
    outcomes = list(run(plan(["p"], out), QUICK, out=out))
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None),
        ImageReadError,
        ZeroDivisionError,
        type(None),
    ]
    assert [outcome.record is None for outcome in outcomes] == [False, True, True, False]
    assert names_in(out) == [NAME, "0.json", "0.mask.png", "3.json", "3.mask.png"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"detector": "nope"}, UnknownDetectorError),
        ({"device": "cuda:77"}, UsageError),
        ({"formats": ("pdf",)}, UsageError),
        ({"formats": ("layers",), "roi": "nowhere.png"}, UsageError),
        ({"quality": "full"}, UsageError),
        ({"detector": RX(), "quality": "full"}, UsageError),
        ({"detector": RX}, UsageError),
        ({"batch": 0}, UsageError),
        ({"alarms": 0.0}, UsageError),
        ({"alarms": float("nan")}, UsageError),
        ({"alarms": float("inf")}, UsageError),
        ({"roi": "nowhere.png"}, ImageReadError),
    ],
)
def test_settings_are_checked_before_any_work(
    here: Path, change: dict[str, Any], error: type[Exception]
) -> None:
    jobs = plan([str(make_image(here / "a.png"))], Path("out"))
    with pytest.raises(error):
        run(jobs, dataclasses.replace(QUICK, **change), out=Path("out"))
    assert not (here / "out").exists()


def test_results_that_cannot_be_written_are_an_error(here: Path) -> None:
    (here / "out").write_bytes(b"a file")
    with pytest.raises(OutputError, match="out"):
        list(run(plan([str(make_image(here / "a.png"))], Path("out")), QUICK, out=Path("out")))


def test_progress_grows_and_can_stop_the_run(here: Path) -> None:
    for number in range(3):
        make_image(here / f"p/{number}.png")
    out = Path("out")
    jobs = plan(["p"], out)
    seen: list[tuple[float, str]] = []
    list(run(jobs, QUICK, out=out, progress=lambda *told: seen.append(told)))
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
    assert seen[0] == (0, jobs[0].name)
    assert 2 / 3 <= seen[-1][0] <= 1
    assert seen[-1][1].startswith(f"{jobs[2].name}: ")

    def stop(fraction: float, message: str) -> None:
        if fraction >= 1 / 3:
            raise Cancelled("enough")

    jobs = plan(["p"], Path("other"))
    with pytest.raises(Cancelled):
        list(run(jobs, QUICK, out=Path("other"), progress=stop))
    files = [name for name in names_in(Path("other")) if name != NAME]
    assert files in ([], ["0.json", "0.mask.png"])  # complete or not there


def test_what_fails_together_is_looked_at_alone_and_told_so() -> None:
    def broken() -> int:
        raise OSError("unreadable")

    def localize(read: Sequence[int], progress: Progress) -> list[int]:
        progress(0.5, str(len(read)))
        if len(read) > 1 or 3 in read:
            raise ZeroDivisionError
        return [10 * number for number in read]

    seen: list[tuple[float, str]] = []
    readers = [lambda: 1, broken, lambda: 3, lambda: 5, lambda: 6]
    results = look(readers, localize, lambda *told: seen.append(told))
    assert [result for result in results if isinstance(result, int)] == [10, 50, 60]
    assert [type(result) for result in results[1:3]] == [OSError, ZeroDivisionError]
    assert seen == [(0.5, "4"), *((share, "1") for share in (0.125, 0.375, 0.625, 0.875))]
    assert look([], localize) == []


# Several together -------------------------------------------------------------------------------------


@pytest.fixture
def together(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Outcome]]:
    """Five images, of which `1` is broken, and a way to look at them with a detector that decomposes."""
    point = EntryPoint("box", "tests.box_filter:BoxFilter", ssdnet.detectors.GROUP)
    monkeypatch.setattr(ssdnet.detectors.registry, "entry_points", lambda group: EntryPoints([point]))
    for number in range(5):
        make_image(here / f"p/{number}.png", seed=number)
    (here / "p/1.png").write_bytes(b"no image")

    def look(batch: int, out: str, detector: str = "box", **more: Any) -> list[Outcome]:
        CALLS.clear()
        settings = Settings(detector=detector, device="cpu", formats=("mask", "json"), batch=batch)
        return list(run(plan(["p", "nowhere.png"], Path(out)), settings, out=Path(out), **more))

    return look


def found_in(outcomes: list[Outcome]) -> list[Any]:
    """What was found, without what differs between runs."""
    return [
        outcome.record and {**outcome.record, "seconds": sorted(outcome.record["seconds"])}
        for outcome in outcomes
    ]


def test_several_together_give_what_each_gives_alone(together: Callable[..., list[Outcome]]) -> None:
    alone = together(1, "alone")
    assert CALLS == [1, 1, 1, 1]
    for batch, calls in ((2, [1, 2, 1]), (3, [2, 2]), (9, [4])):
        outcomes = together(batch, f"by {batch}")
        assert calls == CALLS
        assert [Path(outcome.job.source).stem for outcome in outcomes] == ["0", "1", "2", "3", "4", "nowhere"]
        assert [type(outcome.error) for outcome in outcomes] == [type(outcome.error) for outcome in alone]
        assert found_in(outcomes) == found_in(alone)
        assert outcomes[0].record is not None
        assert outcomes[0].record["seconds"]["read"] > 0
    assert found_in(alone)[1] is None


def test_one_that_spoils_the_work_on_several_does_not_take_them_down(
    together: Callable[..., list[Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = together(1, "alone")
    real = ssdnet.pipeline.localize_many

    def faulty(images: Sequence[Image], **arguments: Any) -> list[Localization]:
        CALLS.append(len(images))
        if any(image.name.endswith("2.png") for image in images):
            raise DetectorError("a fault")
        return real(images, **{**arguments, "progress": None})

    monkeypatch.setattr(ssdnet.pipeline, "localize_many", faulty)
    outcomes = together(3, "together")
    assert [Path(outcome.job.source).stem for outcome in outcomes if outcome.error is not None] == [
        "1",
        "2",
        "nowhere",
    ]
    assert str(outcomes[2].error) == "a fault"
    found, expected = found_in(outcomes), found_in(alone)
    assert (found[0], *found[3:]) == (expected[0], *expected[3:])


def test_too_many_together_are_looked_at_one_by_one(
    together: Callable[..., list[Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoxFilter, "most", 1)
    outcomes = together(9, "together")
    assert CALLS == [4, 1, 1, 1, 1]
    assert sum(outcome.error is None for outcome in outcomes) == 4


def test_resuming_does_what_is_left_and_all_of_it_with_another_size_of_batch(
    together: Callable[..., list[Outcome]],
) -> None:
    """In low precision the size of the batch changes a network, so the results are not the same."""
    first = together(2, "out")
    (Path("out") / "3.json").unlink()
    again = together(2, "out", resume=True)
    assert CALLS == [1]
    assert [outcome.skipped for outcome in again] == [True, False, True, False, True, False]
    assert found_in(again) == found_in(first)
    assert not any(outcome.skipped for outcome in together(3, "out", resume=True))


def test_without_a_network_a_batch_changes_nothing(together: Callable[..., list[Outcome]]) -> None:
    assert found_in(together(4, "a", detector="rx")) == found_in(together(1, "b", detector="rx"))


def test_cancelling_stops_a_batch(together: Callable[..., list[Outcome]]) -> None:
    seen: list[tuple[float, str]] = []
    together(3, "out", progress=lambda *told: seen.append(told))
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
    # Half of the first three of six.
    assert (0.25, f"{Path('p/0.png')}: filtering, loss 0.25") in seen

    def stop(fraction: float, message: str) -> None:
        if "filtering" in message:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        together(3, "other", progress=stop)
    assert CALLS == [2]


# Units of work ----------------------------------------------------------------------------------------


class UnportableError(Exception):
    """Cannot be made again from its arguments."""

    def __init__(self, code: int, place: str) -> None:
        super().__init__(f"{code} at {place}")


def in_other_processes(units: Iterable[tuple[Unit, Progress]]) -> Iterator[list[Outcome]]:
    """An engine that asks for all units before the first is done."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        working = [(pool.submit(do, unit), progress) for unit, progress in units]
        for result, progress in working:
            yield result.result()
            progress(1.0, "")


def test_units_can_be_done_in_other_processes(here: Path) -> None:
    for number in range(4):
        make_image(here / f"p/{number}.png", seed=number)
    (here / "p/1.png").write_bytes(b"no image")
    roi = np.full((24, 32), 255, dtype=np.uint8)
    roi[:4] = 0
    Pillow.fromarray(roi).save(here / "roi.png")
    settings = dataclasses.replace(QUICK, detector=RX(levels=1, orbits=1), roi="roi.png")

    def done(out: str, **more: Any) -> list[Outcome]:
        return list(run(plan(["p", "nowhere.png"], Path(out)), settings, out=Path(out), **more))

    here_done, seen = done("here"), []
    there = done("there", engine=in_other_processes, progress=lambda *told: seen.append(told))
    assert [type(outcome.error) for outcome in there] == [type(outcome.error) for outcome in here_done]
    assert [str(outcome.error) for outcome in there] == [str(outcome.error) for outcome in here_done]
    assert found_in(there) == found_in(here_done)
    assert names_in(Path("there")) == names_in(Path("here"))
    assert seen[-1][0] == 1
    # The journal was kept here, so that what was done there is known.
    assert [outcome.skipped for outcome in done("there", resume=True)] == [True, False, True, True, False]


def test_what_goes_to_another_process_and_back_is_picklable() -> None:
    job = Job("a.png", Path("out"), "a", InputError("a.png: nothing"))
    back = pickle.loads(pickle.dumps(job))
    assert (back.source, str(back.fault)) == (job.source, str(job.fault))
    settings = dataclasses.replace(QUICK, detector=RX(levels=2))
    assert pickle.loads(pickle.dumps(settings)) == settings
    for error, expected in (
        (DataSetError(["one", "two"]), DataSetError),
        (ImageReadError("a.png: broken"), ImageReadError),
        (UnportableError(3, "a.png"), RuntimeError),
    ):
        outcome = pickle.loads(pickle.dumps(Outcome(job, error=error)))
        assert type(outcome.error) is expected
        assert str(error) in str(outcome.error)
        assert getattr(outcome.error, "faults", ()) == getattr(error, "faults", ())
    assert pickle.loads(pickle.dumps(Outcome(job, {"a": 1}, (Path("f"),)))).record == {"a": 1}


def test_a_configured_detector_is_taken_and_told_apart_by_its_settings(here: Path) -> None:
    jobs = plan([str(make_image(here / "a.png"))], Path("out"))

    def done(**change: Any) -> Outcome:
        (outcome,) = run(jobs, dataclasses.replace(QUICK, **change), out=Path("out"), resume=True)
        assert outcome.error is None
        return outcome

    first = done(detector=RX(levels=1))
    assert first.record is not None
    assert first.record["detector"]["settings"]["levels"] == 1
    assert done(detector=RX(levels=1)).skipped
    assert not done(detector=RX(levels=2)).skipped
    assert not done(detector="rx").skipped
    assert done(detector=RX()).skipped  # the same by another way


# Resuming ---------------------------------------------------------------------------------------------


def test_two_files_of_one_name_are_resumed_each(here: Path) -> None:
    make_image(here / "p/a.png", seed=1)

    def done() -> dict[str, bool]:
        jobs = plan(["p"], Path("out"))
        return {one.job.stem: one.skipped for one in run(jobs, QUICK, out=Path("out"), resume=True)}

    assert done() == {"a": False}
    make_image(here / "p/a.bmp", seed=2)
    assert done() == {"a.bmp": False, "a.png": False}  # it is called otherwise now
    assert done() == {"a.bmp": True, "a.png": True}


def test_a_no_data_value_is_part_of_what_is_resumed(here: Path) -> None:
    jobs = plan([str(make_image(here / "a.png"))], Path("out"))

    def done(*values: float) -> Outcome:
        settings = dataclasses.replace(QUICK, nodata=values)
        (outcome,) = run(jobs, settings, out=Path("out"), resume=True)
        return outcome

    assert not done().skipped
    assert not done(100).skipped
    assert done(100).skipped
    record = done(100).record
    assert record is not None
    assert record["input"]["missing_pixels"] > 0


@pytest.fixture
def three(here: Path, monkeypatch: pytest.MonkeyPatch) -> Again:
    """Three images that were done; `again` does them with `resume` and says which were looked at."""
    for number in range(3):
        make_image(here / f"p/{number}.png", seed=number)
    looked: list[str] = []
    real = ssdnet.pipeline.localize_many

    def counted(images: Sequence[Image], **arguments: Any) -> list[Localization]:
        looked.extend(Path(image.name).stem for image in images)
        return real(images, **arguments)

    monkeypatch.setattr(ssdnet.pipeline, "localize_many", counted)
    out = Path("out")

    def again(resume: bool = True, **change: Any) -> tuple[list[str], list[Outcome]]:
        looked.clear()
        outcomes = list(run(plan(["p"], out), dataclasses.replace(QUICK, **change), out=out, resume=resume))
        assert all(outcome.error is None for outcome in outcomes)
        assert [not outcome.skipped for outcome in outcomes] == [
            Path(outcome.job.source).stem in looked for outcome in outcomes
        ]
        return list(looked), outcomes

    assert again(resume=False)[0] == ["0", "1", "2"]
    return again


def test_what_is_complete_is_skipped_with_its_record(three: Again, here: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (here / "out").iterdir()}
    looked, outcomes = three()
    assert looked == []
    assert before == {path: path.stat().st_mtime_ns for path in (here / "out").iterdir()}
    for outcome in outcomes:
        assert outcome.record == json.loads(outcome.files[1].read_bytes())
    assert three(resume=False)[0] == ["0", "1", "2"]


def test_a_replaced_input_is_redone(three: Again, here: Path) -> None:
    stamp = (here / "p/1.png").stat()
    make_image(here / "p/1.png", seed=99)
    os.utime(here / "p/1.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # content decides, not dates
    looked, outcomes = three()
    assert looked == ["1"]
    assert outcomes[1].record == json.loads((here / "out/1.json").read_bytes())
    assert three()[0] == []


def test_a_touched_input_is_skipped(three: Again, here: Path) -> None:
    (here / "p/1.png").touch()
    assert three()[0] == []


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"alarms": 0.5},
        {"formats": ("mask", "json", "csv")},
        {"formats": ("json",)},
        {"page": 1},
        {"roi": "roi.png"},
    ],
    ids=str,
)
def test_other_settings_are_redone(three: Again, here: Path, change: dict[str, Any]) -> None:
    Pillow.fromarray(np.full((24, 32), 255, dtype=np.uint8)).save(here / "roi.png")
    assert three(**change)[0] == ["0", "1", "2"]
    assert three(**change)[0] == []
    assert three()[0] == ["0", "1", "2"]


def test_another_roi_of_the_same_name_is_redone(three: Again, here: Path) -> None:
    roi = np.full((24, 32), 255, dtype=np.uint8)
    Pillow.fromarray(roi).save(here / "roi.png")
    assert three(roi="roi.png")[0] == ["0", "1", "2"]
    roi[:4] = 0
    Pillow.fromarray(roi).save(here / "roi.png")
    assert three(roi="roi.png")[0] == ["0", "1", "2"]


def test_limits_that_do_not_change_the_result_do_not_matter(three: Again) -> None:
    assert three(max_pixels=10_000)[0] == []


def test_another_version_of_the_package_is_redone(three: Again, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssdnet.batch.work.__version__", "0.0.0")
    assert three()[0] == ["0", "1", "2"]


def test_missing_and_damaged_results_are_redone(three: Again, here: Path) -> None:
    (here / "out/0.mask.png").unlink()
    with (here / "out/2.json").open("ab") as file:
        file.write(b" ")
    assert three()[0] == ["0", "2"]
    assert three()[0] == []


def test_a_journal_that_was_cut_short_costs_one_image(three: Again, here: Path) -> None:
    journal = here / "out" / NAME
    journal.write_bytes(journal.read_bytes()[:-40])
    assert three()[0] == ["2"]
    assert three()[0] == []  # the line that was appended is not lost with the broken one


def test_a_journal_of_nonsense_costs_no_more_than_the_work(three: Again, here: Path) -> None:
    lines = (here / "out" / NAME).read_bytes().splitlines()
    entry = json.loads(lines[0])
    del entry["record"]
    later = {**json.loads(lines[2]), "journal": 999, "settings": None}
    nonsense = [
        b"\xff\xfe",
        b"[]",
        b"3",
        json.dumps(entry).encode(),
        lines[1],
        lines[2],
        json.dumps(later).encode(),
    ]
    (here / "out" / NAME).write_bytes(b"\n".join(nonsense) + b"\n")
    assert three()[0] == ["0"]


def test_a_run_that_was_killed_goes_on_where_it_was(here: Path) -> None:
    for number in range(3):
        make_image(here / f"p/{number}.png", seed=number)
    out = Path("out")
    jobs = plan(["p"], out)
    next(run(jobs, QUICK, out=out))
    outcomes = list(run(jobs, QUICK, out=out, resume=True))
    assert [outcome.skipped for outcome in outcomes] == [True, False, False]


def test_the_journal_is_not_read_as_an_image_and_holds_one_line_an_input(three: Again, here: Path) -> None:
    lines = (here / "out" / NAME).read_bytes().splitlines()
    assert [json.loads(line)["stem"] for line in lines] == ["0", "1", "2"]
