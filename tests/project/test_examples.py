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


def output_of(example: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / example],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, without_openings(done.stderr)) == (0, "")
    return done.stdout


def test_the_quickstart_says_what_it_did_and_with_what():
    output = output_of("quickstart.py")
    assert output.startswith(QUICKSTART)
    described = [line.split()[1] for line in output.removeprefix(QUICKSTART).splitlines()]
    assert described == ["Fallback", "Timeout", "Retry", "CircuitBreaker", "Bulkhead", "Timeout"]


def test_every_example_is_run_here():
    assert [example.name for example in EXAMPLES.glob("*.py")] == ["quickstart.py"]


def test_the_quickstart_is_short():
    assert len((EXAMPLES / "quickstart.py").read_text().splitlines()) <= 60
