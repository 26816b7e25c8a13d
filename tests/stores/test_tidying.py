"""Processes that come tidy up after those that have ended, without a scrape and without delay."""

import json
import os
import shutil
import signal

import pytest

from holdfast.stores import totals as totals_file
from holdfast.stores.files import FEW
from holdfast.stores.workers import PASS_BYTES, SAMPLE
from tests.apart import run_apart
from tests.stores.crew import REQUESTS, totals

SCRAPE = """
def allowed(name):
    from holdfast.telemetry.prometheus import Collector
    [found] = [
        sample.value for metric in Collector().collect() for sample in metric.samples
        if sample.name == "holdfast_rate_limiter_allowed_total"
        and sample.labels["limiter"] == name
    ]
    return found
"""


def files(directory):
    return [path for path in directory.iterdir() if path.name.startswith("worker-")]


def left_by_the_dead(start, directory, number):
    """Have so many files of workers that were killed after one call of breaker `b`."""
    worker = start()
    worker("call", "b", 1)
    file = directory / worker("file")
    worker.kill()
    for copy in range(1, number):
        shutil.copy(file, directory / f"worker-1-copy{copy}")


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(0)", "return"])
def test_a_job_that_has_ended_keeps_its_counts(shared, end):
    assert (
        run_apart(
            SCRAPE
            + f"""
import multiprocessing, os
import holdfast as hf

def job():
    limiter = hf.RateLimiter("jobs", rate=1e6)
    for _ in range(10):
        limiter.acquire()
    {end}

for turn in range(1, 4):
    process = multiprocessing.get_context("fork").Process(target=job)
    process.start()
    process.join()
    print(allowed("jobs"))
"""
        )
        == "10\n20\n30\n"
    )


@pytest.mark.parametrize("others", [0, 4])
def test_files_of_jobs_that_come_and_go_stay_few_without_a_scrape(shared, others):
    said = run_apart(
        SCRAPE
        + f"""
import os, signal
import holdfast as hf

limiter = hf.RateLimiter("jobs", rate=1e6)
living, most = [], 0
for _ in range({others}):
    living.append(os.fork())
    if not living[-1]:
        signal.pause()
for turn in range(100):
    pid = os.fork()
    if pid == 0:
        limiter.acquire()
        os.kill(os.getpid(), 9) if turn % 2 else os._exit(0)
    os.waitpid(pid, 0)
    most = max(most, len(os.listdir(os.environ["HOLDFAST_DIR"])))
print(most, allowed("jobs"))
for pid in living:
    os.kill(pid, 9)
"""
    )
    most, allowed = said.split()
    assert int(most) <= 2 * FEW + 2 * others
    assert allowed == "100"


def test_a_start_removes_the_files_of_the_dead_and_keeps_their_counts(start, directory):
    left_by_the_dead(start, directory, 50)
    worker = start()
    worker("call", "b", 1)
    assert files(directory) == [directory / worker("file")]
    assert worker.calls("b") == 51


def test_a_start_among_few_files_imports_nothing_to_merge_them(shared):
    said = run_apart(
        """
import sys
import holdfast as hf

breaker = hf.CircuitBreaker("b")
print("holdfast.stores.workers" in sys.modules, "json" in sys.modules)
"""
    )
    assert said == "False False\n"


