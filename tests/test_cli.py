"""The command line: small cases inside this process, and as a process what only a process shows."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pillow

import ssdnet
import ssdnet.detectors
import ssdnet.export
import ssdnet.pipeline
from ssdnet.batch.journal import NAME
from ssdnet.cli import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ssdnet.image import Image
    from ssdnet.result import Localization

SCHEMA = json.loads((Path(ssdnet.export.__file__).parent / "schema.json").read_text(encoding="utf-8"))
RECORD = jsonschema.Draft202012Validator(SCHEMA)
FAILURE = jsonschema.Draft202012Validator({**SCHEMA["$defs"]["failure"], "$defs": SCHEMA["$defs"]})

# With these, any detector finds something, or nothing, whatever the image.
ALWAYS = ("--alarms", "1e30")
NEVER = ("--alarms", "1e-300")
COMMAND = (sys.executable, "-m", "ssdnet")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def make_image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.random.default_rng(seed).integers(90, 110, (24, 32), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("SSDNET_DEBUG", raising=False)
    return tmp_path


def call(*arguments: str, data: bytes | None = None) -> Result:
    """Run the command line in this process, on the CPU and with small files."""
    words = list(arguments)
    if words[:1] == ["locate"]:
        words += ["--device", "cpu"]
        words += [] if "--save" in words else ["--save", "json"]
    return CliRunner().invoke(program, words, input=data)


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=120, check=False, **options)


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# Exit codes -------------------------------------------------------------------------------------------


def test_done_is_0_whether_or_not_something_is_found(here: Path) -> None:
    make_image(here / "a.png")
    for alarms, words in ((NEVER, "a.png: nothing found"), (ALWAYS, "a.png: 1 region does not belong here")):
        result = call("locate", "a.png", *alarms)
        assert result.exit_code == 0
        assert result.stdout.splitlines()[0] == words
        place = r"most unusual place: x \d+, y \d+; chance alone does this .* clean image"
        assert (re.search(place, result.stdout) is not None) is (alarms is NEVER)
        assert result.stderr == ""


def test_fail_on_anomaly_is_1_only_when_something_is_found(here: Path) -> None:
    make_image(here / "a.png")
    assert call("locate", "a.png", "--fail-on-anomaly", *ALWAYS).exit_code == 1
    assert call("locate", "a.png", "--fail-on-anomaly", *NEVER).exit_code == 0
    make_image(here / "p/b.png")
    (here / "p/c.png").write_bytes(b"broken")
    assert call("locate", "p", "--fail-on-anomaly", *ALWAYS).exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["locate"], "Missing argument 'INPUT...'"),
        (["locate", "a.png", "--nonsense"], "No such option"),
        (["nonsense"], "No such command"),
        (["locate", "a.png", "--detector", "nope"], "no detector 'nope'; there are: auto, texture"),
        (["locate", "a.png", "--device", "cuda:77"], "device 'cuda:77' was asked for"),
        (["locate", "a.png", "--device", "toaster"], "'toaster' is not a device"),
        (["locate", "a.png", "--save", "map,pdf"], "cannot save 'pdf'; choose from map, mask, labels"),
        (["locate", "a.png", "--save", "layers"], "'texture' does not split the image into layers"),
        (["locate", "a.png", "--quality", "full"], "there is no quality 'full'"),
        (["locate", "a.png", "--batch", "0"], "not in the range"),
        (["locate", "a.png", "--alarms", "0"], "alarms must be"),
        (["locate", "a.png", "--alarms", "-1"], "alarms must be"),
        (["locate", "a.png", "--alarms", "often"], "is not a valid float"),
        (["locate", "a.png", "--page", "0"], "not in the range"),
        (["locate", "a.png", "--seed", "-1"], "not in the range"),
        (["locate", "a.png", "--roi", "nowhere.png"], "'nowhere.png' does not exist"),
        (["locate", "a.png", "-o", "file"], "is a file"),
        (["locate", "a.png", "p/a.png"], "would both be written to"),
        (["locate", "a.png", "--roi", "small.png"], "roi has shape"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_2_and_leaves_nothing(here: Path, arguments: list[str], message: str) -> None:
    make_image(here / "a.png")
    make_image(here / "p/a.png")
    (here / "file").write_bytes(b"")
    Pillow.fromarray(np.full((20, 20), 255, dtype=np.uint8)).save(here / "small.png")
    result = CliRunner().invoke(program, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("ssdnet: error: ")
    assert message in line
    assert not list((here / "ssdnet-results").glob("*.*n"))  # neither json nor png


def test_unreadable_is_3_for_one_and_for_all(here: Path) -> None:
    (here / "p").mkdir()
    (here / "p/a.png").write_bytes(b"not an image")
    (here / "p/b.png").write_bytes(b"")
    for arguments in (["p/a.png"], ["p"], ["nowhere.png"], ["no*.png"], ["p", "--recursive"]):
        result = call("locate", *arguments)
        assert result.exit_code == 3, arguments
        assert all(line.startswith("ssdnet: error: ") for line in result.stderr.splitlines())
        assert "Traceback" not in result.output
    (here / "empty").mkdir()
    assert "no image in this folder" in call("locate", "empty").stderr
    make_image(here / "a.png")
    assert call("locate", "a.png", "--roi", "p/a.png").exit_code == 3
    assert call("locate", "a.png", "--page", "7").exit_code == 3
    assert call("locate", "a.png", "--max-pixels", "100").exit_code == 3
    assert call("locate", "a.png", "--max-pixels", "0").exit_code == 0


def test_some_failed_is_4_and_the_rest_is_done(here: Path) -> None:
    make_image(here / "p/a.png")
    make_image(here / "p/c.png")
    (here / "p/b.png").write_bytes(b"not an image")
    result = call("locate", "p", *NEVER)
    assert result.exit_code == 4
    assert files_in(here / "ssdnet-results") == [NAME, "a.json", "c.json"]
    (line,) = result.stderr.splitlines()
    assert line.startswith("ssdnet: error: p/b.png: ".replace("/", os.sep))
    rows = [row.split("\t") for row in result.stdout.splitlines()]
    assert [row[1] for row in rows[1:4]] == ["nothing found", "failed", "nothing found"]
    assert "3 images: 0 with something that does not belong, 2 with nothing found, 1 failed" in rows[4][0]


def test_an_input_that_gives_no_image_fails_alone(here: Path) -> None:
    make_image(here / "a.png")
    (here / "empty").mkdir()
    result = call(
        "locate", "nowhere.png", "a.png", "empty", "no*.png", "--json", "--fail-on-anomaly", *ALWAYS
    )
    assert result.exit_code == 4  # before 1
    first, second, third, fourth = (json.loads(line) for line in result.stdout.splitlines())
    for failure, name in ((first, "nowhere.png"), (third, "empty"), (fourth, "no*.png")):
        FAILURE.validate(failure)
        assert failure["input"]["name"] == name
    assert first["error"]["message"] == "nowhere.png: there is no such file; check the path"
    RECORD.validate(second)
    assert len(result.stderr.splitlines()) == 3
    rows = call("locate", "a.png", "empty").stdout.splitlines()
    assert rows[2] == "empty\tfailed\t\t\t"
    assert call("locate", "nowhere.png", "empty", "-o", "new").exit_code == 3
    assert not (here / "new").exists()


def test_a_fault_in_one_image_is_that_images_failure(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image(here / "p/a.png")
    make_image(here / "p/b.png")
    real = ssdnet.pipeline.localize_many

    def faulty(images: Sequence[Image], **arguments: Any) -> list[Localization]:
        if images[0].name.endswith("a.png"):
            raise ZeroDivisionError("a fault")
        return real(images, **arguments)

    monkeypatch.setattr(ssdnet.pipeline, "localize_many", faulty)
    result = call("locate", "p")
    assert result.exit_code == 4
    assert result.stderr == f"ssdnet: error: {Path('p/a.png')}: ZeroDivisionError: a fault\n"
    monkeypatch.setenv("SSDNET_DEBUG", "1")
    assert "Traceback" in call("locate", "p").stderr


def test_a_fault_elsewhere_is_one_line_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty() -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(ssdnet.detectors, "available", faulty)
    result = call("detectors")
    assert result.exit_code == 3
    assert result.stderr == "ssdnet: error: ZeroDivisionError: a fault (set SSDNET_DEBUG=1 to see where)\n"


# What is printed --------------------------------------------------------------------------------------


def test_one_image_lists_its_regions_and_where_to_look(here: Path) -> None:
    make_image(here / "a.png")
    result = call("locate", "a.png", "--save", "overlay,json", *ALWAYS)
    title, header, row, look = result.stdout.splitlines()
    assert title == "a.png: 1 region does not belong here"
    assert header.split("\t") == [
        "region",
        "by chance",
        "where (x, y, width, height)",
        "pixels",
        "in what way",
    ]
    assert row.split("\t")[0] == "1"
    # All of the image: nothing is left to compare it with.
    assert row.split("\t")[2:] == ["0, 0, 32, 24", "768", "too few normal places to compare it with"]
    assert "clean image" in row
    assert look == f"look at {Path('ssdnet-results/a.overlay.png')}"
    assert (here / "ssdnet-results/a.overlay.png").exists()


def test_nothing_found_says_where_the_most_unusual_place_is(here: Path) -> None:
    make_image(here / "p/a.png")
    make_image(here / "p/b.png", seed=1)
    record = json.loads(call("locate", "p/a.png", "--json", *NEVER).stdout)
    place = record["most_unusual"]
    assert place["log10_nfa"] == -record["pred_score"]
    where = f"{place['x']}, {place['y']}"
    row = call("locate", "p", *NEVER).stdout.splitlines()[1].split("\t")
    assert row[1] == "nothing found"
    assert "clean image" in row[2]
    assert row[3] == where
    # The advice holds: with the power of ten that it names, and with no smaller one, it is found.
    image = np.random.default_rng(0).integers(90, 110, (64, 64), dtype=np.uint8)
    image[30:36, 30:36] += 20
    Pillow.fromarray(image).save(here / "spot.png")
    told = re.search(r"\(--alarms (\S+) would report it\)", call("locate", "spot.png", *NEVER).stdout)
    assert told is not None
    assert "1 region does" in call("locate", "spot.png", "--alarms", told[1]).stdout
    assert "nothing found" in call("locate", "spot.png", "--alarms", str(float(told[1]) / 10)).stdout


def test_in_a_constant_image_no_place_is_unusual(here: Path) -> None:
    Pillow.fromarray(np.full((24, 32), 128, dtype=np.uint8)).save(here / "a.png")
    result = call("locate", "a.png")
    assert "unusual" not in result.stdout
    assert result.stderr.startswith("ssdnet: note: a.png: ")
    assert json.loads((here / "ssdnet-results/a.json").read_bytes())["most_unusual"] is None


def test_names_cannot_steer_the_terminal(here: Path) -> None:
    make_image(here / "p/a\x1b[31m.png")
    make_image(here / "p/[b]\t.png")
    result = call("locate", "p", *NEVER)
    assert "\x1b" not in result.output
    assert [len(line.split("\t")) for line in result.stdout.splitlines()] == [5, 5, 5, 1]


def test_notes_are_shown_once(here: Path) -> None:
    noise = np.random.default_rng(0).integers(90, 110, (2, 24, 32), dtype=np.uint8)
    pages = [Pillow.fromarray(page) for page in noise]
    for name in ("p/a.tif", "p/b.tif"):
        (here / name).parent.mkdir(exist_ok=True)
        pages[0].save(here / name, save_all=True, append_images=pages[1:])
    result = call("locate", "p")
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"ssdnet: note: {Path('p/a.tif')} and 1 more: the file has 2 pages")
    assert call("locate", "p", "--page", "2").stderr == ""


def test_json_lines_follow_the_schema_in_input_order(here: Path) -> None:
    for name in ("p/c.png", "p/a.png"):
        make_image(here / name)
    (here / "p/b.png").write_bytes(b"not an image")
    result = call("locate", "p", "--json", *ALWAYS)
    assert result.exit_code == 4
    first, second, third = (json.loads(line) for line in result.stdout.splitlines())
    for record, name in ((first, "a"), (third, "c")):
        RECORD.validate(record)
        assert record == json.loads((here / f"ssdnet-results/{name}.json").read_bytes())
        assert record["regions"]
    FAILURE.validate(second)
    assert not RECORD.is_valid(second)
    assert second["input"]["name"] == str(Path("p/b.png"))
    assert second["error"]["type"] == "ImageReadError"
    assert result.stderr.startswith("ssdnet: error: ")


def test_standard_input(here: Path) -> None:
    data = make_image(here / "a.png").read_bytes()
    result = call("locate", "-", "--json", *NEVER, data=data)
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    RECORD.validate(record)
    assert record["input"]["name"] == "standard input"
    assert files_in(here / "ssdnet-results") == [NAME, "stdin.json"]
    assert call("locate", "-", data=b"").exit_code == 3


def test_save_and_out_choose_files(here: Path) -> None:
    make_image(here / "p/deep/a.png")
    assert call("locate", "p", "--recursive", "-o", "x/y", "--save", "map,csv").exit_code == 0
    assert files_in(here / "x/y") == [NAME, "deep/a.anomaly.tif", "deep/a.csv"]


def test_options_reach_the_result(here: Path) -> None:
    make_image(here / "a.png")
    roi = np.zeros((24, 32), dtype=np.uint8)
    roi[:, :20] = 1
    Pillow.fromarray(roi).save(here / "roi.png")
    result = call("locate", "a.png", "--json", "--seed", "5", "--roi", "roi.png", "--alarms", "0.5")
    record = json.loads(result.stdout)
    assert (record["seed"], record["alarms"], record["device"]) == (5, 0.5, "cpu")
    assert record["input"]["missing_pixels"] == 0
    assert record["input"]["outside_roi_pixels"] == 12 * 24
    assert record["input"]["roi"] == {"sha256": hashlib.sha256((here / "roi.png").read_bytes()).hexdigest()}
    assert record["detector"]["name"] in ssdnet.detectors.available()


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector of two qualities that splits the image into layers."""
    point = EntryPoint("box", "tests.box_filter:BoxFilter", ssdnet.detectors.GROUP)
    monkeypatch.setattr(ssdnet.detectors.registry, "entry_points", lambda group: EntryPoints([point]))


