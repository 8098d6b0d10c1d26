"""A digest of the code that a figure comes from, so that what has changed is measured again.

The version of a package says little while somebody works on it. What is digested are the source files of the
detector's module, of the way of an image (`ssdnet.pipeline`), of the figures, and of all modules of the same
packages that these take functions and classes from, and so on. Not seen: imports inside functions, constants,
and compiled code; the versions of other packages are kept beside the digest.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ssdnet.detectors.protocol import Detector

_JUDGED = ("ssdnet.pipeline", "ssdnet.evaluation.measure.judging")


def code_digest(detector: Detector, beside: Sequence[str] = _JUDGED) -> str:
    """Hex digest of the source files that decide what a detector gives and how it is judged.

    Args:
        detector: whose module counts.
        beside: modules that count, too; by default all that decides the figures of `ssdnet bench`.
    """
    for name in beside:
        importlib.import_module(name)
    own = type(detector).__module__
    packages = {own.partition(".")[0], "ssdnet"}
    modules: dict[str, ModuleType] = {}
    waiting = [own, *beside]
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        if module is not None and name not in modules and name.partition(".")[0] in packages:
            modules[name] = module
            waiting.extend(_taken_from(module))
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(name.encode())
        digest.update(_source(modules[name]))
    return digest.hexdigest()


def _taken_from(module: ModuleType) -> Iterator[str]:
    """Names of the modules whose functions, classes or selves a module has taken."""
    for value in list(vars(module).values()):
        if not isinstance(value, ModuleType):
            yield str(getattr(value, "__module__", ""))
        # A package holds as a part of itself whatever of it anybody has imported so far.
        elif not value.__name__.startswith(f"{module.__name__}."):
            yield value.__name__


def _source(module: ModuleType) -> bytes:
    try:
        return Path(inspect.getfile(module)).read_bytes()
    except (OSError, TypeError):  # typed into a shell, or part of a frozen program
        return b""
