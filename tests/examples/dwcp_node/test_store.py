"""The store of a node: what it keeps, what it refuses, and how it finds out that it is damaged."""

import itertools
import json
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.dwcp_node.entries import NO_REVISION, Entry, Version, newer, read_entry, read_value
from examples.dwcp_node.store import Fenced, Refused, Store, StoreError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "a" / "state.db", "a")
    store.open()
    yield store
    store.close()


@pytest.fixture
def other(tmp_path):
    store = Store(tmp_path / "b" / "state.db", "b")
    store.open()
    yield store
    store.close()


def effect(revision, writer, key="k", value=0, **more):
    return {"revision": revision, "writer": writer, "key": key, "value": value, **more}


def all_entries(store):
    return store.entries([key for leaf in range(65536) for key in store.versions(leaf)])


def rows_of(store):
    return store.entries(store.items())


# ---- keeping ----


def test_what_was_written_is_there_after_the_store_was_opened_anew(store):
    store.put("tea", {"pence": 7, "kinds": ["green", None]})
    store.apply(effect(3, "a", "price", 1.5))
    store.put("gone", 1)
    store.delete("gone")
    before = store.digest(), store.highest
    store.close()
    assert store.open() == []
    assert store.items() == {"tea": {"pence": 7, "kinds": ["green", None]}, "price": 1.5}
    assert store.get("gone", "nothing") == "nothing"
    assert (store.digest(), store.highest) == before
    assert len(store) == 3  # the deletion is kept, so that it reaches the others


def test_a_version_is_later_than_all_that_its_writer_had_seen(store, other):
    store.merge([Entry("x", "1", Version(NO_REVISION, 41, "b"))])
    assert store.put("y", 1) == Version(NO_REVISION, 42, "a")
    other.merge([store.entry("y")])
    assert other.put("y", 2) == Version(NO_REVISION, 43, "b")
    assert [one.key for one in store.merge([other.entry("y")])] == ["y"]
    assert store.get("y") == 2


def test_of_two_entries_of_one_key_all_nodes_keep_the_same_one_in_whatever_order_they_come(
    store, other
):
    rival = [
        Entry("k", '"early"', Version(NO_REVISION, 5, "a")),
        Entry("k", '"late"', Version(NO_REVISION, 6, "a")),
        Entry("k", '"other"', Version(NO_REVISION, 6, "b")),
        Entry("k", '"twin"', Version(NO_REVISION, 6, "b")),
        Entry("k", None, Version(NO_REVISION, 4, "c")),
    ]
    best = max(rival, key=lambda one: (one.version, one.seal))
    for number, order in enumerate(itertools.permutations(rival)):
        key = f"k{number}"
        renamed = [Entry(key, one.text, one.version) for one in order]
        best_one = max(renamed, key=lambda one: (one.version, one.seal))
        for one in renamed:
            store.merge([one])
        other.merge(reversed(renamed))
        assert store.entry(key) == other.entry(key) == best_one
    assert best.version.writer == "b"
    assert store.digest() == other.digest()


def test_an_effect_stands_above_what_any_node_may_write_and_only_effects_change_it(store):
    store.put("k", "anybody")
    store.apply(effect(0, "a", "k", "leader"))
    with pytest.raises(Refused, match="key 'k' was written by an effect"):
        store.put("k", "anybody")
    with pytest.raises(Refused, match="only a leader changes it"):
        store.delete("k")
    assert not store.merge([Entry("k", "1", Version(NO_REVISION, 999, "z"))])
    assert store.get("k") == "leader"
    store.apply({"revision": 0, "writer": "a", "key": "k", "deleted": True})
    assert store.get("k") is None


def test_listeners_hear_of_what_this_node_has_written_only(store):
    heard = []
    store.on_write = heard.append
    store.put("a", 1)
    store.apply(effect(1, "a", "b"))
    store.merge([Entry("c", "1", Version(NO_REVISION, 9, "b"))])
    with pytest.raises(Fenced):
        store.apply(effect(0, "a", "d"))
    assert [entry.key for entry in heard] == ["a", "b"]


def test_many_threads_write_and_nothing_is_lost_or_counted_twice(store):
    def write(number):
        for i in range(40):
            store.put(f"{number}-{i}", i)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = rows_of(store)
    assert len(entries) == len({one.version.counter for one in entries}) == 320
    assert max(one.version.counter for one in entries) == 320
    before = store.digest()
    store.close()
    store.open()
    assert store.digest() == before


