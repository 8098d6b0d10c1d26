"""`ssdnet detectors`: which there are, what each assumes, where it comes from, and all its settings."""

from __future__ import annotations

import textwrap

import click

_WIDTH = 100
"""Columns of text; a terminal that is wider is hard to read."""


@click.command("detectors", short_help="List the detectors, or the settings of one.")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the detectors, what each assumes and its source; of the one NAMED also its settings."""
    from ssdnet.detectors import AUTO_QUALITIES, available, create, load, settings
    from ssdnet.wording import printable

    auto: dict[str, list[str]] = {}
    for quality, (kind, own) in AUTO_QUALITIES.items():
        if own in (None, "best"):
            auto.setdefault(kind, []).append("auto" if quality == "fast" else f"auto --quality {quality}")
    for one in available() if name is None else [create(name).name]:
        click.echo(f"{one} ({', '.join(auto[one])})" if one in auto else one)
        try:
            kind_ = load(one)
            lines = {"how": kind_.summary, "assumes": kind_.assumes, "source": kind_.source}
            if qualities := getattr(kind_, "qualities", {}):
                lines["quality"] = ", ".join(qualities)
        except Exception as error:  # another package's fault must not hide the detectors that work
            if name is not None:
                raise
            lines = {"broken": f"{type(error).__name__}: {error}"}
        for word, text in lines.items():
            click.echo(f"  {word:<8} {printable(text)}")
    if name is not None:
        click.echo("\nsettings, for --set NAME=VALUE:")
        for setting in settings.described(load(name)):
            click.echo(f"  {setting.name}={_written(setting.default)}")
            click.echo(
                textwrap.fill(setting.words, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
            )


def _written(value: object) -> str:
    """As `--set` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
