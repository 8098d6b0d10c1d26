"""The regions as a table: one row each, under a header that is always there."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, BinaryIO

from ssdnet.export.record import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ssdnet.result import Localization, Region

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


def regions_table(regions: Iterable[Region]) -> dict[str, list[Any]]:
    """The regions as columns, all of `COLUMNS` but `input`; see `Localization.regions_table`.

    Examples:
        >>> from ssdnet.export.table import regions_table
        >>> from ssdnet.result import Region
        >>> hole = Region(1, (30, 4, 12, 8), 70, (35.5, 7.5), 9.0, 7.0, -3.0, touches_border=False)
        >>> table = regions_table([hole])
        >>> table["x"], table["area"], table["explanation"]
        ([30], [70], [None])
    """
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS[1:]}
    for region in regions:
        row = (
            region.id,
            *region.bbox,
            region.area,
            *region.centroid,
            region.peak_score,
            region.mean_score,
            region.log10_nfa,
            region.touches_border,
            region.explanation and region.explanation.words,
        )
        for column, cell in zip(columns.values(), row, strict=True):
            column.append(cell)
    return columns


def write_csv(localization: Localization, file: BinaryIO) -> None:
    """Write the regions in the order of their `id`; RFC 4180 in UTF-8, the same numbers as in the JSON.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.table import write_csv
        >>> file, image = io.BytesIO(), np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> image[20:25, 30:35] = 255
        >>> write_csv(ssdnet.localize(image, detector="rx"), file)
        >>> header, row = file.getvalue().decode().splitlines()
        >>> header.split(",")[:4], row.split(",")[:2]
        (['input', 'id', 'x', 'y'], ['array', '1'])
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    name = safe_text(localization.image.name)
    for row in zip(*regions_table(localization.regions).values(), strict=True):
        rows.writerow([name, *map(_cell, row)])
    file.write(text.getvalue().encode("utf-8", errors="backslashreplace"))


def _cell(value: object) -> object:
    """A value as the CSV spells it: truth in JSON's words, nothing as nothing."""
    value = plain(value)
    return str(value).lower() if isinstance(value, bool) else value


def safe_text(text: str) -> str:
    """`text` with an apostrophe in front when a spreadsheet would take it for a formula.

    Examples:
        >>> from ssdnet.export.table import safe_text
        >>> safe_text("=1+2.png"), safe_text("1+2.png")
        ("'=1+2.png", '1+2.png')
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
