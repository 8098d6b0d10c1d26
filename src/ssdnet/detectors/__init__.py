"""What scores an image: the detectors, what they have in common, and where they are found by name.

| module | holds |
| --- | --- |
| `protocol` | what a detector is |
| `registry` | the detectors by name, those of other packages too |
| `checks` | checks of their settings |
| `texture`, `rx`, `ssdnet` | our own |
| `rivals` | methods from the literature, made from their papers |
"""

from __future__ import annotations

from ssdnet.detectors.registry import AUTO, AUTO_QUALITIES, GROUP, available, create, load

__all__ = ["AUTO", "AUTO_QUALITIES", "GROUP", "available", "create", "load"]
