"""A resource manager: registration, kinds, limits, and the end of a registration."""

import gc
import logging
import threading

import pytest

from holdfast import ConfigError, ManualClock, ResourceLimitError, ResourceManager
from holdfast.categories import classify


@pytest.fixture
def resources():
    manager = ResourceManager("shop", kinds=("websocket",), limits={"connection": 5})
    yield manager
    manager.stop()


class Closed(list):
    """What was closed, in order."""

    def closing(self, name):
        return lambda: self.append(name)


# ---- registration ----


def test_a_resource_is_registered_counted_and_forgotten(resources):  # RS-01, RS-08, TS-10
    orders = resources.register("orders", "file", metadata={"path": "/tmp/orders"})
    assert (orders.id, orders.kind, orders.metadata["path"]) == ("orders", "file", "/tmp/orders")
    assert resources.is_managed("orders")
    assert resources.get("orders") is orders
    assert resources.count() == resources.count("file") == 1
    assert resources.unregister("orders") is True
    assert not resources.is_managed("orders")
    assert not orders.is_registered
    assert resources.count() == resources.count("file") == 0


def test_an_unknown_identifier_is_neither_unregistered_nor_cleaned(resources):  # RS-01
    assert resources.unregister("nobody") is False
    assert resources.cleanup("nobody") is False
    assert resources.touch("nobody") is False
    assert resources.unregister(["no identifier"]) is False


def test_cleaning_runs_the_cleanup_once(resources):  # RS-01, RS-07
    closed = Closed()
    resources.register("db", "connection", closed.closing("db"))
    assert resources.cleanup("db") is True
    assert resources.cleanup("db") is False
    assert closed == ["db"]


def test_unregistering_runs_no_cleanup(resources):  # RS-01
    closed = Closed()
    resources.register("db", "connection", closed.closing("db"))
    resources.unregister("db")
    resources.cleanup_all()
    assert closed == []


@pytest.mark.parametrize(
    "kind",
    ["goroutine", "thread", "task", "connection", "channel", "timer", "file", "memory"],
)
def test_every_kind_of_both_sources_is_known(resources, kind):  # RS-02, D-C-6
    with resources.register("one", kind):
        assert resources.count(kind) == 1


def test_further_kinds_are_given_or_added(resources):  # RS-02, D-C-6
    resources.register("feed", "websocket")
    resources.add_kind("lease", limit=1)
    resources.register("leader", "lease")
    with pytest.raises(ResourceLimitError):
        resources.register("second", "lease")


def test_kinds_are_bounded_and_a_known_one_keeps_its_limit(resources):
    resources.add_kind("connection")
    resources.add_kind("connection", limit=5)
    with pytest.raises(ConfigError, match="limit: got 6"):
        resources.add_kind("connection", limit=6)
    for number in range(200 - len(resources.kinds)):
        resources.add_kind(f"kind {number}")
    with pytest.raises(ConfigError, match="kind: got 'one more'"):
        resources.add_kind("one more")
    assert len(resources.kinds) == 200
    resources.register("a", "kind 0")


def test_an_unknown_kind_is_refused_with_the_nearest_and_the_way_to_add_it(resources):  # D-C-6
    with pytest.raises(ConfigError) as raised:
        resources.register("db", "conection")
    text = str(raised.value)
    assert "kind: got 'conection'" in text
    assert "add_kind('conection')" in text
    assert "did you mean 'connection'?" in text
    assert resources.count() == 0


def test_a_second_registration_of_a_living_identifier_is_refused(resources):  # D-C-7
    first = resources.register("db", "connection")
    with pytest.raises(ConfigError) as raised:
        resources.register("db", "file")
    assert "test_manager.py" in str(raised.value)
    assert "connection 'db'" in str(raised.value)
    assert resources.get("db") is first
    assert resources.count() == 1
    assert resources.snapshot().kinds["connection"].active == 1
    resources.unregister("db")
    resources.register("db", "file")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": 1.5}, "id"),
        ({"id": None}, "id"),
        ({"id": True}, "id"),
        ({"id": ("db", True)}, "id"),
        ({"id": ("db", [1])}, "id"),
        ({"cleanup": "close"}, "cleanup"),
        ({"amount": 0}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"metadata": 3}, "metadata"),
    ],
)
def test_invalid_arguments_are_refused_and_nothing_is_registered(resources, wrong, field):
    with pytest.raises(ConfigError, match=f"{field}: got"):
        resources.register(**{"id": "db", "kind": "connection", **wrong})
    assert resources.count() == 0
    assert resources.snapshot().kinds["connection"].created == 0


