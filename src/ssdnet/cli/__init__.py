"""The command line. Nothing but click is imported until a command needs it.

Exit codes: 0 done; 1 an anomaly was found and `--fail-on-anomaly` was given; 2 wrong usage; 3 the input
cannot be used or the output not written; 4 some of several inputs failed, whether or not something was found
in the others; 129 hung up; 130 interrupted; 141 nobody read on; 143 terminated.
"""

from __future__ import annotations

import click

from ssdnet._version import __version__
from ssdnet.cli import bench, demo, detectors, fit, locate
from ssdnet.cli.program import Program, catch_signals, open_streams

__all__ = ["main", "program"]


@click.group(
    cls=Program, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True
)
@click.version_option(__version__, prog_name="ssdnet", message="%(prog)s %(version)s")
@click.pass_context
def program(context: click.Context) -> None:
    """Find what does not belong in a single image.

    No training data, no labels, no weights, no network: an image of something that should look alike
    everywhere is compared with itself.

    \b
    ssdnet demo                     a first look, on a picture that is made on the spot
    ssdnet locate photo.jpg         your own; results go into the folder ssdnet-results
    ssdnet fit good/ -o m.ssdnet    learn a surface; locate --model m.ssdnet judges others by it
    ssdnet bench --synthetic 2      compare the detectors on images with known defects
    """  # noqa: D301 - click wants the character itself
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for module in (locate, fit, detectors, bench, demo):
    program.add_command(module.command)


def main() -> None:
    """Run the command line and leave with its exit code."""
    open_streams()
    catch_signals()
    program.main(prog_name="ssdnet")
