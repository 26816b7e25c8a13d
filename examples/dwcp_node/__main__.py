"""Run three nodes, do harm to them, and show how they recover; or run one node.

The arguments ``node CONFIG`` run one node, as the cluster does it. All others: ``--help``.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from examples.options import log_to, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from examples.dwcp_node.scenarios import Scenario


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return 0 if everything went as it has to."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["node"]:
        return _run_node(given[1:])
    return _run_cluster(given)


def _run_node(given: Sequence[str]) -> int:
    from examples.dwcp_node.config import NodeConfig
    from examples.dwcp_node.node import Node

    parser = argparse.ArgumentParser("python -m examples.dwcp_node node")
    parser.add_argument("config", type=Path, help="the file that the cluster has written")
    options = parser.parse_args(given)
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    config = NodeConfig.read(options.config)

    async def run() -> None:
        ends = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ends.set)
        await Node(config).run(ends)

    asyncio.run(run())
    return 0


def _run_cluster(given: Sequence[str]) -> int:
    from examples.dwcp_node import etcd
    from examples.dwcp_node.scenarios import ALL

    options = _parser([scenario.name for scenario in ALL]).parse_args(given)
    if options.list:
        for scenario in ALL:
            print(f"{scenario.name:<11} {scenario.title}")
        return 0
    has_etcd = options.etcd == "one"
    if has_etcd and etcd.installed() is None:
        print("no etcd on this machine (apt-get install etcd-server): one writer is declared")
        has_etcd = False
    named: list[str] = options.scenario or ["all"]
    wanted = None if "all" in named else named
    chosen = [
        scenario
        for scenario in ALL
        if wanted is None or (scenario.name in wanted and (has_etcd or not scenario.needs_etcd))
    ]
    if not chosen:
        print("these scenarios need etcd", file=sys.stderr)
        return 2
    if wrong := log_to(options.log):
        print(wrong, file=sys.stderr)
        return 2
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000
    with tempfile.TemporaryDirectory(prefix="dwcp-node-") as folder:
        return asyncio.run(
            _play(Path(folder), chosen, has_etcd=has_etcd, seed=seed, seconds=options.seconds)
        )


async def _play(
    folder: Path, scenarios: Sequence[Scenario], *, has_etcd: bool, seed: int, seconds: float | None
) -> int:
    from examples.dwcp_node.cluster import Cluster
    from examples.dwcp_node.happenings import Hub
    from examples.dwcp_node.play import Player
    from examples.dwcp_node.report import Report

    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    report = Report(sys.stdout)
    try:
        report.say("start", f"three nodes{' and etcd' if has_etcd else ''}; --seed {seed}")
        async with Cluster(folder, hub=Hub(), has_etcd=has_etcd) as cluster:
            leader = await cluster.until_leader()
            report.say("ready", f"all nodes answer, all components work; node {leader} leads")
            player = Player(cluster, report, seed=seed)
            if seconds is None:
                for scenario in scenarios:
                    await player.play(scenario)
            else:
                await player.play_for(seconds, scenarios)
    except asyncio.CancelledError:
        report.interrupted()
    return 0 if report.end() else 1


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m examples.dwcp_node",
        description="Three nodes are harmed and recover; what happens is told as it happens.",
    )
    parser.add_argument(
        "--scenario", nargs="+", choices=[*names, "all"], help="which; all unless given"
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios, and end")
    parser.add_argument(
        "--seconds", type=seconds, help="play them in random order for so long, not each once"
    )
    parser.add_argument("--seed", type=int, help="repeats the choices of an earlier run")
    parser.add_argument(
        "--etcd", choices=["one", "none"], default="one", help="none: one writer is declared"
    )
    parser.add_argument("--log", type=Path, help="a file for what the processes log")
    return parser


if __name__ == "__main__":
    sys.exit(main())
