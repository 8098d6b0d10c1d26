"""The checks at the door: what is taken, and what is refused by name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from ssdnet import settings
from ssdnet.errors import UsageError

TRUTHS = [True, False, np.True_, np.array(True), torch.tensor(True)]


@pytest.mark.parametrize(
    ("given", "taken"),
    [(0.01, 0.01), (1, 1.0), (np.float32(0.5), 0.5), (Fraction(1, 4), 0.25), (settings.DEFAULT_ALARMS, 0.01)],
)
def test_alarms_are_a_number(given: object, taken: float) -> None:
    number = settings.check_alarms(given)
    assert type(number) is float
    assert number == taken


@pytest.mark.parametrize(
    "given",
    [0, -1, "0.1", "few", None, np.nan, np.inf, 10**400, Fraction(1, 10**400), np.ones(3), [1], 1j, *TRUTHS],
)
def test_other_alarms_are_refused(given: object) -> None:
    with pytest.raises(UsageError, match="alarms must be a positive, finite number, not "):
        settings.check_alarms(given)


@pytest.mark.parametrize("given", [0, 7, 2**63 - 1, np.int64(3), np.uint8(3), settings.DEFAULT_SEED])
def test_seeds_are_whole_numbers(given: Any) -> None:
    number = settings.check_seed(given)
    assert type(number) is int
    assert number == given


@pytest.mark.parametrize("given", [-1, 2**63, 0.0, 1.5, "1", None, [1], *TRUTHS])
def test_other_seeds_are_refused(given: object) -> None:
    with pytest.raises(UsageError, match=r"seed must be a whole number in .*, not "):
        settings.check_seed(given)


def test_pages_are_counted_from_one() -> None:
    assert settings.check_page(None) is None
    assert type(settings.check_page(np.int16(3))) is int
    assert [settings.check_page(page) for page in (1, 2**40)] == [1, 2**40]


@pytest.mark.parametrize("given", [0, -1, 1.0, "2", "", [1], *TRUTHS])
def test_other_pages_are_refused(given: object) -> None:
    with pytest.raises(UsageError, match="pages are counted from 1, not "):
        settings.check_page(given)
