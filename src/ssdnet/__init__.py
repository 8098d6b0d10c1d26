"""Find what does not belong in a single image: no training data, no labels, no weights, no network."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ssdnet._version import __version__
from ssdnet.settings import check_folder

if TYPE_CHECKING:
    from ssdnet import detectors, errors
    from ssdnet.image import Image, read_image
    from ssdnet.model import FittedModel
    from ssdnet.pipeline import fit, localize, localize_many
    from ssdnet.result import Localization, Region

__all__ = [
    "FittedModel",
    "Image",
    "Localization",
    "Region",
    "__version__",
    "detectors",
    "errors",
    "fit",
    "localize",
    "localize_many",
    "read_image",
]

_HOME = {
    "FittedModel": "ssdnet.model",
    "Image": "ssdnet.image",
    "Localization": "ssdnet.result",
    "Region": "ssdnet.result",
    "fit": "ssdnet.pipeline",
    "localize": "ssdnet.pipeline",
    "localize_many": "ssdnet.pipeline",
    "read_image": "ssdnet.image",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `import ssdnet` stays fast."""
    if name in _HOME:
        check_folder()
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in {"detectors", "errors"}:
        value = importlib.import_module(f"ssdnet.{name}")
    else:
        raise AttributeError(f"module 'ssdnet' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
