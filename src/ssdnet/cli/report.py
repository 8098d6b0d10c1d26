"""What a run prints on standard output: a table for people, or a line of JSON for each input."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Protocol

import click

from ssdnet.export import SUFFIXES
from ssdnet.export.record import SCHEMA_VERSION, to_json
from ssdnet.result import THAN_NORMAL
from ssdnet.wording import expectation, grouped, printable, rate, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ssdnet.batch import Job, Outcome

_MOST_ROWS = 40
_WHERE, _WHERE_DRAWN = "where (x, y, width, height)", "x, y, w, h"


class Report(Protocol):
    """Told about each outcome, and at the end."""

    streams_to_terminal: bool
    """Whether it writes to a terminal while the run goes on, where a progress bar would be in the way."""

    def add(self, outcome: Outcome) -> None:
        """One more input is done."""

    def finish(self) -> None:
        """All are, or the run was interrupted."""


def report_for_people(jobs: Sequence[Job], out: Path) -> Report:
    """The table that fits: of regions for one image, of images for several; drawn on a terminal only."""
    if len(jobs) == 1:
        return _OneImage()
    return _Table(out) if sys.stdout.isatty() else _Lines(out)


class JsonReport:
    """One line of JSON for each input: its record, or an error."""

    def __init__(self) -> None:
        self.streams_to_terminal = sys.stdout.isatty()

    def add(self, outcome: Outcome) -> None:
        """Write the line at once."""
        line: dict[str, Any] | None = outcome.record
        if line is None:
            line = {
                "schema_version": SCHEMA_VERSION,
                "input": {"name": outcome.job.name},
                "error": {"type": type(outcome.error).__name__, "message": str(outcome.error)},
            }
        click.echo(to_json(line))

    def finish(self) -> None:
        """Nothing is left to say."""


class _OneImage:
    """The verdict on one image, its regions, and where to look."""

    streams_to_terminal = False

    def __init__(self) -> None:
        self._outcome: Outcome | None = None

    def add(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def finish(self) -> None:
        if self._outcome is None or self._outcome.record is None:
            return
        record = self._outcome.record
        click.echo(f"{printable(self._outcome.job.name)}: {verdict(len(record['regions']))}")
        if record["regions"]:
            drawn = sys.stdout.isatty()
            header = ("region", "by chance", _WHERE_DRAWN if drawn else _WHERE, "pixels", "in what way")
            chance = rate if drawn else expectation
            rows = [
                (
                    str(region["id"]),
                    chance(_nfa(region)),
                    _box(region),
                    grouped(region["area"]),
                    _in_what_way(region),
                )
                for region in record["regions"]
            ]
            if drawn:
                draw(header, rows[:_MOST_ROWS])
                if len(rows) > _MOST_ROWS:
                    click.echo(f"and {grouped(len(rows) - _MOST_ROWS)} more regions")
            else:
                write_rows([header, *rows])
        elif record["most_unusual"] is not None:
            write_wrapped(_most_unusual(record["most_unusual"], record["alarms"]))
        if self._outcome.files:
            click.echo(f"look at {printable(_look_at(self._outcome))}")


class _Several:
    """What the table and the lines have in common: a row for each image, and the summary."""

    header: tuple[str, ...] = ("image", "found", "by chance", _WHERE, "look at")
    chance = staticmethod(expectation)

    def __init__(self, out: Path) -> None:
        self._out = out
        self._images = self._found = self._failed = self._skipped = 0

    def _row(self, outcome: Outcome) -> tuple[str, ...]:
        """Count the outcome and describe it."""
        self._images += 1
        self._skipped += outcome.skipped
        name = printable(outcome.job.name)
        if outcome.record is None:
            self._failed += 1
            return (name, "failed", "", "", "")
        regions = outcome.record["regions"]
        self._found += bool(regions)
        place = outcome.record["most_unusual"]
        where, chance = "", ""
        if regions:
            where, chance = _box(regions[0]), self.chance(_nfa(regions[0]))
        elif place is not None:
            where, chance = f"{place['x']}, {place['y']}", self.chance(_nfa(place))
        return (name, _count(len(regions)), chance, where, printable(_look_at(outcome)))

    def _summary(self) -> str:
        clean = self._images - self._found - self._failed
        earlier = f" ({grouped(self._skipped)} of them done by an earlier run)" if self._skipped else ""
        parts = [
            f"{grouped(self._images)} images{earlier}: "
            f"{grouped(self._found)} with something that does not belong",
            f"{grouped(clean)} with nothing found",
        ]
        if self._failed:
            parts.append(f"{grouped(self._failed)} failed")
        return f"{', '.join(parts)}; results are in {printable(str(self._out))}"


class _Lines(_Several):
    """For a pipe: a line for each image as soon as it is done, with tabs between the columns."""

    streams_to_terminal = False

    def add(self, outcome: Outcome) -> None:
        row = self._row(outcome)
        write_rows([self.header, row] if self._images == 1 else [row])

    def finish(self) -> None:
        click.echo(self._summary())


class _Table(_Several):
    """For a terminal: a table at the end, short enough to be read."""

    streams_to_terminal = False
    # Without the last column, whose paths would be folded: the summary says where they are.
    header = ("image", "found", "by chance", _WHERE_DRAWN)
    chance = staticmethod(rate)

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self._rows: list[tuple[bool, tuple[str, ...]]] = []

    def add(self, outcome: Outcome) -> None:
        row = self._row(outcome)
        self._rows.append((outcome.record is None or outcome.record["pred_label"], row))

    def finish(self) -> None:
        rows = [row for _, row in self._rows]
        if len(rows) > _MOST_ROWS:
            rows = [row for matters, row in self._rows if matters]
        if rows:
            draw(self.header, [row[:-1] for row in rows[:_MOST_ROWS]])
        if len(rows) > _MOST_ROWS:
            click.echo(f"and {grouped(len(rows) - _MOST_ROWS)} more of these")
        write_wrapped(self._summary())


def _in_what_way(region: dict[str, Any]) -> str:
    """Without what the heading of the column says anyway."""
    if region["explanation"] is None:
        return ""
    return str(region["explanation"]["words"]).replace(THAN_NORMAL, "")


def _count(regions: int) -> str:
    return "nothing found" if regions == 0 else f"{grouped(regions)} region{'' if regions == 1 else 's'}"


def _most_unusual(place: dict[str, Any], alarms: float) -> str:
    """Where it is, and whether a larger `--alarms` that still makes sense would report it."""
    text = f"most unusual place: x {place['x']}, y {place['y']}; chance alone does this "
    text += expectation(_nfa(place))
    if math.log10(alarms) < _nfa(place) <= 0:
        text += f" (--alarms {10.0 ** math.ceil(_nfa(place)):g} would report it)"
    return text


def _nfa(place: dict[str, Any]) -> float:
    return math.nan if place["log10_nfa"] is None else float(place["log10_nfa"])


def _box(region: dict[str, Any]) -> str:
    return ", ".join(str(number) for number in region["bbox"])


def _look_at(outcome: Outcome) -> str:
    """The overlay, or the folder when there is none."""
    for path in outcome.files:
        if path.name == outcome.job.stem + SUFFIXES["overlay"]:
            return str(path)
    return str(outcome.job.folder)


def write_rows(rows: Sequence[Sequence[str]]) -> None:
    """A line for each row, with tabs between the columns: for a pipe."""
    for row in rows:
        click.echo("\t".join(row))


def write_wrapped(text: str) -> None:
    """A line that a terminal would break inside a word is broken between words."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        Console().print(Text(text))
    else:
        click.echo(text)


def draw(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in header:
        table.add_column(column, overflow="fold")
    for row in rows:
        # As text, not as markup: file names may hold brackets.
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console().print(table)


_STYLES = {"failed": "bold red", "nothing found": "dim"}
