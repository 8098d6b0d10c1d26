"""Settings of all tests: property tests without time limits, and the same examples each time in CI."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ssdnet", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("ssdnet")
