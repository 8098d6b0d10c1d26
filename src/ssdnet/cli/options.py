"""Options that several commands share: which detector, how, and on what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = TypeVar("Command", bound=Callable[..., Any])

QUALITY_HELP = "fast, draft or best, of auto; draft or best, of ssdnet.  [default: fast, best]"


def detector_options(command: Command) -> Command:
    """`--detector`, `--quality`, `--set`, `--device`, `--seed`, `--threads` and `--max-pixels`."""
    for option in reversed(
        (
            click.option(
                "--detector",
                default="auto",
                show_default=True,
                help="auto, or one of those that `ssdnet detectors` lists.",
            ),
            click.option("--quality", metavar="NAME", help=QUALITY_HELP),
            click.option(
                "--set",
                "settings",
                multiple=True,
                metavar="NAME=VALUE",
                callback=_pairs,
                help="A setting of the detector, see `ssdnet detectors NAME`; may be given several times.",
            ),
            click.option(
                "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."
            ),
            click.option(
                "--seed",
                default=0,
                show_default=True,
                type=click.IntRange(0, 2**63 - 1),
                help="Seed of the random numbers; the same seed gives the same result.",
            ),
            click.option(
                "--threads",
                type=click.IntRange(min=1),
                metavar="N",
                help="CPU threads, at most.  [default: by the size of the image]",
            ),
            click.option(
                "--max-pixels",
                type=click.IntRange(min=0),
                metavar="N",
                help="Refuse larger images before decoding; 0 = no limit.  [default: 100000000]",
            ),
        )
    ):
        command = option(command)
    return command


def nodata_option(command: Command) -> Command:
    """`--nodata`."""
    return click.option(
        "--nodata",
        multiple=True,
        metavar="VALUE",
        callback=_numbers,
        help="A value of pixels that are missing, or nan; may be given several times.",
    )(command)


def pixel_limit(max_pixels: int | None) -> int | None:
    """What the option means: left out the default, 0 no limit."""
    from ssdnet.image import DEFAULT_MAX_PIXELS

    return DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels or None


def _pairs(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """From `NAME=VALUE` to a dictionary."""
    pairs: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"'{text}' is not NAME=VALUE", context, option)
        if name.strip() in pairs:
            raise click.BadParameter(f"'{name.strip()}' is given twice", context, option)
        pairs[name.strip()] = value
    return pairs


def _numbers(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[float, ...]:
    """From text to numbers."""
    from ssdnet.image.nodata import number

    try:
        return tuple(number(value) for value in values)
    except ValueError:
        raise click.BadParameter(f"'{' '.join(values)}' is not a number", context, option) from None
