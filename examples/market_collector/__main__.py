"""Collect the prices of local exchanges; or do harm to them, and show how the collector goes on.

Without ``--scenario`` it collects until it is interrupted, and tells once a second how it is.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import holdfast as hf
from examples.options import log_to, seconds

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import FrameType

    from examples.market_collector.report import Report
    from examples.market_collector.scenarios import Scenario
    from examples.market_collector.stage import Stage
    from holdfast.agent.config import CollectorSettings

_TOLD_EVERY = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return 0 if everything went as it has to."""
    try:
        return _main(arguments)
    except (ModuleNotFoundError, hf.MissingExtraError) as error:
        print(
            f"{error}; all that the collector needs: {sys.executable} -m pip install '.[demo]'",
            file=sys.stderr,
        )
        return 2


def _main(arguments: Sequence[str] | None) -> int:
    from examples.market_collector.redis_server import installed
    from examples.market_collector.scenarios import ALL
    from examples.market_collector.settings import FILE, read_settings

    options = _parser([scenario.name for scenario in ALL]).parse_args(arguments)
    if options.list:
        for scenario in ALL:
            print(f"{scenario.name:<9} {scenario.title}")
        return 0
    has_redis = installed() is not None
    chosen = _chosen(options.scenario, has_redis=has_redis)
    if options.scenario and not has_redis:
        _tell_left_out(options.scenario)
        if not chosen:
            return 2
    quick = FILE.with_name("scenarios.yaml")
    file = options.config or (quick if options.scenario else FILE)
    try:
        settings = read_settings(file)
    except hf.ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    if wrong := log_to(options.log):
        print(wrong, file=sys.stderr)
        return 2
    return _run(settings, chosen, options, has_redis=has_redis)


def _run(
    settings: CollectorSettings,
    scenarios: Sequence[Scenario],
    options: argparse.Namespace,
    *,
    has_redis: bool,
) -> int:
    from examples.market_collector.play import Player
    from examples.market_collector.report import Report
    from examples.market_collector.stage import Stage

    report = Report(sys.stdout)
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000
    with (
        interrupted_once() as is_over,
        tempfile.TemporaryDirectory(prefix="market-") as folder,
        ExitStack() as stack,
    ):
        stage = Stage(Path(folder), settings, has_redis=has_redis)
        cache = "cache in Redis" if has_redis else "no redis-server on PATH: cache in memory"
        report.say("start", f"{len(stage.names)} exchanges, {cache}; --seed {seed}")
        stack.callback(stage.stop)  # whatever interrupts what follows
        try:
            stage.start()
            report.say("ready", stage.states())
            report.say("ready", f"{stage.admin.url}/health; token: {stage.token}")
            player = Player(stage, report, seed=seed)
            if not scenarios:
                _collect(stage, report, options.seconds)
            elif options.seconds is None:
                for scenario in scenarios:
                    player.play(scenario)
            else:
                player.play_for(options.seconds, scenarios)
            is_over.set()
        except KeyboardInterrupt:
            report.interrupted()
        stack.close()
        left = stage.left()
    report.say("stopped", f"left over: {left}" if left else "nothing is left over")
    is_good = not scenarios or report.end()
    return 0 if is_good and not left else 1


def _collect(stage: Stage, report: Report, seconds: float | None) -> None:
    """Tell once a second how the collector is."""
    until = None if seconds is None else time.monotonic() + seconds
    while until is None or time.monotonic() < until:
        time.sleep(_TOLD_EVERY)
        report.say("", stage.summary())


def _chosen(named: Sequence[str] | None, *, has_redis: bool) -> list[Scenario]:
    from examples.market_collector.scenarios import ALL

    if not named:
        return []
    return [
        scenario
        for scenario in ALL
        if ("all" in named or scenario.name in named) and (has_redis or not scenario.needs_redis)
    ]


def _tell_left_out(named: Sequence[str]) -> None:
    """Say which scenarios cannot be played as there is no Redis."""
    from examples.market_collector.scenarios import ALL

    names = [
        scenario.name
        for scenario in ALL
        if scenario.needs_redis and ("all" in named or scenario.name in named)
    ]
    if names:
        print(
            f"left out for want of Redis: {', '.join(names)}; redis-server is not on PATH "
            "(apt-get install redis-server)",
            file=sys.stderr,
        )


@contextmanager
def interrupted_once() -> Generator[threading.Event]:
    """Take the first SIGINT or SIGTERM for the end: a second one would break off the stop.

    Yields what is set once it has come; if it is set before, none interrupts any more.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    is_over = threading.Event()

    def interrupt(_: int, __: FrameType | None) -> None:
        if not is_over.is_set():
            is_over.set()
            raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield is_over
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m examples.market_collector",
        description="Collects the prices of local exchanges, until it is interrupted. With "
        "--scenario: breaks something, and shows how the collector goes on.",
    )
    parser.add_argument(
        "--scenario",
        nargs="+",
        choices=[*names, "all"],
        metavar="NAME",
        help="what to break: names that --list shows, or all",
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios, and end")
    parser.add_argument(
        "--seconds",
        type=seconds,
        help="end after so long; with --scenario: these in random order, instead of each once",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the settings, instead of those in config/"
    )
    parser.add_argument(
        "--seed", type=int, help="repeats the choices of the run that has told this number"
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="where log lines are added")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before there was anything to stop
        sys.exit(130)
