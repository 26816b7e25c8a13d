"""What a resource manager logs, tells its listeners and shows."""

import logging

import pytest

import holdfast as hf
from holdfast import ManualClock, ResourceLimitError, ResourceManager


@pytest.fixture
def resources():
    manager = ResourceManager("shop", clock=ManualClock())
    yield manager
    manager.stop()


def test_registrations_and_ends_are_logged_at_debug(resources, caplog):  # LG-13
    with caplog.at_level(logging.DEBUG, "holdfast.resources"):
        resources.register("a", "file")
        resources.unregister("a")
        resources.register("b", "file", lambda: None)
        resources.cleanup("b")
    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("DEBUG", "Resource registered: file 'a' of resource manager 'shop'"),
        ("DEBUG", "Resource unregistered: file 'a' of resource manager 'shop'"),
        ("DEBUG", "Resource registered: file 'b' of resource manager 'shop'"),
        ("DEBUG", "Resource cleaned: file 'b' of resource manager 'shop'"),
    ]
    record = caplog.records[0]
    assert (record.holdfast_resource, record.holdfast_type) == ("'a'", "file")


def test_statistics_are_logged_at_info_with_each_look_for_leaks(resources, caplog):  # LG-13
    resources.register("a", "file")
    resources.start()
    with caplog.at_level(logging.INFO, "holdfast.resources"):
        resources._clock.advance(301)
    [record] = [one for one in caplog.records if "statistics" in one.message]
    assert record.levelname == "INFO"
    assert record.message == (
        "Resource statistics of 'shop': 1 of 1000 registered; created 1, cleaned 0, leaks 0,"
        " cleanup errors 0; file 1"
    )


def test_a_name_that_would_break_a_line_breaks_none(resources, caplog):
    with caplog.at_level(logging.DEBUG, "holdfast.resources"):
        resources.register("a\nERROR all is lost\x1b[2J", "file")
    assert "\n" not in caplog.text.rstrip("\n")
    assert "\x1b" not in caplog.text


def test_listeners_hear_of_each_event(resources):
    heard = []
    unsubscribe = resources.on_event(lambda event: heard.append((event.kind, event.old, event.new)))
    resources.set_limit("connection", 1)
    resources.register("a", "connection")
    with pytest.raises(ResourceLimitError):
        resources.register("b", "connection")
    resources.cleanup("a")
    resources.register("c", "file", lambda: 1 / 0)
    resources.cleanup("c")
    resources.register("d", "file")
    resources.unregister("d")
    unsubscribe()
    resources.register("e", "file")
    assert heard == [
        ("high", None, "connection"),
        ("registered", "a", "connection"),
        ("refused", "b", "connection"),
        ("cleaned", "a", "connection"),
        ("registered", "c", "file"),
        ("cleanup_failed", "c", "file"),
        ("registered", "d", "file"),
        ("unregistered", "d", "file"),
    ]


def test_a_snapshot_has_the_statistics_of_each_kind_and_of_the_process(resources):  # RS-05
    resources.register("a", "file", amount=3)
    resources.register("b", "file")
    resources._clock.advance(7)
    resources.cleanup("b")
    snapshot = resources.snapshot()
    figures = snapshot.kinds["file"]
    assert (figures.registered, figures.active, figures.created, figures.cleaned) == (1, 3, 2, 1)
    assert figures.last_cleanup == 7
    assert (figures.leaks, figures.cleanup_errors, figures.refused) == (0, 0, 0)
    assert set(snapshot.kinds) == set(resources.kinds)
    assert snapshot.system.threads >= 1
    assert snapshot.system.memory > 1_000_000
    assert snapshot.system.gc_collections > 0
    assert (snapshot.name, snapshot.running, snapshot.accepts) == ("shop", False, True)


def test_the_snapshot_of_the_process_has_every_resource_manager(resources):
    assert resources.snapshot().name in [one.name for one in hf.snapshot().resources]


def test_a_resource_shows_itself(resources):
    one = resources.register("a", "memory", amount=7)
    assert repr(one) == "<Resource 'a', memory of 7>"
    resources.unregister("a")
    assert repr(one) == "<Resource 'a', memory of 7, not registered>"
    assert repr(resources) == "<ResourceManager 'shop', 0 registered, accepts>"
