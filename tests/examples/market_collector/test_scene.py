"""A scenario finds what is wrong: what nobody notices, what is slower, missing, wrong or left."""

import io
import re
import threading
import time
from random import Random
from types import SimpleNamespace

import pytest

from examples.market_collector import scene as scenes
from examples.market_collector.happenings import Happenings
from examples.market_collector.play import Player
from examples.market_collector.report import Errors, Report
from examples.market_collector.scenarios import Scenario
from examples.market_collector.scene import Scene, told
from examples.story import WrongError


class Stage:
    """A stage on which all is well, until a test changes what is seen of it."""

    names = ("alpha", "beta")
    symbols = 2
    rate = 5.0

    def __init__(self) -> None:
        self.happenings = Happenings()
        self.rest = {"threads": 5}
        self.failed = dict.fromkeys(self.names, 0)
        self.measured = {"alpha": 5.0, "beta": 5.0}
        self.open: set[str] = set()
        self.lost: list[tuple[str, str, int]] = []
        self.changed: list[tuple[str, str, int]] = []
        self.more: dict[str, int] = {}
        self.healed = 0
        self._rounds = 0
        self._minutes = iter(range(100, 1000))

    def worker(self, name: str) -> SimpleNamespace:
        self._rounds += 1
        return SimpleNamespace(rounds=self._rounds, errors=self.failed[name], skipped_rounds=0)

    def rates(self, names, rounds: int) -> dict[str, float]:
        return {name: self.measured[name] for name in names}

    def is_open(self, name: str) -> bool:
        return name in self.open

    def minute(self) -> int:
        return next(self._minutes)

    def missing(self, first: int, last: int) -> list[tuple[str, str, int]]:
        return self.lost

    def wrong_values(self, first: int, last: int) -> list[tuple[str, str, int]]:
        return self.changed

    def filled(self) -> int:
        return 0

    def errors(self) -> Errors:
        return Errors()

    def above(self, rest: dict[str, int]) -> dict[str, int]:
        return self.more

    def states(self) -> str:
        return "as it is"

    def heal(self) -> None:
        self.healed += 1


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes is not waited for."""
    monkeypatch.setattr(scenes, "NOTICED_WITHIN", 0.05)
    monkeypatch.setattr(scenes, "RECOVERED_WITHIN", 0.05)


def play(stage: Stage, do) -> tuple[list[str], str]:
    """Play a scenario; return what went wrong, and all that was told."""
    out = io.StringIO()
    scenario = Scenario("try", "something is tried", do)
    story = Player(stage, Report(out), seed=1).play(scenario)  # type: ignore[arg-type]
    return story.wrong, out.getvalue()


def harm(scene: Scene) -> None:
    scene.broke("alpha is harmed")
    scene.stage.happenings.add("the breaker of alpha", "alpha", "open", "open: 5 failures")
    scene.noticed(told("alpha", "open"))
    scene.undisturbed("alpha")


def test_a_scenario_in_which_all_is_well_is_good_and_tells_what_was_verified():
    stage = Stage()
    wrong, out = play(stage, harm)
    assert wrong == []
    assert stage.healed == 1
    lines = [line[12:] for line in out.splitlines() if " s  " in line]
    assert re.sub("after [0-9.]+ m?s", "after …", "\n".join(lines[:3])) == (
        "broken    alpha is harmed\n"
        "noticed   by the breaker of alpha after …: open: 5 failures\n"
        "verified  after …: all 2 symbols of the others are collected; "
        "rounds/s: beta 5.0 (before: 5.0)"
    )
    assert "no more is in use than before: threads 5" in lines[4]
    assert lines[5].startswith("counted   collected ")


def test_what_nobody_notices_is_wrong_and_the_stage_is_healed():
    stage = Stage()

    def unnoticed(scene: Scene) -> None:
        scene.stage.happenings.add("the breaker of alpha", "alpha", "open", "an earlier one")
        scene.broke("alpha is harmed")
        scene.noticed(told("alpha", "open"), within=0.05)

    wrong, _ = play(stage, unnoticed)
    assert wrong == ["nobody has noticed within 0.05 s"]
    assert stage.healed == 1


def test_another_exchange_that_is_slowed_is_told_by_name():
    stage = Stage()

    def slows(scene: Scene) -> None:
        stage.measured = {"alpha": 1.0, "beta": 3.0}
        harm(scene)

    wrong, _ = play(stage, slows)
    assert wrong == ["slower than before: beta (beta 3.0 rounds/s)"]


@pytest.mark.parametrize(("more", "is_good"), [(10_000, True), (0, False)])
def test_rounds_of_another_exchange_that_are_missed_until_it_is_noticed_are_told(more, is_good):
    stage = Stage()
    stage.measured = dict.fromkeys(stage.names, 1000.0)

    def breaks(scene: Scene) -> None:
        at = scene.breaking()
        time.sleep(0.05)
        stage._rounds += more
        scene.broke("alpha is harmed", at)
        scene.saw("somebody", "it")
        scene.undisturbed("alpha")

    wrong, _ = play(stage, breaks)
    assert [re.sub("[0-9]+", "n", each) for each in wrong] == (
        [] if is_good else ["until it was noticed: beta made n rounds instead of n"]
    )


def test_the_rates_before_are_those_of_a_machine_that_is_calm():
    stage = Stage()
    busy = iter([2.0, 3.0, 5.0])

    def rates(names, rounds: int) -> dict[str, float]:
        return dict.fromkeys(names, next(busy, 3.0))

    stage.rates = rates  # type: ignore[method-assign]
    wrong, _ = play(stage, harm)
    assert wrong == ["slower than before: beta (beta 3.0 rounds/s)"]


def test_a_price_of_another_exchange_that_was_not_collected_is_wrong():
    stage = Stage()

    def fails(scene: Scene) -> None:
        measured = stage.rates

        def rates(names, rounds: int) -> dict[str, float]:
            stage.failed["beta"] += 3
            return measured(names, rounds)

        stage.rates = rates  # type: ignore[method-assign]
        harm(scene)

    wrong, _ = play(stage, fails)
    assert wrong == ["prices of other exchanges were not collected: {'beta': 3}"]


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("lost", [("alpha", "BTC/USDT", 100)], "1 prices are missing"),
        ("changed", [("beta", "BTC/USDT", 100)], "1 prices are not what the exchange has said"),
        ("more", {"threads": 9}, "more is in use than before: threads 9"),
    ],
)
def test_what_is_missing_wrong_or_left_after_a_scenario_is_told(attribute, value, said: str):
    stage = Stage()

    def breaks(scene: Scene) -> None:
        harm(scene)
        setattr(stage, attribute, value)

    wrong, _ = play(stage, breaks)
    assert said in wrong


def test_an_exchange_that_stays_open_after_a_scenario_is_told():
    stage = Stage()

    def stays(scene: Scene) -> None:
        harm(scene)
        stage.open.add("alpha")

    wrong, _ = play(stage, stays)
    assert wrong == ["alpha is not collected within 0.05 s: as it is"]


def test_the_answer_that_is_waited_for_is_returned_or_told_as_it_was_last():
    scene = Scene(Stage(), Report(io.StringIO()), None, Random(1))  # type: ignore[arg-type]
    answers = iter([0, "", "yes"])
    assert scene.eventually(lambda: next(answers), "no", 5) == "yes"
    with pytest.raises(WrongError, match=r"it is not so within 0.01 s: \[\]"):
        scene.eventually(list, "it is not so", 0.01)


def test_the_first_that_happens_after_a_moment_is_found_also_while_one_waits():
    happenings = Happenings()
    happenings.add("x", "alpha", "open", "too early")
    since = time.monotonic()
    telling = threading.Timer(0.02, happenings.add, ("x", "alpha", "open", "it"))
    telling.start()
    found = happenings.first(told(["beta", "alpha"], "open"), since=since, within=10)
    telling.join()
    assert found.words == "it"
    assert happenings.since(since) == [found]
    with pytest.raises(TimeoutError):
        happenings.first(told("alpha", "closed"), since=since, within=0.01)
