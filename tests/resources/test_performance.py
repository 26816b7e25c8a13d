"""PerformanceMonitor: what a look shows of operations, workers and caches, and its life."""

import functools
import gc
import json
import os
import threading
from dataclasses import asdict

import pytest

import holdfast as hf
from holdfast.resources.performance import PerformanceMonitor
from holdfast.resources.report import CacheFigures
from holdfast.supervision import CallableComponent, Supervisor


@pytest.fixture
def rm(clock):
    made = hf.ResilienceManager("collector", clock=clock)
    made.register_circuit_breaker("api_call", max_failures=3)
    return made


@pytest.fixture
def monitor(rm, clock):
    made = PerformanceMonitor("collector", manager=rm, clock=clock)
    yield made
    made.stop()


def fail():
    raise ConnectionResetError


# ---- operations ----


def test_calls_of_an_operation_are_seen_without_being_told(
    rm, monitor, clock
):  # PM-03, D-C-10, TS-10
    operation = rm.operation("api_call")
    for _ in range(3):
        operation.call(clock.advance, 0.2)
    with pytest.raises(ConnectionResetError):
        operation.call(fail)
    clock.advance(0.4)
    seen = monitor.collect().application.operations["api_call"]
    assert (seen.calls, seen.succeeded, seen.failed) == (4, 3, 1)
    assert seen.success_rate == 0.75
    assert seen.throughput == 4.0  # in one second
    assert seen.mean == pytest.approx(0.15)
    assert 0.1 < seen.p50 <= 0.25
    assert seen.p50 < seen.p95 < seen.p99 <= 0.25


def test_a_report_shows_what_came_since_the_look_before(rm, monitor, clock):  # PM-03
    rm.operation("api_call").call(fail_not)
    clock.advance(30)
    assert monitor.collect().application.total.calls == 1
    clock.advance(30)
    quiet = monitor.collect()
    assert quiet.application.total.calls == 0
    assert quiet.application.operations == {}
    assert quiet.application.total.success_rate is None
    assert quiet.seconds == 30.0


def fail_not():
    return "ok"


def test_calls_of_before_the_monitor_are_not_shown(rm, clock):  # PM-03
    rm.operation("api_call").call(fail_not)
    monitor = PerformanceMonitor("late", manager=rm, clock=clock)
    assert monitor.collect().application.total.calls == 0


def test_refused_calls_are_failures_of_those_who_called(rm, monitor):  # PM-03
    operation = rm.operation("api_call")
    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            operation.call(fail)
    with pytest.raises(hf.CircuitOpenError):
        operation.call(fail_not)
    seen = monitor.collect().application.operations["api_call"]
    assert (seen.failed, seen.rejected, seen.failures) == (3, 1, 4)
    assert seen.failure_rate == 1.0


def test_operations_of_another_manager_are_not_this_ones(rm, monitor, clock):
    other = hf.ResilienceManager("other", clock=clock)
    other.register_circuit_breaker("api_call")
    other.operation("api_call").call(fail_not)
    assert monitor.collect().application.total.calls == 0
    everything = PerformanceMonitor("all", clock=clock)
    other.operation("api_call").call(fail_not)
    rm.operation("api_call").call(fail_not)
    assert set(everything.collect().application.operations) == {
        "other/api_call",
        "collector/api_call",
    }


def test_without_a_manager_pipelines_are_operations(clock):  # PM-03
    monitor = PerformanceMonitor("shop", clock=clock)
    pipeline = hf.Pipeline("orders", hf.CircuitBreaker("orders", clock=clock))
    pipeline.call(fail_not)
    assert monitor.collect().application.operations["orders"].succeeded == 1


def test_calls_of_a_pipeline_that_was_collected_count_once(clock):
    monitor = PerformanceMonitor("shop", clock=clock)
    pipeline = hf.Pipeline("orders", hf.CircuitBreaker("orders", clock=clock))
    pipeline.call(fail_not)
    monitor.collect()
    pipeline.call(fail_not)
    del pipeline
    gc.collect()
    assert monitor.collect().application.total.calls == 1
    assert monitor.collect().application.total.calls == 0


