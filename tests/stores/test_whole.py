"""A scrape returns the metrics of all workers, or it fails and says why. The next one works."""

import os

import pytest

from tests.apart import run_apart

TROUBLED = """
    import errno, pathlib, pwd, shlex, os, resource
    import holdfast as hf
    from holdfast.stores import workers
    from holdfast.stores.ledger import ledger
    from holdfast.stores.totals import TotalsFile
    from holdfast.telemetry.prometheus import Collector

    breaker, collector = hf.CircuitBreaker("b"), Collector()
    breaker.call(int)
    reading, writing = os.pipe()
    if os.fork() == 0:  # another worker, which lives as long as this one
        os.close(writing)
        breaker.call(int)
        os.read(reading, 1)
        os._exit(0)

    def calls():
        name, labels = "holdfast_circuit_breaker_requests_total", {"name": "b", "result": "success"}
        return [s.value for m in collector.collect() for s in m.samples
                if (s.name, s.labels) == (name, labels)]

    while calls() != [2]:  # until the other one has called
        pass

    def fails(kind, *parts):
        try:
            found = calls()
        except kind as error:
            for part in (*parts, str(ledger.directory)):
                assert part in str(error), str(error)
        else:
            raise AssertionError(f"told a part as the whole: {found}")
"""


def test_without_a_descriptor_left_a_scrape_fails_and_the_next_one_works(shared):
    run_apart(
        TROUBLED
        + """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/dev/null", os.O_RDONLY)]
    for left in range(2):  # for the directory, and for its listing
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 1 + left, hard))
        fails(OSError, "metrics of the other workers cannot be read: Too many open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert calls() == [2]
    """
    )


@pytest.mark.parametrize("code", ["ENFILE", "ENOMEM"])
def test_if_the_system_has_no_memory_for_a_file_a_scrape_fails_and_the_next_one_works(shared, code):
    run_apart(
        TROUBLED
        + f"""
    def full(*_):
        raise OSError(errno.{code}, os.strerror(errno.{code}))

    whole, workers.Reader = workers.Reader, full
    collector = Collector()
    fails(OSError, os.strerror(errno.{code}))
    workers.Reader = whole
    assert calls() == [2]
    """
    )


def test_if_the_directory_is_gone_a_scrape_fails_and_works_when_it_is_back(shared):
    run_apart(
        TROUBLED
        + """
    gone = ledger.directory.with_name("gone")
    ledger.directory.rename(gone)
    fails(hf.ConfigError, "No such file or directory: create it")
    gone.rename(ledger.directory)
    assert calls() == [2]
    """
    )


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
def test_if_the_directory_cannot_be_read_a_scrape_fails_and_works_when_it_can(
    reachable, monkeypatch, mode
):
    monkeypatch.setenv("HOLDFAST_DIR", str(reachable))
    reachable.mkdir(mode=0o700)
    if os.geteuid() == 0:  # to whom nothing is forbidden
        os.chown(reachable, 65_534, -1)
    run_apart(
        TROUBLED
        + f"""
    if os.geteuid() == 0:
        os.seteuid(65534)
    ledger.directory.chmod({mode})
    fails((hf.ConfigError, OSError), "Permission denied")
    ledger.directory.chmod(0o700)
    assert calls() == [2]
    os.seteuid(os.getuid())
    """
    )


def test_a_directory_that_changes_each_time_it_is_read_fails_the_scrape(shared):
    run_apart(
        TROUBLED
        + """
    whole, turns = TotalsFile.identity, iter(range(1000))
    TotalsFile.identity = lambda *_: (next(turns),)
    fails(OSError, "the directory changes all the time")
    TotalsFile.identity = whole
    assert calls() == [2]
    """
    )


def test_a_child_without_a_file_fails_too_if_the_directory_is_gone(shared):
    said = run_apart(
        TROUBLED
        + """
    import logging, sys
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    gone = ledger.directory.with_name("gone")
    ledger.directory.rename(gone)
    pid = os.fork()
    if pid == 0:
        fails(hf.ConfigError, "No such file or directory: create it")
        gone.rename(ledger.directory)
        breaker.call(int)
        assert calls() == [3]
        sys.stdout.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """
    )
    assert said.startswith("forked: other workers do not see this worker: HOLDFAST_DIR: got")
