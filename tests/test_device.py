"""The device that torch runs on: the one that was asked for, or an error that says what there is."""

from __future__ import annotations

import pytest
import torch

from ssdnet.device import exact, resolve, threads
from ssdnet.errors import DeviceUnavailableError, UsageError


@pytest.fixture
def machine(monkeypatch):
    """A function that makes torch believe in so many GPUs."""

    def pretend(cuda: int = 0, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(0, False, "cpu"), (2, False, "cuda:0"), (0, True, "mps"), (1, True, "cuda:0")],
)
def test_auto_takes_a_gpu_where_there_is_one(machine, cuda, mps, expected):
    machine(cuda, mps)
    assert resolve() == resolve("auto") == torch.device(expected)


def test_the_one_that_was_asked_for_is_taken_and_has_a_number(machine):
    machine(cuda=2, mps=True)
    names = ("cpu", "cuda", "cuda:0", "cuda:1", "mps")
    assert [str(resolve(name)) for name in names] == ["cpu", "cuda:0", "cuda:0", "cuda:1", "mps"]


@pytest.mark.parametrize(
    ("cuda", "name", "words"),
    [
        (0, "cuda", "'cuda' was asked for, but this machine has no cuda devices"),
        (1, "cuda:1", "has 1 cuda device that torch"),
        (2, "cuda:2", "has 2 cuda devices that torch"),
        (0, "mps", "no mps devices"),
        (0, "cpu:1", "has 1 cpu device that torch"),
        (0, "meta", "no meta devices"),
        (2, "gpu", "'gpu' is not a device; use auto, cpu, cuda, cuda:N or mps"),
        (0, "", "'' is not a device"),
    ],
)
def test_one_that_is_not_there_is_an_error_and_never_replaced(machine, cuda, name, words):
    machine(cuda)
    with pytest.raises(DeviceUnavailableError, match=words):
        resolve(name)


def test_exact_holds_inside_and_leaves_the_host_as_it_was():
    flags = torch.backends.cudnn

    def now() -> tuple[bool, ...]:
        return flags.enabled, flags.benchmark, flags.deterministic, flags.allow_tf32

    before = now()
    with exact():
        assert now() == (True, False, True, False)
    assert now() == before


# Threads ------------------------------------------------------------------------------------------------


@pytest.fixture
def two():
    """Torch may use two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("wanted", "pixels", "expected"),
    [(None, 256**2, 1), (None, 1024**2, 2), (None, 4096**2, 2), (1, 4096**2, 1), (3, 1, 3), (None, 0, 1)],
)
def test_threads_are_as_many_as_the_work_is_worth(wanted, pixels, expected):
    with threads(wanted, pixels) as used:
        assert used == expected
        assert torch.get_num_threads() == 1
    with threads(wanted, pixels, trains=True) as used:
        assert used == torch.get_num_threads() == (wanted or 2)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two")
def test_calls_that_overlap_leave_what_was():
    first, second = threads(None, 1), threads(3, 1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2"])
def test_threads_are_a_positive_whole_number(wrong):
    with pytest.raises(UsageError, match="threads must be a whole number of at least 1"), threads(wrong, 1):
        pass
