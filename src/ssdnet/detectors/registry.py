"""The detectors by name: the built-in ones, and those other packages offer.

Another package adds a detector with an entry point in the group `ssdnet.detectors`:

```toml
[project.entry-points."ssdnet.detectors"]
mine = "my_package.my_module:MyDetector"
```
"""

from __future__ import annotations

import dataclasses
import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from ssdnet.errors import UnknownDetectorError, UsageError

if TYPE_CHECKING:
    from ssdnet.detectors.protocol import Detector

GROUP = "ssdnet.detectors"
"""Entry point group of detectors from other packages."""

AUTO = "texture"
"""What `detector="auto"` means."""

AUTO_QUALITIES = {"fast": AUTO, "best": "ssdnet"}
"""What it means with a quality."""

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
    """Names of all detectors, the built-in ones first; nothing is imported."""
    others = sorted({point.name for point in entry_points(group=GROUP)} - _BUILT_IN.keys())
    return (*_BUILT_IN, *others)


def load(name: str) -> type[Detector]:
    """The class of a detector, `auto` included.

    Raises:
        UnknownDetectorError: no detector has that name.
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


def create(name: str, quality: str | None = None) -> Detector:
    """A detector with its default configuration, or with that of one of its qualities.

    Raises:
        UnknownDetectorError: no detector has that name.
        UsageError: it does not come in that quality.
    """
    kinds = AUTO_QUALITIES if name == "auto" else {}
    detector = load(kinds.get(quality or "", name))
    if quality is None or quality in kinds:
        return detector()
    offered = getattr(detector, "qualities", {})
    if quality not in offered:
        names = [*kinds, *offered]
        choice = f"choose from {', '.join(names)}" if names else "it has one only, leave it out"
        raise UsageError(f"detector '{name}' has no quality '{quality}': {choice}")
    return detector(**offered[quality])


def settings_of(detector: object) -> dict[str, Any]:
    """The fields of a detector's configuration, by name."""
    if dataclasses.is_dataclass(detector) and not isinstance(detector, type):
        return dataclasses.asdict(detector)
    return {}
