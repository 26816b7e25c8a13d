"""Each alert fires when it must and is silent when it must not, on series of real policies.

promtool evaluates the exported rules. All alerts that a test does not name are silent in it.
"""

import os
import resource
import shutil
import sys
from functools import partial
from math import inf

import pytest

import holdfast as hf
from holdfast.health import CheckResult, HealthMonitor
from holdfast.telemetry.rules import rules_file
from tests.health.monitored import Steered
from tests.telemetry.promtool import Watch, firing

MINUTE = 60


@pytest.fixture(autouse=True)
def _needs_promtool(require_real):
    if shutil.which("promtool") is None:
        require_real("promtool is not installed: make system-packages")


def calls(policy, good, bad=0):
    """Return an act of so many calls that succeed and fail."""

    def act():
        for _ in range(good):
            policy.try_call(int)
        for _ in range(bad):
            policy.try_call([].pop)

    return act


def recorded(budget, good, bad=0):
    def act():
        if good:
            budget.record(ok=True, n=good)
        if bad:
            budget.record(ok=False, n=bad)

    return act


# ---- circuit breakers ----


@pytest.fixture
def breaker(clock):
    return hf.CircuitBreaker("network", failure_threshold=5, reset_timeout=60, clock=clock)


@pytest.fixture
def steady(clock):
    """A breaker that does not open, so that only its counts matter."""
    return hf.CircuitBreaker("network", failure_threshold=10**6, clock=clock)


def test_a_breaker_that_stays_open_fires_after_five_minutes(clock, breaker, tmp_path):
    watch = Watch(clock, breaker, every=30)  # AR-01, AR-06
    watch.during(5 * MINUTE, calls(breaker, 1))
    opened = watch.now
    watch.during(10 * MINUTE, calls(breaker, 0, 5))
    assert breaker.state is hf.State.OPEN
    clock.advance(60)
    closes = watch.now
    watch.during(10 * MINUTE, calls(breaker, 3))
    assert breaker.state is hf.State.CLOSED
    since = opened + 5 * MINUTE
    watch.check(
        tmp_path,
        firing("CircuitBreakerOpen", since, closes, name="network"),
        firing("CircuitBreakerStaysOpen", since, closes, slack=60, name="network"),
        texts=[
            (closes - MINUTE, "CircuitBreakerOpen", "Circuit breaker network is open"),
            (closes - MINUTE, "CircuitBreakerStaysOpen", "Circuit breaker network does not close"),
        ],
    )


def test_a_breaker_that_is_open_for_less_than_five_minutes_is_silent(clock, breaker, tmp_path):
    watch = Watch(clock, breaker, every=30)  # AR-01, AR-06
    for _ in range(3):
        watch.during(4 * MINUTE + 30, calls(breaker, 0, 5))
        clock.advance(60)
        watch.during(10 * MINUTE, calls(breaker, 100))
    assert breaker.snapshot().rejected > 30
    watch.check(tmp_path)


def test_an_open_breaker_that_nobody_calls_fires_but_does_not_stay_open(clock, breaker, tmp_path):
    watch = Watch(clock, breaker)  # AR-01: only a call can close it
    breaker.trip()
    watch.during(20 * MINUTE)
    watch.check(tmp_path, firing("CircuitBreakerOpen", 5 * MINUTE, name="network"))


def test_a_breaker_whose_probes_fail_slowly_stays_open(clock, breaker, tmp_path):
    """Every other scrape finds it half-open, so it is never seen open for five minutes."""
    watch = Watch(clock, breaker, every=30)  # AR-06
    breaker.trip()
    for _ in range(10):
        clock.advance(60)
        probe = breaker.acquire()
        watch.during(30)
        probe.failure(ConnectionError())
        watch.during(30)
    assert breaker.snapshot().failed == 10
    watch.check(
        tmp_path,
        firing("CircuitBreakerStaysOpen", 5 * MINUTE, slack=60, name="network"),
        firing(
            "HighFailureRate", 6 * MINUTE, slack=60, name="network"
        ),  # of the few calls there are
    )