def test_a_process_that_is_killed_has_kept_all_it_said_was_written(tmp_path):
    program = (
        "import sys; from examples.dwcp_node.store import Store\n"
        f"s = Store({str(tmp_path / 's.db')!r}, 'a'); s.open()\n"
        "for i in range(100_000):\n"
        "    s.apply({'revision': i, 'writer': 'a', 'key': str(i), 'value': i})\n"
        "    print(i, flush=True)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with child:
        written = [next(child.stdout) for _ in range(50)]
        child.kill()
        written += child.stdout.readlines()
    last = int([line for line in written if line.endswith("\n")][-1])
    store = Store(tmp_path / "s.db", "a")
    assert store.open() == []
    assert all(store.get(str(i)) == i for i in range(last + 1))
    assert store.highest >= last
    store.close()


# ---- refusing: the fence ----


def test_an_effect_of_a_lower_revision_than_the_highest_seen_is_refused(store):  # NX-22
    store.apply(effect(7, "b", value="new"))
    with pytest.raises(Fenced, match="revision 5 is lower than 7, the highest seen") as caught:
        store.apply(effect(5, "a", value="old"))
    assert (caught.value.revision, caught.value.highest) == (5, 7)
    assert store.get("k") == "new"
    store.close()
    store.open()
    with pytest.raises(Fenced, match="lower than 7"):
        store.apply(effect(6, "a"))


@pytest.mark.parametrize("how", ["effect", "merge", "fence"])
def test_a_revision_counts_as_seen_however_the_store_has_heard_of_it(store, how):
    if how == "effect":
        store.apply(effect(9, "b", "other"))
    elif how == "merge":
        store.merge([Entry("other", "1", Version(9, 1, "b"))])
    else:
        store.fence(9, "b")
    assert (store.highest, store.owner) == (9, "b")
    with pytest.raises(Fenced):
        store.apply(effect(8, "a"))
    store.apply(effect(9, "b"))


def test_one_revision_is_of_one_writer(store):
    store.apply(effect(4, "a"))
    with pytest.raises(Fenced, match="revision 4 is that of 'a', not of 'b'"):
        store.apply(effect(4, "b"))
    assert store.fence(6) == 6
    store.apply(effect(6, "c"))  # whose revision it is was not known
    with pytest.raises(Fenced, match="is that of 'c'"):
        store.admit(6, "a")


def test_a_declared_writer_makes_effects_until_there_was_an_election(store):
    store.declare("a")
    store.apply(effect(0, "a", value="declared"))
    with pytest.raises(Fenced, match="revision 0 is that of 'a', not of 'b'"):
        store.apply(effect(0, "b"))
    store.declare("b")
    store.apply(effect(0, "b", value="next"))
    with pytest.raises(Fenced):
        store.apply(effect(0, "a"))
    store.fence(12, "c")
    with pytest.raises(Fenced, match="revision 0 is lower than 12"):
        store.apply(effect(0, "b"))
    with pytest.raises(Fenced, match="cannot be declared the writer"):
        store.declare("b")


class Model:
    """What a fence is, in a few lines."""

    def __init__(self):
        self.highest, self.owner, self.value = NO_REVISION, None, None

    def hear(self, revision, owner):
        if revision > self.highest:
            self.highest, self.owner = revision, owner
        elif revision == self.highest:
            self.owner = self.owner or owner

    def apply(self, revision, writer, value):
        if revision < self.highest:
            return False
        if revision == self.highest and self.owner not in (None, writer):
            return False
        self.hear(revision, writer)
        self.value = value
        return True


@pytest.mark.parametrize(
    "last",
    [
        ("apply", 2, "c"),
        ("merge", 3, "a"),
        pytest.param(("apply", 3, "a"), marks=pytest.mark.slow),
        pytest.param(("merge", 2, "b"), marks=pytest.mark.slow),
    ],
)
def test_in_every_order_of_effects_the_store_accepts_what_the_model_accepts(store, last):  # NX-22
    steps = [
        ("apply", 1, "a"), ("apply", 1, "b"), ("apply", 2, "b"), ("fence", 2, None), last,
    ]  # fmt: skip
    accepted = 0
    for number, order in enumerate(itertools.permutations(steps)):
        base = 10 + number * 10  # above all of the orders before
        key, model = f"key{number}", Model()
        for what, revision, writer in order:
            before = store.entry(key)
            if what == "fence":
                store.fence(base + revision)
                model.hear(base + revision, None)
            elif what == "merge":
                store.merge([Entry("else", "1", Version(base + revision, 1, writer))])
                model.hear(base + revision, writer)
            else:
                value = f"{revision}{writer}"
                expected = model.apply(base + revision, writer, value)
                try:
                    store.apply(effect(base + revision, writer, key, value))
                    is_accepted = True
                except Fenced:
                    is_accepted = False
                    assert store.entry(key) == before
                assert is_accepted == expected, order
                accepted += expected
            assert (store.highest, store.owner) == (model.highest, model.owner), order
        assert store.get(key) == model.value
    assert 100 < accepted < 480


def test_effects_accepted_by_many_threads_never_go_back_in_revision(store):
    taken, lock = [], threading.Lock()
    real = store._keep

    def keep(entries):  # runs within the transaction: its order is the order of the effects
        taken.extend(one.version.revision for one in entries)
        return real(entries)

    store._keep = keep

    def lead(revision):
        for i in range(30):
            try:
                store.apply(effect(revision, f"w{revision}", f"{revision}-{i}"))
            except Fenced:
                with lock:
                    refused.append(revision)

    refused = []
    threads = [threading.Thread(target=lead, args=(r,)) for r in (5, 6, 7, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == sorted(taken)
    assert len(taken) + len(refused) == 120
    assert taken.count(8) == 30


def test_an_effect_that_was_sent_twice_or_late_changes_nothing(store):
    store.apply(effect(3, "a", value="one", counter=10))
    store.apply(effect(3, "a", value="two", counter=11))
    store.apply(effect(3, "a", value="one", counter=10))
    assert store.get("k") == "two"
    assert store.entry("k").version == Version(3, 11, "a")


# ---- bad input ----


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"revision": -1}, "revision: got -1, allowed an integer from 0"),
        ({"revision": True}, "revision: got True"),
        ({"revision": "7"}, "revision: got '7'"),
        ({"revision": 2**70}, "revision: got"),
        ({"writer": ""}, "writer: got ''"),
        ({"writer": "a\nb"}, "writer: got"),
        ({"key": ""}, "key: got ''"),
        ({"key": "x" * 513}, "allowed a string of 1 to 512 characters"),
        ({"key": "\ud800"}, "key: got"),
        ({"value": float("nan")}, "value: got nan"),
        ({"value": (1, 2)}, "allowed a JSON value"),
        ({"value": {1: 2}}, "names have to be strings"),
        ({"value": "x" * 70_000}, "allowed at most 65536"),
        ({"counter": 0}, "counter: got 0"),
        ({"term": 4}, "unknown fields: term"),
    ],
)
def test_an_effect_with_a_wrong_field_is_refused_by_name_and_changes_nothing(store, change, told):
    before = store.digest(), store.highest
    with pytest.raises(ValueError, match=told):
        store.apply({**effect(9, "a"), **change})
    assert (store.digest(), store.highest) == before


