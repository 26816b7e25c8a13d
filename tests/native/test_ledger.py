"""Figures of kernels, and files that other processes read: whatever is in them."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast as hf
from holdfast._native import ledger
from holdfast._native.breaker import Breaker
from holdfast._native.figures import read
from holdfast._native.histogram import Ends
from holdfast._native.meter import Meter
from holdfast._native.reader import Reader
from tests.apart import run_apart

FILE = 1 << 20
NOT_OPEN = 1 << 63  # the least of signed numbers


def test_figures_are_the_kernels_own_counts(clock):
    breaker = hf.CircuitBreaker("b", latency=True, clock=clock)
    limiter = hf.RateLimiter("l", rate=1, per=60, clock=clock)
    sliding = hf.RateLimiter("s", rate=1, per=60, window="sliding", clock=clock)
    bulkhead = hf.Bulkhead("h", max_concurrent=1, clock=clock)
    for policy in (breaker, limiter, sliding, bulkhead):
        policy.call(int)
        policy.try_call(int)
    counts, now = read(breaker._kernel)
    succeeded, failed, rejected, observed, late, timed = counts[:6]
    assert (succeeded, failed, rejected, observed, late, timed) == (2, 0, 0, 0, 0, 1)
    assert now == (0, NOT_OPEN)
    assert counts[6:] == tuple(breaker._kernel.changes())
    assert read(limiter._kernels[0]) == (limiter._kernels[0].counters(), ())
    assert read(sliding._kernels[0]) == (sliding._kernels[0].counters(), ())
    assert read(bulkhead._kernel) == ((2, 0, 0, 0), (0, 0))
    histogram = breaker._histogram
    assert read(histogram) == ((*histogram.buckets(), histogram.sum_ns()), ())


def test_figures_of_a_pipeline_and_of_a_timeout_are_the_kernels_own_counts():
    ends = Ends()
    for end, ns in enumerate((-1, 6_000_000, 7, 20_000_000, 11_000_000_000)):
        ends.count(end, ns)
    upto = (0, 1, 2, *[2] * 8, 3)
    ends.count_retry()
    ends.critical = True
    assert read(ends) == ((*[1] * 5, *upto, 11_026_000_000, 1, 0), (1,))
    assert (ends.counters(), ends.buckets(), ends.sum_ns()) == ((1,) * 5, upto, 11_026_000_000)
    assert ends.nbytes() % 8 == 0
    timeout = hf.Timeout(1)
    timeout.call(int)
    timeout._kernel.count_abandoned()
    assert read(timeout._kernel) == ((1, 0, 0, 0, 1, 0), (1,))
    timeout._kernel.count_stopped()
    assert read(timeout._kernel)[1] == (0,)
    for wrong in ((5, 0), (-1, 0), (0, -2)):
        with pytest.raises(ValueError, match="got"):
            ends.count(*wrong)


def test_figures_of_a_meter_are_what_was_counted_and_what_was_set_last():
    meter = Meter()
    assert read(meter) == ((0, 0), (0, 0))
    meter.count(0)
    meter.count(1, 5)
    meter.set(0, 9)
    meter.set(0, 3)
    assert read(meter) == ((1, 5), (3, 0))
    for wrong in (lambda: meter.count(2), lambda: meter.count(0, -1), lambda: meter.set(0, -1)):
        with pytest.raises(ValueError, match="got"):
            wrong()


def test_only_kernels_with_figures_are_read():
    with pytest.raises(ValueError, match="kernel: got one of"):
        read(hf.RetryBudget()._kernel)
    with pytest.raises(AttributeError):
        read(object())


def test_a_process_without_a_file_shares_nothing():
    assert not ledger.is_shared()
    assert (ledger.used(), ledger.size()) == (0, 0)
    breaker = hf.CircuitBreaker("b")
    assert not ledger.shares(breaker._kernel)
    ledger.retire(breaker._kernel)
    assert isinstance(breaker._kernel, Breaker)


@pytest.fixture
def written(tmp_path):
    """A file that another process has written, with one of each kind in it."""
    path = tmp_path / "file"
    run_apart(
        f"""
        import os
        from holdfast._native import ledger
        fd = os.open({str(path)!r}, os.O_RDWR | os.O_CREAT, 0o600)
        ledger.allocate(fd, 0, {FILE})
        ledger.open_own(fd, {FILE})
        import holdfast as hf
        breaker = hf.CircuitBreaker("b", latency=True)
        others = [hf.RateLimiter("l", rate=5), hf.RateLimiter("s", rate=5, window="sliding"),
                  hf.Bulkhead("h"), hf.Retry("r"), hf.Timeout(1), hf.Fallback(1),
                  hf.ErrorBudget("z"), hf.LatencyBudget("y")]
        for policy in (breaker, *others):
            policy.call(int)
        kernels = [breaker._kernel, breaker._histogram, others[0]._kernels[0],
                   others[1]._kernels[0], *(one._kernel for one in others[2:])]
        assert all(map(ledger.shares, kernels))
        ids = ledger.change(set(), [(n, 0, 0, n, b"name%d" % n, one)
                                    for n, one in enumerate(kernels)])
        assert len(set(ids)) == len(kernels)
        ledger.change({{ids[-1]}}, [(9, 0, 0, 0, "ä".encode(), (7, 8, 9))])
        ledger.retire(kernels[0])
        """
    )
    return path


def entries(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return Reader(fd, os.fstat(fd).st_size).entries()
    finally:
        os.close(fd)


def test_another_process_reads_what_stands_in_the_file(written):
    found = [one for one in entries(written) if one[4][:4] == b"name" or one[0] == 9]
    assert [(role, name) for role, _, _, _, name, *_ in found] == [
        *((n, b"name%d" % n) for n in range(9)),
        (9, "ä".encode()),
    ]
    retired, counts, now = found[0][5:]
    assert (retired, counts[:4], now) == (True, (1, 0, 0, 0), (0, NOT_OPEN))
    assert found[1][5:] == (False, (*[1] * 12, found[1][6][-1]), ())
    assert found[-1][2:] == (0, 0, "ä".encode(), True, (7, 8, 9), ())


def refuses(path):
    """Read a file that may hold anything; return whether it was refused."""
    try:
        entries(path)
    except ValueError:
        return True
    return False


def test_a_file_of_another_kind_version_or_length_is_refused(written):  # trap 60
    whole = written.read_bytes()
    for damaged in (
        b"", b"x", whole[:31], b"\0" * 4096, b"\xff" * FILE, whole[:8] + b"\1" + whole[9:],
        b"x" + whole[1:], whole[:24] + b"\xff" * 8 + whole[32:],
    ):  # fmt: skip
        written.write_bytes(damaged)
        assert refuses(written)


@pytest.mark.parametrize("kept", [0, 4096])
def test_a_file_that_is_truncated_while_it_is_mapped_is_refused(written, kept):  # trap 60
    with open(written, "rb") as file:
        reader = Reader(file.fileno(), FILE)
        os.truncate(written, kept)
        with pytest.raises(ValueError, match="truncated"):
            reader.entries()


def test_no_byte_of_a_file_can_crash_who_reads_it(written):  # trap 60
    """Every word that says where something is, and many others, with values at all edges."""
    dice = random.Random(60)
    whole = written.read_bytes()
    used = max(at for at, byte in enumerate(whole) if byte) + 64
    edges = [0, 1, 7, 8, 63, 64, FILE - 8, FILE - 1, FILE, 2**31, 2**32 - 1, 2**63, 2**64 - 1]
    refused = 0
    for _ in range(3_000):
        damaged = bytearray(whole)
        for _ in range(dice.choice((1, 1, 2, 8))):
            at = dice.randrange(0, used // 8) * 8
            value = dice.choice(edges) if dice.random() < 0.7 else dice.getrandbits(64)
            damaged[at : at + 8] = value.to_bytes(8, "little")
        written.write_bytes(damaged[: dice.choice((FILE, FILE, FILE, 4096, used))])
        refused += refuses(written)
    assert refused > 100


def test_entries_that_do_not_come_in_order_are_damaged(written):  # trap 60
    """Their identities only grow, or who reads on would take one for another."""
    whole = bytearray(written.read_bytes())
    table = (int.from_bytes(whole[24:32], "little") & 0xFFFFFF) * 64
    first, second = table + 8, table + 8 + 40
    assert whole[first] < whole[second]
    for value in (0, whole[first]):
        damaged = whole[:]
        damaged[second : second + 8] = value.to_bytes(8, "little")
        written.write_bytes(damaged)
        with pytest.raises(ValueError, match="its table is damaged"):
            entries(written)


def test_a_table_is_replaced_a_few_times_however_many_entries_join(tmp_path):
    path = tmp_path / "file"
    run_apart(
        f"""
        import os
        from holdfast._native import ledger
        fd = os.open({str(path)!r}, os.O_RDWR | os.O_CREAT, 0o600)
        ledger.allocate(fd, 0, {FILE})
        ledger.open_own(fd, {FILE})
        ids = [i for n in range(5_000) for i in ledger.change(set(), [(0, 0, 0, n, b"x", (n,))])]
        assert ids == sorted(set(ids))
        ledger.change(ids[1::2], [(0, 0, 0, 0, b"sum", (sum(range(1, 5_000, 2)),))])
        """
    )
    replaced = int.from_bytes(path.read_bytes()[24:32], "little") >> 24
    assert replaced < 30
    found = entries(path)
    assert [counts for *_, counts, _ in found[:-1]] == [(n,) for n in range(0, 5_000, 2)]
    assert sum(counts[0] for *_, counts, _ in found) == sum(range(5_000))


def test_a_table_changed_by_a_finaliser_amid_a_change_has_both(tmp_path):
    """Python code runs where the file grows, and where what joins is read."""
    path = tmp_path / "file"
    run_apart(
        f"""
        import os
        from holdfast._native import ledger
        fd = os.open({str(path)!r}, os.O_RDWR | os.O_CREAT, 0o600)
        ledger.allocate(fd, 0, {FILE})
        ledger.open_own(fd, {FILE})
        grow, depth = os.posix_fallocate, 0

        def change_too(*args):
            global depth
            if depth < 4:
                depth += 1
                for _ in range(50):
                    ledger.change(set(), [(1, 0, 0, 0, b"finaliser", (1,))])
                ledger.change(leave[:10], [(1, 0, 0, 0, b"finaliser", (1,))])
            return grow(*args)

        os.posix_fallocate = change_too
        leave = []
        for n in range(9_000):
            leave += ledger.change(leave[:1], [(0, 0, 0, 0, b"owner", (n,))])
            if n % 2:
                leave.pop(0)
        assert depth == 4
        """
    )
    found = entries(path)
    assert sum(name == b"finaliser" for _, _, _, _, name, *_ in found) == 4 * 51
    assert [counts for *_, counts, _ in found][-1] == (8_999,)


def test_a_change_that_cannot_be_made_keeps_nothing(tmp_path):
    run_apart(
        f"""
        import os
        from holdfast._native import ledger
        fd = os.open({str(tmp_path / "file")!r}, os.O_RDWR | os.O_CREAT, 0o600)
        ledger.allocate(fd, 0, {FILE})
        ledger.open_own(fd, {FILE})
        [first] = ledger.change(set(), [(0, 0, 0, 0, b"first", (1,))])

        def no_room(fd, offset, length):
            raise OSError

        ledger.allocate = no_room
        large = (1,) * 64
        for fails, last in (
            (AttributeError, (0, 0, 0, 0, b"y", None)),
            (ValueError, (0, 0, 0, 0, b"y", (1,) * 65)),
            (MemoryError, (0, 0, 0, 0, b"y" * {FILE}, large)),
        ):
            for _ in range(3_000):  # more than the file has room for
                try:
                    ledger.change({{first}}, [(0, 0, 0, 0, b"x", large), last])
                except fails:
                    continue
                raise AssertionError(last)
        assert ledger.listed() == 1
        ledger.change({{first}}, [(0, 0, 0, 0, b"x", large)])
        assert ledger.listed() == 1
        """
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is that of Linux")
def test_a_reader_that_is_gone_has_nothing_mapped(written):
    def mapped():
        return Path("/proc/self/maps").read_text().count(str(written))

    with open(written, "rb") as file:
        reader = Reader(file.fileno(), FILE)
        assert mapped() == 1
        del reader
        assert mapped() == 0


@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="the address sanitizer ends the process with a report, not by the signal",
)
def test_a_reader_that_is_gone_watches_nothing(written):
    """Who maps the same addresses next gets the signals of their own faults."""
    source = f"""
import mmap, os, resource
from holdfast._native.reader import Reader
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
file = open({str(written)!r}, "rb")
reader = Reader(file.fileno(), {FILE})
del reader
own = mmap.mmap(file.fileno(), {FILE}, prot=mmap.PROT_READ)
os.truncate({str(written)!r}, 0)
own[0]
"""
    ended = subprocess.run([sys.executable, "-c", source], check=False)
    assert ended.returncode == -signal.SIGBUS


def test_a_reader_is_made_of_a_file():
    with pytest.raises(ValueError, match="size: got 0"):
        Reader(0, 0)
    with open(os.devnull) as nothing, pytest.raises((OSError, ValueError)):
        Reader(nothing.fileno(), 4096)
