"""`ssdnet bench`: every detector on the same images by the same rules, with a table and a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssdnet.cli.program import describe, say, show_traceback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssdnet.detectors.protocol import Detector
    from ssdnet.evaluation.data.datasets import Case, Found
    from ssdnet.evaluation.measure.runner import Outcome, Settings
    from ssdnet.evaluation.report.summary import Summary

_NOTHING_DONE = 3
_SOME_FAILED = 4
_ALL = "all"


@click.command("bench", short_help="Compare detectors on images with known defects.")
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option(
    "--detectors",
    "names",
    default=_ALL,
    show_default=True,
    metavar="LIST",
    help="all, or names with commas between, as `ssdnet detectors` lists them.",
)
@click.option(
    "-o",
    "--out",
    default="ssdnet-bench",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the results.",
)
@click.option(
    "--mask",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Mask of DATA, if that is one image.",
)
@click.option("--sets", metavar="LIST", help="Only these of several sets, with commas between.")
@click.option(
    "--synthetic",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also, or without DATA only, sets that are made on the spot: of seven textures N images "
    "with a defect and N without.",
)
@click.option(
    "--synthetic-seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of those images."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of each set at most N images with a defect and N without, evenly spread.",
)
@click.option(
    "--size",
    type=click.IntRange(min=16),
    metavar="PIXELS",
    help="Reduce images to this on the shorter side first.  [default: full size]",
)
@click.option(
    "--seeds",
    default="0",
    show_default=True,
    metavar="LIST",
    help="Seeds of the random numbers, with commas between.",
)
@click.option(
    "--quality", metavar="NAME", help="draft or full, of detectors that offer it.  [default: the best]"
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--batch",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="How many images a detector that trains works on together.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=0),
    metavar="N",
    help="Refuse larger images before decoding; 0 = no limit.  [default: 100000000]",
)
def command(
    data: Path | None,
    names: str,
    out: Path,
    mask: Path | None,
    sets: str | None,
    synthetic: int | None,
    synthetic_seed: int,
    limit: int | None,
    size: int | None,
    seeds: str,
    quality: str | None,
    device: str,
    batch: int,
    max_pixels: int | None,
) -> int:
    """Compare detectors on images with known defects: accuracy, time, memory, and where each fails.

    \b
    ssdnet bench --synthetic 2 --detectors rx     a first look, without any data
    ssdnet bench mvtec/leather                    one category of MVTec AD
    ssdnet bench my-sets --limit 10 --seeds 0,1,2
    ssdnet bench photo.png --mask mask.png

    DATA is a folder with images/, masks/ (0 = normal, all else anomalous, same names) and perhaps good/
    (images without a defect); or a category of MVTec AD; or a folder of several of these; or one image.
    All of it is checked before any work starts.

    Open OUT/report.html, which explains every column. Beside it are table.md, results.csv (a row for each
    image, detector and seed) and results.json. What was measured is kept in OUT/cache: after an interruption
    the same command goes on where it was, and what has not changed is not measured again.

    Exit codes: 0 done, 2 wrong usage, 3 the data cannot be used, everything failed, or the output was not
    written, 4 some images failed with some detectors, 130 interrupted, 143 terminated.
    """  # noqa: D301 - click wants the character itself
    from ssdnet.errors import DataSetError, UsageError
    from ssdnet.evaluation.measure.metrics import scikit_learn
    from ssdnet.evaluation.measure.runner import Settings, contenders
    from ssdnet.image import DEFAULT_MAX_PIXELS

    if data is None and synthetic is None:
        raise UsageError("nothing to look at: give DATA, or --synthetic N (see ssdnet bench --help)")
    if data is None and (mask is not None or sets is not None):
        raise UsageError("--mask and --sets say more about DATA, which is not given")
    settings = Settings(
        seeds=_numbers(seeds),
        device=device,
        batch=batch,
        size=size,
        max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels or None,
    )
    chosen = contenders(None if names == _ALL else _words(names), quality)
    scikit_learn()
    try:
        given = _find(data, mask, None if sets is None else _words(sets), limit)
        cases = _check([given, _synthesize(out, synthetic, synthetic_seed)], settings)
    except DataSetError as error:
        for fault in error.faults:
            say("error", fault)
        return error.exit_code
    for note in given.notes:
        say("note", note)
    return _compare(cases, chosen, settings, out, given.notes)


def _find(data: Path | None, mask: Path | None, sets: Sequence[str] | None, limit: int | None) -> Found:
    """The images that were given."""
    from ssdnet.evaluation.data.datasets import Found, find

    return Found(()) if data is None else find(data, mask=mask, sets=sets, limit=limit)


def _synthesize(out: Path, count: int | None, seed: int) -> Found:
    """The images that are made on the spot."""
    from ssdnet.cli.progress import progress_bar
    from ssdnet.evaluation.data.datasets import Found
    from ssdnet.evaluation.data.synthetic import synthesize
    from ssdnet.samples import TEXTURES

    if count is None:
        return Found(())
    with progress_bar(2 * count * len(TEXTURES), shown=True) as progress:
        return synthesize(out / f"synthetic-{seed}", count, seed=seed, progress=progress)


def _check(found: Sequence[Found], settings: Settings) -> tuple[Case, ...]:
    """All of them, if nothing is wrong with any."""
    from ssdnet.cli.progress import progress_bar
    from ssdnet.evaluation.data.datasets import Found, check

    everything = Found(
        tuple(case for part in found for case in part.cases),
        tuple(fault for part in found for fault in part.faults),
    )
    with progress_bar(len(everything.cases), shown=True) as progress:
        return check(everything, max_pixels=settings.max_pixels, progress=progress)


def _compare(
    cases: Sequence[Case],
    chosen: Mapping[str, Detector],
    settings: Settings,
    out: Path,
    notes: Sequence[str],
) -> int:
    """Do the work, write the files, print the table, and find the exit code."""
    from ssdnet.cli.progress import progress_bar
    from ssdnet.evaluation.measure.provenance import provenance
    from ssdnet.evaluation.measure.runner import run
    from ssdnet.evaluation.report.files import write_report
    from ssdnet.evaluation.report.summary import summarize
    from ssdnet.evaluation.report.tables import DISTURBED

    total = len(cases) * len(chosen) * len(settings.seeds)
    outcomes: list[Outcome] = []
    try:
        with progress_bar(total, shown=True) as progress:
            for outcome in run(cases, chosen, out=out, settings=settings, progress=progress):
                outcomes.append(outcome)
                if outcome.error is not None:
                    show_traceback(outcome.error)
    except KeyboardInterrupt:
        say("error", f"interrupted; {len(outcomes)} of {total} measured, the same command does the rest")
        raise
    summary = summarize(outcomes)
    written = write_report(out, summary, outcomes, provenance(settings, chosen, notes))
    _print(summary, outcomes, written[-1])
    if summary.disturbed:
        say("note", f"{DISTURBED}: {', '.join(summary.disturbed)}")
    if summary.not_scored:
        names = ", ".join(case.label for case in summary.not_scored)
        say("note", f"without figures, as the defect vanishes at the size that is judged: {names}")
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failed:
        say("error", f"{outcome.detector}, seed {outcome.seed}: {outcome.case.label}: {_cause(outcome)}")
    if not failed:
        return 0
    return _NOTHING_DONE if len(failed) == total else _SOME_FAILED


def _cause(outcome: Outcome) -> str:
    return "" if outcome.error is None else describe(outcome.error)


def _print(summary: Summary, outcomes: Sequence[Outcome], page: Path) -> None:
    """The main table, without intervals on a terminal, where there is no room; and where to look."""
    from ssdnet.cli.report import draw, write_rows, write_wrapped
    from ssdnet.evaluation.report.tables import headline
    from ssdnet.wording import grouped, printable

    drawn = sys.stdout.isatty()
    header, rows = headline(summary, intervals=not drawn)
    if drawn:
        draw(header, rows)
    else:
        write_rows([header, *rows])
    earlier = sum(outcome.earlier for outcome in outcomes)
    skipped = (
        f" ({grouped(earlier)} of {grouped(len(outcomes))} measured by an earlier run)" if earlier else ""
    )
    sets = f"{len(summary.sets)} set{'' if len(summary.sets) == 1 else 's'}"
    write_wrapped(
        f"means over {sets}, {grouped(len(summary.cases))} images{skipped}; look at {printable(str(page))}"
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> tuple[int, ...]:
    from ssdnet.errors import UsageError

    try:
        return tuple(int(word) for word in _words(text))
    except ValueError:
        raise UsageError(f"--seeds takes whole numbers with commas between, not '{text}'") from None
