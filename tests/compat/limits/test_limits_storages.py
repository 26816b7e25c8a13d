"""Storages in memory, for threads; those that users write; and what a URI means."""

import gc
import json
import pickle
import sys
import threading
import weakref
from inspect import signature

import pytest

from holdfast import ConfigError, ManualClock
from holdfast.compat.limits import parse
from holdfast.compat.limits._storage_scheme import SCHEMES, parse_storage_uri
from holdfast.compat.limits.errors import ConcurrentUpdateError, ConfigurationError, StorageError
from holdfast.compat.limits.storage import (
    MemoryStorage,
    MovingWindowSupport,
    SlidingWindowCounterSupport,
    Storage,
    storage_from_string,
)
from holdfast.compat.limits.storage.base import TimestampedSlidingWindow
from holdfast.compat.limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from holdfast.compat.limits.util import LazyDependency, get_dependency
from holdfast.testing import use_clock


@pytest.fixture
def clock():
    return ManualClock(start=1000)


@pytest.fixture
def storage(clock):
    return MemoryStorage(clock=clock)


# ---- RT-18: in memory ----


def test_the_storage_of_a_uri_is_in_memory_and_takes_options():
    storage = storage_from_string("memory://", wrap_exceptions=True)
    assert type(storage) is MemoryStorage
    assert storage.check()
    assert storage.wrap_exceptions
    assert isinstance(storage, MovingWindowSupport)
    assert isinstance(storage, SlidingWindowCounterSupport)
    assert isinstance(storage, TimestampedSlidingWindow)
    assert storage.base_exceptions is ValueError


def test_a_counter_grows_and_ends_with_its_time(storage, clock):
    assert [storage.incr("k", 60), storage.incr("k", 60, amount=10)] == [1, 11]
    assert [storage.get("k"), storage.get_expiry("k")] == [11, 1060.0]
    clock.advance(60)
    assert [storage.get("k"), storage.get_expiry("k")] == [0, 1060.0]
    assert storage.incr("k", 5) == 1


def test_a_counter_is_taken_back_but_not_below_zero(storage):
    storage.incr("k", 60, amount=5)
    assert [storage.decr("k", 2), storage.decr("k", 9), storage.decr("other")] == [3, 0, 0]


def test_a_moving_window_knows_its_oldest_hit(storage, clock):
    assert storage.get_moving_window("k", 3, 10) == (1000.0, 0)
    assert storage.acquire_entry("k", 3, 10)
    clock.advance(2)
    assert storage.acquire_entry("k", 3, 10, amount=2)
    assert not storage.acquire_entry("k", 3, 10)
    assert storage.get_moving_window("k", 3, 10) == (1000.0, 3)
    clock.advance(8)
    assert storage.get_moving_window("k", 3, 10) == (1002.0, 2)


def test_a_moving_window_may_be_given_more_room(storage):
    assert storage.acquire_entry("k", 1, 10)
    assert not storage.acquire_entry("k", 1, 10)
    assert storage.acquire_entry("k", 3, 10, amount=2)
    assert not storage.acquire_entry("k", 3, 10)


def test_two_windows_of_a_key_are_weighted(storage, clock):
    assert storage.get_sliding_window("k", 100) == (0, 0.0, 0, 200.0)
    assert storage.acquire_sliding_window_entry("k", 10, 100, amount=4)
    clock.advance(125)
    assert storage.get_sliding_window("k", 100) == (4, 75.0, 0, 175.0)
    assert not storage.acquire_sliding_window_entry("k", 10, 100, amount=8)
    assert storage.acquire_sliding_window_entry("k", 10, 100, amount=7)
    storage.clear_sliding_window("k", 100)
    assert storage.get_sliding_window("k", 100) == (0, 0.0, 0, 175.0)


def test_keys_of_windows_are_made_of_the_time():
    keys = TimestampedSlidingWindow.sliding_window_keys("mykey", 60, 1738576292.6631825)
    assert keys == ("mykey/28976270", "mykey/28976271")


