"""Real processes that are stopped, blocked and starved while they check a real server."""

import os

import pytest

from holdfast.health import pulse
from tests.apart import run_apart
from tests.interpreters import GIL

# A server that answers after a while and hangs up on clients that are silent, checks of
# it that fail after one failure, and an outage at the end.
BEGIN = """
import asyncio, atexit, ctypes, os, signal, socket, subprocess, sys, time
from holdfast.health import Check, HealthMonitor, HealthState, PingCheck

SERVER = '''
import socket, sys, threading, time

def serve(connection):
    connection.settimeout(0.3)
    try:
        while connection.recv(16):
            time.sleep(0.05)
            connection.sendall(b"well")
    except OSError:
        pass
    finally:
        connection.close()

server = socket.create_server(("127.0.0.1", 0), backlog=128)
print(server.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
'''
server = subprocess.Popen(
    [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
)
atexit.register(server.kill)
port = int(server.stdout.readline())
server.stdout.close()

def ask():
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
        for _ in range(3):
            connection.sendall(b"how are you")
            assert connection.recv(16) == b"well"

async def aask():
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for _ in range(3):
            writer.write(b"how are you")
            assert await reader.read(16) == b"well"
    finally:
        writer.close()

alarms = []
monitor = HealthMonitor("real", interval=0.2, timeout=0.5, jitter=0, adaptive=False)

def heed(event):
    if event.kind == "health" and event.new in (HealthState.UNHEALTHY, HealthState.DEGRADED):
        alarms.append((event.name, event.reason))

monitor.on_event(heed)

def add(*probes):
    for n in range(4):
        for probe in probes:
            monitor.add(PingCheck(f"{probe.__name__} {n}", probe, failures=1))

def until(condition, seconds=20):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, monitor.status()
        time.sleep(0.02)

def all_are(*states):
    return all(one.state in states for one in monitor.status().values())

def kill(processes):
    for one in processes:
        one.kill()
        one.wait()

def count():
    return sum(one.check_count for one in monitor.status().values())

def no_alarm_and_then_an_outage(*states):
    assert not alarms, alarms
    print(count(), sum(one.unproven_count for one in monitor.status().values()))
    server.kill()
    server.wait()
    until(lambda: all_are(*states))
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def run(source, **values):
    """Run a scene; return how many checks there were, and how many proved nothing."""
    text = BEGIN + source
    for name, value in values.items():
        text = text.replace(name.upper(), str(value))
    return tuple(map(int, run_apart(text).split()))


STOPPED = """
def stop_and_go(times, seconds):
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    for _ in range(times):
        time.sleep(0.53)
        os.kill(parent, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(parent, signal.SIGCONT)
    os._exit(0)

child = stop_and_go(TIMES, SECONDS)
add(ask, aask)
monitor.start()
os.waitpid(child, 0)
until(lambda: all_are(HealthState.HEALTHY))
no_alarm_and_then_an_outage(HealthState.UNHEALTHY)
assert monitor.stop()
"""


@needs_fork
def test_a_process_that_is_stopped_and_continued_raises_no_false_alarm():
    checks, unproven = run(STOPPED, times=2, seconds=1)
    assert checks > 20
    assert unproven > 0


@needs_fork
@pytest.mark.slow
def test_stops_of_five_seconds_raise_no_false_alarm():
    checks, unproven = run(STOPPED, times=6, seconds=5)
    assert checks > 100
    assert unproven > 0


BLOCKED = """
async def live():
    add(ask, aask)
    async with monitor:
        for _ in range(TIMES):
            await asyncio.sleep(0.37)
            time.sleep(SECONDS)
        await asyncio.sleep(0.5)
        assert not alarms, alarms
        print(count(), sum(one.unproven_count for one in monitor.status().values()))
        server.kill()
        server.wait()
        limit = time.monotonic() + 20
        while not all_are(HealthState.UNHEALTHY):
            assert time.monotonic() < limit, monitor.status()
            await asyncio.sleep(0.02)

asyncio.run(live())
"""


def test_an_event_loop_that_is_blocked_raises_no_false_alarm():
    checks, _ = run(BLOCKED, times=2, seconds=0.9)
    assert checks > 20


@pytest.mark.slow
def test_an_event_loop_that_is_blocked_for_seconds_raises_no_false_alarm():
    checks, _ = run(BLOCKED, times=8, seconds=4)
    assert checks > 100


@pytest.mark.skipif(not GIL, reason="there is no lock that native code could hold")
def test_native_code_that_holds_the_interpreter_raises_no_false_alarm():
    checks, _ = run("""
add(ask, aask)
with monitor:
    for _ in range(2):
        time.sleep(0.37)
        ctypes.PyDLL(None).usleep(900_000)
    time.sleep(0.5)
    no_alarm_and_then_an_outage(HealthState.UNHEALTHY)
""")
    assert checks > 20


def test_a_part_that_hangs_is_found_beside_checks_that_compute():
    """One client waits for the answer and another one looks for it every millisecond."""
    run("""
def compute():
    used = time.thread_time()
    while time.thread_time() - used < 0.05:
        pass

silent = socket.create_server(("127.0.0.1", 0), backlog=128)

def hang():
    with socket.create_connection(silent.getsockname(), timeout=0.5) as connection:
        connection.recv(16)

def poll():
    limit = time.monotonic() + 0.5
    with socket.create_connection(silent.getsockname()) as connection:
        connection.setblocking(False)
        while time.monotonic() < limit:
            try:
                return connection.recv(16)
            except BlockingIOError:
                time.sleep(0.001)
    raise TimeoutError

add(compute, hang, poll)
with monitor:
    until(lambda: all(
        one.state is HealthState.UNHEALTHY
        for name, one in monitor.status().items() if not name.startswith("compute")
    ))
print(count(), sum(one.unproven_count for one in monitor.status().values()))
silent.close()
server.kill()
server.wait()
""")


@pytest.mark.skipif(not os.path.exists(pulse._SCHEDSTAT), reason="this system does not tell it")
@pytest.mark.parametrize("seconds", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_a_process_that_is_starved_raises_no_false_alarm(seconds):
    """Six busy processes share the only processor with this one, which is nice to them."""
    run(
        """
import logging

def compute():
    used = time.thread_time()
    while time.thread_time() - used < 0.05:
        pass

cpu = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cpu})
hog = [sys.executable, "-c", "while True: pass"]
hogs = [subprocess.Popen(hog, stderr=subprocess.DEVNULL) for _ in range(6)]
try:
    os.nice(3)
    add(ask, compute)
    with monitor:
        time.sleep(SECONDS)
        names = [name for name, _ in alarms]
        assert not names, alarms
        print(count(), sum(one.unproven_count for one in monitor.status().values()))
        server.kill()
        server.wait()
        until(lambda: all(
            one.state in (HealthState.UNHEALTHY, HealthState.UNKNOWN)
            for name, one in monitor.status().items() if name.startswith("ask")
        ), 60)
        kill(hogs)
        # It is logged if a check still runs when the monitor stops, as it may here.
        logging.disable()
finally:
    kill(hogs)
""",
        seconds=seconds,
    )