def test_an_effect_without_a_field_says_which(store):
    with pytest.raises(ValueError, match="these fields are missing: key, writer"):
        store.apply({"revision": 1, "value": 2})


def test_deeply_nested_values_are_refused_from_users_and_from_peers(store):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        store.put("k", deep)
    with pytest.raises(ValueError, match=r"nested too deeply|recursion|JSON"):
        read_entry(["k", "[" * 20_000 + "]" * 20_000, -1, 1, "b"])
    while deep:  # a deep list is freed level by level
        deep = deep[0]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
))  # fmt: skip
def test_whatever_a_peer_may_send_is_an_entry_or_a_value_error(given_value):
    for raw in (
        given_value,
        [given_value] * 5,
        ["k", given_value, -1, 1, "b"],
        ["k", json.dumps(given_value), -1, 1, "b"],
        ["k", "1", given_value, given_value, "b"],
    ):
        try:
            entry = read_entry(raw)
        except ValueError:
            continue
        assert read_entry(entry.as_list()) == entry
        assert entry.text is None or read_value(entry.value) == entry.text


def test_a_counter_that_is_impossibly_far_ahead_is_refused_whole(store):
    good = Entry("good", "1", Version(NO_REVISION, 1, "b"))
    before = store.digest()
    with pytest.raises(Refused, match="impossibly far ahead"):
        store.merge([good, Entry("k", "1", Version(NO_REVISION, 2**52, "b"))])
    with pytest.raises(Refused, match="impossibly far ahead"):
        store.apply(effect(1, "a", counter=2**52))
    assert store.entry("good") is None
    assert store.digest() == before
    assert store.put("k", 1).counter == 1


