"""Who may share the directory: its owner and root. All others get an error that says what to do."""

import os
import stat

import pytest

from tests.apart import run_apart

NOBODY = 65_534

# Python itself may be where only root can read: all that is imported later is imported first.
START = """
    import fcntl, json, logging, os, pathlib, pwd, shlex, sys, traceback
    import holdfast as hf
    from holdfast.stores.ledger import ledger
    from holdfast.telemetry.prometheus import Collector

    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    collector = Collector()

    def told(name="holdfast_rate_limiter_allowed_total"):
        return sum(s.value for m in collector.collect() for s in m.samples if s.name == name)

    def in_child(check):
        pid = os.fork()
        if pid == 0:
            try:
                check()
                sys.stdout.flush()
                os._exit(0)
            except BaseException as error:
                traceback.print_exception(error)
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


@pytest.fixture(autouse=True)
def root(require_real):
    if os.geteuid() != 0:
        require_real("only root may become another user")


@pytest.fixture
def directory(reachable):
    return reachable


@pytest.fixture
def of_nobody(shared):
    """The directory, which belongs to another user than root."""
    shared.mkdir(mode=0o700)
    os.chown(shared, NOBODY, NOBODY)
    return shared


def test_a_master_that_is_root_and_its_workers_of_another_user_are_one(of_nobody):
    run_apart(
        START
        + """
    limiter = hf.RateLimiter("l", rate=1e6)
    for _ in range(7):
        limiter.try_acquire()

    def work(calls):
        os.setgid(65534)
        os.setuid(65534)
        limiter.try_acquire()
        assert (told(), told("holdfast_workers")) == (calls, 2)
        hf.CircuitBreaker("another")

    in_child(lambda: work(8))
    assert (told(), told("holdfast_workers_unreadable")) == (8, 0)
    in_child(lambda: work(9))  # it reads what root has kept of the first one
    assert (told(), told("holdfast_workers")) == (9, 1)
    """
    )
    assert {path.lstat().st_uid for path in of_nobody.iterdir()} == {NOBODY}
    assert {stat.S_IMODE(path.lstat().st_mode) for path in of_nobody.iterdir()} == {0o600}
    assert {path.name for path in of_nobody.iterdir()} >= {"totals.json", "lock"}


def test_a_worker_of_another_user_in_a_directory_of_root_fails_and_says_what_to_do(shared):
    said = run_apart(
        START
        + """
    limiter = hf.RateLimiter("l", rate=1e6)
    for _ in range(7):
        limiter.try_acquire()

    def work():
        os.setuid(65534)
        limiter.try_acquire()
        try:
            told()
        except hf.ConfigError as error:
            print(error)

    in_child(work)
    assert told() == 8
    """
    )
    assert said.startswith(f"HOLDFAST_DIR: got {str(shared)!r}, allowed a directory of this user")
    assert "it belongs to root (user 0), but this process runs as nobody (user 65534): " in said
    assert f"`install -d -m 700 -o nobody {shared}`" in said


def test_the_first_policy_of_another_user_fails_and_says_the_same(shared):
    shared.mkdir(mode=0o755)
    said = run_apart(
        START
        + """
    os.setuid(65534)
    for _ in range(2):
        try:
            hf.RateLimiter("l", rate=1e6)
        except hf.ConfigError as error:
            print(error)
    """
    )
    assert said.count("it belongs to root (user 0), but this process runs as nobody") == 2
    assert list(shared.iterdir()) == []


def test_a_process_that_becomes_the_owner_goes_on(of_nobody):
    run_apart(
        START
        + """
    limiter = hf.RateLimiter("l", rate=1e6)
    for _ in range(7):
        limiter.try_acquire()
    os.setuid(65534)
    limiter.try_acquire()
    assert told() == 8
    hf.RateLimiter("another", rate=1e6)
    kept = [hf.CircuitBreaker(f"b{n}", latency=True) for n in range(200)]
    assert ledger.unshared == 0

    def work():
        limiter.try_acquire()
        assert (told(), told("holdfast_workers")) == (9, 2)

    in_child(work)
    assert told() == 9
    """
    )


def test_a_child_that_may_make_no_file_works_unseen_and_its_scrapes_fail(shared):
    said = run_apart(
        START
        + """
    limiter = hf.RateLimiter("l", rate=1e6)
    os.setuid(65534)  # after the file was made

    def work():
        assert limiter.try_acquire(5) is not None
        try:
            told()
        except hf.ConfigError:
            print("the scrape fails")

    in_child(work)
    """
    )
    assert "forked: other workers do not see this worker: HOLDFAST_DIR: got" in said
    assert said.endswith("the scrape fails\n")


def test_root_follows_no_link_of_the_owner(of_nobody, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for name in (".totals.json", "lock", "worker-1-a", ".worker-1-b"):
        (of_nobody / name).symlink_to(precious)
    (of_nobody / "totals.json").hardlink_to(precious)
    run_apart(
        START.replace("stream=sys.stdout", "filename=os.devnull")
        + """
    limiter = hf.RateLimiter("l", rate=1e6)
    in_child(lambda: limiter.try_acquire())
    assert told() == 1
    os.unlink(ledger.directory / "lock")
    assert told() == told() == 1
    """
    )
    assert precious.read_text() == "precious"
    assert (precious.stat().st_uid, precious.stat().st_mode & 0o777) == (0, 0o644)


def test_a_directory_out_of_reach_is_an_error_that_names_what_is_above_it(shared):
    shared.mkdir(mode=0o700)
    shared.parent.chmod(0o700)
    said = run_apart(
        START
        + """
    os.setuid(65534)
    try:
        hf.RateLimiter("l", rate=1e6)
    except hf.ConfigError as error:
        print(error)
    """
    )
    assert f"(Permission denied for nobody (user 65534) in {shared.parent})" in said


def test_root_does_not_enter_a_directory_through_a_link(of_nobody, monkeypatch):
    link = of_nobody.with_name("link")
    link.symlink_to(of_nobody)
    monkeypatch.setenv("HOLDFAST_DIR", str(link))
    said = run_apart(
        START
        + """
    try:
        hf.RateLimiter("l", rate=1e6)
    except hf.ConfigError as error:
        print(error)
    """
    )
    assert f"it is a link, which root does not follow: use {of_nobody}" in said
    assert list(of_nobody.iterdir()) == []
