"""A result in words that need no statistics."""

from __future__ import annotations

import math

_CERTAIN = 1e9
"""Beyond this rarity no tail fitted to one image can be trusted to a power of ten."""
_USUAL = 1e6


def verdict(count: int) -> str:
    """What was found, as the end of a sentence that begins with the picture's name.

    Examples:
        >>> from ssdnet.wording import verdict
        >>> verdict(0), verdict(1), verdict(1234)
        ('nothing found', '1 region does not belong here', '1 234 regions do not belong here')
    """
    if count == 0:
        return "nothing found"
    return "1 region does not belong here" if count == 1 else f"{grouped(count)} regions do not belong here"


def expectation(log10_nfa: float) -> str:
    """How often chance alone gives something as unusual, for example `once in 10 000 clean images`.

    Args:
        log10_nfa: log10 of the number expected in one clean image.

    Examples:
        >>> from ssdnet.wording import expectation
        >>> expectation(-4.2), expectation(0.5)
        ('once in 20 000 clean images', '3 times in every clean image')
    """
    if math.isnan(log10_nfa):
        return "unknown"
    if log10_nfa <= -math.log10(_CERTAIN):
        return "less than once in a billion clean images"
    if log10_nfa >= math.log10(_USUAL):
        return "over a million times in every clean image"
    number = _round(10 ** abs(log10_nfa))
    if number == 1:
        return "once in every clean image"
    if log10_nfa < 0:
        return f"once in {_spoken(number)} clean images"
    return f"{_spoken(number)} times in every clean image"


def rate(log10_nfa: float) -> str:
    """The same in as little room as there is in a table, for example `1 in 10 000`.

    Examples:
        >>> from ssdnet.wording import rate
        >>> rate(-4.2), rate(0.5), rate(-20)
        ('1 in 20 000', '3 per image', '< 1 in a billion')
    """
    if math.isnan(log10_nfa):
        return "unknown"
    if log10_nfa <= -math.log10(_CERTAIN):
        return "< 1 in a billion"
    if log10_nfa >= math.log10(_USUAL):
        return "> 1 million per image"
    number = _spoken(_round(10 ** abs(log10_nfa)))
    return f"1 in {number}" if log10_nfa < 0 else f"{number} per image"


def grouped(number: int) -> str:
    """`12345` as `12 345`.

    Examples:
        >>> from ssdnet.wording import grouped
        >>> grouped(12345)
        '12 345'
    """
    return f"{number:,}".replace(",", " ")


def printable(text: str) -> str:
    r"""`text` on one line and without characters that would steer a terminal.

    Examples:
        >>> from ssdnet.wording import printable
        >>> printable("part\x1b[2J 7.png")
        'part�[2J 7.png'
    """
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _round(number: float) -> int:
    """To one digit: more would claim a precision that the estimate does not have."""
    size = int(10 ** math.floor(math.log10(number)))
    return round(number / size) * size


def _spoken(number: int) -> str:
    return f"{number // 1_000_000} million" if number >= 1_000_000 else grouped(number)
