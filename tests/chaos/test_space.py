"""How much memory or disk a fault takes, and that a killed process leaves none of it."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from types import SimpleNamespace

import pytest

import holdfast
from holdfast.chaos import space
from holdfast.chaos.effect import end_effects
from holdfast.chaos.space import DiskEffect, MemoryEffect
from tests.apart import in_child, run_apart
from tests.chaos.subjects import HOUR, MIB, SECOND, soon


@pytest.fixture(autouse=True)
def _ended():
    yield
    end_effects()


@pytest.fixture
def small_disk(tmp_path, require_real):
    """A file system of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=777", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        require_real("this user may not mount a file system")
    yield str(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def free(folder):
    return os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize


def settled(effect):
    """Wait until the effect takes no more, and return what it holds."""
    (thread,) = effect._run._threads
    assert soon(lambda: not thread.alive.locked())
    return effect.held


# ---- a disk ----


def test_a_disk_effect_takes_what_it_is_told_and_gives_it_back(small_disk, clock):  # CH-09
    effect = DiskEffect(small_disk, 10 * MIB, 0.9, clock)
    before = free(small_disk)
    effect.start(HOUR)
    assert settled(effect) == 10 * MIB
    assert before - free(small_disk) == 10 * MIB
    assert os.listdir(small_disk) == []
    effect.stop()
    assert free(small_disk) == before


def test_a_disk_effect_leaves_the_share_of_the_free_room_that_is_not_its_own(small_disk, clock):
    effect = DiskEffect(small_disk, 500 * MIB, 0.5, clock)  # CH-14
    effect.start(HOUR)
    assert settled(effect) == free(small_disk) == 12 * MIB


def test_with_the_whole_share_a_disk_is_full_for_others(small_disk, clock):  # CH-09
    effect = DiskEffect(small_disk, None, 1.0, clock)
    effect.start(HOUR)
    settled(effect)
    with pytest.raises(OSError, match="No space left"), open(f"{small_disk}/mine", "wb") as file:
        file.write(bytes(MIB))
    effect.stop()
    with open(f"{small_disk}/mine", "wb") as file:
        file.write(bytes(MIB))


def test_a_disk_effect_stops_where_others_have_taken_its_share(small_disk, monkeypatch, clock):
    def extend(*args):
        if not os.listdir(small_disk):
            with open(f"{small_disk}/theirs", "wb") as file:
                file.write(bytes(8 * MIB))
        return extend_really(*args)

    extend_really = space._extend
    monkeypatch.setattr(space, "_extend", extend)
    monkeypatch.setattr(space, "STEP", MIB)
    effect = DiskEffect(small_disk, None, 0.5, clock)
    effect.start(HOUR)
    assert settled(effect) == 4 * MIB  # and 8 MiB of the others: half of the 24
    assert free(small_disk) == 12 * MIB


def test_a_disk_that_is_full_before_its_figures_say_so_is_no_error(tmp_path, monkeypatch, clock):
    def full(file, start, size):  # a quota, of which statvfs() says nothing
        if start + size > 3 * MIB // 2:
            raise OSError(errno.EDQUOT, "quota exceeded")
        return size

    monkeypatch.setattr(space, "_extend", full)
    effect = DiskEffect(str(tmp_path), 4 * MIB, 0.5, clock)
    effect.start(HOUR)
    assert 3 * MIB // 2 - settled(effect) < 512
    assert effect.is_on


@pytest.mark.parametrize("missing", ["O_TMPFILE", "posix_fallocate"])
def test_a_system_with_less_can_be_filled_as_well(small_disk, monkeypatch, missing, clock):
    monkeypatch.delattr(os, missing, raising=False)
    effect = DiskEffect(small_disk, 3 * MIB, 0.5, clock)
    effect.start(HOUR)
    assert settled(effect) == 3 * MIB
    assert free(small_disk) == 21 * MIB
    assert os.listdir(small_disk) == []


def test_zeros_that_take_no_room_are_written_as_other_bytes(small_disk, monkeypatch, clock):
    monkeypatch.setattr(os, "posix_fallocate", lambda file, start, size: None)  # as if compressed
    effect = DiskEffect(small_disk, 3 * MIB, 0.5, clock)
    effect.start(HOUR)
    assert settled(effect) == 3 * MIB
    assert free(small_disk) == 21 * MIB


def holder(kind, *arguments):
    """Start a process that holds something, and return it once it does."""
    source = f"""
        import sys, time
        from holdfast import SystemClock
        from holdfast.chaos import space
        effect = space.{kind}(*{arguments!r}, SystemClock())
        effect.start({HOUR})
        while effect.held < {arguments[-2]}:
            time.sleep(0.001)
        print("holds", flush=True)
        time.sleep(100)
    """
    command = [sys.executable, "-c", textwrap.dedent(source)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "holds\n"
    return process


def test_a_disk_effect_of_a_killed_process_is_gone(small_disk):  # CH-14, trap 57
    before = free(small_disk)
    with holder("DiskEffect", small_disk, 10 * MIB, 0.9) as process:
        assert free(small_disk) == before - 10 * MIB
        process.send_signal(signal.SIGKILL)
    assert soon(lambda: free(small_disk) == before)
    assert os.listdir(small_disk) == []


# ---- memory ----


def resident(pid="self"):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads figures of Linux")
def test_a_memory_effect_uses_memory_and_gives_it_back(clock):  # CH-06, D-CH-2
    effect = MemoryEffect(64 * MIB, 0.5, clock)
    before = resident()
    effect.start(HOUR)
    assert settled(effect) == 64 * MIB
    assert resident() - before > 60 * MIB
    effect.stop()
    assert resident() - before < 4 * MIB


def test_a_memory_effect_takes_at_most_its_share_of_what_is_free(monkeypatch, clock):  # CH-14
    monkeypatch.setattr(space, "free_memory", lambda: 10 * MIB - effect.held)
    effect = MemoryEffect(500 * MIB, 0.3, clock)
    effect.start(HOUR)
    assert settled(effect) == 3 * MIB


def test_a_memory_effect_stops_before_others_run_out_of_memory(monkeypatch, clock):  # CH-14
    monkeypatch.setattr(space, "STEP", MIB)
    monkeypatch.setattr(space, "free_memory", lambda: 10 * MIB - 3 * effect.held)
    effect = MemoryEffect(None, 0.5, clock)
    effect.start(HOUR)
    assert settled(effect) == 2 * MIB


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads figures of Linux")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_no_copy_of_the_memory(clock):  # trap 58
    effect = MemoryEffect(64 * MIB, 0.5, clock)
    effect.start(HOUR)
    settled(effect)
    mine = resident()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if resident() < mine - 60 * MIB else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_clock_that_passes_the_end_ends_an_effect_that_still_takes(monkeypatch):  # CH-14
    clock = holdfast.ManualClock()
    monkeypatch.setattr(space, "STEP", 1 << 16)
    effect = MemoryEffect(256 * MIB, 0.5, clock)
    effect.start(SECOND)
    assert soon(lambda: effect.held > 0)
    clock.advance(1)
    assert effect.held == 0
    assert not effect.is_on


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads figures of Linux")
def test_a_memory_effect_ends_its_growth_at_the_limit_of_its_process():  # CH-14
    run_apart(
        """
    import resource
    from holdfast import ManualClock
    from holdfast.chaos import space
    from tests.chaos.test_space import HOUR, MIB, settled
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 64 * MIB, resource.RLIM_INFINITY))
    effect = space.MemoryEffect(256 * MIB, 0.5, ManualClock())
    effect.start(HOUR)
    assert 16 * MIB < settled(effect) < 64 * MIB
    assert effect.is_on
    effect.stop()
    bytearray(32 * MIB)
    """
    )


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_step_leaves_the_child_with_nothing(monkeypatch, clock):
    started, forked = threading.Event(), threading.Event()  # trap 58

    def readv(file, parts):
        started.set()
        forked.wait(10)
        return os.readv(file, parts)

    monkeypatch.setattr(space, "os", SimpleNamespace(**vars(os) | {"readv": readv}))
    effect = MemoryEffect(3 * MIB, 0.5, clock)
    effect.start(HOUR)
    started.wait()

    def check():
        assert (effect.is_on, effect.held, effect._pages) == (False, 0, [])
        assert effect.start(HOUR)
        effect.stop()

    in_child(check)
    forked.set()
    assert settled(effect) == 3 * MIB
