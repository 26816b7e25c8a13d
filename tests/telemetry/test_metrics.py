"""Which metrics there are, and what each counts."""  # GEN-09

import asyncio
import gc

import pytest

import holdfast as hf
from tests.telemetry.scraped import Scrape, registry_of

DEF_BUCKETS = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf",
]  # fmt: skip
BACKOFF_BUCKETS = [repr(2**n / 1000) for n in range(10)] + ["+Inf"]


def fail():
    raise ConnectionError


def buckets(scrape, metric, **labels):
    found = {
        dict(series)["le"]: scrape.samples["holdfast_" + metric + "_bucket", series]
        for series in scrape.series(metric + "_bucket")
        if labels.items() <= dict(series).items()
    }
    return sorted(found.items(), key=lambda item: float(item[0].replace("+Inf", "inf")))


def families(*sources, **options):
    return {metric.name: metric for metric in registry_of(*sources, **options).collect()}


# MX-01, MX-02, MX-03, MX-04, MX-05, MX-06, MX-07, MX-08, MX-09
# MX-14, MX-15, MX-17, MX-18, MX-19, MX-20
@pytest.mark.parametrize(
    ("name", "kind", "labels"),
    [
        ("pipeline_calls", "counter", {"pipeline", "outcome"}),
        ("pipeline_call_duration_seconds", "histogram", {"pipeline"}),
        ("circuit_breaker_state", "gauge", {"name"}),
        ("circuit_breaker_accepting", "gauge", {"name"}),
        ("circuit_breaker_requests", "counter", {"name", "result"}),
        ("circuit_breaker_failures", "counter", {"name"}),
        ("circuit_breaker_state_changes", "counter", {"name", "from", "to"}),
        ("circuit_breaker_request_duration_seconds", "histogram", {"name"}),
        ("retry_attempts", "counter", {"policy", "attempt"}),
        ("retry_success", "counter", {"policy"}),
        ("retry_failures", "counter", {"policy", "reason"}),
        ("retry_backoff_delay_seconds", "histogram", {"policy"}),
        ("rate_limiter_allowed", "counter", {"limiter"}),
        ("rate_limiter_rejected", "counter", {"limiter"}),
        ("bulkhead_concurrent", "gauge", {"bulkhead"}),
        ("bulkhead_queued", "gauge", {"bulkhead"}),
        ("bulkhead_rejected", "counter", {"bulkhead"}),
        ("bulkhead_wait_duration_seconds", "histogram", {"bulkhead"}),
        ("timeout_calls", "counter", {"timeout", "scope", "result"}),
        ("error_budget_remaining", "gauge", {"budget"}),  # MX-21
        ("error_budget_consumed", "gauge", {"budget"}),  # MX-22
        ("error_budget_exhausted", "counter", {"budget"}),  # MX-23
        ("latency_budget_p50_seconds", "gauge", {"budget"}),  # MX-24
        ("latency_budget_p95_seconds", "gauge", {"budget"}),  # MX-25
        ("latency_budget_p99_seconds", "gauge", {"budget"}),  # MX-26
        ("latency_budget_violations", "counter", {"budget"}),  # MX-27
    ],
)
def test_the_metric_has_the_specified_name_type_and_labels(name, kind, labels, clock):
    bulkhead = hf.Bulkhead("waits", max_concurrent=1, max_waiting=1, max_wait=1, clock=clock)
    standard = hf.Pipeline.standard("all", rate=10, fallback=1, clock=clock)
    standard.call(fail)
    with bulkhead, pytest.raises(hf.Rejected):
        bulkhead.enter()
    budget = hf.LatencyBudget("y", clock=clock)
    budget.record(1)
    errors = hf.ErrorBudget("z", clock=clock)
    pipe = hf.Pipeline("pipe", errors, budget, bulkhead, standard)
    metric = families(pipe, namespace="dwcp")[f"dwcp_{name}"]
    assert metric.type == kind
    assert metric.documentation
    assert {label for sample in metric.samples for label in sample.labels} - {"le"} == labels


