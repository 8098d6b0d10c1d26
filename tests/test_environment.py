"""Whatever the process, the shell or the thread around is like: the same result, bit by bit, and no trace."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import locale
import logging
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
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


# The command line


def run(folder, *arguments, environment=None, before="", shell="", **options):
    """The command line, with a line of shell before it and redirections after it."""
    words = " ".join(f"'{word}'" for word in (sys.executable, "-m", "ssdnet", *map(str, arguments)))
    clean = {key: value for key, value in os.environ.items() if key not in ("MPLBACKEND", "PYTHONUTF8")}
    return subprocess.run(
        ["sh", "-c", f"{before} {words} {shell}"],
        cwd=folder,
        env={**clean, **(environment or {})},
        capture_output=True,
        check=False,
        timeout=120,
        **options,
    )


def results(folder):
    """The bytes of all results, without durations."""
    found = {}
    for path in sorted(folder.glob("[!.]*")):
        data = path.read_bytes()
        if path.suffix == ".json":
            record = json.loads(data)
            del record["seconds"]
            data = json.dumps(record).encode()
        found[path.name.partition(".")[2]] = data
    return found


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photo")
    Image.fromarray(IMAGE).save(folder / "x.png")
    done = run(folder, "locate", folder / "x.png", "-o", folder / "out")
    assert done.returncode == 0, done.stderr
    return folder / "x.png", results(folder / "out")


INLINE = "module://matplotlib_inline.backend_inline"
ENVIRONMENTS = {
    "a notebook of another environment, without a home": {
        "MPLBACKEND": INLINE,
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "ascii",
        "PYTHONWARNINGS": "error",
        "TERM": "dumb",
        "COLUMNS": "1",
    },
    "nonsense as backend, nothing of a locale": {"MPLBACKEND": "nonsense", "LANG": "C", "LC_ALL": "C"},
    "a backend with windows": {"MPLBACKEND": "tkagg"},
    "no home, Latin letters": {"HOME": "/nonexistent", "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
    "ASCII only": {"PYTHONIOENCODING": "ascii", "LC_ALL": "POSIX", "PYTHONUTF8": "0", "TERM": "dumb"},
    "warnings are errors": {"PYTHONWARNINGS": "error", "COLUMNS": "1"},
}
SLOW = pytest.mark.slow


@posix
@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(environment, id=name, marks=() if number == 0 else SLOW)
        for number, (name, environment) in enumerate(ENVIRONMENTS.items())
    ],
)
def test_any_environment_gives_the_same_files(tmp_path, photo, environment):
    source, expected = photo
    done = run(tmp_path, "locate", source, "-o", tmp_path / "out", environment=environment)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "out") == expected


@pytest.mark.slow
@posix
def test_a_home_without_a_variable(tmp_path, photo):
    source, expected = photo
    done = run(tmp_path, "locate", source, "-o", tmp_path / "out", before="unset HOME XDG_CACHE_HOME;")
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "out") == expected


@posix
@pytest.mark.parametrize(
    ("shell", "options"),
    [
        pytest.param("<&-", [], id="input", marks=SLOW),
        pytest.param(">&-", [], id="output", marks=SLOW),
        pytest.param("2>&-", [], id="errors", marks=SLOW),
        pytest.param(">&-", ["--json"], id="output of JSON", marks=SLOW),
        pytest.param("<&- >&- 2>&-", [], id="all"),
    ],
)
def test_closed_streams_are_empty_ones(tmp_path, photo, shell, options):
    source, expected = photo
    done = run(tmp_path, "locate", source, "-o", tmp_path / "out", *options, shell=shell)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "out") == expected


@posix
@pytest.mark.parametrize(("source", "shell"), [("missing.png", "2>&-"), ("-", "<&-")])
def test_exit_codes_do_not_depend_on_streams(tmp_path, source, shell):
    done = run(tmp_path, "locate", source, "-o", "out", "--fail-on-anomaly", shell=shell)
    assert done.returncode == 3


def test_standard_input_that_is_none(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ImageReadError, match="closed"):
        ssdnet.read_image("-")


@posix
def test_a_folder_that_is_no_more(tmp_path, photo):
    """Torch's MKL would end the process without a word of ours."""
    gone = tmp_path / "gone"
    gone.mkdir()
    done = run(gone, "locate", photo[0], "-o", tmp_path / "out", before=f"rmdir '{gone}';")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"working directory was removed" in done.stderr
    gone.mkdir()
    script = "import numpy as np, ssdnet; ssdnet.localize(np.zeros((20, 20)))"
    words = f"rmdir '{gone}'; exec '{sys.executable}' -c '{script}'"
    done = subprocess.run(["sh", "-c", words], cwd=gone, capture_output=True, check=False)
    assert b"UsageError: the working directory was removed" in done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are text elsewhere")
