"""Load shedding: a share of the calls is refused while the load is too high."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import Any

import pytest

import holdfast as hf
from holdfast.degradation import Component, DegradationManager, LoadShedder
from tests.waiting.parties import Party

PRIORITIES: tuple[Any, ...] = ("critical", "high", "normal", "sheddable")


@pytest.fixture
def search(clock: hf.ManualClock) -> Component:
    return DegradationManager("shop", clock=clock).component("search")


def shedder_of(search: Component, **settings: Any) -> LoadShedder:
    return LoadShedder(search, **{"max_load": 100, "enabled": True, "seed": 1, **settings})


def shed_of(shedder: LoadShedder, mix: dict[Any, int], rounds: int = 500) -> Counter[str]:
    """Make calls of a mix of priorities; return how many of each priority were shed."""
    shed: Counter[str] = Counter()
    for _ in range(rounds):
        for priority, n in mix.items():
            for _ in range(n):
                shed[priority] += not shedder.try_admit(priority)
    return shed


def test_nothing_is_shed_before_it_is_turned_on(search):  # DG-07
    shedder = LoadShedder(search, max_load=100)
    shedder.observe(1e6)
    assert (shedder.enabled, shedder.share) == (False, 0.0)
    assert all(shedder.try_admit() for _ in range(100))


@pytest.mark.parametrize(
    ("load", "share"), [(0, 0), (100, 0), (125, 0.25), (150, 0.5), (190, 0.9), (1000, 0.9)]
)
def test_the_share_is_that_of_the_load_above_the_maximum_and_at_most_nine_tenths(  # DG-07
    search, load, share
):
    shedder = shedder_of(search)
    shedder.observe(load)
    assert shedder.share == pytest.approx(share)
    assert sum(shed_of(shedder, {"normal": 10}).values()) == pytest.approx(share * 5000, abs=150)


def test_the_share_of_all_calls_holds_and_takes_the_least_important_first(search):  # DG-07
    shedder = shedder_of(search)
    shedder.observe(150)
    mix = {"critical": 2, "high": 2, "normal": 3, "sheddable": 3}
    shed = shed_of(shedder, mix)
    assert shed["sheddable"] > 1450  # all, once the mix is known
    assert shed["normal"] == pytest.approx(1000, abs=120)
    assert shed["high"] < 50
    assert shed["critical"] == 0
    assert sum(shed.values()) == pytest.approx(2500, abs=120)


def test_critical_calls_are_never_shed_even_where_the_share_cannot_hold(search):
    shedder = shedder_of(search)
    shedder.observe(190)
    shed = shed_of(shedder, {"critical": 5, "high": 5})
    assert (shed["critical"], shed["high"] > 2400) == (0, True)


def test_the_mix_of_the_last_calls_counts(search):
    shedder = shedder_of(search)
    shedder.observe(150)
    shed_of(shedder, {"normal": 10})
    shed_of(shedder, {"normal": 5, "sheddable": 5}, 1000)
    shed = shed_of(shedder, {"normal": 5, "sheddable": 5})
    assert shed["sheddable"] == pytest.approx(2500, abs=100)
    assert shed["normal"] < 100


@pytest.mark.parametrize("rare", PRIORITIES)
@pytest.mark.parametrize("usual", PRIORITIES)
def test_the_first_call_of_a_priority_may_be_the_last_that_is_remembered(search, usual, rare):
    for before in (1023, 2046, 2047, 2048):
        shedder = shedder_of(search)
        shedder.observe(150)
        for _ in range(before):
            shedder.try_admit(usual)
        shedder.try_admit(rare)
        assert shedder.snapshot().calls[rare] >= 1


def test_a_priority_that_there_is_not_is_refused_also_while_nothing_is_shed(search):
    shedder = LoadShedder(search, max_load=100)
    wrong: Any = "hihg"
    with pytest.raises(hf.ConfigError, match="did you mean 'high'"):
        shedder.try_admit(wrong)


def test_the_priority_of_the_context_counts(search):
    shedder = shedder_of(search)
    shedder.observe(190)
    with hf.priority("critical"):
        assert all(shedder.try_admit() for _ in range(100))
    assert shedder.snapshot().calls == {"critical": 100, "high": 0, "normal": 0, "sheddable": 0}


def test_with_a_seed_the_same_calls_are_shed(search):  # D-DG-2
    def shed(seed: int) -> list[bool]:
        shedder = shedder_of(search, seed=seed)
        shedder.observe(150)
        return [shedder.try_admit() for _ in range(100)]

    assert shed(7) == shed(7) != shed(8)


def test_a_call_that_is_shed_does_not_run_and_says_so(search):
    shedder = shedder_of(search, most=1.0)
    shedder.observe(200)
    ran: list[int] = []
    with pytest.raises(hf.ShedError, match="load is shed") as raised:
        shedder.call(ran.append, 1)
    assert (raised.value.name, raised.value.policy, ran) == ("search", shedder, [])
    assert isinstance(raised.value, hf.Rejected)


async def test_functions_of_both_kinds_are_guarded(search):
    shedder = shedder_of(search, most=1.0)

    @shedder
    def plain(n: int) -> int:
        return n

    @shedder
    async def coroutine(n: int) -> int:
        return n

    assert (plain(1), await coroutine(2), await shedder.acall(coroutine, 3)) == (1, 2, 3)
    shedder.observe(200)
    with pytest.raises(hf.ShedError):
        plain(1)
    with pytest.raises(hf.ShedError):
        await coroutine(1)


def test_the_load_is_asked_for_no_more_often_than_in_the_interval(search, clock):
    asked: list[int] = []

    def load() -> float:
        asked.append(1)
        return 200

    shedder = shedder_of(search, load=load, interval=2, most=1.0)
    assert [shedder.try_admit() for _ in range(5)] == [False] * 5
    assert len(asked) == 1
    clock.advance(2)
    shedder.try_admit()
    assert len(asked) == 2


def test_a_load_that_cannot_be_told_sheds_nothing_and_is_logged_once(search, clock, caplog):
    answers: Any = iter([200, float("nan"), RuntimeError, "200"])

    def load() -> float:
        answer = next(answers)
        if answer is RuntimeError:
            raise RuntimeError("no figures")
        return answer  # type: ignore[no-any-return]

    shedder = shedder_of(search, load=load, interval=1, max_age=3, most=1.0)
    verdicts = []
    for _ in range(4):
        verdicts.append(shedder.try_admit())
        clock.advance(1)
    clock.advance(0.5)
    assert verdicts == [False] * 4  # the last answer holds for a while
    answers = iter([RuntimeError])
    assert shedder.try_admit()
    assert shedder.load is None
    assert shedder.snapshot().unknown == 4
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_no_lock_is_held_while_the_load_is_asked_for(search):  # D-DG-2
    inside, go = threading.Event(), threading.Event()

    def load() -> float:
        inside.set()
        assert go.wait(20)
        return 0.0

    shedder = shedder_of(search, load=load)
    slow = Party(shedder.try_admit)
    assert inside.wait(20)
    assert Party(shedder.try_admit).result()
    assert shedder.snapshot().calls["normal"] == 1
    go.set()
    assert slow.result()


def test_a_load_that_makes_a_guarded_call_itself_gets_an_answer(search):
    shedder: Any = None
    shedder = shedder_of(search, load=lambda: shedder.try_admit() * 200.0, most=1.0)
    assert shedder.try_admit() is False


def test_no_count_is_lost_between_threads(search, stress_scale):  # D-DG-2
    shedder = shedder_of(search)
    shedder.observe(150)
    meet = threading.Barrier(4)

    def calls(priority: Any) -> int:
        meet.wait(20)
        return sum(not shedder.try_admit(priority) for _ in range(2000 * stress_scale))

    parties = {priority: Party(calls, priority) for priority in PRIORITIES}
    shed = {priority: party.result() for priority, party in parties.items()}
    seen = shedder.snapshot()
    assert dict(seen.shed) == shed
    assert set(seen.calls.values()) == {2000 * stress_scale}
    assert search._kernel.shed() == tuple(shed[priority] for priority in PRIORITIES)


def test_what_was_shed_is_exported_by_priority(clock):  # DG-10
    pytest.importorskip("prometheus_client")
    from tests.telemetry.scraped import Scrape

    component = DegradationManager("exported", clock=clock).component("search")
    shedder = shedder_of(component, most=1.0)
    shedder.observe(200)
    for _ in range(3):
        shedder.try_admit("sheddable")
    labels = {"manager": "exported", "component": "search", "priority": "sheddable"}
    assert Scrape()("degradation_shed_total", **labels) == 3


def test_turning_it_on_and_off_and_each_call_that_is_shed_are_logged(search, caplog):  # LG-09
    shedder = LoadShedder(search, max_load=1, most=1.0)
    with caplog.at_level(logging.DEBUG, "holdfast"):
        shedder.enable()
        shedder.enable()
        shedder.observe(2)
        shedder.try_admit("sheddable")
        shedder.disable()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "load shedding of component 'search' is on"),
        ("DEBUG", "a call of component 'search' is shed: sheddable"),
        ("INFO", "load shedding of component 'search' is off"),
    ]


def test_its_repr_says_what_it_does(search):
    shedder = shedder_of(search)
    shedder.observe(150)
    assert repr(shedder) == "<LoadShedder of 'search': sheds 50%>"
    shedder.disable()
    assert repr(shedder) == "<LoadShedder of 'search': off>"


def test_all_that_is_wrong_with_the_settings_is_named(search):
    async def load() -> float:
        return 1.0

    with pytest.raises(hf.ConfigError) as raised:
        LoadShedder(
            "search",  # type: ignore[arg-type]
            max_load=0,
            load=load,  # type: ignore[arg-type]
            interval=-1,
            max_age=0,
            most=1.5,
            enabled=1,  # type: ignore[arg-type]
            seed=-1,
        )
    fields = [problem.partition(":")[0] for problem in raised.value.problems]
    assert fields == [
        *("component", "max_load", "load", "interval", "max_age", "most", "enabled", "seed")
    ]
    for bad in (-1, float("nan"), "1"):
        with pytest.raises(hf.ConfigError, match="load: got"):
            shedder_of(search).observe(bad)  # type: ignore[arg-type]
    with pytest.raises(hf.ConfigError, match="priority: got 'urgent'"):
        shedder_of(search).try_admit("urgent")  # type: ignore[arg-type]


def test_a_setting_by_position_is_refused_with_its_name(search):
    with pytest.raises(hf.ConfigError, match=r"max_load: got 100 by position, .* max_load=100"):
        LoadShedder(search, 100)
