"""From exceptions to one line on standard error and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ssdnet.errors import OutputError, SsdnetError
from ssdnet.settings import check_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
BROKEN_PIPE = 141
"""As the shell reports a program that was ended by SIGINT or SIGPIPE: 128 and the number of the signal."""


class Program(click.Group):
    """A group of commands that return their exit code, and whose errors are one line each."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002 - the exit code is ours in every mode
        windows_expand_args: bool = False,
        **extra: Any,  # noqa: ANN401 - as in click
    ) -> NoReturn:
        """Run a command and exit."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # A terminal that cannot show a letter is no reason to stop.
                stream.reconfigure(errors="backslashreplace")
        try:
            check_folder()
            # Patterns are expanded by `batch.planning`, on Windows as elsewhere.
            code = super().main(
                args, prog_name, complete_var, False, windows_expand_args=windows_expand_args, **extra
            )
        except click.exceptions.Abort:
            code = INTERRUPTED
        except click.ClickException as error:
            hint = ""
            if isinstance(error, click.UsageError) and error.ctx is not None:
                hint = f" (see {error.ctx.command_path} --help)"
            say("error", error.format_message() + hint)
            code = error.exit_code
        except SsdnetError as error:
            say("error", str(error))
            code = error.exit_code
        except _EndedError as error:
            code = error.code
        except _ReaderLeftError:
            code = BROKEN_PIPE
            _drop_output()
        except OSError as error:
            if error.filename is None:  # not a file's: those that we write have errors of their own
                say("error", f"cannot write to standard output: {error.strerror or error}")
                code = OutputError.exit_code
                _drop_output()
            else:
                code = _unexpected(error)
        except Exception as error:
            code = _unexpected(error)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as in click
        """Run the command, and name the ways to be stopped before click does.

        It would end with 1 when nobody reads on, which is our word for a finding, and with an empty line when
        interrupted.
        """
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise _ReaderLeftError from error
            raise
        except KeyboardInterrupt as error:
            raise _EndedError(error.code if isinstance(error, _Ended) else INTERRUPTED) from error
        return code


def open_streams() -> None:
    """Open what was closed before we came, on nothing.

    Otherwise the next file that is opened gets the number of a standard stream, and whatever a library has to
    say goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # noqa: PERF203 - there are three
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - for as long as we run
            setattr(sys, name, stream)


def catch_signals() -> None:
    """Handle SIGTERM and SIGHUP as Ctrl-C is handled, so that temporary files are removed."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Whoever has them ignored, as nohup does, means it.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: object) -> NoReturn:  # noqa: ARG001 - as Python calls it
    raise _Ended(number)


class _Ended(KeyboardInterrupt):
    """A signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


class _EndedError(Exception):
    """Somebody has stopped the program."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class _ReaderLeftError(Exception):
    """Whoever read our output has closed the pipe."""


def _drop_output() -> None:
    """Python flushes standard output at the end, and would complain again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(kind: str, text: str) -> None:
    """One line for a person on standard error; `kind` is `error` or `note`."""
    from ssdnet.wording import printable

    # Looked up each time: while a progress bar is drawn, standard error is what keeps the two apart.
    sys.stderr.write(f"ssdnet: {kind}: {printable(text)}\n")
    sys.stderr.flush()


def describe(error: BaseException) -> str:
    """What went wrong: our own messages speak for themselves, others come with their type."""
    return str(error) if isinstance(error, SsdnetError) else f"{type(error).__name__}: {error}"


def show_traceback(error: BaseException) -> None:
    """For whoever looks for a fault in the program: where it happened, if SSDNET_DEBUG is set."""
    if os.environ.get("SSDNET_DEBUG"):
        import traceback

        traceback.print_exception(error)


def _unexpected(error: Exception) -> int:
    show_traceback(error)
    say("error", f"{describe(error)} (set SSDNET_DEBUG=1 to see where)")
    return SsdnetError.exit_code