def test_every_label_set_is_at_zero_from_the_making_of_the_policy():  # MX-02, MX-04, MX-06, MX-08
    kept = [hf.Pipeline.standard("p", rate=10, fallback=1), hf.PoolBulkhead("q")]
    scrape = Scrape()
    for (name, _), value in scrape.samples.items():
        assert value == (name == "holdfast_circuit_breaker_accepting"), name
    results = {dict(labels)["result"] for labels in scrape.series("circuit_breaker_requests_total")}
    assert results == {"success", "failure", "rejected"}
    pairs = {
        (dict(labels)["from"], dict(labels)["to"])
        for labels in scrape.series("circuit_breaker_state_changes_total")
    }
    states = ("closed", "half-open", "open")
    assert pairs == {(old, new) for old in states for new in states if old != new}
    attempts = {dict(labels)["attempt"] for labels in scrape.series("retry_attempts_total")}
    assert attempts == {"1", "2", "3"}
    reasons = {dict(labels)["reason"] for labels in scrape.series("retry_failures_total")}
    assert {"exhausted", "not_retryable", "cancelled"} <= reasons
    outcomes = {dict(labels)["outcome"] for labels in scrape.series("pipeline_calls_total")}
    assert outcomes == {"success", "failure", "rejected", "timeout", "cancelled"}
    assert kept


def test_an_idle_pipeline_has_no_series_of_what_hardly_ever_happens():
    kept = hf.Pipeline.standard("p", rate=10, fallback=1)
    names = {name.removeprefix("holdfast_") for name in Scrape().names()}
    assert not {name for name in names if name.endswith(("_bucket", "_count", "_sum"))}
    rare = ("overrides", "late_results", "threads_", "observed", "policy_mode")
    assert not {name for name in names if any(word in name for word in rare)}
    assert kept


def test_a_breaker_tells_its_results_changes_and_state(clock):  # MX-01 to MX-04, CB-29, D-MX-3
    breaker = hf.CircuitBreaker("b", failure_threshold=2, reset_timeout=5, clock=clock)
    breaker.call(len, "")
    for _ in range(2):
        breaker.try_call(fail)
    breaker.try_call(len, "")
    seen = Scrape(breaker)
    assert seen("circuit_breaker_state", name="b") == 2
    assert seen("circuit_breaker_requests_total", name="b", result="success") == 1
    assert seen("circuit_breaker_requests_total", name="b", result="failure") == 2
    assert seen("circuit_breaker_requests_total", name="b", result="rejected") == 1
    assert seen("circuit_breaker_failures_total", name="b") == 2
    assert seen("circuit_breaker_state_changes_total", name="b", from_="closed", to="open") == 1
    clock.advance(5)
    breaker.call(len, "")
    seen = Scrape(breaker)
    assert seen("circuit_breaker_state", name="b") == 1
    assert seen("circuit_breaker_state_changes_total", name="b", from_="open", to="half-open") == 1


@pytest.mark.parametrize(
    ("order", "metric"),
    [("force_open", 2), ("disable", 0), ("metrics_only", 0), ("trip", 2), ("half_open", 1)],
)
def test_the_state_gauge_shows_overrides_as_they_act(order, metric):  # MX-01
    breaker = hf.CircuitBreaker("b")
    getattr(breaker, order)()
    assert Scrape(breaker)("circuit_breaker_state", name="b") == metric


def test_overrides_are_counted_by_where_they_lead(clock):  # MX-01
    breaker = hf.CircuitBreaker("b", clock=clock)
    breaker.force_open()
    breaker.reset()
    breaker.disable()
    seen = Scrape(breaker)
    changes = seen.series("circuit_breaker_state_changes_total")
    assert all(
        seen.samples["holdfast_circuit_breaker_state_changes_total", key] == 0 for key in changes
    )
    for state, times in (("forced-open", 1), ("closed", 1), ("disabled", 1), ("metrics-only", 0)):
        assert seen("circuit_breaker_overrides_total", name="b", to=state) == times


def test_durations_are_in_the_default_buckets(clock):  # MX-05
    breaker = hf.CircuitBreaker("b", latency=True, clock=clock)
    for seconds in (0.005, 0.006, 3, 11):
        breaker.call(clock.advance, seconds)
    seen = Scrape(breaker)
    found = buckets(seen, "circuit_breaker_request_duration_seconds", name="b")
    assert [le for le, _ in found] == DEF_BUCKETS
    assert [count for _, count in found] == [1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 4]
    assert seen("circuit_breaker_request_duration_seconds_count", name="b") == 4
    assert seen("circuit_breaker_request_duration_seconds_sum", name="b") == pytest.approx(14.011)


def test_a_breaker_that_records_no_durations_shows_none():  # MX-05
    breaker = hf.CircuitBreaker("b")
    breaker.call(len, "")
    assert "holdfast_circuit_breaker_request_duration_seconds_count" not in Scrape(breaker).names()
    pipe = hf.Pipeline("p", breaker)
    pipe.call(len, "")
    assert Scrape(breaker)("circuit_breaker_request_duration_seconds_count", name="b") == 1


