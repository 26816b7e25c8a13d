"""An outlook says, with reasons, that a component is getting worse than it usually is."""

import dataclasses
import json
import pickle
import threading
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest

from holdfast import CircuitBreaker, ConfigError, ManualClock
from holdfast.health import CheckResult, HealthMonitor, Outlook, PingCheck
from holdfast.health.outlook import LEVELS

STEP = 10


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def outlook(clock):
    return Outlook("search", clock=clock)


def feed(
    outlook, clock, count, seed=1, *, latency=0.02, growth=1.0, errors=0.0, calls=50, check=None
):
    """Observe ``count`` times: noise of 10 %, and a latency that grows by a factor each time."""
    rng = Random(seed)
    for _ in range(count):
        clock.advance(STEP)
        latency *= growth
        failed = sum(rng.random() < errors for _ in range(calls))
        outlook.observe(
            error_rate=failed / calls,
            calls=calls,
            latency=latency * rng.lognormvariate(0, 0.1),
            check_duration=None if check is None else check * rng.lognormvariate(0, 0.1),
        )
    return latency


def level_of(outlook):
    forecast = outlook.forecast
    return forecast and forecast.level


def test_there_is_no_forecast_before_there_is_enough_history(outlook, clock):  # NX-17
    feed(outlook, clock, 29, errors=1.0)
    assert outlook.forecast is None
    assert outlook.snapshot().forecast is None
    assert outlook.snapshot().samples == 29
    feed(outlook, clock, 1, errors=1.0)
    assert outlook.forecast.samples == 30
    assert outlook.forecast.history == 29 * STEP


def test_a_component_that_is_as_usual_is_steady(outlook, clock):
    feed(outlook, clock, 2000, errors=0.01, check=0.005)
    forecast = outlook.forecast
    assert (forecast.level, forecast.contributions) == ("steady", ())
    assert forecast.score == 0
    assert outlook.snapshot().changes == 0
    assert str(forecast) == "steady (0.00): as usual [2000 samples]"


def test_a_latency_that_grows_is_watched_and_then_warned_of(outlook, clock):  # NX-17
    events = []
    outlook.on_event(events.append)
    feed(outlook, clock, 200)
    began = clock.now()
    feed(outlook, clock, 40, growth=1.05)
    assert [(event.kind, event.old, event.new) for event in events] == [
        ("outlook", "steady", "watch"),
        ("outlook", "watch", "warning"),
    ]
    assert {(event.policy, event.name, event.reason) for event in events} == {
        (outlook, "search", "latency")
    }
    assert began < events[0].at < events[1].at <= clock.now()
    forecast = outlook.forecast
    assert forecast.since == events[1].at
    assert forecast.score > 0.9
    reasons = {(one.signal, one.by) for one in forecast.contributions}
    assert reasons == {("latency", "level"), ("latency", "trend")}


def test_each_reason_has_its_figures_in_words(outlook, clock):
    feed(outlook, clock, 200)
    feed(outlook, clock, 40, growth=1.05)
    level = next(one for one in outlook.forecast.contributions if one.by == "level")
    assert level.usual == pytest.approx(0.02, rel=0.1)
    assert 0.04 < level.recent < 0.14
    assert level.text == str(level)
    assert level.text == (
        f"latency {level.recent * 1000:.3g} ms, usually {level.usual * 1000:.3g} ms, "
        f"{level.excess:.1f} standard errors above"
    )
    trend = next(one for one in outlook.forecast.contributions if one.by == "trend")
    assert trend.text.startswith("latency grows by ")
    assert trend.text.endswith(" times as long in 10 min")
    grows = int(trend.text.removeprefix("latency grows by ").partition("%")[0])
    assert 15 < grows < 45  # 34 % a minute, of which a mean sees less


def test_a_share_of_errors_that_grows_is_warned_of(outlook, clock):
    feed(outlook, clock, 200, errors=0.005)
    feed(outlook, clock, 12, errors=0.15)
    assert level_of(outlook) == "warning"
    assert outlook.forecast.contributions[0].text.startswith("errors 8.6% of calls, usually 0.8%, ")


def test_a_check_that_takes_longer_and_longer_is_warned_of(outlook, clock):
    feed(outlook, clock, 200, check=0.01)
    feed(outlook, clock, 20, check=0.05)
    assert level_of(outlook) == "warning"
    assert outlook.forecast.contributions[0].signal == "check_duration"


