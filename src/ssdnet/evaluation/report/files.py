"""The files of a run: `results.csv`, `results.json`, `table.md` and `report.html`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssdnet.evaluation.report.page import page
from ssdnet.evaluation.report.tables import markdown, results, to_csv
from ssdnet.export.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ssdnet.evaluation.measure.runner import Outcome
    from ssdnet.evaluation.report.summary import Summary

PAGE = "report.html"


def write_report(
    out: Path, summary: Summary, outcomes: Sequence[Outcome], made: Mapping[str, Any]
) -> tuple[Path, ...]:
    """Write the four files, each complete or as it was before.

    Args:
        out: the folder that was given to `run`.
        summary: of the outcomes.
        outcomes: of the run.
        made: from `ssdnet.evaluation.measure.provenance`.

    Returns:
        The files; the page is the last.

    Raises:
        OutputError: one could not be written.
    """
    contents = {
        "results.csv": to_csv(outcomes, out),
        "results.json": results(summary, outcomes, made),
        "table.md": markdown(summary, made),
        PAGE: page(summary, outcomes, made),
    }
    for name, data in contents.items():
        write_file(out / name, data)
    return tuple(out / name for name in contents)
