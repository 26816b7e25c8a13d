"""What the examples show, works."""

import subprocess
import sys
from pathlib import Path

from tests.apart import without_openings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

QUICKSTART = """\
threads:  tea: 7
fallback: yesterday's price, for ConnectionRefusedError
asyncio:  rye: 7
too slow: yesterday's price, for DeadlineExceededError
by hand:  oat: 7
retry:    11 attempts, 1 recovered, 2 given up
Pipeline 'prices', outermost first:
"""


def output_of(example: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / example, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, without_openings(done.stderr)) == (0, "")
    return done.stdout


def test_the_quickstart_says_what_it_did_and_with_what():
    output = output_of("quickstart.py")
    assert output.startswith(QUICKSTART)
    described = [line.split()[1] for line in output.removeprefix(QUICKSTART).splitlines()]
    assert described == ["Fallback", "Timeout", "Retry", "CircuitBreaker", "Bulkhead", "Timeout"]


def test_a_dependency_fails_features_go_and_all_comes_back_when_the_check_finds_out():
    output = output_of("health_and_degradation.py", "2")
    lines = [line.partition("s  ")[2] for line in output.splitlines()]
    failing = lines.index("--- the service begins to fail")
    working = lines.index("--- the service works again")
    before, during, after = lines[:failing], lines[failing:working], lines[working:]
    assert "health: answers is healthy" in before
    assert "users see: a book about bridges" in before
    assert {"health: answers is unhealthy", "health_level: shop is degraded"} <= {*during}
    assert {"breaker: open", "users see: best sellers"} <= {*during}
    off = [line for line in during if line.startswith("feature")]
    assert off == ["feature: newsletter is off", "feature: recommendations is off"]
    healthy, closed = after.index("health: answers is healthy"), after.index("breaker: closed")
    normal = after.index("level: recommending is normal")
    assert max(healthy, closed) < normal  # nobody's call has closed it: none was let through
    assert [line for line in after if line.startswith("feature")] == [
        "feature: recommendations is on",
        "feature: newsletter is on",
    ]
    assert after[normal:].index("users see: a book about bridges") > 0
    assert lines[-1] == "the breaker is closed, the shop is normal"
    assert "health: port is unhealthy" not in lines


def test_a_client_of_peers_survives_a_peer_that_goes_and_comes_back():  # RM-09
    output = output_of("resilient_client.py")
    lines = output.splitlines()
    assert lines[:6] == [
        "peers:    2",
        "answer:   HELLO",
        "peer gone: failed: ConnectionRefusedError",
        "again:    not sent: the circuit breaker is open",
        "back:     HELLO AGAIN",
        "breaker:  closed",
    ]
    assert "'failed': 2" in lines[7]
    assert lines[8] == "Operation 'message' of manager 'client', outermost first:"


def test_every_example_is_run_here():
    shared = {
        "options.py",
        "story.py",
    }  # by the systems in the folders, which have tests of their own
    assert sorted({example.name for example in EXAMPLES.glob("[a-z]*.py")} - shared) == [
        "health_and_degradation.py",
        "quickstart.py",
        "resilient_client.py",
    ]


def test_the_quickstart_is_short():
    assert len((EXAMPLES / "quickstart.py").read_text().splitlines()) <= 60