def test_an_error_among_few_calls_is_chance_and_among_many_it_is_none(clock):
    few, many = (Outlook(name, clock=clock) for name in ("few", "many"))
    for at in range(240):
        clock.advance(STEP)
        share = 0.0 if at < 200 else 0.1
        few.observe(error_rate=share, calls=2)
        many.observe(error_rate=share, calls=2000)
    assert (level_of(few), level_of(many)) == ("steady", "warning")


def test_one_wild_sample_and_a_blip_change_no_level(outlook, clock):
    feed(outlook, clock, 200)
    feed(outlook, clock, 1, latency=30.0, errors=1.0)
    assert level_of(outlook) == "steady"
    feed(outlook, clock, 60)
    feed(outlook, clock, 2, latency=0.5)
    assert level_of(outlook) == "steady"


def test_a_fault_that_grows_slowly_does_not_become_the_usual(outlook, clock):
    feed(outlook, clock, 400)
    latency = feed(outlook, clock, 720, growth=1.002)  # four times as much within two half-lives
    assert latency > 0.08
    assert level_of(outlook) == "warning"
    level = next(one for one in outlook.forecast.contributions if one.by == "level")
    assert level.usual < 0.03  # without care it would follow, an hour behind


def test_a_change_that_lasts_without_growing_is_the_usual_in_the_end(outlook, clock):
    feed(outlook, clock, 400)
    feed(outlook, clock, 60, latency=0.04)
    assert level_of(outlook) == "warning"
    feed(outlook, clock, 12 * 360, latency=0.04)
    assert level_of(outlook) == "steady"


def test_a_component_that_gets_better_is_steady_at_any_speed(outlook, clock):
    feed(outlook, clock, 200, latency=0.2, errors=0.1)
    feed(outlook, clock, 100, latency=0.01)
    assert (level_of(outlook), outlook.forecast.score) == ("steady", 0)


def test_a_level_ends_at_half_of_the_score_that_it_begins_at(outlook, clock):
    heard = []
    outlook.on_event(heard.append)
    feed(outlook, clock, 200)
    scores = []
    for latency in (0.032, 0.02):
        for at in range(60):
            feed(outlook, clock, 1, at, latency=latency)
            scores.append((outlook.forecast.score, outlook.forecast.level))
    assert {level for _, level in scores} == set(LEVELS)
    assert all(level == "warning" for score, level in scores if score >= 0.7)
    assert all(level == "steady" for score, level in scores if score <= 0.2)
    assert any(0.35 < score < 0.7 and level == "warning" for score, level in scores)
    assert [event.new for event in heard] == ["watch", "warning", "watch", "steady"]


def test_a_long_gap_forgets_nothing(outlook, clock):
    feed(outlook, clock, 200)
    clock.advance(86_400)
    assert outlook.forecast.age == 86_400
    feed(outlook, clock, 15, latency=0.08)
    assert level_of(outlook) == "warning"


def test_a_ping_of_microseconds_that_takes_some_more_is_no_fault(outlook, clock):
    for at in range(300):
        clock.advance(STEP)
        outlook.observe(check_duration=0.00002 if at < 200 else 0.0001)
    assert level_of(outlook) == "steady"


def test_a_signal_without_enough_samples_says_nothing(outlook, clock):
    feed(outlook, clock, 200)
    for at in range(29):
        clock.advance(STEP)
        outlook.observe(check_duration=0.001 * 2 ** min(at, 12))
    assert outlook.forecast.contributions == ()


# ---- breakers ----


def test_a_breaker_is_read_by_what_it_has_counted_since(clock):
    breaker = CircuitBreaker("search", failure_threshold=100, latency=True, clock=clock)
    outlook = Outlook("search", clock=clock, min_samples=10)

    def call(seconds, fails):
        clock.advance(seconds)
        if fails:
            raise ConnectionError

    def round_of(failures, seconds):
        for at in range(10):
            breaker.try_call(call, seconds, at < failures)
        outlook.read(breaker)

    round_of(10, 5.0)  # before the first reading: nothing is known of when
    assert outlook.snapshot().samples == 0
    for _ in range(40):
        round_of(0, 0.5)
    assert outlook.snapshot().samples == 40
    assert level_of(outlook) == "steady"
    for _ in range(10):
        round_of(4, 2.0)
    by = {one.signal: one for one in outlook.forecast.contributions if one.by == "level"}
    assert by["errors"].usual < 0.05 < 0.2 < by["errors"].recent <= 0.4
    assert by["latency"].usual == pytest.approx(0.5, rel=0.2)


