"""Whoever looks a function up finds a line to copy. That the lines run, `--doctest-modules` sees to."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from ssdnet.errors import SsdnetError

if TYPE_CHECKING:
    from collections.abc import Iterator

WITH_EXAMPLES = (
    "ssdnet.batch",
    "ssdnet.calibration",
    "ssdnet.detectors",
    "ssdnet.device",
    "ssdnet.diagnosis",
    "ssdnet.errors",
    "ssdnet.evaluation.data",
    "ssdnet.evaluation.measure.intervals",
    "ssdnet.evaluation.measure.metrics",
    "ssdnet.explanation",
    "ssdnet.export",
    "ssdnet.frozen",
    "ssdnet.image",
    "ssdnet.judging",
    "ssdnet.model",
    "ssdnet.model_file",
    "ssdnet.picture",
    "ssdnet.pipeline",
    "ssdnet.progress",
    "ssdnet.result",
    "ssdnet.maths",
    "ssdnet.samples",
    "ssdnet.settings",
    "ssdnet.wording",
)
"""Packages and modules of which each public function and class has an example."""


def modules(name: str) -> Iterator[ModuleType]:
    """A module and all inside it."""
    module = importlib.import_module(name)
    yield module
    for inside in pkgutil.walk_packages(getattr(module, "__path__", []), f"{name}."):
        yield importlib.import_module(inside.name)


def without_example(module: ModuleType) -> Iterator[str]:
    """Public functions and classes that are defined in a module and show no `>>>`."""
    for name, thing in vars(module).items():
        own = getattr(thing, "__module__", None) == module.__name__
        public = own and not name.startswith("_") and (inspect.isfunction(thing) or inspect.isclass(thing))
        if public and ">>>" not in (thing.__doc__ or "") and not _is_plain_error(thing):
            yield f"{module.__name__}.{name}"


def _is_plain_error(thing: object) -> bool:
    """Whether it is one of our errors that adds a name only: all are caught as the base class shows."""
    return (
        isinstance(thing, type)
        and issubclass(thing, SsdnetError)
        and thing is not SsdnetError
        and "__init__" not in vars(thing)
    )


@pytest.mark.parametrize("package", WITH_EXAMPLES)
def test_each_public_name_has_an_example(package: str) -> None:
    missing = [name for module in modules(package) for name in without_example(module)]
    assert not missing, f"no example (`>>>`) in the docstring of {', '.join(missing)}"


def test_one_without_would_be_found() -> None:
    made_up = ModuleType("made_up")
    source = """
def shown():
    'Twice two is four: >>> 2 * 2'
class Plain:
    'Nothing to copy.'
def bare(): ...
def _own(): ...
"""
    exec(source, vars(made_up))
    assert list(without_example(made_up)) == ["made_up.Plain", "made_up.bare"]


def test_of_errors_only_those_that_add_nothing_need_none() -> None:
    made_up = ModuleType("made_up")
    source = """
from ssdnet.errors import UsageError
class NamedError(UsageError):
    'A name for one kind of mistake.'
class ListingError(UsageError):
    'Keeps what was wrong.'
    def __init__(self, faults): ...
class ForeignError(Exception):
    'None of ours.'
"""
    exec(source, vars(made_up))
    assert list(without_example(made_up)) == ["made_up.ListingError", "made_up.ForeignError"]
