"""The ready-made checks of an application, and the report of all checks."""

import json

import pytest

import holdfast as hf
from holdfast.health import (
    CheckResult,
    CpuCheck,
    DiskCheck,
    EnvironmentCheck,
    HealthMonitor,
    HealthState,
    MemoryCheck,
    PingCheck,
    ThresholdCheck,
    application_checks,
    health_report,
)
from holdfast.health import report as module

# ---- the application ----


def test_a_variable_that_is_missing_or_empty_fails_the_check(monkeypatch):  # HC-16
    monkeypatch.setenv("APP_URL", "postgres://app:secret@db/app")
    monkeypatch.setenv("APP_KEY", "")
    monkeypatch.delenv("APP_HOME", raising=False)
    assert EnvironmentCheck("settings", "APP_URL").run() == CheckResult.passed()
    result = EnvironmentCheck("settings", "APP_URL", "APP_KEY", "APP_HOME").run()
    assert (result.verdict, result.message) == ("failed", "not set: APP_KEY, APP_HOME")
    assert result.details == {"missing": ["APP_KEY", "APP_HOME"]}


def test_the_checks_of_an_application_have_the_usual_limits():  # HC-16
    checks = application_checks(["PATH"], path="/tmp", interval=30)
    environment, memory, cpu, disk = checks
    assert [check.name for check in checks] == ["environment", "memory", "cpu", "disk"]
    assert isinstance(environment, EnvironmentCheck)
    assert environment.variables == ("PATH",)
    assert isinstance(memory, MemoryCheck)
    assert isinstance(cpu, CpuCheck)
    assert isinstance(disk, DiskCheck)
    assert [check.degraded_percent for check in (memory, cpu, disk)] == [90, 95, 90]
    assert [check.failed_percent for check in (memory, cpu, disk)] == [None] * 3
    assert [check.critical for check in checks] == [True, False, False, False]
    assert {check.interval for check in checks} == {30}
    assert disk.path == "/tmp"


def test_an_application_without_variables_has_no_check_of_them():
    assert [check.name for check in application_checks()] == ["memory", "cpu", "disk"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EnvironmentCheck("e"), "variables: got (), allowed at least one name"),
        (lambda: EnvironmentCheck("e", "A=B"), "variables[0]: got 'A=B'"),
        (lambda: EnvironmentCheck("e", "A", 7), "variables[1]: got 7"),
        (lambda: application_checks("PATH"), "variables: got 'PATH', allowed several names"),
        (lambda: application_checks(memory_percent=0), "degraded_percent: got 0"),
    ],
)
def test_variables_that_make_no_sense_are_refused(make, said):
    with pytest.raises(hf.ConfigError) as caught:
        make()
    assert said in str(caught.value)


def test_the_thresholds_of_a_peer_are_checks_of_one_line():  # HC-12, HC-11
    rates = {"send": 0.01, "system": 0.002}
    assert PingCheck("transport", lambda: None).run().verdict == "passed"
    assert ThresholdCheck("send-error-rate", lambda: rates["send"], max=0.01).run() == (
        CheckResult.passed(value=0.01)
    )
    system = ThresholdCheck("system-error-rate", lambda: rates["system"], max=0.001).run()
    assert system.message == "value 0.0020 exceeds maximum threshold 0.0010"
    assert ThresholdCheck("cpu", lambda: 80.0, 0, 80).run().verdict == "passed"
    assert ThresholdCheck("connection-pool", lambda: 0.91, 0, 0.9).run().verdict == "failed"


# ---- the report ----

OF = {
    "healthy": CheckResult.passed(),
    "degraded": CheckResult.degraded("82 % in use", percent=82),
    "unhealthy": CheckResult.failed("gone"),
    "unknown": CheckResult.unproven("late"),
}


@pytest.mark.parametrize(
    ("names", "status"),
    [
        ("healthy", "healthy"),
        ("healthy degraded", "degraded"),
        ("healthy degraded unknown", "unknown"),
        ("healthy degraded unknown unhealthy", "unhealthy"),
        ("unhealthy healthy", "unhealthy"),
        ("", "unknown"),
    ],
)
def test_the_status_of_all_checks_is_that_of_the_worst(names, status):  # HC-16, D-HC-3
    report = health_report({name: OF[name] for name in names.split()})
    assert report.status is HealthState(status)
    counts = {name: int(name in names.split()) for name in OF}
    assert report.summary == {"total": len(names.split()), **counts}


