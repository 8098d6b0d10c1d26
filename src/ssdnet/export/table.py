"""The regions as a table: one row each, under a header that is always there."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, BinaryIO

from ssdnet.export.record import record

if TYPE_CHECKING:
    from ssdnet.result import Localization

COLUMNS = (
    "input",
    "id",
    "x",
    "y",
    "width",
    "height",
    "area",
    "centroid_x",
    "centroid_y",
    "peak_score",
    "mean_score",
    "log10_nfa",
    "touches_border",
    "explanation",
)


def write_csv(localization: Localization, file: BinaryIO) -> None:
    """Write the regions in the order of their `id`; RFC 4180 in UTF-8, the same numbers as in the JSON."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    data = record(localization)
    for region in data["regions"]:
        rows.writerow(
            [
                safe_text(data["input"]["name"]),
                region["id"],
                *region["bbox"],
                region["area"],
                *region["centroid"],
                region["peak_score"],
                region["mean_score"],
                region["log10_nfa"],
                str(region["touches_border"]).lower(),
                region["explanation"]["words"] if region["explanation"] else "",
            ]
        )
    file.write(text.getvalue().encode("utf-8", errors="backslashreplace"))


def safe_text(text: str) -> str:
    """`text` with an apostrophe in front when a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
