"""Every metric of a manager with the preset ``dwcp``, after each kind of outcome: exact values."""

from contextlib import ExitStack

import pytest

import holdfast as hf
from holdfast.degradation import Level
from holdfast.health import PingCheck
from holdfast.manager import presets
from tests.telemetry.scraped import scrape

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))
DELAYS = (*(2**n / 1000 for n in range(10)), float("inf"))

# MX-01 … MX-27: the name of the metric, its type, and its labels.
SPECIFIED = {
    "circuit_breaker_state": ("name",),
    "circuit_breaker_requests_total": ("name", "result"),
    "circuit_breaker_failures_total": ("name",),
    "circuit_breaker_state_changes_total": ("name", "from", "to"),
    "circuit_breaker_request_duration_seconds_count": ("name",),
    "retry_attempts_total": ("policy", "attempt"),
    "retry_success_total": ("policy",),
    "retry_failures_total": ("policy", "reason"),
    "retry_backoff_delay_seconds_count": ("policy",),
    "health_check_status": ("checker", "check"),
    "health_check_duration_seconds_count": ("checker", "check"),
    "health_check_total": ("checker", "check", "result"),
    "health_check_failures_total": ("checker", "check"),
    "rate_limiter_allowed_total": ("limiter",),
    "rate_limiter_rejected_total": ("limiter",),
    "rate_limiter_current_rate": ("limiter",),
    "bulkhead_concurrent": ("bulkhead",),
    "bulkhead_queued": ("bulkhead",),
    "bulkhead_rejected_total": ("bulkhead",),
    "bulkhead_wait_duration_seconds_count": ("bulkhead",),
    "error_budget_remaining": ("budget",),
    "error_budget_consumed": ("budget",),
    "error_budget_exhausted_total": ("budget",),
    "latency_budget_p50_seconds": ("budget",),
    "latency_budget_p95_seconds": ("budget",),
    "latency_budget_p99_seconds": ("budget",),
    "latency_budget_violations_total": ("budget",),
}


class Answers:
    """A function that answers in turn, each after some seconds: a value, or an error."""

    def __init__(self, clock, *answers):
        self._clock, self._answers = clock, list(answers)

    def __call__(self):
        seconds, answer = self._answers.pop(0)
        self._clock.advance(seconds)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def everything(clock):
    """Return a manager in which nothing is left to chance or runs by itself."""
    dwcp = presets.get("dwcp")
    preset = dwcp.but(
        monitoring=False,
        retry_policies={name: {"jitter": False} for name in dwcp.retry_policies},
        faults={
            "network-latency": {"min": 0.5, "max": 0.5, "probability": 1.0},
            "random-error": {"probability": 0.0},
            "timeout": {"probability": 0.0},
        },
    )
    rm = hf.ResilienceManager("exact", presets=preset, clock=clock)
    rm.register_fallback("cached", 7)
    rm.register_operation("cached", timeout=5, critical=True)
    rm.register_health_check(PingCheck("up", lambda: True))
    rm.register_health_check(PingCheck("down", lambda: False, failures=1))
    return rm


def inject(rm, clock):
    """Have each kind of outcome happen once; return what callers got."""

    def run(name, *answers):
        try:
            return rm.execute(name, Answers(clock, *answers))
        except BaseException as error:
            return type(error)

    down = ConnectionError("down")
    got = [
        run("send", (0.004, "sent")),
        run("send", (0, down), (0, "again")),  # one retry, after 0.1 s
        run("send", (0, KeyboardInterrupt())),
        run("receive", *[(0, down)] * 4),  # no attempt is left; delays of 0.1, 0.2 and 0.4 s
        run("receive", (0, down)),  # the fifth failure opens the breaker, which refuses the retry
        run("consensus", (11, "late"), (0, "in time")),  # one retry, after 0.5 s
        run("cached", (0, down)),
        run("cached", (6, "late")),
        rm.check_rate_limit("outbound", 100),
        rm.check_rate_limit("outbound", 1),
    ]
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(rm.bulkhead("connections"))
        got.append(run("message", (0, "refused after 5 s")))
    rm.chaos.enable(seed=1)
    got.append(run("sync", (0, "delayed")))
    rm.chaos.disable()

    rm.circuit_breaker("network-receive").force_open()
    discovery = rm.circuit_breaker("peer-discovery")
    discovery.trip()
    discovery.half_open()
    for _ in range(3):
        discovery.call(int)
    rm.health.check_now("up")
    rm.health.check_now("down")
    rm.error_budget("slo-latency").record(False, 1000)
    for _ in range(20):
        rm.latency_budget("p95-latency").record(1.0)
    rm.degradation.component("sync").set(Level.DEGRADED)
    rm.timeouts.execute("api_call", int)
    return got


