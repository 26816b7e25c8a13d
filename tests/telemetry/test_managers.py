"""What a collector shows of a manager: all of it by its own names, and what it uses."""

import gc
import itertools

import pytest
from prometheus_client import CollectorRegistry

import holdfast as hf
from holdfast.errors import MissingExtraError
from holdfast.health import PingCheck
from holdfast.manager.timeouts import TimeoutManager
from holdfast.telemetry import managed
from holdfast.telemetry.prometheus import Collector
from tests.apart import in_child, run_apart
from tests.telemetry.scraped import Scrape, scrape

serials = itertools.count(1)


@pytest.fixture
def clock():
    return hf.ManualClock()


@pytest.fixture
def manager(clock):
    """Return what makes managers with names that no other test has."""
    return lambda: hf.ResilienceManager(f"managed-{next(serials)}", clock=clock)


def labels_in(seen, metric, label):
    return {dict(labels)[label] for labels in seen.series(metric)}


# ---- names ----


def test_a_collector_of_a_manager_shows_plain_names_that_of_all_the_managers_too(manager):
    rm = manager()
    rm.register_circuit_breaker("network")
    rm.register_operation("send", circuit_breaker="network").call(int)
    own, every = Scrape(rm), Scrape()
    for seen, prefix in ((own, ""), (every, f"{rm.name}/")):
        success = {"result": "success"}
        network, send = f"{prefix}network", f"{prefix}send"
        assert seen("circuit_breaker_requests_total", name=network, **success) == 1
        assert seen("operations_total", operation=send, **success) == 1
        assert seen("timeout_calls_total", timeout=send, scope="total", result="in_time") == 1
    assert labels_in(own, "circuit_breaker_state", "name") == {"network"}


def test_managers_with_policies_of_equal_names_have_their_own_series(manager):  # D-MX-2, D-RM-1
    one, other = manager(), manager()
    for rm, calls in ((one, 1), (other, 3)):
        rm.register_bulkhead("send", 1)
        rm.register_rate_limiter("send", rate=1000, burst=10)
        for _ in range(calls):
            rm.execute("send", int)
    for rm, calls in ((one, 1), (other, 3)):
        assert Scrape(rm)("rate_limiter_allowed_total", limiter="send") == calls
        assert Scrape()("rate_limiter_allowed_total", limiter=f"{rm.name}/send") == calls
    both = Scrape(one, other)
    assert labels_in(both, "operations_total", "operation") == {
        f"{one.name}/send", f"{other.name}/send",
    }  # fmt: skip


def test_one_registry_shows_each_manager_in_a_namespace_of_its_own(manager):  # D-MX-2
    registry, kept = CollectorRegistry(), []
    for tenant in ("first", "second"):
        rm = manager()
        rm.register_bulkhead("send", 1)
        kept.append(rm)
        registry.register(Collector(rm, namespace=tenant))
    with kept[0].bulkhead("send"):
        values = [
            registry.get_sample_value(f"{tenant}_bulkhead_concurrent", {"bulkhead": "send"})
            for tenant in ("first", "second")
        ]
    assert values == [1, 0]


def test_policies_that_were_made_elsewhere_are_shown_once_they_are_registered(manager):
    rm = manager()
    mine, other = hf.Bulkhead("mine", max_concurrent=1), hf.Bulkhead("other", max_concurrent=1)
    assert not Scrape(rm).series("bulkhead_concurrent")
    rm.register(mine)
    with mine, other:
        assert Scrape(rm)("bulkhead_concurrent", bulkhead="mine") == 1
    assert labels_in(Scrape(rm), "bulkhead_concurrent", "bulkhead") == {"mine"}


def test_beside_a_manager_other_sources_are_shown_by_their_names(manager):
    rm, free = manager(), hf.Bulkhead("free", max_concurrent=1)
    rm.register_bulkhead("send", 1)
    names = labels_in(Scrape(rm, free), "bulkhead_concurrent", "bulkhead")
    assert names == {f"{rm.name}/send", "free"}


def test_checks_and_components_of_a_manager_are_its_own(manager, clock):  # MX-30
    rm, other = manager(), manager()
    for one in (rm, other):
        one.register_health_check(PingCheck("ping", lambda: True))
        one.degradation.component("search").set(hf.degradation.Level.DEGRADED)
    rm.start()
    seen = Scrape(rm)
    assert seen("health_check_status", checker=rm.name, check="ping") == 1
    assert seen("degradation_level", manager=rm.name, component="search") == 1
    assert labels_in(seen, "health_check_status", "checker") == {rm.name}
    assert labels_in(seen, "degradation_level", "manager") == {rm.name}
    rm.stop()


