"""Alert rules and recording rules for Prometheus, as data and as the file that it loads.

An expression names a metric as ``@name``: the namespace takes the place of the ``@``. What a rule
records is named after its level and its metric, ``budget:holdfast_error_budget_requests:…``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast._version import __version__
from holdfast.policies.error_budget.burn import MIN_FAILURES, PAIRS
from holdfast.telemetry.families import FAMILIES, NAMESPACE
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Group", "Rule", "rule_groups", "rules_file"]

# A counter that is summed up loses its labels but for these; the levels of what is recorded.
_LEVELS = ("budget", "operation")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}", re.ASCII)
_PUBLISHED = {"dwcp": "DWCP"}  # how the alerts of this namespace have always been called

_SPOKEN = {"5m": "5 minutes", "30m": "30 minutes", "1h": "hour", "6h": "6 hours"}
_WINDOWS = tuple(_SPOKEN)
# Wilson's interval, one-sided, 95 %: HF_BURN_Z in csrc/holdfast/hf_burn.h.
_Z = 1.6448536269


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: an alert, or an expression whose value is recorded.

    Attributes:
        name: The name of the alert, or of the metric that is recorded.
        expr: The expression in PromQL.
        after: How long the expression must hold before the alert fires, as in "5m"; "" for at once.
        severity: "critical" if somebody must act now, "warning" if it can wait for the day; "" for
            a rule that records.
        summary: One line, a template of Prometheus.
        description: What it means and what to look at, a template of Prometheus.
        labels: More labels of the alert.
    """

    name: str
    expr: str
    after: str = ""
    severity: str = ""
    summary: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_alert(self) -> bool:
        """Whether it is an alert."""
        return bool(self.severity)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that Prometheus evaluates one after the other.

    Attributes:
        name: The name of the group.
        rules: The rules, in their order.
    """

    name: str
    rules: tuple[Rule, ...]


def rule_groups(namespace: str = "holdfast", *, by: Sequence[str] = ()) -> tuple[Group, ...]:
    """Return the recording rules and the alerts, as two groups.

    Args:
        namespace: The namespace of the metrics, as the ``Collector`` has it. It is also the first
            part of the names of groups and alerts.
        by: Labels that tell services apart, such as "job". Without them, rates and ratios are those
            of all instances that export a name together.

    Raises:
        ConfigError: An argument is invalid; the message lists all of them.
    """
    problems = Problems("rules")
    if not NAMESPACE.fullmatch(namespace if type(namespace) is str else ""):
        problems.refuse("namespace", namespace, "letters, digits and underscores, no digit first")
    if isinstance(by, str):
        problems.refuse("by", by, f"a sequence of labels, such as [{by!r}]")
        by = ()
    used = {label for family in FAMILIES for label in family.labels}
    for at, label in enumerate(by):
        if not _LABEL.fullmatch(label if type(label) is str else "") or label in by[:at]:
            problems.refuse(f"by[{at}]", label, "a name of a label, each once")
        elif label in used:
            problems.refuse(f"by[{at}]", label, "a label that the metrics do not have themselves")
    problems.done()
    named = _Named(namespace, tuple(by))
    return (
        Group(f"{namespace}_resilience_records", tuple(map(named.rule, _records()))),
        Group(f"{namespace}_resilience_alerts", tuple(map(named.rule, _alerts()))),  # AR-05
    )


def rules_file(namespace: str = "holdfast", *, by: Sequence[str] = ()) -> str:
    """Return the rules as a file that Prometheus loads (``rule_files``), in YAML.

    Args:
        namespace: The namespace of the metrics, as the ``Collector`` has it.
        by: Labels that tell services apart, such as "job".

    Raises:
        ConfigError: An argument is invalid; the message lists all of them.

    >>> print(rules_file("shop").splitlines()[3])
      - name: shop_resilience_records
    """
    groups = rule_groups(namespace, by=by)
    lines = [f"# Rules for the metrics of holdfast {__version__}. Check: promtool check rules FILE"]
    lines.append("groups:")
    for group in groups:
        lines += ["", f"  - name: {group.name}", "    rules:"]
        for rule in group.rules:
            lines += _yaml_of(rule)
    return "\n".join(lines) + "\n"


class _Named:
    """Puts the namespace into rules, and the labels that tell services apart."""

    def __init__(self, namespace: str, by: tuple[str, ...]) -> None:
        self._metric = f"{namespace}_"
        self._alert = _PUBLISHED.get(namespace) or "".join(
            part[:1].upper() + part[1:] for part in namespace.split("_")
        )
        self._level = "".join(f"{label}_" for label in by)
        self._by = "".join(f"{label}, " for label in by)

    def rule(self, rule: Rule) -> Rule:
        """Return the rule as it is exported."""
        return Rule(
            self._alert + rule.name if rule.is_alert else self._expr(rule.name),
            self._expr(rule.expr),
            rule.after,
            rule.severity,
            rule.summary,
            rule.description,
            rule.labels,
        )

    def _expr(self, text: str) -> str:
        levels = "|".join(_LEVELS)
        text = re.sub(rf"\b(?=(?:{levels}):@)", self._level, text)
        if self._by:
            text = re.sub(r"\b(by|on) \(", rf"\1 ({self._by}", text).replace(", )", ")")
        return text.replace("@", self._metric)


def _yaml_of(rule: Rule) -> Iterator[str]:
    yield ""
    yield f"      - {'alert' if rule.is_alert else 'record'}: {rule.name}"
    yield "        expr: |-"
    for line in rule.expr.splitlines():
        yield f"          {line}"
    if not rule.is_alert:
        return
    if rule.after:
        yield f"        for: {rule.after}"
    yield "        labels:"
    for label, value in {"severity": rule.severity, **rule.labels}.items():
        yield f"          {label}: {value}"
    yield "        annotations:"
    for what, text in (("summary", rule.summary), ("description", rule.description)):
        yield f"          {what}: '{text.replace(chr(39), chr(39) * 2)}'"


# ---- what is recorded ----


def _records() -> Iterator[Rule]:
    for window in _WINDOWS:
        yield from _of_budgets(window)
    yield Rule(
        "budget:@error_budget_allowed:min",
        "min by (budget) (@error_budget_allowed)",
    )
    for window in _WINDOWS:
        yield Rule(
            f"budget:@error_budget_burn_rate:{window}",
            f"budget:@error_budget_requests:failure_ratio{window}\n"
            "  / budget:@error_budget_allowed:min",
        )
    for pair in PAIRS:
        yield from _of_pages(pair.word, pair.rate)
    yield Rule(  # RT-25
        "operation:@operation_retries:ratio5m",
        "sum by (operation) (rate(@operation_retries_total[5m]))\n"
        "  / sum by (operation) (rate(@operations_total[5m]))",
    )
    yield Rule(
        "operation:@timeouts:ratio5m",
        "sum by (operation) (rate(@timeouts_total[5m]))\n"
        "  / sum by (operation) (rate(@operations_total[5m]))",
    )
    yield Rule(
        "operation:@operations:error_ratio5m",
        'sum by (operation) (rate(@operations_total{result=~"failure|rejected|timeout"}[5m]))\n'
        '  / sum by (operation) (rate(@operations_total{result!="cancelled"}[5m]))',
    )


def _of_budgets(window: str) -> Iterator[Rule]:
    """What a burn rate is made of: requests, failures, and the share of failures."""
    requests = f"budget:@error_budget_requests:increase{window}"
    failures = f"budget:@error_budget_requests:failures{window}"
    yield Rule(requests, f"sum by (budget) (increase(@error_budget_requests_total[{window}]))")
    yield Rule(
        failures,
        f'sum by (budget) (increase(@error_budget_requests_total{{result="failure"}}[{window}]))',
    )
    yield Rule(
        f"budget:@error_budget_requests:failure_ratio{window}", f"{failures}\n  / {requests}"
    )


def _of_pages(pair: str, rate: float) -> Iterator[Rule]:
    """The share of failures that pages, and the least that the failures of a short window prove."""
    short, long = pair.split("/")
    requests = f"budget:@error_budget_requests:increase{short}"
    share = f"budget:@error_budget_requests:failure_ratio{short}"
    allowed, square = "budget:@error_budget_allowed:min", _Z * _Z
    most = f"(1 + {allowed}) / 2"
    yield Rule(
        f"budget:@error_budget_pages:limit{short}_{long}",
        f"({rate:g} * {allowed} < {most})\n  or {most}",
    )
    yield Rule(
        f"budget:@error_budget_requests:failure_ratio{short}_proven",
        f"(\n  {share} + {square / 2:.10g} / {requests}\n"
        f"  - {_Z} * sqrt(\n"
        f"    {share} * (1 - {share}) / {requests}\n"
        f"    + {square / 4:.10g} / {requests} ^ 2\n  )\n"
        f") / (1 + {square:.10g} / {requests})",
    )


# ---- what somebody is told ----


def _alerts() -> Iterator[Rule]:
    yield Rule(  # AR-01
        "CircuitBreakerOpen",
        "@circuit_breaker_state == 2",
        "5m",
        "critical",
        "Circuit breaker {{ $labels.name }} is open",
        "The circuit breaker {{ $labels.name }} has been open for 5 minutes. It refuses calls, or "
        "nobody calls: without a call an open breaker does not close.",
    )
    yield Rule(  # AR-06
        "CircuitBreakerStaysOpen",
        "@circuit_breaker_state > 0\n"
        "  and sum without (result) (\n"
        '    increase(@circuit_breaker_requests_total{result=~"failure|rejected"}[5m])\n'
        "  ) > 0",
        "5m",
        "critical",
        "Circuit breaker {{ $labels.name }} does not close",
        "The circuit breaker {{ $labels.name }} has not been closed for 5 minutes, and calls were "
        "refused or failed meanwhile. Its probes fail.",
    )
    yield Rule(  # AR-02, D-AR-1
        "HighFailureRate",
        'sum by (name) (rate(@circuit_breaker_requests_total{result="failure"}[5m]))\n'
        "  / sum by (name) (rate(@circuit_breaker_requests_total[5m])) > 0.1",
        "5m",
        "warning",
        "{{ $value | humanizePercentage }} of the calls of {{ $labels.name }} fail",
        "More than 10 % of the calls through the circuit breaker {{ $labels.name }} have failed "
        "for 5 minutes.",
    )
    yield Rule(  # AR-03
        "HealthCheckFailing",
        "@health_check_status == 0",
        "5m",
        "critical",
        "Health check {{ $labels.check }} fails",
        "The health check {{ $labels.check }} of {{ $labels.checker }} has been unhealthy for "
        "5 minutes, or has no result.",
    )
    yield Rule(  # AR-04
        "ErrorBudgetExhausted",
        "@error_budget_remaining < 0.1",
        "10m",
        "warning",
        "{{ $value | humanizePercentage }} of the error budget {{ $labels.budget }} remain",
        "Less than a tenth of the error budget {{ $labels.budget }} has remained for 10 minutes.",
    )
    yield from _alerts_of_burn_rates()
    yield from _alerts_of_operations()
    yield from _alerts_of_components()
    yield Rule(  # AR-09
        "ResourceUsageHigh",
        "@resources / @resources_limit > 0.8",
        "5m",
        "warning",
        "{{ $value | humanizePercentage }} of the limit of {{ $labels.type }} are used",
        "More than 80 % of the {{ $labels.type }} that this process or its machine may use, or a "
        "manager of resources may register, have been used for 5 minutes.",
    )
    for budget, percent in (("send", "1"), ("system", "0.1")):  # AR-13
        named = f'budget=~"(.+/)?{budget}"'  # a manager's may be written "manager/send"
        failed = f'{{{named},result="failure"}}'
        yield Rule(
            f"{budget.title()}ErrorRateHigh",
            f"sum by (budget) (rate(@error_budget_requests_total{failed}[5m]))\n"
            f"  / sum by (budget) (rate(@error_budget_requests_total{{{named}}}[5m]))\n"
            f"  > {float(percent) / 100:g}",
            "5m",
            "warning",
            "{{ $value | humanizePercentage }} of the requests of {{ $labels.budget }} fail",
            f"More than {percent} % of the requests that count for the error budget "
            "{{ $labels.budget }} have failed for 5 minutes.",
        )


def _alerts_of_burn_rates() -> Iterator[Rule]:
    """A budget that pages: see ``holdfast.policies.error_budget.burn``."""
    for name, pair in zip(("BurnsFast", "BurnsSlowly"), PAIRS, strict=True):
        short, long = pair.word.split("/")
        limit = f"budget:@error_budget_pages:limit{short}_{long}"
        yield Rule(
            f"ErrorBudget{name}",
            f"budget:@error_budget_burn_rate:{long}\n"
            "  and (\n"
            f"    budget:@error_budget_requests:failures{long} >= {MIN_FAILURES}\n"
            f"    and budget:@error_budget_requests:failure_ratio{long} > {limit}\n"
            f"    and budget:@error_budget_requests:failure_ratio{short}_proven > {limit}\n"
            "  )",
            "",
            "critical",
            'The budget {{ $labels.budget }} burns {{ $value | printf "%.1f" }} times too fast',
            f"The failures of the last {_SPOKEN[long]} use up the error budget "
            f"{{{{ $labels.budget }}}} too fast, and those of the last {_SPOKEN[short]} prove that "
            "this goes on.",
            {"windows": f"{short}_{long}"},
        )


def _alerts_of_operations() -> Iterator[Rule]:
    yield Rule(  # AR-07, RT-25
        "RetryRateHigh",
        "sum by (operation) (rate(@operation_retries_total[5m]))\n"
        "  / sum by (operation) (rate(@operations_total[5m])) > 0.5",
        "5m",
        "warning",
        '{{ $value | printf "%.2f" }} retries for each call of {{ $labels.operation }}',
        "The operation {{ $labels.operation }} has needed more than one retry for two calls for "
        "5 minutes. What it calls fails often, even where the callers do not notice.",
    )
    yield Rule(  # AR-08
        "TimeoutRateHigh",
        "sum by (operation) (rate(@timeouts_total[5m]))\n"
        "  / sum by (operation) (rate(@operations_total[5m])) > 0.1",
        "5m",
        "warning",
        "{{ $value | humanizePercentage }} of the calls of {{ $labels.operation }} time out",
        "The operation {{ $labels.operation }} has had more than one timeout for ten calls for "
        "5 minutes.",
    )
    yield Rule(  # AR-10
        "CriticalOperationFailing",
        'sum by (operation) (rate(@operations_total{result=~"failure|rejected|timeout"}[5m]))\n'
        '  / sum by (operation) (rate(@operations_total{result!="cancelled"}[5m])) > 0.05\n'
        "  and on (operation) max by (operation) (@operation_critical) == 1",
        "5m",
        "critical",
        "{{ $value | humanizePercentage }} of the calls of {{ $labels.operation }} fail",
        "More than 5 % of the calls of the critical operation {{ $labels.operation }} have failed, "
        "been refused or timed out for 5 minutes.",
    )


def _alerts_of_components() -> Iterator[Rule]:
    """A supervisor tries again at intervals of up to 10 minutes, so it is asked for the last 15."""
    yield Rule(
        "ComponentDown",
        "@component_up == 0",
        "5m",
        "critical",
        "Component {{ $labels.component }} is down",
        "The component {{ $labels.component }} of {{ $labels.supervisor }} has been down for "
        "5 minutes.",
    )
    yield Rule(
        "ComponentCoolingDown",
        "max_over_time(@component_state[15m]) == 3\n  and @component_up == 0",
        "",
        "warning",
        "All attempts to recover {{ $labels.component }} have failed",
        "The component {{ $labels.component }} of {{ $labels.supervisor }} is down, and all "
        "attempts to recover it have failed. Others follow, after pauses of up to 10 minutes.",
    )
    yield Rule(
        "ComponentGivenUp",
        "@component_state == 4",
        "",
        "critical",
        "Component {{ $labels.component }} is given up",
        "The component {{ $labels.component }} of {{ $labels.supervisor }} is down, and nobody "
        "restarts it. It needs somebody who does.",
    )
    yield Rule(
        "ComponentFlapping",
        "sum without (result) (\n"
        '  increase(@component_recoveries_total{result="recovered"}[30m])\n'
        ") >= 4",
        "",
        "warning",
        "Component {{ $labels.component }} comes back and fails again",
        "The component {{ $labels.component }} of {{ $labels.supervisor }} has recovered at least "
        "4 times within 30 minutes. Restarts hide what is wrong with it.",
    )
    yield Rule(
        "SupervisorEscalated",
        "increase(@supervisor_escalations_total[15m]) > 0",
        "",
        "warning",
        "{{ $labels.component }} fails more often than {{ $labels.supervisor }} allows",
        "The component {{ $labels.component }} of {{ $labels.supervisor }} has been restarted more "
        "often within a short time than max_restarts allows.",
    )
