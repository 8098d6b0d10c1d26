"""What every door of the package takes: the defaults and the checks, each once."""

from __future__ import annotations

import math
import operator
import os

from ssdnet.errors import UsageError

DEFAULT_ALARMS = 1e-2
"""False regions that are accepted in a clean image, on average: one in a hundred images."""
DEFAULT_SEED = 0

_SEEDS = 2**63
"""The seeds that both NumPy and torch take."""


def check_alarms(alarms: object) -> float:
    """The number of false regions to accept in a clean image, on average.

    Args:
        alarms: any positive, finite number.

    Raises:
        UsageError: something else; True is not the number 1.

    Examples:
        >>> from ssdnet.errors import UsageError
        >>> from ssdnet.settings import check_alarms
        >>> check_alarms(1)
        1.0
        >>> try:
        ...     check_alarms(0)
        ... except UsageError as error:
        ...     print(error)
        alarms must be a positive, finite number, not 0
    """
    try:
        # The comparison refuses text, which `float` would read.
        if not _is_truth(alarms) and 0 < alarms < math.inf:  # type: ignore[operator]
            number = float(alarms)  # type: ignore[arg-type]
            if 0 < number < math.inf:
                return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise _refused("alarms must be a positive, finite number", alarms)


def check_seed(seed: object) -> int:
    """The seed of all random numbers.

    Args:
        seed: a whole number in `[0, 2**63)`.

    Raises:
        UsageError: something else; True is not the number 1.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.errors import UsageError
        >>> from ssdnet.settings import check_seed
        >>> check_seed(np.int64(7))
        7
        >>> try:
        ...     check_seed(-1)
        ... except UsageError as error:
        ...     print(error)
        seed must be a whole number in [0, 2**63), not -1
    """
    number = _whole(seed)
    if number is None or not 0 <= number < _SEEDS:
        raise _refused("seed must be a whole number in [0, 2**63)", seed)
    return number


def check_page(page: object) -> int | None:
    """The page to read of a file with several.

    Args:
        page: from 1; None = the first.

    Raises:
        UsageError: something else; True is not the number 1.

    Examples:
        >>> from ssdnet.errors import UsageError
        >>> from ssdnet.settings import check_page
        >>> check_page(2), check_page(None)
        (2, None)
        >>> try:
        ...     check_page(0)
        ... except UsageError as error:
        ...     print(error)
        page must be a whole number, and pages are counted from 1, not 0
    """
    if page is None:
        return None
    number = _whole(page)
    if number is None or number < 1:
        raise _refused("page must be a whole number, and pages are counted from 1", page)
    return number


def check_threads(threads: object) -> int | None:
    """How many CPU threads may be used.

    Args:
        threads: from 1; None = by the size of the image.

    Raises:
        UsageError: something else; True is not the number 1.

    Examples:
        >>> from ssdnet.errors import UsageError
        >>> from ssdnet.settings import check_threads
        >>> check_threads(4), check_threads(None)
        (4, None)
        >>> try:
        ...     check_threads("4")
        ... except UsageError as error:
        ...     print(error)
        threads must be a whole number of at least 1, not '4'
    """
    if threads is None:
        return None
    number = _whole(threads)
    if number is None or number < 1:
        raise _refused("threads must be a whole number of at least 1", threads)
    return number


def _whole(value: object) -> int | None:
    """The whole number that `value` is, if it is one; 2.0 and `"2"` are none."""
    try:
        return None if _is_truth(value) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _is_truth(value: object) -> bool:
    """Whether it is True or False, also of NumPy or torch: Python takes them for 1 and 0."""
    dtype = str(getattr(value, "dtype", ""))
    return isinstance(value, bool) or dtype.removeprefix("torch.") == "bool"


def _refused(rule: str, value: object) -> UsageError:
    return UsageError(f"{rule}, not {value!r}")


def check_folder() -> None:
    """See that there is a working directory, before torch is loaded: Intel's MKL in it would end the process.

    Raises:
        UsageError: it was removed.

    Examples:
        >>> from ssdnet.settings import check_folder
        >>> check_folder()
    """
    try:
        os.getcwd()  # noqa: PTH109 - pathlib need not be loaded for it
    except OSError:
        raise UsageError("the working directory was removed; change to another one first") from None
