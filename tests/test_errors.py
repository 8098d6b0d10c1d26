"""Every public exception: in the tree that the docstring draws, and the same after a pickle."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from ssdnet import errors

CLASSES = [
    value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)
]


def test_the_docstring_draws_all_of_them() -> None:
    assert len(CLASSES) >= 16
    for kind in CLASSES:
        assert issubclass(kind, errors.SsdnetError)
        assert f" {kind.__name__} " in f" {errors.__doc__} ".replace("\n", " ")


@pytest.mark.parametrize("kind", CLASSES)
def test_a_process_can_hand_it_to_another(kind: type[errors.SsdnetError]) -> None:
    error = kind("photo.jpg: it is empty (0 bytes)")
    error.add_note("seen twice") if hasattr(error, "add_note") else None
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert str(again) == str(error) == "photo.jpg: it is empty (0 bytes)"
        assert again.args == error.args
        assert again.exit_code == error.exit_code
        assert vars(again) == vars(error)


def test_every_fault_of_a_data_set_is_kept() -> None:
    error = errors.DataSetError(f"{name}: its mask is missing" for name in ("a.png", "b.png"))
    again = pickle.loads(pickle.dumps(error))
    assert again.faults == error.faults == ("a.png: its mask is missing", "b.png: its mask is missing")
    assert str(again) == str(error) == "a.png: its mask is missing\nb.png: its mask is missing"
