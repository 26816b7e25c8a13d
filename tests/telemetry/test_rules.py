"""What the rules are: names, expressions and severities, and a file that Prometheus loads.

Whether alerts fire when they must: test_rules_at_work.
"""

import re
import shutil

import pytest

import holdfast as hf
from holdfast.policies.error_budget.burn import lower_bound
from holdfast.telemetry.families import FAMILIES
from holdfast.telemetry.rules import rule_groups, rules_file
from tests.apart import run_apart
from tests.telemetry.promtool import Watch, promtool

# A name of a metric in an expression; `budget:shop_…` is one that a rule records.
METRIC = re.compile(r"(?<![\w:])shop_\w+")
RECORDED = re.compile(r"\w+:shop_\w+:\w+")


def rules(namespace="shop", **options):
    return [rule for group in rule_groups(namespace, **options) for rule in group.rules]


def alerts(namespace="shop"):
    return {rule.name: rule for rule in rules(namespace) if rule.is_alert}


@pytest.fixture
def checked(tmp_path, require_real):
    if shutil.which("promtool") is None:
        require_real("promtool is not installed: make system-packages")

    def check(text):
        path = tmp_path / "rules.yml"
        path.write_text(text)
        return promtool("check", "rules", str(path))

    return check


@pytest.mark.parametrize("namespace", ["holdfast", "dwcp", "a", "_", "my_shop__2", "x" * 100])
@pytest.mark.parametrize("by", [(), ("job",), ("job", "cluster")])
def test_promtool_finds_the_file_valid(namespace, by, checked):  # AR-15
    done = checked(rules_file(namespace, by=by))
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(rules())} rules found" in done.stdout
    assert done.stderr == ""


def test_promtool_would_refuse_a_rule_that_does_not_parse(checked):
    assert checked(rules_file().replace("== 2", "== 2 and")).returncode != 0


def test_the_alerts_of_dwcp_have_their_published_names_expressions_and_severities():
    group = rule_groups("dwcp")[1]
    assert group.name == "dwcp_resilience_alerts"  # AR-05
    requests = "dwcp_circuit_breaker_requests_total"
    failures = f'sum by (name) (rate({requests}{{result="failure"}}[5m]))'
    all_of_them = f"sum by (name) (rate({requests}[5m]))"
    published = [
        ("CircuitBreakerOpen", "dwcp_circuit_breaker_state == 2", "5m", "critical"),  # AR-01
        (
            "HighFailureRate",  # AR-02, D-AR-1
            f"{failures} / {all_of_them} > 0.1",
            "5m",
            "warning",
        ),
        ("HealthCheckFailing", "dwcp_health_check_status == 0", "5m", "critical"),  # AR-03
        ("ErrorBudgetExhausted", "dwcp_error_budget_remaining < 0.1", "10m", "warning"),  # AR-04
    ]
    there = alerts("dwcp")
    for name, expr, after, severity in published:
        rule = there[f"DWCP{name}"]
        assert (" ".join(rule.expr.split()), rule.after, rule.severity) == (expr, after, severity)


@pytest.mark.parametrize(
    ("alert", "label"),
    [
        ("CircuitBreakerOpen", "name"),
        ("HighFailureRate", "name"),
        ("HealthCheckFailing", "check"),
        ("ErrorBudgetExhausted", "budget"),
    ],
)
def test_annotations_name_the_policy_by_its_label(alert, label):  # AR-05
    rule = alerts()[f"Shop{alert}"]
    assert f"{{{{ $labels.{label} }}}}" in rule.summary
    assert f"{{{{ $labels.{label} }}}}" in rule.description


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("holdfast", "HoldfastCircuitBreakerOpen"),
        ("my_shop", "MyShopCircuitBreakerOpen"),
        ("dwcp", "DWCPCircuitBreakerOpen"),
    ],
)
def test_names_of_alerts_begin_with_the_namespace(namespace, name):
    assert name in alerts(namespace)


def test_each_alert_has_a_severity_a_summary_and_a_description():
    there = alerts()
    for rule in there.values():
        assert rule.severity in {"critical", "warning"}
        assert rule.summary
        assert rule.description.endswith(".")
        assert "\n" not in rule.summary + rule.description
    assert len(there) == 18
    assert len({rule.name for rule in rules()}) == len(rules())


@pytest.mark.parametrize("by", [(), ("job",)])
def test_a_rule_reads_only_metrics_that_are_exported_or_recorded_before(by):
    exported = {f"shop_{family.name}{suffix}" for family in FAMILIES for suffix, _ in family.rows}
    recorded = set()
    for rule in rules(by=by):
        assert set(METRIC.findall(rule.expr)) <= exported, rule.name
        assert set(RECORDED.findall(rule.expr)) <= recorded, rule.name
        assert "@" not in rule.expr + rule.name
        if not rule.is_alert:
            recorded.add(rule.name)
    assert len(recorded) > 20


def test_a_file_needs_no_prometheus_client():
    said = run_apart(
        "import sys\nsys.modules['prometheus_client'] = None\n"
        "from holdfast.telemetry.rules import rules_file\nprint(rules_file()[:7])\n"
    )
    assert said == "# Rules\n"


# ---- the evidence of a page ----


@pytest.mark.parametrize("outcomes", [(100, 10), (40, 40), (1000, 1), (7, 3), (60, 0)])
def test_what_a_share_of_failures_proves_is_computed_as_the_budget_does(
    outcomes, clock, tmp_path, require_real
):
    if shutil.which("promtool") is None:
        require_real("promtool is not installed: make system-packages")
    total, failed = outcomes
    budget = hf.ErrorBudget("z", slo=0.99, clock=clock)
    watch = Watch(clock, budget, every=60)

    def act():  # five times in five minutes
        budget.record(ok=True, n=10 * (total - failed)) if total > failed else None
        budget.record(ok=False, n=10 * failed) if failed else None

    watch.during(20 * 60, act)
    expected = lower_bound(50 * total, 50 * failed)
    proven = "budget:dwcp_error_budget_requests:failure_ratio5m_proven"
    near = f"abs({proven} - {expected:.12f}) < bool 1e-6"
    watch.asks(tmp_path, {near: {'{budget="z"}': 1}})


# ---- what is refused ----


@pytest.mark.parametrize("namespace", ["", "1x", "a-b", "a b", "ä", "x" * 101, None, 7])
def test_a_namespace_that_no_metric_can_have_is_refused(namespace):
    with pytest.raises(hf.ConfigError, match=r"namespace: got .*, allowed letters, digits"):
        rules_file(namespace)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("job", r"by: got 'job', allowed a sequence of labels, such as \['job'\]"),
        (["job", "job"], r"by\[1\]: got 'job', allowed a name of a label, each once"),
        ([""], r"by\[0\]: got '', allowed a name of a label"),
        ([3], r"by\[0\]: got 3, allowed a name of a label"),
        (["a b"], r"by\[0\]: got 'a b', allowed a name of a label"),
        (["budget"], r"by\[0\]: got 'budget', allowed a label that the metrics do not have"),
    ],
)
def test_labels_that_tell_no_services_apart_are_refused(by, message):
    with pytest.raises(hf.ConfigError, match=message):
        rule_groups(by=by)


def test_all_that_is_wrong_is_named_at_once():
    with pytest.raises(hf.ConfigError) as refused:
        rule_groups("1", by=["name"])
    assert len(refused.value.problems) == 2
