"""Each key of an operation has its own breaker and limits, and there is room for so many keys."""

from __future__ import annotations

import gc
import weakref

import pytest
from prometheus_client import CollectorRegistry

import holdfast as hf
from holdfast.manager import keyed
from holdfast.manager.snapshot import KeyCounts
from holdfast.telemetry.prometheus import Collector


@pytest.fixture
def rm(clock):
    return hf.ResilienceManager("m", clock=clock)


def value(metric, **labels):
    registry = CollectorRegistry()
    registry.register(Collector())
    return registry.get_sample_value(metric, labels)


def series(metric):
    registry = CollectorRegistry()
    registry.register(Collector())
    found = (one.samples for one in registry.collect() if one.name == metric)
    return [sample.labels for samples in found for sample in samples]


def register_all(rm, **settings):
    rm.register_circuit_breaker("exchange", max_failures=2, reset_timeout=60)
    rm.register_rate_limiter("exchange", rate=10, burst=10)
    rm.register_bulkhead("exchange", 5)
    rm.register_retry_policy("exchange", max_retries=1, initial_delay=0)
    rm.register_error_budget("exchange", slo=0.9)
    rm.register_timeout("exchange", 20)
    return rm.register_operation("exchange", **settings)


def fail():
    raise ConnectionError("down")


def open_breaker(rm, key):
    rm.keyed("exchange", key).circuit_breaker.trip()


# ---- what a key has ----


def test_the_failures_of_one_key_open_its_breaker_alone(rm):  # CB-25
    rm.register_circuit_breaker("exchange", max_failures=2, reset_timeout=60)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            rm.keyed("exchange", "binance").call(fail)
    with pytest.raises(hf.CircuitOpenError) as raised:
        rm.keyed("exchange", "binance").call(len, "")
    assert raised.value.policy is rm.keyed("exchange", "binance").circuit_breaker
    assert rm.keyed("exchange", "kraken").call(len, "ok") == 2
    assert rm.execute("exchange", len, "ok") == 2
    assert rm.circuit_breaker("exchange").state is hf.State.CLOSED


def test_a_key_has_its_own_breaker_limits_and_retry_budget_and_shares_the_rest(rm):
    operation = register_all(rm)
    one, other = rm.keyed("exchange", 1), rm.keyed("exchange", 2)
    kinds = [policy.kind for policy in one.policies]
    assert kinds == [policy.kind for policy in operation.policies]
    apart = {"circuit_breaker", "rate_limiter", "bulkhead", "retry"}
    for ours, its, common in zip(one.policies, other.policies, operation.policies, strict=True):
        assert (ours is its) is (ours.kind not in apart)
        assert (ours is common) is (ours.kind not in apart)
        assert ours.name == "exchange"
    assert one.retry.budget is not other.retry.budget
    assert one.circuit_breaker in one.policies
    assert one.rate_limiter in one.policies
    assert one.bulkhead in one.policies
    assert rm.keyed("exchange", 1) is one


def test_a_budget_of_retries_that_was_given_is_one_for_each_key(rm):
    budget = hf.RetryBudget(ratio=0.5, min_per_second=3, burst=7)
    rm.register_retry_policy("exchange", max_retries=1, budget=budget)
    own = rm.keyed("exchange", 1).retry.budget
    assert own is not budget
    assert repr(own) == repr(budget)


def test_a_retry_without_a_budget_is_shared(rm):
    rm.register_retry_policy("exchange", max_retries=1, budget=None)
    assert rm.keyed("exchange", 1).policies == rm.operation("exchange").policies


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": 5, "per": 2.5, "burst": 3},
        {"rate": 5, "window": "sliding"},
        {"limits": "10/second;100/minute"},
        {"rate": 5, "max_wait": 3},
    ],
)
def test_the_limiter_of_a_key_has_the_settings_of_the_operations(rm, settings):
    rm.register_rate_limiter("exchange", **settings)
    assert (
        rm.keyed("exchange", 1).describe().splitlines()[1:]
        == (rm.operation("exchange").describe().splitlines()[1:])
    )
    rm.keyed("exchange", 1).rate_limiter.try_acquire()
    assert rm.keyed("exchange", 2).rate_limiter.stats().reset_after == 0


def test_an_adaptive_limiter_of_a_key_adapts_alone(rm, clock):
    rm.register_adaptive_rate_limiter("exchange", rate=100)
    limiter = rm.keyed("exchange", 1).rate_limiter
    clock.advance(1)
    limiter.record(0.1, throttled=True)
    assert limiter.rate < 100
    assert rm.keyed("exchange", 2).rate_limiter.rate == 100


