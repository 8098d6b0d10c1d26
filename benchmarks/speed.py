"""Time and memory of `localize`, quiet and busy, beside another commit in the same run.

    python benchmarks/speed.py [--before COMMIT] [--sizes 256 1024 4096] [--rounds 5] [--busy 2] [--threads N]

For RGB images of the given sides, each in a process of its own, the versions in turn: wall time of
`ssdnet.localize` (median, fastest and slowest of all rounds), on a machine that does nothing else and with
`--busy` other processes that never pause; scoring with a fitted model; and the memory that the call adds to
the process, in bytes a pixel (largest resident size minus that before, which holds the image).

The last table says what the detector's work consists of: arithmetic operations (of convolutions and matrix
products, and one for each element of every other result), bytes read and written by all operations, and what
share of the machine's measured limits that is: of its fastest matrix product, and of its fastest copy.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
BUDGETS = {256: 0.10, 1024: 0.30, 4096: 6.0}  # seconds of `localize` on two quiet cores
MEMORY = 25  # bytes a pixel above the image, at 4096
SCORING = {1024: 0.20}  # seconds with a fitted model

CHILD = """
import json, resource, sys, time
import numpy as np
import torch
import ssdnet
from ssdnet import samples

side, threads, runs = (int(word) for word in sys.argv[1:4])
if threads:
    torch.set_num_threads(threads)
tile = samples.texture("twill", (min(side, 1024),) * 2, seed=0)
image = np.tile(tile, (-(-side // 1024), -(-side // 1024), 1))[:side, :side].copy()
ssdnet.localize(tile[:128, :128])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seconds = []
for _ in range(runs):
    start = time.perf_counter()
    result = ssdnet.localize(image)
    seconds.append(time.perf_counter() - start)
added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
answer = {"localize": seconds, "bytes": added / side**2, "stages": dict(result.seconds)}
if hasattr(ssdnet, "fit") and side <= 2048:
    model = ssdnet.fit(image)
    scoring = []
    for _ in range(runs):
        scored = model.localize(image)
        scoring.append(scored.seconds["detect"])
    answer["score"] = scoring
print(json.dumps(answer))
"""

WORK = """
import json, sys, time
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from ssdnet import samples
from ssdnet.detectors.texture import Texture
from ssdnet.device import threads
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize
from ssdnet.maths.parallel import workers

VIEWS = ("view", "slice", "select", "expand", "permute", "transpose", "as_strided", "unfold", "t", "alias",
         "unsqueeze", "squeeze", "detach", "split", "narrow", "unbind", "empty", "_unsafe_view")

class Traffic(TorchDispatchMode):
    bytes = operations = 0
    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        if function.overloadpacket.__name__ not in VIEWS:
            flat = torch.utils._pytree.tree_leaves((arguments, keywords, result))
            self.bytes += sum(x.numel() * x.element_size() for x in flat if isinstance(x, torch.Tensor))
            out = torch.utils._pytree.tree_leaves(result)
            self.operations += sum(x.numel() for x in out if isinstance(x, torch.Tensor))
        return result

side = int(sys.argv[1])
pixels = torch.from_numpy(standardize(read_image(samples.texture("twill", (side, side), seed=0))).pixels)
valid = torch.ones(side, side, dtype=torch.bool)
def score():
    return Texture().score(pixels, valid, generator=torch.Generator())
with threads(None, side * side) as used:
    score()
    taken = []
    for _ in range(5):
        start = time.perf_counter(); score(); taken.append(time.perf_counter() - start)
    traffic, flops = Traffic(), FlopCounterMode(display=False)
    with workers(1), traffic:  # what other threads do is not seen
        score()
    with workers(1), flops:
        score()
    a = torch.randn(1536, 1536)
    def best(work):
        seconds = []
        for _ in range(7):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        return min(seconds)
    product = 2 * 1536**3 / best(lambda: a @ a)
    b, c = torch.randn(1 << 25), torch.empty(1 << 25)
    copy = 2 * 4 * (1 << 25) / best(lambda: c.copy_(b))
operations = traffic.operations + flops.get_total_flops()
print(json.dumps({"seconds": sorted(taken)[2], "threads": used, "operations": operations,
                  "bytes": traffic.bytes, "product": product, "copy": copy}))
"""


def child(code: str, source: Path, *words: object) -> dict[str, Any]:
    """What a program prints that imports the package from a folder."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextlib.contextmanager
def other_work(count: int) -> Iterator[None]:
    """So many processes that never pause."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def checked_out(commit: str | None) -> Iterator[Path | None]:
    """The sources of another commit."""
    if commit is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "src"],  # noqa: S607 - git is on the path
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)  # noqa: S607
        yield Path(folder) / "src"


def spread(seconds: list[float]) -> str:
    """Median, fastest and slowest."""
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})"


def main() -> int:
    """Print the tables; the exit code is 1 when a budget is exceeded on the quiet machine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", help="another commit to measure in turn")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, default=2, help="other processes; 0 leaves the busy table out")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 = the default of each version")
    arguments = parser.parse_args()
    import torch

    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}\n")
    exceeded = False
    with checked_out(arguments.before) as before:
        versions = {"now": ROOT / "src"} | ({} if before is None else {arguments.before: before})
        for busy in dict.fromkeys((0, arguments.busy)):
            print(f"With {busy or 'no'} other process{'' if busy == 1 else 'es'} running:\n")
            print("| side | version | `localize`, s | with a fitted model, s | bytes a pixel | budget |")
            print("| --- | --- | --- | --- | --- | --- |")
            for side in arguments.sizes:
                runs = 5 if side <= 512 else 3 if side <= 2048 else 1
                rounds = arguments.rounds if side <= 2048 else max(1, arguments.rounds // 2)
                found: dict[str, list[dict[str, Any]]] = {name: [] for name in versions}
                with other_work(busy):
                    for _ in range(rounds):
                        for name, source in versions.items():
                            found[name].append(child(CHILD, source, side, arguments.threads, runs))
                for name, answers in found.items():
                    whole = [one for answer in answers for one in answer["localize"]]
                    scoring = [one for answer in answers for one in answer.get("score", [])]
                    size = statistics.median(answer["bytes"] for answer in answers)
                    late = statistics.median(whole) > BUDGETS.get(side, float("inf"))
                    late |= bool(scoring) and statistics.median(scoring) > SCORING.get(side, float("inf"))
                    late |= side == max(BUDGETS) and size > MEMORY
                    judged = name == "now" and busy == 0
                    exceeded |= judged and late
                    budget = f"{BUDGETS.get(side, '')}{' EXCEEDED' if late else ''}" if judged else ""
                    print(
                        f"| {side} | {name} | {spread(whole)} | {spread(scoring) if scoring else ''} "
                        f"| {size:.0f} | {budget} |",
                        flush=True,
                    )
            print()
    print("What the detector's work consists of:\n")
    print("| side | s | threads | Gflop | GB | Gflop/s | of a product's | GB/s | of a copy's |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for side in arguments.sizes:
        work = child(WORK, ROOT / "src", side)
        rate, flow = work["operations"] / work["seconds"], work["bytes"] / work["seconds"]
        print(
            f"| {side} | {work['seconds']:.3f} | {work['threads']} | {work['operations'] / 1e9:.2f} "
            f"| {work['bytes'] / 1e9:.2f} | {rate / 1e9:.1f} | {rate / work['product']:.0%} "
            f"| {flow / 1e9:.1f} | {flow / work['copy']:.0%} |",
            flush=True,
        )
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