GOT = [
    "sent", "again", KeyboardInterrupt, ConnectionError, hf.CircuitOpenError, "in time", 7, 7,
    True, False, hf.BulkheadTimeoutError, "delayed",
]  # fmt: skip

# What is not 0 afterwards, by the values of the labels in the order of SPECIFIED.
EXPECTED = {
    "circuit_breaker_state": {("receive",): 2, ("network-receive",): 2},
    "circuit_breaker_requests_total": {
        ("send", "success"): 2, ("send", "failure"): 1, ("receive", "failure"): 5,
        ("receive", "rejected"): 1, ("consensus", "success"): 1, ("consensus", "failure"): 1,
        ("sync", "success"): 1, ("peer-discovery", "success"): 3,
    },
    "circuit_breaker_failures_total": {("send",): 1, ("receive",): 5, ("consensus",): 1},
    "circuit_breaker_state_changes_total": {
        ("receive", "closed", "open"): 1, ("peer-discovery", "closed", "open"): 1,
        ("peer-discovery", "open", "half-open"): 1, ("peer-discovery", "half-open", "closed"): 1,
    },
    "retry_attempts_total": {
        ("send", "1"): 1, ("receive", "1"): 2, ("receive", "2"): 1, ("receive", "3"): 1,
        ("consensus", "1"): 1,
    },
    "retry_success_total": {("send",): 1, ("consensus",): 1},
    "retry_failures_total": {
        ("send", "cancelled"): 1, ("receive", "exhausted"): 1, ("receive", "rejected"): 1,
        ("network", "rejected"): 1,
    },
    "health_check_status": {("exact", "up"): 1},
    "health_check_total": {("exact", "up", "success"): 1, ("exact", "down", "failure"): 1},
    "health_check_failures_total": {("exact", "down"): 1},
    "rate_limiter_allowed_total": {
        ("outbound",): 1, ("outbound-messages",): 1, ("send",): 4, ("receive",): 5,
    },
    "rate_limiter_rejected_total": {("outbound",): 1},
    "rate_limiter_current_rate": {("send",): 1000, ("receive",): 1000},
    "bulkhead_concurrent": {("sync",): 1},  # while it is scraped
    "bulkhead_queued": {},
    "bulkhead_rejected_total": {("connections",): 1},
    "error_budget_remaining": {("send",): 1, ("sync",): 1, ("consensus",): 1},
    "error_budget_consumed": {
        ("receive",): 1, ("system",): 1, ("slo-availability",): 1, ("slo-latency",): 1,
    },
    "error_budget_exhausted_total": {("slo-latency",): 1},
    "latency_budget_violations_total": {
        ("receive",): 1, ("consensus",): 1, ("p95-latency",): 20,
    },
}  # fmt: skip
# The durations that histograms have got, by the first labels.
DURATIONS = {
    "circuit_breaker_request_duration_seconds": (BOUNDS, {
        ("send",): [0.004, 0, 0], ("receive",): [0] * 5, ("consensus",): [11, 0], ("sync",): [0.5],
    }),
    "retry_backoff_delay_seconds": (DELAYS, {
        ("send",): [0.1], ("receive",): [0.1, 0.2, 0.4, 0.1], ("consensus",): [0.5],
    }),
    "health_check_duration_seconds": (BOUNDS, {("exact", "up"): [0], ("exact", "down"): [0]}),
    "bulkhead_wait_duration_seconds": (BOUNDS, {("connections",): [5]}),
    "operation_duration_seconds": (BOUNDS, {
        ("send",): [0.004, 0.1, 0], ("receive",): [0.7], ("consensus",): [11.5], ("sync",): [0.5],
    }),
}  # fmt: skip
# Percentiles are exact within 2 %.
PERCENTILES = {
    ("latency_budget_p50_seconds", "send"): 0.004, ("latency_budget_p95_seconds", "send"): 0.1,
    ("latency_budget_p99_seconds", "send"): 0.1,
} | {
    (f"latency_budget_p{percent}_seconds", budget): seconds
    for percent in (50, 95, 99)
    for budget, seconds in
    {"receive": 0.7, "consensus": 11.5, "sync": 0.5, "p95-latency": 1.0}.items()
}  # fmt: skip


