"""Plays scenarios on a cluster, one after the other, with traffic between all nodes meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import time
from random import Random
from typing import TYPE_CHECKING

from examples.dwcp_node.control import ControlError
from examples.dwcp_node.scene import Scene
from examples.dwcp_node.workload import Workload
from examples.story import WrongError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from examples.dwcp_node.cluster import Cluster
    from examples.dwcp_node.report import Report, Story
    from examples.dwcp_node.scenarios import Scenario

_WARM_UP = 0.3
_HEALTHY_WITHIN = 60.0


class Player:
    """Plays scenarios, and remembers how often.

    Args:
        cluster: What they are played on; it runs.
        report: What is told.
        seed: Makes the choices; the same seed chooses the same.
        per_second: How many messages the nodes send meanwhile, all together.
    """

    def __init__(
        self, cluster: Cluster, report: Report, *, seed: int, per_second: float = 60.0
    ) -> None:
        self._cluster = cluster
        self._report = report
        self._random = Random(seed)
        self._per_second = per_second
        self._numbers = itertools.count(1)

    async def play(self, scenario: Scenario) -> Story:
        """Play one, heal what it has left, and count what became of the messages."""
        label = f"{next(self._numbers)}-{scenario.name}"
        story = self._report.begin(scenario.name, scenario.title)
        scene = Scene(self._cluster, self._report, story, self._random, label)
        workload = Workload(self._cluster.controls, label, per_second=self._per_second)
        workload.start()
        try:
            await asyncio.sleep(_WARM_UP)
            await self._cluster.until_linked(_HEALTHY_WITHIN)
            await scenario.play(scene)
        except (WrongError, ControlError, OSError) as error:
            self._report.failed(story, f"{error}" or type(error).__name__)
        finally:
            await self._heal(story)
            await workload.stop()
        try:
            self._report.counted(story, await workload.counts())
        except TimeoutError as error:
            self._report.failed(story, f"{error}")
        return story

    async def play_for(
        self,
        seconds: float,
        scenarios: Sequence[Scenario],
        heard: Callable[[Story], object] = id,
    ) -> None:
        """Play scenarios in random order until the time is over; ``heard`` gets each story."""
        until = time.monotonic() + seconds
        while True:
            order = list(scenarios)
            self._random.shuffle(order)
            for scenario in order:
                if time.monotonic() >= until:
                    return
                heard(await self.play(scenario))

    async def _heal(self, story: Story) -> None:
        cluster = self._cluster
        cluster.heal()
        for name in cluster.names:
            cluster.go_on(name)
        try:
            async with asyncio.timeout(_HEALTHY_WITHIN):
                await asyncio.gather(*(cluster.until_healthy(name) for name in cluster.names))
        except TimeoutError:
            self._report.failed(story, f"not all works {_HEALTHY_WITHIN:g} s after healing")
