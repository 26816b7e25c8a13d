"""The hits of an item are those of a rate limiter: seen by the registry, metrics, events, modes."""

import gc
import json
import os
import subprocess
import sys
import sysconfig
import tracemalloc
from weakref import ref

import pytest

import holdfast as hf
from holdfast.compat.limits import RateLimitItemPerMinute, aio, parse
from holdfast.compat.limits.storage import MemoryStorage
from holdfast.compat.limits.strategies import STRATEGIES, FixedWindowRateLimiter
from holdfast.telemetry.prometheus import Collector
from holdfast.testing import isolated_registry
from tests.apart import run_apart

ALL = list(STRATEGIES.values())


def item_of(namespace, amount=2):
    return RateLimitItemPerMinute(amount, namespace=namespace)


def counts(policy):
    shown = policy.snapshot()
    return shown.allowed, shown.rejected, shown.observed


@pytest.mark.parametrize("strategy", ALL)
def test_hits_are_counted_by_the_rate_limiter_of_the_items_name(strategy):
    item = item_of(f"counted {strategy.__name__}")
    limiter = strategy(MemoryStorage())
    for user in "ab":
        for _ in range(3):
            limiter.hit(item, user)
    assert counts(item.policy) == (4, 2, 0)
    assert hf.registry.get("rate_limiter", f"{item.namespace}/2/1/minute") is item.policy
    assert isinstance(item.policy, hf.RateLimiter)
    shown = item.policy.snapshot()
    assert (shown.rate, shown.burst) == (pytest.approx(2 / 60), 2)
    assert shown in hf.snapshot().policies


def test_a_hit_with_a_cost_is_one_hit():
    item = item_of("cost", 10)
    FixedWindowRateLimiter(MemoryStorage()).hit(item, cost=7)
    assert counts(item.policy) == (1, 0, 0)


def test_equal_items_have_one_policy_and_cost_the_registry_nothing_each():
    policies = {id(item_of("equal").policy) for _ in range(1000)}
    assert len(policies) == 1
    assert sum(one.name == "equal/2/1/minute" for one in hf.registry.all("rate_limiter")) == 1


def test_prometheus_shows_the_hits():
    pytest.importorskip("prometheus_client")
    item = item_of("shown")
    limiter = FixedWindowRateLimiter(MemoryStorage())
    for _ in range(3):
        limiter.hit(item, "u")
    found = {
        sample.name: sample.value
        for family in Collector(item.policy).collect()
        for sample in family.samples
        if sample.labels.get("limiter") == item.policy.name
    }
    assert found["holdfast_rate_limiter_allowed_total"] == 2
    assert found["holdfast_rate_limiter_rejected_total"] == 1


def test_a_listener_hears_of_hits_that_are_refused():
    item, heard = item_of("heard", 1), []
    limiter = FixedWindowRateLimiter(MemoryStorage())
    remove = item.policy.on_event(heard.append)
    limiter.hit(item, "u")
    limiter.hit(item, "u")
    assert [(one.kind, one.name, one.reason) for one in heard] == [
        ("rejection", "heard/1/1/minute", "rate")
    ]
    remove()
    limiter.hit(item, "u")
    assert len(heard) == 1


async def test_hits_of_strategies_for_asyncio_are_counted_as_well():
    item = item_of("asyncio", 1)
    limiter = aio.strategies.MovingWindowRateLimiter(aio.storage.MemoryStorage())
    assert [await limiter.hit(item), await limiter.hit(item)] == [True, False]
    assert counts(item.policy) == (1, 1, 0)


def test_hits_of_a_storage_that_the_user_writes_are_counted_as_well():
    class Own(MemoryStorage):
        def incr(self, key, expiry, amount=1):
            return super().incr(key, expiry, amount)

    item = item_of("own storage", 1)
    limiter = FixedWindowRateLimiter(Own())
    assert [limiter.hit(item), limiter.hit(item)] == [True, False]
    assert counts(item.policy) == (1, 1, 0)


def test_hits_of_an_item_that_makes_its_own_keys_are_counted_as_well():
    class Own(RateLimitItemPerMinute):
        def key_for(self, *identifiers):
            return "always the same"

    item = Own(1, namespace="own keys")
    limiter = FixedWindowRateLimiter(MemoryStorage())
    assert [limiter.hit(item, "a"), limiter.hit(item, "b")] == [True, False]
    assert counts(item.policy) == (1, 1, 0)


def test_what_only_looks_like_an_item_can_be_hit():
    class Like:
        amount = 1

        def get_expiry(self):
            return 60

        def key_for(self, *identifiers):
            return "/".join(("like", *identifiers))

    limiter = FixedWindowRateLimiter(MemoryStorage())
    assert [limiter.hit(Like(), "u"), limiter.hit(Like(), "u")] == [True, False]


