"""A real Prometheus scrapes the demo and answers queries about it."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest

from tests.ports import held_port

METRICS = re.compile(r"metrics +at (http://127\.0\.0\.1:\d+)/metrics")
PATIENCE_SECONDS = 90

CONFIG = """\
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: demo
    static_configs:
      - targets: ["{target}"]
"""


@contextmanager
def ended(process):
    """End a process when the block ends, whatever the reason."""
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def demo_metrics(demo):
    """Return where the demo serves its metrics: it says so first of all."""
    for line in demo.stdout:
        if found := METRICS.search(line):
            return found[1]
    pytest.fail("the demo does not say where its metrics are")


def query(base, expression):
    """Return the value of each series that answers a query, once there are any."""
    url = f"{base}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as got:
                answer = json.load(got)
        except urllib.error.URLError:  # it is still starting
            continue
        assert answer["status"] == "success"
        if answer["data"]["result"]:
            return {
                frozenset(one["metric"].items()): float(one["value"][1])
                for one in answer["data"]["result"]
            }
    pytest.fail(f"no answer to {expression} within {PATIENCE_SECONDS} s")


@pytest.fixture
def prometheus(tmp_path, require_real):
    program = shutil.which("prometheus")
    if program is None:
        require_real("prometheus is not installed: make system-packages")

    @contextmanager
    def scraping(target):
        config = tmp_path / "prometheus.yml"
        config.write_text(CONFIG.format(target=target))
        with held_port() as port:
            process = subprocess.Popen(
                [
                    program,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={tmp_path / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--log.level=error",
                ],
                stderr=subprocess.DEVNULL,
            )
            with ended(process):
                yield f"http://127.0.0.1:{port}"

    return scraping


@pytest.mark.slow
def test_prometheus_scrapes_the_demo_and_answers_two_queries(prometheus):  # CB-29, MX-01, MX-02
    demo = subprocess.Popen(
        [sys.executable, "-m", "holdfast", "demo", "--plain"], stdout=subprocess.PIPE, text=True
    )
    with ended(demo):
        base = demo_metrics(demo)
        with prometheus(base.removeprefix("http://")) as server:
            good = 'holdfast_circuit_breaker_requests_total{name="demo",result="success"} > 0'
            [calls] = query(server, good).values()
            assert calls > 0
            [state] = query(server, 'holdfast_circuit_breaker_state{name="demo"}').values()
            assert state in {0, 1, 2}
            scraped = query(server, f'up{{instance="{base.removeprefix("http://")}"}}')
            assert list(scraped.values()) == [1]
