"""`ssdnet detectors`: which there are, what each assumes, and where it comes from."""

from __future__ import annotations

import click


@click.command("detectors", short_help="List the detectors, what each assumes and its source.")
def command() -> None:
    """List the detectors, what each assumes and its source."""
    from ssdnet.detectors import AUTO, AUTO_QUALITIES, available, load

    auto = {name: f"auto --quality {quality}" for quality, name in AUTO_QUALITIES.items()}
    auto[AUTO] = "auto"
    for name in available():
        click.echo(f"{name} ({auto[name]})" if name in auto else name)
        try:
            kind = load(name)
            lines = {"how": kind.summary, "assumes": kind.assumes, "source": kind.source}
            if qualities := getattr(kind, "qualities", {}):
                lines["quality"] = ", ".join(qualities)
        except Exception as error:  # another package's fault must not hide the detectors that work
            lines = {"broken": f"{type(error).__name__}: {error}"}
        for word, text in lines.items():
            click.echo(f"  {word:<8} {text}")
