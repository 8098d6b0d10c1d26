"""From figures to summaries, tables, plots, the page, and the files of `ssdnet bench`."""

from __future__ import annotations

import ssdnet.picture  # noqa: F401 - before matplotlib, which it imports whatever MPLBACKEND says