def test_recorded_operations_are_shown_like_guarded_ones(monitor, clock):  # PM-03, TS-10
    monitor.record_operation("resize image", 0.02, ok=True)
    monitor.record_operation("resize image", 0.04, ok=False)
    clock.advance(2)
    seen = monitor.collect().application.operations["resize image"]
    assert (seen.calls, seen.failed, seen.throughput) == (2, 1, 1.0)
    assert seen.mean == pytest.approx(0.03)


def test_recorded_operations_have_the_metrics_of_operations(clock):  # no second set of books
    prometheus = pytest.importorskip("prometheus_client")
    from holdfast.telemetry.prometheus import Collector

    rm = hf.ResilienceManager("a name that no other test has", clock=clock)
    registry = prometheus.CollectorRegistry()
    registry.register(Collector(rm))
    monitor = PerformanceMonitor("any", manager=rm, clock=clock)
    monitor.record_operation("resize image", 0.02, ok=True)
    labels = {"operation": "resize image", "result": "success"}
    assert registry.get_sample_value("holdfast_operations_total", labels) == 1


def test_what_policies_count_already_is_not_to_be_recorded(rm, monitor):
    rm.operation("api_call")
    with pytest.raises(hf.ConfigError, match="that no operation of the manager has"):
        monitor.record_operation("api_call", 0.1, ok=True)


def test_names_beyond_a_thousand_share_one(monitor):
    for at in range(1_100):
        monitor.record_operation(f"user {at}", 0.01, ok=True)
    application = monitor.collect().application
    assert application.operations["(other)"].calls == 100
    assert application.total.calls == 1_100
    assert len(application.operations) == 100
    assert application.others == 901


