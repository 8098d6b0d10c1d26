"""`ssdnet fit`: learn a model of one surface, to judge other images of it with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssdnet.cli.options import detector_options, nodata_option, pixel_limit
from ssdnet.cli.program import say

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command("fit", short_help="Learn a model of one surface from some images of it.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the model.",
)
@detector_options
@click.option(
    "--roi",
    type=click.Path(exists=True, dir_okay=False),
    help="Image of the same size as each of them, white where to look and black elsewhere.",
)
@nodata_option
@click.option("--recursive", is_flag=True, help="Look into subfolders too.")
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
    roi: str | None,
    nodata: tuple[float, ...],
    recursive: bool,
) -> int:
    """Learn what is usual in some images of the same surface, and write it to a file.

    INPUT is an image, a folder or a pattern. All images are read at once: some of them are enough, and each
    may have defects. Then `ssdnet locate --model FILE` judges others by what was learned.
    """
    from ssdnet.batch import plan
    from ssdnet.cli.progress import progress_bar
    from ssdnet.pipeline import chosen_detector, fit

    jobs = plan(inputs, out.parent, recursive=recursive)
    for job in jobs:
        if job.fault is not None:
            raise job.fault
    chosen = chosen_detector(detector, quality, settings)
    with progress_bar(1, shown=True) as progress:
        model = fit(
            [job.source for job in jobs],
            detector=chosen,
            device=device,
            seed=seed,
            threads=threads,
            roi=roi,
            nodata=nodata,
            max_pixels=pixel_limit(max_pixels),
            progress=progress,
        )
    model.save(out)
    count = len(model.learned)
    click.echo(f"{out}: a model of {count} image{'' if count == 1 else 's'} by {model.detector.name}")
    if count == 1:
        say("note", "a model of one image knows little of others: give several of the same surface")
    return 0
