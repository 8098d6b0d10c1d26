"""The picture for people: the image with what was found, and how unusual each place is.

| module | holds |
| --- | --- |
| `overlay` | the whole figure |
| `layout` | where its parts go |
| `panels`, `outlines`, `placement`, `layers`, `reasons` | the parts |
| `display` | from pixels of any kind to colours of a size that a screen can hold |
"""

from __future__ import annotations

import contextlib
import os
import sys


def _load_matplotlib() -> None:
    """Import matplotlib whatever `MPLBACKEND` says.

    What we draw needs no window, but matplotlib does not even start where the variable names a backend that
    it does not find: that of a notebook's kernel in another environment, say. For all others it holds after
    the import as it would have in it.
    """
    backend = os.environ.get("MPLBACKEND")
    if not backend or "matplotlib" in sys.modules:
        return
    del os.environ["MPLBACKEND"]
    try:
        import matplotlib as mpl
    finally:
        os.environ["MPLBACKEND"] = backend
    with contextlib.suppress(ValueError):
        mpl.rcParams["backend"] = backend


_load_matplotlib()