def test_a_cleared_key_has_nothing_and_a_reset_storage_neither(storage):
    storage.incr("a", 60)
    storage.acquire_entry("a", 5, 60)
    storage.incr("b", 60)
    storage.clear("a")
    assert [storage.get("a"), storage.get_moving_window("a", 5, 60)[1]] == [0, 0]
    assert storage.reset() == 1
    assert [storage.get("b"), storage.reset()] == [0, 0]


def test_what_a_storage_has_can_be_looked_at(storage, clock):
    storage.incr("k", 60, amount=3)
    storage.acquire_entry("m", 5, 10)
    clock.advance(1)
    storage.acquire_entry("m", 5, 10, amount=2)
    assert storage.storage == {"k": 3}
    assert storage.expirations == {"k": 1060.0}
    assert [(one.atime, one.expiry) for one in storage.events["m"]] == [
        *[(1001.0, 1011.0)] * 2,
        (1000.0, 1010.0),
    ]


def test_windows_that_have_ended_go_while_others_are_used(storage, clock):  # traps 26, 67
    for at in range(1000):
        storage.incr(f"k{at}", 1)
    clock.advance(2)
    for _ in range(3000):
        storage.incr("other", 1)
    assert len(storage._memory.fixed) == 1


def test_a_flood_of_keys_has_a_bound_and_forgets_nobody_who_is_used_up(clock):  # trap 67
    storage = MemoryStorage(clock=clock, most_keys=100)
    limiter, item = FixedWindowRateLimiter(storage), parse("5/hour")
    assert sum(limiter.hit(item, "greedy") for _ in range(6)) == 5
    for at in range(2000):
        limiter.hit(item, f"user {at}")
    assert len(storage.storage) <= 100
    assert not limiter.hit(item, "greedy")


def test_no_thread_is_started_and_a_storage_is_collected():  # traps 12, 43
    before = threading.active_count()
    storage = MemoryStorage()
    limiter = FixedWindowRateLimiter(storage)
    assert limiter.hit(parse("1/second"))
    assert threading.active_count() == before
    gone = weakref.ref(storage)
    del storage, limiter
    gc.collect()
    assert gone() is None


def test_a_pickled_storage_continues_where_it_was():
    with use_clock(ManualClock(start=1000)) as clock:
        storage = MemoryStorage()
        fixed, moving = FixedWindowRateLimiter(storage), MovingWindowRateLimiter(storage)
        item = parse("2/minute")
        assert fixed.hit(item, "u")
        assert moving.hit(item, "u", cost=2)
        dumped = pickle.dumps(storage)
        clock.advance(59)
        again = pickle.loads(dumped)
        assert again.incr(item.key_for("u"), 60) == 2
        assert not MovingWindowRateLimiter(again).hit(item, "u")
        assert storage.get(item.key_for("u")) == 1
        clock.advance(1)
        assert again.get(item.key_for("u")) == 0


@pytest.mark.parametrize("most", [0, -1, 1.5, "many"])
def test_a_storage_needs_room_for_a_key(most):
    with pytest.raises(ConfigError, match=r"most_keys: got .*, allowed an integer from 1 to"):
        MemoryStorage(most_keys=most)


# ---- storages that users write ----


class Failing(Storage, MovingWindowSupport, SlidingWindowCounterSupport):
    STORAGE_SCHEME = ["failing", "failing+too"]  # noqa: RUF012

    @property
    def base_exceptions(self):
        return LookupError

    def _fail(self, *_, **__):
        raise KeyError("gone")

    incr = get = get_expiry = check = reset = clear = _fail
    acquire_entry = get_moving_window = _fail
    acquire_sliding_window_entry = get_sliding_window = clear_sliding_window = _fail


CALLS = {
    "incr": ("k", 1),
    "get": ("k",),
    "get_expiry": ("k",),
    "check": (),
    "reset": (),
    "clear": ("k",),
    "acquire_entry": ("k", 1, 1),
    "get_moving_window": ("k", 1, 1),
    "acquire_sliding_window_entry": ("k", 1, 1),
    "get_sliding_window": ("k", 1),
    "clear_sliding_window": ("k", 1),
}


