"""The detectors by name: the built-in ones, and those other packages offer.

Another package adds a detector with an entry point in the group `ssdnet.detectors`:

```toml
[project.entry-points."ssdnet.detectors"]
mine = "my_package.my_module:MyDetector"
```
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ssdnet.detectors.settings import configured
from ssdnet.errors import UnknownDetectorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssdnet.detectors.protocol import Detector

GROUP = "ssdnet.detectors"
"""Entry point group of detectors from other packages."""

AUTO = "texture"
"""What `detector="auto"` means."""

QUALITIES = ("fast", "draft", "best")
"""Words for how much time may be taken; a detector offers some of them, or has one quality only."""

AUTO_QUALITIES = {"fast": (AUTO, None), "draft": ("ssdnet", "draft"), "best": ("ssdnet", "best")}
"""What `auto` means with each: a detector, and its own quality."""

_BUILT_IN = {
    "texture": "ssdnet.detectors.texture:Texture",
    "rx": "ssdnet.detectors.rx:RX",
    "ssdnet": "ssdnet.detectors.ssdnet:SSDnet",
    "fca": "ssdnet.detectors.rivals.fca:FCA",
    "selfsim": "ssdnet.detectors.rivals.selfsim:SelfSimilarity",
    "phot": "ssdnet.detectors.rivals.phot:PHOT",
    "patchpca": "ssdnet.detectors.rivals.patchpca:PatchPCA",
    "aota": "ssdnet.detectors.rivals.aota:Aota",
    "lowrank": "ssdnet.detectors.rivals.lowrank:LowRank",
    "dip": "ssdnet.detectors.rivals.dip:DIP",
}


def available() -> tuple[str, ...]:
    """Names of all detectors, the built-in ones first; nothing is imported.

    >>> available()[:3]
    ('texture', 'rx', 'ssdnet')
    """
    others = sorted({point.name for point in entry_points(group=GROUP)} - _BUILT_IN.keys())
    return (*_BUILT_IN, *others)


def load(name: str) -> type[Detector]:
    """The class of a detector, `auto` included.

    Raises:
        UnknownDetectorError: no detector has that name.

    >>> load("auto").name, load("rx").source
    ('texture', 'Reed & Yu, IEEE TASSP 1990')
    """
    name = AUTO if name == "auto" else name
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        detector: type[Detector] = getattr(importlib.import_module(module), attribute)
        return detector
    for point in entry_points(group=GROUP):
        if point.name == name:
            found: type[Detector] = point.load()
            return found
    raise UnknownDetectorError(f"no detector '{name}'; there are: auto, {', '.join(available())}")


def create(name: str, quality: str | None = None, settings: Mapping[str, object] | None = None) -> Detector:
    """A detector with its default configuration, with that of one of its qualities, or with other settings.

    Args:
        name: one of `available()`, or `auto`.
        quality: one of `QUALITIES`; None takes the default: of `auto` the fast one, of others the best.
        settings: values of single fields by name, see `ssdnet.detectors.settings.configured`.

    Raises:
        UnknownDetectorError: no detector has that name.
        UsageError: it does not come in that quality, or has no such setting.

    >>> create("auto", "draft").name
    'ssdnet'
    >>> create("texture", settings={"levels": "3"}).levels
    3
    """
    if quality is not None and quality not in QUALITIES:
        raise UsageError(f"there is no quality '{quality}': choose from {', '.join(QUALITIES)}")
    if name == "auto":
        name, quality = AUTO_QUALITIES[quality or "fast"]
    kind = load(name)
    offered = getattr(kind, "qualities", {})
    if quality is not None and quality not in offered:
        choice = f"choose from {', '.join(offered)}" if offered else "it has one only, leave it out"
        raise UsageError(f"detector '{name}' has no quality '{quality}': {choice}")
    detector = kind()
    for chosen in (offered[quality] if quality is not None else {}, settings or {}):
        if chosen:
            detector = configured(detector, chosen)
    return detector
