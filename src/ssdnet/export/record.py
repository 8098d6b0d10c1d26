"""The result as plain data: what `<stem>.json` holds, described by `schema.json` beside this file."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ssdnet._version import __version__
from ssdnet.wording import expectation

if TYPE_CHECKING:
    from ssdnet.result import Localization, Region

SCHEMA_VERSION = "1"
"""Changes when a reader of the old records would misread a new one."""


def record(localization: Localization) -> dict[str, Any]:
    """All of a result but its pixels, made of nothing but what JSON knows.

    `Localization.to_dict` keeps it: ask there.

    JSON has no infinity and no NaN: an infinite number becomes the largest finite one of its sign, which
    keeps every comparison right, and NaN becomes None.

    Examples:
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.record import record
        >>> result = ssdnet.localize(np.random.default_rng(0).normal(size=(64, 64)), detector="rx", seed=3)
        >>> data = record(result)
        >>> data["schema_version"], data["detector"]["name"], data["seed"], data["input"]["width"]
        ('1', 'rx', 3, 64)
    """
    image = localization.image
    outside = 0 if image.outside_roi is None else int(np.count_nonzero(image.outside_roi))
    data: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "pred_score": localization.pred_score,
            "pred_label": localization.pred_label,
            "alarms": localization.alarms,
            "stationarity": localization.stationarity,
            "most_unusual": _most_unusual(localization),
            "regions": [_region(region) for region in localization.regions],
            "input": {
                "name": image.name,
                "sha256": image.sha256,
                "width": image.width,
                "height": image.height,
                "channels": image.channels,
                "dtype": str(image.pixels.dtype),
                "page": image.page,
                "page_count": image.page_count,
                "missing_pixels": int(np.count_nonzero(~image.valid)) - outside,
                "roi": None if image.roi_sha256 is None else {"sha256": image.roi_sha256},
                "outside_roi_pixels": outside,
            },
            "detector": {"name": localization.detector, "settings": localization.detector_settings},
            "learned": [dataclasses.asdict(one) for one in localization.learned],
            "itself": localization.itself,
            "null_law": localization.null.to_dict(),
            "seed": localization.seed,
            "device": localization.device,
            "threads": localization.threads,
            "versions": versions(),
            "seconds": localization.seconds,
            "notes": localization.notes,
        }
    )
    return data


def _region(region: Region) -> dict[str, Any]:
    data = dataclasses.asdict(dataclasses.replace(region, explanation=None))
    explanation = region.explanation
    return {
        **data,
        "expected": expectation(region.log10_nfa),
        "explanation": explanation and {"words": explanation.words, **dataclasses.asdict(explanation)},
    }


def _most_unusual(localization: Localization) -> dict[str, Any] | None:
    if localization.most_unusual is None:
        return None
    x, y = localization.most_unusual
    return {"x": x, "y": y, "log10_nfa": localization.log10_nfa[y, x]}


def to_json(data: object, *, indent: int | None = None) -> bytes:
    """Strict JSON in UTF-8, on one line unless there is an `indent`.

    Examples:
        >>> from ssdnet.export.record import to_json
        >>> to_json({"pred_label": True, "bbox": (3, 4, 5, 6)})
        b'{"pred_label": true, "bbox": [3, 4, 5, 6]}'
    """
    text = json.dumps(data, indent=indent, allow_nan=False, ensure_ascii=False)
    # File names that are not UTF-8 come as lone surrogates; `\udc..` is how JSON itself spells those.
    return text.encode("utf-8", errors="backslashreplace")


def write_json(localization: Localization, file: BinaryIO) -> None:
    """Write the record.

    Examples:
        >>> import io
        >>> import json
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.record import write_json
        >>> file, image = io.BytesIO(), np.random.default_rng(0).normal(size=(64, 64))
        >>> result = ssdnet.localize(image, detector="rx")
        >>> write_json(result, file)
        >>> json.loads(file.getvalue()) == result.to_dict()
        True
    """
    file.write(to_json(localization.to_dict(), indent=2) + b"\n")


@cache
def versions() -> dict[str, str]:
    """Of this package and of what computes its results.

    Examples:
        >>> import ssdnet
        >>> from ssdnet.export.record import versions
        >>> versions()["ssdnet"] == ssdnet.__version__, sorted(versions())
        (True, ['numpy', 'python', 'scipy', 'ssdnet', 'torch'])
    """
    return {
        "ssdnet": __version__,
        "torch": version("torch"),
        "numpy": version("numpy"),
        "scipy": version("scipy"),
        "python": platform.python_version(),
    }


def plain(value: Any) -> Any:  # noqa: ANN401 - settings may hold anything
    """`value` in JSON's own types; what JSON cannot hold becomes text.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.export.record import plain
        >>> plain({"scales": (np.float32(0.5), float("nan")), "names": {"b", "a"}, "device": np.dtype("u1")})
        {'scales': [0.5, None], 'names': ['a', 'b'], 'device': 'uint8'}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return min(max(value, -sys.float_info.max), sys.float_info.max)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        return [plain(item) for item in items]
    return str(value)