@pytest.mark.parametrize("order", ["disable", "metrics_only"])
def test_a_breaker_that_is_switched_off_is_silent(order, clock, breaker, tmp_path):
    watch = Watch(clock, breaker)  # AR-01, MX-01
    getattr(breaker, order)()
    watch.during(20 * MINUTE)
    watch.check(tmp_path)


def test_eleven_percent_of_failures_fire_after_five_minutes(clock, steady, tmp_path):
    watch = Watch(clock, steady)  # AR-02, D-AR-1
    watch.during(10 * MINUTE, calls(steady, 100))
    fails = watch.now
    watch.during(20 * MINUTE, calls(steady, 89, 11))
    ends = watch.now
    watch.during(15 * MINUTE, calls(steady, 100))
    watch.check(
        tmp_path,
        # The share of the last five minutes is above a tenth once nearly all of them failed so.
        firing("HighFailureRate", fails + 10 * MINUTE, ends + MINUTE, slack=60, name="network"),
        texts=[(ends - MINUTE, "HighFailureRate", "11% of the calls of network fail")],
    )


def test_nine_percent_of_failures_are_silent(clock, steady, tmp_path):
    watch = Watch(clock, steady)  # AR-02, D-AR-1
    watch.during(30 * MINUTE, calls(steady, 91, 9))
    watch.check(tmp_path)


def test_the_expression_as_it_was_published_fires_at_any_failure(clock, steady, tmp_path):
    """It divides the failures by themselves: D-AR-1. That the test finds this shows that it can."""
    watch = Watch(clock, steady)
    watch.during(30 * MINUTE, calls(steady, 999, 1))
    published = rules_file("dwcp")
    for selector in ('{result="failure"}', ""):
        rate = f"rate(dwcp_circuit_breaker_requests_total{selector}[5m])"
        assert f"sum by (name) ({rate})" in published
        published = published.replace(f"sum by (name) ({rate})", rate)
    watch.check(tmp_path)
    fires = firing("HighFailureRate", 6 * MINUTE, slack=60, name="network", result="failure")
    assert "HighFailureRate" in watch.judge(tmp_path, rules=published)
    watch.check(tmp_path, fires, rules=published)


# ---- health checks ----


def test_a_health_check_that_fails_fires_after_five_minutes(clock, tmp_path):  # AR-03
    check = Steered("database", failures=3)
    monitor = HealthMonitor("shop", interval=10, jitter=0, clock=clock)
    monitor.add(check)
    monitor.add(Steered("limps", says=CheckResult.degraded("slow")))
    watch = Watch(clock)
    watch.add()
    monitor.start()
    watch.during(5 * MINUTE)
    check.says = False
    fails = watch.now
    watch.during(15 * MINUTE)
    check.says = True
    works = watch.now
    watch.during(5 * MINUTE)
    check.says = False
    watch.during(4 * MINUTE)
    check.says = True
    watch.during(5 * MINUTE)
    monitor.stop()
    watch.check(
        tmp_path,
        firing(
            "HealthCheckFailing",
            fails + 6 * MINUTE,
            works + MINUTE,
            slack=60,
            checker="shop",
            check="database",
        ),
        texts=[(works, "HealthCheckFailing", "Health check database fails")],
    )


# ---- error budgets ----


def test_a_budget_of_which_less_than_a_tenth_remains_fires_after_ten_minutes(clock, tmp_path):
    budget = hf.ErrorBudget("sync", slo=0.9, window=3600, clock=clock)  # AR-04
    watch = Watch(clock, budget)
    watch.during(5 * MINUTE, recorded(budget, 912, 88))
    assert budget.remaining == pytest.approx(0.12)
    fails = watch.now
    watch.during(15 * MINUTE, recorded(budget, 900, 200))
    assert budget.remaining == 0
    ends = watch.now
    watch.during(5 * MINUTE, recorded(budget, 100_000))
    watch.check(
        tmp_path,
        firing("ErrorBudgetExhausted", fails + 10 * MINUTE, ends, budget="sync"),
        texts=[
            (
                fails + 11 * MINUTE,
                "ErrorBudgetExhausted",
                "0% of the error budget sync remain",
            )
        ],
    )