def test_a_breaker_without_calls_gives_no_sample_and_one_that_was_reset_starts_anew(clock, outlook):
    breaker = CircuitBreaker("search", clock=clock)
    for _ in range(3):
        outlook.read(breaker)
    assert outlook.snapshot().samples == 0
    breaker.call(len, "")
    outlook.read(breaker)
    assert outlook.snapshot().samples == 1
    with pytest.raises(ConfigError, match="breaker: got 7, allowed a CircuitBreaker"):
        outlook.read(7)


# ---- monitors ----


def monitored(clock, **settings):
    """Return a monitor and a check that takes as long as a test says."""

    def probe():
        clock.advance(probe.seconds)
        return probe.passes

    probe.seconds, probe.passes = 0.02, True
    monitor = HealthMonitor("shop", interval=10, timeout=2, jitter=0, clock=clock, **settings)
    monitor.add(PingCheck("search", probe))
    return monitor, probe


def test_the_outlook_of_a_check_takes_each_of_its_results(clock):  # NX-17
    monitor, probe = monitored(clock)
    outlook = monitor.outlook("search")
    assert monitor.outlook("search") is outlook
    events = []
    monitor.on_event(events.append)
    with monitor:
        clock.advance(200)
        assert monitor.snapshot().outlooks == {"search": None}
        clock.advance(1800)
        assert outlook.snapshot().samples == monitor.status("search").check_count
        assert monitor.snapshot().outlooks["search"].level == "steady"
        probe.seconds = 0.5
        clock.advance(200)
        forecast = monitor.snapshot().outlooks["search"]
        assert (forecast.level, forecast.contributions[0].signal) == ("warning", "check_duration")
        assert monitor.level == "healthy"  # reported, and not acted upon
    assert [event.new for event in events if event.kind == "outlook"] == ["watch", "warning"]
    assert {event.kind for event in events} == {"health", "health_level", "outlook"}


def test_a_check_that_fails_now_and_then_is_seen_before_it_is_unhealthy(clock):
    monitor, probe = monitored(clock, adaptive=False)
    outlook = monitor.outlook("search")
    with monitor:
        clock.advance(2000)
        for at in range(60):
            probe.passes = at % 2 == 0
            clock.advance(10)
        assert level_of(outlook) == "warning"
        assert monitor.status("search").healthy
    assert outlook.forecast.contributions[0].signal == "errors"


def test_results_that_prove_nothing_are_no_samples(clock):
    monitor = HealthMonitor("shop", interval=10, jitter=0, clock=clock)
    says = [CheckResult.unproven("late"), CheckResult.passed(), CheckResult.failed("no")]
    monitor.add(PingCheck("search", says.pop))
    outlook = monitor.outlook("search")
    for count in (1, 2, 2):
        monitor.check_now()
        assert outlook.snapshot().samples == count


def test_the_calls_of_a_breaker_are_part_of_the_sample_of_a_check(clock):
    breaker = CircuitBreaker("search", failure_threshold=1000, clock=clock)
    monitor, _ = monitored(clock)
    outlook = monitor.outlook("search", breaker=breaker)

    def call(fails):
        if fails:
            raise ConnectionError

    with monitor:
        for at in range(300):
            for number in range(10):
                breaker.try_call(call, at >= 200 and number < 3)
            clock.advance(10)
        assert monitor.status("search").healthy
    errors = outlook.forecast.contributions[0]
    assert (level_of(outlook), errors.signal) == ("warning", "errors")
    assert errors.recent == pytest.approx(3 / 11, rel=0.05)


def test_an_outlook_of_a_monitor_may_have_its_own_settings_and_is_given_once(clock):
    monitor, _ = monitored(clock)
    given = Outlook("the search", min_samples=10, clock=clock)
    assert monitor.outlook("search", given) is given
    assert monitor.outlook("search", given) is given
    for arguments in ({"given": Outlook("another")}, {"breaker": CircuitBreaker("x")}):
        with pytest.raises(ConfigError, match="a check without an outlook"):
            monitor.outlook("search", **arguments)
    with pytest.raises(ConfigError, match="given: got 7, allowed an Outlook or None; breaker: got"):
        monitor.outlook("search", 7, breaker=7)
    with pytest.raises(LookupError, match="searhc"):
        monitor.outlook("searhc")


# ---- as everything else ----


