"""A WSGI application whose policies were made, and used, where it was loaded: perhaps in a master.

Run by the servers of the tests beside it; a path is the name of a function here.
"""

import json
import os
import sys
from contextlib import ExitStack
from threading import Event, Thread

import holdfast as hf
from holdfast.telemetry.prometheus import wsgi_app

MADE_IN = os.getpid()
breaker = hf.CircuitBreaker("api", failure_threshold=2)
bulkhead = hf.Bulkhead("places", max_concurrent=1, max_waiting=5, max_wait=60)
patient = hf.Bulkhead("patient", max_concurrent=1, max_waiting=5, max_wait=0.5)
limiter = hf.RateLimiter("tokens", rate=100, burst=1, max_wait=60)
retry = hf.Retry("again", on=ConnectionError, backoff=hf.Constant(0.01), attempts=2, budget=None)
pool = hf.PoolBulkhead("pool", workers=2)
metrics = wsgi_app()
timeout = hf.Timeout(0.2, name="cut", thread=True)
hedged = hf.Pipeline("hedged", hf.ErrorBudget("all"), hf.Hedge("twice", delay=0.01))

# The master has used them all, and is still inside of one.
held = ExitStack()
held.enter_context(bulkhead)
breaker.try_call(lambda: 1 / 0)
pool.submit(int).result()
hedged.call(int)
hf.Timeout(60, name="also", thread=True).call(int)


# uWSGI forks in C.
sys.path.insert(0, os.path.dirname(__file__))
from asleep import until_others_sleep  # noqa: E402 - not every server looks here

until_others_sleep()


def report():
    """What works here, each in a word."""
    if os.getpid() == MADE_IN:
        held.close()  # nobody forked
    found = {"forked": os.getpid() != MADE_IN, "failures": breaker.snapshot().consecutive_failures}
    with bulkhead:
        found["inside"] = bulkhead.snapshot().active
    found["pool"] = pool.submit(os.getpid).result(timeout=60) == os.getpid()
    found["cut"] = type(timeout.try_call(Event().wait).error).__name__
    found["hedged"] = _hedge()
    limiter.acquire()
    limiter.acquire()
    found["limited"] = limiter.snapshot().allowed
    tries = iter([ConnectionError, None])
    found["retried"] = retry.call(lambda: _raise(next(tries)))
    return found


def _hedge():
    hangs, free = iter([True, False]), Event()
    try:
        return hedged.call(lambda: not next(hangs) or free.wait())
    finally:
        free.set()


def hang():
    """Never answers."""
    breaker.call(int)
    Event().wait()


def call():
    """One call, counted."""
    breaker.call(int)
    return os.getpid()


def users():
    """The real and the effective user of this process."""
    return [os.getuid(), os.geteuid()]


def counted():
    """How many calls of the breaker all processes together have counted, the dead ones too."""
    from holdfast.telemetry.prometheus import Collector

    found = dict.fromkeys(["success", "failure"], 0)
    for family in Collector().collect():
        for sample in family.samples:
            is_ours = sample.labels.get("name") == "api" and sample.labels.get("result") in found
            if is_ours and sample.name.endswith("circuit_breaker_requests_total"):
                found[sample.labels["result"]] += int(sample.value)
    return found


def wait():
    """Waits for a place as long as it may; says on standard error when it begins to."""
    free = Event()
    inside = Event()
    Thread(target=patient.call, args=(lambda: (inside.set(), free.wait()),)).start()
    inside.wait()
    print("waiting", file=sys.stderr, flush=True)
    try:
        return type(patient.try_call(int).rejection).__name__
    finally:
        free.set()


def _raise(error):
    if error is not None:
        raise error
    return "in the end"


def application(environ, start_response):
    """Call the function the path names, or answer with the metrics."""
    if environ["PATH_INFO"] == "/metrics":
        return metrics(environ, start_response)
    body = json.dumps(globals()[environ["PATH_INFO"].strip("/")]()).encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("Connection", "close")])
    return [body]