def test_the_operations_that_fail_most_are_shown_first(monitor):
    for at in range(150):
        monitor.record_operation(f"fine {at}", 0.01, ok=True)
    monitor.record_operation("broken", 0.01, ok=False)
    assert next(iter(monitor.collect().application.operations)) == "broken"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("", 1.0, True), "name"),
        ((7, 1.0, True), "name"),
        (("x", -1.0, True), "seconds"),
        (("x", float("nan"), True), "seconds"),
        (("x", "1s", True), "seconds"),
        (("x", 1.0, 1), "ok"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused_and_counts_nothing(monitor, arguments, field):
    with pytest.raises(hf.ConfigError, match=f"{field}: got"):
        monitor.record_operation(*arguments)
    assert monitor.collect().application.total.calls == 0


def test_calls_of_many_threads_are_each_in_one_report(monitor):  # PM-03
    def record(at):
        for _ in range(2_000):
            monitor.record_operation(f"operation {at % 3}", 0.001, ok=at % 2 == 0)

    threads = [threading.Thread(target=record, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    seen = [monitor.collect().application.total for _ in range(20)]
    for thread in threads:
        thread.join()
    seen.append(monitor.collect().application.total)
    assert sum(one.calls for one in seen) == 16_000
    assert sum(one.failed for one in seen) == 8_000
    assert monitor.collect().application.total.calls == 0


def test_looks_at_the_same_time_show_no_call_twice(monitor):
    for _ in range(100):
        monitor.record_operation("fetch", 0.001, ok=True)
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(monitor.collect().application.total.calls))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(seen) == 100


def test_last_calls_of_operations_that_go_are_counted(rm, monitor):
    counted = 0
    for at in range(12):
        rm.register_operation(f"passing {at}", circuit_breaker="api_call")
        operation = rm.operation(f"passing {at}")
        counted += monitor.collect().application.total.calls
        for _ in range(at):
            operation.call(fail_not)
        if at % 3 == 0:
            rm.unregister("operation", f"passing {at}")
            del operation
            gc.collect()
        counted += monitor.collect().application.total.calls
    assert counted == sum(range(12))


# ---- workers ----


def test_a_worker_that_reports_twice_is_one_worker(monitor):  # PM-01, D-C-10, TS-10
    for _ in range(2):
        monitor.record_worker_health("binance", running=True, errors=3)
    report = monitor.collect()
    assert report.active_workers == 1
    assert report.worker_errors == 3
    assert report.workers["binance"].errors == 3


def test_new_errors_are_those_since_the_look_before(monitor):  # PM-01, D-C-10
    monitor.record_worker_health("binance", running=True, errors=3)
    monitor.collect()
    monitor.record_worker_health("binance", running=True, errors=5)
    assert monitor.collect().workers["binance"].new_errors == 2
    assert monitor.collect().workers["binance"].new_errors == 0
    monitor.record_worker_health("binance", running=True, errors=1)  # it was restarted
    assert monitor.collect().workers["binance"].new_errors == 1


def test_a_worker_says_when_it_has_stopped(monitor, clock):  # PM-01
    monitor.record_worker_health("binance", running=True, errors=0)
    monitor.record_worker_health("kraken", running=True, errors=0)
    monitor.record_worker_health("kraken", running=False, errors=4)
    clock.advance(5)
    report = monitor.collect()
    assert report.active_workers == 1
    assert not report.workers["kraken"].running
    assert report.workers["kraken"].age == 5.0


def test_a_worker_that_is_silent_for_ten_minutes_is_not_known_to_run(monitor, clock):  # PM-01
    monitor.record_worker_health("binance", running=True, errors=0)
    clock.advance(599)
    assert monitor.collect().active_workers == 1
    clock.advance(1)
    worker = monitor.collect().workers["binance"]
    assert worker.silent
    assert not worker.running
    assert monitor.forget_worker("binance")
    assert not monitor.forget_worker("binance")
    assert monitor.collect().workers == {}


def test_components_of_a_supervisor_are_workers(clock):  # PM-01
    supervisor = Supervisor("node", clock=clock)
    supervisor.add(CallableComponent("binance", fail_not))
    monitor = PerformanceMonitor("node", supervisor=supervisor, clock=clock)
    monitor.record_worker_health("kraken", running=True, errors=2)
    assert monitor.collect().active_workers == 1
    with supervisor:
        report = monitor.collect()
        assert report.workers["binance"].running
        assert report.workers["binance"].age is None
        assert report.active_workers == 2
        monitor.record_worker_health("binance", running=True, errors=1)
        assert monitor.collect().workers["binance"].errors == 1
    assert not monitor.collect().workers["binance"].running  # its supervisor knows better


def test_more_workers_than_there_is_room_for_are_refused(monitor, clock):
    for at in range(1_000):
        monitor.record_worker_health(f"w{at}", running=True, errors=0)
    with pytest.raises(hf.ConfigError, match="at most 1000 workers"):
        monitor.record_worker_health("one more", running=True, errors=0)
    clock.advance(600)
    monitor.record_worker_health("one more", running=True, errors=0)  # in the place of silent ones
    assert set(monitor.collect().workers) == {"one more"}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(("", True, 0), "worker"), (("w", 1, 0), "running"), (("w", True, -1), "errors")],
)
def test_a_state_that_makes_no_sense_is_refused(monitor, arguments, field):
    with pytest.raises(hf.ConfigError, match=f"{field}: got"):
        monitor.record_worker_health(*arguments)
    assert monitor.collect().workers == {}


# ---- caches ----


def test_hit_rates_are_those_between_two_looks(monitor):  # PM-04, D-C-10, TS-10
    counted = {"hits": 0, "misses": 0, "evictions": 0, "size": 0}
    monitor.watch_cache("prices", lambda: CacheFigures(**counted))
    counted.update(hits=8, misses=2, size=2)
    first = monitor.collect().caches["prices"]
    assert (first.hit_rate, first.miss_rate, first.size) == (0.8, pytest.approx(0.2), 2)
    counted.update(hits=9, misses=4, evictions=1)
    second = monitor.collect().caches["prices"]
    assert (second.hits, second.misses, second.evictions) == (1, 2, 1)
    assert second.total == CacheFigures(9, 4, 1, 2)
    assert monitor.collect().caches["prices"].hit_rate is None  # nothing was read