def by_values(metric, labels):
    names = SPECIFIED.get(metric, tuple(dict(labels)))
    return tuple(dict(labels)[name] for name in names)


@pytest.fixture(scope="module")
def seen():
    """The samples after each kind of outcome, by name and labels; without the namespace."""
    clock = hf.ManualClock()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOLDFAST_CHAOS", "1")
        environment.delenv("HOLDFAST_ENV", raising=False)
        rm = everything(clock)
        assert inject(rm, clock) == GOT
    with rm.bulkhead("sync"):
        found = scrape(rm, namespace="dwcp")
    return {(name.removeprefix("dwcp_"), labels): value for (name, labels), value in found.items()}


def test_all_specified_metrics_have_series_with_the_labels_of_the_specification(seen):
    # MX-01, MX-02, MX-03, MX-04, MX-05, MX-06, MX-07, MX-08, MX-09
    # MX-10, MX-11, MX-12, MX-13, MX-14, MX-15, MX-16, MX-17, MX-18
    # MX-19, MX-20, MX-21, MX-22, MX-23, MX-24, MX-25, MX-26, MX-27, D-MX-1
    assert len(SPECIFIED) == 27
    for metric, labels in SPECIFIED.items():
        series = [one for name, one in seen if name == metric]
        assert series, metric
        assert {name for one in series for name, _ in one} == set(labels), metric


def test_each_registered_name_has_its_series_and_no_other(seen):  # D-MX-1, D-RM-1
    preset = presets.get("dwcp")
    registered = {
        "circuit_breaker_state": preset.circuit_breakers,
        "retry_success_total": preset.retry_policies,
        "rate_limiter_allowed_total": [*preset.rate_limiters, *preset.adaptive_rate_limiters],
        "rate_limiter_current_rate": preset.adaptive_rate_limiters,
        "bulkhead_concurrent": preset.bulkheads,
        "error_budget_remaining": preset.error_budgets,
        "latency_budget_violations_total": preset.latency_budgets,
        "chaos_injections_total": preset.faults,
        "operation_retries_total": [*preset.operations, "cached"],
    }
    for metric, names in registered.items():
        shown = [value for name, labels in seen if name == metric for _, value in labels]
        assert sorted(shown) == sorted(names), metric
    checks = {dict(labels)["check"] for name, labels in seen if name == "health_check_status"}
    assert checks == {*preset.checks, "up", "down"}


def test_each_sample_of_the_specified_metrics_has_its_exact_value(seen):  # D-MX-1, D-MX-4
    wrong = {}
    for (metric, labels), value in seen.items():
        if metric not in EXPECTED:
            continue
        wanted = EXPECTED[metric].get(by_values(metric, labels), 0)
        if value != wanted:
            wrong[metric, labels] = value, wanted
    assert not wrong
    for metric, values in EXPECTED.items():  # and none is missing
        there = {by_values(metric, labels) for name, labels in seen if name == metric}
        assert values.keys() <= there, metric


def test_each_bucket_of_a_histogram_has_its_exact_value(seen):  # MX-05, MX-09, MX-11, MX-20, D-MX-4
    for metric, (bounds, durations) in DURATIONS.items():
        found = {}
        for (name, labels), value in seen.items():
            if name.startswith(metric):
                of = dict(labels)
                bound = float(of.pop("le", "nan").replace("+Inf", "inf"))
                its = found.setdefault(frozenset(of.values()), {})
                its[name.removeprefix(metric), bound if bound == bound else None] = value
        assert found.keys() == {frozenset(one) for one in durations}, metric
        for labels, seconds in durations.items():
            its = found[frozenset(labels)]
            assert its.pop(("_count", None)) == len(seconds)
            assert its.pop(("_sum", None)) == pytest.approx(sum(seconds), abs=1e-9)
            upto = {("_bucket", le): sum(one <= le for one in seconds) for le in bounds}
            assert its == upto, (metric, labels)


def test_each_percentile_is_that_of_the_calls_within_two_percent(seen):  # MX-24, MX-25, MX-26
    found = {
        (name, value): seconds
        for (name, labels), seconds in seen.items()
        for _, value in labels
        if name.startswith("latency_budget_p")
    }
    assert found.keys() == PERCENTILES.keys()
    for key, seconds in PERCENTILES.items():
        assert found[key] == pytest.approx(seconds, rel=0.02), key