def test_clearing_the_policy_forgets_the_hits_in_every_storage():
    item, other = item_of("cleared", 1), item_of("kept", 1)
    limiters = [strategy(MemoryStorage()) for strategy in ALL]
    for limiter in limiters:
        assert limiter.hit(item, "u")
        assert limiter.hit(other, "u")
    assert item.policy.clear() == 3
    assert all(limiter.hit(item, "u") for limiter in limiters)
    assert not any(limiter.hit(other, "u") for limiter in limiters)
    hf.registry.reset_all()
    assert [limiter.hit(other, "u") for limiter in limiters] == [True] * 3


def test_names_that_come_from_requests_have_a_bound(monkeypatch):  # trap 67
    monkeypatch.setattr("holdfast.compat.limits._policies._limits", {})
    monkeypatch.setattr("holdfast.compat.limits._policies._plans", {})
    monkeypatch.setattr("holdfast.compat.limits._policies.NAMES_MOST", 3)
    limiter = FixedWindowRateLimiter(MemoryStorage())
    names = {item_of("API", amount).policy.name for amount in range(1, 50)}
    assert names == {*(f"API/{amount}/1/minute" for amount in (1, 2, 3)), "API"}
    assert {item_of(f"API {at}").policy.name for at in range(50)} == {"API 0", "API 1", "limits"}
    assert item_of("\x00\n").policy.name == "limits"  # no name for a metric
    assert all(limiter.hit(item_of("API", amount)) for amount in range(1, 50))


def test_in_a_registry_that_a_test_has_set_aside_limits_are_new_and_come_back_after():
    before = item_of("outlives")
    limiter = FixedWindowRateLimiter(MemoryStorage())
    assert limiter.hit(before)
    with isolated_registry():
        inside = item_of("outlives")
        assert limiter.hit(inside)
        assert hf.registry.get("rate_limiter", "outlives/2/1/minute") is inside.policy
        assert limiter.hit(before) is False  # the windows are those of the storage
        assert counts(before.policy) == (1, 1, 0)
        assert counts(inside.policy) == (1, 0, 0)
    after = item_of("outlives")
    assert after.policy is before.policy is hf.registry.get("rate_limiter", "outlives/2/1/minute")
    assert limiter.hit(after) is False
    assert counts(before.policy) == (1, 2, 0)


def test_an_item_whose_amount_changes_with_each_request_takes_no_more_memory():
    item, limiter = item_of("changes"), FixedWindowRateLimiter(MemoryStorage())

    def change(times):
        for at in range(times):
            item.amount = 5 + at % 2
            limiter.hit(item, "u")

    change(100)
    tracemalloc.start()
    try:
        change(5000)
        assert tracemalloc.get_traced_memory()[0] < 5000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="there a hit may still be in it"
)
def test_a_storage_that_was_replaced_is_dropped():
    limiter = FixedWindowRateLimiter(MemoryStorage())
    assert limiter.hit(item_of("dropped"))
    table = ref(limiter.table)
    limiter.storage = MemoryStorage()
    gc.collect()
    assert table() is None


SCRIPT = """
import json, sys
from holdfast.compat.limits import *
from holdfast.compat.limits.storage import MemoryStorage
class Own(MemoryStorage):
    def incr(self, key, expiry, amount=1):
        return super().incr(key, expiry, amount)
item, said = parse("1/minute"), []
for made in (MemoryStorage, Own):
    limiter = strategies.FixedWindowRateLimiter(made())
    said += [limiter.hit(item, "u"), limiter.hit(item, "u"), limiter.test(item, "u")]
shown = item.policy.snapshot()
counts = [shown.allowed, shown.rejected, shown.observed]
print(json.dumps([said, *counts, "asyncio" not in sys.modules]))
"""


def run(mode):
    env = {**os.environ, "HOLDFAST_MODE": mode}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_mode_of_the_process_holds_for_limits_and_asyncio_is_not_imported():
    assert run("enforce") == [[True, False, False] * 2, 2, 2, 0, True]
    assert run("observe") == [[True] * 6, 2, 0, 2, True]
    assert run("off") == [[True] * 6, 0, 0, 0, True]


FORK = """
import os
from holdfast.compat.limits import *
from holdfast.compat.limits.storage import MemoryStorage
item = parse("2/minute")
limiter = strategies.FixedWindowRateLimiter(MemoryStorage())
counts = lambda: (item.policy.snapshot().allowed, item.policy.snapshot().rejected)
assert limiter.hit(item, "u")
child = os.fork()
said = [limiter.hit(item, "u"), limiter.hit(item, "u")]
if child == 0:
    os._exit(0 if (said, counts()) == ([True, False], (1, 1)) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert (said, counts()) == ([True, False], (2, 1))
"""


def test_a_forked_child_has_a_copy_of_the_hits_and_counts_from_zero():  # trap 58
    run_apart(FORK)


def test_parsed_limits_are_named_after_their_text():
    assert parse("7 per 3 hours").policy.name == "LIMITER/7/3/hour"
