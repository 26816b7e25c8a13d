"""Plays scenarios on a stage, one after the other, and makes sure that all is well after each."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

from examples.market_collector.scene import Scene
from examples.story import WrongError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from examples.market_collector.report import Report, Story
    from examples.market_collector.scenarios import Scenario
    from examples.market_collector.stage import Stage


class Player:
    """Plays scenarios.

    Args:
        stage: What they are played on; it runs.
        report: What is told.
        seed: Makes the choices; the same seed chooses the same.
    """

    def __init__(self, stage: Stage, report: Report, *, seed: int) -> None:
        self._stage = stage
        self._report = report
        self._random = Random(seed)

    def play(self, scenario: Scenario) -> Story:
        """Play one, mend what it has left, and make sure that all is well."""
        story = self._report.begin(scenario.name, scenario.title)
        scene = Scene(self._stage, self._report, story, self._random)
        try:
            scene.calm()
            try:
                scenario.play(scene)
            finally:
                self._stage.heal()
            scene.working(*self._stage.names)
            counts = scene.complete()
            scene.at_rest()
        except (WrongError, OSError, TimeoutError) as error:
            self._report.failed(story, f"{error}" or type(error).__name__)
        else:
            self._report.counted(story, counts)
        return story

    def play_for(
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
                heard(self.play(scenario))
