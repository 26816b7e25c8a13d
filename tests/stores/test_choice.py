"""What names.json may contain, who may write it, and what a scrape makes of it."""

import errno
import fcntl
import json
import os
import stat
import sys

import pytest

from holdfast.stores import names as module
from holdfast.stores.figures import BREAKER, COUNTS, LIMITER, Sum
from holdfast.stores.files import Directory
from holdfast.stores.names import Bound, Choice, Names


def figures_of(role=BREAKER, **counts):
    return {(role, name): Sum([count] * COUNTS[role]) for name, count in counts.items()}


def hold(names, counts, living=None, most=2, **options):
    """Return what is shown of breakers that have counted so much."""
    living = counts if living is None else living
    living = {("circuit_breaker", name) for name in living}
    held = names.hold(figures_of(**counts), living, most, **options)
    return {name: there.counts[0] for (_, name), there in held.items()}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "names.json"


def write(path, slots, others=()):
    path.write_text(json.dumps({"version": 1, "slots": slots, "others": dict(others)}))


STRANGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_text(path.read_text()[:-5]),
    "other-version": lambda path: path.write_text('{"version": 7}'),
    "list": lambda path: path.write_text("[]"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "kind": lambda path: write(path, {"brooker": ["a"]}),
    "name": lambda path: write(path, {"circuit_breaker": ["a\n"]}),
    "number": lambda path: write(path, {"circuit_breaker": [7]}),
    "twice": lambda path: write(path, {"circuit_breaker": ["a", "b", "a"]}),
    "both": lambda path: write(path, {"circuit_breaker": ["a"]}, {"circuit_breaker": ["a"]}),
    "text": lambda path: write(path, {"circuit_breaker": "ab"}),
    "huge": lambda path: os.truncate(path, 1 << 40),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "link": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "dangling": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("put", STRANGE.values(), ids=STRANGE)
def test_a_names_file_that_cannot_be_read_is_set_aside_and_told_of_once(file, caplog, put):
    known, newcomer = Names(file.parent), Names(file.parent)  # trap 60
    expected = {"x": 1, "y": 1, "__other__": 1}
    assert hold(known, {"x": 1, "y": 1}) == {"x": 1, "y": 1}
    put(file)
    assert hold(known, {"x": 1, "a": 1, "y": 1}) == expected
    assert hold(newcomer, {"x": 1, "a": 1, "y": 1}) == expected
    assert json.loads(file.read_text())["slots"]["circuit_breaker"] == ["x", "y"]
    assert os.path.lexists(file.parent / "names.json.damaged")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("leave", [lambda file: os.mkdir(file), lambda file: file.write_text("x")])
def test_what_stands_where_the_next_file_is_written_does_no_harm(file, leave):
    leave(file.with_name(".names.json"))
    names = Names(file.parent)
    for _ in range(2):
        assert hold(names, {"c": 1, "a": 1, "b": 1}) == {"a": 1, "b": 1, "__other__": 1}


def test_the_names_file_is_this_users_alone(file):
    hold(Names(file.parent), {"a": 1})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["names.json"]


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC])
def test_a_process_that_cannot_write_keeps_its_own_choice_until_there_is_one(
    file, caplog, monkeypatch, code
):
    def refuse(*_):
        raise OSError(code, "refused")

    write(file, {"circuit_breaker": ["b"]})
    alone, other = Names(file.parent), Names(file.parent)
    monkeypatch.setattr(Directory, "replace", refuse)
    for counts in ({"b": 1, "z": 1}, {"b": 2, "z": 2, "a": 2}):
        assert hold(alone, counts)["b"] == hold(alone, counts)["z"] == counts["b"]
    assert len(caplog.records) == (code != errno.EROFS)
    monkeypatch.undo()
    assert hold(other, {"b": 3, "y": 3}) == {"b": 3, "y": 3}
    assert hold(alone, {"b": 3, "z": 3, "y": 3}) == {"b": 3, "y": 3, "__other__": 3}
    assert hold(other, {"b": 3, "z": 3, "y": 3}) == {"b": 3, "y": 3, "__other__": 3}


