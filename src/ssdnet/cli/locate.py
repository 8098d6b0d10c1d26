"""`ssdnet locate`: look at images and write what was found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssdnet.cli.options import detector_options, nodata_option, pixel_limit
from ssdnet.cli.program import describe, say, show_traceback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssdnet.batch import Job, Outcome, Settings
    from ssdnet.cli.report import Report

ANOMALY_FOUND = 1
NOTHING_DONE = 3
SOME_FAILED = 4

_NUMBER = re.compile(r"\d[\d,.]*")


@click.command("locate", short_help="Look at images and write what does not belong in them.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--out",
    default="ssdnet-results",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the results.",
)
@detector_options
@click.option(
    "--save",
    "formats",
    default="map,mask,labels,overlay,json,csv",
    show_default=True,
    metavar="LIST",
    help="What to write, with commas between; also: layers, of a detector that splits the image into them.",
)
@click.option(
    "--alarms",
    default=0.01,
    show_default=True,
    type=float,
    help="False regions to accept in a clean image, on average.",
)
@click.option(
    "--roi",
    type=click.Path(exists=True, dir_okay=False),
    help="Image of the same size, white where to look and black elsewhere.",
)
@nodata_option
@click.option(
    "--batch",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="How many images a detector that trains works on together: faster, with more memory.",
)
@click.option("--page", type=click.IntRange(min=1), metavar="N", help="Page of a file with several, from 1.")
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False),
    help="Judge by a fitted model, which `ssdnet fit` has written, instead of each image by itself.",
)
@click.option(
    "--together",
    is_flag=True,
    help="Compare each image with all others too, which are of the same surface.",
)
@click.option("--recursive", is_flag=True, help="Look into subfolders too.")
@click.option("--resume", is_flag=True, help="Skip what is complete for the same input and settings.")
@click.option("--fail-on-anomaly", is_flag=True, help="Exit with 1 when something is found.")
@click.option("--json", "as_json", is_flag=True, help="One JSON record a line on standard output.")
def command(
    inputs: Sequence[str],
    out: Path,
    detector: str,
    quality: str | None,
    settings: dict[str, str],
    device: str,
    seed: int,
    threads: int | None,
    max_pixels: int | None,
    formats: str,
    alarms: float,
    roi: str | None,
    nodata: tuple[float, ...],
    batch: int,
    page: int | None,
    model: str | None,
    together: bool,
    recursive: bool,
    resume: bool,
    fail_on_anomaly: bool,
    as_json: bool,
) -> int:
    """Look at images and write what does not belong in them.

    INPUT is an image, a folder, a pattern such as 'scans/*.tif', or - for standard input. For photo.jpg the
    results are photo.overlay.png (look at this one), photo.anomaly.tif, photo.mask.png, photo.labels.png,
    photo.json and photo.csv. The tree of a folder is kept.

    Exit codes: 0 done, 1 something was found and --fail-on-anomaly was given, 2 wrong usage, 3 the input
    cannot be used or the output not written, 4 some of several inputs failed (whether or not something was
    found in the others), 129 hung up, 130 interrupted, 141 nobody read on (as `| head -1`), 143 terminated.
    Whatever ended it, each file that is there is complete, and --resume does the rest.
    """
    from ssdnet.batch import Settings, plan
    from ssdnet.cli.report import JsonReport, report_for_people
    from ssdnet.export import parse_formats

    chosen = Settings(
        detector=detector,
        quality=quality,
        settings=settings,
        threads=threads,
        model=model,
        together=together,
        device=device,
        seed=seed,
        alarms=alarms,
        roi=roi,
        nodata=nodata,
        page=page,
        max_pixels=pixel_limit(max_pixels),
        formats=parse_formats(formats),
        batch=batch,
    )
    jobs = plan(inputs, out, recursive=recursive)
    report = JsonReport() if as_json else report_for_people(jobs, out)
    return look(jobs, chosen, out, report, resume=resume, fail_on_anomaly=fail_on_anomaly)


def look(
    jobs: Sequence[Job],
    settings: Settings,
    out: Path,
    report: Report,
    *,
    resume: bool = False,
    fail_on_anomaly: bool = False,
) -> int:
    """Do the jobs, tell about them as they come, and find the exit code."""
    from ssdnet.batch import run
    from ssdnet.cli.progress import progress_bar

    failures: list[Exception] = []
    notes: dict[str, list[str]] = {}
    found = False
    done = 0
    try:
        with progress_bar(len(jobs), shown=not report.streams_to_terminal) as progress:
            for outcome in run(jobs, settings, out=out, resume=resume, progress=progress):
                report.add(outcome)
                if outcome.record is not None:
                    done += 1
                    found = found or outcome.record["pred_label"]
                    for note in outcome.record["notes"]:
                        notes.setdefault(note, []).append(outcome.job.name)
                elif outcome.error is not None:
                    failures.append(outcome.error)
                    _say_failure(outcome)
    except KeyboardInterrupt:
        report.finish()
        say("error", f"interrupted; {done} of {len(jobs)} done, --resume does the rest")
        raise
    report.finish()
    _say_notes(notes)
    return _exit_code(failures, len(jobs), anomaly=found and fail_on_anomaly)


def _say_notes(notes: Mapping[str, Sequence[str]]) -> None:
    """Each note once; of those that differ in their numbers only, the first."""
    alike: dict[str, list[str]] = {}
    for note in notes:
        alike.setdefault(_NUMBER.sub("", note), []).append(note)
    for same in alike.values():
        names = notes[same[0]]
        others = sum(len(notes[note]) for note in same) - 1
        more = f" and {others} more" if others else ""
        numbers = " (in the others with other numbers)" if len(same) > 1 else ""
        say("note", f"{names[0]}{more}: {same[0]}{numbers}")


def _say_failure(outcome: Outcome) -> None:
    from ssdnet.errors import SsdnetError

    if outcome.error is not None:
        show_traceback(outcome.error)
        ours = isinstance(outcome.error, SsdnetError)
        say("error", describe(outcome.error) if ours else f"{outcome.job.name}: {describe(outcome.error)}")


def _exit_code(failures: Sequence[Exception], total: int, *, anomaly: bool) -> int:
    from ssdnet.errors import UsageError

    if failures and len(failures) == total:
        # A roi of the wrong size, for example, shows only when the image is there.
        usage = all(isinstance(error, UsageError) for error in failures)
        return UsageError.exit_code if usage else NOTHING_DONE
    if failures:
        return SOME_FAILED
    return ANOMALY_FOUND if anomaly else 0
