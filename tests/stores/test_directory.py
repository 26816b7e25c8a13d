"""The directory that workers share: made, checked, refused; and disks without room."""

import os
import pwd
import stat
from shlex import quote

import pytest

from holdfast._native.figures import layout
from holdfast.stores import files
from tests.apart import run_apart
from tests.interpreters import forks_beside_threads

FULL = """
    import logging, os, sys
    import holdfast as hf
    from holdfast._native import ledger as native
    from holdfast.stores.files import FIRST_SIZE
    from holdfast.stores.ledger import ledger

    def full(*_):
        raise OSError(28, "No space left on device")

    logged = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())
    logging.getLogger("holdfast").addHandler(handler)
"""


def first_policy():
    return run_apart(
        """
        import holdfast as hf
        for _ in range(2):  # the second time as well
            try:
                hf.CircuitBreaker("b")
            except hf.ConfigError as error:
                print(error)
        """
    ).splitlines()


def test_a_missing_directory_is_made_for_this_user_alone(shared):
    assert first_policy() == []
    assert stat.S_IMODE(shared.stat().st_mode) == 0o700
    [path] = shared.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == files.FIRST_SIZE


def test_without_the_variable_nothing_is_shared(monkeypatch):
    for text in ("", "  "):
        monkeypatch.setenv("HOLDFAST_DIR", text)
        assert files.directory() is None


def refusals(shared):
    first, second = first_policy()
    assert first == second
    assert first.startswith(f"HOLDFAST_DIR: got {str(shared)!r}, allowed a directory of this user")
    return first


def test_a_file_in_place_of_the_directory_is_refused_and_untouched(shared):
    shared.write_text("x")
    assert f"it is not a directory (Not a directory): use {shared.parent}/" in refusals(shared)
    assert shared.read_text() == "x"


def test_a_relative_directory_whose_current_directory_is_gone_is_refused_with_what_to_do():
    said = run_apart(
        """
        import os, tempfile
        import holdfast as hf

        os.environ["HOLDFAST_DIR"] = "shared"
        gone = tempfile.mkdtemp()
        os.chdir(gone)
        os.rmdir(gone)
        try:
            hf.CircuitBreaker("b")
        except hf.ConfigError as error:
            print(error)
        """
    )
    assert said.startswith("HOLDFAST_DIR: got 'shared', allowed a directory of this user")
    assert "the current directory is gone (No such file or directory): use an absolute" in said


@pytest.mark.parametrize("name", ["where", "it's where; rm"])
def test_a_directory_whose_parent_is_missing_is_refused_with_the_command_to_create_it(
    tmp_path, monkeypatch, name
):
    path = tmp_path / "no" / name
    monkeypatch.setenv("HOLDFAST_DIR", str(path))
    assert f"it cannot be created ({tmp_path}/no does not exist, and " in refusals(path)
    assert "holdfast creates one directory, not its parents)" in refusals(path)
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert f"`install -d -m 700 -o {user} {quote(str(path))}`" in refusals(path)


def test_a_tilde_is_answered_with_the_path_that_was_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/of/mine")
    monkeypatch.setenv("HOLDFAST_DIR", "~/metrics")
    said = refusals(tmp_path / "~" / "metrics")
    assert said.endswith(
        "~ is not expanded in an environment variable: write /home/of/mine/metrics"
    )


def test_a_directory_whose_parent_is_a_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HOLDFAST_DIR", str(tmp_path / "file" / "inside"))
    assert f"{tmp_path}/file is not a directory" in refusals(tmp_path / "file" / "inside")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o2777, 0o2770])
def test_a_directory_that_others_may_write_to_is_refused(shared, mode):
    shared.mkdir()
    shared.chmod(mode)
    said = refusals(shared)
    assert f"other users may write to it (mode {mode:04o}): use a directory inside it" in said
    assert f"such as {shared}/holdfast, which holdfast creates with mode 0700" in said
    assert list(shared.iterdir()) == []


@pytest.mark.parametrize("mode", [0o2770, 0o775])
def test_a_private_directory_that_a_group_was_given_becomes_private_again(shared, mode):
    """As Kubernetes does with a volume and all that is in it: fsGroup."""
    assert first_policy() == []
    shared.chmod(mode)
    for path in shared.iterdir():
        path.chmod(0o660)
    assert first_policy() == []
    assert stat.S_IMODE(shared.stat().st_mode) == mode & ~0o077
    assert len(list(shared.iterdir())) == 2