def test_a_closed_store_says_so(store):
    store.close()
    store.close()
    for use in (store.digest, store.verify, lambda: store.get("k"), lambda: store.put("k", 1)):
        with pytest.raises(StoreError, match="is not open"):
            use()


# ---- files ----


def test_the_files_are_for_this_user_alone_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        store = Store(tmp_path / "folder" / "s.db", "a")
        store.open()
        store.fence(1)
        store.put("k", 1)
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "folder").iterdir()
        }
    finally:
        os.umask(old)
    assert {"s.db", "s.db-wal", "s.db-shm", "s.db.fence", "s.db.lock"} <= {*modes}
    assert {*modes.values()} == {0o600}
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700
    store.close()


def test_one_process_at_a_time_has_the_store(store):
    second = Store(store.path, "b")
    with pytest.raises(StoreError, match="is open already"):
        second.open()
    store.close()
    second.open()
    second.close()


def test_a_database_of_something_else_or_of_a_later_version_is_left_alone(tmp_path, store):
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE entries (x)")
    db.close()
    before = foreign.read_bytes()
    with pytest.raises(StoreError, match="not of a node"):
        Store(foreign, "a").open()
    assert foreign.read_bytes() == before
    store.close()
    db = sqlite3.connect(store.path)
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(StoreError, match="has format 2, and this program knows 1"):
        store.open()


def test_a_link_in_place_of_the_database_is_refused(tmp_path, store):
    store.close()
    target = tmp_path / "target.db"
    store.path.rename(target)
    store.path.symlink_to(target)
    with pytest.raises(StoreError, match="no file of this user"):
        store.open()


# ---- damage ----


def filled(store, entries=400):
    for i in range(entries):
        store.merge([Entry(f"key{i}", json.dumps("v" * 50), Version(NO_REVISION, i + 1, "b"))])
    return store


def flip_a_value(store, key):
    """Change a value in the file of a closed store, as a bad disk does: SQLite notices nothing."""
    raw = store.path.read_bytes()
    at = raw.index(key.encode(), raw.index(b"CREATE TABLE") + 1000)
    at = raw.index(b"vvvv", at)
    with store.path.open("r+b") as file:
        file.seek(at)
        file.write(b"w")


def test_a_changed_byte_is_found_by_verifying_and_dropped_when_the_store_is_opened(store):
    filled(store)
    store._use().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert [store.verify(100) for _ in range(20)] == [""] * 20
    flip_a_value(store, "key7")  # while it is open
    found = [store.verify(100) for _ in range(20)]
    assert found[-1].startswith("state.db is damaged: group")
    assert store.damage == found[-1]
    with pytest.raises(StoreError, match="is damaged"):
        store.put("k", 1)  # nothing is built upon damage
    store.close()
    assert store.open() == [f"{store.path}: 1 entries were damaged"]
    assert len(store) == 399
    assert store.verify(10_000) == ""
    assert store.put("k", 1).counter == 401  # no counter is used twice


def test_a_damaged_entry_is_never_read_as_if_it_were_whole(store):
    filled(store, 20)
    store._use().execute("UPDATE entries SET text = '\"wrong\"' WHERE key IN ('key3', 'key4')")
    with pytest.raises(StoreError, match="the entry 'key3' is damaged"):
        store.get("key3")
    with pytest.raises(StoreError, match="is damaged"):
        store.items()
    assert store.verify()


def test_rows_that_have_vanished_are_noticed(store):
    filled(store, 20)
    store._use().execute("DELETE FROM entries WHERE key = 'key3'")
    assert "entries were lost or changed" in store.verify()


def test_a_file_that_was_removed_or_replaced_is_noticed(store):
    filled(store, 3)
    store.path.rename(store.path.with_name("elsewhere"))
    assert "No such file" in store.verify()
    store.close()
    store.open()
    assert len(store) == 0
    assert store.verify() == ""


