"""Measure everything in docs/benchmarks.md anew: runs the commands named there, and puts in what they print.

    python benchmarks/regenerate.py DATA [--only fair rx] [--out benchmark-results] [--page FILE.md]

`--page` takes another page with such parts, as docs/calibration.md.

A part of the page that a command makes stands between two comments:

    <!-- output of benchmarks/speed.py --sizes 256 -->
    <!-- end of output -->

DATA and OUT in a command become the arguments. All parts take hours on two cores, most of it `fair`, which
goes on where it was stopped. The page is written after each part.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

from ssdnet.export.atomic import write_file

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"

PART = re.compile(
    r"(?P<begin><!-- output of (?P<command>benchmarks/(?P<name>\w+)\.py[^\n]*?) -->\n).*?"
    r"(?P<end><!-- end of output -->)",
    re.DOTALL,
)


def main() -> int:
    """Run the commands one after the other; the exit code is 1 when one failed or exceeded its budget."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the scripts, without .py")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"), help="what a command leaves")
    parser.add_argument("--page", type=Path, default=PAGE, help="another page with such parts")
    arguments = parser.parse_args()
    places = {"DATA": str(arguments.data.absolute()), "OUT": str(arguments.out.absolute())}
    text = arguments.page.read_text("utf-8")
    names = [part["name"] for part in PART.finditer(text)]
    for name in arguments.only or ():
        if name not in names:
            parser.error(f"{arguments.page} has no part of '{name}'; there are: {', '.join(names)}")
    failed = False
    for number, name in enumerate(names):
        if arguments.only and name not in arguments.only:
            continue
        part = list(PART.finditer(text))[number]
        words = [places.get(word, word) for word in shlex.split(part["command"])]
        print(f"{part['command']}", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, *words], cwd=PAGE.parent.parent, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode != 0:
            failed = True
            print(f"{part['command']} ended with exit code {done.returncode}", file=sys.stderr)
        if not done.stdout.strip():
            continue  # what was there is better than nothing
        new = f"{part['begin']}\n{done.stdout.strip()}\n\n{part['end']}"
        text = text[: part.start()] + new + text[part.end() :]
        write_file(arguments.page, text.encode("utf-8"))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