def test_a_budget_of_which_a_ninth_remains_is_silent(clock, tmp_path):
    budget = hf.ErrorBudget("sync", slo=0.9, window=3600, clock=clock)  # AR-04
    watch = Watch(clock, budget)
    watch.during(60 * MINUTE, recorded(budget, 1112, 108))
    assert 0.1 < budget.remaining < 0.12
    watch.check(tmp_path)


@pytest.mark.parametrize(
    ("name", "least", "say"), [("send", 0.01, "1.1%"), ("system", 0.001, "0.11%")]
)
def test_a_rate_of_errors_above_that_of_its_health_check_fires(name, least, say, clock, tmp_path):
    budget = hf.ErrorBudget(name, slo=0.5, clock=clock)  # AR-13
    watch = Watch(clock, budget)
    above = round(11_000 * least)
    watch.during(20 * MINUTE, recorded(budget, 10_000 - above, above))
    ends = watch.now
    below = round(9_000 * least)
    watch.during(30 * MINUTE, recorded(budget, 10_000 - below, below))
    watch.check(
        tmp_path,
        firing(
            f"{name.title()}ErrorRateHigh",
            6 * MINUTE,
            ends + 3 * MINUTE,
            slack=60,
            budget=name,
        ),
        texts=[
            (ends - MINUTE, f"{name.title()}ErrorRateHigh", f"{say} of the requests of {name} fail")
        ],
    )


def test_errors_of_other_budgets_than_send_and_system_are_no_matter(clock, tmp_path):  # AR-13
    budget = hf.ErrorBudget("sync", slo=0.5, clock=clock)
    watch = Watch(clock, budget)
    watch.during(20 * MINUTE, recorded(budget, 90, 10))
    watch.check(tmp_path)


# ---- several services ----


def of_two_services(clock, **options):
    """Watch two services with a breaker of the same name, of which the small one fails."""
    watch = Watch(clock, namespace="shop", **options)
    large, small = (
        hf.CircuitBreaker("network", failure_threshold=10**6, clock=clock) for _ in range(2)
    )
    watch.add(large, job="large", instance="a")
    watch.add(small, job="small", instance="b")

    def act():
        calls(large, 200)()
        calls(small, 5, 5)()

    watch.during(20 * MINUTE, act)
    return watch


def test_without_a_label_of_services_a_rate_is_that_of_all_instances(clock, tmp_path):
    of_two_services(clock).check(tmp_path)  # D-AR-1


def test_with_a_label_of_services_each_has_its_own_rate(clock, tmp_path):
    fires = firing("HighFailureRate", 6 * MINUTE, slack=60, name="network", job="small")
    of_two_services(clock, by=["job"]).check(tmp_path, fires)


def test_a_budget_of_one_service_pages_for_this_service(clock, tmp_path):
    watch = Watch(clock, by=["job"])
    budgets = [hf.ErrorBudget("receive", slo=0.99, clock=clock) for _ in range(2)]
    watch.add(budgets[0], job="works")
    watch.add(budgets[1], job="fails")

    def act():
        recorded(budgets[0], 1000)()
        recorded(budgets[1], 50, 50)()

    watch.during(20 * MINUTE, act)
    labels = {"budget": "receive", "job": "fails"}
    watch.check(
        tmp_path,
        firing("ErrorBudgetExhausted", 10 * MINUTE, **labels),
        firing("ErrorBudgetBurnsFast", 2 * MINUTE, slack=60, **labels),
        firing("ErrorBudgetBurnsSlowly", 2 * MINUTE, slack=60, **labels),
    )


