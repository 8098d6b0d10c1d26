"""Whatever the process, the shell or the thread around is like: the same result, bit by bit, and no trace."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import locale
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

import ssdnet
from ssdnet import host, samples
from ssdnet.device import exact, resolve
from ssdnet.errors import DeviceUnavailableError, ImageReadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

posix = pytest.mark.skipif(os.name != "posix", reason="of POSIX systems")

IMAGE = samples.sample("twill", "hole", (64, 64), seed=0).image


def digest(result):
    """All numbers of a result."""
    arrays = (result.anomaly_map, result.log10_nfa, result.labels)
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def look(detector="auto", quality=None):
    return digest(ssdnet.localize(IMAGE, detector=detector, quality=quality))


@pytest.fixture(scope="module")
def undisturbed():
    return look()


@contextlib.contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        assert torch.get_default_dtype() == dtype
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def default_device(name):
    torch.set_default_device(name)
    try:
        yield
    finally:
        assert torch.get_default_device() == torch.device(name)
        torch.set_default_device(None)


@contextlib.contextmanager
def torch_threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        assert torch.get_num_threads() == count
        torch.set_num_threads(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        assert torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def matmul_precision(name):
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        assert torch.get_float32_matmul_precision() == name
        torch.set_float32_matmul_precision("highest")


@contextlib.contextmanager
def warnings_as_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def numpy_raises():
    return np.errstate(all="raise")


AROUND: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "meta": lambda: default_device("meta"),
    "deterministic": deterministic,
    "medium precision": lambda: matmul_precision("medium"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "numpy raises": numpy_raises,
    "warnings are errors": warnings_as_errors,
    "one thread": lambda: torch_threads(1),
    "three threads": lambda: torch_threads(3),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND.keys())
def test_what_is_set_around_a_call_changes_nothing(around, undisturbed):
    with around():
        assert look() == undisturbed


@pytest.mark.parametrize("detector", ["rx", "phot", "patchpca", "aota", "lowrank"])
def test_it_changes_no_detector(detector):
    alone = look(detector)
    for around in (torch.inference_mode, AROUND["float64"], AROUND["meta"], numpy_raises):
        with around():
            assert look(detector) == alone


@pytest.mark.slow
def test_training_works_inside_of_all_of_them():
    alone = look("ssdnet", "draft")
    for name, around in AROUND.items():
        if "threads" in name or name == "one thread":
            continue  # in training the number of threads changes the rounding, as it is documented
        with around():
            assert look("ssdnet", "draft") == alone, name


def test_a_model_is_fitted_and_used_anywhere(undisturbed):
    with torch.inference_mode(), default_dtype(torch.float64):
        model = ssdnet.fit(IMAGE)
    with torch.no_grad():
        assert digest(model.localize(IMAGE)) == undisturbed
    with torch.inference_mode(), numpy_raises():
        assert digest(model.localize(IMAGE).at(alarms=1)) == digest(ssdnet.localize(IMAGE, alarms=1))


def state_of_the_host():
    """All that a library may be suspected of changing."""
    import matplotlib as mpl

    return {
        "random": random.getstate(),
        "numpy": [str(part) for part in np.random.get_state()],  # noqa: NPY002 - the host's
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "numpy errors": np.geterr(),
        "print": {name: str(value) for name, value in np.get_printoptions().items()},
        "warnings": list(warnings.filters),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "matplotlib": {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"},
        "backend": dict.__getitem__(mpl.rcParams, "backend"),  # without finding one out
        "locale": locale.setlocale(locale.LC_ALL),
        "folder": Path.cwd(),
        "logging": (logging.root.level, list(logging.root.handlers), logging.lastResort),
        "environment": dict(os.environ),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "pixels": Image.MAX_IMAGE_PIXELS,
        "path": list(sys.path),
    }


def test_nothing_of_the_host_is_changed(tmp_path):
    look()  # libraries that are loaded on first use may have a word in it
    ssdnet.localize(IMAGE).save(tmp_path)
    before = state_of_the_host()
    for detector in ("texture", "rx", "phot"):
        ssdnet.localize(IMAGE, detector=detector).save(tmp_path, formats=["map", "overlay", "json", "csv"])
    ssdnet.localize(IMAGE).plot()
    with pytest.raises(ImageReadError):
        ssdnet.localize(b"nothing")
    after = state_of_the_host()
    environment = before.pop("environment"), after.pop("environment")
    assert environment[0].keys() ^ environment[1].keys() <= {"PYTEST_CURRENT_TEST"}
    for name, value in before.items():
        assert after[name] == value, name


def test_calls_in_many_threads_give_the_same_and_leave_no_trace(undisturbed):
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda _: look(), range(24))) == {undisturbed}
        barrier = threading.Barrier(6)

        def threads(_):
            barrier.wait(30)
            return torch.get_num_threads()

        assert set(pool.map(threads, range(6))) == {before[0]}
    assert (torch.get_num_threads(), torch.backends.cudnn.deterministic) == before


def test_exactness_is_put_back_by_the_last_call():
    before = torch.backends.cudnn.deterministic
    first, second = exact(), exact()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.backends.cudnn.deterministic
    second.__exit__(None, None, None)
    assert torch.backends.cudnn.deterministic == before


def test_a_call_inside_of_a_call(undisturbed):
    seen: list[str] = []

    def progress(fraction, message):
        if not seen:
            seen.append(look())

    assert digest(ssdnet.localize(IMAGE, progress=progress)) == undisturbed
    assert seen == [undisturbed]


def test_asyncio(undisturbed):
    async def several():
        results = await asyncio.gather(*(asyncio.to_thread(look) for _ in range(3)))
        return {*results, look()}

    assert asyncio.run(several()) == {undisturbed}


CHILD = """
import sys, threading, hashlib, multiprocessing, numpy as np, torch, ssdnet, faulthandler
faulthandler.dump_traceback_later(100, exit=True)
torch.set_num_threads(2)
big = np.random.default_rng(0).integers(90, 160, (600, 600), np.uint8)
def look(number, detector="auto"):
    return hashlib.sha256(ssdnet.localize(big, detector=detector).anomaly_map.tobytes()).hexdigest()
