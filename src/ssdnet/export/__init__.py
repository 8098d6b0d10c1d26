"""The files of a result: one small writer a format, all complete or none.

| format | file | writer |
| --- | --- | --- |
| `map` | `<stem>.anomaly.tif` | `rasters.write_map` |
| `mask` | `<stem>.mask.png` | `rasters.write_mask` |
| `labels` | `<stem>.labels.png` | `rasters.write_labels` |
| `overlay` | `<stem>.overlay.png` | `ssdnet.picture.overlay.write_overlay` |
| `json` | `<stem>.json` | `record.write_json` |
| `csv` | `<stem>.csv` | `table.write_csv` |
| `layers` | `<stem>.layers.tif` | `rasters.write_layers` |
| `decision` | `<stem>.decision.tif` | `rasters.write_decision` |
| `restored` | `<stem>.restored.tif` | `rasters.write_restored` |

The last three are written only when they are asked for: `layers` is several times as large as the image,
`decision` is for those who judge again by the law in the JSON, and `restored` takes time to make.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ssdnet.errors import UsageError
from ssdnet.export.atomic import write_together

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from ssdnet.export.atomic import Writer
    from ssdnet.result import Localization

__all__ = ["DEFAULT_FORMATS", "FORMATS", "SUFFIXES", "check_layers", "parse_formats", "save"]


class _Format(NamedTuple):
    suffix: str
    writer: str


# Writers are named, not imported, so that one who wants the map alone never waits for matplotlib.
_FORMATS = {
    "map": _Format(".anomaly.tif", "ssdnet.export.rasters:write_map"),
    "mask": _Format(".mask.png", "ssdnet.export.rasters:write_mask"),
    "labels": _Format(".labels.png", "ssdnet.export.rasters:write_labels"),
    "overlay": _Format(".overlay.png", "ssdnet.picture.overlay:write_overlay"),
    "json": _Format(".json", "ssdnet.export.record:write_json"),
    "csv": _Format(".csv", "ssdnet.export.table:write_csv"),
    "layers": _Format(".layers.tif", "ssdnet.export.rasters:write_layers"),
    "decision": _Format(".decision.tif", "ssdnet.export.rasters:write_decision"),
    "restored": _Format(".restored.tif", "ssdnet.export.rasters:write_restored"),
}

FORMATS = tuple(_FORMATS)
"""The names of all formats."""

DEFAULT_FORMATS = tuple(name for name in FORMATS if name not in {"layers", "decision", "restored"})
"""Those that are written when none is named."""

SUFFIXES = {name: kind.suffix for name, kind in _FORMATS.items()}
"""What follows the stem in the file name of each format."""


def parse_formats(formats: str | Iterable[str] | None) -> tuple[str, ...]:
    """The formats that were asked for, each once, in the order of `FORMATS`.

    Args:
        formats: names, or one string with commas between them; None = `DEFAULT_FORMATS`.

    Raises:
        UsageError: a name is unknown.

    Examples:
        >>> from ssdnet.export import parse_formats
        >>> parse_formats("json, map"), parse_formats(None)[:3]
        (('map', 'json'), ('map', 'mask', 'labels'))
    """
    if formats is None:
        return DEFAULT_FORMATS
    words = [word.strip() for word in (formats.split(",") if isinstance(formats, str) else formats)]
    for word in words:
        if word not in _FORMATS:
            raise UsageError(f"cannot save '{word}'; choose from {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in words)


def check_layers(formats: Iterable[str], detector: str, *, decomposes: bool) -> None:
    """Refuse to write layers where there are none.

    Args:
        formats: what is to be written.
        detector: the name of the detector that makes the result.
        decomposes: whether it splits the image into layers.

    Raises:
        UsageError: `layers` is among the formats, and it does not.

    Examples:
        >>> from ssdnet.errors import UsageError
        >>> from ssdnet.export import check_layers
        >>> check_layers(["map", "layers"], "ssdnet", decomposes=True)
        >>> try:
        ...     check_layers(["map", "layers"], "rx", decomposes=False)
        ... except UsageError as error:
        ...     print(error)
        cannot save 'layers': detector 'rx' does not split the image into layers; ...
    """
    if "layers" in formats and not decomposes:
        raise UsageError(
            f"cannot save 'layers': detector '{detector}' does not split the image into layers; "
            'use one that does, such as ssdnet (--detector ssdnet, or detector="ssdnet")'
        )


def save(
    localization: Localization,
    folder: str | os.PathLike[str],
    *,
    stem: str | None = None,
    formats: str | Iterable[str] | None = None,
) -> tuple[Path, ...]:
    """Write the result's files into `folder`, which is made when it is not there.

    Every file is written whether or not something was found. Equal results give equal bytes.

    Args:
        localization: the result.
        folder: where to write.
        stem: first part of the file names; by default the input's file name without its suffix, which for
            an image without a file is `array`, `tensor`, `PIL image` or `bytes`.
        formats: any of `FORMATS`; `DEFAULT_FORMATS` when None.

    Returns:
        The files written. All of them are written under temporary names first, so that a failure leaves
        none of them and whatever was there before.

    Raises:
        UsageError: an unknown format, layers of a result that has none, or a stem that is not a file name.
        OutputError: a file could not be written.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export import save
        >>> result = ssdnet.localize(np.random.default_rng(0).normal(size=(64, 64)), detector="rx")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in save(result, folder, stem="part 7", formats="map, json, csv")]
        ['part 7.anomaly.tif', 'part 7.json', 'part 7.csv']
    """
    chosen = parse_formats(formats)
    check_layers(chosen, localization.detector, decomposes=localization.normal is not None)
    stem = Path(localization.image.name).stem if stem is None else stem
    if stem in {"", ".."} or stem != Path(stem).name or "\\" in stem:
        raise UsageError(f"'{stem}' cannot be the beginning of a file name")
    folder = Path(folder)
    return write_together({folder / (stem + SUFFIXES[name]): _writer(name) for name in chosen}, localization)


def _writer(name: str) -> Writer:
    module, _, function = _FORMATS[name].writer.partition(":")
    writer: Writer = getattr(importlib.import_module(module), function)
    return writer