def test_rules_of_one_namespace_see_nothing_of_another(clock, breaker, tmp_path):  # D-MX-2
    watch = Watch(clock, breaker, namespace="shop")
    breaker.trip()
    watch.during(10 * MINUTE)
    watch.check(tmp_path, firing("CircuitBreakerOpen", 5 * MINUTE, name="network"))
    assert watch.judge(tmp_path, rules=rules_file("dwcp")) == ""


# ---- burn rates ----


def judged_by_both(clock, budget, acts, every, slack):
    """Have the rules and the budget itself judge the same requests; return when the budget pages.

    Args:
        acts: How long, and what is done before each scrape.
        slack: How many seconds apart they may be: the budget counts in slices of 30 s and 3 min,
            and the rules see what two scrapes tell.
    """
    watch = Watch(clock, budget, every=every)
    pages = {"5m/1h": [], "30m/6h": []}

    def acting(act):
        act()
        for pair in budget.paging:
            pages[pair].append(watch.now)

    for seconds, act in acts:
        watch.during(seconds, partial(acting, act))
    fired = []
    for pair, name in (("5m/1h", "ErrorBudgetBurnsFast"), ("30m/6h", "ErrorBudgetBurnsSlowly")):
        if times := pages[pair]:
            assert times == list(range(times[0], times[-1] + every, every))  # once
            fired.append(firing(name, times[0], times[-1] + every, slack, budget=budget.name))
    return watch, pages, fired


def test_an_outage_pages_when_the_budget_itself_pages(clock, tmp_path):
    budget = hf.ErrorBudget("receive", slo=0.999, window=86_400, clock=clock)
    acts = [
        (60 * MINUTE, recorded(budget, 200)),
        (10 * MINUTE, recorded(budget, 0, 200)),
        (90 * MINUTE, recorded(budget, 200)),
    ]
    watch, pages, fired = judged_by_both(clock, budget, acts, 30, 150)
    began, ended = pages["5m/1h"][0], pages["5m/1h"][-1]
    assert 60 * MINUTE < began < 63 * MINUTE
    assert 73 * MINUTE < ended < 77 * MINUTE
    assert len(fired) == 2
    # What a day allows is used up as well.
    exhausted = firing("ErrorBudgetExhausted", 70 * MINUTE, slack=60, budget="receive")
    watch.check(tmp_path, *fired, exhausted)


def test_a_slow_burn_pages_by_the_long_windows_alone(clock, tmp_path):
    budget = hf.ErrorBudget("receive", slo=0.99, window=86_400, clock=clock)
    acts = [
        (60 * MINUTE, recorded(budget, 1000)),
        (4 * 60 * MINUTE, recorded(budget, 900, 100)),  # a burn rate of 10
        (60 * MINUTE, recorded(budget, 1000)),
    ]
    watch, pages, fired = judged_by_both(clock, budget, acts, 120, 420)
    assert pages["5m/1h"] == []
    assert [one.alert for one in fired] == ["ErrorBudgetBurnsSlowly"]
    assert 90 * MINUTE < fired[0].since < 180 * MINUTE
    exhausted = firing("ErrorBudgetExhausted", 76 * MINUTE, slack=120, budget="receive")
    watch.check(tmp_path, *fired, exhausted)


def test_the_summary_of_a_page_says_how_fast_the_budget_burns(clock, tmp_path):
    budget = hf.ErrorBudget("receive", slo=0.99, window=86_400, clock=clock)
    watch = Watch(clock, budget)
    watch.during(60 * MINUTE, recorded(budget, 800, 200))
    summary = "The budget receive burns 20.0 times too fast"
    fast = firing("ErrorBudgetBurnsFast", 2 * MINUTE, slack=120, budget="receive")
    slow = firing("ErrorBudgetBurnsSlowly", 2 * MINUTE, slack=120, budget="receive")
    at = 59 * MINUTE
    # The budget of 24 h is used up as well, by the requests of one hour.
    exhausted = firing("ErrorBudgetExhausted", 10 * MINUTE, slack=60, budget="receive")
    texts = [(at, "ErrorBudgetBurnsFast", summary), (at, "ErrorBudgetBurnsSlowly", summary)]
    watch.check(tmp_path, fast, slow, exhausted, texts=texts)


