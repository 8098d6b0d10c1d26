"""Runs of a folder that are killed: is every file complete, and does `--resume` end with the same bytes?

    python benchmarks/kill.py [--kills 100] [--images 6] [--seed 0]

A folder is run once without a break. Then runs with `--resume` into another folder are killed (SIGKILL) at
random moments, one after the other; when one gets to its end, the folder is emptied and the next begins anew.
After each kill every file under its own name must have the bytes it has without a break, and after each end
no other file may be there. Records name the time that the work took; that is left out.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from ssdnet import samples


def command(source: Path, out: Path) -> list[str]:
    """The run of a folder."""
    words = (str(source), "-o", str(out), "--resume", "--detector", "rx", "--threads", "1")
    return [sys.executable, "-m", "ssdnet", "locate", *words]


def contents(out: Path) -> dict[str, bytes]:
    """Each result by its name, without the durations."""
    found = {}
    for path in sorted(out.rglob("*")) if out.exists() else []:
        if path.name.startswith("."):
            continue
        data = path.read_bytes()
        if path.suffix == ".json":
            record = json.loads(data)
            record["seconds"] = None
            data = json.dumps(record, sort_keys=True).encode()
        found[path.name] = data
    return found


def prepare(folder: Path, images: int) -> Path:
    """Images to look at."""
    source = folder / "images"
    source.mkdir()
    for number in range(images):
        pixels = samples.sample("twill", "hole", (96, 96), seed=number).image
        Image.fromarray(pixels).save(source / f"{number}.png")
    return source


def try_kills(folder: Path, kills: int, images: int, seed: int) -> tuple[int, int, list[str]]:
    """How many runs were killed, how many got to their end, and what was wrong."""
    rng = random.Random(seed)  # noqa: S311 - nothing secret
    source = prepare(folder, images)
    whole = folder / "whole"
    start = time.perf_counter()
    subprocess.run(command(source, whole), check=True, capture_output=True)
    seconds = time.perf_counter() - start
    expected = contents(whole)
    out = folder / "killed"
    killed, ended = 0, 0
    faults: list[str] = []
    while killed < kills:
        process = subprocess.Popen(
            command(source, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            process.communicate(timeout=rng.uniform(0.1, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
        else:
            ended += 1
        faults += compare(contents(out), expected, whole=process.returncode == 0)
        if process.returncode >= 0:
            if process.returncode > 0:
                faults.append(f"a run ended with {process.returncode}")
            left = {path.name for path in out.iterdir() if path.name.startswith(".")}
            if left != {".ssdnet-run.jsonl"}:
                faults.append(f"{left} are left")
            shutil.rmtree(out)
    done = subprocess.run(command(source, out), check=False, capture_output=True)
    faults += compare(contents(out), expected, whole=done.returncode == 0)
    return killed, ended + 1, faults


def compare(found: dict[str, bytes], expected: dict[str, bytes], *, whole: bool) -> list[str]:
    """What is wrong with the files of a run."""
    faults = [f"{name} differs" for name, data in found.items() if expected.get(name) != data]
    if whole and found.keys() != expected.keys():
        faults.append(f"{expected.keys() - found.keys()} are missing")
    return faults


def main() -> int:
    """Try, and print what came out; the exit code is 1 when something was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        killed, ended, faults = try_kills(Path(folder), arguments.kills, arguments.images, arguments.seed)
    print(f"{killed} runs killed, {ended} got to their end, {len(faults)} faults")
    for fault in faults:
        print(fault)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