async def test_what_a_key_has_calls_and_decorates_as_an_operation_does(rm):
    register_all(rm)
    operation = rm.keyed("exchange", "a")

    @operation
    async def fetch(x):
        return x

    @operation
    def get(x):
        return x

    assert await fetch(1) == 1
    assert get(2) == 2
    assert await operation.acall(fetch.__wrapped__, 3) == 3
    assert not operation.try_call(fail).ok
    # Five calls, one of which was retried.
    assert operation.snapshot().circuit_breaker.admitted == 5


def test_an_operation_that_is_not_protected_has_no_keys(rm):
    rm.register_bulkhead("exchange", 1)
    with pytest.raises(hf.UnprotectedError, match="did you mean 'exchange'"):
        rm.keyed("exchang", 1)
    with pytest.raises(hf.UnprotectedError):
        rm.keys("exchang")
    with pytest.raises(LookupError, match="operation 'exchange' has no circuit breaker"):
        _ = rm.keyed("exchange", 1).circuit_breaker


@pytest.mark.parametrize("key", [[], {}, ("a", [])])
def test_a_key_that_cannot_be_found_again_is_refused(rm, key):
    rm.register_bulkhead("exchange", 1)
    with pytest.raises(hf.ConfigError, match=r"key: got .* allowed what can be a key of a dict"):
        rm.keyed("exchange", key)


@pytest.mark.parametrize("keys", [0, -1, 1.5, "many", True, 10**8])
def test_a_number_of_keys_that_is_none_is_refused(rm, keys):
    with pytest.raises(hf.ConfigError, match="keys: got"):
        rm.register_operation("exchange", keys=keys)


# ---- following the operation ----


def test_keys_follow_what_is_registered_and_keep_what_is_not_concerned(rm):
    register_all(rm)
    held = rm.keyed("exchange", 1)
    decorated = held(lambda: "ran")
    bulkhead = held.bulkhead
    open_breaker(rm, 1)
    rm.register_bulkhead("exchange", 5)  # equal settings
    assert held.bulkhead is bulkhead
    rm.register_bulkhead("exchange", 7)
    with pytest.raises(hf.CircuitOpenError):  # the breaker is the one it was
        decorated()
    assert held.bulkhead is not bulkhead
    assert held.bulkhead.snapshot().capacity == 7
    assert rm.keyed("exchange", 1) is held
    rm.register_circuit_breaker("exchange", max_failures=3)
    assert decorated() == "ran"
    assert rm.keyed("exchange", 2).bulkhead.snapshot().capacity == 7


def test_what_is_unregistered_protects_no_key_and_an_operation_without_anything_has_none(rm):
    rm.register_bulkhead("exchange", 5)
    rm.register_rate_limiter("exchange", rate=5)
    held = rm.keyed("exchange", 1)
    rm.unregister("rate_limiter", "exchange")
    assert "rate_limiter" not in [one.kind for one in held.policies]
    rm.unregister("bulkhead", "exchange")
    with pytest.raises(hf.UnprotectedError):
        held.call(len, "")
    rm.register_bulkhead("exchange", 5)
    assert held.call(len, "ok") == 2


def test_what_a_key_has_outlives_its_manager_and_its_other_keys_do_not(rm):
    rm = hf.ResilienceManager("short")
    rm.register_bulkhead("exchange", 5)
    held, other = rm.keyed("exchange", 1), weakref.ref(rm.keyed("exchange", 2).bulkhead)
    del rm
    gc.collect()
    assert other() is None
    assert held.call(len, "ok") == 2


# ---- room for so many ----