class Word(str):
    __slots__ = ()


@pytest.mark.parametrize("given", ["db", Word("db"), 7, ("db", 7), (), (("db", 7), Word("x"))])
def test_an_identifier_is_a_string_an_integer_or_a_tuple_of_such(resources, given):
    assert resources.register(given, "file").id == given
    assert resources.unregister(given) is True


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"kind": ""}, "kind"),
        ({"kind": 3}, "kind"),
        ({"kind": "a\n"}, "kind"),
        ({"kind": 201 * "a"}, "kind"),
    ]
    + [({"n": n}, "n") for n in (0, -1, True, 1.0, 2**62)],
)
def test_an_invalid_operation_is_refused_and_nothing_is_registered(resources, wrong, field):
    with pytest.raises(ConfigError, match=f"{field}: got"):
        resources.operation(**{"kind": "fetch", **wrong})
    assert resources.snapshot().kinds["operation"].created == 0
    with resources.operation(200 * "a"), resources.operation(Word("fetch"), 3):
        assert resources.snapshot().operations == {200 * "a": 1, "fetch": 3}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"max_resources": 0}, "max_resources"),
        ({"limits": {"conection": 3}}, "limits"),
        ({"limits": {"connection": -1}}, r"limits\['connection'\]"),
        ({"limits": 3}, "limits"),
        ({"kinds": "websocket"}, "kinds"),
        ({"kinds": ("",)}, "kinds"),
        ({"idle_after": 0}, "idle_after"),
        ({"leak_age": "5m"}, "leak_age"),
        ({"cleanup_timeout": -1}, "cleanup_timeout"),
        ({"clock": 3}, "clock"),
    ],
)
def test_a_manager_refuses_invalid_settings(wrong, field):
    with pytest.raises(ConfigError, match=f"{field}: got"):
        ResourceManager("shop", **wrong)


# ---- limits ----


def test_a_limit_refuses_and_nothing_is_registered(resources):  # RS-06, D-C-9
    for number in range(5):
        resources.register(number, "connection")
    with pytest.raises(ResourceLimitError) as raised:
        resources.register("sixth", "connection")
    error = raised.value
    assert (error.kind, error.limit, error.active) == ("connection", 5, 5)
    assert not resources.is_managed("sixth")
    figures = resources.snapshot().kinds["connection"]
    assert (figures.active, figures.created, figures.refused) == (5, 5, 1)


def test_max_resources_limits_all_kinds_together():  # RS-06
    resources = ResourceManager("shop", max_resources=2)
    resources.register("a", "file", amount=1_000_000)
    resources.register("b", "memory", amount=1_000_000)
    with pytest.raises(ResourceLimitError, match="2 of 2 resources"):
        resources.register("c", "timer")
    assert resources.snapshot().refused == 1
    assert resources.snapshot().kinds["timer"].created == 0
    resources.unregister("a")
    resources.register("c", "timer")


def test_a_manager_allows_a_thousand_resources_by_default():  # RS-06
    assert ResourceManager("shop").snapshot().max_resources == 1000


def test_a_limit_error_has_the_category_resource():
    assert str(classify(ResourceLimitError("shop", "file", 1, 1))) == "resource"


def test_eighty_percent_of_a_limit_is_warned_of_once_per_crossing(resources, caplog):  # RS-06
    events = []
    resources.on_event(lambda event: events.append(event.kind))
    with caplog.at_level(logging.WARNING, "holdfast"):
        for number in range(5):
            resources.register(number, "connection")
        resources.unregister(4)
        resources.unregister(3)
        resources.register("again", "connection")
    assert events.count("high") == 1
    high = [one.message for one in caplog.records if "High resource count" in one.message]
    assert high == [
        "High resource count: 5 of 5 of kind 'connection' of resource manager 'shop' are registered"
    ]
    resources.register("once more", "connection")
    assert events.count("high") == 2