@pytest.mark.parametrize("window", ["5m", "30m", "1h", "6h"])
def test_a_recorded_burn_rate_is_that_of_the_budget(window, clock, tmp_path):
    budget = hf.ErrorBudget("receive", slo=0.99, clock=clock)
    watch = Watch(clock, budget, every=120)
    watch.during(60 * MINUTE, recorded(budget, 1000))
    watch.during(12 * MINUTE, recorded(budget, 970, 30))
    seconds = {"5m": 300, "30m": 1800, "1h": 3600, "6h": 21_600}[window]
    rate = budget.burn_rate(seconds)
    recorded_rate = f"budget:dwcp_error_budget_burn_rate:{window}"
    near = f"abs({recorded_rate} - {rate}) < bool 0.2"
    watch.asks(tmp_path, {near: {'{budget="receive"}': 1}})


@pytest.mark.parametrize(
    ("slo", "good", "bad", "pages"),
    [
        (0.999, 9990, 10, False),  # at the objective
        (0.999, 9950, 50, False),  # a burn rate of 5
        (0.9, 50, 50, False),  # of so low an objective, half does not page
        (0.9, 30, 70, True),
        (1.0, 999, 1, True),  # that allows no failure
        (0.5, 0, 100, True),
    ],
)
def test_the_share_of_failures_that_pages_is_that_of_the_budget(
    slo, good, bad, pages, clock, tmp_path
):
    budget = hf.ErrorBudget("receive", slo=slo, clock=clock)
    watch = Watch(clock, budget)
    watch.during(40 * MINUTE, recorded(budget, good, bad))
    assert (budget.paging == ("5m/1h", "30m/6h")) is pages
    expected = [firing("ErrorBudgetExhausted", 10 * MINUTE, slack=60, budget="receive")]
    if pages:
        expected += [
            firing(alert, 12 * MINUTE, slack=720, budget="receive")
            for alert in ("ErrorBudgetBurnsFast", "ErrorBudgetBurnsSlowly")
        ]
    watch.check(tmp_path, *expected)


def test_an_error_in_a_quiet_night_pages_nobody(clock, tmp_path):
    """Its burn rate is above 16: one of sixty requests failed, and one of a thousand may."""
    budget = hf.ErrorBudget("receive", slo=0.999, clock=clock)
    watch = Watch(clock, budget, every=120)
    for _ in range(3):
        watch.during(2 * MINUTE, recorded(budget, 0, 1))
        assert budget.burn_rate(3600) > 16
        watch.during(58 * MINUTE, recorded(budget, 2))
    # Of the budget of an hour nothing remains, of which AR-04 warns.
    warns = firing("ErrorBudgetExhausted", 10 * MINUTE, slack=120, budget="receive")
    watch.check(tmp_path, warns)


# ---- operations ----


class Operation:
    """An operation of a manager, whose calls a test ends as it likes."""

    def __init__(self, rm, name, clock, *, critical=False):
        self._clock = clock
        self._breaker = rm.register_circuit_breaker(name, max_failures=10**6, timeout=0.1)
        rm.register_retry_policy(name, max_retries=1, initial_delay=0, on=BlockingIOError)
        self._gate = rm.register_operation(name, critical=critical)

    def good(self):
        self._gate.call(int)

    def bad(self):
        assert not self._gate.try_call([].pop)

    def retried(self):
        errors = [BlockingIOError()]

        def answer():
            if errors:
                raise errors.pop()

        self._gate.call(answer)

    def slow(self):
        with pytest.raises(hf.DeadlineExceededError):
            self._gate.call(self._clock.advance, 0.15)

    def rejected(self):
        self._breaker.force_open()
        assert self._gate.try_call(int).rejection
        self._breaker.reset()

    def cancelled(self):
        def interrupted():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self._gate.call(interrupted)


