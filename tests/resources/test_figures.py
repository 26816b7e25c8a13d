"""What metrics and other workers see of registered resources."""

import contextlib
import gc
import os

import pytest

import holdfast as hf
import holdfast.resources.figures
from holdfast._native import resource as kernel_module
from holdfast.manager import manager, timeouts
from holdfast.pipeline import counted
from holdfast.policies import base
from holdfast.resources.errors import ResourceLimitError
from holdfast.stores.ledger import Ledger
from holdfast.telemetry import prometheus
from tests.apart import in_child, run_apart
from tests.telemetry.scraped import Scrape

TYPE = {"type": "shop/connection"}
TOTAL = {"type": "shop/total"}


@pytest.fixture(autouse=True)
def ledger(monkeypatch):
    """A ledger without what other tests have left to the collector."""
    fresh = Ledger()
    for module in (holdfast.resources.figures, base, counted, manager, prometheus, timeouts):
        monkeypatch.setattr(module, "ledger", fresh)


@pytest.fixture
def clock():
    return hf.ManualClock()


@pytest.fixture
def make(clock):
    made = []

    def make(name="shop", **options):
        limits = options.pop("limits", {"connection": 10})
        options = {"max_resources": 20, "clock": clock, **options}
        made.append(hf.ResourceManager(name, limits=limits, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def shop(make):
    return make()


def fill(resources, kind, n, first=0):
    for at in range(first, first + n):
        resources.register(f"{kind}{at}", kind)


def types_in(seen, metric):
    return {dict(labels)["type"] for labels in seen.series(metric)}


def test_all_counters_begin_at_zero(shop):  # MX-29
    seen = Scrape()
    for counter in (
        "resources_created_total",
        "resources_cleaned_total",
        "resources_refused_total",
        "resource_leaks_total",
        "resource_cleanup_errors_total",
    ):
        assert seen(counter, **TYPE) == 0
    assert seen("resources", **TYPE) == seen("resources", **TOTAL) == 0
    assert seen("resources_limit", **TYPE) == 10
    assert seen("resources_limit", **TOTAL) == 20
    assert not seen.series("resources_collected_total")
    assert types_in(seen, "resources_created_total") == {f"shop/{kind}" for kind in shop.kinds}


def test_each_count_has_its_metric(shop, clock):  # RS-05, MX-29
    class Thing:
        pass

    def fails():
        raise OSError

    thing = Thing()
    shop.track(thing, "connection")
    fill(shop, "connection", 7)
    shop.register("broken", "connection", fails)
    shop.register("kept", "connection")
    with pytest.raises(ResourceLimitError):
        fill(shop, "connection", 1, 10)
    clock.advance(601)
    assert len(shop.find_leaks()) == 10
    del thing
    gc.collect()
    shop.unregister("connection0")
    shop.unregister("connection1")
    for name in ("connection2", "connection3", "connection4", "broken"):
        shop.cleanup(name)
    figures = shop.snapshot().kinds["connection"]  # it is also what notices that one was collected
    seen = Scrape()
    assert seen("resources", **TYPE) == seen("resources", **TOTAL) == figures.active == 3
    assert seen("resources_created_total", **TYPE) == figures.created == 10
    assert seen("resources_cleaned_total", **TYPE) == figures.cleaned == 4
    assert figures.unregistered == 2
    assert seen("resources_collected_total", **TYPE) == figures.collected == 1
    assert seen("resource_leaks_total", **TYPE) == figures.leaks == 10
    assert seen("resource_cleanup_errors_total", **TYPE) == figures.cleanup_errors == 1
    assert seen("resources_refused_total", **TYPE) == figures.refused == 1
    assert seen("resources_refused_total", **TOTAL) == 0


def test_a_refusal_counts_where_there_was_no_room(shop):
    fill(shop, "timer", 20)
    with pytest.raises(ResourceLimitError):
        fill(shop, "timer", 1, 20)
    seen = Scrape()
    assert seen("resources_refused_total", **TOTAL) == 1
    assert seen("resources_refused_total", type="shop/timer") == 0


def test_a_kind_without_a_limit_shows_that_of_all_if_it_counts_resources_too(shop):  # AR-09
    def limit(kind):
        return Scrape()("resources_limit", type=f"shop/{kind}")

    assert limit("timer") == 20
    shop.set_max(1000)
    assert limit("timer") == 1000
    shop.add_kind("websocket")
    assert limit("websocket") == 1000
    shop.register("buffer", "memory", amount=1 << 30)
    assert "shop/memory" not in types_in(Scrape(), "resources_limit")
    shop.set_limit("memory", 1 << 32)
    assert limit("memory") == 1 << 32
    shop.set_limit("connection", None)
    assert limit("connection") == 1000


def test_a_limit_that_is_refused_is_not_shown(shop):  # RS-08, D-C-9
    fill(shop, "connection", 5)
    with pytest.raises(hf.ConfigError):
        shop.set_limit("connection", 4)
    assert Scrape()("resources_limit", **TYPE) == 10
    shop.set_limit("connection", 5)
    assert Scrape()("resources_limit", **TYPE) == 5


def test_managers_of_one_name_are_added_up(shop, make):
    other = make(limits={"connection": 30})
    fill(shop, "connection", 2)
    fill(other, "connection", 5)
    seen = Scrape()
    assert seen("resources", **TYPE) == seen("resources", **TOTAL) == 7
    assert seen("resources_limit", **TYPE) == 40
    assert seen("resources_created_total", **TYPE) == 7


def test_managers_stand_beside_what_the_process_uses(make):  # MX-29
    memory = make("memory")
    memory.register("buffer", "memory", amount=1 << 40)
    rm = hf.ResilienceManager("other")
    seen = Scrape()
    assert seen("resources", type="memory/memory") == 1 << 40
    assert 0 < seen("resources", type="memory") < 1 << 40
    own = {"memory", "file_descriptors", "threads", "memory/total"}
    assert types_in(seen, "resources") == own | {f"memory/{kind}" for kind in memory.kinds}
    rm.stop()


def test_a_collector_of_a_manager_shows_the_resources_of_its_name(shop, make):
    rm = hf.ResilienceManager("shop")
    make("search")
    seen = Scrape(rm)
    types = {f"shop/{kind}" for kind in shop.kinds}
    assert types_in(seen, "resources_created_total") == types
    assert seen("resources_limit", **TOTAL) == 20
    rm.stop()


def test_the_series_of_a_manager_go_with_it():
    resources = hf.ResourceManager("shop")
    assert Scrape().series("resources")
    del resources
    gc.collect()
    assert not Scrape().series("resources")


def test_a_name_that_metrics_would_confuse_is_no_kind(shop):
    for wrong in ("total", "a/b"):
        with pytest.raises(hf.ConfigError, match="kind"):
            shop.add_kind(wrong)
        with pytest.raises(hf.ConfigError, match="kinds"):
            hf.ResourceManager("other", kinds=(wrong,))


def test_kinds_beyond_the_bound_share_one_series(shop):
    for kind in shop.kinds:
        shop.register(kind, kind)
    seen = Scrape(max_names=1)
    assert seen("resources_created_total", type="__other__") == len(shop.kinds) - 1
    assert len(seen.series("resources_created_total")) == 2


def test_a_forked_child_has_no_resources(shop):  # trap 58
    fill(shop, "connection", 3)

    def in_it():
        figures = shop.snapshot().kinds["connection"]
        assert (figures.created, figures.active, figures.limit) == (0, 0, 10)
        seen = Scrape()
        assert seen("resources", **TYPE) == seen("resources_created_total", **TYPE) == 0
        fill(shop, "connection", 10)
        with contextlib.suppress(ResourceLimitError):
            fill(shop, "connection", 1, 10)
        assert Scrape()("resources", **TYPE) == 10

    in_child(in_it)
    assert Scrape()("resources", **TYPE) == 3


def test_other_workers_see_resources_until_their_process_dies(tmp_path):
    source = f"""
        import os
        os.environ["HOLDFAST_DIR"] = {os.fspath(tmp_path)!r}
        import holdfast as hf
        from tests.telemetry.scraped import Scrape

        own = hf.ResourceManager("shop", limits={{"connection": 10}})
        for at in range(4):
            own.register(at, "connection")
        there, gone = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            for at in range(3):
                own.register(at, "connection")
            os.write(there[1], b"x")
            os.read(gone[0], 1)
            os._exit(0)
        os.read(there[0], 1)
        seen = Scrape()
        assert seen("resources", type="shop/connection") == 7
        assert seen("resources_limit", type="shop/connection") == 20
        assert seen("resources", type="shop/total") == 7
        os.write(gone[1], b"x")
        os.waitpid(child, 0)
        seen = Scrape()
        assert seen("resources", type="shop/connection") == 4
        assert seen("resources_limit", type="shop/connection") == 10
        assert seen("resources_created_total", type="shop/connection") == 7
    """
    run_apart(source)


def test_a_registration_ends_in_one_step_for_whoever_comes_first(shop):
    kernel, held, living, taken = shop._tallies["file"].figures.kernel, [], {"a": 1}, []
    assert kernel.add(3, None, held) >= kernel_module.DONE
    assert held == [None]
    arguments = (held, living, "a", kernel_module.CLEANED, 3, None, taken, "the resource")
    assert kernel.take(*arguments) is True
    assert (held, living, taken, kernel.active()) == ([], {}, ["the resource"], 0)
    assert kernel.take(*arguments) is False
    assert (taken, kernel.active()) == (["the resource"], 0)
    kernel.resize(2)
    assert kernel.add(3, None, held) == kernel_module.FULL
    assert held == []
