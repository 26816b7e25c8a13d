"""What else may stand in the shared directory, and what an application may do to a worker."""

import json
import os

import pytest

from tests.apart import run_apart
from tests.stores.crew import assert_none_fell, totals

HUGE = totals([["limiter", "b", [10**400, 2, 3, 4]]])
STRANGE = {
    "totals-pipe": lambda path: os.mkfifo(path / "totals.json"),
    "totals-link": lambda path: (path / "totals.json").symlink_to(path / "nowhere"),
    "totals-device": lambda path: (path / "totals.json").symlink_to("/dev/zero"),
    "totals-directory": lambda path: (path / "totals.json").mkdir(),
    "totals-huge": lambda path: (path / "totals.json").write_text(HUGE),
    "new-pipe": lambda path: os.mkfifo(path / ".totals.json"),
    "new-directory": lambda path: (path / ".totals.json").mkdir(),
    "lock-pipe": lambda path: os.mkfifo(path / "lock"),
    "lock-directory": lambda path: (path / "lock").mkdir(),
    "lock-link": lambda path: (path / "lock").symlink_to(path),
    "unfinished-pipe": lambda path: os.mkfifo(path / ".worker-1-x"),
    "unfinished-directory": lambda path: (path / ".worker-1-x").mkdir(),
}


@pytest.mark.parametrize("put", STRANGE.values(), ids=STRANGE)
def test_whatever_stands_in_the_directory_no_scrape_fails_or_hangs(start, directory, put):
    first = start()
    first("call", "b", 1)
    before = first.scrape()
    first("child", "b", 2)
    put(directory)
    for _ in range(3):
        assert_none_fell(before, before := first.scrape())
        assert first.calls("b") == 3
        assert first.gauge("workers") == 1


def test_nothing_is_written_through_a_link(start, directory, tmp_path):
    first, second = start(), start()
    first("call", "b", 1)
    second("call", "b", 2)
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for name in (".totals.json", "lock"):
        (directory / name).symlink_to(precious)
    file = second("file")
    second.kill()
    assert first.calls("b") == 3
    (directory / "lock").unlink()
    assert first.calls("b") == first.calls("b") == 3
    assert precious.read_text() == "precious"
    assert file not in os.listdir(directory)
    assert not (directory / ".totals.json").exists()


def test_what_is_counted_as_merged_and_is_no_file_stays_where_it_is(start, directory):
    first, second = start(), start()
    second("call", "b", 2)
    (directory / "worker-1-a").mkdir()
    merged = ["worker-1-a", "../precious", 7]
    (directory / "totals.json").write_text(totals(merged=merged))
    precious = directory.parent / "precious"
    precious.write_text("precious")
    file = second("file")
    second.kill()
    for _ in range(2):
        assert first.calls("b") == 2
        assert first.gauge("workers_unreadable") == 0
    assert (directory / "worker-1-a").is_dir()
    assert precious.read_text() == "precious"
    assert file not in os.listdir(directory)


def test_sums_that_no_kernel_can_hold_stay_readable(start, directory):
    most = (1 << 64) - 1
    first, second = start(), start()
    first("make", "limiter", "b")
    second("make", "limiter", "b")
    second("take", "b")
    (directory / "totals.json").write_text(totals([["limiter", "b", [most, 0, 0, 0]]]))
    second.kill()
    labels = (("limiter", "b"),)
    for _ in range(3):
        found = first.scrape()
        assert found["counter", "holdfast_rate_limiter_allowed_total", labels] >= most
    assert json.loads((directory / "totals.json").read_text())["figures"][0][2][0] == most
    assert list(directory.glob("totals.json.damaged-*")) == []


def test_a_worker_that_makes_policies_all_the_time_is_read(start):
    watching, busy, same = start(), start(), start()
    for worker in (busy, same):
        for n in range(100):
            worker("call", f"b{n}", 1)
    busy.begin("churn")
    assert busy._answer() == "begun"
    last = watching.scrape()
    for _ in range(10):
        found = watching.scrape()
        assert_none_fell(last, found)
        assert found["gauge", "holdfast_workers_unreadable", ()] == 0
        last = found
    assert watching.calls("b99") == 2
    assert watching.calls("churned") > 0


def test_a_worker_whose_descriptors_are_closed_lives_on(start):
    """As daemons do: python-daemon closes all there are."""
    first, second = start(), start()
    second("call", "b", 2)
    assert first.calls("b") == 2
    second("close")
    assert first.gauge("workers") == second.gauge("workers") == 2
    second("call", "b", 1)
    assert first.calls("b") == second.calls("b") == 3
    for n in range(300):  # more than the file had room for
        second("make", "breaker", f"later{n}")
        second("call", f"later{n}", 1)
    assert first.calls("later299") == second.calls("later299") == 1
    second("child", "b", 10)
    assert first.calls("b") == 13
    second.kill()
    assert first.calls("b") == 13
    assert first.calls("later299") == 1
    assert first.gauge("workers") == 1


