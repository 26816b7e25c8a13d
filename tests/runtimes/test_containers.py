"""Containers: a read-only root, no /dev/shm, no /proc, process 1, an unknown user, frozen time."""

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

import holdfast as hf

PROGRAM = """
import concurrent.futures.thread, fcntl, importlib, json, logging, os, pathlib, pkgutil, pwd
import secrets, tempfile
import holdfast as hf
from holdfast.telemetry.prometheus import Collector
# All that may be imported later: the package may be where only root can read.
for floor in "stores", "waiting", "policies", "pipeline":
    package = importlib.import_module("holdfast." + floor)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
os.setgid(54321)
os.setuid(54321)
breaker = hf.CircuitBreaker("b")
pool = hf.PoolBulkhead("p", workers=1)
pool.submit(breaker.call, int).result()
counted = [sample.value for family in Collector().collect() for sample in family.samples
           if sample.labels.get("result") == "success"]
try:
    pwd.getpwuid(os.getuid())
except KeyError:
    print("process", os.getpid(), "of nobody has counted", counted)
print(os.access("/dev/shm", os.F_OK) and os.listdir("/dev/shm"))
open("/root-is-writable", "w")
"""
CONTAINER = """
set -e
mount -t tmpfs -o uid=54321,gid=54321,mode=700 tmpfs "$HOLDFAST_DIR"
mount -t tmpfs -o ro tmpfs /dev/shm
mount -t tmpfs -o ro tmpfs /proc
mount -o remount,bind,ro /
exec "$0" -c "$1"
"""


def test_a_worker_in_a_container_needs_a_directory_and_nothing_else(require_real):
    unshare = shutil.which("unshare")
    alone = [unshare, "--mount", "--pid", "--fork", "--propagation", "private"]
    if (
        unshare is None
        or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode
    ):
        require_real("no right to make a container here (unshare)")
    done = subprocess.run(
        [*alone, "sh", "-c", CONTAINER, sys.executable, PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        env={"HOLDFAST_DIR": "/mnt"},  # no other process sees what is mounted there,
    )
    assert done.stdout.splitlines()[0] == "process 1 of nobody has counted [1]", done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Read-only file system" in done.stderr or "Permission denied" in done.stderr


VOLUME = """
set -e
mount -t tmpfs -o mode=2777,gid=54321 tmpfs /mnt
mkdir "$HOLDFAST_DIR/volume" "$HOLDFAST_DIR/side-car"
mount --bind /mnt "$HOLDFAST_DIR/volume"
mount --bind /mnt "$HOLDFAST_DIR/side-car"
mount -o remount,bind,ro "$HOLDFAST_DIR/side-car"
exec "$0" -c "$1"
"""
POD = """
import os, pathlib, pwd, shlex, subprocess, sys
import holdfast as hf
from holdfast.telemetry.prometheus import Collector

above = os.environ["HOLDFAST_DIR"]

def become(user):
    os.setgroups([54321])  # fsGroup
    os.setgid(54321)
    os.setuid(user)

def in_container(mount, user, work):
    pid = os.fork()
    if pid == 0:
        os.environ["HOLDFAST_DIR"] = f"{above}/{mount}"
        become(user)
        work()
        sys.stdout.flush()
        os._exit(0)
    return pid

reading, writing = os.pipe()
done, told = os.pipe()

def application():
    os.close(writing)
    breaker = hf.CircuitBreaker("b")
    breaker.call(int)
    os.write(told, b"x")
    os.read(reading, 1)

def side_car():
    for family in Collector().collect():
        for sample in family.samples:
            if sample.name == "holdfast_workers" or sample.labels.get("result") == "success":
                print(sample.name, sample.value)

def refused():
    for work in lambda: hf.CircuitBreaker("b"), side_car:
        try:
            work()
        except hf.ConfigError as error:
            print(error)

os.waitpid(in_container("volume", 54321, refused), 0)
shop = in_container("volume/holdfast", 54321, application)
os.read(done, 1)
os.waitpid(in_container("side-car/holdfast", 54321, side_car), 0)
os.waitpid(in_container("side-car/holdfast", 54322, refused), 0)
for path in pathlib.Path(above, "volume").rglob("*"):  # as when the volume is set up again
    path.chmod(path.stat().st_mode | (0o2770 if path.is_dir() else 0o660))
os.waitpid(in_container("side-car/holdfast", 54321, side_car), 0)
os.close(writing)
os.waitpid(shop, 0)
# The container starts again.
os.waitpid(in_container("volume/holdfast", 54321, lambda: hf.CircuitBreaker("b")), 0)
print(oct(os.stat(f"{above}/volume/holdfast").st_mode))
"""


def test_the_containers_of_a_pod_share_a_directory_in_a_volume(require_real, tmp_path):
    """A volume of Kubernetes: emptyDir in memory, with fsGroup; a side-car reads it."""
    unshare = shutil.which("unshare")
    alone = [unshare, "--mount", "--propagation", "private"]
    if (
        unshare is None
        or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode
    ):
        require_real("no right to make a container here (unshare)")
    with tempfile.TemporaryDirectory() as above:
        os.chmod(above, 0o755)
        done = subprocess.run(
            [*alone, "sh", "-c", VOLUME, sys.executable, POD],
            capture_output=True,
            text=True,
            check=False,
            env={"HOLDFAST_DIR": above},
        )
        said = done.stdout.splitlines()
        assert done.returncode == 0, done.stderr
        use = f"such as {above}/volume/holdfast, which holdfast creates with mode 0700"
        assert [use in line for line in said[:2]] == [True, True], said
        counted = ["holdfast_circuit_breaker_requests_total 1", "holdfast_workers 1"]
        assert said[2:4] == counted, (said, done.stderr)
        both = "it belongs to user 54321, but this process runs as user 54322: run it as user 54321"
        assert both in said[4], said
        assert both in said[5]
        assert said[6:8] == counted
        assert said[8] == "0o42700"


def test_no_limit_follows_from_the_number_of_processors(monkeypatch):
    settings = []
    for processors in 1, 64:
        monkeypatch.setattr(os, "cpu_count", lambda n=processors: n)
        settings.append(
            [
                hf.Bulkhead("b").describe(),
                hf.PoolBulkhead("p").describe(),
                hf.Timeout(1, name="t", thread=True).describe(),
            ]
        )
    assert settings[0] == settings[1]


def test_time_that_passed_while_a_container_was_frozen_has_passed(clock):
    # CB-04
    breaker = hf.CircuitBreaker("b", failure_threshold=1, reset_timeout=60, clock=clock)
    limiter = hf.RateLimiter("l", rate=10, burst=5, clock=clock)
    breaker.try_call(lambda: 1 / 0)
    while limiter.try_acquire():
        pass
    with pytest.raises(hf.CircuitOpenError):
        breaker.call(int)
    clock.advance(7 * 24 * 3_600)
    assert breaker.call(int) == 0
    assert sum(limiter.try_acquire() for _ in range(100)) == 5
