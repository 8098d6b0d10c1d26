"""Settings of a detector: given by name or as text, written down, read again, and told to people."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ssdnet.errors import UsageError
from ssdnet.model_file import field_types, from_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssdnet.detectors.protocol import Detector


class Setting(NamedTuple):
    """One field of a configuration.

    >>> from ssdnet.detectors.rivals.phot import PHOT
    >>> described(PHOT)[0]
    Setting(name='smoothing', default=5.0, words='Standard deviation of the Gaussian that smooths ...')
    """

    name: str
    """With a dot between a group and its field: `training.steps`."""
    default: object
    words: str
    """What it is, for people."""


def settings_of(detector: object) -> dict[str, Any]:
    """The fields of a detector's configuration, by name; groups of them are dictionaries.

    >>> from ssdnet.detectors.rx import RX
    >>> settings_of(RX())["orbits"]
    3
    """
    if dataclasses.is_dataclass(detector) and not isinstance(detector, type):
        return dataclasses.asdict(detector)
    return {}


def from_settings(kind: type[Detector], settings: Mapping[str, Any]) -> Detector:
    """A detector from what `settings_of` gave, also by way of JSON.

    Args:
        kind: its class, see `registry.load`.
        settings: all of its fields.

    Raises:
        UsageError: they are not the fields of that detector, or mean nothing.

    >>> import json
    >>> from ssdnet.detectors.rx import RX
    >>> written = json.dumps(settings_of(RX(orbits=2)))
    >>> from_settings(RX, json.loads(written)) == RX(orbits=2)
    True
    """
    try:
        return cast("Detector", from_plain(kind, dict(settings)))
    except (TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"these are no settings of detector '{kind.name}': {error}") from error


def configured(detector: Detector, settings: Mapping[str, object]) -> Detector:
    """The same detector with other settings.

    Args:
        detector: to begin with.
        settings: new values by name, `training.steps` for a field of a group. Text is read as the field's
            type asks: `5,3` for a tuple, `none` for None, `true` or `false`.

    Raises:
        UsageError: there is no such field, or the value means nothing.

    >>> from ssdnet.detectors.texture import Texture
    >>> configured(Texture(), {"patches": "7,3", "trim": 0.1}).patches
    (7, 3)
    """
    offered = [setting.name for setting in described(type(detector))]
    for name in settings:
        if name not in offered:
            raise UsageError(
                f"detector '{detector.name}' has no setting '{name}'; it has {', '.join(offered)}"
            )
    changed: Detector = _replaced(detector, settings)
    return changed


def _replaced(part: Any, settings: Mapping[str, object]) -> Any:  # noqa: ANN401 - a detector or a group
    """A configuration with other values of fields that it has."""
    groups: dict[str, dict[str, object]] = {}
    own: dict[str, object] = {}
    types_ = field_types(type(part))
    for name, value in settings.items():
        group, _, rest = name.partition(".")
        if rest:
            groups.setdefault(group, {})[rest] = value
        else:
            own[name] = _read(part.name, name, value, types_[name])
    own |= {group: _replaced(getattr(part, group), values) for group, values in groups.items()}
    return dataclasses.replace(part, **own)


def described(kind: type) -> tuple[Setting, ...]:
    """All settings of a detector, with their defaults and what they mean.

    >>> from ssdnet.detectors.ssdnet import SSDnet
    >>> [setting.name for setting in described(SSDnet)][:2]
    ['training.widths', 'training.steps']
    """
    words = _attribute_docs(kind)
    found: list[Setting] = []
    for name, type_ in field_types(kind).items():
        if dataclasses.is_dataclass(type_):
            inner = described(cast("type", type_))
            found += [Setting(f"{name}.{one.name}", one.default, one.words) for one in inner]
        else:
            found.append(Setting(name, getattr(kind, name), words.get(name, "")))
    return tuple(found)


def _attribute_docs(kind: type) -> dict[str, str]:
    """What stands in a string below each field."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    body = cast("ast.ClassDef", tree).body
    return {
        before.target.id: inspect.cleandoc(str(after.value.value)).replace("\n", " ")
        for before, after in itertools.pairwise(body)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }


def _read(detector: str, name: str, value: object, kind: Any) -> object:  # noqa: ANN401 - a type
    if not isinstance(value, str) or kind is str:
        return value
    try:
        return _parsed(value.strip(), kind)
    except ValueError:
        raise UsageError(f"{detector}: {name} must be {_spoken(kind)}, not '{value}'") from None


def _parsed(text: str, kind: Any) -> object:  # noqa: ANN401 - a type
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if text.lower() == "none":
            return None
        return _parsed(text, next(one for one in inner if one is not type(None)))
    if origin is tuple:
        return tuple(_parsed(part.strip(), inner[0]) for part in text.split(",") if part.strip())
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]
    if kind in (int, float):
        return kind(text)
    return text


def _spoken(kind: Any) -> str:  # noqa: ANN401 - a type
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if one is type(None) else _spoken(one) for one in inner)
    if origin is tuple:
        return f"{_spoken(inner[0]).removeprefix('a ')}s with commas between them"
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "text")