@pytest.mark.parametrize("method", CALLS)
def test_exceptions_of_a_storage_are_wrapped_if_that_is_asked(method):
    with pytest.raises(KeyError):
        getattr(storage_from_string("failing://"), method)(*CALLS[method])
    wrapped = storage_from_string("failing+too://", wrap_exceptions=True)
    with pytest.raises(StorageError) as raised:
        getattr(wrapped, method)(*CALLS[method])
    assert isinstance(raised.value.storage_error, KeyError)
    assert raised.value.__cause__ is raised.value.storage_error


def test_a_class_of_storages_is_found_by_each_of_its_schemes():
    assert SCHEMES["failing"] is SCHEMES["failing+too"] is Failing


def test_a_storage_without_a_method_that_it_needs_cannot_be_made():
    class Half(Storage):
        def incr(self, key, expiry, amount=1):
            return 1

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_a_method_that_a_storage_inherits_from_elsewhere_is_wrapped_as_well():
    class Get:
        def get(self, key):
            raise KeyError(key)

    class Mixed(Get, Failing):
        STORAGE_SCHEME = None

    with pytest.raises(StorageError):
        Mixed(wrap_exceptions=True).get("k")


# ---- URIs ----


def test_a_scheme_that_nobody_has_is_refused():
    with pytest.raises(ConfigurationError, match="unknown storage scheme : nowhere://"):
        storage_from_string("nowhere://")


def test_a_uri_has_locations_a_name_a_password_a_path_and_options():
    uri = parse_storage_uri("x://me:pw@[::1]:1, localhost:2/db?a=1&a=2")
    assert (uri.scheme, uri.username, uri.password) == ("x", "me", "pw")
    assert uri.locations == [("::1", 1), ("localhost", 2)]
    assert (uri.path, uri.query, uri.empty) == ("/db", {"a": ["1", "2"]}, False)
    assert parse_storage_uri("x://").empty
    assert parse_storage_uri("x+unix:///run/x.sock").path == "/run/x.sock"
    assert parse_storage_uri("x://a@:b@@localhost:1").password == "b@"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("x://localhost", "Missing host or port in location localhost"),
        ("x://localhost:1,", "Missing host or port"),
        ("x://localhost:nothing", "Unable to parse storage uri x://localhost:nothing"),
    ],
)
def test_a_location_without_host_or_port_is_refused(uri, said):
    with pytest.raises(ConfigurationError, match=said):
        parse_storage_uri(uri)


# ---- errors, modules that a storage needs ----


def test_errors_say_what_the_original_says():
    assert str(ConcurrentUpdateError("k", 3)) == "Unable to update k after 3 retries"
    error = StorageError(KeyError("k"))
    assert repr(error.storage_error) == "KeyError('k')"


def test_a_module_that_is_needed_is_imported_when_it_is_asked_for():
    class Needing(LazyDependency):
        DEPENDENCIES = ["json", "this.is.nowhere"]  # noqa: RUF012

    needing = Needing()
    pytest.importorskip("packaging")
    assert needing.dependencies["json"].module.loads("1") == 1
    with pytest.raises(ConfigurationError, match=r"'this.is.nowhere' prerequisite not available"):
        needing.dependencies["this.is.nowhere"]
    assert get_dependency("this.is.nowhere")[1] is None


def test_a_module_without_a_version_needs_no_packaging(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging", None)
    monkeypatch.setitem(sys.modules, "packaging.version", None)

    class Needing(LazyDependency):
        DEPENDENCIES = ["json"]  # noqa: RUF012 - as of limits

    assert Needing().dependencies["json"].module is json


def test_a_module_that_is_too_old_is_refused():
    version = pytest.importorskip("packaging.version").Version

    class Needing(LazyDependency):
        DEPENDENCIES = {"json": version("999"), "nowhere": version("1")}  # noqa: RUF012

    with pytest.raises(ConfigurationError, match="minimum version of 999 for 'json' could not be"):
        Needing().dependencies["json"]
    with pytest.raises(ConfigurationError, match="A minimum version of 1 is required"):
        Needing().dependencies["nowhere"]


def test_the_constructor_takes_what_that_of_the_original_takes():
    assert list(signature(MemoryStorage).parameters)[:2] == ["uri", "wrap_exceptions"]