@pytest.mark.usefixtures("box")
def test_layers_and_quality(here: Path) -> None:
    make_image(here / "p/a.png")
    make_image(here / "p/b.png", seed=1)
    words = ("locate", "p", "--json", "--detector", "box", "--batch", "2", "--save", "json,layers", *NEVER)
    sizes = {}
    for quality in ("draft", "best"):
        result = call(*words, "--quality", quality, "--resume")  # another quality is another result
        assert result.exit_code == 0
        records = [json.loads(line) for line in result.stdout.splitlines()]
        for record in records:
            RECORD.validate(record)
        sizes[quality] = [record["detector"]["settings"]["size"] for record in records]
    assert sizes == {"draft": [3, 3], "best": [5, 5]}
    expected = [NAME, "a.json", "a.layers.tif", "b.json", "b.layers.tif"]
    assert files_in(here / "ssdnet-results") == expected
    assert call(*words, "--quality", "fast").exit_code == 2
    assert "quality  draft, best" in call("detectors").stdout


def test_resume_tells_the_same_as_the_first_run(here: Path) -> None:
    make_image(here / "p/a.png")
    make_image(here / "p/b.png")
    first = call("locate", "p", "--json", "--fail-on-anomaly", *ALWAYS)
    stamp = (here / "ssdnet-results/a.json").stat().st_mtime_ns
    second = call("locate", "p", "--json", "--fail-on-anomaly", "--resume", *ALWAYS)
    assert (first.exit_code, second.exit_code) == (1, 1)
    assert first.stdout == second.stdout
    assert (here / "ssdnet-results/a.json").stat().st_mtime_ns == stamp
    table = call("locate", "p", "--resume", *ALWAYS).stdout
    assert "2 images (2 of them done by an earlier run): 2 with something that does not belong" in table