def test_checks_that_run_for_a_report_are_measured(clock, monkeypatch):  # HC-16
    monkeypatch.setattr(module, "system_clock", clock)
    checks = [
        PingCheck("slow", lambda: clock.advance(0.25)),
        PingCheck("slower", lambda: clock.advance(1)),
    ]
    report = health_report(checks)
    assert report.check_duration_ms == 1250
    assert report.summary["healthy"] == 2
    assert health_report(OF, seconds=0.5).check_duration_ms == 500


def test_a_report_is_made_of_values_that_json_has():
    odd = CheckResult.passed("", percent=12.5, peers=("a", {"b": {1}}), at=object)
    report = health_report({"disk": odd, "peer": OF["unhealthy"]}).to_dict()
    assert json.loads(json.dumps(report)) == {
        "status": "unhealthy",
        "summary": {"total": 2, "unknown": 0, "healthy": 1, "degraded": 0, "unhealthy": 1},
        "checks": {
            "disk": {
                "status": "healthy",
                "message": "",
                "details": {
                    "percent": 12.5,
                    "peers": ["a", {"b": "{1}"}],
                    "at": "<class 'object'>",
                },
            },
            "peer": {"status": "unhealthy", "message": "gone", "details": {}},
        },
        "resources": {"disk": 12.5},
        "check_duration_ms": 0.0,
    }


def test_a_report_of_a_monitor_shows_states_ages_and_durations(clock):  # HC-16, HC-10
    monitor = HealthMonitor("shop", interval=10, clock=clock)
    monitor.add(PingCheck("database", lambda: clock.advance(0.5)))
    monitor.add(PingCheck("mail", lambda: OF["degraded"], critical=False, failures=1))
    with monitor:
        report = health_report(monitor)
        assert health_report(monitor.snapshot()).summary == report.summary
    assert report.status == "degraded"
    assert report.summary == {"total": 2, "unknown": 0, "healthy": 1, "degraded": 1, "unhealthy": 0}
    assert report.check_duration_ms == 500
    assert report.resources == {"mail": 82}
    database = report.checks["database"]
    assert (database["critical"], database["duration_ms"]) == (True, 500)
    assert report.checks["mail"]["message"] == "82 % in use"
    json.dumps(report.to_dict())


@pytest.mark.parametrize("found", [7, ["check"], {"a": True}, PingCheck])
def test_a_report_of_something_else_is_refused(found):
    with pytest.raises(TypeError, match=r"health_report\(\)"):
        health_report(found)


def test_checks_that_prove_nothing_run_once_more_for_a_report(clock, monkeypatch):  # HC-16
    monkeypatch.setattr(module, "system_clock", clock)
    began = clock.now()
    ready = PingCheck("ready", lambda: OF["unknown"] if clock.now() < began + 0.1 else None)
    late = PingCheck("late", lambda: OF["unknown"])
    report = health_report([ready, late])
    assert [found["status"] for found in report.checks.values()] == ["healthy", "unknown"]
    assert report.check_duration_ms == 0  # without the pause


def test_the_processors_are_part_of_the_first_report():  # HC-16
    assert health_report([CpuCheck("cpu")]).summary["unknown"] == 0


def test_no_check_of_a_report_hides_another_one_of_its_name():
    checks = [PingCheck("a", lambda: False), PingCheck("a", lambda: True)]
    with pytest.raises(hf.ConfigError, match="'a', allowed checks of which each has another name"):
        health_report(checks)


def test_a_report_says_whether_a_load_balancer_may_send_traffic(clock):  # HC-15, HC-16
    monitor = HealthMonitor("shop", clock=clock)
    monitor.add(PingCheck("database", lambda: True))
    monitor.add(PingCheck("mail", lambda: False, critical=False, failures=1))
    before = health_report(monitor)
    assert (before.ready, before.checks["mail"]["message"]) == (False, "no result yet")
    with monitor:
        shown = health_report(monitor).to_dict()
    assert [shown[name] for name in ("status", "level", "ready", "live")] == [
        "unhealthy",
        "degraded",
        True,
        True,
    ]
    assert "ready" not in health_report(OF).to_dict()