def test_counts_go_on_when_a_policy_replaces_another(manager):
    rm = manager()
    first = rm.register_rate_limiter("send", rate=1000, burst=10)
    rm.execute("send", int)
    rm.register_rate_limiter("send", rate=1000, burst=20)
    rm.execute("send", int)
    assert Scrape(rm)("rate_limiter_allowed_total", limiter="send") == 2  # while the first lives
    del first
    gc.collect()
    assert Scrape(rm)("rate_limiter_allowed_total", limiter="send") == 2
    assert Scrape(rm)("operations_total", operation="send", result="success") == 2


def test_the_series_of_a_manager_go_with_it(manager):
    rm = manager()
    rm.register_bulkhead("send", 1)
    rm.execute("send", int)
    name = rm.name
    assert name in labels_in(Scrape(), "manager_running", "manager")
    del rm
    gc.collect()
    shown = [labels for _, labels in scrape() if any(name in value for _, value in labels)]
    assert not shown


def test_what_is_no_source_is_refused():
    with pytest.raises(hf.ConfigError, match="a manager, a pipeline, a named policy or a registry"):
        Collector(TimeoutManager("no source"))


# ---- what a manager shows of itself ----


def test_a_manager_shows_whether_it_runs_and_how_often_it_was_changed(manager):  # MX-30
    rm = manager()
    assert Scrape(rm)("manager_running", manager=rm.name) == 0
    assert Scrape(rm)("manager_changes_total", manager=rm.name) == 0
    rm.register_bulkhead("send", 1)
    rm.register_bulkhead("send", 1)  # nothing new
    rm.register_bulkhead("send", 2)
    rm.start()
    assert Scrape(rm)("manager_running", manager=rm.name) == 1
    assert Scrape(rm)("manager_changes_total", manager=rm.name) == 2
    in_child(lambda: not_running(rm))
    rm.stop()
    assert Scrape(rm)("manager_running", manager=rm.name) == 0


def not_running(rm):
    assert Scrape(rm)("manager_running", manager=rm.name) == 0
    assert Scrape(rm)("manager_changes_total", manager=rm.name) == 0


def test_a_manager_of_timeouts_shows_what_is_active(clock):  # MX-30, TO-03
    timeouts = TimeoutManager(f"managed-{next(serials)}", {"api_call": 10}, clock=clock)

    def shown():
        seen = Scrape()
        names = ("timeouts_active", "timeouts_started_total", "timeouts_cancelled_total")
        return tuple(seen(name, manager=timeouts.name) for name in names)

    assert shown() == (0, 0, 0)
    timeouts.execute("api_call", int)
    first = timeouts.begin("api_call")
    timeouts.begin("backup", "by hand")
    assert shown() == (2, 3, 0)
    first.cancel()
    first.complete()
    timeouts.complete("by hand")
    assert shown() == (0, 3, 1)


# ---- what is used ----


def test_memory_descriptors_and_threads_are_shown_beside_a_manager(manager):  # MX-29
    rm = manager()
    for seen in (Scrape(rm), Scrape()):
        for type_ in ("memory", "file_descriptors", "threads"):
            used, limit = seen("resources", type=type_), seen("resources_limit", type=type_)
            assert 0 < used <= limit
    assert not Scrape(hf.Bulkhead("alone")).series("resources")


def test_what_cannot_be_read_of_a_machine_is_left_out(manager, monkeypatch):
    def missing():
        raise MissingExtraError("system", "memory")

    looks = {"memory": missing, "threads": lambda: None}
    for name, look in looks.items():
        monkeypatch.setitem(managed._LOOKS, name, look)
    seen = Scrape(manager())
    assert labels_in(seen, "resources", "type") == {"file_descriptors"}
    assert labels_in(seen, "resources_limit", "type") == {"file_descriptors"}


# ---- several workers ----


def test_workers_that_share_a_directory_are_one_manager(tmp_path):
    source = f"""
        import os
        os.environ["HOLDFAST_DIR"] = {str(tmp_path)!r}
        import holdfast as hf
        from tests.telemetry.scraped import Scrape

        rm = hf.ResilienceManager("shared")
        rm.register_circuit_breaker("send")
        hf.Bulkhead("of nobody", max_concurrent=1)
        rm.execute("send", int)
        rm.start()
        there, gone = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            for _ in range(3):
                rm.execute("send", int)
            os.write(there[1], b"x")
            os.read(gone[0], 1)
            os._exit(0)
        os.read(there[0], 1)
        for _ in range(2):
            seen = Scrape(rm)
            assert seen("operations_total", operation="send", result="success") == 4
            assert seen("circuit_breaker_requests_total", name="send", result="success") == 4
            assert seen("manager_running", manager="shared") == 1
            assert not seen.series("bulkhead_concurrent")
            if child:
                os.write(gone[1], b"x")
                os.waitpid(child, 0)
                child = 0  # what it has counted stays
        rm.stop()
    """
    run_apart(source)