def test_a_cache_of_the_standard_library_can_be_watched(monitor):  # PM-04
    cached = functools.lru_cache(maxsize=4)(str)
    monitor.watch_cache("texts", cached.cache_info)
    cached(1), cached(1)
    seen = monitor.collect().caches["texts"]
    assert (seen.hits, seen.misses, seen.size) == (1, 1, 1)


def test_counts_of_a_cache_that_was_cleared_begin_anew(monitor):  # PM-04
    counts = [10, 10]
    monitor.watch_cache("prices", lambda: CacheFigures(*counts))
    monitor.collect()
    counts[:] = [1, 2]
    seen = monitor.collect().caches["prices"]
    assert (seen.hits, seen.misses) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: None, "ValueError: hits: got None"),
        (lambda: {"hits": 1, "misses": -1}, "misses: got -1"),
        (lambda: {"hits": True, "misses": 1}, "hits: got True"),
        (lambda: exit(3), "SystemExit"),
    ],
)
def test_a_cache_that_does_not_answer_spoils_nothing_else(monitor, caplog, answer, error):  # PM-04
    monitor.watch_cache("broken", answer)
    monitor.watch_cache("fine", lambda: CacheFigures(1, 0))
    report = monitor.collect()
    assert error in report.caches["broken"].error
    assert report.caches["broken"].hit_rate is None
    assert report.caches["fine"].hits == 1
    monitor.collect()
    assert len([r for r in caplog.records if "does not tell its figures" in r.message]) == 1


def test_a_cache_that_hangs_is_not_waited_for_and_not_asked_again(monitor, monkeypatch):  # PM-04
    monkeypatch.setattr("holdfast.resources.performance._ASK_SECONDS", 0.05)
    asked, hangs, go_on = [], threading.Event(), threading.Event()

    def hang():
        asked.append(threading.current_thread())
        hangs.set()
        go_on.wait(60)
        return CacheFigures(1, 1)

    monitor.watch_cache("hanging", hang)
    assert "no answer within" in monitor.collect().caches["hanging"].error
    assert "no answer within" in monitor.collect().caches["hanging"].error
    assert hangs.wait(60)  # its thread may begin late, too
    assert len(asked) == 1
    go_on.set()
    asked[0].join(60)
    monkeypatch.undo()
    assert monitor.collect().caches["hanging"].hits == 1


def test_a_cache_that_another_look_asks_at_the_moment_has_no_error(monitor, caplog):
    asked, go_on = threading.Event(), threading.Event()

    def slow():
        asked.set()
        go_on.wait(60)
        return CacheFigures(5, 0)

    monitor.watch_cache("slow", slow)
    seen = []
    other = threading.Thread(target=lambda: seen.append(monitor.collect()))
    other.start()
    assert asked.wait(60)
    mine = monitor.collect().caches["slow"]
    assert (mine.hits, mine.error) == (0, None)
    go_on.set()
    other.join(60)
    assert seen[0].caches["slow"].hits == 5
    assert not caplog.records


def test_a_cache_may_use_the_monitor_that_asks_it(monitor):  # outside of every lock
    def nosy():
        monitor.record_worker_health("cache", running=True, errors=0)
        return CacheFigures(len(monitor.history), 0)

    monitor.watch_cache("nosy", nosy)
    report = monitor.collect()
    assert report.caches["nosy"].error is None
    assert report.active_workers == 1


def test_a_cache_that_is_not_watched_cannot_be_given_up(monitor):
    monitor.watch_cache("prices", lambda: CacheFigures(0, 0))
    with pytest.raises(LookupError, match="did you mean 'prices'"):
        monitor.unwatch_cache("price")
    monitor.unwatch_cache("prices")
    assert monitor.collect().caches == {}
    with pytest.raises(TypeError):
        monitor.watch_cache("prices", 5)


# ---- its life ----


def test_a_started_monitor_looks_every_thirty_seconds(monitor, clock):  # PM-05, TS-10
    with monitor:
        assert monitor.running
        clock.advance(90)
        assert [report.at for report in monitor.history] == [0.0, 30.0, 60.0, 90.0]
    clock.advance(90)
    assert len(monitor.history) == 4
    assert not monitor.running