S4 = ("send", "receive", "sync", "consensus")
# What is not 0 of all other metrics, by the values of the labels in the order of their names.
BEYOND = {
    "operations_total": {
        ("send", "success"): 2, ("send", "cancelled"): 1, ("receive", "failure"): 1,
        ("receive", "rejected"): 1, ("consensus", "success"): 1, ("sync", "success"): 1,
        ("cached", "success"): 2, ("message", "rejected"): 1,
    },
    "operation_retries_total": {("send",): 1, ("receive",): 4, ("consensus",): 1},
    "timeouts_total": {("consensus",): 1, ("cached",): 1},
    "operation_critical": {("cached",): 1},
    "manager_changes_total": {("exact",): 45},  # 43 of the preset, and 2
    "timeouts_started_total": {("exact",): 1},
    "chaos_checks_total": {("network-latency",): 1, ("random-error",): 1, ("timeout",): 1},
    "chaos_injections_total": {("network-latency",): 1},
    "degradation_level": {("sync", "exact"): 1},
    "degradation_changes_total": {("sync", "degraded", "exact"): 1},
    "rate_limiter_refunded_total": {("outbound-messages",): 1},
    "fallback_calls_total": {("cached", "used"): 2},
    "circuit_breaker_accepting": {
        (name,): 1
        for name in ("network", "network-send", "peer-discovery", "send", "sync", "consensus")
    },
    "circuit_breaker_overrides_total": {("network-receive", "forced-open"): 1},
    "error_budget_pages_total": {("slo-latency", "5m/1h"): 1, ("slo-latency", "30m/6h"): 1},
    "error_budget_allowed": {
        ("send",): 0.001, ("receive",): 0.001, ("sync",): 0.005, ("consensus",): 0.005,
        ("system",): 0.001, ("slo-availability",): 0.001, ("slo-latency",): 0.01,
    },
    "error_budget_requests_total": {
        ("send", "success"): 2, ("receive", "failure"): 2, ("sync", "success"): 1,
        ("consensus", "success"): 1, ("system", "success"): 4, ("system", "failure"): 3,
        ("slo-availability", "failure"): 1, ("slo-latency", "failure"): 1000,
    },
    "error_budget_burn_rate": {
        (budget, window): failed / requests / allowed
        for budget, failed, requests, allowed in (
            ("receive", 2, 2, 0.001), ("system", 3, 7, 0.001), ("slo-availability", 1, 1, 0.001),
            ("slo-latency", 1000, 1000, 0.01),
        )
        for window in ("5m", "30m", "1h", "6h")
    },
    "latency_budget_calls_total": {
        ("send",): 2, ("receive",): 1, ("sync",): 1, ("consensus",): 1, ("p95-latency",): 20,
    },
    "latency_budget_compliant": {(name,): 1 for name in S4},
    "latency_budget_exhausted_total": {("p95-latency",): 1},
    "timeout_calls_total": {
        ("in_time", "total", "send"): 3, ("in_time", "total", "receive"): 2,
        ("in_time", "total", "sync"): 1, ("in_time", "total", "consensus"): 1,
        ("in_time", "total", "cached"): 1, ("expired", "total", "cached"): 1,
        ("in_time", "attempt", "send"): 4, ("in_time", "attempt", "receive"): 5,
        ("in_time", "attempt", "sync"): 1, ("in_time", "attempt", "consensus"): 1,
        ("expired", "attempt", "consensus"): 1, ("in_time", "api_call"): 1,
    },
    "timeout_late_results_total": {("attempt", "consensus"): 1, ("total", "cached"): 1},
}  # fmt: skip


def test_each_other_sample_has_its_exact_value_as_well(seen):  # MX-29, MX-30, D-MX-1
    covered = (*DURATIONS, "latency_budget_p", "resources")
    found = {}
    for (metric, labels), value in seen.items():
        if value and metric not in EXPECTED and not metric.startswith(covered):
            values = tuple(text for _, text in sorted(labels))
            found.setdefault(metric, {})[values] = pytest.approx(value)
    assert found == BEYOND


def test_resources_are_within_their_limits(seen):  # MX-29, AR-09
    used = {labels: value for (name, labels), value in seen.items() if name == "resources"}
    limits = {labels: value for (name, labels), value in seen.items() if name == "resources_limit"}
    assert len(used) == 3
    assert used.keys() == limits.keys()
    assert all(0 < value <= limits[labels] for labels, value in used.items())
