"""Whom a collector tells of, under which names, and what becomes of the collected."""

import gc

import pytest
from prometheus_client import CollectorRegistry

import holdfast as hf
from holdfast.registry import Registry
from holdfast.telemetry.prometheus import Collector
from tests.telemetry.scraped import Scrape, registry_of, samples_in, scrape

REQUESTS = "circuit_breaker_requests_total"


def names_in(seen, metric="circuit_breaker_state"):
    return {dict(labels)["name"] for labels in seen.series(metric)}


def test_without_sources_it_tells_of_every_policy_there_is():
    kept = [hf.CircuitBreaker("a"), hf.CircuitBreaker("b")]
    assert names_in(Scrape()) == {"a", "b"}
    kept.append(hf.CircuitBreaker("c"))
    assert names_in(Scrape()) == {"a", "b", "c"}


def test_of_a_pipeline_it_tells_of_the_policies_in_it_and_of_no_other():
    inner = hf.Pipeline("inner", hf.CircuitBreaker("b"), hf.Timeout(1))
    pipe = hf.Pipeline("outer", hf.Retry("r"), inner)
    other = hf.CircuitBreaker("other")
    seen = Scrape(pipe)
    assert names_in(seen) == {"b"}
    assert {dict(one)["policy"] for one in seen.series("retry_success_total")} == {"r"}
    assert names_in(Scrape(pipe, other)) == {"b", "other"}


def test_of_a_registry_it_tells_of_what_is_in_it():
    mine, other = hf.CircuitBreaker("b"), hf.CircuitBreaker("other")
    registry = Registry()
    registry.add(mine)
    assert names_in(Scrape(registry)) == {"b"}
    assert names_in(Scrape(hf.registry)) == {"b", "other"}
    assert other


def test_policies_of_one_name_are_apart_where_only_one_is_asked_for():  # D-MX-2
    first, second = hf.CircuitBreaker("b"), hf.CircuitBreaker("b")
    first.call(len, "")
    second.trip()
    assert Scrape(first)(REQUESTS, name="b", result="success") == 1
    assert Scrape(first)("circuit_breaker_state", name="b") == 0
    assert Scrape(second)(REQUESTS, name="b", result="success") == 0
    assert Scrape(second)("circuit_breaker_state", name="b") == 2


def test_of_several_of_one_name_counts_are_added_up_and_the_worst_state_shown(clock):
    first, second, third = (hf.CircuitBreaker("b", clock=clock) for _ in range(3))
    first.call(len, "")
    second.call(len, "")
    second.half_open()
    seen = Scrape()
    assert seen(REQUESTS, name="b", result="success") == 2
    assert seen("circuit_breaker_state", name="b") == 1
    third.trip()
    assert Scrape()("circuit_breaker_state", name="b") == 2


def test_places_of_bulkheads_of_one_name_are_added_up():
    inside = [hf.Bulkhead("h") for _ in range(3)]
    for bulkhead in inside:
        bulkhead.enter()
    pool = hf.PoolBulkhead("h")
    assert Scrape()("bulkhead_concurrent", bulkhead="h") == 3
    pool.stop()


def test_a_collected_policy_takes_its_series_with_it():  # D-MX-2
    kept = hf.CircuitBreaker("kept")
    gone = hf.CircuitBreaker("gone")
    registry = registry_of()
    assert any(sample.labels["name"] == "gone" for sample in first_samples(registry))
    del gone
    gc.collect()
    assert {sample.labels["name"] for sample in first_samples(registry)} == {"kept"}
    assert kept


def first_samples(registry):
    return next(iter(registry.collect())).samples


def test_a_collected_pipeline_that_was_asked_for_takes_everything_with_it():
    pipe = hf.Pipeline.standard("p")
    registry = registry_of(pipe)
    assert list(registry.collect())
    del pipe
    gc.collect()
    assert not list(registry.collect())


def test_what_a_collected_policy_counted_stays_while_its_name_lives():  # D-MX-2
    first, second = hf.CircuitBreaker("b"), hf.CircuitBreaker("b")
    for _ in range(3):
        first.call(len, "")
    first.trip()
    second.call(len, "")
    del first
    gc.collect()
    seen = Scrape()
    assert seen(REQUESTS, name="b", result="success") == 4
    assert seen("circuit_breaker_state", name="b") == 0  # the worst of those that live
    del second
    gc.collect()
    third = hf.CircuitBreaker("b")
    assert Scrape()(REQUESTS, name="b", result="success") == 0
    assert third


def test_a_shared_policy_is_counted_once():
    first = hf.CircuitBreaker("b", shared=True)
    second = hf.CircuitBreaker("b", shared=True)
    first.call(len, "")
    second.call(len, "")
    assert Scrape()(REQUESTS, name="b", result="success") == 2