def test_a_directory_that_has_other_files_too_stays_as_it_is_and_is_refused(shared):
    assert first_policy() == []
    (shared / "of the application").touch()
    shared.chmod(0o770)
    assert "other users may write to it (mode 0770)" in refusals(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o770


def test_a_disk_without_room_is_an_error_at_the_start_and_leaves_nothing(shared):
    said = run_apart(
        FULL
        + """
    os.posix_fallocate = full
    try:
        hf.CircuitBreaker("b")
    except hf.ConfigError as error:
        print(error)
    """
    )
    assert "No space left on device" in said
    assert list(shared.iterdir()) == []


def test_without_room_to_grow_policies_work_unseen(shared):  # trap 59
    said = run_apart(
        FULL
        + """
    first = hf.CircuitBreaker("first")
    os.posix_fallocate = full
    kept = []
    for n in range(200):
        kept.append(hf.CircuitBreaker(f"b{n}", latency=True))
        kept[-1].call(int)
    assert all(breaker.snapshot().succeeded == 1 for breaker in kept)
    assert native.shares(first._kernel) and not native.shares(kept[-1]._kernel)
    assert native.size() == FIRST_SIZE
    sums = ledger.figures()
    assert sum(sums[0, f"b{n}"].counts[0] for n in range(200)) == 200
    """
    )
    assert said == ""


@pytest.mark.parametrize("latency", [True, False], ids=["no room for kernels", "nor for the table"])
def test_a_file_that_cannot_grow_is_logged_once_by_each_process(shared, latency):  # trap 59
    said = run_apart(
        FULL
        + f"""
    first = hf.CircuitBreaker("first")
    os.posix_fallocate = full
    kept = [hf.CircuitBreaker(f"b{{n}}", latency={latency}) for n in range(200)]
    unseen = sum(not native.shares(breaker._kernel) for breaker in kept)
    assert ledger.unshared >= unseen > 0
    print(*logged)
    """
    )
    assert said.count("other workers do not see all policies of this worker") == 1


def test_a_file_grows_and_what_stands_in_it_stays_where_it_is(shared):
    run_apart(
        """
        import holdfast as hf
        from holdfast._native import ledger as native
        from holdfast.stores.files import FIRST_SIZE

        first = hf.CircuitBreaker("first")
        guarded = first(int)
        kept = [hf.CircuitBreaker(f"b{n}", latency=True) for n in range(500)]
        assert [breaker.call(int) for breaker in kept] == [0] * 500
        assert native.size() > FIRST_SIZE
        assert native.shares(kept[-1]._kernel)
        guarded()
        assert first.snapshot().succeeded == 1
        assert native.used() <= native.size()
        """
    )
    [path] = shared.iterdir()
    assert path.stat().st_size > files.FIRST_SIZE
    assert path.stat().st_blocks * 512 >= path.stat().st_size


def test_the_disk_that_a_process_takes_follows_what_it_holds(shared):
    said = run_apart(
        """
        import holdfast as hf
        from holdfast._native import ledger as native

        kept = []
        for most in (1, 30, 1_000):
            kept += [hf.CircuitBreaker(f"b{len(kept)}") for _ in range(most)]
            print(native.used(), native.size())
        """
    )
    (_, first), *others = (map(int, line.split()) for line in said.splitlines())
    assert first <= 64 << 10
    for used, size in others:
        assert used <= size <= used * 9 // 8 + (64 << 10)
    [path] = shared.iterdir()
    assert path.stat().st_size == size
    assert size <= path.stat().st_blocks * 512 <= size + (64 << 10)  # the file system's own as well


@pytest.mark.parametrize("meanwhile", [10, 150, 900])
def test_a_file_that_another_thread_makes_longer_meanwhile_has_room_for_both(shared, meanwhile):
    # The disk is asked for room without the GIL: others make policies, and find no room either.
    run_apart(
        f"""
        import os, threading
        import holdfast as hf
        from holdfast._native import ledger as native
        from holdfast.stores.ledger import ledger

        def make(kind, n):
            for i in range(n):
                kept.append(hf.CircuitBreaker(f"{{kind}}{{i}}", latency=True))
                kept[-1].call(int)

        def allocate(*args):
            os.posix_fallocate = whole
            first = native.size()
            while native.size() == first:
                kernels.append(Histogram())
            kernels.extend(Histogram() for _ in range({meanwhile}))
            return whole(*args)

        from holdfast._native.histogram import Histogram
        kept, kernels = [hf.CircuitBreaker("first")], []
        whole, os.posix_fallocate = os.posix_fallocate, allocate
        make("a", 100 + {meanwhile})
        assert os.posix_fallocate is whole
        assert all(native.shares(one._kernel) for one in kept)
        assert all(map(native.shares, kernels))
        assert ledger.unshared == 0
        assert native.used() <= native.size() == os.path.getsize(ledger.directory / ledger.file)
        for one in kept:
            one.call(int)
        sums = ledger.figures()
        assert sum(sums[0, one.name].counts[0] for one in kept) == 2 * len(kept) - 1
        """
    )


def test_policies_that_come_and_go_leave_the_file_as_large_as_it_was(shared):  # trap 59
    run_apart(
        """
        import holdfast as hf
        from holdfast._native import ledger as native

        for n in range(3_000):
            policy = hf.Pipeline.standard(f"p{n % 10}", rate=10)
            if n == 300:
                used = native.used()
        assert native.used() == used, (native.used(), used)
        """
    )


def test_a_forked_child_without_room_works_unseen_and_says_so(shared):
    said = run_apart(
        FULL
        + """
    breaker = hf.CircuitBreaker("b")
    breaker.call(int)
    os.posix_fallocate = full
    pid = os.fork()
    if pid == 0:
        breaker.trip()
        later = hf.CircuitBreaker("later")
        later.call(int)
        assert not native.is_shared() and ledger.file is None
        print(logged, breaker.state.value, flush=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert breaker.state.value == "closed" and native.is_shared()
    """
    )
    assert "forked: other workers do not see this worker" in said
    assert said.rstrip().endswith("open")


@forks_beside_threads
def test_a_fork_past_the_hooks_of_python_leaves_the_parents_words_alone(shared):  # trap 58
    run_apart(
        """
        import os, threading
        import holdfast as hf

        breaker = hf.CircuitBreaker("b", failure_threshold=None, failure_rate=1.0)
        limiter = hf.RateLimiter("l", rate=1, per=3600, burst=100)
        going = True

        def work():
            while going:
                breaker.call(int)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                before = breaker.snapshot()
                for _ in range(10):
                    breaker.call(int)
                assert breaker.snapshot().succeeded == before.succeeded + 10
                while limiter.try_acquire():
                    pass
                breaker.trip()
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            assert breaker.state is hf.State.CLOSED
            assert limiter.try_acquire()
        going = False
        for thread in threads:
            thread.join()
        """
    )


def test_the_layout_is_the_same_in_every_process(shared):
    theirs = run_apart("from holdfast._native.figures import layout; print(layout())")
    assert int(theirs) == layout()