def test_of_more_keys_those_go_that_were_not_asked_for_lately(rm):
    register_all(rm, keys=10)
    for key in range(10):
        rm.keyed("exchange", key)
    for key in range(10, 15):
        rm.keyed("exchange", 0)
        rm.keyed("exchange", key)
    keys = rm.keys("exchange")
    assert sorted(keys) == [0, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert len(keys) == 10
    assert 0 in keys
    assert keys.get(1) is None
    counts = keys.counts()
    assert (counts.living, counts.most, counts.evicted, counts.overflowed) == (10, 10, 5, 0)


def trip(one):
    one.circuit_breaker.trip()


def probe(one):
    one.circuit_breaker.half_open()


def forbid(one):
    one.circuit_breaker.force_open()


def take_a_token(one):
    assert one.rate_limiter.try_acquire()


def enter(one):
    assert one.bulkhead.try_enter()


def retry(one):
    assert one.retry.budget.try_withdraw()


def fill(rm, n=50):
    """Ask for many other keys."""
    for key in range(n):
        rm.keyed("exchange", ("other", key))


@pytest.mark.parametrize("occupy", [trip, probe, forbid, take_a_token, enter, retry])
def test_a_key_that_is_open_or_at_its_limit_never_goes(rm, occupy):  # CB-25
    register_all(rm, keys=3)
    occupy(rm.keyed("exchange", "busy"))
    before = rm.keys("exchange").snapshot().keys["busy"]
    fill(rm)
    assert rm.keys("exchange").snapshot().keys["busy"] == before
    assert rm.keys("exchange").counts().overflowed == 0


@pytest.mark.parametrize("limits", [{"limits": "10/second;100/hour"}, {"window": "sliding"}])
def test_no_key_goes_while_one_of_its_limits_lacks_a_token(rm, clock, limits):
    if "window" in limits:
        limits = {"rate": 100, "per": 3600, **limits}
    rm.register_rate_limiter("exchange", **limits)
    rm.register_operation("exchange", keys=3)
    rm.keyed("exchange", "busy").call(len, "")
    clock.advance(30)
    fill(rm)
    assert "busy" in rm.keys("exchange")
    clock.advance(2 * 3600)
    fill(rm)
    assert "busy" not in rm.keys("exchange")


def test_a_key_goes_once_its_calls_have_ended_and_its_tokens_are_back(rm, clock):
    register_all(rm, keys=3)

    def others():
        fill(rm)
        return "busy" in rm.keys("exchange")

    assert rm.keyed("exchange", "busy").call(others)
    fill(rm)
    assert "busy" in rm.keys("exchange")  # its token is not back
    clock.advance(1)
    assert not others()


async def test_a_key_with_a_call_in_flight_stays_without_a_policy_that_counts_calls(rm, clock):
    rm.register_rate_limiter("exchange", rate=10)
    rm.register_operation("exchange", keys=3)

    async def work():
        clock.advance(10)  # the token is back
        fill(rm)
        return "busy" in rm.keys("exchange")

    assert await rm.keyed("exchange", "busy").acall(work)
    fill(rm)
    clock.advance(10)
    fill(rm)
    assert "busy" not in rm.keys("exchange")


@pytest.mark.parametrize(
    "hold",
    [
        lambda one: one,
        lambda one: one(len),
        lambda one: one.call,
        lambda one: one.circuit_breaker,
        lambda one: one.rate_limiter,
        lambda one: one.retry,
        lambda one: one._gate,
        lambda one: one.bulkhead.call,
    ],
)
def test_a_key_that_somebody_holds_in_any_way_never_goes(rm, hold):
    register_all(rm, keys=3)
    held = hold(rm.keyed("exchange", "held"))
    fill(rm)
    assert "held" in rm.keys("exchange")
    del held
    fill(rm)
    assert "held" not in rm.keys("exchange")


def test_a_key_that_was_compiled_anew_may_go_and_may_be_held(rm):
    register_all(rm, keys=3)
    held = rm.keyed("exchange", "held")
    rm.register_bulkhead("exchange", 8)
    held.call(len, "")
    rm.keys("exchange").reset_all()
    for _ in range(2):
        fill(rm)
        assert "held" in rm.keys("exchange")
    del held
    fill(rm)
    assert "held" not in rm.keys("exchange")


def test_if_no_key_may_go_new_ones_share_one_that_is_counted(rm):
    register_all(rm, keys=3)
    for key in range(3):
        open_breaker(rm, key)
    shared = rm.keyed("exchange", 3)
    assert shared.is_overflow
    assert not rm.keyed("exchange", 2).is_overflow
    assert rm.keyed("exchange", 4) is shared is rm.keys("exchange").overflow
    assert shared.call(len, "ok") == 2
    counts = rm.keys("exchange").counts()
    assert (counts.living, counts.overflowed) == (3, 2)
    assert rm.snapshot().keys == {"exchange": counts}
    shared.circuit_breaker.trip()
    with pytest.raises(hf.CircuitOpenError):
        rm.keyed("exchange", 5).call(len, "")
    rm.keys("exchange").reset_all()
    assert shared.circuit_breaker.state is hf.State.CLOSED
    assert not rm.keyed("exchange", 3).is_overflow


def test_room_may_be_made_and_taken_away_at_any_time(rm):
    register_all(rm, keys=3)
    fill(rm, 3)
    register_all(rm, keys=6)
    fill(rm, 6)
    assert len(rm.keys("exchange")) == 6
    register_all(rm, keys=2)
    rm.keyed("exchange", "new")
    assert len(rm.keys("exchange")) == 2


def test_a_new_key_costs_the_same_however_many_may_not_go(rm, monkeypatch):
    looked = []
    monkeypatch.setattr(keyed, "rests", lambda policy: looked.append(policy.kind) or False)
    rm.register_bulkhead("exchange", 5)
    rm.register_operation("exchange", keys=200)
    for key in range(200):
        rm.keyed("exchange", key)
    for key in range(200, 1200):
        rm.keyed("exchange", key)
    assert len(looked) <= 200 + 1000 * keyed.LOOKS
    monkeypatch.undo()
    rm.keyed("exchange", "new")
    assert "new" in rm.keys("exchange")


def test_of_very_many_keys_as_many_are_kept_as_there_is_room_for(rm):  # CB-25
    register_all(rm, keys=1_000)
    for key in range(20_000):
        rm.keyed("exchange", key)
    assert rm.keys("exchange").counts() == KeyCounts(1_000, 1_000, 19_000, 0)
    assert sorted(rm.keys("exchange")) == [*range(19_000, 20_000)]


def test_the_memory_of_many_keys_is_bounded(rm):
    rm.register_bulkhead("exchange", 5)
    rm.register_operation("exchange", keys=50)
    rm.keyed("exchange", "first")
    rests = [weakref.ref(rm.keyed("exchange", key).bulkhead) for key in range(5_000)]
    assert sum(one() is not None for one in rests) <= 50
    assert len(rm.keys("exchange")._ring) == 50


# ---- what others see ----


def test_metrics_show_the_operation_and_the_counts_of_keys_that_went(rm, clock):
    register_all(rm, keys=3)
    for key in range(20):
        rm.keyed("exchange", key).call(len, "ok")
        clock.advance(1)
    rm.execute("exchange", len, "ok")
    gc.collect()
    assert rm.keys("exchange").counts().evicted == 17
    ok = {"name": "m/exchange", "result": "success"}
    assert value("holdfast_circuit_breaker_requests_total", **ok) == 21
    assert value("holdfast_operations_total", operation="m/exchange", result="success") == 21
    assert value("holdfast_bulkhead_concurrent", bulkhead="m/exchange") == 0
    names = {labels["name"] for labels in series("holdfast_circuit_breaker_requests")}
    assert {name for name in names if name.startswith("m/")} == {"m/exchange"}  # of this manager


def test_metrics_show_how_many_keys_there_are_and_how_many_found_no_room(rm):
    register_all(rm, keys=3)
    fill(rm, 5)
    for key in range(4):
        open_breaker(rm, key)
    shown = {"operation": "m/exchange"}
    assert value("holdfast_keys", **shown) == 3
    assert value("holdfast_keys_limit", **shown) == 3
    assert value("holdfast_keys_evicted_total", **shown) == 5
    assert value("holdfast_keys_overflowed_total", **shown) == 1
    assert rm.keys("exchange").counts() == KeyCounts(3, 3, 5, 1)


def test_durations_are_those_of_all_keys_together_unless_each_was_to_have_its_own(rm, clock):
    register_all(rm)
    for key in range(3):
        rm.keyed("exchange", key).call(clock.advance, 2)
    name = {"name": "m/exchange"}
    assert value("holdfast_circuit_breaker_request_duration_seconds_sum", **name) == 6
    shown = rm.keyed("exchange", 1).circuit_breaker.snapshot()
    assert shown.latency.count == 3
    assert shown.last_success == 4
    rm.register_circuit_breaker("exchange", max_failures=2, latency=True)
    rm.keyed("exchange", 1).call(clock.advance, 2)
    rm.keyed("exchange", 2).call(clock.advance, 2)
    assert rm.keyed("exchange", 1).circuit_breaker.snapshot().latency.count == 1


def test_the_registry_has_the_policy_of_the_operation_and_none_of_its_keys(rm):
    register_all(rm)
    rm.keyed("exchange", 1)
    assert hf.registry.get("circuit_breaker", "m/exchange") is rm.circuit_breaker("exchange")
    assert len(hf.registry.all("circuit_breaker")) == 1


def test_an_operation_of_policies_of_other_names_has_the_series_of_its_own(rm):
    rm.register_circuit_breaker("network", max_failures=2)
    rm.register_operation("send", circuit_breaker="network")
    rm.keyed("send", 1).call(len, "")
    ok = {"name": "m/send", "result": "success"}
    assert value("holdfast_circuit_breaker_requests_total", **ok) == 1


def test_states_of_all_keys_are_shown_and_reset(rm):  # CB-25
    register_all(rm)
    open_breaker(rm, "a")
    rm.keyed("exchange", "b").call(len, "")
    keys = rm.keys("exchange")
    shown = keys.snapshot()
    assert shown.operation == "exchange"
    assert shown.keys["a"].circuit_breaker.state is hf.State.OPEN
    assert shown.keys["b"].circuit_breaker.succeeded == 1
    assert shown.keys["b"].rate_limiter.available == 9
    assert shown.keys["b"].bulkhead.completed == 1
    assert shown.keys["b"].retry_budget.successes == 1
    assert shown.overflow.circuit_breaker.admitted == 0
    keys.reset_all()
    shown = keys.snapshot()
    assert shown.keys["a"].circuit_breaker.state is hf.State.CLOSED
    assert shown.keys["b"].rate_limiter.available == 10
    assert set(keys) == {"a", "b"}


def test_listeners_of_the_manager_hear_all_keys_until_they_are_removed(rm):
    register_all(rm, keys=3)
    heard = []
    open_breaker(rm, "before")
    end = rm.on_event(lambda event: heard.append(event.policy))
    rm.keys("exchange").reset_all()
    assert heard == [rm.keyed("exchange", "before").circuit_breaker]
    open_breaker(rm, "after")
    assert heard[-1] is rm.keyed("exchange", "after").circuit_breaker
    heard.clear()
    rm.keys("exchange").reset_all()
    heard.clear()
    fill(rm)
    assert "after" not in rm.keys("exchange")  # a listener keeps no key
    end()
    open_breaker(rm, "later")
    rm.keys("exchange").reset_all()
    assert heard == []


def test_of_two_threads_that_ask_for_a_new_key_both_get_what_the_faster_one_made(rm):
    rm.register_circuit_breaker("exchange", max_failures=5)
    rm.keyed("exchange", 0)
    found = []

    def faster(made):  # between what the slower one makes and keeps
        end()
        found.append(rm.keyed("exchange", 1))

    end = hf.registry.watch(faster)
    assert rm.keyed("exchange", 1) is found[0]
    assert len(rm.keys("exchange")._ring) == 2


def test_what_is_registered_while_a_key_is_made_protects_it(rm):
    rm.register_bulkhead("exchange", 5)
    rm.keyed("exchange", 0)

    def meanwhile(made):
        end()
        rm.register_bulkhead("exchange", 7)

    end = hf.registry.watch(meanwhile)
    assert rm.keyed("exchange", 1).bulkhead.snapshot().capacity == 7


@pytest.fixture
def registering(rm):
    """Whenever a policy is made, another bulkhead is registered: at most a thousand."""
    rm.register_circuit_breaker("exchange", max_failures=5)
    rm.register_bulkhead("exchange", 5)
    registered, inside = [], []

    def register(made):
        if not inside and len(registered) < 1000:
            inside.append(made)
            registered.append(10 + len(registered))
            rm.register_bulkhead("exchange", registered[-1])
            inside.clear()

    end = hf.registry.watch(register)
    yield registered
    end()


def test_no_call_of_a_new_key_waits_for_an_end_of_registering(rm, registering):
    assert rm.keyed("exchange", 1).call(len, "ok") == 2
    assert 0 < len(registering) < 20


def test_no_call_of_a_held_key_waits_for_an_end_of_registering(rm, registering):
    held = rm.keyed("exchange", 1)
    decorated = held(lambda: "ran")
    breaker = held.circuit_breaker
    for call in (decorated, held.describe, lambda: held.call(len, "ok")):
        del registering[:]
        rm.register_bulkhead("exchange", 6)
        assert call()
        assert 0 < len(registering) < 20
    assert held.circuit_breaker is breaker
    registering[:] = range(1000)
    capacity = rm.bulkhead("exchange").snapshot().capacity
    assert held.bulkhead.snapshot().capacity == capacity
    assert held.bulkhead is rm.keyed("exchange", 1).bulkhead
    assert not rm.keys("exchange")._latest


def test_a_finaliser_may_ask_for_a_key_while_another_comes_or_goes(rm):
    class Key:
        def __del__(self):
            asked.append(rm.keyed("exchange", "of the finaliser").call(len, "ok"))

    asked = []
    rm.register_bulkhead("exchange", 5)
    rm.register_operation("exchange", keys=3)
    for _ in range(20):
        rm.keyed("exchange", Key())
    assert len(asked) >= 17
    assert set(asked) == {2}
    assert len(rm.keys("exchange")) == 3