def test_a_descriptor_that_is_another_files_by_now_is_left_alone(shared):
    said = run_apart(
        """
        import os
        import holdfast as hf
        from holdfast._native import ledger as native
        from holdfast.stores.files import FIRST_SIZE
        from holdfast.stores.ledger import ledger

        breaker = hf.CircuitBreaker("b")
        own = ledger._file[0]
        theirs = os.open("/dev/null", os.O_RDONLY)
        os.dup2(theirs, own)
        pid = os.fork()
        if pid == 0:
            assert os.path.sameopenfile(theirs, own)
            assert native.is_shared()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        kept = [hf.CircuitBreaker(f"b{n}", latency=True) for n in range(300)]
        assert [breaker.call(int) for breaker in kept] == [0] * 300
        assert native.shares(kept[-1]._kernel) and native.size() > FIRST_SIZE
        assert os.path.sameopenfile(theirs, own)
        """
    )
    assert said == ""


def test_a_file_that_is_gone_grows_no_more_and_policies_work_unseen(shared):
    said = run_apart(
        """
        import logging, os, sys
        import holdfast as hf
        from holdfast._native import ledger as native
        from holdfast.stores.files import FIRST_SIZE
        from holdfast.stores.ledger import ledger

        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        breaker = hf.CircuitBreaker("b")
        path = ledger.directory / ledger.file
        os.close(ledger._file[0])
        path.unlink()
        path.write_text("of somebody else")
        kept = [hf.CircuitBreaker(f"b{n}", latency=True) for n in range(300)]
        for one in kept:
            one.call(int)
        assert sum(one.snapshot().succeeded for one in kept) == 300
        assert native.size() == FIRST_SIZE
        assert path.read_text() == "of somebody else"
        """
    )
    assert said.count("was closed, and cannot be opened again to grow") == 1


def test_a_file_that_was_removed_takes_no_more_of_the_disk(shared):
    said = run_apart(
        """
        import logging, sys
        import holdfast as hf
        from holdfast._native import ledger as native
        from holdfast.stores.files import FIRST_SIZE
        from holdfast.stores.ledger import ledger

        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        breaker = hf.CircuitBreaker("b")
        (ledger.directory / ledger.file).unlink()
        kept = [hf.CircuitBreaker(f"b{n}", latency=True) for n in range(300)]
        for one in kept:
            one.call(int)
        assert native.size() == FIRST_SIZE
        """
    )
    assert said.count("cannot grow") == 1


def test_a_relative_directory_is_the_same_wherever_the_process_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("HOLDFAST_DIR", "shared")
    monkeypatch.chdir(tmp_path)
    said = run_apart(
        """
        import os
        import holdfast as hf
        from holdfast.stores.ledger import ledger

        breaker = hf.CircuitBreaker("b")
        os.chdir("/")
        pid = os.fork()
        if pid == 0:
            assert ledger.file in os.listdir(ledger.directory)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        print(ledger.directory)
        """
    )
    assert said.strip() == str(tmp_path / "shared")


def test_a_file_that_cannot_be_named_leaves_nothing_and_the_next_try_is_whole(shared):
    said = run_apart(
        """
        import logging, os, sys
        import holdfast as hf
        from holdfast._native import ledger as native
        from holdfast.stores.ledger import ledger

        logging.basicConfig(stream=sys.stdout)

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        rename, os.rename = os.rename, full
        for _ in range(2):
            try:
                hf.CircuitBreaker("b")
            except hf.ConfigError as error:
                print(error, flush=True)  # the fork would copy what is not written
            assert not native.is_shared() and ledger.file is None
            assert os.listdir(os.environ["HOLDFAST_DIR"]) == []
        os.rename = rename
        breaker = hf.CircuitBreaker("b")
        breaker.call(int)
        assert native.shares(breaker._kernel)
        assert os.listdir(ledger.directory) == [ledger.file]
        os.rename = full
        pid = os.fork()
        if pid == 0:
            breaker.call(int)
            hf.CircuitBreaker("later").call(int)
            assert not native.is_shared() and ledger.file is None
            sys.stdout.flush()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert os.listdir(ledger.directory) == [ledger.file]
        """
    )
    assert said.count("No space left on device") == 3


def test_a_worker_that_starts_while_others_tidy_up_gets_its_file(shared):
    run_apart(
        """
        import fcntl, os
        import holdfast as hf
        from holdfast._native import ledger as native
        from holdfast.stores.ledger import ledger

        lock, turns = fcntl.flock, []

        def tidied_up_first(fd, how):
            turns.append(fd)
            if len(turns) < 5:
                for entry in os.scandir(os.environ["HOLDFAST_DIR"]):
                    os.unlink(entry)
            lock(fd, how)

        fcntl.flock = tidied_up_first
        breaker = hf.CircuitBreaker("b")
        fcntl.flock = lock
        assert len(turns) == 5
        assert native.shares(breaker._kernel)
        assert os.listdir(ledger.directory) == [ledger.file]
        """
    )
