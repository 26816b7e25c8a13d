"""Celery tasks whose policies are made, and used, before the worker makes its pool."""

import os
from threading import Event

import celery
import celery.signals

import holdfast as hf

HERE = os.environ["CELERY_FILES"]
app = celery.Celery("tasks", broker="filesystem://", backend=f"file://{HERE}/results")
app.conf.broker_transport_options = {
    "data_folder_in": f"{HERE}/queue",
    "data_folder_out": f"{HERE}/queue",
    "control_folder": f"{HERE}/control",
}
app.conf.worker_hijack_root_logger = False
breaker = hf.CircuitBreaker("api", failure_threshold=2)
bulkhead = hf.Bulkhead("places", max_concurrent=1, max_waiting=50, max_wait=60)
limiter = hf.RateLimiter("tokens", rate=100, burst=1, max_wait=60)
retry = hf.Retry("again", on=ConnectionError, backoff=hf.Constant(0.01), attempts=2, budget=None)
pool = hf.PoolBulkhead("pool", workers=2)
timeout = hf.Timeout(0.2, name="cut", thread=True)
hedged = hf.Pipeline("hedged", hf.ErrorBudget("all"), hf.Hedge("twice", delay=0.01))
pool.submit(int).result()
hedged.call(int)
hf.Timeout(60, name="also", thread=True).call(int)


@celery.signals.worker_ready.connect
def serve(**_):
    """Serve the metrics of all processes of the pool, and write where."""
    from holdfast.telemetry.prometheus import serve_metrics

    with open(f"{HERE}/url", "w") as file:
        file.write(serve_metrics(0).url)


@app.task
@breaker
def add(x, y):
    """A task that is guarded itself."""
    return x + y


@app.task
def report():
    """What works in a worker, each in a word."""
    with bulkhead:
        inside = bulkhead.snapshot().active
    limiter.acquire()
    tries = iter([ConnectionError, None])

    def fails_once():
        error = next(tries)
        if error is not None:
            raise error
        return "in the end"

    hangs, free = iter([True, False]), Event()
    found = hedged.call(lambda: not next(hangs) or free.wait())
    free.set()
    return {
        "hedged": found,
        "inside": inside,
        "pool": pool.submit(os.getpid).result(timeout=60) == os.getpid(),
        "cut": type(timeout.try_call(Event().wait).error).__name__,
        "retried": retry.call(fails_once),
    }