def test_a_retry_tells_its_retries_and_how_calls_ended(clock):  # MX-06, MX-07, MX-08, MX-09
    retry = hf.Retry("r", attempts=3, backoff=hf.Constant(0.1), clock=clock)
    answers = iter([ConnectionError, None])

    def recover():
        if next(answers):
            raise ConnectionError

    retry.call(recover)
    retry.call(len, "")
    retry.try_call(fail)
    retry.try_call([].pop)
    seen = Scrape(retry)
    assert seen("retry_attempts_total", policy="r", attempt="1") == 2
    assert seen("retry_attempts_total", policy="r", attempt="2") == 1
    assert len(seen.series("retry_attempts_total")) == 2
    assert seen("retry_success_total", policy="r") == 1
    assert seen("retry_failures_total", policy="r", reason="exhausted") == 1
    assert seen("retry_failures_total", policy="r", reason="not_retryable") == 1
    found = buckets(seen, "retry_backoff_delay_seconds", policy="r")
    assert [le for le, _ in found] == BACKOFF_BUCKETS
    assert [count for _, count in found] == [0] * 7 + [3] * 4
    assert seen("retry_backoff_delay_seconds_sum", policy="r") == pytest.approx(0.3)


def test_as_many_retries_are_shown_as_one_of_that_name_may_make_or_has_made(clock):  # MX-06
    registry = registry_of()

    def shown():
        metrics = {metric.name: metric for metric in registry.collect()}
        return [sample.value for sample in metrics["holdfast_retry_attempts"].samples]

    settings = {"backoff": hf.Constant(1), "budget": None, "clock": clock}
    kept = hf.Retry("r", attempts=2, **settings)
    assert shown() == [0]
    other = hf.Retry("r", attempts=9, **settings)
    assert shown() == [0] * 8
    answers = iter([fail, fail, fail, int])
    other.call(lambda: next(answers)())
    assert shown() == [1] * 3 + [0] * 5
    del other
    gc.collect()
    assert shown() == [1] * 3
    endless = hf.Retry("r", attempts=None, max_time=9, **settings)
    assert shown() == [1] * 3 + [0] * 13
    assert kept
    assert endless


def test_retries_beyond_the_fifteenth_share_a_label(clock):  # MX-06
    retry = hf.Retry("r", attempts=31, backoff=hf.Constant(1), budget=None, clock=clock)
    retry.try_call(fail)
    seen = Scrape(retry)
    assert seen("retry_attempts_total", policy="r", attempt="15") == 1
    assert seen("retry_attempts_total", policy="r", attempt="16+") == 15
    assert len(seen.series("retry_attempts_total")) == 16


def test_an_adaptive_limiter_tells_its_rate_and_why_it_changed(clock):  # MX-16, D-RL-4
    limiters = [hf.AdaptiveRateLimiter("l", rate=100, window=10, clock=clock) for _ in range(2)]
    for _ in range(10):
        limiters[0].call(clock.advance, 0.2)
    clock.advance(1)
    limiters[0].record(1.0, throttled=True)
    seen = Scrape()
    assert seen("rate_limiter_current_rate", limiter="l") == 63 + 100
    reasons = [
        seen("rate_limiter_adjustments_total", limiter="l", reason=reason)
        for reason in ("raised", "slowed", "throttled")
    ]
    assert reasons == [0, 1, 1]
    assert seen("rate_limiter_allowed_total", limiter="l") == 10
    fixed = hf.RateLimiter("fixed", rate=1, clock=clock)
    assert "holdfast_rate_limiter_current_rate" not in Scrape(fixed).names()


@pytest.mark.parametrize("settings", [
    {"rate": 2, "per": 60}, {"rate": 2, "per": 60, "window": "sliding"},
    {"limits": "2/minute;5/hour"}, {"limits": "5/hour;2/minute"},
])  # fmt: skip
def test_a_limiter_tells_what_it_allowed_and_rejected(settings, clock):  # MX-14, MX-15
    limiter = hf.RateLimiter("l", clock=clock, **settings)
    assert [limiter.try_acquire() for _ in range(5)] == [True, True, False, False, False]
    seen = Scrape(limiter)
    assert seen("rate_limiter_allowed_total", limiter="l") == 2
    assert seen("rate_limiter_rejected_total", limiter="l") == 3


@pytest.mark.parametrize("settings", [{"rate": 10}, {"limits": "10/second;20/minute;30/hour"}])
def test_tokens_given_back_are_counted_and_nothing_is_taken_off(settings, clock):  # MX-14
    limiter = hf.RateLimiter("l", clock=clock, **settings)
    assert Scrape(limiter)("rate_limiter_refunded_total", limiter="l") == 0
    shut = hf.CircuitBreaker("shut", clock=clock)
    shut.force_open()
    hf.Pipeline("p", limiter, shut).try_call(len, "")
    seen = Scrape(limiter)
    assert seen("rate_limiter_allowed_total", limiter="l") == 1
    assert seen("rate_limiter_refunded_total", limiter="l") == 1


