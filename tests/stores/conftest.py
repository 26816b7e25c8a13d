"""Workers that end with the test."""

import pytest

from tests.stores.crew import Worker


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "shared"


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
