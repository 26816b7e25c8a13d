"""Runs a piece of a test in a process of its own: to fork it, to interrupt it, to end it."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from contextlib import suppress
from tempfile import TemporaryFile

# What looks whether the source hangs is a thread: from 3.15 on, CPython warns of a fork beside it.
MAY_FORK = "ignore:This process (pid=:DeprecationWarning"


def run_apart(source: str) -> str:
    """Run Python source in a fresh interpreter and return what it printed.

    It fails when the source raises, warns, or does not end: then with a stack of every thread.
    What it has started and not ended is killed.
    Ctrl-C interrupts it, also where the tests run in the background of a shell, which ignores it.
    """
    preamble = (
        "import faulthandler; faulthandler.dump_traceback_later(60, exit=True)\n"
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    )
    source = preamble + textwrap.dedent(source)
    command = [sys.executable, "-W", "error", "-W", MAY_FORK, "-c", source]
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        # Not pipes: what it has started may hold those open.
        process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        try:
            process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        err.seek(0)
        printed, errors = out.read(), err.read()
    assert process.returncode == 0, errors
    assert not without_openings(errors), errors
    return printed


def without_openings(text: str) -> str:
    """Return what a process has written to stderr but of breakers, checks, levels, components."""
    return re.sub(
        r"^(circuit breaker '.*' (opened|would open|was forced open)"
        r"|health monitor '.*': check '.*' failed in |degradation '.*' is "
        r"|(Component [a-z ]+|Attempting component recovery|Recovery attempt): '.*' of supervisor "
        r").*\n",
        "",
        text,
        flags=re.MULTILINE,
    )


def in_child(check: Callable[[], object]) -> None:
    """Run ``check()`` in a forked child of this process, and look how it ended."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            check()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
