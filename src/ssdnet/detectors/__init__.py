"""What scores an image: the detectors, what they have in common, and where they are found by name.

| module | holds |
| --- | --- |
| `protocol` | what a detector is |
| `registry` | the detectors by name, those of other packages too |
| `settings`, `checks` | their settings: by name, as text, written down; and checked |
| `texture`, `rx`, `ssdnet` | our own |
| `rivals` | methods from the literature, made from their papers |
"""

from __future__ import annotations

from ssdnet.detectors.registry import AUTO, AUTO_QUALITIES, GROUP, QUALITIES, available, create, load
from ssdnet.detectors.settings import configured, from_settings, settings_of

__all__ = [
    "AUTO",
    "AUTO_QUALITIES",
    "GROUP",
    "QUALITIES",
    "available",
    "configured",
    "create",
    "from_settings",
    "load",
    "settings_of",
]