def test_a_bulkhead_tells_who_is_inside_and_who_was_turned_away(clock):  # MX-17, MX-19
    bulkhead = hf.Bulkhead("h", max_concurrent=1, clock=clock)
    bulkhead.enter()
    assert not bulkhead.try_enter()
    seen = Scrape(bulkhead)
    assert seen("bulkhead_concurrent", bulkhead="h") == 1
    assert seen("bulkhead_queued", bulkhead="h") == 0
    assert seen("bulkhead_rejected_total", bulkhead="h") == 1
    bulkhead.leave()
    assert Scrape(bulkhead)("bulkhead_concurrent", bulkhead="h") == 0


def test_waits_are_recorded_however_they_end(clock):  # MX-18, MX-19, MX-20
    clock = hf.ManualClock(auto=False)
    bulkhead = hf.Bulkhead("h", max_concurrent=1, max_waiting=2, max_wait=1, clock=clock)

    async def wait():
        await bulkhead.aenter()
        tasks = [asyncio.create_task(bulkhead.aenter()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting = Scrape(bulkhead)("bulkhead_queued", bulkhead="h")
        clock.advance(0.02)
        bulkhead.leave()
        await tasks[0]
        clock.advance(0.98)
        await asyncio.gather(*tasks, return_exceptions=True)
        return waiting

    assert asyncio.run(wait()) == 2
    seen = Scrape(bulkhead)
    found = dict(buckets(seen, "bulkhead_wait_duration_seconds", bulkhead="h"))
    assert (found["0.01"], found["0.025"], found["0.5"], found["1.0"]) == (0, 1, 1, 2)
    assert seen("bulkhead_wait_duration_seconds_sum", bulkhead="h") == pytest.approx(1.02)
    assert seen("bulkhead_rejected_total", bulkhead="h") == 1  # the one whose time was up


def test_a_pool_is_a_bulkhead_whose_queue_waits_for_threads():  # MX-17, MX-18, MX-20
    from threading import Event

    begun, go_on = Event(), Event()
    pool = hf.PoolBulkhead("pool", workers=1, max_waiting=2)
    first = pool.submit(lambda: (begun.set(), go_on.wait()))
    assert begun.wait(60)
    second = pool.submit(int)
    seen = Scrape(pool)
    assert seen("bulkhead_concurrent", bulkhead="pool") == 1
    assert seen("bulkhead_queued", bulkhead="pool") == 1
    go_on.set()
    first.result(60), second.result(60)
    assert Scrape(pool)("bulkhead_wait_duration_seconds_count", bulkhead="pool") == 2
    pool.stop()


def test_timeouts_and_fallbacks_with_a_name_are_told_of(clock):
    timeout = hf.Timeout(1, name="t", clock=clock)
    fallback = hf.Fallback(0, on=ConnectionError, name="f", clock=clock)
    timeout.call(len, "")
    timeout.try_call(clock.advance, 2)
    fallback.call(fail)
    seen = Scrape()
    assert seen("timeout_calls_total", timeout="t", result="in_time") == 1
    assert seen("timeout_calls_total", timeout="t", result="expired") == 1
    assert seen("fallback_calls_total", fallback="f", result="used") == 1


def test_observing_policies_show_their_mode_and_what_they_let_through(clock):
    limiter = hf.RateLimiter("l", rate=1, per=60, mode="observe", clock=clock)
    breaker = hf.CircuitBreaker("b", mode="observe", clock=clock)
    bulkhead = hf.Bulkhead("h", max_concurrent=1, mode="observe", clock=clock)
    breaker.trip()
    bulkhead.enter()
    for policy in (limiter, limiter, breaker, bulkhead):
        policy.call(len, "")
    seen = Scrape()
    kinds = ({"name": "l", "kind": "rate_limiter"}, {"name": "b", "kind": "circuit_breaker"})
    for labels in (*kinds, {"name": "h", "kind": "bulkhead"}):
        assert seen("observed_total", **labels) == 1
        assert seen("policy_mode", **labels) == 1
    assert seen("circuit_breaker_requests_total", name="b", result="rejected") == 0
    assert seen("rate_limiter_rejected_total", limiter="l") == 0
    assert seen("bulkhead_rejected_total", bulkhead="h") == 0
