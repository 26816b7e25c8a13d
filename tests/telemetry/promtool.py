"""Alert rules at work: what real policies say is scraped, and promtool evaluates the rules on it.

A ``Watch`` scrapes as Prometheus would, on a clock that the test moves. ``check`` writes what it
has scraped as the series of a test file, and says which alerts fire when; promtool, which is
Prometheus' own code, says whether they do.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry

from holdfast.telemetry.prometheus import Collector
from holdfast.telemetry.rules import Rule, rule_groups, rules_file

#: Series that no rule reads, and of which there are many.
UNREAD = ("_bucket", "_sum", "_count")


class Firing(NamedTuple):
    """An alert that fires for a while.

    Attributes:
        alert: Its name, without the namespace.
        since: The first evaluation at which it fires, in seconds from the first scrape.
        until: The first evaluation at which it does not fire any more.
        labels: Its labels but for the severity.
        slack: How many seconds earlier or later than ``since`` and ``until`` are fine as well.
    """

    alert: str
    since: float
    until: float
    labels: dict[str, str]
    slack: float = 0


def firing(alert: str, since: float, until: float = inf, slack: float = 0, **labels: str) -> Firing:
    return Firing(alert, since, until, labels, slack)


class Watch:
    """Scrapes collectors again and again, and remembers each sample."""

    def __init__(
        self,
        clock: Any,
        *sources: Any,
        every: int = 60,
        namespace: str = "dwcp",
        by: Iterable[str] = (),
        resources: Iterable[str] = (),
    ) -> None:
        self.clock, self.every, self.namespace, self.by = clock, every, namespace, tuple(by)
        self._resources = set(resources)  # others are those of whatever runs the tests
        self.rules = {
            rule.name: rule
            for group in rule_groups(namespace, by=self.by)
            for rule in group.rules
            if rule.is_alert
        }
        self.prefix = next(iter(self.rules)).removesuffix("CircuitBreakerOpen")
        self._targets: list[tuple[dict[str, str], CollectorRegistry]] = []
        self._samples: dict[str, list[str]] = {}
        self._scrapes = 0
        if sources:
            self.add(*sources)

    def add(self, *sources: Any, **labels: str) -> None:
        """Scrape these too (or all there is, without any) as a target with these labels."""
        registry = CollectorRegistry()
        registry.register(Collector(*sources, namespace=self.namespace))
        self._targets.append((labels, registry))

    @property
    def now(self) -> int:
        """Return the time of the next scrape in seconds from the first."""
        return self._scrapes * self.every

    def scrape(self) -> None:
        for labels, registry in self._targets:
            for metric in registry.collect():
                of_machine = metric.name.startswith(f"{self.namespace}_resources")
                for sample in metric.samples:
                    if of_machine and sample.labels["type"] not in self._resources:
                        continue
                    if not sample.name.endswith(UNREAD):
                        series = series_of(sample.name, {**sample.labels, **labels})
                        values = self._samples.setdefault(series, [])
                        values += ["_"] * (self._scrapes - len(values))
                        values.append(repr(sample.value))
        for values in self._samples.values():  # of what has gone
            if len(values) == self._scrapes and values[-1] not in ("_", "stale"):
                values.append("stale")
        self._scrapes += 1

    def during(self, seconds: int, act: Callable[[], object] = lambda: None) -> None:
        """Act and scrape, again and again, for so long."""
        for _ in range(seconds // self.every):
            until = self.clock.now() + self.every
            act()
            self.scrape()
            self.clock.advance(until - self.clock.now())

    # ---- what promtool is to judge ----

    def check(self, folder: Path, *fired: Firing, rules: str = "", texts: Any = ()) -> None:
        """Assert that these alerts fire, when they do, and that no other ever does.

        Args:
            folder: Where the files of promtool go.
            fired: The alerts, and when.
            rules: The file of rules; that of the namespace by default.
            texts: The time, the alert and the summary of alerts whose annotations are compared.
        """
        wrong = self.judge(folder, *fired, rules=rules, texts=texts)
        assert wrong == "", wrong

    def judge(self, folder: Path, *fired: Firing, rules: str = "", texts: Any = ()) -> str:
        """Return what promtool says against it; "" for nothing."""
        last = self.now - self.every
        named = "|".join(sorted({self.prefix + one.alert for one in fired}))
        silent = f'max_over_time(ALERTS{{alertstate="firing",alertname!~"{named}"}}[{last + 1}s])'
        none: list[object] = []
        asked: list[dict[str, Any]] = [
            {"expr": silent, "eval_time": f"{last}s", "exp_samples": none}
        ]
        for alert in sorted({one.alert for one in fired}):
            of_it = [one for one in fired if one.alert == alert]
            for at in range(0, self.now, self.every):
                if not any(_near(one, at) for one in of_it):
                    here = [one for one in of_it if one.since <= at < one.until]
                    asked.append(self._asked(alert, at, here))
        spoken = [self._spoken(at, alert, text, fired) for at, alert, text in texts]
        return self._run(folder, rules, {"promql_expr_test": asked, "alert_rule_test": spoken})

    def asks(self, folder: Path, answers: dict[str, dict[str, float]]) -> None:
        """Assert what expressions give at the last scrape: by expression the series."""
        asked = [
            {
                "expr": expression,
                "eval_time": f"{self.now - self.every}s",
                "exp_samples": [
                    {"labels": labels, "value": value} for labels, value in series.items()
                ],
            }
            for expression, series in answers.items()
        ]
        wrong = self._run(folder, "", {"promql_expr_test": asked})
        assert wrong == "", wrong

    def _run(self, folder: Path, rules: str, asked: dict[str, Any]) -> str:
        (folder / "rules.yml").write_text(rules or rules_file(self.namespace, by=self.by))
        series = [
            {"series": series, "values": " ".join(values)}
            for series, values in self._samples.items()
        ]
        test = {"interval": f"{self.every}s", "input_series": series, **asked}
        described = {
            "rule_files": [str(folder / "rules.yml")],
            "evaluation_interval": f"{self.every}s",
            "tests": [test],
        }
        (folder / "test.yml").write_text(json.dumps(described))  # JSON is YAML
        done = promtool("test", "rules", str(folder / "test.yml"))
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def _asked(self, alert: str, at: int, here: list[Firing]) -> dict[str, Any]:
        name = self.prefix + alert
        return {
            "expr": f'ALERTS{{alertstate="firing",alertname="{name}"}}',
            "eval_time": f"{at}s",
            "exp_samples": [
                {
                    "labels": series_of(
                        "ALERTS",
                        {"alertname": name, "alertstate": "firing", **self._labels(name, one)},
                    ),
                    "value": 1,
                }
                for one in here
            ],
        }

    def _labels(self, name: str, one: Firing) -> dict[str, str]:
        rule = self.rules[name]
        return {"severity": rule.severity, **rule.labels, **one.labels}

    def _spoken(self, at: int, alert: str, summary: str, fired: Any) -> dict[str, Any]:
        name = self.prefix + alert
        [one] = [one for one in fired if one.alert == alert]
        return {
            "eval_time": f"{at}s",
            "alertname": name,
            "exp_alerts": [
                {
                    "exp_labels": self._labels(name, one),
                    "exp_annotations": {
                        "summary": summary,
                        "description": filled(self.rules[name], one.labels),
                    },
                }
            ],
        }


def _near(one: Firing, at: int) -> bool:
    """Whether a time is too near to a change to say anything of it."""
    return any(
        edge - one.slack <= at < edge + one.slack and one.slack for edge in (one.since, one.until)
    )


def filled(rule: Rule, labels: dict[str, str]) -> str:
    """Return a description with the labels in it."""
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], rule.description)


def series_of(name: str, labels: dict[str, str]) -> str:
    """Return the series in PromQL, whose strings are written as those of JSON."""
    inner = ",".join(f"{label}={json.dumps(value)}" for label, value in labels.items())
    return f"{name}{{{inner}}}"


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program is not None
    return subprocess.run([program, *arguments], text=True, capture_output=True, check=False)
