"""A call may count against several budgets, and a budget may degrade a component."""

import pytest

import holdfast as hf
from holdfast.degradation import Level


@pytest.fixture
def clock():
    return hf.ManualClock()


@pytest.fixture
def rm(clock):
    rm = hf.ResilienceManager("shop", clock=clock)
    for name in ("send", "system"):
        rm.register_error_budget(name, slo=0.9)
        rm.register_latency_budget(name)
    rm.register_operation(
        "send", error_budget=("send", "system"), latency_budget=["send", "system"]
    )
    return rm


def counts(rm):
    return [
        [budget(name).snapshot().total_requests for name in ("send", "system")]
        for budget in (rm.error_budget, rm.latency_budget)
    ]


def test_a_call_counts_once_against_each_of_its_budgets(rm):  # D-RM-5, D-RM-6, RM-10
    for _ in range(3):
        rm.execute("send", len, "ok")
    assert counts(rm) == [[3, 3], [3, 3]]


def test_a_budget_that_is_replaced_counts_the_next_call(rm):
    send = rm.operation("send")
    send.call(len, "ok")
    rm.register_error_budget("system", slo=0.5)
    send.call(len, "ok")
    assert counts(rm)[0] == [2, 1]


def test_the_same_budgets_again_change_nothing(rm):
    passed = rm.operation("send").policies
    rm.register_operation(
        "send", error_budget=["send", "system"], latency_budget=("send", "system")
    )
    assert rm.operation("send").policies == passed
    rm.register_operation("send", error_budget=("send", rm.error_budget("system")))
    assert rm.operation("send").policies == (
        rm.error_budget("send"),
        rm.error_budget("system"),
        rm.latency_budget("send"),
        passed[-1],
    )


def test_a_budget_that_an_operation_names_among_others_is_not_forgotten(rm):
    with pytest.raises(hf.ConfigError, match="'send'"):
        rm.unregister("error_budget", "system")
    assert "policy_not_used" not in {finding.code for finding in rm.lint()}


def test_a_budget_that_nobody_has_registered_is_an_error_with_the_nearest_name(rm):
    rm.register_operation("send", error_budget=("send", "sytem"))
    [finding] = [one for one in rm.lint() if one.code == "policy_not_registered"]
    assert "'sytem'" in finding.message
    with pytest.raises(hf.UnprotectedError, match=r"'sytem'.*'system'"):
        rm.execute("send", len, "ok")


@pytest.mark.parametrize(
    "settings", [{"error_budget": ("send", 5)}, {"retry": ("send",)}, {"error_budget": (None,)}]
)
def test_what_is_no_budget_and_what_takes_one_only_is_refused(rm, settings):
    with pytest.raises(hf.ConfigError, match=f"{next(iter(settings))}: got"):
        rm.register_operation("send", **settings)


def test_an_exhausted_budget_degrades_a_component_whichever_budget_has_the_name(rm):  # EB-05
    rm.degrade_while_exhausted("send", "sending")
    component = rm.degradation.component("sending")
    rm.error_budget("send").record(ok=False, n=100)
    assert component.level is Level.DEGRADED
    other = rm.register_error_budget("send", slo=0.8)
    rm.degradation._clock.advance(rm.degradation.stable_time)
    assert component.level is Level.NORMAL
    other.record(ok=False, n=100)
    assert component.level is Level.DEGRADED


def test_a_budget_that_does_not_exist_degrades_nothing(rm):
    with pytest.raises(LookupError, match="send"):
        rm.degrade_while_exhausted("sent")
    with pytest.raises(hf.ConfigError, match="component"):
        rm.degrade_while_exhausted("send", "")