def acts(operation, **counts):
    """Return an act of so many calls of each kind."""

    def act():
        for kind, count in counts.items():
            for _ in range(count):
                getattr(operation, kind)()

    return act


@pytest.fixture
def rm(clock):
    return hf.ResilienceManager("dwcp", clock=clock)


@pytest.fixture
def watch(clock, rm):
    """Watch all there is: names of a manager begin with its own."""
    watch = Watch(clock)
    watch.add()
    return watch


def test_more_than_one_retry_for_two_calls_fires(clock, rm, watch, tmp_path):  # AR-07, RT-25
    operation = Operation(rm, "send", clock)
    watch.during(20 * MINUTE, acts(operation, good=8, retried=12))
    ends = watch.now
    watch.during(20 * MINUTE, acts(operation, good=11, retried=9))
    watch.check(
        tmp_path,
        firing("RetryRateHigh", 6 * MINUTE, ends + 3 * MINUTE, slack=90, operation="dwcp/send"),
        # A retry makes a call good for its caller, but its breaker sees the failure.
        firing("HighFailureRate", 6 * MINUTE, slack=60, name="dwcp/send"),
        texts=[(ends - MINUTE, "RetryRateHigh", "0.60 retries for each call of dwcp/send")],
    )
    recorded_rate = "round(operation:dwcp_operation_retries:ratio5m, 0.001)"
    watch.asks(tmp_path, {recorded_rate: {'{operation="dwcp/send"}': 0.45}})


def test_retries_of_one_operation_do_not_hide_behind_another(clock, rm, watch, tmp_path):  # AR-07
    small, large = Operation(rm, "small", clock), Operation(rm, "large", clock)

    def act():
        acts(small, retried=2)()
        acts(large, good=50)()

    watch.during(10 * MINUTE, act)
    watch.check(
        tmp_path,
        firing("RetryRateHigh", 6 * MINUTE, slack=60, operation="dwcp/small"),
        firing("HighFailureRate", 6 * MINUTE, slack=60, name="dwcp/small"),
    )


def test_more_than_one_timeout_for_ten_calls_fires(clock, rm, watch, tmp_path):  # AR-08
    operation = Operation(rm, "send", clock)
    watch.during(20 * MINUTE, acts(operation, good=88, slow=12))
    ends = watch.now
    watch.during(20 * MINUTE, acts(operation, good=92, slow=8))
    watch.check(
        tmp_path,
        firing("TimeoutRateHigh", 6 * MINUTE, ends + 3 * MINUTE, slack=90, operation="dwcp/send"),
        firing("HighFailureRate", 6 * MINUTE, ends + 3 * MINUTE, slack=90, name="dwcp/send"),
        texts=[(ends - MINUTE, "TimeoutRateHigh", "12% of the calls of dwcp/send time out")],
    )
    recorded_rate = "round(operation:dwcp_timeouts:ratio5m, 0.001)"
    watch.asks(tmp_path, {recorded_rate: {'{operation="dwcp/send"}': 0.08}})


@pytest.mark.parametrize("kind", ["bad", "slow", "rejected"])
def test_errors_of_a_critical_operation_fire_above_five_percent(kind, clock, rm, watch, tmp_path):
    operation = Operation(rm, "send", clock, critical=True)  # AR-10
    watch.during(20 * MINUTE, acts(operation, good=94, **{kind: 6}))
    ends = watch.now
    watch.during(20 * MINUTE, acts(operation, good=96, **{kind: 4}))
    watch.check(
        tmp_path,
        firing(
            "CriticalOperationFailing",
            6 * MINUTE,
            ends + 3 * MINUTE,
            slack=90,
            operation="dwcp/send",
        ),
        texts=[(ends - MINUTE, "CriticalOperationFailing", "6% of the calls of dwcp/send fail")],
    )
    recorded_rate = "round(operation:dwcp_operations:error_ratio5m, 0.001)"
    watch.asks(tmp_path, {recorded_rate: {'{operation="dwcp/send"}': 0.04}})