def test_names_that_are_no_text(tmp_path, photo):
    source, expected = photo
    folder = tmp_path / os.fsdecode(b"f\xff")
    folder.mkdir()
    shutil.copy(source, folder / os.fsdecode(b"\xe9t\xe9 \xf0.png"))
    command = [sys.executable, "-m", "ssdnet", "locate", folder, "-o", tmp_path / "out", "--json"]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = results(tmp_path / "out")
    assert found.keys() == expected.keys()
    assert found["anomaly.tif"] == expected["anomaly.tif"]
    assert json.loads(done.stdout)["pred_score"] == json.loads(expected["json"])["pred_score"]


# Signals


def start(folder, source, *options):
    command = [sys.executable, "-m", "ssdnet", "locate", source, "-o", folder / "out", "--detector", "rx"]
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, text=True
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(200):
        Image.fromarray(np.roll(IMAGE, number, axis=1)).save(folder / f"{number:03}.png")
    return folder


@posix
@pytest.mark.parametrize(
    "name",
    [
        "SIGHUP",
        pytest.param("SIGINT", marks=pytest.mark.slow),
        pytest.param("SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_run_with_its_code(tmp_path, photos, name):
    process = start(tmp_path, photos, "--save", "map")
    process.stdout.readline()
    process.stdout.readline()  # the first image
    number = getattr(signal, name)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    assert "--resume does the rest" in errors
    left = {path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")}
    assert left == {".ssdnet-run.jsonl"}


@posix
def test_nobody_reads_on(tmp_path, photos):
    process = start(tmp_path, photos, "--save", "map")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


@posix
def test_two_runs_do_not_mix(tmp_path, photos):
    first = start(tmp_path, photos, "--save", "map")
    first.stdout.readline()
    first.stdout.readline()
    second = start(tmp_path, photos, "--save", "map", "--resume")
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 3
    assert f"process {first.pid} on" in errors
    first.kill()  # and nothing stands in the way of the next
    first.communicate()
    third = start(tmp_path, photos, "--save", "map", "--resume")
    line = [third.stdout.readline() for _ in range(2)][1]
    third.terminate()
    third.communicate()
    assert line.startswith(str(photos / "000.png"))


@posix
def test_a_folder_of_results_that_is_removed_meanwhile(tmp_path, photos):
    process = start(tmp_path, photos, "--save", "map")
    process.stdout.readline()
    process.stdout.readline()
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        time.sleep(0.05)
    _, errors = process.communicate()
    assert process.returncode == 3
    assert "removed or replaced" in errors or "cannot write" in errors


@posix
def test_a_disk_that_is_full(tmp_path, photo):
    """The largest file that may be written stands for it: the map does not fit, a note of it would."""
    source, expected = photo
    done = run(tmp_path, "locate", source, "-o", "out", before="ulimit -f 8;")
    assert done.returncode == 3
    assert b"cannot write" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".ssdnet-run.jsonl"]
    assert run(tmp_path, "locate", source, "-o", "out", "--resume").returncode == 0
    assert results(tmp_path / "out") == expected


@posix
def test_an_output_folder_that_cannot_be_written(tmp_path, photo):
    done = run(tmp_path, "locate", photo[0], "-o", "/proc/results")
    assert done.returncode == 3
    assert b"cannot write /proc/results" in done.stderr
