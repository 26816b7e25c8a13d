"""Containers: a read-only root, no /dev/shm, no /proc, process 1, an unknown user, frozen time."""

import os
import shutil
import subprocess
import sys

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
