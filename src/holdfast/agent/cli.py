"""The ``holdfast`` command.

Parses arguments and hands over to the chosen command, which is imported only then: ``--help``
loads neither the library nor a command.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from typing import TYPE_CHECKING

from holdfast._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

EXIT_DONE = 0
EXIT_BROKE = 1
EXIT_CANNOT_START = 2
EXIT_INTERRUPTED = 130

EXIT_CODES = """\
exit codes:
  0    done; also when a run was ended by Ctrl-C or SIGTERM
  1    a run failed; doctor: it found a problem
  2    it could not start: bad arguments, a taken port, a missing extra
  130  interrupted before it had started
"""

DEMO_DESCRIPTION = """\
Starts an HTTP server on the loopback that is healthy, flaky, slow, failing, killed with kill -9
and back again, and sends it the same calls twice: guarded by a manager (timeouts, retries with a
budget, circuit breaker, rate limiter, bulkhead), and unguarded. Shows both live and sums them up at
the end.
"""

DEMO_EPILOG = """\
examples:
  holdfast demo                 until Ctrl-C, a cycle every 30 seconds
  holdfast demo --seconds 20    every phase within 20 seconds
  holdfast demo --plain | tee demo.log

NO_COLOR=1 turns colours off. Needs the extra: pip install 'holdfast[demo]'
"""


BENCH_DESCRIPTION = """\
Measures on this machine what a guarded call costs over the bare call of the same function: the
essential rows of the project's cost table, as multiples of yardsticks measured in the same run.
"""

BENCH_EPILOG = """\
examples:
  holdfast bench                    three processes, some ten seconds
  holdfast bench --processes 8      less noise
  holdfast bench --json > bench.json
"""

DOCTOR_DESCRIPTION = """\
Reports the version, native core, GIL, SQLite, extras, libraries to know about, notification of
forks, the mode and the directory that workers share, and marks problems with ! and notes with ·.
"""

DOCTOR_EPILOG = """\
examples:
  holdfast doctor
  holdfast doctor --json
"""


EXPORT_DESCRIPTION = """\
Prints files for other programs.
"""

RULES_DESCRIPTION = """\
Prints alert rules and recording rules for Prometheus: circuit breakers that stay open, failing
health checks, error budgets and their burn rates, retries, timeouts, resources.
"""

RULES_EPILOG = """\
examples:
  holdfast export rules -o holdfast-rules.yml
  holdfast export rules --namespace shop --by job > shop-rules.yml
  promtool check rules holdfast-rules.yml

Name the file under rule_files in the configuration of Prometheus.
"""


MIGRATE_DESCRIPTION = """\
Lists where a code base uses tenacity, stamina, backoff, pybreaker, circuitbreaker, aiobreaker,
limits or aiolimiter: the import to change to the face in holdfast.compat, and what behaves
otherwise there. It reads files of Python, notebooks and lists of requirements; it changes no file
and runs none.
"""

MIGRATE_EPILOG = """\
examples:
  holdfast migrate src                           every use, with file, line and column
  holdfast migrate src --diff | git apply        change the imports
  holdfast migrate src --diff | patch -p1        as well
  holdfast migrate src --json > uses.json

The diff names files from the current folder, or from PATH if that is elsewhere. Symbolic links are
not followed. docs/migration.md has what each idiom becomes.

exit codes:
  0    everything was looked at
  1    some of it could not be read or parsed; the rest was looked at
  2    it could not start: bad arguments, no such file or folder
"""


SUPERVISE_DESCRIPTION = """\
Runs a command in the foreground and starts it again when it fails: when it ends with another exit
code than 0 or by a signal, or when its check fails. SIGTERM, SIGINT and SIGQUIT end it: they are
passed on to the command and all processes of its group, which are killed after --kill-after
seconds, or at a second such signal. Other signals are passed on. If this process is killed, so are
they.
"""

SUPERVISE_EPILOG = """\
examples:
  holdfast supervise -- python -m http.server 8000
  holdfast supervise --tcp 127.0.0.1:8000 --interval 2 -- python -m http.server 8000
  holdfast supervise --http http://127.0.0.1:8000/ --attempts 5 -- python -m http.server 8000
  holdfast supervise --check 'pg_isready -q' --cool-down 60 -- postgres -D data

