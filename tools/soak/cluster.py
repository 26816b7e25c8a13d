"""The cluster of the node's example, harmed at random, with messages between all nodes."""

from __future__ import annotations

import asyncio
import io
import logging
import tempfile
from collections import Counter
from pathlib import Path

from examples.dwcp_node import etcd
from examples.dwcp_node.cluster import Cluster
from examples.dwcp_node.happenings import Hub
from examples.dwcp_node.play import Player
from examples.dwcp_node.report import Report, Story
from examples.dwcp_node.scenarios import ALL
from examples.story import duration
from tools.soak.census import Memory, census, settled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def run(seconds: float, seed: int, say: Callable[[str], object]) -> list[str]:
    """Play scenarios in random order for so long; return what went wrong, a line each."""
    logging.getLogger("holdfast").addHandler(logging.NullHandler())
    logging.getLogger("holdfast").propagate = False
    before = census()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        wrong = asyncio.run(_play(Path(folder), seconds, seed, say))
    gone = settled(before)
    wrong += [f"left behind: {what}" for what in gone]
    say(f"stopped, and left behind: {gone or 'nothing'}")
    return wrong


async def _play(folder: Path, seconds: float, seed: int, say: Callable[[str], object]) -> list[str]:
    memory = Memory(seconds)
    told = io.StringIO()
    report = Report(told)
    has_etcd = etcd.installed() is not None
    async with Cluster(folder, hub=Hub(), has_etcd=has_etcd) as cluster:
        await cluster.until_leader()
        player = Player(cluster, report, seed=seed)

        def heard(story: Story) -> None:
            say(_line(story))
            if not story.is_good:
                say(told.getvalue())
            told.seek(0)
            told.truncate()
            memory.look()

        scenarios = [scenario for scenario in ALL if has_etcd or not scenario.needs_etcd]
        await player.play_for(seconds, scenarios, heard)
        tasks = len(asyncio.all_tasks())
    left = len(asyncio.all_tasks()) - 1
    for line in report.table():
        say(line)
    say(f"{memory}; tasks while it ran: {tasks}, afterwards: {left}")
    wrong = [f"{story.name}: {what}" for story in report.stories for what in story.wrong]
    wrong += [f"{story.name}: not mended" for story in report.stories if not story.is_good]
    if left:
        names = Counter(task.get_name() for task in asyncio.all_tasks())
        wrong.append(f"tasks are left: {names}")
    return wrong + memory.judge()


def _line(story: Story) -> str:
    noticed, verified = story.noticed_after, story.verified_after
    return (
        f"{story.name:<11} noticed after {duration(noticed or 0.0):>7}, "
        f"verified after {duration(verified or 0.0):>7}, {story.counts}"
    )