if __name__ == "__main__":
    torch.ones(2000, 2000).exp().sum()  # the threads of OpenMP are there now
    parent = look(0)
"""

PROCESSES = {
    "fork": """
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert set(pool.map_async(look, range(2)).get(60)) == {parent}
""",
    "fork in the midst": """
    # Other threads of ours are at work and hold locks while the process is copied.
    stop = threading.Event()
    def busy():
        while not stop.is_set():
            look(0)
    thread = threading.Thread(target=busy)
    thread.start()
    for _ in range(3):
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply_async(look, (0,)).get(60) == parent
    stop.set()
    thread.join()
""",
    "DataLoader": """
    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return 2
        def __getitem__(self, number):
            return look(number)
    loader = torch.utils.data.DataLoader(Images(), num_workers=2, multiprocessing_context="fork")
    assert {name for batch in loader for name in batch} == {parent}
""",
}


@posix
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=name, marks=() if name == "fork" else pytest.mark.slow)
        for name, body in PROCESSES.items()
    ],
)
def test_a_process_made_by_fork_after_a_first_call(tmp_path, body):
    script = tmp_path / "script.py"
    script.write_text(CHILD + body)
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@posix
def test_training_in_a_process_made_by_fork(tmp_path):
    body = """
    ssdnet.localize(big[:64, :64], quality="draft")
    with multiprocessing.get_context("fork").Pool(1) as pool:
        again = [pool.apply_async(train, (0,)).get(90) for _ in range(2)]
    assert again[0] == again[1], again
"""
    train = """
def train(number):
    result = ssdnet.localize(big[:64, :64], quality="draft")
    return result.pred_score, result.threads
"""
    script = tmp_path / "script.py"
    script.write_text(
        CHILD.replace('if __name__ == "__main__":', train + 'if __name__ == "__main__":') + body
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_made_otherwise(method, undisturbed):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("not on this system")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        assert set(pool.map(look, ["auto", "auto"])) == {undisturbed}


@pytest.mark.slow
def test_joblib(undisturbed):
    joblib = pytest.importorskip("joblib")
    assert set(joblib.Parallel(n_jobs=2)(joblib.delayed(look)() for _ in range(2))) == {undisturbed}


def test_a_forked_process_is_told_that_the_gpu_is_not_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(DeviceUnavailableError, match="spawn"):
        resolve("auto")


def test_training_has_one_thread_in_a_forked_process(monkeypatch):
    from ssdnet.device import threads

    monkeypatch.setattr(host._PROCESS, "forked", True)
    with threads(4, 100, trains=True) as used:
        assert (used, torch.get_num_threads()) == (1, 1)