def test_a_limit_below_what_is_registered_is_refused(resources):
    resources.register("a", "connection")
    resources.register("b", "connection")
    with pytest.raises(ConfigError, match="at least the 2 of kind 'connection' that are regist"):
        resources.set_limit("connection", 1)
    with pytest.raises(ConfigError, match="at least the 2 that are registered"):
        resources.set_max(1)
    with pytest.raises(ConfigError, match="kind: got 'conection'"):
        resources.set_limit("conection", 1)
    snapshot = resources.snapshot()
    assert (snapshot.max_resources, snapshot.kinds["connection"].limit) == (1000, 5)
    resources.set_limit("connection", 2)
    with pytest.raises(ResourceLimitError):
        resources.register("c", "connection")
    resources.set_limit("connection", None)
    resources.register("c", "connection")


# ---- with blocks ----


def test_a_with_block_cleans_at_its_end(resources):  # RS-01
    closed = Closed()
    with resources.register("a", "file", closed.closing("a")):
        assert resources.count("file") == 1
    assert closed == ["a"]
    assert resources.count() == 0


async def test_an_async_with_block_awaits_the_cleanup(resources):  # RS-01
    closed = []

    async def close():
        closed.append(threading.current_thread() is threading.main_thread())

    async with resources.register("a", "connection", close):
        assert resources.count("connection") == 1
    assert closed == [True]
    assert resources.count() == 0


def test_operations_are_registered_with_their_own_kind_and_number(resources):  # ER-08
    resources.register_operation("fetch-1", "symbol_fetch", 3)
    with resources.operation("backfill", 2):
        snapshot = resources.snapshot()
        assert snapshot.operations == {"symbol_fetch": 3, "backfill": 2}
        assert snapshot.kinds["operation"].active == 5
    assert resources.unregister_operation("fetch-1") is True
    assert resources.unregister_operation("fetch-1") is False
    resources.register("a", "file")
    assert resources.unregister_operation("a") is False
    assert resources.snapshot().operations == {}


# ---- objects that are tracked ----


class Connection:
    def close(self):
        raise AssertionError("not called")


def test_the_end_of_an_operation_costs_no_more_than_that(resources, monkeypatch):  # ER-08
    monkeypatch.setattr("holdfast.resources.cleanups.Alone", None)  # what runs a clean-up
    monkeypatch.setattr("holdfast.resources.cleanups.Round", None)
    with resources.operation("fetch"):
        pass
    resources.register("db", "connection")
    assert resources.cleanup("db") is True
    assert resources.cleanup("db") is False
    assert resources.snapshot().kinds["operation"].cleaned == 1


def test_a_tracked_object_that_dies_counts_as_collected_and_is_cleaned(resources):  # RS-01
    closed = Closed()
    connection = Connection()
    resources.track(connection, "connection", closed.append, 7)
    assert resources.count("connection") == 1
    del connection
    gc.collect()
    assert resources.count("connection") == 0
    resources.clean_idle()
    assert closed == [7]
    figures = resources.snapshot().kinds["connection"]
    assert (figures.collected, figures.cleaned, figures.active) == (1, 0, 0)


def test_a_cleanup_that_keeps_its_tracked_object_alive_is_refused(resources):
    connection = Connection()
    for wrong in (connection.close, lambda: connection.close(), lambda one=connection: one.close()):
        with pytest.raises(ConfigError, match="which would never die"):
            resources.track(connection, "connection", wrong)
    with pytest.raises(ConfigError, match="which would never die"):
        resources.track(connection, "connection", print, connection)
    with pytest.raises(ConfigError, match="referred to weakly"):
        resources.track(object(), "connection")
    assert resources.count() == 0


def test_a_manual_clock_runs_the_looks():  # RS-03
    clock, closed = ManualClock(), Closed()
    with ResourceManager("shop", clock=clock) as resources:
        one = resources.register("a", "file", closed.closing("a"))
        one.touch()
        clock.advance(299)
        assert closed == []
        clock.advance(61)
        assert closed == ["a"]