exit codes:
  that of the command; 128 and the number of the signal that has ended it
  1    the attempts are spent, and the check still failed
  2    it could not start: bad arguments
  126  the command must not be run
  127  the command does not exist
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Without the program's name; None takes them from ``sys.argv``.

    Raises:
        SystemExit: ``--help``, ``--version`` and arguments that do not parse, as argparse does.
    """
    options = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except BrokenPipeError:
        # The reader is gone. What Python would still flush at its exit has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """A parser that names the command or option that was probably meant."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse, in the command itself, what its own usage does not name."""
        namespace, others = super().parse_known_args(args, namespace)
        if others and self._subparsers is None:
            self.error(f"unrecognized arguments: {' '.join(others)}")
        return namespace, others

    def error(self, message: str) -> NoReturn:
        """Print the message with the nearest word, and exit."""
        from re import search

        from holdfast.hints import nearest

        wrong = search(r"invalid choice: '([^']*)'|unrecognized arguments: (\S+)", message)
        if wrong is not None and "did you mean" not in message.lower():
            close = nearest(wrong[1] or wrong[2].partition("=")[0], self._words())
            message += f"; did you mean {close}?" if close else ""
        super().error(message)

    def _words(self) -> list[str]:
        """Return the commands and options of this parser and of its commands."""
        words = [option for action in self._actions for option in action.option_strings]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                words += action.choices
                words += [word for parser in action.choices.values() for word in parser._words()]
        return words


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="holdfast",
        description="Resilience policies with a native core.",
        epilog=EXIT_CODES,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"holdfast {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    demo = commands.add_parser(
        "demo",
        help="guarded and unguarded traffic to an upstream that degrades",
        description=DEMO_DESCRIPTION,
        epilog=DEMO_EPILOG + "\n" + EXIT_CODES,
        formatter_class=raw,
    )
    demo.add_argument(
        "--seconds",
        type=_seconds,
        metavar="N",
        help="end after N seconds, 10 or more, and fit every phase in (default: at Ctrl-C)",
    )
    demo.add_argument(
        "--port",
        type=_port,
        metavar="PORT",
        help="port of the upstream on 127.0.0.1 (default: a free one)",
    )
    demo.add_argument(
        "--metrics-port",
        type=_port,
        metavar="PORT",
        help="port of its metrics on 127.0.0.1 (default: a free one)",
    )
    demo.add_argument("--plain", action="store_true", help="lines of text, even on a terminal")
    demo.set_defaults(run=_demo)
    _add_bench(commands)
    _add_doctor(commands)
    _add_export(commands)
    _add_migrate(commands)
    _add_supervise(commands)
    return parser


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser(
        "bench",
        help="what a guarded call costs on this machine",
        description=BENCH_DESCRIPTION,
        epilog=BENCH_EPILOG + "\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_argument(
        "--processes",
        type=_whole(1, 100),
        default=3,
        metavar="N",
        help="measure in N processes, 1 to 100; the minimum counts (default: 3)",
    )
    bench.add_argument(
        "--rounds",
        type=_whole(1, 10_000),
        default=60,
        metavar="N",
        help="time each case N times in each, 1 to 10000 (default: 60)",
    )
    bench.add_argument("--json", action="store_true", help="print JSON")
    bench.set_defaults(run=_bench)


def _add_doctor(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="report the installation and its problems",
        description=DOCTOR_DESCRIPTION,
        epilog=DOCTOR_EPILOG + "\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def _add_export(commands: Any) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    export = commands.add_parser(
        "export",
        help="files for other programs: rules for Prometheus",
        description=EXPORT_DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=raw,
    )
    what = export.add_subparsers(dest="what", metavar="WHAT", required=True)
    rules = what.add_parser(
        "rules",
        help="alert rules and recording rules for Prometheus",
        description=RULES_DESCRIPTION,
        epilog=RULES_EPILOG + "\n" + EXIT_CODES,
        formatter_class=raw,
    )
    rules.add_argument(
        "--namespace",
        default="holdfast",
        metavar="N",
        help="namespace of the metrics, as the Collector has it (default: holdfast)",
    )
    rules.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="LABEL",
        help="a label that tells services apart, such as job; may be repeated (default: none)",
    )
    rules.add_argument(
        "-o",
        "--output",
        default="-",
        metavar="FILE",
        help="write to this file (default: standard output)",
    )
    rules.set_defaults(run=_export_rules)


def _add_migrate(commands: Any) -> None:
    migrate = commands.add_parser(
        "migrate",
        help="where code uses libraries that holdfast can replace, and what to change",
        description=MIGRATE_DESCRIPTION,
        epilog=MIGRATE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    migrate.add_argument("path", metavar="PATH", help="a file or a folder")
    how = migrate.add_mutually_exclusive_group()
    how.add_argument("--diff", action="store_true", help="print the change of imports as a diff")
    how.add_argument("--json", action="store_true", help="print JSON")
    migrate.set_defaults(run=_migrate)


def _add_supervise(commands: Any) -> None:
    supervise = commands.add_parser(
        "supervise",
        help="run a command, and start it again when it fails",
        description=SUPERVISE_DESCRIPTION,
        epilog=SUPERVISE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] -- COMMAND [ARGUMENT ...]",
    )
    supervise.add_argument("command_", nargs="+", metavar="COMMAND", help="what is run")
    supervise.add_argument("--name", metavar="NAME", help="for messages (default: the command)")
    check = supervise.add_mutually_exclusive_group()
    check.add_argument(
        "--tcp", metavar="HOST:PORT", help="check that this port accepts connections"
    )
    check.add_argument("--http", metavar="URL", help="check that this address answers with 2xx")
    check.add_argument("--check", metavar="CMD", help="check that this command ends with 0")
    supervise.add_argument(
        "--restart",
        choices=("on-failure", "always", "never"),
        default="on-failure",
        help="when it is started again (default: on-failure)",
    )
    supervise.add_argument(
        "--attempts",
        type=_whole(1, 1_000_000),
        default=3,
        metavar="N",
        help="attempts to start it again, until it was healthy for a minute (default: 3)",
    )
    for option, default, text in (
        ("--first-delay", None, "before the first attempt; then 1, 2, 4, 4 … (default: 1)"),
        ("--cool-down", None, "before more attempts when they are spent (default: end then)"),
        ("--interval", 10.0, "from one check to the next (default: 10)"),
        ("--timeout", 5.0, "that one check may take (default: 5)"),
        ("--start-timeout", 30.0, "that a start may take until its check passes (default: 30)"),
        ("--kill-after", 5.0, "from the signal that asks it to end to SIGKILL (default: 5)"),
    ):
        supervise.add_argument(
            option, type=_duration, default=default, metavar="S", help=f"seconds {text}"
        )
    supervise.set_defaults(run=_supervise)