def test_the_newest_hundred_reports_are_kept(monitor, clock):
    with monitor:
        clock.advance(30 * 104)
    assert len(monitor.history) == 100
    assert monitor.report() is monitor.history[-1]


def test_the_first_report_is_made_when_it_is_asked_for(monitor):
    report = monitor.report()
    assert monitor.report() is report
    assert monitor.history == (report,)


def test_listeners_hear_of_each_look(monitor):
    heard = []
    monitor.on_event(lambda event: 1 / 0)
    end = monitor.on_event(heard.append)
    monitor.record_operation("x", 0.1, ok=False)
    monitor.collect()
    monitor.collect()
    end()
    monitor.collect()
    assert [(one.kind, one.old, one.new) for one in heard] == [
        ("report", None, 0.0),
        ("report", 0.0, 100.0),
    ]
    assert "100.0 % failures" in heard[0].reason
    assert monitor.snapshot().callback_failures == 3


def test_a_listener_may_stop_the_monitor_in_a_look(monitor, clock):
    monitor.on_event(lambda event: monitor.stop())
    monitor.start()
    clock.advance(300)
    assert len(monitor.history) == 1
    assert not monitor.running


def test_a_monitor_that_runs_in_real_time_leaves_no_thread(rm):
    threads = set(threading.enumerate())
    looked = threading.Event()
    with PerformanceMonitor("real", manager=rm, interval=0.1) as monitor:
        monitor.watch_cache("prices", lambda: CacheFigures(1, 1))
        monitor.on_event(lambda event: len(monitor.history) > 2 and looked.set())
        assert looked.wait(60)
    left = set(threading.enumerate()) - threads
    assert not [thread for thread in left if thread.name.startswith("real")]


async def test_a_monitor_in_an_event_loop_counts_its_tasks(clock):  # PM-02
    async with PerformanceMonitor("tasks", clock=clock) as monitor:
        assert monitor.collect().system.tasks == 1
        assert monitor.running
    assert not monitor.running
    assert monitor.collect().system.tasks == 0


def test_a_forked_child_knows_nothing_of_the_parents(monitor, rm):
    monitor.record_worker_health("binance", running=True, errors=1)
    rm.operation("api_call").call(fail_not)
    monitor.record_operation("x", 0.1, ok=True)
    with monitor:
        child = os.fork()
        if child == 0:
            try:
                assert not monitor.running
                assert monitor.history == ()
                rm.operation("api_call").call(fail_not)
                report = monitor.collect()
                assert report.application.total.calls == 1
                assert report.workers == {}
            except BaseException:  # pytest must not go on in the child
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"manager": "rm"}, "manager"),
        ({"resources": "files"}, "resources"),
        ({"supervisor": 3}, "supervisor"),
        ({"interval": 0.01}, "interval"),
        ({"publish": "http://localhost"}, "publish"),
        ({"publish": "file:"}, "publish"),
        ({"publish": 3}, "publish"),
        ({"clock": 3}, "clock"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, field):
    with pytest.raises(hf.ConfigError, match=f"{field}: got"):
        PerformanceMonitor("x", **settings)


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(hf.ConfigError) as raised:
        PerformanceMonitor("", interval=-1, publish="redis:/localhost")
    assert len(raised.value.problems) == 3


def test_the_snapshot_of_the_process_shows_monitors(monitor):
    monitor.collect()
    [shown] = [one for one in hf.snapshot().performance if one.report is monitor.report()]
    assert (shown.name, shown.looks) == ("collector", 1)


def test_a_snapshot_is_legal_json(monitor):
    monitor.record_operation("fetch", 0.1, ok=True)
    monitor.record_worker_health("binance", running=True, errors=1)
    monitor.watch_cache("prices", lambda: CacheFigures(1, 1))
    monitor.collect()
    text = json.dumps(asdict(monitor.snapshot()), allow_nan=False)
    assert json.loads(text)["report"]["workers"]["binance"]["errors"] == 1
