"""What has been measured already: a file for each image, detector and seed, named by all that decides it.

`<key>.tif` has three pages: the anomaly map at the size it was judged at (float32, NaN = missing), the mask
of what was reported at that size (0 or 255), and the picture of how unusual each place is (levels of the
colour scale, 255 = missing). The description of the first page is the record with all figures, in JSON. A
file is complete or not there, so a run may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.export.atomic import write_file
from ssdnet.export.record import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

VERSION = 1
"""Changes when a reader of old files would misread a new one, or the figures are computed otherwise."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One image, looked at by one detector with one seed."""

    record: Mapping[str, Any]
    """The figures, in JSON's types."""
    score: npt.NDArray[np.float32]
    """`(H, W)`, as it was judged."""
    found: npt.NDArray[np.bool_]
    """`(H, W)`, what was reported."""
    heat: npt.NDArray[np.uint8]
    """`(H, W)` of the picture, see `ssdnet.evaluation.report.pictures`."""


def place_of(folder: Path, key: Mapping[str, Any]) -> Path:
    """The file in `folder` for what is measured under `key`."""
    text = json.dumps(plain({"cache": VERSION, **key}), sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:40]}.tif"


def write_measured(path: Path, measured: Measured) -> None:
    """Keep what was measured.

    Raises:
        OutputError: it could not be written.
    """
    import tifffile

    data = io.BytesIO()
    found = np.where(measured.found, np.uint8(255), np.uint8(0))
    with tifffile.TiffWriter(data) as file:
        for number, page in enumerate((measured.score.astype(np.float32, copy=False), found, measured.heat)):
            file.write(
                page,
                photometric="minisblack",
                compression="adobe_deflate",
                metadata=None,
                description=json.dumps(plain(measured.record)) if number == 0 else None,
                software=False,
            )
    write_file(path, data.getvalue())


def read_record(path: Path) -> dict[str, Any] | None:
    """The figures in a file; None when it is not there or is not one of ours."""
    import tifffile

    with contextlib.suppress(OSError, ValueError, tifffile.TiffFileError), tifffile.TiffFile(path) as file:
        record = json.loads(file.pages.first.description)
        if isinstance(record, dict) and len(file.pages) == 3:
            return record
    return None


def read_measured(path: Path) -> Measured:
    """All of a file that `read_record` could read."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        score, found, heat = (page.asarray() for page in file.pages)
        record = json.loads(file.pages.first.description)
    return Measured(record, score, found > 0, heat)
