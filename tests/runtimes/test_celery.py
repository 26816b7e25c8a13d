"""Celery: tasks in forked processes, threads and greenlets use what their parent has made."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

HERE = Path(__file__).parent
POOLS = ["prefork", "threads", "gevent"]
REPORT = {
    "hedged": True,
    "inside": 1,
    "pool": True,
    "cut": "DeadlineExceededError",
    "retried": "in the end",
}
ASK = """
import json, tasks
asked = [tasks.add.delay(1, 2), tasks.report.delay(), tasks.report.delay()]
print(json.dumps([one.get(timeout=100) for one in asked]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What a worker of each kind answers: all at once, since they take long to begin."""
    for package in "celery", "gevent":
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    workers, asking, served = [], {}, {}
    try:
        for kind in POOLS:
            files = tmp_path_factory.mktemp(kind)
            for name in "queue", "results", "control":
                (files / name).mkdir()
            common = {"cwd": HERE, "text": True, "start_new_session": True}
            env = {**os.environ, "CELERY_FILES": str(files)}
            shared = {**env, "HOLDFAST_DIR": str(files / "figures")}
            lean = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
            worker = ["celery", "-A", "tasks", "worker", "-P", kind, "-c", "2", *lean]
            with (files / "log").open("w") as log:
                out = {"stdout": log, "stderr": log, "env": shared}
                workers.append(subprocess.Popen([sys.executable, "-m", *worker], **out, **common))
            asking[kind] = subprocess.Popen(
                [sys.executable, "-c", ASK], stdout=subprocess.PIPE, env=env, **common
            )
            served[kind] = files / "url"
        answers = {kind: one.communicate(timeout=110)[0] for kind, one in asking.items()}
        for kind in POOLS:
            with urllib.request.urlopen(served[kind].read_text(), timeout=60) as answer:
                answers["metrics of", kind] = answer.read().decode()
        return answers
    finally:
        for process in [*workers, *asking.values()]:
            with suppress(ProcessLookupError):  # it has ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("kind", POOLS)
def test_tasks_use_policies_that_the_parent_of_the_worker_has_made(kind, answers, require_real):
    if isinstance(answers, str):
        require_real(answers)
    assert json.loads(answers[kind]) == [3, REPORT, REPORT]


@pytest.mark.parametrize("kind", POOLS)
def test_the_main_process_serves_the_metrics_of_its_pool(kind, answers, require_real):
    if isinstance(answers, str):
        require_real(answers)
    metrics = answers["metrics of", kind]
    assert 'circuit_breaker_requests_total{name="api",result="success"} 1.0' in metrics
    assert 'rate_limiter_allowed_total{limiter="tokens"} 2.0' in metrics