def _supervise(options: argparse.Namespace) -> int:
    from holdfast.agent.supervise import CANNOT_RUN, NOT_FOUND, Settings, read_check, run_supervised
    from holdfast.errors import ConfigError

    restarts = {"on-failure": "transient", "always": "permanent", "never": "temporary"}
    try:
        settings = Settings(
            command=tuple(options.command_),
            name=options.name or os.path.basename(options.command_[0]),
            check=read_check(options.tcp, options.http, options.check),
            restart=restarts[options.restart],  # type: ignore[arg-type]
            attempts=options.attempts,
            first_delay=options.first_delay,
            cool_down=options.cool_down,
            interval=options.interval,
            timeout=options.timeout,
            start_timeout=options.start_timeout,
            kill_after=options.kill_after,
        )
        return run_supervised(settings)
    except ConfigError as error:
        return _complain(error, EXIT_CANNOT_START)
    except OSError as error:
        is_there = not isinstance(error, FileNotFoundError)
        return _complain(OSError(error.strerror), CANNOT_RUN if is_there else NOT_FOUND)


def _demo(options: argparse.Namespace) -> int:
    try:
        import httpx  # noqa: F401 - asked for before anything is started

        import holdfast.telemetry.prometheus  # noqa: F401 - as well
    except ImportError:
        from holdfast.errors import MissingExtraError

        return _complain(MissingExtraError("demo", "holdfast demo"), EXIT_CANNOT_START)
    from holdfast.demo.process import PortError, UpstreamError
    from holdfast.demo.run import RunError, run_demo

    try:
        run_demo(options.seconds, options.port, options.plain, sys.stdout, options.metrics_port)
    except PortError as error:
        return _complain(error, EXIT_CANNOT_START)
    except (UpstreamError, RunError) as error:
        return _complain(error, EXIT_BROKE)
    return EXIT_DONE


def _bench(options: argparse.Namespace) -> int:
    from holdfast.bench.run import BenchError, run_bench

    try:
        run_bench(options.processes, options.rounds, options.json, sys.stdout)
    except BenchError as error:
        return _complain(error, EXIT_BROKE)
    return EXIT_DONE


def _doctor(options: argparse.Namespace) -> int:
    from holdfast.agent.doctor import run_doctor

    return EXIT_DONE if run_doctor(options.json, sys.stdout) else EXIT_BROKE


def _export_rules(options: argparse.Namespace) -> int:
    from holdfast.errors import ConfigError
    from holdfast.telemetry.rules import rules_file

    try:
        text = rules_file(options.namespace, by=options.by)
    except ConfigError as error:
        return _complain(error, EXIT_CANNOT_START)
    if options.output == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return EXIT_DONE
    try:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        why = f"--output: cannot write {options.output}: {error.strerror}"
        return _complain(OSError(why), EXIT_BROKE)
    return EXIT_DONE


def _migrate(options: argparse.Namespace) -> int:
    from holdfast.agent.migrate.command import run_migrate

    try:
        done = run_migrate(options.path, options.json, options.diff, sys.stdout, sys.stderr)
    except FileNotFoundError:
        why = f"PATH: got {options.path!r}, allowed: a file or a folder"
        return _complain(FileNotFoundError(why), EXIT_CANNOT_START)
    return EXIT_DONE if done else EXIT_BROKE


def _complain(error: Exception, code: int) -> int:
    print(f"holdfast: {error}", file=sys.stderr)
    return code


def _seconds(text: str) -> float:
    from holdfast.demo.schedule import LONGEST_SECONDS, SHORTEST_SECONDS

    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        return seconds
    raise argparse.ArgumentTypeError(
        f"got {text!r}, allowed: {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds"
    )


def _duration(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if 0 <= seconds <= 1e9:
        return seconds
    raise argparse.ArgumentTypeError(f"got {text!r}, allowed: seconds from 0 to 1000000000")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text.isascii() and text.isdecimal() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"got {text!r}, allowed: {least} to {most}")

    return read


_port = _whole(1, 65_535)
