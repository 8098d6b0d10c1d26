"""Frozen dataclasses of tensors and numbers as a file, and back: npz with a JSON header, no pickle.

A file is read by the types that its class declares, and by nothing that the file says.
"""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import types
import typing
import zipfile
from typing import Any, TypeVar

import numpy as np
import torch

from ssdnet.errors import InputError

T = TypeVar("T")

_HEADER = "header"


def encode(value: object) -> bytes:
    """A frozen dataclass of tensors, arrays, numbers, text, tuples and the same nested.

    >>> from ssdnet.maths.fusion import Usual
    >>> decode(Usual, encode(Usual(1.0, 2.0)))
    Usual(middle=1.0, spread=2.0)
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    header = _to_plain(value, arrays)
    text = json.dumps(header).encode()
    file = io.BytesIO()
    np.savez(file, **{_HEADER: np.frombuffer(text, np.uint8)}, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def decode(kind: type[T], data: bytes) -> T:
    """What `encode` made of an instance of `kind`.

    Raises:
        InputError: the data is not that.

    Examples:
        >>> from ssdnet.errors import InputError
        >>> from ssdnet.maths.fusion import Usual
        >>> from ssdnet.model_file import decode, encode
        >>> data = encode(Usual(1.0, 2.0))
        >>> decode(Usual, data)
        Usual(middle=1.0, spread=2.0)
        >>> try:
        ...     decode(Usual, data[:50])
        ... except InputError as error:
        ...     print(error)
        this is no file of a Usual, or it is damaged (...)
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            header = json.loads(archive[_HEADER].tobytes())
            value: T = from_plain(kind, header, archive)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"this is no file of a {kind.__name__}, or it is damaged ({error})") from error
    return value


def _to_plain(value: object, arrays: dict[str, np.ndarray[Any, Any]]) -> object:
    if isinstance(value, torch.Tensor):
        arrays[f"a{len(arrays)}"] = value.detach().cpu().numpy()
        return f"a{len(arrays) - 1}"
    if isinstance(value, np.ndarray):
        arrays[f"a{len(arrays)}"] = value
        return f"a{len(arrays) - 1}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _to_plain(getattr(value, field.name), arrays) for field in dataclasses.fields(value)
        }
    if isinstance(value, (list, tuple)):
        return [_to_plain(item, arrays) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} cannot be saved")


def field_types(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields, by name.

    Examples:
        >>> from ssdnet.model_file import field_types
        >>> from ssdnet.result import Learned
        >>> field_types(Learned)
        {'name': <class 'str'>, 'sha256': <class 'str'>}
    """
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        owner = next(one for one in kind.__mro__ if field.name in vars(one).get("__annotations__", {}))
        alone = types.SimpleNamespace(__annotations__={field.name: field.type})
        found |= typing.get_type_hints(alone, vars(sys.modules[owner.__module__]))
    return found


def from_plain(kind: Any, value: Any, archive: Any = None) -> Any:  # noqa: ANN401 - as types are at run time
    """A value of a type from what JSON knows, and arrays.

    Args:
        kind: a type, as annotated.
        value: plain data; for a tensor its name in the archive.
        archive: arrays by name.

    Raises:
        TypeError: the value is of another type.
        ValueError: the fields are not those of the type.

    Examples:
        >>> from ssdnet.model_file import from_plain
        >>> from ssdnet.result import Learned
        >>> from_plain(tuple[Learned, ...], [{"name": "a.png", "sha256": "00ff"}])
        (Learned(name='a.png', sha256='00ff'),)
        >>> from_plain(tuple[int, int] | None, [48, 64])
        (48, 64)
    """
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        (some,) = [one for one in typing.get_args(kind) if one is not type(None)]
        return from_plain(some, value, archive)
    if origin is tuple:
        inner = typing.get_args(kind)
        kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is ... else inner
        return tuple(from_plain(one, item, archive) for one, item in zip(kinds, value, strict=True))
    if kind is torch.Tensor:
        return torch.from_numpy(archive[value].copy())
    if origin is np.ndarray or kind is np.ndarray:
        return archive[value]
    if dataclasses.is_dataclass(kind):
        hints = field_types(typing.cast("type", kind))
        if not isinstance(value, dict) or value.keys() != hints.keys():
            raise ValueError(f"its fields are not those of {kind}")
        return kind(**{name: from_plain(hints[name], value[name], archive) for name in value})  # type: ignore[operator]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind}")
    return value
