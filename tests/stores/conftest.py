"""Workers that end with the test."""

import tempfile
from pathlib import Path

import pytest

from tests.stores.crew import Worker


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "shared"


@pytest.fixture
def reachable():
    """A path that every user can reach: pytest's are under a directory of this user alone."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        yield Path(above) / "shared"


@pytest.fixture
def shared(directory, monkeypatch):
    """Have processes that a test runs apart share the directory."""
    monkeypatch.setenv("HOLDFAST_DIR", str(directory))
    return directory


@pytest.fixture
def start(directory):
    """Start workers in the directory that is shared. What they complain of, they log."""
    workers = []

    def start():
        workers.append(Worker(directory))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.kill()
        worker.end()