def test_a_process_that_only_reads_shows_the_names_in_the_file_first_and_writes_nothing(file):
    reader, writer = Names(file.parent), Names(file.parent)
    for _ in range(2):
        found = hold(reader, {"a": 1, "y": 1, "z": 1}, living="yz", writes=False)
        assert found == {"y": 1, "z": 1, "__other__": 1}
        assert not file.exists()
    hold(writer, {"a": 1, "y": 1})
    written = file.stat()
    found = hold(reader, {"a": 2, "y": 2, "z": 2}, writes=False)
    assert found == {"a": 2, "y": 2, "__other__": 2}
    assert file.stat() == written


def test_no_descriptor_left_fails_the_scrape_and_sets_nothing_aside(file, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    hold(Names(file.parent), {"a": 1})
    monkeypatch.setattr(Directory, "read", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        hold(Names(file.parent), {"a": 1})
    assert os.listdir(file.parent) == ["names.json"]


def test_what_another_worker_decides_first_counts(file, monkeypatch):
    first, second = Names(file.parent), Names(file.parent)
    lock = Names._lock

    def later(names):
        monkeypatch.setattr(Names, "_lock", lock)
        assert hold(second, {"x": 1, "y": 1}) == {"x": 1, "y": 1}
        return lock(names)

    monkeypatch.setattr(Names, "_lock", later)
    assert hold(first, {"a": 1, "x": 1, "y": 1}) == {"x": 1, "y": 1, "__other__": 1}


def test_no_two_files_have_the_same_time(file, monkeypatch):
    monkeypatch.setattr(module.time, "time_ns", lambda: 7)
    times = []
    for counts in ({"a": 1}, {"b": 1}, {"c": 1}):
        hold(Names(file.parent), counts)
        times.append(file.stat().st_mtime_ns)
    assert times == [7, 8, 9]


def test_a_child_forked_in_the_middle_of_a_write_does_not_hold_the_lock(file):
    ready, stop = os.pipe(), os.pipe()

    def forked_and_killed(names):
        if os.fork() == 0:
            os.write(ready[1], b"x")
            os.close(stop[1])
            os.read(stop[0], 1)
            os._exit(0)
        os._exit(9)

    if (writer := os.fork()) == 0:
        Names._save = forked_and_killed
        hold(Names(file.parent), {"a": 1})
    assert os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == 9
    os.read(ready[0], 1)
    hold(Names(file.parent), {"b": 1})
    assert file.exists()
    for fd in (*ready, *stop):
        os.close(fd)


def test_an_interrupted_decision_is_written_later(file, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    names = Names(file.parent)
    hold(names, {"a": 1})
    with monkeypatch.context() as patch:
        patch.setattr(Choice, "forget", interrupt)
        with pytest.raises(KeyboardInterrupt):
            hold(names, {"a": 1, "b": 1})
    assert hold(names, {"a": 1, "b": 1}) == {"a": 1, "b": 1}
    assert json.loads(file.read_text())["slots"]["circuit_breaker"] == ["a", "b"]


def test_a_stopped_writer_holds_no_scrape_up_for_ever(file, monkeypatch):
    pauses = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    stopped = os.open(file.parent, os.O_RDONLY)
    fcntl.flock(stopped, fcntl.LOCK_EX)
    names = Names(file.parent)
    assert hold(names, {"a": 1, "b": 1, "c": 1}) == {"a": 1, "b": 1, "__other__": 1}
    assert sum(pauses) == pytest.approx(1)
    assert not file.exists()
    os.close(stopped)
    assert hold(names, {"a": 1, "b": 1, "c": 1}) == {"a": 1, "b": 1, "__other__": 1}
    assert file.exists()


def test_a_writer_that_dies_at_any_moment_harms_nobody(file):  # trap 57
    survivor = Names(file.parent)
    assert hold(survivor, {"a": 1}) == {"a": 1}
    finished = False
    for step in range(1, 20):
        finished = _dies_before(step, file.parent, {"a": 1, "b": 1, "c": 1})
        assert hold(Names(file.parent), {"a": 1}) == hold(survivor, {"a": 1}) == {"a": 1}
        if finished:
            break
    assert finished
    assert hold(survivor, {"z": 1, "c": 1, "b": 1, "a": 1}) == {"a": 1, "b": 1, "__other__": 2}


def _dies_before(step, directory, counts):
    """Have a child decide, and die before the step of that number; return whether there is none."""

    def count(event, arguments):
        nonlocal step
        touches = event == "fcntl.flock" or str(arguments[:1]).find(str(directory)) > 0
        step -= touches
        if touches and step == 0:
            os._exit(7)

    pid = os.fork()
    if pid == 0:
        sys.addaudithook(count)
        hold(Names(directory), counts)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("most", [10, 30_000])
def test_twenty_thousand_names_are_decided_and_shown_in_linear_time(tmp_path, most):
    looks = 0

    class Counted(str):
        __slots__ = ()

        def __hash__(self):
            nonlocal looks
            looks += 1
            return super().__hash__()

        __eq__ = str.__eq__

    def looks_at(number):
        nonlocal looks
        figures = {(BREAKER, Counted(n)): Sum([1] * COUNTS[BREAKER]) for n in range(number)}
        living = {("circuit_breaker", name) for _, name in figures}
        names, bound = Names(tmp_path), Bound(most)
        looks = 0
        for _ in range(2):
            names.hold(figures, living, most)
            bound.hold(figures, living)
        return looks

    assert looks_at(20_000) < 30 * looks_at(2_000)


def test_a_collector_in_memory_gives_the_place_of_a_name_that_is_gone_to_a_new_one():
    bound = Bound(2)

    def held(**counts):
        living = {("circuit_breaker", name) for name in counts}
        found = bound.hold(figures_of(**counts), living)
        return {name: there.counts[0] for (_, name), there in found.items()}

    assert held(c=1, b=1, a=1) == {"a": 1, "b": 1, "__other__": 1}
    assert held(c=2, b=2) == {"b": 2, "__other__": 2}
    assert held(b=2, d=1, e=1) == {"b": 2, "d": 1, "__other__": 3}
    assert held(c=1, b=2, d=1, e=1) == {"b": 2, "d": 1, "__other__": 4}


def test_only_a_living_name_gets_the_place_of_a_dead_one(file):
    names = Names(file.parent)
    assert hold(names, {"a": 1, "z": 1}, living="z") == {"a": 1, "z": 1}
    assert hold(names, {"a": 1, "b": 1, "z": 1}, living="z") == {"a": 1, "z": 1, "__other__": 1}
    counts = {"a": 1, "b": 1, "c": 1, "d": 1, "z": 1}
    assert hold(names, counts, living="bdz") == {"d": 1, "z": 1, "__other__": 3}
    assert json.loads(file.read_text())["others"]["circuit_breaker"] == ["a", "b", "c"]
    assert hold(names, counts, living="bc") == {"d": 1, "z": 1, "__other__": 3}


def test_living_names_that_come_with_dead_ones_go_first(tmp_path):
    counts = {"a": 1, "b": 1, "y": 1, "z": 1}
    assert hold(Names(tmp_path), counts, living="yz") == {"y": 1, "z": 1, "__other__": 2}


def test_a_name_that_was_among_the_others_of_a_small_bound_stays_there(tmp_path):
    names = Names(tmp_path)
    assert hold(names, {"a": 1, "b": 1, "c": 5}) == {"a": 1, "b": 1, "__other__": 5}
    assert hold(names, {"a": 1, "c": 5}, most=3) == {"a": 1, "c": 5}
    assert hold(names, {"a": 1, "c": 5}) == {"a": 1, "__other__": 5}
    assert hold(names, {"a": 1, "c": 5, "d": 1}) == {"a": 1, "d": 1, "__other__": 5}


def test_a_name_that_was_among_the_others_does_not_get_the_place_of_a_dead_one(tmp_path):
    names, counts = Names(tmp_path), {"a": 1, "b": 5, "c": 5}
    assert hold(names, counts, most=1) == {"a": 1, "__other__": 10}
    assert hold(names, counts, living="bc", most=2) == {"a": 1, "b": 5, "__other__": 5}
    assert hold(names, counts, living="bc", most=1) == {"a": 1, "__other__": 10}


def test_each_kind_has_its_own_places(tmp_path):
    figures = figures_of(a=1, b=1) | figures_of(LIMITER, c=1, d=1, e=1)
    living = {(kind, name) for kind in ("circuit_breaker", "rate_limiter") for name in "abcde"}
    shown = set(Names(tmp_path).hold(figures, living, 2))
    assert shown == {
        (BREAKER, "a"), (BREAKER, "b"), (LIMITER, "c"), (LIMITER, "d"), (LIMITER, "__other__"),
    }  # fmt: skip
