"""Settings of all tests: property tests without time limits, and the same examples each time in CI; where
tests run side by side, one thread for each, as two for each of two cores mostly wait for each other.
"""

from __future__ import annotations

import os

from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported; processes that tests start inherit it
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("ssdnet", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("ssdnet")
