"""Results that nobody can change by accident: frozen dataclasses whose arrays are read-only too."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt


class ReadOnly:
    """Base of a frozen dataclass with arrays: nobody writes to them, also after a copy or a pickle.

    What `functools.cached_property` has kept is left out of copies and pickles: it can be made again.

    Examples:
        >>> import copy
        >>> from dataclasses import dataclass
        >>> import numpy as np
        >>> from ssdnet.frozen import ReadOnly
        >>> @dataclass(frozen=True)
        ... class Map(ReadOnly):
        ...     values: np.ndarray
        >>> scores = Map(np.zeros(3))
        >>> scores.values.flags.writeable, copy.deepcopy(scores).values.flags.writeable
        (False, False)
    """

    def __post_init__(self) -> None:
        for name, value in _fields(self).items():
            object.__setattr__(self, name, read_only(value))

    def __getstate__(self) -> dict[str, Any]:
        return _fields(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # NumPy forgets that an array was read-only when it is copied or pickled.
        self.__dict__.update({name: read_only(value) for name, value in state.items()})


def read_only(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    """A view of an array that cannot be written to, without a copy; anything else as it is.

    The array itself stays as it was: it may be its owner's to change.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.frozen import read_only
        >>> mine = np.zeros(3)
        >>> seen = read_only(mine)
        >>> mine[0] = 1  # the owner's to change
        >>> seen.flags.writeable, float(seen[0])
        (False, 1.0)
    """
    import numpy as np  # not above: the command line knows the types of results before it needs arrays

    if not isinstance(value, np.ndarray) or not value.flags.writeable:
        return value
    view: npt.NDArray[Any] = value.view()
    view.flags.writeable = False
    return view


def _fields(instance: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    return {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance)}
