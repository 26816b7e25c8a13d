"""A process without policies shows all workers, needs no right to write, and changes nothing."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.apart import run_apart

SIDECAR = """
    import pathlib, pwd, shlex, os
    import holdfast as hf
    from holdfast.stores.ledger import ledger
    from holdfast.telemetry.prometheus import Collector

    collector = Collector()

    def told(metric, **labels):
        return [s.value for m in collector.collect() for s in m.samples
                if s.name == f"holdfast_{metric}" and labels.items() <= s.labels.items()]

    CALLS = "circuit_breaker_requests_total"
"""
CONTAINER = """
set -e
mount --bind "$HOLDFAST_DIR" "$2"
mount -o remount,bind,ro "$2"
export HOLDFAST_DIR="$2"
exec "$0" -c "$1"
"""
SCRAPE = """
import os
import holdfast as hf
from holdfast.telemetry.prometheus import Collector
found = {(s.name, s.labels.get("result")): s.value for m in Collector().collect()
         for s in m.samples if s.labels.get("name", "b") == "b"}
print(found["holdfast_circuit_breaker_requests_total", "success"])
print(found["holdfast_workers", None], found["holdfast_workers_unreadable", None])
try:
    hf.CircuitBreaker("own")
except hf.ConfigError as error:
    print(error)
"""


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_process_makes_no_file_before_its_first_policy_and_is_no_worker(start, shared):
    worker = start()
    worker("call", "b", 3)
    worker("child", "b", 4)  # it is dead, and has left its file
    run_apart(
        SIDECAR
        + """
    for _ in range(2):
        assert told(CALLS, name="b", result="success") == [7]
        assert told("workers") == [1]
    assert ledger.file is None
    breaker = hf.CircuitBreaker("b")
    breaker.call(int)
    assert told(CALLS, name="b", result="success") == [8]
    assert told("workers") == [2]
    """
    )
    assert worker.calls("b") == 8


def test_a_process_that_only_scrapes_leaves_the_directory_as_it_is(start, shared):
    worker = start()
    worker("call", "b", 3)
    worker("child", "b", 4)
    before = contents(shared)
    run_apart(SIDECAR + "    assert told(CALLS, name='b', result='success') == [7]")
    assert contents(shared) == before


def test_before_the_first_worker_there_is_none_and_no_directory_is_made(start, shared):
    run_apart(SIDECAR + "    assert told('workers') == [0] and told(CALLS) == []")
    assert not shared.exists()


def test_through_a_read_only_mount_a_scrape_shows_all_workers(
    start, shared, tmp_path, require_real
):
    unshare = shutil.which("unshare")
    alone = [unshare, "--map-root-user", "--mount", "--propagation", "private"]
    if (
        unshare is None
        or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode
    ):
        require_real("no right to mount here (unshare)")
    first, second = start(), start()
    first("call", "b", 3)
    second("call", "b", 4)
    first("child", "b", 5)
    at = tmp_path / "mounted"
    at.mkdir()
    before = contents(shared)
    done = subprocess.run(
        [*alone, "sh", "-c", CONTAINER, sys.executable, SCRAPE, str(at)],
        capture_output=True,
        text=True,
        check=False,
    )
    calls, workers, refusal = done.stdout.splitlines()
    assert (calls, workers) == ("12", "2 0"), done.stderr
    assert "Read-only file system" in refusal
    assert contents(shared) == before
    assert done.stderr == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_without_the_right_to_write_a_scrape_shows_all_workers(start, shared):
    worker = start()
    worker("call", "b", 3)
    shared.chmod(0o500)
    run_apart(SIDECAR + "    assert told(CALLS, name='b', result='success') == [3]")
    shared.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_side_car_of_another_user_gets_an_error_that_names_both(reachable, monkeypatch, mode):
    monkeypatch.setenv("HOLDFAST_DIR", str(reachable))
    reachable.mkdir(mode=mode)
    run_apart(
        SIDECAR
        + """
    os.setuid(65534)
    try:
        told("workers")
    except hf.ConfigError as error:
        assert "belongs to root (user 0), but this process runs as nobody" in str(error)
    else:
        raise AssertionError
    """
    )