def test_reset_takes_nothing_off_a_counter():
    bulkhead, breaker = hf.Bulkhead("h", max_concurrent=1), hf.CircuitBreaker("b")
    bulkhead.enter()
    bulkhead.try_enter()
    breaker.call(len, "")
    hf.registry.reset_all()
    seen = Scrape()
    assert seen("bulkhead_rejected_total", bulkhead="h") == 1
    assert seen(REQUESTS, name="b", result="success") == 1


def test_several_registries_and_namespaces_live_side_by_side():  # D-MX-2
    breaker = hf.CircuitBreaker("b")
    breaker.call(len, "")
    both = CollectorRegistry()
    both.register(Collector(namespace="shop"))
    both.register(Collector(namespace="bank"))
    names = {metric.name for metric in both.collect()}
    assert {"shop_circuit_breaker_requests", "bank_circuit_breaker_requests"} <= names
    assert scrape() == scrape()
    assert Scrape(namespace="dwcp")(REQUESTS, name="b", result="success") == 1


def test_a_second_registration_is_refused_by_name_also_before_there_is_a_policy():  # D-MX-2
    registry = CollectorRegistry()
    collector = Collector()
    registry.register(collector)
    for again in (collector, Collector(), Collector(hf.CircuitBreaker("b"))):
        with pytest.raises(ValueError, match="holdfast_circuit_breaker_state"):
            registry.register(again)
    registry.unregister(collector)
    registry.register(Collector())


def test_names_beyond_the_bound_share_one():
    kept = [hf.CircuitBreaker(f"b{n}") for n in range(5)]
    for breaker in kept:
        breaker.call(len, "")
    kept[4].trip()
    seen = Scrape(max_names=3)
    assert names_in(seen) == {"b0", "b1", "b2", "__other__"}
    assert seen(REQUESTS, name="__other__", result="success") == 2
    assert seen("circuit_breaker_state", name="__other__") == 2


def test_what_names_beyond_the_bound_counted_stays_when_they_are_gone():
    registry = registry_of(max_names=2)
    kept = [hf.CircuitBreaker(f"b{n}") for n in range(4)]
    for breaker in kept:
        breaker.call(len, "")
    del breaker
    shared = frozenset({"name": "__other__", "result": "success"}.items())
    for left in 4, 1, 1:  # also when it is read again, with room for all names
        del kept[left:]
        gc.collect()
        assert samples_in(registry.collect())[f"holdfast_{REQUESTS}", shared] == 2


def test_names_that_come_and_go_let_no_counter_fall():
    registry = registry_of(max_names=2)
    last = {}
    kept = {n: hf.CircuitBreaker(f"b{n}") for n in range(6)}
    for step in range(24):
        for breaker in kept.values():
            breaker.call(len, "")
        if step % 3 == 0:
            del kept[min(kept)]
            kept[step + 6] = hf.CircuitBreaker(f"b{step + 6}")
            gc.collect()
        now = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for metric in registry.collect()
            if metric.type == "counter"
            for sample in metric.samples
        }
        assert len({labels for name, labels in now if REQUESTS in name}) <= 3 * 3
        for key, value in now.items():
            assert value >= last.get(key, 0), key
        last = {key: value for key, value in now.items() if dict(key[1])["name"] == "__other__"}
        last |= {key: value for key, value in now.items() if key in last}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("namespace", name)
            for name in ("", "9lives", "a-b", 'x"} 1\n', "ä", None, 7, "a" * 101)
        ),
        *(("max_names", most) for most in (0, -1, 100_001, 1.5, "3", True)),
    ],
)
def test_a_setting_that_is_none_is_refused(field, value):
    with pytest.raises(hf.ConfigError, match=f"Collector: {field}: got "):
        Collector(**{field: value})


@pytest.mark.parametrize("source", [None, "payments", hf.Timeout(1), object(), hf.CircuitBreaker])
def test_a_source_whose_figures_nobody_could_name_is_refused(source):
    with pytest.raises(hf.ConfigError, match=r"sources\[1\]: got .* a named policy or a registry"):
        Collector(hf.CircuitBreaker("b"), source)


def test_every_problem_is_named_at_once():
    with pytest.raises(hf.ConfigError) as raised:
        Collector(None, namespace="", max_names=0)
    assert len(raised.value.problems) == 3


@pytest.mark.parametrize("look", [hf.registry.all, Scrape], ids=["registry", "scrape"])
def test_finalisers_may_make_policies_while_somebody_looks_at_all_of_them(look):
    made = [hf.CircuitBreaker(f"old {n}") for n in range(50)]
    look()  # imports what it needs

    class Dropped:
        def __init__(self):
            self.itself = self

        def __del__(self):
            if len(made) < 200:
                made.append(hf.CircuitBreaker(f"new {len(made)}"))
                Dropped()

    threshold = gc.get_threshold()
    gc.collect()
    try:
        Dropped()
        gc.set_threshold(1, 1, 1)
        look()
    finally:
        gc.set_threshold(*threshold)
        made.extend([made[0]] * 200)
    assert look()