def test_detectors_are_listed_with_what_they_assume() -> None:
    result = call("detectors")
    assert result.exit_code == 0
    for name in ssdnet.detectors.available():
        kind = ssdnet.detectors.load(name)
        assert re.search(rf"^{name}( \(auto.*\))?$", result.stdout, re.MULTILINE)
        for text in (kind.summary, kind.assumes, kind.source):
            assert text in result.stdout
    assert result.stdout.count("(auto)") == 1


def test_defaults_are_those_of_the_library(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def remember(jobs: Any, settings: Any, **arguments: Any) -> Iterator[Any]:
        seen["settings"] = settings
        return iter(())

    monkeypatch.setattr("ssdnet.batch.run", remember)
    make_image(here / "a.png")
    CliRunner().invoke(program, ["locate", "a.png"])
    from ssdnet.batch import Settings

    assert seen["settings"] == Settings()
    assert Settings().alarms == ssdnet.settings.DEFAULT_ALARMS
    assert str(Settings().max_pixels) in call("locate", "--help").stdout


def test_help_shows_no_markup_of_its_own() -> None:
    for words in ([], ["--help"], *([name, "--help"] for name in program.commands)):
        result = CliRunner().invoke(program, words)
        assert result.exit_code == 0
        assert "\\" not in result.stdout
        assert "\b" not in result.stdout


def test_help_names_every_command_and_loads_nothing_heavy(here: Path) -> None:
    result = call()
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ("locate", "detectors", "bench", "demo"))
    code = (
        "import sys; sys.argv = ['ssdnet', sys.argv[1]]\n"
        "import atexit, ssdnet.cli\n"
        "heavy = ('torch', 'numpy', 'scipy', 'matplotlib', 'rich', 'PIL', 'tifffile')\n"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules]))\n"
        "ssdnet.cli.main()"
    )
    for word, answer in (("--version", f"ssdnet {ssdnet.__version__}"), ("--help", "Usage: ssdnet")):
        done = subprocess.run([sys.executable, "-c", code, word], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(answer)
        assert done.stdout.endswith("[]\n")


# As a process -----------------------------------------------------------------------------------------


def test_a_pipe_gets_plain_lines_and_nothing_else(here: Path) -> None:
    long = "p/" + "n" * 150 + ".png"
    make_image(here / long)
    make_image(here / "p/ä[red].png")
    (here / "p/bad.png").write_bytes(b"not an image")
    done = process("locate", "p", "--save", "json", *NEVER, env={**os.environ, "COLUMNS": "40"})
    assert done.returncode == 4
    text = done.stdout.decode()
    assert not CONTROL.search(text)
    assert len(text.splitlines()) == 5
    assert f"{Path(long)}\tnothing found" in text
    assert f"{Path('p/ä[red].png')}\tnothing found" in text
    assert "Traceback" not in done.stderr.decode()
    assert [line.split(": ")[:2] for line in done.stderr.decode().splitlines()] == [["ssdnet", "error"]]


def test_json_from_standard_input_to_standard_output(here: Path) -> None:
    data = make_image(here / "a.png").read_bytes()
    done = process("locate", "-", "--json", "--save", "json", "--fail-on-anomaly", *ALWAYS, input=data)
    assert done.returncode == 1
    assert done.stderr == b""
    RECORD.validate(json.loads(done.stdout))


SLOW = """
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from ssdnet.detectors.protocol import Detector


@dataclass(frozen=True)
class Slow(Detector):
    name: ClassVar[str] = "slow"
    summary: ClassVar[str] = "trains"
    assumes: ClassVar[str] = "patience"
    source: ClassVar[str] = "these tests"

    def score(self, pixels, valid, *, generator, progress):
        weight = torch.zeros((), requires_grad=True)
        Path("started").touch()
        for step in range(STEPS):
            (pixels - weight).square().mean().backward()
            time.sleep(0.02)
            progress(step / STEPS, f"training, loss {1 - step / STEPS:.2f}")
        return pixels.mean(0)
"""


def install_slow(folder: Path, monkeypatch: pytest.MonkeyPatch, *, steps: int) -> None:
    """Offer processes a detector that trains for that many steps of 20 ms."""
    (folder / "slow_detector.py").write_text(SLOW.replace("STEPS", str(steps)))
    about = folder / "slow_detector-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-detector\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[ssdnet.detectors]\nslow = slow_detector:Slow\n")
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), before))))


