"""Whatever the shell, the disk and other processes do to a run: the same files, the documented exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import ssdnet
from ssdnet import samples
from ssdnet.errors import ImageReadError

posix = pytest.mark.skipif(os.name != "posix", reason="of POSIX systems")

IMAGE = samples.sample("twill", "hole", (64, 64), seed=0).image


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