def test_errors_of_other_operations_and_cancelled_calls_are_silent(clock, rm, watch, tmp_path):
    ordinary = Operation(rm, "ordinary", clock)  # AR-10
    critical = Operation(rm, "critical", clock, critical=True)

    def act():
        acts(ordinary, good=92, bad=8)()
        acts(critical, good=48, cancelled=50, bad=2)()

    watch.during(20 * MINUTE, act)
    watch.check(tmp_path)


def test_a_collector_of_one_manager_names_operations_plainly(clock, rm, tmp_path):  # AR-10
    operation = Operation(rm, "send", clock, critical=True)
    watch = Watch(clock, rm)
    watch.during(10 * MINUTE, acts(operation, good=94, bad=6))
    watch.check(
        tmp_path, firing("CriticalOperationFailing", 6 * MINUTE, slack=60, operation="send")
    )


# ---- resources ----


@pytest.fixture
def descriptors():
    """Use a share of the descriptors of this process, whose limit is low meanwhile."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(map(int, os.listdir("/proc/self/fd"))) + 1000
    opened = []

    def use(share):
        wanted = round(limit * share) - len(os.listdir("/proc/self/fd"))
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(wanted))
        for _ in range(-wanted):
            os.close(opened.pop())

    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    yield use
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_more_than_80_percent_of_a_limit_fire(clock, rm, descriptors, tmp_path):  # AR-09
    watch = Watch(clock, rm, resources=["file_descriptors"])
    descriptors(0.75)
    watch.during(10 * MINUTE)
    uses = watch.now
    descriptors(0.9)
    watch.during(10 * MINUTE)
    ends = watch.now
    descriptors(0.75)
    watch.during(5 * MINUTE)
    descriptors(0.9)
    watch.during(4 * MINUTE)
    descriptors(0.75)
    watch.during(5 * MINUTE)
    watch.check(
        tmp_path, firing("ResourceUsageHigh", uses + 5 * MINUTE, ends, type="file_descriptors")
    )


# ---- all of them ----


def test_an_outage_of_a_node_is_told_by_all_alerts_that_it_concerns(clock, tmp_path):
    rm = hf.ResilienceManager("dwcp", presets="dwcp", clock=clock)  # RM-08, AR-01 to AR-06, AR-13
    send = rm.operation("send")
    watch = Watch(clock)
    watch.add()

    def calls_of(function):
        def act():
            for _ in range(50):
                clock.advance(0.01)
                send.try_call(function)

        return act

    watch.during(10 * MINUTE, calls_of(int))
    fails = watch.now
    watch.during(15 * MINUTE, calls_of([].pop))
    works = watch.now
    watch.during(15 * MINUTE, calls_of(int))
    rm.stop()
    expected = []
    for alert in ("CircuitBreakerOpen", "CircuitBreakerStaysOpen"):
        since = fails + 6 * MINUTE
        expected.append(firing(alert, since, works + MINUTE, slack=90, name="dwcp/send"))
    # The checks of error rates look at an hour, that of the transport at its breakers.
    ends = {"transport": works + MINUTE, "send-error-rate": inf, "system-error-rate": inf}
    for check, until in ends.items():
        labels = {"checker": "dwcp", "check": check}
        expected.append(firing("HealthCheckFailing", fails + 6 * MINUTE, until, slack=90, **labels))
    for budget in ("dwcp/send", "dwcp/system"):
        expected += [
            firing("ErrorBudgetExhausted", fails + 11 * MINUTE, slack=60, budget=budget),
            firing("ErrorBudgetBurnsSlowly", fails + MINUTE, slack=60, budget=budget),
        ]
        for alert in ("ErrorBudgetBurnsFast", f"{budget[5:].title()}ErrorRateHigh"):
            since = fails + 3 * MINUTE
            expected.append(
                firing(alert, since, works + 4 * MINUTE, slack=3 * MINUTE, budget=budget)
            )
    watch.check(tmp_path, *expected)