def on_terminal(*arguments: str, piped: bool, columns: int = 160) -> tuple[str, str]:
    """What a run writes to a terminal, and what to standard output when that is a pipe."""
    import pty

    master, slave = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE if piped else slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)},
    ) as running:
        os.close(slave)
        seen = b""
        with contextlib.suppress(OSError):  # how Linux says that the other side is closed
            while chunk := os.read(master, 65536):
                seen += chunk
        os.close(master)
        output = b"" if running.stdout is None else running.stdout.read()
    assert running.returncode == 0
    return seen.decode(), output.decode()


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")
def test_a_terminal_gets_a_bar_and_a_table(here: Path) -> None:
    make_image(here / "p/a[red].png")
    make_image(here / "p/b.png")
    seen, _ = on_terminal("locate", "p", "--save", "json", *ALWAYS, piped=False)
    assert re.search("[12] of 2", seen)
    assert "━" in seen  # the bar
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert "a[red].png" in plain
    assert "x, y, w, h" in plain
    assert "0, 0, 32, 24" in plain
    assert "per image" in plain
    assert "2 images: 2 with something" in plain


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")
def test_the_bar_stays_out_of_the_pipe(here: Path) -> None:
    make_image(here / "p/a.png")
    make_image(here / "p/b.png")
    seen, output = on_terminal("locate", "p", "--save", "json", *ALWAYS, piped=True)
    assert re.search("[12] of 2", seen)
    assert "where" not in seen
    assert not CONTROL.search(output)
    assert [line.split("\t")[0] for line in output.splitlines()[:3]] == [
        "image",
        str(Path("p/a.png")),
        str(Path("p/b.png")),
    ]


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")
def test_the_bar_of_one_image_moves_and_tells_what_the_detector_does(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(here / "a.png")
    install_slow(here, monkeypatch, steps=80)
    seen, _ = on_terminal("locate", "a.png", "--save", "json", "--detector", "slow", piped=False)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    told = re.findall(r"(\d+)% 1 of 1 (\S+) a\.png: training, loss (\d\.\d\d)", plain)
    shares, remaining, losses = zip(*told, strict=True)
    assert len(set(shares)) > 4
    assert len(set(losses)) > 4
    assert any(re.fullmatch(r"0:00:0\d", time) for time in remaining)


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")
@pytest.mark.parametrize("terminal", [True, False])
def test_a_detector_that_trains_long_can_be_interrupted(
    here: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    import pty

    make_image(here / "a.png")
    install_slow(here, monkeypatch, steps=100_000)
    master, slave = pty.openpty()
    code = (
        "import signal, ssdnet.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "ssdnet.cli.main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "locate", "a.png", "--detector", "slow", "--save", "json"],
        stdout=subprocess.DEVNULL,
        stderr=slave if terminal else subprocess.PIPE,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "160"},
    ) as running:
        os.close(slave)
        deadline = time.monotonic() + 60
        while not (here / "started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)
        running.send_signal(signal.SIGINT)
        seen = b""
        if running.stderr is not None:
            seen = running.stderr.read()
        else:
            with contextlib.suppress(OSError):  # how Linux says that the other side is closed
                while chunk := os.read(master, 65536):
                    seen += chunk
    os.close(master)
    assert running.returncode == 130
    assert b"Traceback" not in seen
    assert seen.rstrip().endswith(b"ssdnet: error: interrupted; 0 of 1 done, --resume does the rest")
    assert (b"training, loss" in seen) is terminal
    assert files_in(here / "ssdnet-results") == [NAME]


SIGNALS = {"interrupted": signal.SIGINT, "terminated": signal.SIGTERM}
if os.name != "nt":
    SIGNALS["killed"] = signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to another process")
@pytest.mark.parametrize("ending", ["interrupted", "terminated", "killed"])
def test_a_run_that_ends_early_leaves_what_is_complete(here: Path, ending: str) -> None:
    for number in range(300):
        make_image(here / f"p/{number:03}.png", seed=number)
    arguments = ["locate", "p", "--save", "mask,json", "--device", "cpu", *NEVER]
    # Whoever runs the tests in the background may have switched SIGINT off for all that they start.
    code = (
        "import signal, ssdnet.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "ssdnet.cli.main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith(b"image\t")
        assert running.stdout.readline().startswith(str(Path("p/000.png")).encode())
        running.send_signal(SIGNALS[ending])
        _, errors = running.communicate(timeout=60)
    files = files_in(here / "ssdnet-results")
    if ending != "killed":
        assert running.returncode == (130 if ending == "interrupted" else 143)
        message = rb"ssdnet: error: interrupted; \d+ of 300 done, --resume does the rest\n"
        assert re.fullmatch(message, errors)  # and nothing else
        assert not [name for name in files if name.endswith(".tmp")]
    done = [name for name in files if name.endswith(".json")]
    assert 0 < len(done) < 300
    for name in done:
        RECORD.validate(json.loads((here / "ssdnet-results" / name).read_bytes()))
    again = call("locate", "p", "--save", "mask,json", "--resume", *NEVER)
    assert again.exit_code == 0
    told = re.search(r"(\d+) of them done by an earlier run", again.stdout)
    assert told is not None
    skipped = int(told[1])
    assert len(done) - 1 <= skipped <= len(done)
    assert len([name for name in files_in(here / "ssdnet-results") if name.endswith(".json")]) == 300


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("words", [["--help"], ["detectors"], ["locate", "a.png", "--save", "json"]])
def test_output_that_cannot_be_written(here: Path, words: list[str]) -> None:
    make_image(here / "a.png")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3
    assert done.stderr == b"ssdnet: error: cannot write to standard output: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")
def test_a_narrow_terminal_breaks_between_words(here: Path) -> None:
    make_image(here / "p/a.png")
    make_image(here / "p/b.png")
    seen, _ = on_terminal("locate", "p", "--save", "json", *NEVER, piped=False, columns=50)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    lines = [line.rstrip() for line in plain.replace("\r", "\n").splitlines()]
    assert max(map(len, lines)) <= 50
    assert any(line.endswith("x, y, w, h") for line in lines)
    words = (
        "2 images: 0 with something that does not belong, 2 with nothing found; results are in ssdnet-results"
    )
    assert words in " ".join(filter(None, lines))


@pytest.mark.skipif(os.name == "nt", reason="no SIGPIPE")
def test_a_reader_that_leaves_is_no_fault(here: Path) -> None:
    for number in range(40):
        make_image(here / f"p/{number:03}.png", seed=number)
    with subprocess.Popen(
        [*COMMAND, "locate", "p", "--json", "--save", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        errors = running.stderr.read()
    assert errors == b""
    assert running.returncode == 141


def test_demo_finds_its_way_from_the_picture_to_the_overlay(here: Path) -> None:
    done = process("demo", "-o", "first look")
    assert done.returncode == 0
    assert done.stderr == b""
    text = done.stdout.decode()
    assert text.startswith(f"{Path('first look/demo.png')}: ")
    assert f"look at {Path('first look/demo.overlay.png')}" in text
    assert re.search(r"made with 3 defects: [0-3] of 3 found, \d+ false regions?\.", text)
    assert {"demo.png", "demo.overlay.png", "demo.json"} <= set(files_in(here / "first look"))


def test_demo_on_clean_cloth_finds_nothing(here: Path) -> None:
    done = process("demo", "--clean", "-o", "clean")
    assert done.returncode == 0
    text = done.stdout.decode()
    assert text.startswith(f"{Path('clean/clean.png')}: nothing found")
    assert "made without a defect: no false regions." in text
    assert json.loads((here / "clean/clean.json").read_text())["regions"] == []


def test_a_picture_of_things_is_called_one(here: Path) -> None:
    import skimage.data

    Pillow.fromarray(skimage.data.camera()).save("camera.png")
    done = process("locate", "camera.png", "--detector", "rx", "--save", "json")
    warning = "does not look like one texture"
    assert warning in done.stderr.decode()
    record = json.loads((here / "ssdnet-results/camera.json").read_text())
    assert record["stationarity"] < 0.78
    assert any(warning in note for note in record["notes"])


def test_demo_counts_what_is_found() -> None:
    from ssdnet.cli.demo import _comparison

    mask = np.zeros((60, 60), dtype=bool)
    mask[5:15, 5:15] = mask[30:40, 30:40] = True
    mask[30:40, 43:45] = True  # a piece of the second
    labels = np.zeros((60, 60), dtype=np.uint16)
    assert _comparison(labels, mask).endswith("made with 2 defects: 0 of 2 found, 0 false regions.")
    labels[32:35, 32:35] = 1
    labels[50:55, 5:9] = 2
    assert _comparison(labels, mask).endswith("made with 2 defects: 1 of 2 found, 1 false region.")
    labels[0:4, 0:4] = 3
    assert _comparison(labels, mask).endswith("made with 2 defects: 2 of 2 found, 1 false region.")


# Missing pixels -----------------------------------------------------------------------------------------


def test_nodata_is_left_out_and_notes_that_differ_in_numbers_are_said_once(here: Path) -> None:
    for number, name in enumerate(("a.png", "b.png")):
        pixels = np.random.default_rng(number).integers(60, 190, (64, 64)).astype(np.uint8)
        pixels[:, : 10 + number] = 0
        Pillow.fromarray(pixels).save(here / name)
    result = call("locate", "a.png", "b.png", "--detector", "rx", "--save", "json", "--nodata", "0")
    assert result.exit_code == 0
    assert "a.png and 1 more: 640 pixels (16 %) are missing: with the no-data value 0 that was given" in (
        result.stderr
    )
    assert result.stderr.count("are missing") == 1
    plain = call("locate", "a.png", "--detector", "rx", "--save", "json")
    assert "all have the value 0; if they are no part of the picture" in plain.stderr
    wrong = call("locate", "a.png", "--nodata", "black")
    assert wrong.exit_code == 2
    assert "'black' is not a number" in wrong.stderr