def test_listeners_that_raise_change_nothing_and_one_may_observe(outlook, clock, caplog):
    def raises(event):
        raise RuntimeError("no")

    heard = []
    outlook.on_event(raises)
    outlook.on_event(lambda event: (heard.append(event.new), outlook.observe(latency=9.0)))
    remove = outlook.on_event(heard.append)
    remove()
    feed(outlook, clock, 200)
    feed(outlook, clock, 30, latency=0.2)
    assert heard == ["watch", "warning"]
    assert caplog.text.count("RuntimeError: no") == 2


def test_threads_that_observe_at_the_same_time_lose_no_sample_and_no_order(outlook, clock):
    feed(outlook, clock, 200)
    heard = []
    outlook.on_event(heard.append)
    barrier = threading.Barrier(4)

    def work(seed):
        barrier.wait(30)
        feed(outlook, clock, 100, seed, latency=0.1)
        feed(outlook, clock, 100, seed, latency=0.02)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outlook.snapshot().samples == 1000
    assert len(heard) == outlook.snapshot().changes > 0
    for before, after in pairwise(heard):
        assert (before.new, before.generation + 1) == (after.old, after.generation)


def test_after_a_fork_locks_held_by_threads_of_the_parent_hold_no_sample_up(outlook, clock):
    held = threading.Event()
    over = threading.Event()

    def hold():
        with outlook._lock, outlook._telling._lock:
            outlook._telling._is_told = True
            held.set()
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    try:
        outlook._after_fork()
        outlook._telling._after_fork()
        outlook.observe(latency=1.0)
    finally:
        over.set()
        thread.join(60)
    assert outlook.snapshot().samples == 1


def test_reset_forgets_the_history(outlook, clock):
    feed(outlook, clock, 200)
    feed(outlook, clock, 30, latency=0.2)
    outlook.reset()
    assert (outlook.forecast, outlook.snapshot().samples) == (None, 0)
    feed(outlook, clock, 100, latency=0.2)
    assert level_of(outlook) == "steady"


def test_a_snapshot_is_plain_frozen_data(outlook, clock):
    feed(outlook, clock, 200)
    feed(outlook, clock, 30, latency=0.2)
    shown = outlook.snapshot()
    assert (shown.kind, shown.name, shown.changes) == ("outlook", "search", 2)
    assert json.loads(json.dumps(dataclasses.asdict(shown)))["forecast"]["level"] == "warning"
    assert pickle.loads(pickle.dumps(shown)) == shown
    with pytest.raises(dataclasses.FrozenInstanceError):
        shown.forecast.score = 0
    assert repr(outlook).startswith("<Outlook 'search': warning (1.00): latency ")


def test_a_young_outlook_says_that_it_knows_too_little(outlook):
    assert repr(outlook) == "<Outlook 'search': 0 samples, too few>"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"name": ""}, "name: got '', allowed a string"),
        ({"horizon": 0}, "horizon: got 0, allowed seconds or a timedelta from 1"),
        ({"recent": -1}, "recent: got -1, allowed seconds"),
        ({"half_life": 100}, "half_life: got 100, allowed at least ten times `recent`"),
        ({"min_samples": 9}, "min_samples: got 9, allowed an integer from 10"),
        ({"watch": 0}, "watch: got 0, allowed a number above 0"),
        ({"watch": 0.8}, "warning: got 0.7, allowed at least `watch`, 0.8"),
        ({"clock": 7}, "clock: got 7"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(settings, problem):
    with pytest.raises(ConfigError) as caught:
        Outlook(**{"name": "search", **settings})
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        ({}, "error_rate: got None, allowed a number, or give `latency` or `check_duration`"),
        ({"error_rate": 1.5}, "error_rate: got 1.5, allowed a number from 0 to 1"),
        ({"error_rate": 0.5, "calls": 0}, "calls: got 0, allowed an integer from 1"),
        ({"latency": 1, "calls": 5}, "calls: got 5, allowed nothing without `error_rate`"),
        ({"latency": -1}, "latency: got -1, allowed seconds"),
        ({"check_duration": float("nan")}, "check_duration: got nan, allowed seconds"),
    ],
)
def test_a_wrong_sample_is_refused_and_changes_nothing(outlook, sample, problem):
    with pytest.raises(ConfigError) as caught:
        outlook.observe(**sample)
    assert problem in str(caught.value)
    assert outlook.snapshot().samples == 0


def test_durations_may_be_timedeltas(outlook, clock):
    outlook.observe(latency=timedelta(seconds=1), check_duration=timedelta(milliseconds=3))
    assert outlook.snapshot().samples == 1