def test_a_ruined_database_is_set_aside_and_its_fence_outlives_it(store):
    filled(store, 200)
    store.apply(effect(7, "b"))
    store.close()
    with store.path.open("r+b") as file:
        file.write(random.Random(1).randbytes(store.path.stat().st_size))
    [told] = store.open()
    assert "file is not a database" in told
    assert len(store) == 0
    assert len([*store.path.parent.glob("state.db.damaged-*")]) == 1
    assert store.is_sure
    with pytest.raises(Fenced, match="lower than 7"):
        store.apply(effect(5, "a"))


@pytest.mark.parametrize(
    "offset",
    [
        *(100, 4096 + 8, 12288),
        *(pytest.param(one, marks=pytest.mark.slow) for one in (4096, 8192, 20480)),
    ],
)
def test_a_ruined_page_anywhere_is_found_when_the_store_is_opened(store, offset):
    filled(store, 300)
    before = {entry.key: entry for entry in rows_of(store)}
    store.close()
    with store.path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 600)
    assert store.open()
    for entry in rows_of(store):  # what is left is what it was
        assert before[entry.key] == entry
    assert store.verify(10_000) == ""


def test_a_store_that_has_lost_its_database_and_its_fence_takes_no_effect_until_it_has_compared(
    store,
):
    store.apply(effect(7, "b"))
    store.close()
    (store.path.with_name("state.db.fence")).write_text("{}")
    assert "fence is damaged" in store.open()[0]
    assert not store.is_sure
    for revision in (5, 7, 99):
        with pytest.raises(Fenced, match="does not know the highest revision yet"):
            store.apply(effect(revision, "b"))
    store.put("free", 1)  # what any node may write goes on
    store.close()
    store.open()
    assert not store.is_sure  # it is kept
    store.merge([Entry("x", "1", Version(9, 1, "c"))])
    store.confirm()
    with pytest.raises(Fenced, match="lower than 9"):
        store.apply(effect(7, "b"))
    store.apply(effect(9, "c"))


def test_a_fence_that_was_changed_behind_the_store_is_noticed(store):
    store.fence(7)
    store.path.with_name("state.db.fence").unlink()
    assert "the file of the fence was changed" in store.verify()
    store.close()
    store.open()
    assert not store.is_sure


# ---- digests ----


def test_equal_digests_mean_equal_entries(store, other):
    assert store.digest() == other.digest()
    filled(store, 50)
    assert store.digest() != other.digest()
    everything = rows_of(store)
    random.Random(3).shuffle(everything)
    for i in range(0, 50, 7):
        other.merge(everything[i : i + 7])
    assert store.digest() == other.digest()
    assert store.groups() == other.groups()
    store.put("key3", 1)
    differing = [g for g in range(256) if store.groups()[g] != other.groups()[g]]
    assert len(differing) == 1
    [leaf] = [
        leaf
        for leaf, value in store.leaves(differing[0]).items()
        if other.leaves(differing[0]).get(leaf) != value
    ]
    assert "key3" in store.versions(leaf)


def test_a_failed_write_leaves_the_digests_as_they_were(store):
    filled(store, 10)
    before = store.digest()
    bad = Entry("k", "1", Version(NO_REVISION, 2**52, "b"))
    with pytest.raises(Refused):
        store.merge([Entry("key1", "1", Version(NO_REVISION, 90, "b")), bad])
    assert store.digest() == before
    assert store.verify() == ""


def test_newer_is_a_strict_order():
    entries = [
        Entry("k", text, Version(revision, counter, writer))
        for text in (None, "1", "null")
        for revision in (-1, 0, 3)
        for counter in (1, 2)
        for writer in "ab"
    ]
    for a, b in itertools.product(entries, repeat=2):
        assert newer(a, b) + newer(b, a) == (a != b)


# ---- cost ----


def test_a_write_costs_no_more_in_a_large_store(tmp_path):
    store = Store(tmp_path / "large.db", "a")
    store.open()
    steps = []
    store._use().set_progress_handler(lambda: steps.append(1) or 0, 20)  # counts, not seconds

    def cost():
        steps.clear()
        for i in range(20):
            store.put(f"probe{i}", i)
        return len(steps)

    store.merge(Entry(f"x{i}", "1", Version(-1, i + 1, "b")) for i in range(100))
    small = cost()
    store.merge(Entry(f"y{i}", "1", Version(-1, i + 1, "b")) for i in range(5_000))
    assert cost() <= small * 2 + 20
    store.close()