def test_a_start_reads_a_bounded_number_of_bytes_and_the_next_one_the_rest(start, directory):
    left_by_the_dead(start, directory, 3 * FEW)
    for path in files(directory):
        os.truncate(path, PASS_BYTES // 8)
    for starts in (1, 2):
        worker = start()
        worker("call", "b", 0)
        assert len(files(directory)) == 3 * FEW - 8 * starts + starts
    assert worker.calls("b") == 3 * FEW


def test_a_start_looks_at_as_many_files_among_many_living_workers_as_among_few(start, directory):
    import fcntl

    opened = []
    for living in (2 * FEW, 20 * FEW):
        worker = start()
        worker("call", "b", 1)
        file = directory / worker("file")
        locked = []
        for number in range(living):
            path = directory / f"worker-1-living{number}"
            shutil.copy(file, path)
            locked.append(os.open(path, os.O_RDONLY))
            fcntl.flock(locked[-1], fcntl.LOCK_EX)
        opened.append(worker("opened_by", "start"))
        worker.kill()
        for fd in locked:
            os.close(fd)
        for path in directory.glob("worker-1-living*"):
            path.unlink()
    assert SAMPLE <= opened[0] == opened[1] <= SAMPLE + 4


def test_a_scrape_opens_each_file_of_a_dead_worker_to_read_and_to_remove_it(start, directory):
    for dead in (10, 110):
        left_by_the_dead(start, directory, dead)
        for at, path in enumerate(files(directory)):  # the next start does not see them
            path.rename(directory / f"later-{at}")
        worker = start()
        worker("call", "b", 0)
        for path in directory.glob("later-*"):
            path.rename(directory / path.name.replace("later", "worker-1"))
        others = 20  # the totals, the names, the lock
        assert 2 * dead <= worker("opened_by", "scrape") <= 2 * dead + others
        worker.kill()


def test_totals_that_have_not_changed_are_read_once(shared):
    said = run_apart(
        """
import os
import holdfast as hf
from holdfast.stores import totals
from holdfast.telemetry.prometheus import Collector

def parse(*arguments):
    print("read")
    return original(*arguments)

original, totals._parse = totals._parse, parse
limiter, collector = hf.RateLimiter("l", rate=1e6), Collector()
for _ in range(2):
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    for _ in range(3):
        collector.collect()
    print("scraped")
"""
    )
    # The first totals are written by the first scrape, and read by the second.
    assert said == "read\nscraped\nread\nscraped\n"


def test_a_start_does_not_wait_for_a_process_that_merges(start, directory):
    import fcntl

    left_by_the_dead(start, directory, 100)
    with open(directory / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        worker = start()
        worker("call", "b", 1)
    assert len(files(directory)) == 101
    assert worker.calls("b") == 101


def test_a_start_whose_new_file_is_looked_at_leaves_no_file_behind(shared):
    said = run_apart(
        """
import fcntl, os
import holdfast as hf
from holdfast.stores.ledger import ledger

lock, turns = fcntl.flock, []

def looked_at(fd, how):
    turns.append(fd)
    if len(turns) < 5:
        raise BlockingIOError
    lock(fd, how)

fcntl.flock = looked_at
breaker = hf.CircuitBreaker("b")
assert os.listdir(ledger.directory) == [ledger.file]
"""
    )
    assert said == ""


def test_a_child_forked_in_the_middle_of_a_merge_does_not_hold_its_lock(shared):
    said = run_apart(
        """
import fcntl, os
import holdfast as hf
from holdfast.stores.files import Directory
from holdfast.stores.workers import Workers

limiter = hf.RateLimiter("l", rate=1e6)
ready, stop = os.pipe(), os.pipe()

def forked_and_killed(*_):
    if os.fork() == 0:
        os.write(ready[1], b"x")
        os.close(stop[1])
        os.read(stop[0], 1)
        os._exit(0)
    os.kill(os.getpid(), 9)

if (merger := os.fork()) == 0:
    Workers._merge = forked_and_killed
    others = Workers(hf.stores.ledger.ledger.directory)
    with Directory(others._path) as others._shared:
        others._bury({})
os.waitpid(merger, 0)
os.read(ready[0], 1)
with open(os.path.join(os.environ["HOLDFAST_DIR"], "lock")) as lock:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("free")
"""
    )
    assert said == "free\n"


def test_a_forked_child_tidies_up_without_a_word_in_the_log(shared):
    """Another thread of the parent may hold the lock of a handler, for ever in the child."""
    said = run_apart(
        """
import logging, os, shutil, sys, threading
from pathlib import Path
import holdfast as hf
from holdfast.stores.ledger import ledger

class Locked(logging.Handler):
    lock_of_its_own = threading.Lock()

    def emit(self, record):
        with self.lock_of_its_own:
            pass

logging.getLogger().addHandler(Locked())
limiter = hf.RateLimiter("l", rate=1e6)
(ledger.directory / "totals.json").write_text("damaged")
for _ in range(8):
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
[file, *_] = [path for path in ledger.directory.glob("worker-*") if path.name != ledger.file]
for copy in range(40):
    shutil.copy(file, ledger.directory / f"worker-1-{copy}")
    (ledger.directory / f"worker-2-{copy}").write_bytes(b"holdfast" + b"x" * 5000)
with Locked.lock_of_its_own:
    if (pid := os.fork()) == 0:
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
assert 'holdfast.stores.workers' in sys.modules
print(len(list(ledger.directory.glob("worker-1-*"))), (ledger.directory / "totals.json").exists())
"""
    )
    assert said == "0\n0 True\n"


def of_another_version(directory, worker, *names):
    whole = (directory / worker("file")).read_bytes()
    for name in names:
        (directory / name).write_bytes(whole[:8] + b"\xff" * 8 + whole[16:])


def test_files_of_another_version_are_removed_when_no_worker_of_it_lives(start, directory, capfd):
    import fcntl

    worker = start()
    worker("call", "b", 1)
    of_another_version(directory, worker, "worker-1-dead", "worker-2-dead", "worker-1-living")
    with open(directory / "worker-1-living", "rb") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        for _ in range(2):  # the living one can read the files of the dead
            assert worker.gauge("workers_unreadable") == 3
            assert len(files(directory)) == 4
    for _ in range(2):
        assert worker.gauge("workers_unreadable") == 0
        assert files(directory) == [directory / worker("file")]
    assert capfd.readouterr().err.count("the counts of 3 dead workers are lost") == 1
    assert worker.calls("b") == 1


def test_of_totals_that_could_not_be_read_the_last_few_are_kept(start, directory):
    worker = start()
    worker("call", "b", 0)
    for turn in range(2 * totals_file.ASIDE_MOST):
        (directory / "totals.json").write_text(f"damaged {turn}")
        worker("child", "b", 1)
        worker.scrape()
    kept = {path.read_text() for path in directory.glob("totals.json.damaged-*")}
    assert len(kept) == totals_file.ASIDE_MOST
    assert f"damaged {turn}" in kept


def test_totals_that_are_full_keep_the_names_of_living_workers(start, directory):  # trap 67
    living, dead = start(), start()
    for name in ("there", "dropped"):
        living("call", name, 1)
    living("drop", "dropped")
    for name in ("gone", "there", "dropped"):
        dead("call", name, 2)
    full = [["limiter", f"n{at}", [1] + [0] * 3] for at in range(10_000)]
    (directory / "totals.json").write_text(totals(full))
    dead.kill()
    living.scrape()
    text = json.loads((directory / "totals.json").read_text())
    counts = {(role, name): sum(counts) for role, name, counts in text["figures"]}
    assert counts["breaker", "there"] == counts["breaker", "dropped"] == 2
    assert counts["breaker", "__other__"] == 2  # of `gone`, which came last
    assert counts["limiter", "__other__"] == 2  # and of the two before it
    after = living.scrape()
    for name in ("there", "dropped"):
        assert after["counter", REQUESTS, (("name", name), ("result", "success"))] == 3


@pytest.mark.parametrize("seed", range(2))
def test_no_count_is_lost_or_doubled_however_workers_come_and_die(
    start, directory, seed
):  # trap 57
    """Random steps of real processes against a model: one number."""
    from random import Random

    random, survivor, counted = Random(seed), start(), 0
    survivor("call", "b", 0)
    workers = []

    def come():
        workers.append(start())

    def die():
        if workers:
            workers.pop(random.randrange(len(workers))).process.send_signal(signal.SIGKILL)

    def call():
        nonlocal counted
        counted += random.choice([survivor, *workers])("call", "b", 1)

    def drop():
        survivor("drop", "b")
        survivor("call", "b", 0)

    def child():
        nonlocal counted
        random.choice([survivor, *workers])("child", "b", 10)
        counted += 10

    def die_while_merging():
        worker = start()
        worker.begin(random.choice(["die_at", "die_at_in_tidy"]), random.randrange(1, 16))
        worker.process.stdout.readline()
        worker.kill()

    for _ in range(25):
        random.choice([come, die, call, drop, child, child, die_while_merging])()
        if random.random() < 0.5:
            assert survivor.calls("b") == counted
    assert survivor.calls("b") == counted
